#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sets two builds of train_step against each other in short turns, for changes that are smaller than what a shared machine's speed wanders.

usage: turns.py BEFORE AFTER MODEL train|infer [--rounds 20] [--seconds 0.1] [-- OPTIONS OF train_step]

A round is before, after, after, before. Prints the median of each and of the rounds' ratios, with their quartiles.
"""
import argparse
import os
import statistics
import sys

sys.dont_write_bytecode = True
from compare import Program  # noqa: E402


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("before")
    p.add_argument("after")
    p.add_argument("model")
    p.add_argument("mode", choices=["train", "infer"])
    p.add_argument("--rounds", type=int, default=20)
    p.add_argument("--seconds", type=float, default=0.1)
    own, options = (sys.argv[1:], []) if "--" not in sys.argv else (sys.argv[1:sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1:])
    a = p.parse_args(own)
    programs = [Program(path, [path, a.model, a.mode, "--serve", "1"] + options, dict(os.environ)) for path in (a.before, a.after)]
    ratios = []
    for _ in range(a.rounds):
        for i in (0, 1, 1, 0):
            programs[i].measure(a.seconds)
        ratios.append(sum(programs[1].times[-2:]) / sum(programs[0].times[-2:]))
    for program in programs:
        program.stop()
    ratios.sort()
    print(f"{a.model} {a.mode}: {programs[0].ms:.4f} ms before, {programs[1].ms:.4f} after; ratio {statistics.median(ratios):.3f} "
          f"({ratios[len(ratios) // 4]:.3f} to {ratios[3 * len(ratios) // 4]:.3f})")


if __name__ == "__main__":
    main()
