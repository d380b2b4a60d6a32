#!/bin/sh
# The pages that --html writes, in a real browser: console, charts, values, sorting by mouse and by keys, light
# and dark, wide and narrow.
# Installs Chromium with the system's package manager if there is none ($LOPPER_BROWSER names another browser like it).
set -eu
cd "$(dirname "$0")/.."
scripts/driver.sh
browser=${LOPPER_BROWSER:-chromium}
if ! command -v "$browser" >/dev/null; then
    echo "pages.sh: there is no $browser; installing chromium"
    sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    if command -v apt-get >/dev/null; then
        $sudo apt-get install -y -q chromium
    elif command -v dnf >/dev/null; then
        $sudo dnf install -y -q chromium
    else
        echo "pages.sh: install chromium, or name a browser like it in LOPPER_BROWSER" >&2
        exit 1
    fi
fi
cargo test --test pages -- --ignored --nocapture
