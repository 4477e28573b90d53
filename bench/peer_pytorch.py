#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Time of one training step or one inference of the experiments' networks in PyTorch or ONNX Runtime: the counterpart of bench/train_step.

usage: peer_pytorch.py MODEL MODE [--threads 2] [--batch N] [--seconds 4] [--width F] [--channels-last] [--compile] [--fused] [--onnx] [--cuda] [--serve]
MODEL: mlp mlp_residual deep deep_residual cnn_cifar10 cnn_residual_cifar10 cnn_mnist cnn_residual_mnist, or a layer in a small network, see LAYERS.
MODE: train | infer.
Prints one JSON line: median and smallest milliseconds of a step, and the memory that the process came to need beyond its libraries.
With --serve one when it is warm, and one for each line of stdin, which says how many seconds to measure.
--fused: Adam in one kernel. --onnx: inference by ONNX Runtime. --cuda: on a CUDA device, without TF32; inputs come from the host in each step.
Needs Python >= 3.11, torch and numpy (Debian: apt install python3-torch); onnx and onnxruntime for --onnx.
"""
import argparse
import importlib.util
import json
import os
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

here = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("load_in_pytorch", os.path.join(here, "..", "scripts", "load_in_pytorch.py"))
load_in_pytorch = importlib.util.module_from_spec(spec)
spec.loader.exec_module(load_in_pytorch)


class Joined(torch.nn.Module):
    """x joined with what a branch makes of it."""

    def __init__(self, join, branch):
        super().__init__()
        self.join, self.branch = join, branch

    def forward(self, x):
        return self.join(x, self.branch(x))


def gate(c):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(c, c // 4, 1), nn.ReLU(), nn.Conv2d(c // 4, c, 1), nn.Sigmoid())


# Layers behind c channels of 32 x 32, and how many channels they leave: the networks of bench/layer_networks.hpp.
LAYERS = {
    "nothing": lambda c: (nn.Identity(), c), "gelu": lambda c: (nn.GELU(), c), "elu": lambda c: (nn.ELU(), c), "softplus": lambda c: (nn.Softplus(), c),
    "hardswish": lambda c: (nn.Hardswish(), c), "silu": lambda c: (nn.SiLU(), c), "sigmoid": lambda c: (nn.Sigmoid(), c), "tanh": lambda c: (nn.Tanh(), c),
    "prelu": lambda c: (nn.PReLU(), c), "dropout": lambda c: (nn.Dropout(), c), "batch_norm": lambda c: (nn.BatchNorm2d(c), c),
    "group_norm": lambda c: (nn.GroupNorm(8, c), c), "layer_norm": lambda c: (nn.LayerNorm([c, 32, 32]), c),
    "conv": lambda c: (nn.Conv2d(c, c, 3, padding=1), c), "conv_transpose": lambda c: (nn.ConvTranspose2d(c, c, 3, padding=1), c),
    "conv_transpose_2x2": lambda c: (nn.ConvTranspose2d(c, c // 2, 2, stride=2), c // 2), "upsample": lambda c: (nn.Upsample(scale_factor=2), c),
    "upsample_bilinear": lambda c: (nn.Upsample(scale_factor=2, mode="bilinear"), c), "max_pool": lambda c: (nn.MaxPool2d(2), c),
    "avg_pool": lambda c: (nn.AvgPool2d(2), c), "adaptive_avg_pool": lambda c: (nn.AdaptiveAvgPool2d(7), c), "zero_pad": lambda c: (nn.ZeroPad2d(1), c),
    "residual": lambda c: (Joined(torch.add, nn.Conv2d(c, c, 1)), c), "concat": lambda c: (Joined(lambda a, b: torch.cat([a, b], 1), nn.Conv2d(c, c, 1)), 2 * c),
    "squeeze_excitation": lambda c: (Joined(torch.mul, gate(c)), c),
}


def network(name, width):
    """The network and the shape of a sample."""
    if name.startswith("with_"):
        channels = int(32 * width)
        layer, left = LAYERS[name.removeprefix("with_")](channels)
        return nn.Sequential(nn.Conv2d(3, channels, 1), layer, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(left, 10)), [3, 32, 32]

    def wide(sizes):
        return [max(1, int(n * width)) for n in sizes]

    mnist = not name.endswith("cifar10")
    model = {"residual": "residual" in name, "input_shape": [1, 28, 28] if mnist else [3, 32, 32], "num_classes": 10, "kernel_size": 3, "dropout": 0.2}
    if name.startswith("cnn"):
        model |= {"name": "cnn", "filters": wide([16, 32, 64, 128] if mnist else [32, 64, 128, 256])}
    else:
        model |= {"name": "mlp", "layer_sizes": wide([128, 64] + [32] * (98 if name.startswith("deep") else 2)) + [10]}
    return load_in_pytorch.network(model), model["input_shape"]


def memory(name):
    """A line of /proc/self/status in KiB."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next((int(line.split()[1]) for line in status if line.startswith(name)), 0)


def onnx_session(model, x, threads):
    import onnxruntime
    path = f"/tmp/peer_pytorch_{os.getpid()}.onnx"
    torch.onnx.export(model.eval(), (x,), path, input_names=["x"], dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    os.unlink(path)
    values = x.numpy()
    return "onnxruntime " + onnxruntime.__version__, lambda: session.run(None, {"x": values})


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model")
    p.add_argument("mode", choices=["train", "infer"])
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--batch", type=int, default=0)
    p.add_argument("--seconds", type=float, default=4)
    p.add_argument("--width", type=float, default=1)
    for flag in ("channels-last", "compile", "fused", "onnx", "cuda", "serve"):
        p.add_argument("--" + flag, action="store_true")
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    before = memory("VmRSS:")
    model, shape = network(a.model, a.width)
    images = a.model.startswith(("cnn", "with_"))
    batch = a.batch or (64 if a.model.startswith("with_") else 256 if images else 128)
    x, y = torch.randn(batch, *shape), torch.randint(0, 10, (batch,))
    if a.channels_last and images:
        model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    device = "cuda" if a.cuda else "cpu"
    torch.backends.cudnn.allow_tf32 = False
    model = model.to(device)
    adam = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-4, **({"fused": True} if a.fused else {}))
    model.train(a.mode == "train")
    net = torch.compile(model) if a.compile else model
    peer = "pytorch " + torch.__version__ + (" " + torch.cuda.get_device_name() if a.cuda else "")

    def train():
        loss = F.cross_entropy(net(x.to(device)), y.to(device))
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
        if a.cuda:
            loss.item()

    def infer():
        with torch.inference_mode():
            net(x.to(device)).to("cpu")

    step = train if a.mode == "train" else infer
    if a.onnx:
        peer, step = onnx_session(model, x, a.threads)

    def measure(seconds):
        times, end = [], time.perf_counter() + seconds
        while time.perf_counter() < end or len(times) < 3:
            began = time.perf_counter()
            step()
            times.append(1e3 * (time.perf_counter() - began))
        ms = statistics.median(times)
        print(json.dumps({"peer": peer, "model": a.model, "mode": a.mode, "batch": batch, "threads": a.threads, "ms": round(ms, 4),
                          "min": round(min(times), 4), "images_per_s": round(1e3 * batch / ms, 1), "parameters": sum(q.numel() for q in model.parameters()),
                          "peak_mb": round((memory("VmHWM:") - before) / 1024, 1)}), flush=True)

    for _ in range(3):
        step()
    measure(0 if a.serve else a.seconds)
    for line in sys.stdin if a.serve else ():
        measure(float(line))


if __name__ == "__main__":
    main()
