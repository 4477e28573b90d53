#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What one wants to know of a machine with a CUDA device: whether the tests pass there, whether compute-sanitizer finds something, how fast it is.
set -uo pipefail

usage() {
    cat <<'TEXT'
usage: scripts/gpu_check.sh [--out FILE] [--build-dir DIR] [--seconds S] [--limit S] [--emulated] [-- MESON_OPTION...]
Builds the library's CUDA tests, the programs and the benchmark (build-gpu/, --build-dir), runs tests and programs on the
device, the tests under compute-sanitizer (memcheck, racecheck, initcheck, synccheck) where it is installed, and times
training steps and predictions of the experiments' networks, beside PyTorch's where python3 has a torch that sees the device.
Writes one JSON file (gpu_check.json, --out). --seconds: for each time (default 1). --limit: what has not begun so many
seconds after the build is left out, and noted (default 400). --emulated: tests and programs on the emulated device, and nothing that
needs a real one: to try this script. Ends with 0 if all was done and nothing failed, 3 if something was left out, 77 without a device.
TEXT
}

out=gpu_check.json build=build-gpu seconds=1 limit=400 emulated=no
while [ $# -gt 0 ]; do
    case $1 in
        --out) shift; out=${1:?--out needs a file} ;;
        --build-dir) shift; build=${1:?--build-dir needs a folder} ;;
        --seconds) shift; seconds=${1:?--seconds needs a number} ;;
        --limit) shift; limit=${1:?--limit needs a number} ;;
        --emulated) emulated=yes ;;
        --) shift; break ;;
        -h | --help) usage; exit 0 ;;
        *) echo "error: unknown option $1" >&2; usage >&2; exit 2 ;;
    esac
    shift
done
out=$(realpath -m "$out")
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

meson=(meson)
command -v meson >/dev/null || meson=(python3 -m mesonbuild.mesonmain)
if [ "$emulated" = yes ]; then
    program=tests/cuda/cuda_test options=(-Dbenchmarks=disabled)
else
    program=tests/cuda/cuda_device_test options=(-Dcuda=enabled -Dbenchmarks=enabled)
fi
began=$(date +%s)
case $limit in *[!0-9]* | "") echo "error: --limit takes a number of seconds; got $limit" >&2; exit 2 ;; esac
reconfigure=()
[ ! -f "$build/build.ninja" ] || reconfigure=(--reconfigure)
# The programs need libraries that a machine may not have.
for examples in enabled disabled; do
    "${meson[@]}" setup "${reconfigure[@]}" "$build" --buildtype=release -Dtests=enabled -Dexamples=$examples "${options[@]}" "$@" && break
    [ $examples = enabled ] || exit 1
done
targets=("$program")
[ "$emulated" = yes ] || targets+=(bench/train_step_cuda tests/cuda/cuda_nvrtc_test)
programs=()
for name in train evaluate visualize_network compare_mlp_depth; do
    if [ "$emulated" = yes ]; then programs+=("tests/cuda/${name}_emulated"); else programs+=("examples/$name"); fi
done
if ninja -C "$build" -t query "${programs[0]}" >/dev/null 2>&1; then targets+=("${programs[@]}"); else programs=(); fi
ninja -C "$build" "${targets[@]}" || exit 1
built=$(($(date +%s) - began))
began_tests=$(date +%s)

lines=$(mktemp)
trap 'rm -f "$lines"' EXIT
failed=0
note() { printf '%s\n' "$1" >>"$lines"; }  # one JSON object
escaped() { python3 -c 'import json, sys; print(json.dumps(sys.stdin.read()[-4000:]))'; }

# The tests, and the same bits again: the programs compare run with run themselves.
log=$(timeout 200 "$build/$program" 2>&1)
status=$?
printf '%s\n' "$log" | tail -3
if [ $status -eq 77 ]; then exit 77; fi
[ $status -eq 0 ] || failed=1
note "{\"what\": \"tests\", \"status\": $status, \"log\": $(printf '%s' "$log" | tail -20 | escaped)}"

omitted=0
# Is there time left for what has this name?
left() { [ $(($(date +%s) - began_tests)) -lt "$limit" ] || { note "{\"what\": \"$1\", \"status\": \"left out\"}"; echo "$1: left out, $limit seconds are over"; omitted=1; false; }; }
if [ ${#programs[@]} -eq 0 ]; then
    note '{"what": "programs", "status": "not built"}'
    omitted=1
elif left programs; then
    log=$(timeout 200 python3 tests/cuda/test_programs.py "$([ "$emulated" = yes ] && echo emulated || echo real)" "${programs[@]/#/$build/}" 2>&1)
    status=$?
    echo "programs: $(printf '%s' "$log" | tail -1)"
    [ $status -eq 0 ] || failed=1
    note "{\"what\": \"programs\", \"status\": $status, \"log\": $(printf '%s' "$log" | tail -20 | escaped)}"
fi

sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null)
if [ "$emulated" = no ]; then
    log=$(timeout 120 "$build/tests/cuda/cuda_nvrtc_test" 2>&1)
    status=$?
    echo "kernels by NVRTC: $(printf '%s' "$log" | tail -1)"
    [ $status -eq 0 ] || failed=1
    note "{\"what\": \"kernels by NVRTC\", \"status\": $status, \"log\": $(printf '%s' "$log" | tail -20 | escaped)}"
fi
if [ "$emulated" = no ] && [ -z "$sanitizer" ]; then note '{"what": "compute-sanitizer", "status": "not there"}'; omitted=1; fi
if [ "$emulated" = no ] && [ -n "$sanitizer" ]; then
    # What is quick, and each kernel at sizes around those of warps, blocks and chunks.
    sanitized="golden*,a step that*,parts of a batch*,*around the sizes*,sums of channels*,rows of any*,losses of single*,optimizers*,transpositions*,convolutions of our own*"
    for tool in memcheck racecheck initcheck synccheck; do
        left "$tool" || continue
        log=$(timeout 60 "$sanitizer" --tool "$tool" --error-exitcode 9 "$build/$program" --test-case="$sanitized" 2>&1)
        status=$?
        echo "compute-sanitizer $tool: $(printf '%s' "$log" | tail -1)"
        outcome=$status
        if [ $status -eq 124 ]; then outcome='"unfinished"'; omitted=1; elif [ $status -ne 0 ]; then failed=1; fi
        note "{\"what\": \"$tool\", \"status\": $outcome, \"log\": $(printf '%s' "$log" | tail -20 | escaped)}"
    done
fi

if [ "$emulated" = no ]; then
    sees=$(python3 -c 'import torch; print(torch.cuda.is_available())' 2>/dev/null || echo no)
    for model in mlp deep cnn_mnist cnn_cifar10 cnn_residual_cifar10; do
        for mode in train infer; do
            left "$model $mode" || continue
            time_of=$(timeout 60 "$build/bench/train_step_cuda" $model $mode --seconds "$seconds" 2>&1) || failed=1
            echo "$time_of"
            case $time_of in "{"*) note "$time_of" ;; *) note "{\"what\": \"$model $mode\", \"log\": $(printf '%s' "$time_of" | escaped)}" ;; esac
            if [ "$sees" = True ]; then
                for setting in "" "--channels-last --fused"; do
                    # shellcheck disable=SC2086
                    peer=$(timeout 60 python3 bench/peer_pytorch.py $model $mode --cuda --seconds "$seconds" $setting 2>/dev/null) && echo "$peer" && note "$peer"
                done
            fi
        done
    done
fi

{
    echo "{\"commit\": \"$(git rev-parse HEAD 2>/dev/null)\", \"date\": \"$(date -u +%Y-%m-%dT%H:%M:%SZ)\", \"emulated\": $([ "$emulated" = yes ] && echo true || echo false),"
    echo " \"device\": $(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null | escaped), \"seconds_to_build\": $built,"
    echo " \"seconds\": $(($(date +%s) - began)), \"results\": ["
    sed '$!s/$/,/' "$lines"
    echo "]}"
} >"$out"
python3 -m json.tool "$out" >/dev/null || failed=1
echo "written: $out"
if [ $failed -eq 0 ] && [ $omitted -eq 1 ]; then exit 3; fi
exit $failed
