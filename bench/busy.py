#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a training step takes where other work wants the same processors: on one thread and on several, quiet and busy.

usage: busy.py TRAIN_STEP [--model mlp] [--threads 2] [--rounds 5] [--seconds 1]

Opens TRAIN_STEP (bench/train_step) once for each number of threads; both measure in turns. For the busy half as many processes as threads compute without a
pause. The figures are medians of the rounds' medians.
"""
import argparse
import os
import subprocess
import sys

sys.dont_write_bytecode = True
from compare import Program  # noqa: E402


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("train_step")
    p.add_argument("--model", default="mlp")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=1)
    a = p.parse_args()
    counts = [1, a.threads]
    steps = [Program(f"{n} threads", [a.train_step, a.model, "train", "--threads", str(n), "--serve", "1"], dict(os.environ)) for n in counts]
    print("| machine | " + " | ".join(f"{n} thread{'s' if n > 1 else ''}, ms" for n in counts) + " | ratio |")
    print("|---|---|---|---|")
    for name, load in [("quiet", 0), ("busy", a.threads)]:
        others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(load)]
        try:
            for step in steps:
                step.times.clear()
            for _ in range(a.rounds):
                for step in steps:
                    step.measure(a.seconds)
        finally:
            for other in others:
                other.kill()
                other.wait()
        one, several = (step.ms for step in steps)
        print(f"| {name} | {one:.3f} | {several:.3f} | {several / one:.2f} |", flush=True)
    for step in steps:
        step.stop()


if __name__ == "__main__":
    main()
