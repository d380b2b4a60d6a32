#!/usr/bin/env bash
# Runs GPU tests with the Vulkan validation layers on, synchronization validation included, and fails on any message.
#
#   scripts/validation.sh [TEST...]       test binaries; record, pruner, stress and kernels unless any are given
#
# Needs the layers: `apt-get install vulkan-validationlayers`, or what your system calls them. They print by themselves,
# for wgpu hands their messages to a logger that tests do not have. That silence is no accident is shown by two things:
# every log must say that the layer is active, and what "best practices" say of any device must be found first.
#
# The layers do not look into shaders (WGPU_GPU_BASED_VALIDATION=1 would have them do it): they leave indices out of
# bounds to robustBufferAccess, which wgpu turns on, and so heard of none that was wrong on purpose. For those there is
# LOPPER_TEST_UNCHECKED (see CONTRIBUTING.md).
#
#   LOPPER_VALIDATION_LIMIT=580           seconds for each test binary
set -euo pipefail

case ${1:-} in
-h | --help)
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
    exit 0
    ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/driver.sh
source scripts/driver.sh
ensure_cargo
ensure_vulkan
ensure_runtime_folder

tests=("$@")
[ ${#tests[@]} -gt 0 ] || tests=(record pruner stress kernels)
limit=${LOPPER_VALIDATION_LIMIT:-580}
work=$(mktemp -d "${TMPDIR:-/tmp}/lopper-validation.XXXXXX")
trap 'rm -rf "$work"' EXIT

# Messages that are not ours, one a line, as an extended regular expression, each with its reason.
#
# None: with layers 1.3.239, wgpu 30.0 and lavapipe 22.3 nothing is left out.
# (With debug information in shaders those layers stop at "Invalid source language operand: 10", which is WGSL, and
# look no further; hence WGPU_DEBUG=0.)
known='^$'

export WGPU_VALIDATION=1 WGPU_DEBUG=0
: "${LOPPER_ADAPTER:=vulkan}"
export LOPPER_ADAPTER

# settings FOLDER LINE...: what the layers read.
settings() {
    local folder=$1
    shift
    mkdir -p "$folder"
    printf 'khronos_validation.%s\n' 'debug_action = VK_DBG_LAYER_ACTION_LOG_MSG' 'log_filename = stdout' \
        'report_flags = error,warn,perf,info' "$@" >"$folder/vk_layer_settings.txt"
    export VK_LAYER_SETTINGS_PATH=$folder/vk_layer_settings.txt
}

# The errors and warnings in a log.
messages() { grep -E '\((ERROR|WARN|PERF)[^)]*\): msgNum' "$1" | grep -vE "$known" || true; }

active() { grep -q 'Khronos Validation Layer Active' "$1" && grep -q 'SYNCHRONIZATION_VALIDATION' "$1"; }

fail() {
    printf 'validation: %s\n' "$*" >&2
    exit 1
}

selected=()
for name in "${tests[@]}" validation; do selected+=(--test "$name"); done
cargo test --no-run "${selected[@]}" 2>&1 | tee "$work/build" |
    sed -n 's|^ *Executable tests/\(.*\)\.rs (\(.*\))$|\1 \2|p' >"$work/executables" ||
    { cat "$work/build" >&2; exit 1; }
canary=$(sed -n 's/^validation //p' "$work/executables")

settings "$work/practices" 'enables = VK_VALIDATION_FEATURE_ENABLE_BEST_PRACTICES_EXT'
timeout -s KILL "$limit" "$canary" --ignored >"$work/log" 2>&1 </dev/null ||
    { tail -n 20 "$work/log" >&2; fail "a device cannot even be opened"; }
active "$work/log" || fail "the layer is not active: is it installed?"
found=$(messages "$work/log" | wc -l)
[ "$found" -gt 0 ] || fail "best practices said nothing: messages are not found, and nothing would be"
printf '== best practices: %s messages found, as there must be\n' "$found"
settings "$work/plain"

bad=0
while read -r name path; do
    [ "$name" != validation ] || continue
    start=$SECONDS rc=0
    timeout -s KILL "$limit" "$path" >"$work/log" 2>&1 </dev/null || rc=$?
    ok=$(grep -c '\.\.\. ok$' "$work/log") || true
    found=$(messages "$work/log" | wc -l)
    printf '== %s: %s tests passed, exit code %s, %s messages, in %d s\n' "$name" "$ok" "$rc" "$found" $((SECONDS - start))
    active "$work/log" || { bad=1; printf '   the layer was not active\n'; }
    if [ "$rc" -ne 0 ]; then
        bad=1
        [ "$rc" -eq 137 ] && printf '   cut short after %s s\n' "$limit"
        tail -n 20 "$work/log" >&2
    fi
    if [ "$found" -gt 0 ]; then
        bad=1
        messages "$work/log" | cut -c1-500 | sort | uniq -c | sort -rn | head -n 20
    fi
done <"$work/executables"
[ "$bad" -eq 0 ] && printf 'validation: no messages\n'
exit "$bad"
