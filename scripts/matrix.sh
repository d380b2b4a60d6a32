#!/usr/bin/env bash
# Runs the GPU tests on every adapter of the machine, prunes the same checkpoints on each, and compares every byte.
#
#   scripts/matrix.sh [TABLE]
#
# TABLE is where the Markdown table goes: tests/MATRIX.md unless it is given. Besides what `lopper devices` lists there
# is SwiftShader, where a Chromium is installed. Exits with 1 unless all adapters wrote the same bytes and no test
# failed; what was cut short, or could not run, is said in the table.
#
#   LOPPER_MATRIX_LIMIT=1800    seconds for the tests on each adapter; what has not ended then is cut short
#   LOPPER_MATRIX_TESTS="..."   the test binaries, in this order
set -euo pipefail

case ${1:-} in
-h | --help)
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
    exit 0
    ;;
esac
table=$(realpath -m "${1:-$(dirname "${BASH_SOURCE[0]}")/../tests/MATRIX.md}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/driver.sh
source scripts/driver.sh
ensure_cargo
ensure_vulkan
ensure_gl
ensure_runtime_folder

limit=${LOPPER_MATRIX_LIMIT:-1800}
read -r -a tests <<<"${LOPPER_MATRIX_TESTS:-examples stress record pruner kernels prune}"
# A debug build would turn the validation layers on, which are scripts/validation.sh's.
export WGPU_VALIDATION=0
unset LOPPER_ADAPTER

work=$(mktemp -d "${TMPDIR:-/tmp}/lopper-matrix.XXXXXX")
trap 'rm -rf "$work"' EXIT

# The executables, `NAME PATH` a line.
selected=()
for name in "${tests[@]}"; do selected+=(--test "$name"); done
cargo test --no-run "${selected[@]}" 2>&1 | tee "$work/build" | sed -n 's|^ *Executable tests/\(.*\)\.rs (\(.*\))$|\1 \2|p' \
    >"$work/built" || { cat "$work/build" >&2; exit 1; }
for name in "${tests[@]}"; do grep "^$name " "$work/built"; done >"$work/executables"
target=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
lopper=$target/debug/lopper

# A checkpoint of every element type: the bytes of the real model, taken for weights of each type.
model=tests/data/silero_vad_16k.safetensors
mixed=$work/mixed.safetensors
make_mixed() {
    local header='{' from=0 layer=0 dtype rows cols size
    while read -r dtype rows cols size; do
        header+="\"layers.$layer.weight\":{\"dtype\":\"$dtype\",\"shape\":[$rows,$cols],"
        header+="\"data_offsets\":[$from,$((from + rows * cols * size))]},"
        from=$((from + rows * cols * size)) layer=$((layer + 1))
    done <<<'F32 151 347 4
F16 317 331 2
BF16 100 1049 2
F8_E4M3 300 700 1
F8_E5M2 211 995 1'
    header=${header%,}'}'
    while [ $((${#header} % 8)) -ne 0 ]; do header+=' '; done
    local octal length=${#header} i
    octal=
    for ((i = 0; i < 8; i++)); do
        octal+=$(printf '\\%03o' $((length & 255)))
        length=$((length >> 8))
    done
    # shellcheck disable=SC2059 # the octal digits are the format
    printf "$octal" >"$mixed"
    printf '%s' "$header" >>"$mixed"
    tail -c "$from" "$model" >>"$mixed"
}
make_mixed

# `FILE ARGUMENTS...` of every pruning.
prunings() {
    local input scope sparsity
    for input in "$model" "$mixed"; do
        for scope in tensor row global; do
            for sparsity in 0 0.3 0.5 0.9 1; do echo "$input --scope $scope --sparsity $sparsity"; done
            echo "$input --scope $scope --sparsity 0.5 --memory 1MiB"
        done
        echo "$input --threshold 0.02"
        echo "$input --keep 100"
        echo "$input --keep 12345 --scope global"
    done
}

# prune_all ADAPTER HASHES: prunes all, and writes one line for each output.
prune_all() {
    local input arguments out=$work/out.safetensors
    : >"$2"
    while read -r input arguments; do
        # Word splitting is wanted: the arguments are a list.
        # shellcheck disable=SC2086
        if timeout -s KILL "$limit" "$lopper" prune "$input" -o "$out" --adapter "$1" --force --quiet $arguments \
            >"$work/prune.log" 2>&1 </dev/null; then
            printf '%s  %s %s\n' "$(sha256sum <"$out" | cut -d' ' -f1)" "$(basename "$input")" "$arguments" >>"$2"
        else
            printf 'prune %s %s: failed\n' "$(basename "$input")" "$arguments" >&2
            tail -n 3 "$work/prune.log" >&2
            printf 'failed  %s %s\n' "$(basename "$input")" "$arguments" >>"$2"
            return 1
        fi
    done < <(prunings)
}

# Lines of `index|backend|name|driver|unfit`, one per adapter, from the output of `lopper devices --json`.
adapters() {
    awk '
        function value(line) { sub(/^[^:]*: /, "", line); sub(/,$/, "", line); gsub(/^"|"$/, "", line); gsub(/\|/, "/", line); return line }
        /^    "index":/ { index_ = value($0) }
        /^    "name":/ { name = value($0) }
        /^    "backend":/ { backend = value($0) }
        /^    "driver":/ { driver = value($0) }
        /^    "unfit":/ { print index_ "|" backend "|" name "|" driver "|" value($0) }
    '
}

# Which package an ICD is of.
icd_version() {
    local package
    package=$(dpkg-query -S "$(realpath "$1")" 2>/dev/null | head -n 1 | cut -d: -f1) || package=
    if [ -n "$package" ]; then dpkg-query -W -f '${Package} ${Version}' "$package"; else echo "version unknown"; fi
}

version() { sed -n "/^name = \"$1\"\$/{n;s/^version = \"\(.*\)\"\$/\1/p;q}" Cargo.lock; }

# write_table [NOTE]: anew after every adapter, so that a run that is stopped leaves what it has.
write_table() {
    {
        cat <<END
# Portability

Every adapter runs the GPU tests (${tests[*]}) and prunes two checkpoints $(prunings | wc -l) times: the real model of
\`tests/data\` and one with all five element types, in every scope, by sparsity, threshold and number to keep, in little
memory and in much. The hash is over all outputs; it must be the same on every line.

Written by \`scripts/matrix.sh\` on $(date -u +%F), with lopper $(version lopper), wgpu $(version wgpu),
$(rustc --version | cut -d' ' -f1-2); at most $limit s of tests on each adapter. What did not end has neither failed nor passed.

| adapter | backend | driver | tests passed | failed | did not end or run | hash |
|---|---|---|---|---|---|---|
END
        for row in ${rows[@]+"${rows[@]}"}; do printf '%s\n' "$row"; done
        printf '\n'
        for note in ${notes[@]+"${notes[@]}"} ${1+"$1"}; do printf -- '- %s\n' "$note"; done
    } >"$table"
}

rows=() notes=() hashes=() bad=0 first=

# one NUMBER BACKEND NAME DRIVER: all that is done on one adapter.
one() {
    local number=$1 backend=$2 name=$3 driver=$4 test path log rc
    local end left listed passed=0 failed=0 cut=0 ok bad_here skip digest prunes
    printf '== adapter %s: %s (%s, %s)\n' "$number" "$name" "$backend" "$driver"
    # The bytes first: they are the point, and quick.
    prunes=$work/hashes.${#rows[@]}
    if prune_all "$number" "$prunes"; then
        digest=$(cut -d' ' -f1 "$prunes" | sha256sum | cut -d' ' -f1)
    else
        digest=failed bad=1
        notes+=("$name ($backend): $(tail -n 1 "$prunes")")
    fi
    printf '   %s prunings: %s\n' "$(wc -l <"$prunes")" "$digest"
    hashes+=("$digest")
    if [ -z "$first" ]; then
        first=$prunes
    elif ! diff "$first" "$prunes" >"$work/diff"; then
        bad=1
        notes+=("$name ($backend): other bytes: $(grep -c '^>' "$work/diff") of the prunings")
        cat "$work/diff" >&2
    fi
    end=$((SECONDS + limit))
    while read -r test path; do
        left=$((end - SECONDS))
        log=$work/test.log rc=0
        listed=$("$path" --list 2>/dev/null | grep -c ': test$') || true
        if [ "$left" -le 0 ]; then
            cut=$((cut + listed))
            notes+=("$name ($backend): \`$test\` did not run, no time was left for its $listed tests")
            continue
        fi
        LOPPER_ADAPTER=$number timeout -s KILL "$left" "$path" >"$log" 2>&1 </dev/null || rc=$?
        ok=$(grep -c '^test .* \.\.\. ok$' "$log") || true
        bad_here=$(grep -c '^test .* \.\.\. FAILED$' "$log") || true
        skip=$(grep -c '^test .* \.\.\. ignored' "$log") || true
        passed=$((passed + ok)) failed=$((failed + bad_here))
        if [ "$rc" -eq 137 ]; then
            cut=$((cut + listed - ok - bad_here - skip))
            notes+=("$name ($backend): \`$test\` was cut short, with $ok of $listed tests passed")
        elif [ "$rc" -ne 0 ]; then
            bad=1
            [ "$bad_here" -gt 0 ] || failed=$((failed + listed - ok - skip))
            notes+=("$name ($backend): \`$test\` failed: $(grep -m 3 '^test .* FAILED$' "$log" | sed 's/^test \(.*\) \.\.\. FAILED$/\1/' | tr '\n' ' ')(exit code $rc)")
            tail -n 30 "$log" >&2
        fi
        printf '   %s: %s of %s passed, exit code %s\n' "$test" "$ok" "$listed" "$rc"
    done <"$work/executables"
    rows+=("| $name | $backend | $driver | $passed | $failed | $cut | \`${digest:0:16}\` |")
    write_table "The run was stopped here: further adapters did not run."
}

# each [ICD]: every adapter; with a driver of its own, only those of Vulkan.
each() {
    local icd=${1:-} number backend name driver unfit
    while IFS='|' read -r number backend name driver unfit; do
        [ -z "$icd" ] || [ "$backend" = vulkan ] || continue
        if [ "$unfit" != null ]; then
            notes+=("$name ($backend): did not run: $unfit")
            continue
        fi
        [ -z "$icd" ] || driver="$driver, $(icd_version "$icd")"
        one "$number" "$backend" "$name" "$driver"
    done < <("$lopper" devices --json 2>/dev/null | adapters)
}

each
swiftshader=
for icd in /usr/lib/chromium/vk_swiftshader_icd.json /usr/lib64/chromium-browser/vk_swiftshader_icd.json \
    /opt/google/chrome/vk_swiftshader_icd.json /usr/share/vulkan/icd.d/vk_swiftshader_icd.json; do
    [ -e "$icd" ] || continue
    swiftshader=$icd
    export VK_DRIVER_FILES=$icd VK_ICD_FILENAMES=$icd
    each "$icd"
    break
done
[ -n "$swiftshader" ] || notes+=("SwiftShader: did not run, there is none (Debian's \`chromium\` brings it)")
[ ${#rows[@]} -gt 0 ] || { notes+=("no adapter ran"); bad=1; }

write_table
printf '\n'
cat "$table"
[ "$bad" -eq 0 ]
