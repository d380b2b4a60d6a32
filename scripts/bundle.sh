#!/usr/bin/env bash
# Builds one folder that a machine with a GPU needs, and no Rust toolchain: the tool, all tests of the GPU in one binary, the
# benches of kernels and products, and `run.sh`, which runs them all and writes what came of it.
#
#   scripts/bundle.sh [--peers] [FOLDER]      FOLDER is target/lopper-bundle unless it is given; what is there is replaced
#
#   --peers       benches/peers too: our products beside burn-wgpu's and numr's, which takes many minutes more to build
#
# Needs no GPU. The folder may be copied anywhere; the other machine needs the same kind of processor, a glibc as new as this
# one's, and a driver for Vulkan.
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

peers=no
if [ "${1:-}" = --peers ]; then
    peers=yes
    shift
fi
case ${1:-} in
-*)
    echo "bundle.sh: $1 is not known; see --help" >&2
    exit 2
    ;;
esac
folder=${1:-target/lopper-bundle}
most=60 # MB

if [ -e "$folder" ] && [ ! -e "$folder/bundle.txt" ]; then
    echo "will not replace $folder: it is no bundle; choose another name" >&2
    exit 1
fi

# The tests look for the tool and their data below the folder that they are run from.
built=$(
    LOPPER_TEST_ROOT=. LOPPER_TEST_TOOL=./bin/lopper cargo build --profile bundle \
        --bin lopper --test all --bench kernels --bench products --message-format json-render-diagnostics
)

# executable NAME KIND: where cargo put it.
executable() {
    printf '%s\n' "$built" | grep '"reason":"compiler-artifact"' | grep "\"kind\":\[\"$2\"\]" | grep "\"name\":\"$1\"" |
        sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -1
}

rm -rf "$folder"
mkdir -p "$folder/bin" "$folder/tests" "$folder/examples"
cp "$(executable lopper bin)" "$folder/bin/lopper"
cp "$(executable all test)" "$folder/bin/tests"
cp "$(executable kernels bench)" "$folder/bin/bench-kernels"
cp "$(executable products bench)" "$folder/bin/bench-products"
if [ "$peers" = yes ]; then
    CARGO_PROFILE_RELEASE_STRIP=true cargo build --release --manifest-path benches/peers/Cargo.toml --target-dir target/peers
    cp target/peers/release/lopper-peers "$folder/bin/bench-peers"
fi
cp -r tests/data "$folder/tests/data"
cp -r examples/digits "$folder/examples/digits"
cp scripts/bundle/run.sh "$folder/run.sh"
{
    printf 'lopper %s, %s\n' "$("$folder/bin/lopper" --version | cut -d' ' -f2)" "$(git describe --always --dirty 2>/dev/null || echo 'no revision')"
    printf 'built %s, %s\n' "$(date -u +%F)" "$(rustc --version)"
} >"$folder/bundle.txt"

size=$(du -sm "$folder" | cut -f1)
printf '%s: %s MB; on the other machine: ./run.sh\n' "$folder" "$size"
if [ "$size" -gt "$most" ]; then
    echo "that is more than $most MB" >&2
    exit 1
fi
