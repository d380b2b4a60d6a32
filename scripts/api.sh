#!/usr/bin/env bash
# Compares lopper's public API with the one that is written down in tests/public-api.txt.
#
#   scripts/api.sh            shows what differs, and exits with 1 if anything does
#   scripts/api.sh --write    writes it down anew; the difference then shows in review
#
# Needs the Rust that Cargo.toml names as the oldest one: rustdoc's JSON is of another format in others.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
oldest=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
have=$(rustc --version | cut -d' ' -f2)
case $have in
"$oldest".*) ;;
*)
    printf 'api: this is Rust %s; the comparison needs %s\n' "$have" "$oldest" >&2
    exit 3
    ;;
esac

# The JSON is not stable yet, and so asks for this.
RUSTC_BOOTSTRAP=1 cargo rustdoc --quiet --lib --no-default-features --target-dir target/api -- \
    -Zunstable-options --output-format json --cap-lints allow
now=$(cargo run --quiet --manifest-path scripts/api/Cargo.toml --target-dir target/api -- target/api/doc/lopper.json)
if [ "${1:-}" = --write ]; then
    printf '%s\n' "$now" >tests/public-api.txt
elif ! diff -u tests/public-api.txt <(printf '%s\n' "$now"); then
    printf 'api: the public API differs from tests/public-api.txt; if it should, run scripts/api.sh --write\n' >&2
    exit 1
fi
