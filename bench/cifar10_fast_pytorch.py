#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""configs/cifar10_fast.toml in PyTorch: the same network, recipe and data, its own random numbers. How long it takes, and to what accuracy.

usage: cifar10_fast_pytorch.py --data-dir DIR [--config configs/cifar10_fast.toml] [--threads 2] [--compile] [--steps N] [--seed 42]

Prints a JSON line for each epoch, then the test accuracy and the seconds of training (without validation and test). --steps N stops after so many steps and
prints the median seconds of one. DIR holds cifar-10-batches-bin/. Needs torch 2.9 or later (torch.optim.Muon) and Python 3.11.
"""
import argparse
import copy
import json
import math
import os
import statistics
import time
import tomllib

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


def load(folder):
    def batch(name):
        raw = np.fromfile(os.path.join(folder, "cifar-10-batches-bin", name), np.uint8).reshape(-1, 3073)
        return raw[:, 1:].reshape(-1, 3, 32, 32), raw[:, 0].astype(np.int64)

    parts = [batch(f"data_batch_{i}.bin") for i in range(1, 6)]
    test = batch("test_batch.bin")
    return [torch.from_numpy(np.concatenate(p)) for p in zip(*parts)] + [torch.from_numpy(p) for p in test]


MEAN, STD = torch.tensor([0.4914, 0.4822, 0.4465]).view(3, 1, 1), torch.tensor([0.2023, 0.1994, 0.2010]).view(3, 1, 1)
BLACK = -MEAN / STD


def normalised(images):
    return ((images.float() / 255 - MEAN) / STD).to(memory_format=torch.channels_last)


def group(inputs, outputs):
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.MaxPool2d(2), nn.BatchNorm2d(outputs), nn.GELU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.GELU()]


def network(filters, images):
    layers, inputs, side = [nn.Conv2d(3, 24, 2), nn.GELU()], 24, 31
    for f in filters:
        layers += group(inputs, f)
        inputs, side = f, side // 2
    model = nn.Sequential(*layers, nn.MaxPool2d(side), nn.Flatten(), nn.Linear(inputs, 10))
    patches = F.unfold(images, 2).transpose(1, 2).reshape(-1, 12).double()
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    filters = (vectors / (values + 5e-4).sqrt()).T.flip(0).reshape(12, 3, 2, 2).float()
    with torch.no_grad():
        model[0].weight.copy_(torch.cat([filters, -filters]))
        model[0].bias.zero_()
    model[0].weight.requires_grad = False
    return model.to(memory_format=torch.channels_last)


class MuonOfFilters(torch.optim.Muon):
    """torch.optim.Muon takes matrices: a filter bank is one, [out, all others]."""

    def __init__(self, weights, **options):
        self.filters = weights
        super().__init__([nn.Parameter(w.detach().reshape(len(w), -1).clone()) for w in weights], **options)

    def step(self):
        matrices = self.param_groups[0]["params"]
        for matrix, w in zip(matrices, self.filters):
            matrix.grad = w.grad.reshape(len(w), -1)
        super().step()
        with torch.no_grad():
            for matrix, w in zip(matrices, self.filters):
                w.copy_(matrix.reshape(w.shape))


def one_cycle(step, steps, highest, pct_start=0.3):
    low, turn, last = highest / 25, pct_start * steps - 1, steps - 1
    between = lambda start, end, done: end + (start - end) / 2 * (math.cos(math.pi * done) + 1)
    return between(low, highest, step / turn) if step <= turn else between(highest, low / 1e4, (step - turn) / (last - turn))


def augmented(images, padding, flip):
    """What comes from beyond the border is black, as in bytes of 0."""
    n = len(images)
    images = F.pad(images - BLACK, (padding,) * 4) + BLACK
    rows, columns = (torch.randint(0, 2 * padding + 1, (n, 1)) + torch.arange(32) for _ in range(2))
    images = images[torch.arange(n)[:, None, None, None], torch.arange(3)[None, :, None, None], rows[:, None, :, None], columns[:, None, None, :]]
    if flip:
        images = torch.where(torch.rand(n, 1, 1, 1) < 0.5, images.flip(3), images)
    return images.to(memory_format=torch.channels_last)


def accuracy(model, images, labels, mirrored=False):
    model.eval()
    with torch.no_grad():
        logits = torch.cat([model(x) + (model(x.flip(3)) if mirrored else 0) for x in images.split(500)])
    model.train()
    return 100 * (logits.argmax(1) == labels).double().mean().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--config", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "../configs/cifar10_fast.toml"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--compile", action="store_true")
    o = parser.parse_args()
    torch.set_num_threads(o.threads)
    torch.manual_seed(o.seed)
    with open(o.config, "rb") as f:
        config = tomllib.load(f)
    t, a = config["training"], config["augmentation"]
    train_x, train_y, test_x, test_y = load(o.data_dir)
    order = torch.randperm(len(train_x))
    chosen, held_out = order[config["dataset"]["val_size"]:], order[: config["dataset"]["val_size"]]
    x, y = normalised(train_x[chosen]), train_y[chosen]
    model = network(config["model"]["filters"], x[:5000])
    run = torch.compile(model) if o.compile else model
    weights = [p for p in model.parameters() if p.requires_grad and p.dim() == 4]
    heads = [p for p in model.parameters() if p.dim() == 2]
    rest = [p for p in model.parameters() if p.requires_grad and p.dim() == 1]
    decay = t["weight_decay"] if t.get("decay_bias_and_norm", True) else 0.0
    optimizers = [MuonOfFilters(weights, lr=t["learning_rate"], momentum=t["momentum"], weight_decay=t["weight_decay"], adjust_lr_fn="match_rms_adamw"),
                  torch.optim.AdamW([{"params": heads}, {"params": rest, "weight_decay": decay}], lr=t["learning_rate"], weight_decay=t["weight_decay"], fused=True)]
    batches = -(-len(x) // t["batch_size"])
    steps, step, training, times, best = t["num_epochs"] * batches, 0, 0.0, [], 0.0
    for epoch in range(1, t["num_epochs"] + 1):
        for part in torch.randperm(len(x)).split(t["batch_size"]):
            began = time.perf_counter()
            model.zero_grad()
            for optimizer in optimizers:
                for part_of in optimizer.param_groups:
                    part_of["lr"] = one_cycle(step, steps, t["learning_rate"])
            F.cross_entropy(run(augmented(x[part], a["crop"], a["flip"])), y[part], label_smoothing=t["label_smoothing"]).backward()
            for optimizer in optimizers:
                optimizer.step()
            step += 1
            times.append(time.perf_counter() - began)
            training += times[-1]
            if o.steps and step >= o.steps:
                print(json.dumps({"torch": torch.__version__, "compile": o.compile, "threads": o.threads, "steps": step,
                                  "seconds_per_step": round(statistics.median(times[min(3, step - 1):]), 4)}))
                return
        found = accuracy(model, normalised(train_x[held_out]), train_y[held_out])
        if found > best:
            best, weights_of_best = found, copy.deepcopy(model.state_dict())
        print(json.dumps({"epoch": epoch, "val_accuracy": round(found, 2), "seconds": round(training, 1)}), flush=True)
    model.load_state_dict(weights_of_best)
    x = normalised(test_x)
    print(json.dumps({"torch": torch.__version__, "compile": o.compile, "threads": o.threads, "seed": o.seed, "seconds": round(training, 1),
                      "test_accuracy": round(accuracy(model, x, test_y), 2), "test_accuracy_mirrored": round(accuracy(model, x, test_y, True), 2)}))


if __name__ == "__main__":
    main()
