#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# From nothing to a trained network: installs what the training program needs, builds it, trains an MLP on MNIST.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: scripts/quickstart.sh [--no-install] [--help] [-- OPTIONS OF train]
Installs compiler and libraries with apt (--no-install: does not), builds the programs in build/,
trains configs/m_mlp.toml on MNIST and says what to try next.
MNIST is taken from $DLA_DATA_DIR, else from data/, else downloaded; without a network the built-in
digits set is used instead. What follows -- is passed on, e.g. -- --set training.num_epochs=3
TEXT
}

install=yes
while [ $# -gt 0 ]; do
    case $1 in
        --no-install) install=no ;;
        -h | --help) usage; exit 0 ;;
        --) shift; break ;;
        *) echo "error: unknown option $1" >&2; usage >&2; exit 2 ;;
    esac
    shift
done

start_dir=$PWD
if [ -n "${DLA_DATA_DIR:-}" ]; then
    DLA_DATA_DIR=$(realpath -m "$DLA_DATA_DIR")
    export DLA_DATA_DIR
fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/packages.sh
. scripts/packages.sh

if [ "$install" = yes ]; then
    install_packages g++ meson ninja-build pkg-config libcli11-dev libtomlplusplus-dev nlohmann-json3-dev \
        zlib1g-dev libcurl4-openssl-dev libssl-dev ca-certificates gnuplot-nox fonts-dejavu-core
fi

# The build folder may have been set up for something else before; these options are all that matters here.
options=(--buildtype=release -Dtests=disabled -Dbenchmarks=disabled -Dexamples=enabled)
if [ -f build/build.ninja ]; then
    meson configure build "${options[@]}"
else
    meson setup build "${options[@]}"
fi
echo "building the programs (a few minutes on the first run)"
ninja -C build examples/train examples/evaluate

has_mnist() {
    local folder
    for folder in "$1/mnist" "$1/MNIST/raw" "$1"; do
        compgen -G "$folder/train-images*idx3-ubyte*" >/dev/null && return 0
    done
    return 1
}

data_dir=
for candidate in ${DLA_DATA_DIR:+"$DLA_DATA_DIR"} data; do
    if has_mnist "$candidate"; then data_dir=$candidate; break; fi
done

echo
status=0
name=mlp_mnist
config=configs/m_mlp.toml
if [ -n "$data_dir" ]; then
    build/examples/train --config "$config" --data-dir "$data_dir" "$@" || status=$?
else
    data_dir=${DLA_DATA_DIR:-data}
    build/examples/train --config "$config" --data-dir "$data_dir" "$@" || status=$?
    # Exit code 3 is "data": with no file of MNIST there, the download failed.
    if [ "$status" -eq 3 ] && ! has_mnist "$data_dir"; then
        echo "MNIST is neither here nor can it be downloaded: training on the built-in digits set instead"
        status=0
        name=mlp_digits
        config=configs/digits_mlp.toml
        build/examples/train --config "$config" "$@" || status=$?
    fi
fi
if [ "$status" -ne 0 ]; then
    [ "$status" -ne 2 ] || [ ! -f "checkpoints/${name}_best.safetensors" ] || echo "to train anew in the place of the earlier run: scripts/quickstart.sh -- --overwrite" >&2
    exit "$status"
fi

checkpoint=checkpoints/${name}_final.safetensors
[ "$name" = mlp_mnist ] && data_option=" --data-dir $(printf %q "$data_dir")" || data_option=
residual=${config%.toml}_residual.toml
[ -f "$residual" ] || residual="$config --set model.residual=true"
echo
echo "Three things to try next$([ "$start_dir" = "$PWD" ] || echo " (in $PWD)"):"
[ -f "$checkpoint" ] && echo "  build/examples/evaluate --checkpoint $checkpoint$data_option    # confusion matrix, precision and recall of each class"
echo "  build/examples/train --config $residual$data_option    # the same network with shortcuts"
echo "  scripts/test.sh    # builds and runs every test"
