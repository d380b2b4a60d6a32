#!/usr/bin/env bash
# Shows lopper at work: builds it, prunes a small speech model that comes with it, and checks the result.
#
#   scripts/demo.sh [FOLDER]
#
# FOLDER is where the pruned models go: a temporary folder unless it is given. What an earlier demo left there is
# replaced. Needs no GPU: where there is no driver, a software one is installed (see scripts/driver.sh).
set -euo pipefail

case ${1:-} in
-h | --help)
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
    exit 0
    ;;
esac

output=${1:-}
if [ -n "$output" ]; then
    mkdir -p "$output"
    output=$(cd "$output" && pwd)
fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/driver.sh
source scripts/driver.sh

heading() { printf '\n== %s\n' "$*"; }

ensure_cargo
ensure_vulkan
ensure_runtime_folder

heading "Building (a few minutes the first time)"
if [ -t 2 ]; then cargo build --release; else cargo build --release --quiet; fi
target=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
lopper=$target/release/lopper
echo "built $lopper"

[ -n "$output" ] || output=$(mktemp -d "${TMPDIR:-/tmp}/lopper-demo.XXXXXX")
model=tests/data/silero_vad_16k.safetensors

# Shows a command as one would type it, and runs it.
run() {
    printf '\n$ lopper'
    printf ' %s' "$@"
    printf '\n'
    "$lopper" "$@"
}

heading "The adapters of this machine"
run devices

heading "Half of every weight matrix goes, the smallest magnitudes first"
run prune "$model" -o "$output/half.safetensors" --sparsity 0.5 --report "$output/half.json" --force

heading "Checked on the CPU, from the two files alone"
run verify "$model" "$output/half.safetensors"

heading "The same share, but with one cut over all matrices"
run prune "$model" -o "$output/global.safetensors" --sparsity 0.5 --scope global --force --quiet
run verify "$model" "$output/global.safetensors" | tail -n 1

heading "The same share of each row"
run prune "$model" -o "$output/row.safetensors" --sparsity 0.5 --scope row --force --quiet
run verify "$model" "$output/row.safetensors" | tail -n 1

heading "Done"
cat <<END
The pruned models, and a report of the first run (half.json), are in
  $output

Next, a model of your own, a file or the folder of a sharded checkpoint:
  $lopper prune MODEL --sparsity 0.3 --dry-run       what would go, and why
  $lopper prune MODEL -o PRUNED --sparsity 0.3
  $lopper prune --help
END
