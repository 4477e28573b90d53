#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds everything and runs every test; the last line counts passed, failed and skipped tests.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: scripts/test.sh [--no-install] [--nightly] [--build-dir DIR] [--help]
Installs compiler, libraries and test tools with apt (--no-install: does not), builds everything in
build-test/ (--build-dir) and runs every test; --nightly adds the long ones, and what takes
long to build: other compilers, other flags in one program, each header alone, random branching
networks, fused layers at each instruction set, benchmarks.
Tests that need the real data look for it in $DLA_DATA_DIR and skip without it.
TEXT
}

install=yes
nightly=no
build="build-test"
while [ $# -gt 0 ]; do
    case $1 in
        --no-install) install=no ;;
        --nightly) nightly=yes ;;
        --build-dir) shift; build=${1:?--build-dir needs a folder} ;;
        -h | --help) usage; exit 0 ;;
        *) echo "error: unknown option $1" >&2; usage >&2; exit 2 ;;
    esac
    shift
done

if [ -n "${DLA_DATA_DIR:-}" ]; then
    DLA_DATA_DIR=$(realpath -m "$DLA_DATA_DIR")
    export DLA_DATA_DIR
fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/packages.sh
. scripts/packages.sh

if [ "$install" = yes ]; then
    # Tests that use what is optional skip where it is not.
    optional=(graphviz libeigen3-dev libxtensor-dev)
    [ "$nightly" = no ] || optional+=(chromium clang-19 libbenchmark-dev)
    install_packages g++ meson ninja-build pkg-config python3 git libcli11-dev libtomlplusplus-dev nlohmann-json3-dev doctest-dev \
        zlib1g-dev libcurl4-openssl-dev libssl-dev ca-certificates libpng-dev libjpeg-dev gnuplot-nox fonts-dejavu-core -- "${optional[@]}"
fi

options=(--buildtype=release -Dtests=enabled -Dexamples=enabled -Dbenchmarks=auto)
if [ "$nightly" = yes ]; then options+=(-Dnightly=true); else options+=(-Dnightly=false); fi
if [ -f "$build/build.ninja" ]; then
    meson setup --reconfigure "$build" "${options[@]}"  # also where the folder is older than an option
else
    meson setup "$build" "${options[@]}"
fi
ninja -C "$build"

choice=()
[ "$nightly" = yes ] || choice=(--no-suite nightly)
report=$build/meson-logs/console.txt
status=0
meson test -C "$build" --no-rebuild --print-errorlogs "${choice[@]}" 2>&1 | tee "$report" || status=$?

# meson's totals stand at the end of what it prints: "Ok: 12", "Fail: 0", and so on.
total() { awk -v name="$1" -F: '$1 == name { sum = $2 } END { print sum + 0 }' "$report"; }
passed=$(($(total "Ok") + $(total "Expected Fail")))
failed=$(($(total "Fail") + $(total "Unexpected Pass") + $(total "Timeout")))
skipped=$(total "Skipped")
if [ $((passed + failed)) -eq 0 ]; then
    echo "error: no test ran" >&2
    exit 1
fi
echo "$passed passed, $failed failed, $skipped skipped"
if [ "$status" -eq 0 ] && [ "$failed" -gt 0 ]; then status=1; fi
exit "$status"
