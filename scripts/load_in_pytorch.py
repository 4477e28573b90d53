#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Loads a checkpoint of `train` into PyTorch: the network is rebuilt from the file's own configuration, the weights go in by name (strict).

usage: load_in_pytorch.py CHECKPOINT [--logits FILE]

--logits FILE: what `evaluate --checkpoint CHECKPOINT --logits FILE` wrote. PyTorch then computes the same test images: prints its accuracy
and the largest difference from our logits; exit status 1 when that is above 1e-4 (relative, for logits above 1).
A file of `visualize_network --gradients FILE` in place of the checkpoint: PyTorch computes the gradients of the same batch, in double, and prints each
parameter's L2 norm beside ours; exit status 1 when a gradient is further off than rounding explains: by more than 1e-2 of its norm (a value at a ReLU's
edge falls to either side) and more than ten times as far as PyTorch's own float, whose error in deep networks is large.
Needs Python >= 3.11, torch and numpy (Debian: apt install python3-torch).
"""
import argparse
import json
import math
import struct
import sys
import tomllib

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


def read_safetensors(path):
    """Metadata and {name: tensor}. The file: u64 header size, JSON header, data."""
    with open(path, "rb") as f:
        data = f.read()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    metadata = header.pop("__metadata__", {})
    dtypes = {"F32": np.float32, "I64": np.int64, "I32": np.int32}
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        values = np.frombuffer(data[8 + size + begin:8 + size + end], dtypes[entry["dtype"]])
        tensors[name] = torch.from_numpy(values.copy()).reshape(entry["shape"])
    return metadata, tensors


def block(layer, norm, outputs, active=True):
    return nn.Sequential(layer, norm(outputs), *([nn.ReLU()] if active else []))


def dense(i, o, active=True):
    return block(nn.Linear(i, o), nn.BatchNorm1d, o, active)


def conv(i, o, kernel, active=True):
    return block(nn.Conv2d(i, o, kernel, padding=kernel // 2), nn.BatchNorm2d, o, active)


class Residual(nn.Module):
    def __init__(self, block, shortcut):
        super().__init__()
        self.block, self.shortcut = block, shortcut

    def forward(self, x):
        return F.relu(self.block(x) + self.shortcut(x))


def shortcut(layer, i, o, *window):
    return nn.Identity() if i == o else layer(i, o, *window)


def network(model):
    """The network of a [model] table."""
    residual, (channels, height, width) = model["residual"], model["input_shape"]
    if model["name"] == "mlp":
        sizes, inputs = model["layer_sizes"], channels * height * width
        if not residual:
            widths = [inputs] + sizes
            return nn.Sequential(nn.Flatten(), *(dense(i, o) for i, o in zip(widths, sizes[:-1])), nn.Linear(widths[-2], sizes[-1]))
        blocks = [Residual(nn.Sequential(dense(i, o), dense(o, o, False)), shortcut(nn.Linear, i, o)) for i, o in zip(sizes, sizes[1:])]
        return nn.Sequential(nn.Flatten(), dense(inputs, sizes[0]), *blocks, nn.Linear(sizes[-1], sizes[-1]))
    filters, kernel = model["filters"], model["kernel_size"]
    if residual:
        body = [conv(channels, filters[0], kernel)]
        pairs = zip(filters, filters[1:])
        blocks = [Residual(nn.Sequential(conv(i, o, kernel), conv(o, o, kernel, False)), shortcut(nn.Conv2d, i, o, 1)) for i, o in pairs]
    else:
        body, blocks = [], [conv(i, o, kernel) for i, o in zip([channels] + filters, filters)]
    for number, layer in enumerate(blocks):
        body.append(layer)
        if number % 2 == 1:
            body.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
    head = [nn.Linear(filters[-1] * height * width, 256), nn.ReLU(), nn.Dropout(model["dropout"]), nn.Linear(256, model["num_classes"])]
    return nn.Sequential(*body, nn.Flatten(), *head)


def compare_gradients(build, weights, tensors, training):
    """PyTorch's gradients beside ours, for every parameter; 0 when they agree."""
    if any(isinstance(m, nn.Dropout) and m.p > 0 for m in build().modules()):
        sys.exit("this network has dropout, whose random numbers differ; write the file with --set model.dropout=0")
    images, labels = tensors["batch.images"], tensors["batch.labels"].long()

    def gradients(dtype):
        model = build().to(dtype).train()
        model.load_state_dict(weights, strict=True)
        loss = F.cross_entropy(model(images.to(dtype)), labels, label_smoothing=training.get("label_smoothing", 0.0))
        loss.backward()
        return {name: p.grad.double() for name, p in model.named_parameters()}, loss.item()

    exact, loss = gradients(torch.float64)
    rounded, _ = gradients(torch.float32)
    ours = {name: tensors["gradient." + name].double() for name in exact}
    mean = torch.stack([g.norm() for g in exact.values()]).mean()
    print(f"{'parameter':<32} {'PyTorch':>12} {'ours':>12}")
    errors, errors_float = {}, {}
    for name, g in exact.items():
        scale = torch.maximum(g.norm(), 1e-3 * mean)  # a bias in front of a normalisation has gradient 0
        errors[name], errors_float[name] = (((other[name] - g).norm() / scale).item() for other in (ours, rounded))
        zero = "  zero but for rounding" if g.norm() < 1e-9 * mean else ""
        print(f"{name:<32} {g.norm().item():12.5e} {ours[name].norm().item():12.5e}{zero}")
    worst, worst_float = max(errors.values()), max(errors_float.values())
    failed = [name for name, error in errors.items() if not error <= max(1e-2, 10 * worst_float)]
    print(f"{len(labels)} images, loss {loss:.6f}; mean over parameters of the norm: PyTorch {mean.item():.6e}, "
          f"ours {torch.stack([g.norm() for g in ours.values()]).mean().item():.6e}")
    print(f"largest difference of a gradient from PyTorch's in double: {worst:.1e} of its norm (PyTorch's own in float: {worst_float:.1e})")
    if worst_float > 0.1:
        print("this network amplifies rounding so much that floats say little about its gradients")
    if failed:
        print("too far off: " + ", ".join(failed))
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--logits", metavar="FILE")
    options = parser.parse_args()
    metadata, tensors = read_safetensors(options.checkpoint)
    experiment = tomllib.loads(metadata["config"])
    config = experiment["model"]
    model = network(config)
    # A checkpoint that can be resumed holds the optimizer and the best weights as well.
    weights = {name: t for name, t in tensors.items() if not name.startswith(("optimizer.", "best.", "batch.", "gradient."))}
    model.load_state_dict(weights, strict=True)
    model.eval()
    print(f"{len(weights)} arrays of {options.checkpoint} fit PyTorch's {type(model).__name__}, {sum(p.numel() for p in model.parameters())} parameters")
    if "batch.images" in tensors:
        return compare_gradients(lambda: network(config), weights, tensors, experiment.get("training", {}))
    if not options.logits:
        with torch.no_grad():
            print("logits of a black image:", model(torch.zeros(1, *config["input_shape"]))[0].tolist())
        return 0
    _, test = read_safetensors(options.logits)
    with torch.no_grad():
        logits = torch.cat([model(images) for images in test["images"].split(500)])
    worst = ((logits - test["logits"]).abs() / test["logits"].abs().clamp(min=1)).max().item()
    accuracy = 100 * (logits.argmax(1) == test["labels"]).double().mean().item()
    print(f"test accuracy in PyTorch: {accuracy:.2f} %; largest difference of {logits.numel()} logits: {worst:.2e}")
    return 0 if math.isfinite(worst) and worst <= 1e-4 else 1


if __name__ == "__main__":
    sys.exit(main())
