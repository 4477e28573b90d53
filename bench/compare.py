#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs this library's train_step and a PyTorch script with the same arguments in turns, and prints the ratio of their medians.

usage: compare.py TRAIN_STEP PEER_SCRIPT [--models mlp deep ...] [--modes train] [--rounds 5] [--seconds 3] [--threads 2]
PEER_SCRIPT is a Python script that takes MODEL MODE --threads N --seconds S and prints a JSON line with "ms". It runs under Debian's python3 with
the settings PyTorch is fastest with: openblas-openmp, jemalloc with huge pages, bound threads. For convolutional networks both memory formats are
tried and the faster one counts.
"""
import argparse
import glob
import json
import os
import statistics
import subprocess

MODELS = ["mlp", "mlp_residual", "deep", "deep_residual", "cnn_cifar10", "cnn_residual_cifar10", "cnn_mnist", "cnn_residual_mnist"]


def peer_environment(threads):
    env = dict(os.environ)
    folders = glob.glob("/usr/lib/*/openblas-openmp")
    jemalloc = glob.glob("/usr/lib/*/libjemalloc.so.2")
    if folders:
        env["LD_LIBRARY_PATH"] = folders[0]
    if jemalloc:
        env["LD_PRELOAD"] = jemalloc[0]
        env["MALLOC_CONF"] = "thp:always,dirty_decay_ms:-1,muzzy_decay_ms:-1"
    env["GOMP_CPU_AFFINITY"] = f"0-{threads - 1}"
    return env


def run(command, env=None):
    out = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
    return json.loads(out.strip().splitlines()[-1])["ms"]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("train_step")
    p.add_argument("peer")
    p.add_argument("--models", nargs="+", default=MODELS)
    p.add_argument("--modes", nargs="+", default=["train"])
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", default="3")
    p.add_argument("--threads", type=int, default=2)
    a = p.parse_args()
    tail = ["--threads", str(a.threads), "--seconds", a.seconds]
    peer_env = peer_environment(a.threads)
    own_env = dict(os.environ)
    print(f"{'model':22} {'mode':6} {'dla ms':>9} {'PyTorch ms':>11} {'ratio':>7}   (medians of {a.rounds} interleaved runs; ratio = PyTorch / dla)")
    for model in a.models:
        for mode in a.modes:
            variants = [[], ["--channels-last"]] if model.startswith("cnn") else [[]]
            ours, theirs = [], [[] for _ in variants]
            for _ in range(a.rounds):
                ours.append(run([a.train_step, model, mode] + tail, own_env))
                for times, extra in zip(theirs, variants):
                    times.append(run(["/usr/bin/python3", a.peer, model, mode] + tail + extra, peer_env))
            dla, torch = statistics.median(ours), min(statistics.median(t) for t in theirs)
            print(f"{model:22} {mode:6} {dla:9.3f} {torch:11.3f} {torch / dla:7.2f}", flush=True)


if __name__ == "__main__":
    main()
