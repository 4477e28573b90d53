#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs this library's train_step and PyTorch in many settings in turns, and prints for each network the ratio to the fastest of them.

usage: compare.py TRAIN_STEP [--python PYTHON ...] [--models mlp deep ...] [--modes train infer latency] [--rounds 5] [--seconds 2] [--threads 2]
                  [--batches N ...] [--widths F ...] [--eager] [--json FILE]
TRAIN_STEP is the program of that name, or layer_step with the models of layer_networks.hpp (--models with_gelu ...).
PYTHON are interpreters that have torch (default: python3); each is tried eager and, from 2.0 on, compiled, with fused Adam where it has that, in both memory
formats for convolutional networks, and ONNX Runtime for inference where it can be imported. `latency` is inference of one sample. All programs stay open and
measure in turns; a setting that took more than 1.4 times as long as the fastest in two rounds is left out of the others. The figure is the median of the
rounds' medians; MB is the most memory beyond what the libraries need, of PyTorch that of the leanest setting. PyTorch runs as it is fastest here:
openblas-openmp (Debian's), jemalloc with huge pages, bound threads.
"""
import argparse
import glob
import itertools
import json
import os
import statistics
import subprocess
import sys

MODELS = ["mlp", "mlp_residual", "deep", "deep_residual", "cnn_mnist", "cnn_cifar10", "cnn_residual_mnist", "cnn_residual_cifar10"]
HERE = os.path.dirname(os.path.abspath(__file__))
MISSING = []  # packages without which PyTorch is not as fast as it could be here


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        return next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), "unknown processor")


def library(pattern, package):
    """What makes PyTorch faster, or a warning: its figures would flatter ours."""
    found = glob.glob(pattern)
    if not found and package not in MISSING:
        MISSING.append(package)
        print(f"warning: no {pattern}: PyTorch will be slower, or take more memory, than it must; install {package}", file=sys.stderr)
    return found[0] if found else None


def peer_environment(python, threads):
    env = dict(os.environ)
    if folder := library("/usr/lib/*/openblas-openmp", "libopenblas0-openmp"):
        env["LD_LIBRARY_PATH"] = folder
    if jemalloc := library("/usr/lib/*/libjemalloc.so.2", "libjemalloc2"):
        env["LD_PRELOAD"] = jemalloc
        env["MALLOC_CONF"] = "thp:always,dirty_decay_ms:-1,muzzy_decay_ms:-1"
    env["GOMP_CPU_AFFINITY"] = f"0-{threads - 1}"
    env["PATH"] = os.path.dirname(os.path.abspath(python)) + ":" + env["PATH"]  # what torch.compile calls
    return env


class Program:
    """One that measures when it is told to."""

    def __init__(self, name, command, env):
        self.name, self.times, self.last, self.is_onnx = name, [], None, "--onnx" in command
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.answer()  # when it is warm

    def answer(self):
        line = self.process.stdout.readline()
        while line and not line.startswith("{"):  # a peer's libraries tell of their doings there, too
            line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name}: {(self.process.stderr.read().strip().splitlines() or ['ended'])[-1][:200]}")
        self.last = json.loads(line)
        return self.last["ms"]

    def measure(self, seconds):
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        self.times.append(self.answer())

    @property
    def ms(self):
        return statistics.median(self.times)

    def stop(self):
        self.process.stdin.close()
        self.process.stdout.read()
        self.process.wait()


class Peer:
    """An interpreter, and what it has."""

    def __init__(self, python, threads):
        self.python, self.env = python, peer_environment(python, threads)
        probe = "import torch, importlib.util as u; print(torch.__version__, u.find_spec('onnxruntime') is not None and u.find_spec('onnx') is not None)"
        out = subprocess.run([python, "-c", probe], env=self.env, capture_output=True, text=True, check=False)
        if out.returncode != 0:
            sys.exit(f"error: {python} cannot import torch: {(out.stderr.strip().splitlines() or [''])[-1]}")
        version, onnx = out.stdout.split()
        self.version, self.onnx, self.modern = version.split("+")[0], onnx == "True", int(version.split(".")[0]) >= 2

    def settings(self, model, mode, eager):
        formats = [[], ["--channels-last"]] if model.startswith(("cnn", "with_")) else [[]]
        adam = ["--fused"] if self.modern and mode == "train" else []
        for compiled, memory in itertools.product([[], ["--compile"]] if self.modern and not eager else [[]], formats):
            yield compiled + adam + memory
        if self.onnx and mode != "train":
            yield ["--onnx"]


def compare(a, peers, model, mode, batch, width):
    tail = [model, "train" if mode == "train" else "infer", "--threads", str(a.threads), "--batch", str(1 if mode == "latency" else batch), "--width", str(width)]
    ours = Program("dla", [a.train_step] + tail + ["--serve", "1"], dict(os.environ))
    theirs = []
    for peer in peers:
        for flags in peer.settings(model, mode, a.eager):
            name = " ".join(["ONNX Runtime" if "--onnx" in flags else "PyTorch " + peer.version] + [f[2:] for f in flags if f != "--onnx"])
            try:
                theirs.append(Program(name, [peer.python, os.path.join(HERE, "peer_pytorch.py")] + tail + flags + ["--serve"], peer.env))
            except RuntimeError as e:
                print(f"left out: {e}", file=sys.stderr)
    if not theirs:
        sys.exit("error: no PyTorch ran")
    torch, onnx = [p for p in theirs if not p.is_onnx], [p for p in theirs if p.is_onnx]
    racing = torch
    for number in range(a.rounds):
        ours.measure(a.seconds)
        for p in racing + onnx:
            p.measure(a.seconds)
        if number == 1:
            racing = [p for p in racing if p.ms <= 1.4 * min(q.ms for q in racing)]
    best = min(racing, key=lambda p: p.ms)
    row = {"model": model, "mode": mode, "batch": ours.last["batch"], "width": width, "threads": a.threads, "processor": processor(), "dla": ours.last["peer"],
           "dla_ms": ours.ms, "dla_mb": ours.last["peak_mb"], "pytorch": best.name, "pytorch_ms": best.ms, "ratio": best.ms / ours.ms,
           "pytorch_least_mb": min(p.last["peak_mb"] for p in torch), "onnx_ms": min((p.ms for p in onnx), default=None),
           "all": {p.name: {"ms": p.ms, "mb": p.last["peak_mb"], "rounds": len(p.times)} for p in theirs}}
    for p in [ours] + theirs:
        p.stop()
    return row


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("train_step")
    p.add_argument("--python", nargs="+", default=["python3"])
    p.add_argument("--models", nargs="+", default=MODELS)
    p.add_argument("--modes", nargs="+", default=["train", "infer", "latency"], choices=["train", "infer", "latency"])
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=2)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--batches", type=int, nargs="+", default=[0], help="samples in a batch (0: 256 images, 128 rows)")
    p.add_argument("--widths", type=float, nargs="+", default=[1], help="factors on the numbers of features and filters")
    p.add_argument("--eager", action="store_true", help="leaves compiled settings out, which take a minute each to begin")
    p.add_argument("--json", help="writes all figures there")
    a = p.parse_args()
    peers = [Peer(python, a.threads) for python in a.python]
    rows = []
    print(f"{processor()}, {a.threads} threads; medians of {a.rounds} interleaved rounds of {a.seconds:g} s")
    print("| network | mode | batch | width | dla ms | PyTorch ms | ratio | ONNX Runtime ms | ratio | dla MB | PyTorch MB | fastest PyTorch |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for model, mode, batch, width in itertools.product(a.models, a.modes, a.batches, a.widths):
        r = compare(a, peers, model, mode, batch, width)
        rows.append(r)
        onnx = f"{r['onnx_ms']:.3f} | {r['onnx_ms'] / r['dla_ms']:.2f}" if r["onnx_ms"] else " | "
        print(f"| {model} | {mode} | {r['batch']} | {width:g} | {r['dla_ms']:.3f} | {r['pytorch_ms']:.3f} | {r['ratio']:.2f} | {onnx} | {r['dla_mb']:.0f} | "
              f"{r['pytorch_least_mb']:.0f} | {r['pytorch']} |", flush=True)
        if a.json:
            with open(a.json, "w", encoding="utf-8") as f:
                json.dump(rows, f, indent=1)
    print(f"({rows[0]['dla']})")


if __name__ == "__main__":
    main()
