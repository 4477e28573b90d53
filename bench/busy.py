#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a training step takes where other work wants the same processors: on one thread and on several, quiet and busy.

usage: busy.py TRAIN_STEP [--model mlp] [--threads 2] [--rounds 5] [--seconds 1]

Opens TRAIN_STEP (bench/train_step) once for each number of threads; both measure in turns. For the busy half as many processes as threads compute without a
pause. The figures are medians of the rounds' medians.
"""
import argparse
import json
import statistics
import subprocess
import sys


class Step:
    def __init__(self, program, model, threads):
        command = [program, model, "train", "--threads", str(threads), "--serve", "1"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()

    def measure(self, seconds):
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())["ms"]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("train_step")
    p.add_argument("--model", default="mlp")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=1)
    a = p.parse_args()
    counts = [1, a.threads]
    steps = [Step(a.train_step, a.model, n) for n in counts]
    print("| machine | " + " | ".join(f"{n} thread{'s' if n > 1 else ''}, ms" for n in counts) + " | ratio |")
    print("|---|---|---|---|")
    for name, load in [("quiet", 0), ("busy", a.threads)]:
        others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(load)]
        try:
            times = [[s.measure(a.seconds) for s in steps] for _ in range(a.rounds)]
        finally:
            for other in others:
                other.kill()
                other.wait()
        one, several = (statistics.median(column) for column in zip(*times))
        print(f"| {name} | {one:.3f} | {several:.3f} | {several / one:.2f} |", flush=True)
    for s in steps:
        s.process.stdin.close()
        s.process.wait()


if __name__ == "__main__":
    main()
