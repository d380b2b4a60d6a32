#!/bin/sh
# Runs all tests on every adapter of this machine, then the benches, and writes what came of it: for each adapter one page, one
# JSON and one text, and a summary. Needs no Rust toolchain.
#
#   ./run.sh [--minutes N] [--all] [--adapter N]... [RESULTS]
#
#   --minutes N   in all, 8 unless it is given; what takes longer is cut off, and said to be
#   --all         software adapters too, where there is a GPU
#   --adapter N   only this one, by its number in `bin/lopper devices`; may be repeated
#   RESULTS       a folder, `results` unless it is given
#
# Exits with 1 if a test failed or did not end, or a result was wrong, on any adapter.
set -u

minutes=8 all=no chosen='' results=results
while [ $# -gt 0 ]; do
    case $1 in
    --minutes) minutes=$2 && shift 2 ;;
    --adapter) chosen="$chosen $2" && shift 2 ;;
    --all) all=yes && shift ;;
    -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0" && exit 0 ;;
    -*) echo "run.sh: $1 is not known; see --help" >&2 && exit 2 ;;
    *) results=$1 && shift ;;
    esac
done
case $minutes in '' | *[!0-9]* | 0) echo "run.sh: --minutes $minutes: give a number from 1 on" >&2 && exit 2 ;; esac

case $results in /*) ;; *) results=$PWD/$results ;; esac
cd "$(dirname "$0")" || exit 1
mkdir -p "$results" || exit 1
begun=$(date +%s)

# left SHARE: seconds of what is left, in percent.
left() { echo $((($begun + 60 * minutes - $(date +%s)) * $1 / 100)); }

# Software drivers compile kernels anew each time unless they may keep them.
: "${XDG_RUNTIME_DIR:=${TMPDIR:-/tmp}}"
export XDG_RUNTIME_DIR

if ! devices=$(./bin/lopper devices --json); then
    ./bin/lopper devices
    exit 1
fi
# Lines of `index|kind|name`, one per adapter that will do.
fit=$(printf '%s\n' "$devices" | awk '
    function value(line) { sub(/^[^:]*: /, "", line); sub(/,$/, "", line); gsub(/^"|"$/, "", line); return line }
    /^    "index":/ { i = value($0) }
    /^    "name":/ { name = value($0); gsub(/[^A-Za-z0-9.]+/, "-", name) }
    /^    "backend":/ { backend = value($0) }
    /^    "kind":/ { kind = value($0) }
    /^    "unfit":/ { if (value($0) == "null") print i "|" kind "|" name "-" backend }')
gpus=$(printf '%s\n' "$fit" | grep -vc '|Cpu|' || true)
real=$(printf '%s\n' "$fit" | grep -v '|Cpu|' | grep -viE 'llvmpipe|softpipe|swiftshader|warp|basic render' || true)
if [ -n "$chosen" ]; then
    fit=$(for i in $chosen; do printf '%s\n' "$fit" | grep "^$i|"; done)
elif [ "$all" = no ] && [ -n "$real" ]; then
    fit=$real
fi
if [ -z "$fit" ]; then
    echo "run.sh: no adapter of this machine is left to run on; see bin/lopper devices" >&2
    exit 1
fi

summary=$results/summary.txt
cat bundle.txt >"$summary"
printf '%s\n' "$devices" >"$results/devices.json"
failed=0
count=$(printf '%s\n' "$fit" | wc -l)
turn=0
say() { printf '%s\n' "$*" | tee -a "$summary"; }

# part SECONDS TITLE COMMAND...: runs it into the adapter's text; its exit code, 124 where it was cut off.
part() {
    seconds=$1 title=$2
    shift 2
    if [ "$seconds" -lt 5 ]; then
        say "   $title: no time was left for it"
        return 124
    fi
    printf '\n== %s\n' "$title" >>"$text"
    start=$(date +%s)
    timeout "$seconds" "$@" >>"$text" 2>&1
    code=$?
    took=$(($(date +%s) - start))
    case $code in
    0) say "   $title: done in $took s" ;;
    124) say "   $title: CUT OFF after $took s" ;;
    *) say "   $title: FAILED ($code) after $took s" ;;
    esac
    return $code
}

for adapter in $fit; do
    number=${adapter%%|*} name=${adapter##*|}
    base=$results/$number-$name text=$results/$number-$name.txt
    : >"$text"
    share=$((100 / (count - turn)))
    turn=$((turn + 1))
    until=$(($(date +%s) + $(left $share)))
    # rest SHARE: seconds of what this adapter has left, in percent.
    rest() { echo $((($until - $(date +%s)) * $1 / 100)); }
    say "$number $name"
    LOPPER_ADAPTER=$number part "$(rest 55)" tests ./bin/tests
    [ $? = 0 ] || failed=1
    grep -E '^test .*FAILED|^test result|panicked at' "$text" | sort -u | tee -a "$summary" | sed 's/^/   /'
    seconds=$(rest 35)
    part "$((seconds + seconds / 2))" bench ./bin/lopper bench --adapter "$number" --time "$((seconds > 5 ? seconds : 5))" \
        --json "$base.json" --html "$base.html"
    [ $? = 0 ] || failed=1
    part "$(rest 35)" kernels ./bin/bench-kernels --bench "$number"
    part "$(rest 60)" products ./bin/bench-products --bench "$number"
    if [ -x bin/bench-peers ]; then
        part "$(rest 50)" peers ./bin/bench-peers --adapter "$number" --rounds 7 --json "$base-peers.json"
    fi
    seconds=$(rest 80)
    part "$(rest 95)" tune ./bin/lopper tune --dry-run --quiet --adapter "$number" --time "$((seconds > 5 ? seconds : 5))"
done
say "all of it took $(($(date +%s) - begun)) s; $gpus adapters of this machine are GPUs or say so; results are in $results"
exit $failed
