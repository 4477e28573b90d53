#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The depth study of compare_mlp_depth in PyTorch: the same networks, recipe and data, its own random numbers. To tell chance from error.

usage: depth_study_pytorch.py --data-dir DIR [--depths 5 10 20 30 50 100] [--kinds plain residual] [--seeds 42] [--epochs 20] [--threads 2]

Prints a JSON line for each experiment: test accuracy of the weights with the best validation accuracy, and after each epoch the mean over
parameters of the L2 norm of the gradient of one fixed training batch. DIR holds mnist/train-images-idx3-ubyte.gz and the other three files.
Needs torch and numpy (Debian: apt install python3-torch).
"""
import argparse
import copy
import gzip
import importlib.util
import json
import os
import time

import numpy as np
import torch
import torch.nn.functional as F

here = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("load_in_pytorch", os.path.join(here, "..", "scripts", "load_in_pytorch.py"))
load_in_pytorch = importlib.util.module_from_spec(spec)
spec.loader.exec_module(load_in_pytorch)


def idx(folder, name):
    with gzip.open(os.path.join(folder, "mnist", name + ".gz")) as f:
        data = f.read()
    sizes = np.frombuffer(data, ">i4", data[3], 4)
    return torch.from_numpy(np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(sizes.tolist()).copy())


def images(raw):
    return ((raw.float() / 255 - 0.1307) / 0.3081).unsqueeze(1)


def accuracy_and_loss(model, x, y):
    model.eval()
    with torch.no_grad():
        logits = torch.cat([model(part) for part in x.split(1000)])
    return 100 * (logits.argmax(1) == y).double().mean().item(), F.cross_entropy(logits, y).item()


def mean_gradient_norm(model, x, y):
    before = copy.deepcopy(model.state_dict())
    model.train()
    model.zero_grad()
    F.cross_entropy(model(x), y).backward()
    mean = torch.stack([p.grad.norm() for p in model.parameters()]).mean().item()
    model.load_state_dict(before)  # running statistics
    return mean


def experiment(depth, residual, seed, epochs, data):
    torch.manual_seed(seed)
    began = time.time()
    train_x, train_y, test_x, test_y = data
    order = torch.randperm(len(train_x))
    val, train = order[:5000], order[5000:]
    sizes = [128, 64][:depth] + [32] * max(0, depth - 2) + [10]
    model = load_in_pytorch.network({"name": "mlp", "residual": residual, "layer_sizes": sizes, "input_shape": [1, 28, 28]})
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-4)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=3, min_lr=1e-6)
    best, best_weights, waited, norms = -1.0, None, 0, []
    for epoch in range(epochs):
        model.train()
        for part in train[torch.randperm(len(train))].split(128):
            optimizer.zero_grad()
            F.cross_entropy(model(train_x[part]), train_y[part]).backward()
            optimizer.step()
        accuracy, loss = accuracy_and_loss(model, train_x[val], train_y[val])
        norms.append(mean_gradient_norm(model, train_x[train[:128]], train_y[train[:128]]))
        scheduler.step(loss)
        waited += 1
        if accuracy > best:
            best, best_weights, waited = accuracy, copy.deepcopy(model.state_dict()), 0
        if waited >= 5:
            break
    model.load_state_dict(best_weights)
    return {"depth": depth, "residual": residual, "seed": seed, "epochs": len(norms), "val_accuracy": round(best, 2),
            "test_accuracy": round(accuracy_and_loss(model, test_x, test_y)[0], 2), "seconds": round(time.time() - began),
            "gradient_norms": [float(f"{n:.4g}") for n in norms]}


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data-dir", required=True)
parser.add_argument("--depths", type=int, nargs="+", default=[5, 10, 20, 30, 50, 100])
parser.add_argument("--kinds", nargs="+", choices=["plain", "residual"], default=["plain", "residual"])
parser.add_argument("--seeds", type=int, nargs="+", default=[42])
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--threads", type=int, default=2)
options = parser.parse_args()
torch.set_num_threads(options.threads)
data = (images(idx(options.data_dir, "train-images-idx3-ubyte")), idx(options.data_dir, "train-labels-idx1-ubyte").long(),
        images(idx(options.data_dir, "t10k-images-idx3-ubyte")), idx(options.data_dir, "t10k-labels-idx1-ubyte").long())
for seed in options.seeds:
    for depth in options.depths:
        for kind in options.kinds:
            print(json.dumps(experiment(depth, kind == "residual", seed, options.epochs, data)), flush=True)
