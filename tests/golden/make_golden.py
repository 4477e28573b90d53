#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Writes the golden vectors of this folder: what PyTorch computes, in double, for small inputs. See README.md for the format."""
import itertools
import os
import sys

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
HERE = os.path.dirname(os.path.abspath(__file__))
NAN, INF = float("nan"), float("inf")


def number(v):
    v = float(v)
    return str(int(v)) if v == int(v) and abs(v) < 1e15 and not (v == 0 and str(v)[0] == "-") else repr(v)


def tokens(t):
    return " ".join(number(v) if v - v == 0 else repr(float(v)) for v in t.detach().double().flatten().tolist())


class File:
    def __init__(self, name):
        self.name, self.lines, self.cases = name, [], 0
        torch.manual_seed(sum(map(ord, name)))

    def case(self, name, params, tensors):
        self.cases += 1
        self.lines.append("case " + name.replace(" ", "_"))
        for k, v in params.items():
            if v is None:
                continue
            if isinstance(v, bool):
                v = int(v)
            self.lines.append(f"param {k} {v if isinstance(v, str) else repr(v)}")
        for k, t in tensors.items():
            if t is None:
                continue
            t = torch.as_tensor(t)
            self.lines.append(f"tensor {k} {t.dim()} {' '.join(map(str, t.shape))}".rstrip())
            self.lines.append(tokens(t))

    def write(self):
        path = os.path.join(HERE, self.name + ".txt")
        with open(path, "w") as f:
            f.write("dla-golden 1\n" + "\n".join(self.lines) + "\nend\n")
        print(f"{self.name}: {self.cases} cases, {os.path.getsize(path)} bytes")


def grid(*shape, span=256, unit=128.0):
    """Random multiples of 1/128 in [-2, 2]: exact in float too, and short to write."""
    return torch.randint(-span, span + 1, shape).double() / unit


def leaf(t):
    return t.clone().requires_grad_(True)


def pair(v):
    return v if isinstance(v, tuple) else (v, v)


def conv2d():
    f = File("conv2d")
    cases = [
        # batch, in, height, width, out, kernel, stride, padding, dilation, groups, bias
        (1, 1, 1, 1, 1, 1, 1, 0, 1, 1, True), (2, 1, 5, 5, 1, 3, 1, 0, 1, 1, True), (2, 3, 6, 5, 4, 3, 1, 1, 1, 1, True), (2, 3, 6, 5, 4, 3, 1, 1, 1, 1, False),
        (1, 3, 8, 8, 8, 3, 2, 1, 1, 1, True), (3, 2, 7, 7, 3, 3, 2, 1, 1, 1, True), (2, 2, 8, 7, 3, 3, 3, 1, 1, 1, True), (1, 2, 9, 8, 3, 3, (2, 1), 1, 1, 1, True),
        (1, 2, 9, 8, 3, 3, (1, 2), (0, 1), 1, 1, True), (2, 4, 5, 6, 5, 1, 1, 0, 1, 1, True), (2, 4, 5, 6, 5, 1, 1, 0, 1, 1, False), (2, 4, 5, 6, 5, 1, 2, 0, 1, 1, True),
        (2, 4, 6, 6, 5, 1, 3, 0, 1, 1, False), (1, 2, 7, 7, 3, 5, 1, 2, 1, 1, True), (1, 2, 9, 9, 3, 5, 2, 2, 1, 1, True), (1, 2, 9, 9, 2, 7, 2, 3, 1, 1, False),
        (1, 2, 6, 6, 3, 2, 1, 0, 1, 1, True), (1, 2, 6, 6, 3, 2, 2, 0, 1, 1, True), (1, 2, 7, 7, 3, 2, 2, 1, 1, 1, True), (1, 2, 6, 7, 3, (1, 3), 1, (0, 1), 1, 1, True),
        (1, 2, 6, 7, 3, (3, 1), 1, (1, 0), 1, 1, True), (1, 2, 6, 7, 3, (2, 3), (2, 1), (1, 2), 1, 1, True), (1, 2, 9, 9, 3, 3, 1, 2, 2, 1, True),
        (1, 2, 9, 9, 3, 3, 1, 0, 2, 1, False), (1, 2, 9, 9, 3, 3, 2, 2, 2, 1, True), (1, 2, 9, 8, 3, 3, 1, (2, 3), (2, 3), 1, True), (1, 2, 9, 8, 3, (3, 2), (2, 3), (1, 2), (3, 2), 1, True),
        (2, 4, 5, 5, 4, 3, 1, 1, 1, 2, True), (2, 4, 5, 5, 6, 3, 2, 1, 1, 2, False), (2, 6, 5, 5, 3, 3, 1, 1, 1, 3, True), (2, 4, 6, 6, 4, 3, 1, 1, 1, 4, True),
        (1, 4, 6, 6, 8, 3, 2, 1, 1, 4, True), (1, 4, 6, 6, 8, 1, 1, 0, 1, 2, True), (1, 4, 7, 7, 4, 3, 1, 2, 2, 4, False), (1, 2, 3, 3, 2, 3, 1, 3, 1, 1, True),
        (1, 2, 2, 2, 2, 5, 1, 2, 1, 1, True), (1, 2, 4, 4, 2, 3, 4, 0, 1, 1, True), (1, 17, 4, 4, 9, 3, 1, 1, 1, 1, True), (1, 9, 3, 5, 17, 3, 1, 1, 1, 1, True), (5, 3, 3, 3, 2, 3, 1, 1, 1, 1, True),
        (0, 3, 4, 4, 2, 3, 1, 1, 1, 1, True),
        (1, 1, 1, 4, 1, (1, 2), 1, "same", 1, 1, False), (1, 2, 5, 6, 3, 3, 1, "same", 1, 1, True), (1, 2, 5, 6, 3, 2, 1, "same", 1, 1, True), (1, 2, 5, 6, 3, 4, 1, "same", 1, 1, True),
        (2, 2, 5, 6, 3, (2, 3), 1, "same", 1, 1, True), (1, 2, 7, 6, 3, 2, 1, "same", 3, 1, True), (1, 2, 7, 6, 3, (4, 2), 1, "same", (1, 3), 1, True), (1, 4, 5, 6, 4, 2, 1, "same", 1, 2, True),
        (1, 2, 7, 7, 3, 5, 1, "same", 1, 1, True), (1, 2, 7, 7, 3, 1, 1, "same", 1, 1, True),
    ]
    for n, c, h, w, o, k, s, p, d, g, bias in cases:
        k, s, d = pair(k), pair(s), pair(d)
        p = p if p == "same" else pair(p)
        x, wt, b = leaf(grid(n, c, h, w)), leaf(grid(o, c // g, *k)), leaf(grid(o)) if bias else None
        y = F.conv2d(x, wt, b, s, p, d, g)
        dy = grid(*y.shape)
        y.backward(dy)
        params = dict(stride_h=s[0], stride_w=s[1], dilation_h=d[0], dilation_w=d[1], groups=g)
        params.update(dict(padding="same") if p == "same" else dict(pad_h=p[0], pad_w=p[1]))
        f.case(f"conv {n}x{c}x{h}x{w} to {o} k{k[0]}x{k[1]} s{s[0]}x{s[1]} p{p if p == 'same' else f'{p[0]}x{p[1]}'} d{d[0]}x{d[1]} g{g}{'' if bias else ' nobias'}",
               params, dict(x=x, w=wt, b=b, y=y, dy=dy, dx=x.grad, dw=wt.grad, db=b.grad if bias else None))
    f.write()


def linear():
    f = File("linear")
    for lead, i, o, bias in [((1,), 1, 1, True), ((4,), 3, 5, True), ((4,), 3, 5, False), ((1,), 17, 9, True), ((7,), 16, 16, True), ((33,), 5, 1, True), ((2, 3), 4, 6, True),
                             ((2, 3, 2), 4, 3, False), ((0,), 4, 3, True), ((5,), 1, 7, True), ((9,), 31, 33, True)]:
        x, w, b = leaf(grid(*lead, i)), leaf(grid(o, i)), leaf(grid(o)) if bias else None
        y = F.linear(x, w, b)
        dy = grid(*y.shape)
        y.backward(dy)
        f.case(f"linear {'x'.join(map(str, lead))} {i} to {o}{'' if bias else ' nobias'}", {}, dict(x=x, w=w, b=b, y=y, dy=dy, dx=x.grad, dw=w.grad, db=b.grad if bias else None))
    f.write()


def batch_norm():
    f = File("batch_norm")
    variants = [  # shape, affine, momentum (None: cumulative average), eps, tracked before, offset, scale
        ((8, 5), True, 0.1, 1e-5, 0, 0, 1), ((8, 5), False, 0.1, 1e-5, 0, 0, 1), ((2, 3), True, 0.1, 1e-5, 0, 0, 1), ((31, 17), True, 0.3, 1e-3, 4, 0, 1), ((8, 5), True, None, 1e-5, 0, 0, 1),
        ((8, 5), True, None, 1e-5, 3, 0, 1), ((4, 3, 6), True, 0.1, 1e-5, 0, 0, 1), ((1, 3, 6), True, 0.1, 1e-5, 0, 0, 1), ((3, 2, 4, 5), True, 0.1, 1e-5, 0, 0, 1),
        ((3, 2, 4, 5), False, 0.1, 1e-5, 0, 0, 1), ((1, 4, 3, 3), True, 0.1, 1e-5, 7, 0, 1), ((2, 9, 3, 3), True, None, 1e-5, 7, 0, 1), ((2, 3, 1, 1), True, 0.5, 1e-5, 1, 0, 1),
        ((16, 3), True, 0.1, 1e-5, 0, 1000, 1), ((4, 2, 3, 3), True, 0.1, 1e-5, 0, -500, 1), ((6, 4), True, 1.0, 1e-5, 0, 0, 1), ((6, 4), True, 0.0, 1e-5, 0, 0, 1), ((6, 4), True, 0.1, 0.5, 0, 0, 1),
        ((5, 3), True, 0.1, 1e-5, 0, 0, 0), ((6, 4), True, 0.1, 1e-5, 0, 0, 64),
    ]
    for shape, affine, momentum, eps, tracked, offset, scale in variants:
        c = shape[1]
        bn = {2: torch.nn.BatchNorm1d, 3: torch.nn.BatchNorm1d, 4: torch.nn.BatchNorm2d}[len(shape)](c, eps=eps, momentum=momentum, affine=affine)
        mean0, var0 = grid(c), torch.randint(32, 512, (c,)).double() / 128
        bn.running_mean.copy_(mean0)
        bn.running_var.copy_(var0)
        bn.num_batches_tracked.fill_(tracked)
        if affine:
            bn.weight.data.copy_(grid(c))
            bn.bias.data.copy_(grid(c))
        x = leaf(grid(*shape) * scale + offset)  # scale 0: constant, variance exactly 0
        y = bn(x)
        dy = grid(*shape)
        y.backward(dy)
        label = f"{'x'.join(map(str, shape))} m{momentum} eps{eps} off{offset} scale{scale}{'' if affine else ' plain'}"
        params = dict(mode="train", eps=eps, momentum=-1.0 if momentum is None else momentum, tracked=tracked, tracked_after=int(bn.num_batches_tracked))
        wb = dict(w=bn.weight if affine else None, b=bn.bias if affine else None)
        f.case("train " + label, params, dict(x=x, **wb, running_mean=mean0, running_var=var0, y=y, running_mean_after=bn.running_mean, running_var_after=bn.running_var, dy=dy, dx=x.grad,
                                              dw=bn.weight.grad if affine else None, db=bn.bias.grad if affine else None))
        bn.running_mean.copy_(mean0)
        bn.running_var.copy_(var0)
        bn.eval()
        f.case("eval " + label, dict(mode="eval", eps=eps), dict(x=x, **wb, running_mean=mean0, running_var=var0, y=bn(x)))
    f.write()


def layer_norm():
    f = File("layer_norm")
    for shape, dims, affine, eps, offset in [((4, 6), 1, True, 1e-5, 0), ((4, 6), 1, False, 1e-5, 0), ((1, 1), 1, True, 1e-5, 0), ((3, 1), 1, True, 1e-5, 0), ((2, 3, 5), 1, True, 1e-5, 0),
                                             ((2, 3, 5), 2, True, 1e-5, 0), ((2, 3, 4, 2), 3, True, 1e-5, 0), ((7, 33), 1, True, 1e-3, 0), ((5, 8), 1, True, 1e-5, 1000), ((5, 8), 1, True, 1e-12, 0),
                                             ((0, 8), 1, True, 1e-5, 0)]:
        normal = shape[len(shape) - dims:]
        x, w, b = leaf(grid(*shape) + offset), leaf(grid(*normal)) if affine else None, leaf(grid(*normal)) if affine else None
        y = F.layer_norm(x, normal, w, b, eps)
        dy = grid(*shape)
        y.backward(dy)
        f.case(f"layer_norm {'x'.join(map(str, shape))} last {dims} eps{eps} off{offset}{'' if affine else ' plain'}", dict(eps=eps, dims=dims),
               dict(x=x, w=w, b=b, y=y, dy=dy, dx=x.grad, dw=w.grad if affine else None, db=b.grad if affine else None))
    f.write()


def max_pool():
    f = File("max_pool")
    cases = [  # shape, kernel, stride, padding, dilation, ceil, what
        ((2, 3, 4, 4), 2, 2, 0, 1, False, ""), ((1, 5, 5, 7), 2, 2, 0, 1, False, ""), ((1, 5, 5, 7), 2, 2, 0, 1, True, ""), ((1, 2, 6, 6), 3, 2, 1, 1, False, ""), ((1, 2, 6, 6), 3, 2, 1, 1, True, ""),
        ((1, 2, 7, 6), 3, 1, 1, 1, False, ""), ((2, 2, 6, 7), 3, 3, 0, 1, False, ""), ((2, 2, 6, 7), 3, 3, 1, 1, True, ""), ((1, 2, 7, 7), (2, 3), (1, 2), (1, 0), 1, False, ""),
        ((1, 2, 9, 9), 3, 2, 1, 2, False, ""), ((1, 2, 9, 8), 2, 3, 1, (3, 2), True, ""), ((1, 1, 5, 5), 2, 4, 0, 1, True, ""), ((1, 1, 3, 3), 3, 1, 0, 1, False, ""), ((1, 1, 4, 4), 1, 1, 0, 1, False, ""),
        ((1, 1, 4, 4), 1, 2, 0, 1, False, ""), ((3, 17, 4, 4), 2, 2, 0, 1, False, ""), ((0, 2, 4, 4), 2, 2, 0, 1, False, ""), ((2, 2, 6, 6), 3, 2, 1, 1, False, "ties"), ((2, 2, 6, 6), 2, 1, 0, 1, False, "ties"),
        ((1, 2, 6, 6), 2, 2, 0, 1, False, "nan"), ((1, 2, 6, 6), 3, 2, 1, 1, False, "nan"), ((1, 2, 6, 6), 3, 1, 1, 1, False, "inf"), ((1, 2, 4, 4), 2, 2, 0, 1, False, "constant"),
        ((1, 2, 4, 4), 3, 2, 1, 1, False, "negative"),
    ]
    for shape, k, s, p, d, ceil, what in cases:
        k, s, p, d = map(pair, (k, s, p, d))
        x = grid(*shape)
        if what == "ties":
            x = torch.randint(0, 3, shape).double()
        if what in ("nan", "inf"):
            x.view(-1)[::5] = NAN if what == "nan" else -INF
            x.view(-1)[3::7] = NAN if what == "nan" else INF
        if what == "constant":
            x = torch.full(shape, -1.5)
        if what == "negative":
            x = -x.abs() - 4  # a padding of 0 would win
        x = leaf(x)
        y, at = F.max_pool2d(x, k, s, p, d, ceil, return_indices=True)
        dy = grid(*y.shape)
        y.backward(dy)
        f.case(f"max {'x'.join(map(str, shape))} k{k[0]}x{k[1]} s{s[0]}x{s[1]} p{p[0]}x{p[1]} d{d[0]}x{d[1]}{' ceil' if ceil else ''} {what}".strip(),
               dict(kernel_h=k[0], kernel_w=k[1], stride_h=s[0], stride_w=s[1], pad_h=p[0], pad_w=p[1], dilation_h=d[0], dilation_w=d[1], ceil_mode=ceil),
               dict(x=x, y=y, argmax=at, dy=dy, dx=x.grad))
    f.write()


def avg_pool():
    f = File("avg_pool")
    cases = [((1, 1, 4, 4), 3, 2, 1, True, True, None), ((2, 3, 4, 4), 2, 2, 0, False, True, None), ((1, 2, 5, 7), 2, 2, 0, False, True, None)]
    cases += [((1, 2, 7, 6), 3, 2, 1, ceil, include, None) for ceil, include in itertools.product((False, True), repeat=2)]
    cases += [((1, 2, 5, 8), (2, 3), (3, 2), (1, 1), ceil, include, None) for ceil, include in itertools.product((False, True), repeat=2)]
    cases += [((2, 2, 6, 6), 3, 2, 1, False, True, 5), ((2, 2, 6, 7), 3, 2, 1, True, False, 5), ((2, 2, 6, 6), 2, 2, 0, False, True, -3), ((1, 3, 5, 5), 1, 1, 0, False, True, None), ((1, 3, 5, 5), 1, 2, 0, False, True, None),
              ((1, 2, 6, 6), 3, 1, 1, False, True, None), ((1, 2, 6, 6), 3, 1, 1, False, False, None), ((2, 17, 4, 4), 2, 2, 0, False, True, None), ((1, 1, 5, 5), 2, 4, 1, True, False, None),
              ((0, 2, 4, 4), 2, 2, 0, False, True, None)]
    for shape, k, s, p, ceil, include, override in cases:
        k, s, p = map(pair, (k, s, p))
        x = leaf(torch.ones(shape) if shape == (1, 1, 4, 4) else grid(*shape))
        y = F.avg_pool2d(x, k, s, p, ceil, include, override)
        dy = grid(*y.shape)
        y.backward(dy)
        f.case(f"avg {'x'.join(map(str, shape))} k{k[0]}x{k[1]} s{s[0]}x{s[1]} p{p[0]}x{p[1]}{' ceil' if ceil else ''}{' include' if include else ''}{f' over{override}' if override else ''}",
               dict(kernel_h=k[0], kernel_w=k[1], stride_h=s[0], stride_w=s[1], pad_h=p[0], pad_w=p[1], ceil_mode=ceil, count_include_pad=include, divisor_override=override or 0),
               dict(x=x, y=y, dy=dy, dx=x.grad))
    for shape in [(2, 3, 4, 5), (1, 17, 7, 7), (3, 2, 1, 1)]:
        x = leaf(grid(*shape))
        y = F.adaptive_avg_pool2d(x, 1)
        dy = grid(*y.shape)
        y.backward(dy)
        f.case(f"global {'x'.join(map(str, shape))}", dict(kernel_h=shape[2], kernel_w=shape[3], stride_h=1, stride_w=1, pad_h=0, pad_w=0, ceil_mode=0, count_include_pad=1, divisor_override=0),
               dict(x=x, y=y, dy=dy, dx=x.grad))
    f.write()


def activation():
    f = File("activation")
    kinds = dict(relu=F.relu, gelu=F.gelu, gelu_tanh=lambda x: F.gelu(x, approximate="tanh"), silu=F.silu, sigmoid=torch.sigmoid, tanh=torch.tanh)
    edges = [0.0, -0.0, NAN, INF, -INF, 2.0**-60, -(2.0**-60), 2.0**-12, -(2.0**-12), 0.5, -0.5, 1, -1, 3, -3, 6, -6, 20, -20, 40, -40, 100, -100, 1000, -1000, 2.0**100, -(2.0**100)]
    sets = dict(random=grid(3, 37, span=768), dense=torch.arange(-80, 81).double() / 8, edges=torch.tensor(edges))
    for kind, function in list(kinds.items()) + [("leaky_relu", s) for s in (0.01, 0.25, 0.0)]:
        for name, values in sets.items():
            x = leaf(values)
            slope = function if kind == "leaky_relu" else None
            y = F.leaky_relu(x, slope) if kind == "leaky_relu" else function(x)
            dy = grid(*values.shape) + 4 if name == "edges" else grid(*values.shape)
            y.backward(dy)
            f.case(f"{kind}{'' if slope is None else f' slope{slope}'} {name}", dict(kind=kind, slope=slope), dict(x=x, y=y, dy=dy, dx=x.grad))
    f.write()


def softmax():
    f = File("softmax")
    for shape, dim, what in [((4, 10), 1, ""), ((4, 10), 0, ""), ((1, 1), 1, ""), ((5, 2), 1, ""), ((3, 17), 1, ""), ((2, 3, 4), 0, ""), ((2, 3, 4), 1, ""), ((2, 3, 4), 2, ""), ((2, 5, 3, 2), 1, ""), ((2, 5, 3, 2), 3, ""),
                             ((0, 4), 1, ""), ((4, 10), 1, "large"), ((4, 6), 1, "masked"), ((3, 4), 1, "all masked"), ((3, 4), 1, "nan")]:
        x = grid(*shape)
        if what == "large":
            x = x * 4096
        if what == "masked":
            x[:, ::2] = -INF
        if what == "all masked":
            x[1] = -INF
        if what == "nan":
            x[1, 2] = NAN
        x = leaf(x)
        y = F.softmax(x, dim)
        dy = grid(*shape)
        y.backward(dy)
        f.case(f"softmax {'x'.join(map(str, shape))} dim{dim} {what}".strip(), dict(dim=dim), dict(x=x, y=y, dy=dy, dx=x.grad))
    f.write()


def loss():
    f = File("loss")
    hard = [  # rows, classes, smoothing, ignore_index, how many ignored, weights, reduction, scale
        (1, 3, 0.0, -100, 0, False, "mean", 1), (1, 3, 0.1, -100, 0, False, "mean", 1), (6, 10, 0.0, -100, 0, False, "mean", 1), (6, 10, 0.0, -100, 0, False, "sum", 1), (6, 10, 0.1, -100, 0, False, "mean", 1),
        (6, 10, 0.1, -100, 0, False, "sum", 1), (6, 10, 1.0, -100, 0, False, "mean", 1), (6, 4, 0.0, -100, 2, False, "mean", 1), (6, 4, 0.0, -100, 2, False, "sum", 1), (6, 4, 0.2, -100, 2, False, "mean", 1),
        (6, 4, 0.2, -100, 2, False, "sum", 1), (6, 4, 0.0, 1, 2, False, "mean", 1), (6, 4, 0.3, 1, 2, True, "mean", 1), (6, 4, 0.0, -100, 0, True, "mean", 1), (6, 4, 0.0, -100, 0, True, "sum", 1),
        (6, 4, 0.1, -100, 0, True, "mean", 1), (6, 4, 0.1, -100, 0, True, "sum", 1), (6, 4, 0.1, -100, 3, True, "mean", 1), (4, 4, 0.0, -100, 4, False, "sum", 1), (4, 4, 0.0, -100, 4, False, "mean", 1), (4, 4, 0.1, -100, 4, False, "mean", 1),
        (33, 10, 0.0, -100, 0, False, "mean", 1), (5, 1, 0.0, -100, 0, False, "mean", 1), (5, 2, 0.1, -100, 0, False, "mean", 1), (5, 10, 0.0, -100, 0, False, "mean", 512), (5, 10, 0.1, -100, 0, False, "mean", 512),
    ]
    for rows, classes, smoothing, ignore, ignored, weighted, reduction, scale in hard:
        x = leaf(torch.tensor([[1.0, 2.0, 3.0]]) if rows == 1 else grid(rows, classes) * scale)
        labels = torch.tensor([2]) if rows == 1 else torch.randint(0, classes, (rows,))
        labels[torch.randperm(rows)[:ignored]] = ignore
        weights = torch.randint(1, 256, (classes,)).double() / 128 if weighted else None
        y = F.cross_entropy(x, labels, weights, ignore_index=ignore, reduction=reduction, label_smoothing=smoothing)
        y.backward()
        f.case(f"cross_entropy {rows}x{classes} e{smoothing} ignore{ignore}:{ignored}{' weighted' if weighted else ''} {reduction} scale{scale}",
               dict(kind="cross_entropy", label_smoothing=smoothing, ignore_index=ignore, reduction=reduction), dict(x=x, labels=labels, class_weights=weights, loss=y, dx=x.grad))
    for rows, classes, smoothing, weighted, reduction in [(4, 5, 0.0, False, "mean"), (4, 5, 0.0, False, "sum"), (4, 5, 0.1, False, "mean"), (4, 5, 0.0, True, "mean"), (4, 5, 0.2, True, "mean"), (4, 5, 0.2, True, "sum"), (1, 2, 0.0, False, "mean")]:
        x, targets = leaf(grid(rows, classes)), torch.randint(0, 65, (rows, classes)).double() / 128  # not normalised: PyTorch does not ask for it
        weights = torch.randint(1, 256, (classes,)).double() / 128 if weighted else None
        y = F.cross_entropy(x, targets, weights, reduction=reduction, label_smoothing=smoothing)
        y.backward()
        f.case(f"soft {rows}x{classes} e{smoothing}{' weighted' if weighted else ''} {reduction}", dict(kind="cross_entropy_soft", label_smoothing=smoothing, reduction=reduction),
               dict(x=x, targets=targets, class_weights=weights, loss=y, dx=x.grad))
    for shape, reduction in [((1,), "mean"), ((4, 5), "mean"), ((4, 5), "sum"), ((2, 3, 4), "mean"), ((0, 3), "sum"), ((33, 7), "mean")]:
        x, t = leaf(grid(*shape)), grid(*shape)
        y = F.mse_loss(x, t, reduction=reduction)
        y.backward()
        f.case(f"mse {'x'.join(map(str, shape))} {reduction}", dict(kind="mse", reduction=reduction), dict(x=x, targets=t, loss=y, dx=x.grad))
    f.write()


def optimizer():
    f = File("optimizer")
    steps, n = 15, 6
    common = dict(learning_rate="lr", momentum="momentum", dampening="dampening", weight_decay="weight_decay", nesterov="nesterov", beta1="beta1", beta2="beta2", eps="eps")
    runs = [("sgd", dict(lr=0.1)), ("sgd", dict(lr=0.1, weight_decay=0.1)), ("sgd", dict(lr=0.1, momentum=0.9)), ("sgd", dict(lr=0.1, momentum=0.9, dampening=0.5)), ("sgd", dict(lr=0.1, momentum=0.9, nesterov=True)),
            ("sgd", dict(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1)), ("sgd", dict(lr=0.05, momentum=0.5, dampening=0.25, weight_decay=0.01)),
            ("adam", dict(lr=1e-3)), ("adam", dict(lr=0.1)), ("adam", dict(lr=0.1, weight_decay=0.1)), ("adam", dict(lr=0.01, betas=(0.5, 0.9), eps=1e-4)), ("adam", dict(lr=0.01, betas=(0.0, 0.99))),
            ("adamw", dict(lr=1e-3)), ("adamw", dict(lr=0.1, weight_decay=0.1)), ("adamw", dict(lr=0.1, weight_decay=0.0)), ("adamw", dict(lr=0.01, weight_decay=0.5, betas=(0.8, 0.95), eps=1e-6))]
    for (kind, options), decay in itertools.product(runs, (False, True)):
        p = leaf(grid(n))
        o = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[kind]([p], **options)
        values, grads, rates = [p.detach().clone()], [], []
        for step in range(steps):
            if decay:
                o.param_groups[0]["lr"] = options["lr"] / (1 + step)  # the rate is outside the velocity
            g = grid(n)
            g[0] = 0 if step % 3 else g[0]
            g[1] = 0.0  # never a gradient
            p.grad = g.clone()
            rates.append(o.param_groups[0]["lr"])
            o.step()
            grads.append(g)
            values.append(p.detach().clone())
        group = o.param_groups[0]
        params = dict(kind=kind, learning_rate=options["lr"], weight_decay=group["weight_decay"])
        if kind == "sgd":
            params.update(momentum=group["momentum"], dampening=group["dampening"], nesterov=group["nesterov"])
        else:
            params.update(beta1=group["betas"][0], beta2=group["betas"][1], eps=group["eps"])
        label = " ".join(f"{k}{v}" for k, v in options.items()).replace(", ", "/").replace("(", "").replace(")", "")
        f.case(f"{kind} {label}{' decaying' if decay else ''}", params, dict(learning_rates=torch.tensor(rates), grads=torch.stack(grads), values=torch.stack(values)))
    # driven by a schedule: one-cycle moves momentum (Adam: beta1) as well
    schedulers = torch.optim.lr_scheduler
    for kind, rule, options in [("sgd", "one_cycle", dict(momentum=0.9, nesterov=True)), ("adam", "one_cycle", dict(weight_decay=0.01)), ("adamw", "one_cycle", dict()), ("adamw", "warmup_cosine", dict()),
                                ("sgd", "step", dict(momentum=0.5))]:
        p, rate = leaf(grid(n)), 0.05
        o = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[kind]([p], lr=rate, **options)
        s = {"one_cycle": lambda: schedulers.OneCycleLR(o, rate, total_steps=steps),
             "warmup_cosine": lambda: schedulers.SequentialLR(o, [schedulers.LinearLR(o, 0.1, 1.0, 4), schedulers.CosineAnnealingLR(o, steps - 4)], [4]),
             "step": lambda: schedulers.StepLR(o, 4, 0.5)}[rule]()
        group = o.param_groups[0]
        values, grads, rates, momenta = [p.detach().clone()], [], [], []
        for step in range(steps):
            p.grad = grid(n)
            grads.append(p.grad.clone())
            rates.append(group["lr"])
            momenta.append(group["momentum"] if kind == "sgd" else group["betas"][0])
            o.step()
            if step + 1 < steps:
                s.step()
            values.append(p.detach().clone())
        params = dict(kind=kind, rule=rule, learning_rate=rate, weight_decay=group["weight_decay"])
        params.update(dict(momentum=0.9 if rule == "one_cycle" else group["momentum"], dampening=0, nesterov=group["nesterov"]) if kind == "sgd" else dict(beta1=0.9, beta2=group["betas"][1], eps=group["eps"]))
        f.case(f"{kind} by {rule}", params, dict(learning_rates=torch.tensor(rates), momenta=torch.tensor(momenta), grads=torch.stack(grads), values=torch.stack(values)))
    f.write()


def scheduler():
    f = File("scheduler")
    schedulers = torch.optim.lr_scheduler

    def optimizer_of(rate, momentum=0.9):
        return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate, momentum=momentum)

    def trace(name, params, make, steps, rate=0.1, momenta=False):
        o = optimizer_of(rate)
        s = make(o)
        rates, used = [], []
        for i in range(steps):
            rates.append(o.param_groups[0]["lr"])
            used.append(o.param_groups[0]["momentum"])
            o.step()
            if i + 1 < steps:
                s.step()
        f.case(name, dict(learning_rate=rate, **params), dict(learning_rates=torch.tensor(rates), momenta=torch.tensor(used) if momenta else None))

    for t, low, steps in [(4, 0.0, 6), (10, 0.0, 25), (7, 0.01, 20), (1, 0.0, 4), (50, 1e-4, 60)]:
        trace(f"cosine T{t} min{low}", dict(kind="cosine", t_max=t, eta_min=low), lambda o: schedulers.CosineAnnealingLR(o, t, low), steps)
    for total, high, pct, div, final in [(10, 1.0, 0.3, 25.0, 1e4), (20, 0.1, 0.3, 25.0, 1e4), (33, 0.5, 0.45, 10.0, 1e3), (100, 0.01, 0.1, 25.0, 1e4)]:
        trace(f"one_cycle total{total} max{high} pct{pct}", dict(kind="one_cycle", max_lr=high, total_steps=total, pct_start=pct, div_factor=div, final_div_factor=final, base_momentum=0.85, max_momentum=0.95),
              lambda o: schedulers.OneCycleLR(o, high, total_steps=total, pct_start=pct, div_factor=div, final_div_factor=final), total, high, True)
    for start, end, total in [(1 / 3, 1.0, 5), (0.1, 1.0, 10), (1.0, 0.2, 4)]:
        trace(f"linear {start:.3f} to {end} in {total}", dict(kind="linear", start_factor=start, end_factor=end, total_iters=total), lambda o: schedulers.LinearLR(o, start, end, total), total + 4)
    for size, gamma in [(3, 0.1), (1, 0.5), (10, 0.3)]:
        trace(f"step {size} gamma{gamma}", dict(kind="step", step_size=size, gamma=gamma), lambda o: schedulers.StepLR(o, size, gamma), 25)
    trace("multi_step", dict(kind="multi_step", gamma=0.1, milestones="3,8,9"), lambda o: schedulers.MultiStepLR(o, [3, 8, 9], 0.1), 15)
    for gamma in (0.9, 0.5):
        trace(f"exponential {gamma}", dict(kind="exponential", gamma=gamma), lambda o: schedulers.ExponentialLR(o, gamma), 15)
    # warm-up, then cosine: SequentialLR of both
    for warm, t in [(5, 20), (3, 10)]:
        trace(f"warmup{warm} cosine{t}", dict(kind="warmup_cosine", start_factor=0.1, warmup=warm, t_max=t, eta_min=0.0),
              lambda o: schedulers.SequentialLR(o, [schedulers.LinearLR(o, 0.1, 1.0, warm), schedulers.CosineAnnealingLR(o, t)], [warm]), warm + t + 1)

    noisy = (1 / torch.arange(1, 61) + 0.2 * torch.rand(60)).tolist()
    plateau = [
        ("constant", dict(patience=2, cooldown=1, factor=0.5), [1.0] * 12), ("default", dict(), [1.0] * 30), ("noisy", dict(patience=3, factor=0.5), noisy), ("noisy cooldown", dict(patience=2, factor=0.3, cooldown=4), noisy),
        ("max", dict(mode="max", patience=2, factor=0.5), [1 - v for v in noisy]), ("max rel", dict(mode="max", patience=1, factor=0.5, threshold=0.05), [1.0, 1.04, 1.06, 1.1, 1.12, 1.2, 1.2, 1.25, 1.27, 1.26, 1.3, 1.4]),
        ("abs", dict(patience=1, factor=0.5, threshold=0.1, threshold_mode="abs"), [1.0, 0.95, 0.9, 0.85, 0.75, 0.7, 0.66, 0.64, 0.5, 0.45, 0.4, 0.39]),
        ("max abs", dict(mode="max", patience=1, factor=0.5, threshold=0.1, threshold_mode="abs"), [0.0, 0.05, 0.1, 0.11, 0.2, 0.3, 0.32, 0.33, 0.34, 0.5]),
        ("min_lr", dict(patience=0, factor=0.1, min_lr=5e-4), [1.0] * 10), ("eps", dict(patience=0, factor=0.1, eps=1e-3), [1.0] * 8), ("nan", dict(patience=1, factor=0.5), [1.0, NAN, NAN, 0.5, NAN, NAN, NAN, 0.4, 0.39]),
        ("patience 0", dict(patience=0, factor=0.9), [3.0, 2.0, 2.0, 2.5, 1.0, 1.0, 0.99995, 0.9998, 0.9]), ("threshold edge", dict(patience=0, factor=0.5, threshold=0.0), [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]),
        ("negative min rel", dict(patience=1, factor=0.5), [-1.0, -1.0, -1.0, -1.0, -1.0]),
    ]
    for name, options, metrics in plateau:
        o = optimizer_of(0.1)
        s = schedulers.ReduceLROnPlateau(o, **options)
        rates = []
        for m in metrics:
            s.step(m)
            rates.append(o.param_groups[0]["lr"])
        full = dict(mode="min", factor=0.1, patience=10, threshold=1e-4, threshold_mode="rel", cooldown=0, min_lr=0.0, eps=1e-8)
        full.update(options)
        f.case("plateau " + name, dict(kind="plateau", learning_rate=0.1, **full), dict(metrics=torch.tensor(metrics), learning_rates=torch.tensor(rates)))
    # the ends of one-cycle's options, and every rule behind a warm-up
    for total, pct, div, final in [(1, 0.3, 25.0, 1e4), (2, 0.3, 25.0, 1e4), (9, 0.0, 25.0, 1e4), (9, 1.0, 4.0, 10.0), (7, 0.5, 1.0, 1.0)]:
        trace(f"one_cycle total{total} pct{pct} div{div}", dict(kind="one_cycle", max_lr=0.2, total_steps=total, pct_start=pct, div_factor=div, final_div_factor=final, base_momentum=0.85, max_momentum=0.95),
              lambda o: schedulers.OneCycleLR(o, 0.2, total_steps=total, pct_start=pct, div_factor=div, final_div_factor=final), total, 0.2, True)
    for name, params, make in [("step", dict(step_size=3, gamma=0.1), lambda o: schedulers.StepLR(o, 3, 0.1)), ("multi_step", dict(milestones="0,2,2,5", gamma=0.5), lambda o: schedulers.MultiStepLR(o, [0, 2, 2, 5], 0.5)),
                               ("exponential", dict(gamma=0.9), lambda o: schedulers.ExponentialLR(o, 0.9)), ("linear", dict(start_factor=1.0, end_factor=0.2, total_iters=6), lambda o: schedulers.LinearLR(o, 1.0, 0.2, 6))]:
        trace("warmup4 " + name, dict(kind=name, warmup=4, warmup_start=0.25, **params), lambda o: schedulers.SequentialLR(o, [schedulers.LinearLR(o, 0.25, 1.0, 4), make(o)], [4]), 16)
    f.write()


def clip():
    f = File("clip")
    for name, shapes, high, scale in [("above", [(3, 4), (5,)], 1.0, 1), ("below", [(3, 4), (5,)], 100.0, 1), ("edge", [(1,)], 1.0, 0), ("many", [(7,), (2, 3), (1,), (4, 2)], 0.5, 16), ("tiny", [(6,)], 1e-3, 2.0**-20),
                                      ("zero", [(4,)], 1.0, -1)]:
        parameters = [torch.zeros(s, requires_grad=True) for s in shapes]
        for p in parameters:
            p.grad = torch.ones(p.shape) if scale == 0 else torch.zeros(p.shape) if scale == -1 else grid(*p.shape) * scale
        before = torch.cat([p.grad.flatten() for p in parameters])
        norm = torch.nn.utils.clip_grad_norm_(parameters, high)
        f.case("clip " + name, dict(max_norm=high), dict(before=before, norm=norm, after=torch.cat([p.grad.flatten() for p in parameters])))
    f.write()


def state_case(f, name, net, shape, params=None, span=256, x=None, inferred=True):
    """Every array of the state_dict by its path, what one training pass makes of it, and the outputs of inference afterwards if they are others."""
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(grid(*p.shape, span=span))
    before = {"before." + k: v.clone() for k, v in net.state_dict().items()}
    x = leaf(grid(*shape) if x is None else x)
    y = net(x)
    dy = grid(*y.shape)
    y.backward(dy)
    after = {"after." + k: v.clone() for k, v in net.state_dict().items() if "running" in k or "tracked" in k}
    gradients = {"gradient." + k: p.grad for k, p in net.named_parameters()}
    net.eval()
    f.case(name, params or {}, dict(**before, x=x, y=y, dy=dy, dx=x.grad, **gradients, **after, inferred=net(x) if inferred else None))


def network():
    """Whole networks."""
    f = File("network")
    nn = torch.nn
    cases = [
        ("conv relu flatten linear norm", (4, 2, 4, 5), nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(60, 6), nn.BatchNorm1d(6))),
        ("norm behind flatten", (5, 2, 4, 4), nn.Sequential(nn.Conv2d(2, 3, (3, 2)), nn.LayerNorm((3, 2, 3)), nn.Flatten(), nn.BatchNorm1d(18), nn.Linear(18, 4))),
        ("layer norm behind flatten", (3, 4, 3, 3), nn.Sequential(nn.Conv2d(4, 6, 3, padding=1, groups=2, bias=False), nn.BatchNorm2d(6), nn.MaxPool2d(2, 1), nn.Flatten(), nn.LayerNorm(24), nn.Linear(24, 3))),
    ]
    for name, shape, net in cases:
        state_case(f, name, net, shape)
    f.write()


def conv_transpose2d():
    f = File("conv_transpose2d")
    for n, c, h, w, o, k, s, p, op, d, g, bias in [
        # batch, in, height, width, out, kernel, stride, padding, output_padding, dilation, groups, bias
        (1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, True), (2, 3, 4, 5, 2, 2, 2, 0, 0, 1, 1, True), (2, 3, 4, 5, 4, 3, 1, 1, 0, 1, 1, True), (2, 2, 3, 3, 3, 4, 2, 1, 0, 1, 1, False),
        (1, 2, 3, 4, 3, 3, 2, 1, 1, 1, 1, True), (1, 2, 3, 4, 3, (3, 2), (2, 3), (1, 0), (1, 2), 1, 1, True), (1, 2, 4, 3, 2, 3, 1, 2, 0, 2, 1, True),
        (2, 2, 2, 3, 2, 2, 1, 0, (2, 0), (3, 1), 1, True), (1, 4, 3, 3, 6, 3, 2, 1, 0, 1, 2, True), (1, 4, 5, 4, 4, 3, 1, 1, 0, 1, 4, False), (1, 3, 2, 2, 2, 1, 3, 0, 0, 1, 1, True),
        (1, 17, 3, 3, 9, 3, 1, 1, 0, 1, 1, True), (1, 8, 7, 9, 5, 3, 1, 1, 0, 1, 1, True), (5, 3, 3, 3, 2, 5, 2, 2, 1, 1, 1, True),
    ]:
        k, s, p, op, d = pair(k), pair(s), pair(p), pair(op), pair(d)
        net = torch.nn.ConvTranspose2d(c, o, k, s, p, op, g, bias, d)
        params = dict(out=o, kernel_h=k[0], kernel_w=k[1], stride_h=s[0], stride_w=s[1], pad_h=p[0], pad_w=p[1], output_pad_h=op[0], output_pad_w=op[1], dilation_h=d[0], dilation_w=d[1], groups=g)
        state_case(f, f"{n}x{c}x{h}x{w} to {o} k{k[0]}x{k[1]} s{s[0]}x{s[1]} p{p[0]}x{p[1]} op{op[0]}x{op[1]} d{d[0]}x{d[1]} g{g}{'' if bias else ' nobias'}", net, (n, c, h, w), params, span=64)
    f.write()


class Parallel(torch.nn.Module):
    def __init__(self, join, *branches):
        super().__init__()
        self.join, self.count = join, len(branches)
        for i, b in enumerate(branches):
            self.add_module(str(i), b)

    def forward(self, x):
        y = [getattr(self, str(i))(x) for i in range(self.count)]
        if self.join == "add":
            return sum(y[1:], y[0])
        if self.join == "concat":
            return torch.cat(y, 1)
        a, b = y
        return a * (b[:, :, None, None] if b.dim() < a.dim() else b)


class GlobalAvgPool2d(torch.nn.Module):
    def forward(self, x):
        return x.mean((2, 3))


def branches():
    f = File("branches")
    nn = torch.nn
    seq, conv, same = nn.Sequential, nn.Conv2d, nn.Identity
    inception = seq(Parallel("concat", conv(2, 3, 1), seq(conv(2, 2, 1), nn.ReLU(), conv(2, 4, 3, padding=1)), seq(nn.MaxPool2d(3, 1, 1), conv(2, 1, 1)), same()), nn.BatchNorm2d(10), nn.ReLU(), GlobalAvgPool2d(),
                    nn.Linear(10, 3))
    gate = seq(GlobalAvgPool2d(), nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 4), nn.Sigmoid())
    squeeze = seq(conv(3, 4, 3, padding=1), nn.BatchNorm2d(4), Parallel("multiply", same(), gate), nn.Flatten(), nn.Linear(48, 2))
    inner = Parallel("concat", same(), seq(nn.MaxPool2d(2), conv(4, 6, 3, padding=1), nn.ReLU(), nn.ConvTranspose2d(6, 4, 2, 2)))
    unet = seq(conv(1, 3, 3, padding=1), nn.ReLU(), Parallel("concat", same(), seq(nn.MaxPool2d(2), conv(3, 4, 3, padding=1), nn.ReLU(), inner, conv(8, 4, 3, padding=1), nn.Tanh(), nn.ConvTranspose2d(4, 3, 2, 2))),
               conv(6, 2, 1))
    dense = seq(Parallel("concat", same(), seq(nn.BatchNorm2d(2), nn.ReLU(), conv(2, 3, 3, padding=1))), Parallel("concat", same(), seq(nn.BatchNorm2d(5), nn.ReLU(), conv(5, 3, 3, padding=1))), GlobalAvgPool2d())
    features = seq(Parallel("add", nn.Linear(5, 4), seq(nn.Linear(5, 3), nn.Tanh(), nn.Linear(3, 4)), nn.Linear(5, 4, bias=False)), Parallel("multiply", seq(nn.Linear(4, 4), nn.Sigmoid()), same()),
                   Parallel("concat", nn.Linear(4, 2), same()))
    rows = seq(Parallel("concat", nn.Linear(4, 3), seq(nn.Linear(4, 3), nn.ReLU())), nn.BatchNorm1d(4), nn.Flatten(), nn.Linear(12, 2))
    flat = seq(nn.Flatten(), Parallel("add", same(), nn.Linear(12, 12)), nn.Linear(12, 2))
    for name, shape, net in [("inception", (3, 2, 5, 4), inception), ("squeeze and excitation", (2, 3, 4, 3), squeeze), ("unet", (2, 1, 8, 4), unet), ("dense", (2, 2, 3, 5), dense), ("features", (4, 5), features),
                             ("rows", (3, 2, 4), rows), ("sum behind flatten", (3, 3, 2, 2), flat)]:
        state_case(f, name, net, shape, span=64)
    f.write()


def prelu():
    f = File("prelu")
    for shape, weights in [((1, 1), 1), ((4, 10), 1), ((4, 10), 10), ((3, 17), 17), ((2, 3, 5), 1), ((2, 3, 5), 3), ((2, 3, 4, 5), 1), ((2, 3, 4, 5), 3), ((3, 17, 2, 2), 17), ((0, 3), 3)]:
        x, w = leaf(grid(*shape)), leaf(grid(weights))
        with torch.no_grad():
            x.view(-1)[::7] = 0
        y = F.prelu(x, w)
        dy = grid(*shape)
        y.backward(dy)
        f.case(f"prelu {'x'.join(map(str, shape))} weights{weights}", {}, dict(x=x, w=w, y=y, dy=dy, dx=x.grad, dw=w.grad))
    f.write()


def log_softmax():
    f = File("log_softmax")
    for shape, dim, what in [((4, 10), 1, ""), ((4, 10), 0, ""), ((1, 1), 1, ""), ((5, 2), 1, ""), ((3, 17), 1, ""), ((2, 70), 1, ""), ((2, 3, 4), 1, ""), ((2, 3, 4), 2, ""), ((2, 5, 3, 2), 1, ""), ((2, 5, 3, 2), 3, ""),
                             ((0, 4), 1, ""), ((4, 10), 1, "large"), ((3, 5, 4), 1, "large"), ((4, 6), 1, "masked"), ((3, 4), 1, "all masked"), ((3, 4), 1, "nan")]:
        x = grid(*shape)
        if what == "large":
            x = x * 4096
        if what == "masked":
            x[:, ::2] = -INF
        if what == "all masked":
            x[1] = -INF
        if what == "nan":
            x[1, 2] = NAN
        x = leaf(x)
        y = F.log_softmax(x, dim)
        dy = grid(*shape)
        y.backward(dy)
        f.case(f"log_softmax {'x'.join(map(str, shape))} dim{dim} {what}".strip(), dict(dim=dim), dict(x=x, y=y, dy=dy, dx=x.grad))
    f.write()


def rectifier():
    """ELU, Softplus and Hardswish. Not at 0 with a negative alpha, at -0 (ELU) and at the bends (Hardswish's gradient), where later versions of PyTorch give something else."""
    f = File("rectifier")
    edges = [0.0, NAN, INF, -INF, 2.0**-60, -(2.0**-60), 2.0**-12, -(2.0**-12), 0.5, -0.5, 1, -1, 2, -2, 6, -6, 20, -20, 40, -40, 100, -100, 1000, -1000, 2.0**100, -(2.0**100)]
    for kind, value, threshold in [("elu", 1.0, None), ("elu", 0.25, None), ("elu", -1.5, None), ("softplus", 1.0, 20.0), ("softplus", 0.5, 20.0), ("softplus", 4.0, 3.0), ("softplus", -1.0, 20.0), ("hardswish", None, None)]:
        for name, values in dict(random=grid(3, 37, span=768) + 1 / 256, dense=torch.arange(-79, 80, 2).double() / 16, edges=torch.tensor(edges[value is not None and value < 0:])).items():
            x = leaf(values)
            y = F.elu(x, value) if kind == "elu" else F.softplus(x, value, threshold) if kind == "softplus" else F.hardswish(x)
            dy = grid(*values.shape) + 4 if name == "edges" else grid(*values.shape)
            y.backward(dy)
            f.case(f"{kind}{'' if value is None else f' {value}'} {name}", dict(kind=kind, value=value, threshold=threshold), dict(x=x, y=y, dy=dy, dx=x.grad))
    f.write()


def element_loss():
    f = File("element_loss")
    shapes = [(1,), (4, 5), (2, 3, 4), (9, 7), (0, 3)]
    for kind, bends in [("absolute", [None]), ("huber", [1.0, 0.25, 3.0]), ("smooth_l1", [1.0, 0.25, 3.0])]:
        for shape, bend, reduction in itertools.product(shapes, bends, ("mean", "sum")):
            x, t = leaf(grid(*shape)), grid(*shape)
            if len(shape) == 2 and shape[0] == 4:
                with torch.no_grad():
                    x[0], x[1, 0], x[1, 1] = t[0], t[1, 0] + (bend or 1), t[1, 1] - (bend or 1)  # no difference, and where the function bends
            function = {"absolute": F.l1_loss, "huber": F.huber_loss, "smooth_l1": F.smooth_l1_loss}[kind]
            y = function(x, t, reduction=reduction, **{} if bend is None else {"delta" if kind == "huber" else "beta": bend})
            y.backward()
            f.case(f"{kind} {'x'.join(map(str, shape))}{'' if bend is None else f' bend{bend}'} {reduction}", dict(kind=kind, bend=bend, reduction=reduction), dict(x=x, targets=t, loss=y, dx=x.grad))
    for shape, weights, reduction, scale in [((1,), 0, "mean", 1), ((4, 5), 0, "mean", 1), ((4, 5), 0, "sum", 1), ((4, 5), 5, "mean", 1), ((4, 5), 5, "sum", 1), ((4, 5), 1, "mean", 1), ((2, 3, 4), 4, "mean", 1), ((9, 7), 7, "mean", 1),
                                             ((9, 7), 0, "mean", 64), ((9, 7), 7, "sum", 64), ((9, 7), 0, "mean", 1024), ((0, 3), 0, "sum", 1)]:
        x = leaf(grid(*shape) * scale)
        t = torch.randint(0, 2, shape).double() if scale > 1 else torch.randint(0, 129, shape).double() / 128
        weight = torch.randint(0, 512, (weights,)).double() / 128 if weights else None
        y = F.binary_cross_entropy_with_logits(x, t, pos_weight=weight, reduction=reduction)
        y.backward()
        f.case(f"bce {'x'.join(map(str, shape))} weights{weights} {reduction} scale{scale}", dict(kind="bce_with_logits", reduction=reduction), dict(x=x, targets=t, pos_weight=weight, loss=y, dx=x.grad))
    f.write()


def upsample():
    f = File("upsample")
    cases = [  # shape, scale or None, size or None, mode, align_corners
        ((1, 1, 1, 1), 1, None, "nearest", None), ((2, 3, 3, 4), 2, None, "nearest", None), ((1, 17, 2, 3), (3, 2), None, "nearest", None), ((2, 1, 5, 4), (1, 7), None, "nearest", None),
        ((2, 3, 5, 7), None, (7, 3), "nearest", None), ((1, 2, 6, 9), None, (4, 13), "nearest", None), ((1, 1, 7, 5), None, (7, 10), "nearest", None), ((1, 3, 4, 6), None, (1, 1), "nearest", None),
        ((0, 3, 2, 2), 2, None, "nearest", None),
    ]
    for align in (False, True):
        cases += [((1, 1, 1, 1), 1, None, "bilinear", align), ((1, 1, 1, 1), 3, None, "bilinear", align), ((2, 3, 3, 4), 2, None, "bilinear", align), ((1, 17, 2, 3), (3, 2), None, "bilinear", align),
                  ((2, 1, 5, 4), (1, 5), None, "bilinear", align), ((1, 2, 1, 6), 2, None, "bilinear", align), ((2, 3, 5, 7), None, (7, 3), "bilinear", align), ((1, 2, 6, 9), None, (4, 13), "bilinear", align),
                  ((1, 1, 7, 5), None, (7, 10), "bilinear", align), ((1, 3, 4, 6), None, (1, 1), "bilinear", align), ((1, 2, 9, 11), None, (2, 3), "bilinear", align), ((1, 17, 3, 3), None, (3, 3), "bilinear", align),
                  ((0, 3, 2, 2), 2, None, "bilinear", align)]
    for shape, scale, size, mode, align in cases:
        x = leaf(grid(*shape))
        if scale is not None:
            size = tuple(n * s for n, s in zip(shape[2:], pair(scale)))
        if shape[0] == 0:  # PyTorch's refuses
            y = x.new_zeros(0, shape[1], *size)
            dy = y
        else:
            y = torch.nn.Upsample(scale_factor=None if scale is None else tuple(map(float, pair(scale))), size=size if scale is None else None, mode=mode, align_corners=align)(x)
            dy = grid(*y.shape)
            y.backward(dy)
        assert tuple(y.shape[2:]) == size
        by = f"scale {'x'.join(map(str, pair(scale)))}" if scale is not None else f"size {'x'.join(map(str, size))}"
        f.case(f"{mode} {'x'.join(map(str, shape))} {by}{' align' if align else ''}", dict(mode=mode, align_corners=bool(align)),
               dict(x=x, y=y, dy=dy, dx=torch.zeros(shape) if shape[0] == 0 else x.grad))
    f.write()


def adaptive_pool():
    f = File("adaptive_pool")
    for shape, size in [((2, 3, 4, 5), (1, 1)), ((2, 3, 7, 5), (3, 2)), ((1, 17, 7, 9), (7, 7)), ((1, 1, 5, 8), (2, 8)), ((1, 2, 3, 4), (7, 5)), ((1, 3, 1, 1), (2, 3)), ((2, 1, 10, 6), (4, 6)), ((3, 2, 2, 11), (1, 4)),
                        ((0, 3, 4, 4), (2, 2))]:
        x = leaf(grid(*shape))
        y = torch.nn.AdaptiveAvgPool2d(size)(x)
        dy = grid(*y.shape)
        if shape[0]:  # PyTorch's backward refuses an empty batch
            y.backward(dy)
        f.case(f"adaptive {'x'.join(map(str, shape))} to {size[0]}x{size[1]}", {}, dict(x=x, y=y, dy=dy, dx=x.grad if shape[0] else torch.zeros(shape)))
    f.write()


def pad():
    f = File("pad")
    for shape, lrtb in [((2, 3, 4, 5), (1, 1, 1, 1)), ((1, 17, 3, 2), (0, 2, 1, 0)), ((2, 1, 2, 3), (3, 0, 0, 2)), ((1, 3, 5, 6), (-1, 2, 0, -2)), ((1, 2, 4, 5), (-2, -1, -1, -2)), ((1, 3, 3, 3), (0, 0, 0, 0)),
                        ((1, 1, 1, 1), (2, 1, 0, 3)), ((2, 17, 5, 4), (4, -3, -4, 6)), ((0, 3, 2, 2), (1, 1, 1, 1))]:
        x = leaf(grid(*shape))
        y = torch.nn.ZeroPad2d(lrtb)(x)
        dy = grid(*y.shape)
        y.backward(dy)
        f.case(f"pad {'x'.join(map(str, shape))} by {' '.join(map(str, lrtb))}", dict(zip(("left", "right", "top", "bottom"), lrtb)), dict(x=x, y=y, dy=dy, dx=x.grad))
    f.write()


def group_norm():
    f = File("group_norm")
    for shape, groups, affine, eps, offset in [((4, 6), 3, True, 1e-5, 0), ((4, 6), 1, False, 1e-5, 0), ((2, 3, 5), 3, True, 1e-5, 0), ((2, 6, 5), 2, True, 1e-5, 0), ((1, 17, 9), 1, True, 1e-3, 0),
                                               ((2, 6, 4, 3), 2, True, 1e-5, 0), ((2, 6, 4, 3), 3, False, 1e-5, 0), ((3, 3, 3, 5), 3, True, 1e-5, 0), ((1, 17, 5, 7), 17, True, 1e-5, 0), ((1, 1, 3, 3), 1, True, 1e-5, 0),
                                               ((2, 17, 3, 2), 1, True, 1e-5, 0), ((2, 4, 5, 5), 2, True, 1e-5, 1000), ((2, 4, 5, 5), 2, True, 1e-12, 0), ((2, 4, 3), 2, True, 1e-5, -500), ((0, 4, 3, 3), 2, True, 1e-5, 0),
                                               ((2, 4, 1, 1), 2, True, 1e-5, 0)]:
        x, w, b = leaf(grid(*shape) + offset), leaf(grid(shape[1])) if affine else None, leaf(grid(shape[1])) if affine else None
        y = F.group_norm(x, groups, w, b, eps)
        dy = grid(*shape)
        y.backward(dy)
        f.case(f"group_norm {'x'.join(map(str, shape))} groups {groups} eps{eps} off{offset}{'' if affine else ' plain'}", dict(eps=eps, groups=groups),
               dict(x=x, w=w, b=b, y=y, dy=dy, dx=x.grad, dw=w.grad if affine else None, db=b.grad if affine else None))
    f.write()


def layers():
    """Single layers, of odd images with height and width that differ, and a network of most of them. In inference they give what they give in training."""
    f = File("layers")
    nn = torch.nn

    def case(kind, net, shape, params, x=None):
        name = [kind, "x".join(map(str, shape))] + [f"{k} {v}" for k, v in params.items()]
        state_case(f, " ".join(name), net, shape, dict(kind=kind, **params), span=64, x=x, inferred=False)

    for shape, lrtb in [((2, 3, 4, 5), (1, 2, 3, 4)), ((3, 5, 5, 3), (4, 1, 0, 2)), ((2, 3, 5, 7), (3, -2, -1, 4)), ((2, 9, 3, 6), (-1, -3, 2, -1))]:
        case("pad", nn.ZeroPad2d(lrtb), shape, dict(zip(("left", "right", "top", "bottom"), lrtb)))
    for shape, scale, size, mode, align in [
        ((2, 3, 3, 5), (3, 2), None, "nearest", None), ((3, 5, 5, 4), None, (4, 7), "nearest", None),
        ((2, 3, 3, 5), (2, 3), None, "bilinear", False), ((2, 3, 3, 5), (2, 3), None, "bilinear", True),
        ((3, 5, 5, 4), None, (3, 7), "bilinear", False), ((3, 5, 5, 4), None, (3, 7), "bilinear", True),
    ]:
        by = dict(zip(("size_h", "size_w"), size)) if scale is None else dict(zip(("scale_h", "scale_w"), scale))
        net = nn.Upsample(scale_factor=None if scale is None else tuple(map(float, scale)), size=size, mode=mode, align_corners=align)
        case("upsample", net, shape, dict(mode=mode, align_corners=int(bool(align)), **by))
    for shape, size in [((2, 3, 7, 9), (5, 4)), ((3, 5, 5, 8), (3, 7)), ((2, 3, 4, 3), (5, 7)), ((2, 3, 7, 4), (3, None))]:
        case("adaptive", nn.AdaptiveAvgPool2d(size), shape, dict(size_h=size[0], size_w=size[1] or "same"))
    for shape, groups, eps, affine in [((3, 6, 5, 4), 3, 1e-5, True), ((2, 9, 3, 5), 3, 0.5, True), ((2, 5, 4, 3), 5, 1e-5, True), ((2, 6, 3, 5), 2, 1e-5, False),
                                       ((3, 6, 7), 2, 1e-5, True), ((3, 10), 2, 1e-5, True)]:
        case("group_norm", nn.GroupNorm(groups, shape[1], eps, affine), shape, dict(groups=groups, eps=eps, affine=int(affine)))
    for shape, weights in [((2, 3, 5, 4), 1), ((3, 5, 4, 3), 5), ((2, 9, 3, 5), 9), ((3, 5, 7), 5), ((3, 7), 7)]:
        case("prelu", nn.PReLU(weights), shape, dict(weights=weights))
    for kind, net, params in [("elu", nn.ELU(), dict(alpha=1.0)), ("elu", nn.ELU(0.25), dict(alpha=0.25)), ("softplus", nn.Softplus(), dict(beta=1.0, threshold=20.0)),
                              ("softplus", nn.Softplus(4.0, 3.0), dict(beta=4.0, threshold=3.0)), ("hardswish", nn.Hardswish(), {})]:
        shape = (3, 5, 2, 7)
        case(kind, net, shape, params, x=grid(*shape, span=640) + 1 / 256)  # both sides of where Hardswish bends, and never upon it
    for shape, dim in [((3, 7), 1), ((2, 5, 3), 1), ((2, 5, 3), 2), ((2, 5, 3, 4), 1), ((3, 3, 5, 2), 2), ((2, 3, 2, 5), 3)]:
        case("log_softmax", nn.LogSoftmax(dim), shape, dict(dim=dim))
    chain = nn.Sequential(nn.ZeroPad2d((2, 0, 1, 3)), nn.Conv2d(3, 6, (2, 3)), nn.GroupNorm(3, 6), nn.PReLU(6), nn.Upsample(size=(11, 6), mode="bilinear", align_corners=True),
                          nn.Conv2d(6, 5, 3, padding=1), nn.Hardswish(), nn.Upsample(scale_factor=(1.0, 2.0)), nn.Softplus(2.0), nn.AdaptiveAvgPool2d((4, 5)), nn.GroupNorm(5, 5),
                          nn.ELU(0.5), nn.PReLU(), nn.ZeroPad2d((-1, 1, 0, -2)), nn.LogSoftmax(1))
    case("chain", chain, (2, 3, 5, 4), {})
    f.write()


def unflatten():
    """Features that become images: a decoder, and images that were flattened before."""
    f = File("unflatten")
    nn = torch.nn
    decoder = nn.Sequential(nn.Linear(5, 24), nn.ReLU(), nn.Unflatten(1, (2, 3, 4)), nn.ConvTranspose2d(2, 3, 3, 2, 1), nn.Sigmoid())
    state_case(f, "decoder", decoder, (3, 5), dict(kind="decoder"), span=64)
    alone = nn.Sequential(nn.Unflatten(1, (3, 2, 5)), nn.Softplus())
    state_case(f, "alone", alone, (2, 30), dict(kind="alone"), span=64, inferred=False)
    back = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Tanh(), nn.Unflatten(1, (3, 2, 3)), nn.Conv2d(3, 2, 2), nn.Flatten(), nn.Linear(4, 3))
    state_case(f, "back", back, (2, 2, 4, 5), dict(kind="back"), span=64)
    other = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Identity(), nn.Flatten(), nn.Unflatten(1, (2, 3, 3)), nn.Conv2d(2, 2, 2))
    state_case(f, "other", other, (2, 2, 4, 5), dict(kind="other"), span=64)
    f.write()


def loss_map():
    f = File("loss_map")
    # shape of the logits (classes second), smoothing, ignore_index, ignored places, weighted, reduction
    for shape, smoothing, ignore, ignored, weighted, reduction in [
        ((2, 3, 4, 5), 0.0, -100, 0, False, "mean"), ((2, 3, 4, 5), 0.1, -100, 7, True, "mean"), ((3, 4, 1, 3), 0.2, 2, 2, True, "sum"),
        ((1, 2, 3, 3), 0.0, -100, 4, True, "mean"), ((2, 17, 3, 2), 0.1, -100, 1, True, "mean"), ((3, 5, 7), 0.0, -100, 3, False, "mean"),
        ((2, 4, 6), 0.1, 1, 4, True, "sum"),
    ]:
        x = leaf(grid(*shape))
        labels = torch.randint(0, shape[1], shape[:1] + shape[2:])
        labels.view(-1)[torch.randperm(labels.numel())[:ignored]] = ignore
        weights = torch.randint(1, 256, (shape[1],)).double() / 128 if weighted else None
        y = F.cross_entropy(x, labels, weights, ignore_index=ignore, reduction=reduction, label_smoothing=smoothing)
        y.backward()
        f.case(f"{'x'.join(map(str, shape))} e{smoothing} ignore{ignore}:{ignored}{' weighted' if weighted else ''} {reduction}",
               dict(label_smoothing=smoothing, ignore_index=ignore, reduction=reduction), dict(x=x, labels=labels, class_weights=weights, loss=y, dx=x.grad))
    f.write()


def loss_soft_map():
    f = File("loss_soft_map")
    # shape of the logits (classes second), smoothing, weighted, reduction
    for shape, smoothing, weighted, reduction in [
        ((2, 3, 4, 5), 0.0, False, "mean"), ((3, 4, 1, 3), 0.2, True, "mean"), ((2, 17, 3, 2), 0.1, True, "sum"), ((3, 5, 7), 0.0, True, "mean"), ((2, 4, 6), 0.1, False, "sum"),
    ]:
        x = leaf(grid(*shape))
        targets = torch.softmax(grid(*shape), 1)
        weights = torch.randint(1, 256, (shape[1],)).double() / 128 if weighted else None
        y = F.cross_entropy(x, targets, weights, reduction=reduction, label_smoothing=smoothing)
        y.backward()
        f.case(f"{'x'.join(map(str, shape))} e{smoothing}{' weighted' if weighted else ''} {reduction}",
               dict(label_smoothing=smoothing, reduction=reduction), dict(x=x, targets=targets, class_weights=weights, loss=y, dx=x.grad))
    f.write()


def orthogonalized(d, steps, eps=1e-7):
    """torch.optim.Muon's iteration, without its rounding to bf16."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = d.T if d.size(0) > d.size(1) else d
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if d.size(0) > d.size(1) else x


def muon():
    f = File("muon")
    for shape, options in itertools.product(((3, 5), (7, 2), (4, 4), (1, 6), (5, 2, 3, 3)),
                                            (dict(), dict(weight_decay=0.5), dict(nesterov=False, momentum=0.5), dict(factor="match_rms_adamw", ns_steps=3), dict(ns_steps=0, learning_rate=0.01))):
        o = dict(learning_rate=0.1, momentum=0.95, weight_decay=0.0, nesterov=True, factor="original", ns_steps=5)
        o.update(options)
        p, v = grid(*shape), torch.zeros(shape).double()
        values, grads = [p.clone()], []
        for _ in range(6):
            g = grid(*shape)
            v = v + (1 - o["momentum"]) * (g - v)
            d = g + o["momentum"] * (v - g) if o["nesterov"] else v
            matrix = d.reshape(shape[0], -1)
            update = orthogonalized(matrix, o["ns_steps"]).reshape(shape)
            rows, columns = matrix.shape
            factor = max(1, rows / columns) ** 0.5 if o["factor"] == "original" else 0.2 * max(rows, columns) ** 0.5
            p = p * (1 - o["learning_rate"] * o["weight_decay"]) - o["learning_rate"] * factor * update
            grads.append(g)
            values.append(p.clone())
        label = " ".join(f"{k}{v}" for k, v in options.items())
        f.case(f"{'x'.join(map(str, shape))} {label or 'defaults'}", o, dict(grads=torch.stack(grads), values=torch.stack(values)))
    f.write()


for make in (conv2d, linear, batch_norm, layer_norm, max_pool, avg_pool, activation, softmax, loss, optimizer, muon, scheduler, clip, network, conv_transpose2d, branches, element_loss, upsample, group_norm, adaptive_pool, pad, rectifier, log_softmax, prelu, layers, unflatten, loss_map, loss_soft_map):
    if len(sys.argv) < 2 or make.__name__ in sys.argv[1:]:
        make()
