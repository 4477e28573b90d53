#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Writes grad_stats.txt: what PyTorch says of each layer of small networks of the four families, in double. See README.md for the format.

Weights and batches are those of make_curves.py. Some units of the first BatchNorm get a bias of -20, so that their ReLU is dead. After WARM_UP steps of
Adam: the L2 norms of every parameter and of its gradient on batch WARM_UP, in training mode, and for every ReLU (of a residual block: the one behind its sum)
the share of units that are 0 for all of the batch. Then one more step, on batch WARM_UP + 1: the norm of each parameter's change.
"""
import os

import torch
import torch.nn.functional as F
from torch import nn

import make_curves
from make_curves import GRAY, Residual, batch, build, tensor

WARM_UP = 4


def statistics(name, family, shape, sizes, count, dead):
    make_curves.lines.append("case " + name)
    for key, value in {"family": family, "batch": count, "warm_up": WARM_UP, "dead": dead}.items():
        make_curves.lines.append(f"param {key} {value}")
    tensor("shape", torch.tensor(shape))
    tensor("sizes", torch.tensor(sizes))
    model = build(family, shape, sizes)
    norm = next(m for m in model.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d)))
    norm.bias.data[:dead] = -20
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=1e-4)

    def gradients(b):
        images, labels = batch(b, count, shape)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        return loss

    for step in range(WARM_UP):
        gradients(step)
        optimizer.step()
    outputs = {}
    hooks = [m.register_forward_hook(lambda _, __, y, path=path: outputs.update({path: y}))
             for path, m in model.named_modules() if isinstance(m, (nn.ReLU, Residual))]
    tensor("loss", gradients(WARM_UP))
    for hook in hooks:
        hook.remove()
    norms = []
    for path, p in model.named_parameters():
        tensor("value." + path, p.norm())
        tensor("gradient." + path, p.grad.norm())
        norms.append(p.grad.norm())
    tensor("mean", torch.stack(norms).mean())
    for path, y in outputs.items():
        units = y.transpose(0, 1).flatten(1)
        share = (units == 0).all(1).double().mean()
        tensor("dead." + path, share)
        print(f"{name} {path}: dead {share.item():.3f}")
    before = [p.detach().clone() for p in model.parameters()]
    gradients(WARM_UP + 1)
    optimizer.step()
    for (path, p), old in zip(model.named_parameters(), before):
        tensor("update." + path, (p - old).norm())


statistics("mlp", "mlp", GRAY, [32, 16, 16, 10], 16, 8)
statistics("residual_mlp", "residual_mlp", GRAY, [32, 16, 16, 10], 16, 5)
statistics("cnn", "cnn", (3, 8, 8), [8, 8, 16, 16], 8, 2)
statistics("residual_cnn", "residual_cnn", (3, 8, 8), [8, 8, 16], 8, 3)
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "grad_stats.txt"), "w") as f:
    f.write("\n".join(make_curves.lines + ["end"]) + "\n")
