#!/usr/bin/env bash
# Makes sure that there is a GPU driver to run on, if only a software one, and a linker for cargo to build with.
#
#   scripts/driver.sh              does it all
#   source scripts/driver.sh       only defines the functions, for other scripts
#
# Whatever is missing is installed with the system's package manager (through sudo where that is needed), and said so.
# With LOPPER_NO_INSTALL=1 nothing is installed: it is only said what is missing.

driver_say() { printf 'driver: %s\n' "$*" >&2; }

driver_debian() { command -v apt-get >/dev/null; }

# Runs a command as root; in a script without a terminal sudo may not ask for a password.
driver_as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif ! command -v sudo >/dev/null; then
        driver_say "this needs root and there is no sudo; as root, run: $*"
        return 1
    elif [ -t 0 ]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

# driver_install WHAT DEBIAN FEDORA ARCH: installs packages, named as each distribution names them.
driver_install() {
    local what=$1 debian=$2 fedora=$3 arch=$4 packages
    local -a install
    if driver_debian; then
        packages=$debian install=(env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends)
    elif command -v dnf >/dev/null; then
        packages=$fedora install=(dnf install -y)
    elif command -v pacman >/dev/null; then
        packages=$arch install=(pacman -S --needed --noconfirm)
    else
        driver_say "no $what, and no apt-get, dnf or pacman to install it with. Install what your system has in place"
        driver_say "of these packages of Debian, then start again: $debian"
        return 1
    fi
    if [ "${LOPPER_NO_INSTALL:-0}" != 0 ]; then
        driver_say "no $what. LOPPER_NO_INSTALL is set, so install these yourself: $packages"
        return 1
    fi
    driver_say "no $what: installing $packages"
    local log
    log=$(mktemp) || return 1
    if driver_debian && ! driver_as_root apt-get update >"$log" 2>&1; then
        driver_say "apt-get update failed; trying with the package lists that there are"
    fi
    # Word splitting is wanted: the packages are a list.
    # shellcheck disable=SC2086
    if ! driver_as_root "${install[@]}" $packages >>"$log" 2>&1; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        driver_say "that failed. Install $what by hand ($packages), then start again"
        return 1
    fi
    rm -f "$log"
    driver_say "installed $packages"
}

# Whether the dynamic linker finds a library.
driver_library() {
    local ldconfig
    ldconfig=$(PATH=$PATH:/sbin:/usr/sbin command -v ldconfig) || ldconfig=
    # Read to the end: a pipe that is closed early would fail under pipefail.
    if [ -n "$ldconfig" ] && "$ldconfig" -p 2>/dev/null | grep -F "$1" >/dev/null; then
        return 0
    fi
    local folders="${LD_LIBRARY_PATH:-}:/usr/lib:/usr/lib64:/usr/local/lib:/lib:/run/opengl-driver/lib" folder
    local IFS=:
    for folder in $folders; do
        [ -n "$folder" ] && [ -e "$folder/$1" ] && return 0
    done
    return 1
}

# Whether a Vulkan driver is registered where the loader looks.
driver_vulkan_registered() {
    [ -n "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ] && return 0
    local folders="${XDG_DATA_HOME:-${HOME:-}/.local/share}:${XDG_DATA_DIRS:-/usr/local/share:/usr/share}"
    folders="$folders:/usr/local/share:/usr/share:/usr/local/etc:/etc:/run/opengl-driver/share"
    local folder file IFS=:
    for folder in $folders; do
        for file in "$folder"/vulkan/icd.d/*.json; do
            [ -e "$file" ] && return 0
        done
    done
    return 1
}

# Metal and DX12 come with the system.
driver_comes_with_the_system() {
    case $(uname -s) in Linux) return 1 ;; *) return 0 ;; esac
}

# A Vulkan driver; where there is none, a software one, which runs on the CPU.
ensure_vulkan() {
    driver_comes_with_the_system && return 0
    driver_library libvulkan.so.1 && driver_vulkan_registered && return 0
    driver_install "Vulkan driver (a software one will do, it runs on the CPU)" \
        "mesa-vulkan-drivers libvulkan1 libegl1 libgl1-mesa-dri libgles2" \
        "mesa-vulkan-drivers vulkan-loader" \
        "vulkan-swrast vulkan-icd-loader" || return 1
    driver_library libvulkan.so.1 && driver_vulkan_registered && return 0
    driver_say "there is still no Vulkan driver, although packages were installed: see what 'lopper devices' says"
    return 1
}

# OpenGL ES through EGL: a second backend, for the tests. Lopper runs without it, so on other systems than Debian's kin
# it is only said where it is missing.
ensure_gl() {
    driver_comes_with_the_system && return 0
    driver_library libEGL.so.1 && driver_library libGLESv2.so.2 && return 0
    if driver_debian; then
        driver_install "OpenGL ES driver" "libegl1 libgl1-mesa-dri libgles2" "" ""
    else
        driver_say "no OpenGL ES driver (libEGL.so.1, libGLESv2.so.2): nothing will run through GL"
    fi
}

# cargo, and the C compiler that it links with.
ensure_cargo() {
    if ! command -v cargo >/dev/null; then
        driver_say "no cargo: install Rust first, with rustup or your system's packages"
        return 1
    fi
    driver_comes_with_the_system && return 0
    command -v cc >/dev/null && return 0
    driver_install "C compiler 'cc', with which cargo links" "gcc libc6-dev" "gcc" "gcc"
}

# Mesa's EGL complains where this is not set.
ensure_runtime_folder() {
    [ -n "${XDG_RUNTIME_DIR:-}" ] && return 0
    local folder
    folder=${TMPDIR:-/tmp}/lopper-runtime-$(id -u)
    mkdir -m 700 "$folder" 2>/dev/null || true
    # Someone else's folder of that name is not to be trusted.
    if [ ! -d "$folder" ] || [ -L "$folder" ] || [ ! -O "$folder" ]; then
        folder=$(mktemp -d) || return 1
    fi
    export XDG_RUNTIME_DIR=$folder
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    set -euo pipefail
    ensure_cargo
    ensure_vulkan
    ensure_gl
    driver_say "ready"
fi
