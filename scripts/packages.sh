# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Sourced by the other scripts: installs Debian and Ubuntu packages, asking apt for nothing when all are there.

# Packages of the argument list that are not installed.
missing_packages() {
    local package
    for package in "$@"; do
        [ "$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null)" = "install ok installed" ] || printf '%s ' "$package"
    done
}

# install_packages REQUIRED... [-- OPTIONAL...]: optional ones are installed only where apt knows them, and may fail.
install_packages() {
    local required=() optional=() known=() missing package wanted=required as_root=()
    for package in "$@"; do
        if [ "$package" = "--" ]; then wanted=optional; continue; fi
        if [ "$wanted" = required ]; then required+=("$package"); else optional+=("$package"); fi
    done
    if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
        echo "error: this system has no apt; install the equivalents of: ${required[*]}" >&2
        echo "       then run the script again with --no-install" >&2
        exit 1
    fi
    missing=$(missing_packages "${required[@]}" "${optional[@]}")
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "error: installing needs root or sudo; missing: $missing(--no-install skips this)" >&2
            exit 1
        fi
        as_root=(sudo)
    fi
    as_root+=(env DEBIAN_FRONTEND=noninteractive)
    # A stale package list is the usual reason for failures; a list that cannot be renewed may still do.
    "${as_root[@]}" apt-get update -q || echo "note: apt-get update failed; trying with the package lists that are there" >&2
    missing=$(missing_packages "${required[@]}")
    if [ -n "$missing" ]; then
        echo "installing with apt: $missing"
        # shellcheck disable=SC2086
        if ! "${as_root[@]}" apt-get install -q -y --no-install-recommends $missing; then
            echo "error: apt could not install: $missing" >&2
            echo "       install them yourself and run the script again with --no-install" >&2
            exit 1
        fi
    fi
    for package in $(missing_packages "${optional[@]}"); do
        apt-cache show "$package" >/dev/null 2>&1 && known+=("$package")
    done
    if [ "${#known[@]}" -gt 0 ]; then
        echo "installing with apt (optional): ${known[*]}"
        "${as_root[@]}" apt-get install -q -y --no-install-recommends "${known[@]}" || echo "note: going on without ${known[*]}" >&2
    fi
}
