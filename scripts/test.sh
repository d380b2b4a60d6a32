#!/usr/bin/env bash
# Everything that must hold before a change goes in: format, lints, docs, all tests, and the GPU tests once more on
# every further adapter of the machine.
#
#   scripts/test.sh
#
# Carries on after a failure, says at the end what failed, and then exits with 1. Needs no GPU: where there is no
# driver, a software one is installed (see scripts/driver.sh). All builds are of the dev profile.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/driver.sh
source scripts/driver.sh
ensure_cargo
ensure_vulkan
ensure_gl
ensure_runtime_folder

passed=() failed=() left_out=()

# step NAME COMMAND...: runs it, and remembers how it went.
step() {
    local name=$1 start=$SECONDS
    shift
    printf '\n== %s: %s\n' "$name" "$*"
    if "$@"; then
        passed+=("$name")
        printf '== %s: passed in %d s\n' "$name" $((SECONDS - start))
    else
        failed+=("$name")
        printf '== %s: FAILED after %d s\n' "$name" $((SECONDS - start))
    fi
}

# Lines of `index|backend|name|unfit`, one per adapter, from the output of `lopper devices --json`.
adapters() {
    awk '
        function value(line) { sub(/^[^:]*: /, "", line); sub(/,$/, "", line); gsub(/^"|"$/, "", line); return line }
        /^    "index":/ { index_ = value($0) }
        /^    "name":/ { name = value($0); gsub(/\|/, "/", name) }
        /^    "backend":/ { backend = value($0) }
        /^    "unfit":/ { print index_ "|" backend "|" name "|" value($0) }
    '
}

# The GPU tests on every adapter but the one that the tests have run on: those of kernels with shaders that lack wgpu's
# run-time checks, on which none may depend, since they have had the checks before.
further_adapters() {
    local target lopper listed number backend name unfit gl=none unchecked=none used=${LOPPER_ADAPTER:-}
    target=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
    lopper=$target/debug/lopper # built by the tests; `cargo run` would build it again, with other features
    if [ ! -x "$lopper" ]; then
        left_out+=("further adapters: lopper was not built")
        return
    fi
    if [ -n "$used" ]; then
        left_out+=("further adapters: LOPPER_ADAPTER is set, so only '$used' was tested")
        return
    fi
    local kernels=(--test kernels --test products --test sparse)
    local tests=(--test network --test prune --test pruner --test record --test examples --test stress)
    listed=$("$lopper" devices --json) || true
    while IFS='|' read -r number backend name unfit; do
        if [ "$unfit" != null ]; then
            left_out+=("adapter $number ($name, $backend): $unfit")
        elif [ -z "$used" ]; then
            used=$number
            echo "== adapter $number ($name, $backend): all tests have run on it"
        else
            step "kernels without run-time checks on adapter $number ($name, $backend)" \
                env LOPPER_ADAPTER="$number" LOPPER_TEST_UNCHECKED=1 cargo test "${kernels[@]}" </dev/null
            unchecked=done
            step "GPU tests on adapter $number ($name, $backend)" \
                env LOPPER_ADAPTER="$number" cargo test "${tests[@]}" </dev/null
        fi
        [ "$backend" != gl ] || gl=seen
    done < <(printf '%s\n' "$listed" | adapters)
    [ "$unchecked" = done ] ||
        step "kernels without run-time checks" env LOPPER_TEST_UNCHECKED=1 cargo test "${kernels[@]}"
    [ "$gl" = seen ] || left_out+=("the GL backend: no adapter")
}

# The public API against the one written down, with the only Rust whose rustdoc says it in the format that is read.
public_api() {
    local oldest have
    oldest=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
    have=$(rustc --version | cut -d' ' -f2)
    case $have in
    "$oldest".*) step "public API" scripts/api.sh ;;
    *) left_out+=("public API: this is Rust $have, the comparison needs $oldest") ;;
    esac
}

step format cargo fmt --check
step lints cargo clippy --all-targets -- -D warnings
step "lints of the library alone" cargo clippy --no-default-features --lib -- -D warnings
step docs env RUSTDOCFLAGS="-D warnings" cargo doc --no-deps
step tests cargo test --no-fail-fast
public_api
further_adapters

printf '\n'
for name in ${left_out[@]+"${left_out[@]}"}; do printf 'not run: %s\n' "$name"; done
for name in ${failed[@]+"${failed[@]}"}; do printf 'FAILED: %s\n' "$name"; done
printf '%d steps passed, %d failed, %d not run, in %d s\n' \
    ${#passed[@]} ${#failed[@]} ${#left_out[@]} "$SECONDS"
[ ${#failed[@]} -eq 0 ]
