#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Writes curves.txt: how PyTorch trains small members of the four families, in double, for 200 steps. See README.md for the format.

Weights, images and labels are not stored: both sides compute them. Number i of stream s is the top 24 bits of splitmix64's finalizer of
s * 2^32 + i, as u = bits / 2^24 in [0, 1). Parameter k of the network (PyTorch's order, row-major) uses stream k + 1: weights of Linear and
Conv2d (2u - 1) / sqrt(fan_in), biases (2u - 1) / 8, BatchNorm weights 0.5 + u. Step t uses batch b = t mod BATCHES: labels are
floor(10u) of stream 2000 + b; image n is the mean of (2u - 1) of stream 1000 + label and of (2u - 1) of stream 3000 + b, values n * size ....
"""
import math
import os

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
STEPS, BATCHES = 200, 25


def uniform(stream, count, first=0):
    with np.errstate(over="ignore"):
        z = np.arange(first, first + count, dtype=np.uint64) + np.uint64(stream << 32)
        z = z + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) / 2.0**24


def batch(b, count, shape):
    size = math.prod(shape)
    labels = np.floor(10 * uniform(2000 + b, count)).astype(np.int64)
    noise = 2 * uniform(3000 + b, count * size) - 1
    patterns = np.concatenate([2 * uniform(1000 + int(label), size) - 1 for label in labels])
    return torch.from_numpy(0.5 * patterns + 0.5 * noise).reshape(count, *shape), torch.from_numpy(labels)


def dense(i, o, act=True):
    return nn.Sequential(nn.Linear(i, o), nn.BatchNorm1d(o), *([nn.ReLU()] if act else []))


def conv(i, o, act=True):
    return nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), *([nn.ReLU()] if act else []))


class Residual(nn.Module):
    def __init__(self, block, shortcut):
        super().__init__()
        self.block, self.shortcut = block, shortcut

    def forward(self, x):
        return F.relu(self.block(x) + self.shortcut(x))


def residual_dense(i, o):
    return Residual(nn.Sequential(dense(i, o), dense(o, o, False)), nn.Identity() if i == o else nn.Linear(i, o))


def residual_conv(i, o):
    return Residual(nn.Sequential(conv(i, o), conv(o, o, False)), nn.Identity() if i == o else nn.Conv2d(i, o, 1))


def mlp(shape, sizes, residual):
    inputs = math.prod(shape)
    if residual:
        body = [dense(inputs, sizes[0])] + [residual_dense(i, o) for i, o in zip(sizes, sizes[1:])] + [nn.Linear(sizes[-1], sizes[-1])]
    else:
        body = [dense(i, o) for i, o in zip([inputs] + sizes, sizes[:-1])] + [nn.Linear(sizes[-2], sizes[-1])]
    return nn.Sequential(nn.Flatten(), *body)


def cnn(shape, filters, residual):
    body, (channels, height, width) = [], shape
    if residual:
        body.append(conv(channels, filters[0]))
        pairs = list(zip(filters, filters[1:]))
    else:
        pairs = list(zip([channels] + filters, filters))
    for n, (i, o) in enumerate(pairs):
        body.append((residual_conv if residual else conv)(i, o))
        if n % 2 == 1:
            body.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
    return nn.Sequential(*body, nn.Flatten(), nn.Linear(filters[-1] * height * width, 256), nn.ReLU(), nn.Dropout(0.0), nn.Linear(256, 10))


def initialise(model):
    for k, p in enumerate(model.parameters()):
        u = torch.from_numpy(uniform(k + 1, p.numel())).reshape(p.shape)
        p.data = (2 * u - 1) / 8
        if p.dim() > 1:
            p.data = (2 * u - 1) / math.sqrt(p[0].numel())
    for k, (name, p) in enumerate(model.named_parameters()):
        if isinstance(model.get_submodule(name.rpartition(".")[0]), (nn.BatchNorm1d, nn.BatchNorm2d)) and name.endswith("weight"):
            p.data = 0.5 + torch.from_numpy(uniform(k + 1, p.numel()))


lines = ["dla-golden 1"]


def build(family, shape, sizes):
    """A network of one of the four families with its initial values."""
    model = (cnn if family.endswith("cnn") else mlp)(shape, sizes, family.startswith("residual_"))
    initialise(model)
    return model


def tensor(key, values):
    t = torch.as_tensor(values)
    lines.append(f"tensor {key} {t.dim()} {' '.join(map(str, t.shape))}".rstrip())
    lines.append(" ".join(repr(float(v)) for v in t.flatten()))


def curve(name, family, shape, sizes, optimizer, count=16, steps=STEPS):
    lines.append("case " + name)
    for key, value in {"family": family, "optimizer": optimizer, "batch": count, "batches": BATCHES}.items():
        lines.append(f"param {key} {value}")
    tensor("shape", torch.tensor(shape))
    tensor("sizes", torch.tensor(sizes))

    def train(dtype, steps):
        model = build(family, shape, sizes).to(dtype)
        if optimizer == "adam":
            opt = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-4)
        else:
            opt = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-4)
        losses, gradients = [], []
        for step in range(steps):
            images, labels = batch(step % BATCHES, count, shape)
            opt.zero_grad()
            loss = F.cross_entropy(model(images.to(dtype)), labels)
            loss.backward()
            if step == 0:
                gradients = [p.grad.clone() for p in model.parameters()]
            opt.step()
            losses.append(loss.item())
        return model, losses, gradients

    model, losses, gradients = train(torch.float64, steps)
    lines.append("param arrays " + ",".join(f"{k}:{'x'.join(map(str, v.shape)) or 'scalar'}" for k, v in model.state_dict().items()))
    for k, g in enumerate(gradients):  # enough to tell a wrong gradient from a right one, and short: the norm, and the sum against a fixed direction
        direction = torch.from_numpy(2 * uniform(4000 + k, g.numel()) - 1)
        tensor(f"gradient.{k}", torch.stack([g.norm(), (g.flatten() * direction).sum()]))
    tensor("losses", losses)
    model.eval()
    with torch.no_grad():
        tensor("logits", model(batch(BATCHES, count, shape)[0]))
    # A float run can be compared only where rounding does not push a value over a ReLU's or a pooling's edge: PyTorch's own must stay close.
    drift = max(abs(a / b - 1) for a, b in zip(train(torch.float32, 30)[1], losses))
    print(f"{name}: {losses[0]:.4f} -> {losses[-1]:.4f}; PyTorch in float, 30 steps: {drift:.1e}")
    assert drift < 1e-5, "choose other sizes"


GRAY = (1, 28, 28)

if __name__ == "__main__":
    curve("mlp", "mlp", GRAY, [32, 16, 16, 10], "adam")
    curve("residual_mlp", "residual_mlp", GRAY, [32, 16, 16, 10], "adam")
    curve("cnn", "cnn", (3, 8, 8), [8, 8, 16, 16], "adam", 8)
    curve("residual_cnn", "residual_cnn", (3, 8, 8), [8, 8, 16], "adam", 8)
    curve("mlp_sgd", "mlp", GRAY, [32, 16, 16, 10], "sgd")
    curve("residual_cnn_sgd", "residual_cnn", (3, 8, 8), [8, 8, 16], "sgd", 8)
    curve("cnn_odd", "cnn", (3, 11, 9), [8, 7, 16], "adam", 16, 50)
    curve("residual_cnn_odd", "residual_cnn", (3, 7, 9), [6, 6, 10, 10], "adam", 8, 50)
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "curves.txt"), "w") as f:
        f.write("\n".join(lines + ["end"]) + "\n")
