#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Draws samples a second over the batch, or over the width, from files that compare.py --json wrote.

usage: plot_scaling.py FILE.json ... --out FILE.png [--over batch|width]
One panel for each network and mode, with this library and the fastest setting of PyTorch. Needs gnuplot.
"""
import argparse
import json
import math
import subprocess
import sys


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("files", nargs="+")
    p.add_argument("--out", required=True)
    p.add_argument("--over", choices=["batch", "width"], default="batch")
    a = p.parse_args()
    rows = []
    for name in a.files:
        with open(name, encoding="utf-8") as f:
            rows += json.load(f)
    panels = {}
    for r in rows:
        panels.setdefault((r["model"], r["mode"]), []).append(r)
    panels = {k: sorted(v, key=lambda r: r[a.over]) for k, v in panels.items() if len({r[a.over] for r in v}) > 1}
    if not panels:
        sys.exit(f"error: no network was measured at more than one {a.over}")
    columns = min(2, len(panels))
    lines = [f"set terminal pngcairo size {620 * columns},{400 * math.ceil(len(panels) / columns)} font 'DejaVu Sans,10'", f"set output '{a.out}'",
             f"set multiplot layout {math.ceil(len(panels) / columns)},{columns} title '{rows[0]['processor']}, {rows[0]['threads']} threads, {rows[0]['dla']}'",
             "set logscale x 2", "set logscale y 10",
             "set offsets graph 0.06, graph 0.06, graph 0.08, graph 0.02", "set grid lc rgb '#dddddd'",
             "set key top left", f"set xlabel '{'samples in a batch' if a.over == 'batch' else 'factor on the width'}'",
             "set ylabel 'samples a second'", "set style data linespoints", "set format y '%.0f'"]
    for number, ((model, mode), points) in enumerate(panels.items()):
        lines.append(f"$data{number} << EOD")
        for r in points:
            lines.append(f"{r[a.over]} {1e3 * r['batch'] / r['dla_ms']} {1e3 * r['batch'] / r['pytorch_ms']} {r['ratio']:.2f}")
        lines += ["EOD", f"set title '{model.replace('_', ' ')}, {'training step' if mode == 'train' else 'inference'}'",
                  f"plot $data{number} using 1:2 title 'dla' lw 2 pt 7 lc rgb '#1f5fa8', '' using 1:3 title 'PyTorch, fastest setting' lw 2 pt 5 lc rgb '#c0622b', "
                  "'' using 1:2:(sprintf('%.1f x', $4)) with labels offset 0,0.8 notitle"]
    done = subprocess.run(["gnuplot"], input="\n".join(lines) + "\n", text=True, capture_output=True, check=False)
    if done.returncode != 0 or done.stderr.strip():
        sys.exit(f"error: gnuplot: {done.stderr.strip()}")


if __name__ == "__main__":
    main()
