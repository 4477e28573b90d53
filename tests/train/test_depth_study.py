#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs `compare_mlp_depth`: small studies that are trained, killed and continued; table and figures of made-up results; what it refuses.

usage: test_depth_study.py COMPARE_MLP_DEPTH TRAIN SOURCE_ROOT [unittest options]
"""
import json
import math
import os
import pty
import random
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "support"))
from json_change import changed
from png_image import Image

COMPARE, TRAIN, ROOT = map(os.path.abspath, sys.argv[1:4])  # meson gives relative paths when it builds inside the source
# No data from outside: a proxy that nobody answers for keeps downloads from leaving this machine.
ENV = {k: v for k, v in os.environ.items() if k != "DLA_DATA_DIR" and not k.lower().endswith("_proxy")}
ENV |= {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
HAVE_GNUPLOT = shutil.which("gnuplot") is not None

FIGURES = ("validation_losses", "test_accuracies", "gradient_magnitudes", "layer_gradient_comparison")
PALETTE = [tuple(bytes.fromhex(c)) for c in ("0072b2", "d55e00", "009e73", "cc79a7", "e69f00", "56b4e9")]  # dla/io/gnuplot.hpp
CONFIG = """[model]
name = "mlp"
layer_sizes = [128, 10]
[training]
num_epochs = {epochs}
seed = 42
[dataset]
name = "mnist"
"""


def made_up(depths=(5, 10, 20, 30, 50, 100), epochs=20, runs=1, seed=1):
    """Results as a study could give them. No network was trained for these numbers."""
    draw = random.Random(seed)
    experiments = []
    for run in range(runs):
        for depth in depths:
            for residual in (False, True):
                stuck = not residual and depth >= 100
                accuracy = 11.35 if stuck else 98.2 - (0.01 if residual else 0.05) * depth + draw.gauss(0, 0.1)
                history = [{"epoch": e, "train_loss": 2.3 / (1 if stuck else e), "train_accuracy": accuracy,
                            "val_loss": (2.3 + 0.002 * depth + 0.1 * residual) / (1 if stuck else e),
                            "val_accuracy": accuracy if e == epochs else accuracy - 5 / e, "learning_rate": 1e-3,
                            "gradient_norm": 0.02 * math.exp(-(0 if residual else depth / 25) - e / 12 + draw.gauss(0, 0.2))} for e in range(1, epochs + 1)]
                layers = [{"path": f"{i}.weight", "gradient_norm": 0.1 * math.exp(-i * (0.01 if residual else 0.1) + draw.gauss(0, 0.2))}
                          for i in range((depth + 1) * (2 if residual else 1))]
                experiments.append({"depth": depth, "residual": residual, "run": run, "seed": 42 + run, "parameters": 1000 * depth, "diverged": "",
                                    "best_epoch": epochs, "test_loss": 0.1, "test_accuracy": accuracy, "seconds": 1.5 * depth, "history": history,
                                    "layers": layers})
    return {"kind": "dla depth study", "schema": 1, "version": "made up by test_depth_study.py", "isa": "none",
            "settings": {"config": CONFIG.format(epochs=epochs), "dataset": "mnist", "epochs": epochs, "seed": 42, "data_fingerprint": "0"},
            "depths": list(depths), "runs": runs, "experiments": experiments}


def diverge(experiment, epochs):
    experiment.update(diverged="error[numeric] step 9: the loss is not finite", test_loss=None, test_accuracy=None, layers=[], best_epoch=epochs,
                      history=experiment["history"][:epochs])


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="dla_test_")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def compare(self, *options, program=COMPARE, timeout=60, env=ENV):
        done = subprocess.run([program, *options], capture_output=True, text=True, env=env, timeout=timeout, cwd=self.folder)
        self.assertNotRegex(done.stderr, "terminate called|Sanitizer|Segmentation")
        return done

    def write(self, results, *parts):
        os.makedirs(os.path.dirname(self.path(*parts)), exist_ok=True)
        with open(self.path(*parts), "w") as f:
            json.dump(results, f)
        return self.path(*parts)

    def text(self, *parts):
        with open(self.path(*parts), encoding="utf-8") as f:
            return f.read()

    def ok(self, done):
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done

    def refused(self, done, code, pattern, lines=1):
        """Exit status, and error lines on stderr and nothing else there."""
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), lines, done.stderr)
        self.assertRegex(done.stderr, pattern)

    def table(self, text):
        """Rows of the table of results, as lists of cells; its columns must stand under each other."""
        lines = [line for line in text.splitlines() if line.startswith("|")]
        places = [[i for i, c in enumerate(line) if c == "|"] for line in lines]
        self.assertEqual(places, places[:1] * len(places), text)
        self.assertTrue(lines, text)
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        self.assertEqual(rows[0], ["Depth", "Residual", "Train Loss", "Val Loss", "Train Acc", "Val Acc", "Test Acc", "Epochs"])
        self.assertRegex("".join(rows[1]), r"^[-:]+$")
        return rows[2:]


# Drawing is left out where only the table counts, to save its time.
NO_GNUPLOT = ENV | {"PATH": "/nonexistent"}


class Table(Case):
    def load(self, results, *options):
        file = self.write(results, "final_results.json")
        done = self.ok(self.compare("--load", file, "--output-dir", self.path("out"), *options, env=NO_GNUPLOT))
        text = self.text("out", "results.md")
        self.assertNotRegex(done.stdout + text, r"(?i)\b(nan|inf|null|none yet)\b")
        rows = self.table(text)
        self.assertEqual(self.table(done.stdout), rows)  # the terminal shows the same
        return rows, text

    def test_one_run(self):
        results = made_up()
        first = results["experiments"][0]  # early stopping: the best epoch is not the last
        first["best_epoch"] = 3
        first["history"][2].update(train_loss=0.12344, val_loss=0.23456, train_accuracy=97.123, val_accuracy=96.456)
        first["test_accuracy"] = 95.559
        random.Random(3).shuffle(results["experiments"])
        rows, text = self.load(results)
        self.assertEqual(rows[0], ["5", "no", "0.1234", "0.2346", "97.12 %", "96.46 %", "95.56 %", "20"])
        self.assertEqual([row[:2] for row in rows], [[str(d), r] for d in results["depths"] for r in ("no", "yes")])
        self.assertEqual(rows[10][6], "11.35 %")
        self.assertNotIn("±", text)
        for part in ("MNIST", "5, 10, 20, 30, 50, 100", "seed 42", "at most 20 epochs", "num_epochs = 20", "made up by test_depth_study.py"):
            self.assertIn(part, text)
        for figure in FIGURES:
            self.assertIn(f"]({figure}.png)", text)
        for part in ("d + 1 weight layers", "2d + 2 weight layers on its longest path", "Linear from 10 to 10"):
            self.assertIn(part, text)

    def test_several_runs(self):
        results = made_up(depths=(5, 10), runs=4)
        rows, text = self.load(results)
        values = [e["test_accuracy"] for e in results["experiments"] if e["depth"] == 10 and e["residual"]]
        self.assertEqual(rows[3][6], f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f} %")
        self.assertEqual(rows[0][7], "20.0 ± 0.0")
        self.assertIn("4 runs, seeds 42 to 45", text)

    def test_missing_and_diverged(self):
        results = made_up(depths=(5, 10, 30), runs=3)
        keep = {(5, True): (0, 1), (10, False): ()}
        results["experiments"] = [e for e in results["experiments"] if e["run"] in keep.get((e["depth"], e["residual"]), (0, 1, 2))]
        for e in results["experiments"]:
            if (e["depth"], e["residual"]) == (30, False) or (e["depth"], e["residual"], e["run"]) == (30, True, 1):
                diverge(e, 2)
        rows, text = self.load(results)
        self.assertEqual(rows[1][7], "20.0 ± 0.0 (2 of 3 runs)")
        self.assertEqual(rows[2][2:], ["not trained"] * 5 + ["0"])
        self.assertEqual(rows[4][2:], ["diverged"] * 5 + ["2.0 ± 0.0"])
        values = [e["test_accuracy"] for e in results["experiments"] if e["depth"] == 30 and e["residual"] and not e["diverged"]]
        self.assertEqual(rows[5][6:], [f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f} %", "20.0 ± 0.0 (2 of 3 runs)"])
        for line in ("- depth 5 residual: 1 of 3 runs not trained yet", "- depth 10 plain: 3 of 3 runs not trained yet",
                     "- depth 30 residual, run 2 diverged after 2 epochs: `error[numeric] step 9: the loss is not finite`"):
            self.assertIn(line + "\n", text)

    def test_nothing_yet(self):
        results = made_up(depths=(5,))
        results["experiments"] = []
        rows, text = self.load(results)
        self.assertEqual(rows[0][2:], ["not trained"] * 5 + ["0"])
        self.assertIn("- depth 5 plain not trained yet\n", text)

    def test_quiet(self):
        file = self.write(made_up(), "final_results.json")
        done = self.ok(self.compare("--load", file, "--quiet", env=NO_GNUPLOT))
        self.assertTrue(all(line.startswith("|") for line in done.stdout.splitlines()), done.stdout)

    def test_which_file(self):
        for name, depths in (("intermediate", (7, 8)), ("final", (3, 4))):
            self.write(made_up(depths=depths, epochs=2), "mlp_results", name + "_results.json")
        self.assertIn("|     3 |", self.ok(self.compare("--load", env=NO_GNUPLOT)).stdout)  # the default folder, the final results
        os.remove(self.path("mlp_results", "final_results.json"))
        self.assertIn("|     7 |", self.ok(self.compare("--load", env=NO_GNUPLOT)).stdout)
        os.rename(self.path("mlp_results"), self.path("other"))
        self.assertIn("|     7 |", self.ok(self.compare("--load", "--output-dir", "other", env=NO_GNUPLOT)).stdout)
        self.refused(self.compare("--load"), 6, r"\Aerror\[io\] mlp_results: no results to load")
        os.remove(self.path("other", "results.md"))
        self.ok(self.compare("--load", self.path("other", "intermediate_results.json"), env=NO_GNUPLOT))  # beside the file that was named
        self.assertTrue(os.path.exists(self.path("other", "results.md")))
        self.assertFalse(os.path.exists(self.path("mlp_results")))


class Figures(Case):
    def setUp(self):
        super().setUp()
        if not HAVE_GNUPLOT:
            self.skipTest("gnuplot is not installed")

    def draw(self, results):
        done = self.ok(self.compare("--load", self.write(results, "r.json"), "--output-dir", self.path("out")))
        self.assertEqual(done.stderr, "")
        return done

    def rows(self, figure):
        """The numbers a figure is drawn from."""
        lines = self.text("out", figure + ".dat").splitlines()
        return [list(map(float, line.split())) for line in lines if line and line[0] != "#"]

    def caption(self, figure):
        """The note under a figure: lines in small type, the last one first."""
        lines = re.findall(r"set label \d+ '(.*)' at .* font ',14'", self.text("out", figure + ".gp"))
        return " ".join(lines[:len(lines) // 2][::-1])  # PNG, SVG

    def image(self, figure):
        image = Image(self.path("out", figure + ".png"))
        self.assertEqual(image.width, 1600)
        white = b"\xff" * (3 * image.width)
        for y in (*range(4), *range(image.height - 4, image.height)):  # nothing is cut off at the edges
            self.assertEqual(image.rows[y], white, f"{figure} row {y}")
        for row in image.rows:
            self.assertEqual((row[:12], row[-12:]), (white[:12], white[:12]), figure)
        return image

    def test_all(self):
        done = self.draw(made_up())
        names = {"results.md"} | {f + end for f in FIGURES for end in (".png", ".svg", ".gp", ".dat")}
        self.assertEqual(set(os.listdir(self.path("out"))), names)
        for figure in FIGURES:
            self.assertIn(os.path.join("out", figure + ".png"), done.stdout)
            self.assertIn("</svg>", self.text("out", figure + ".svg")[-20:])
            image = self.image(figure)
            for color in PALETTE:  # the same colour for the same depth in all of them
                pixels = sum(image.count(color, y) for y in range(image.height))
                self.assertGreater(pixels, 60, f"{figure} {color}")
            if figure in ("validation_losses", "gradient_magnitudes"):
                for color in PALETTE:  # the legend, below the axes: plain dashed over residual solid
                    lines = image.bands(color, image.height - 200, image.height)
                    self.assertEqual(len(lines), 2, f"{figure} {color}")
                    self.assertGreater(lines[0], 0.4 * lines[1])
                    self.assertLess(lines[0], 0.8 * lines[1])

    def test_dashed_and_solid(self):
        results = made_up(depths=(5,))
        for e in results["experiments"]:
            for row in e["history"]:
                row["val_loss"] = 1.5 if e["residual"] else 2.5
        self.draw(results)
        image = self.image("validation_losses")
        plain, residual = image.bands(PALETTE[0], 0, image.height - 200)
        self.assertGreater(residual, 1300)  # nearly as wide as the axes
        self.assertLess(plain, 0.8 * residual)
        self.assertGreater(plain, 0.4 * residual)

    def test_one_epoch_is_visible(self):
        self.draw(made_up(depths=(5, 10), epochs=1))
        for figure in ("validation_losses", "gradient_magnitudes"):
            image = self.image(figure)
            for color in PALETTE[:2]:
                self.assertGreater(sum(image.count(color, y) for y in range(image.height - 200)), 30, figure)

    def test_several_runs_have_bands(self):
        results = made_up(depths=(5, 10), runs=3)
        self.draw(results)
        for figure, style in zip(FIGURES, ("filledcurves", "yerrorbars", "filledcurves", "filledcurves")):
            self.assertIn(style, self.text("out", figure + ".gp"))
            self.assertIn("one sample standard deviation", self.text("out", figure + ".gp"))
        values = [[e["history"][i]["gradient_norm"] for e in results["experiments"] if e["depth"] == 5 and not e["residual"]] for i in range(20)]
        rows = [list(map(float, line.split())) for line in self.text("out", "gradient_magnitudes.dat").splitlines()[1:21]]
        for (epoch, mean, low, high), v in zip(rows, values):
            deviation = statistics.stdev(v)
            self.assertAlmostEqual(mean, statistics.mean(v), 12)
            self.assertAlmostEqual(high, mean + deviation, 12)
            self.assertAlmostEqual(low, max(mean - deviation, min(v)), 12)
        self.assertTrue(any(abs(low - min(v)) < 1e-12 for (_, _, low, _), v in zip(rows, values)))
        self.draw(made_up(depths=(5, 10), runs=1))
        self.assertNotIn("filledcurves", self.text("out", "gradient_magnitudes.gp"))

    def test_curves_of_different_length(self):
        results = made_up(depths=(5,), runs=3)
        for e in results["experiments"]:
            if not e["residual"]:
                length = 4 + e["run"]  # 4, 5, 6
                e.update(history=e["history"][:length], best_epoch=length)
                for row in e["history"]:
                    row["val_loss"] = 1.0 + e["run"]
        self.draw(results)
        rows = self.rows("validation_losses")[:6]
        self.assertEqual([row[:2] for row in rows[:5]], [[1, 2], [2, 2], [3, 2], [4, 2], [5, 2.5]])
        self.assertEqual([row[2:] for row in rows[:4]], [[1, 3]] * 4)  # a linear axis: the whole deviation
        self.assertTrue(all(map(math.isnan, rows[5][1:])), rows)  # one run of three is left
        results["experiments"] = [e for e in results["experiments"] if e["run"] != 1]
        self.draw(results)
        rows = self.rows("validation_losses")[:6]
        self.assertEqual([row[:2] for row in rows], [[1, 2], [2, 2], [3, 2], [4, 2], [5, 3], [6, 3]])
        self.assertTrue(all(not math.isnan(low) and low < high for _, _, low, high in rows[:4]), rows)
        self.assertTrue(all(math.isnan(v) for row in rows[4:] for v in row[2:]), rows)  # one of two: no spread can be known
        results["experiments"] = [e for e in results["experiments"] if e["residual"] or e["run"] == 0]
        self.draw(results)
        self.assertEqual(self.text("out", "validation_losses.gp").count("filledcurves"), 2)  # PNG, SVG: of the residual networks only
        diverge(next(e for e in results["experiments"] if e["residual"] and e["run"] == 2), 2)
        for e in results["experiments"]:
            if e["residual"] and not e["diverged"]:
                copied = e
        for run in (1, 3, 4):
            results["experiments"].append({**copied, "run": run, "seed": 42 + run})
            if run > 1:
                diverge(results["experiments"][-1], 2)
        results["runs"] = 5  # residual: 2 trained, 3 diverged
        self.draw(results)
        losses, layers = (self.rows(figure) for figure in ("validation_losses", "layer_gradient_comparison"))
        self.assertEqual([math.isnan(row[1]) for row in losses[4:]], [False] * 2 + [True] * 18)
        self.assertEqual(sum(math.isnan(row[1]) for row in layers), 0)  # of those that were tested

    def test_captions(self):
        """They speak of a logarithmic axis where there is one, and of means where there are several runs."""
        results = made_up(depths=(5,), runs=3)
        for span, logarithmic in ((1.5, False), (100, True)):
            for e in results["experiments"]:
                for row in e["history"]:
                    row["val_loss"] = 1.0 if row["epoch"] == 1 else span
            self.draw(results)
            caption = self.caption("validation_losses")
            self.assertEqual("on a logarithmic axis not below the smallest value" in caption, logarithmic)
            self.assertIn("as long as these are at least half", caption)
            self.assertNotIn("A curve ends", caption)
            for figure in FIGURES[1:]:
                self.assertIn("on a logarithmic axis not below the smallest value", self.caption(figure))
        self.draw(made_up(depths=(5,)))
        self.assertEqual(self.caption("validation_losses"), "A curve ends where training stopped.")

    def test_one_depth_is_named(self):
        self.draw(made_up(depths=(7,)))
        for figure in ("validation_losses", "gradient_magnitudes", "layer_gradient_comparison"):
            self.assertIn("depth 7", self.text("out", figure + ".gp"))
        self.assertIn("'7' 7", self.text("out", "test_accuracies.gp"))

    def test_ticks_at_the_depths(self):
        self.draw(made_up())
        self.assertEqual(self.text("out", "test_accuracies.gp").count("set xtics ('5' 5, '10' 10, '20' 20, '30' 30, '50' 50, '100' 100)"), 4)  # panels, formats

    def test_same_axes_for_all_depths(self):
        self.draw(made_up())
        script = self.text("out", "layer_gradient_comparison.gp")
        ranges = re.findall(r"set yrange (.*)", script)
        self.assertEqual(len(ranges), 12)  # panels, formats
        self.assertEqual(len(set(ranges)), 1)

    def test_zeros_and_nothing(self):
        results = made_up(depths=(5, 10), epochs=3)
        for e in results["experiments"]:
            e["test_accuracy"] = 100.0
            for row in e["history"] + e["layers"]:
                row["gradient_norm"] = 0.0
        self.draw(results)
        self.assertIn("A gradient of 0 is not drawn.", self.text("out", "gradient_magnitudes.gp"))
        self.assertIn("An error of 0 % has no place", self.text("out", "test_accuracies.gp"))
        results["experiments"] = []
        self.draw(results)
        self.assertIn("Not trained: depth 5 plain", self.text("out", "gradient_magnitudes.gp"))


DIGITS = {"dataset.name": "digits", "dataset.size": "1500", "dataset.val_size": "300", "training.batch_size": "64"}


def sets(settings):
    return [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]


class Study(Case):
    """Networks that are really trained, on digits."""
    SMALL = ("--depths", "3", "1", "--epochs", "2", "--set", 'dataset.name="digits"', "--set", "dataset.size=600", "--set", "dataset.val_size=100")

    def test_from_training_to_table(self):
        done = self.ok(self.compare(*self.SMALL, "--runs", "2", env=NO_GNUPLOT))
        with open(self.path("mlp_results", "final_results.json")) as f:
            results = json.load(f)
        self.assertEqual((results["kind"], results["schema"], results["depths"], results["runs"]), ("dla depth study", 2, [3, 1], 2))
        order = [(e["run"], e["depth"], e["residual"]) for e in results["experiments"]]
        self.assertEqual(order, [(run, depth, residual) for run in (0, 1) for depth in (1, 3) for residual in (False, True)])
        rows = self.table(self.text("mlp_results", "results.md"))
        self.assertEqual(rows, self.table(done.stdout))
        self.assertEqual([row[:2] for row in rows], [["1", "no"], ["1", "yes"], ["3", "no"], ["3", "yes"]])
        for row in rows:
            runs = [e for e in results["experiments"] if (str(e["depth"]), "yes" if e["residual"] else "no") == tuple(row[:2])]
            best = [max(e["history"], key=lambda m: m["val_accuracy"]) for e in runs]
            self.assertEqual([e["best_epoch"] for e in runs], [b["epoch"] for b in best])
            for column, values in ((3, [b["val_loss"] for b in best]), (6, [e["test_accuracy"] for e in runs])):
                digits, unit = (4, "") if column == 3 else (2, " %")
                self.assertEqual(row[column], f"{statistics.mean(values):.{digits}f} ± {statistics.stdev(values):.{digits}f}{unit}")
        before = self.text("mlp_results", "results.md")
        os.remove(self.path("mlp_results", "results.md"))
        self.ok(self.compare("--load", env=NO_GNUPLOT))
        self.assertEqual(self.text("mlp_results", "results.md"), before)

    def study(self, out, *options, settings=None):
        return self.compare("--depths", "1", "3", "--epochs", "2", *sets(settings or DIGITS), "--output-dir", self.path(out), *options)

    def results(self, out, name="final_results.json"):
        with open(self.path(out, name)) as f:
            return json.load(f)

    def measured(self, out, name="final_results.json"):
        """Results without what depends on the clock."""
        results = self.results(out, name)
        for e in results["experiments"]:
            del e["seconds"]
        return results

    def test_a_study(self):
        done = self.ok(self.study("out"))
        self.assertEqual(done.stderr, "")
        self.assertNotRegex(done.stdout, "[\r\033]")
        lines = re.findall(r"^\[ *(\d)/4\] depth +(\d) (plain   |residual) .*val acc +[\d.]+ %  test acc +[\d.]+ %", done.stdout, re.M)
        self.assertEqual([(n, d, k.strip()) for n, d, k in lines], [("1", "1", "plain"), ("2", "1", "residual"), ("3", "3", "plain"), ("4", "3", "residual")])
        results = self.results("out")
        self.assertEqual(results, self.results("out", "intermediate_results.json"))
        self.assertEqual([(e["depth"], e["residual"], e["run"], e["seed"]) for e in results["experiments"]],
                         [(1, False, 0, 42), (1, True, 0, 42), (3, False, 0, 42), (3, True, 0, 42)])
        for e in results["experiments"]:
            self.assertEqual([m["epoch"] for m in e["history"]], [1, 2])
            self.assertTrue(all(m["gradient_norm"] > 0 for m in e["history"]))
            best = max(e["history"], key=lambda m: m["val_accuracy"])
            self.assertEqual(e["best_epoch"], best["epoch"])
            self.assertTrue(10 < e["test_accuracy"] <= 100)
            self.assertTrue(all(layer["gradient_norm"] > 0 for layer in e["layers"]))
        # Plain: depth + 1 Linear layers. Residual: the first, two for each block, a projection where widths differ, the last.
        paths = [[layer["path"] for layer in e["layers"]] for e in results["experiments"]]
        self.assertEqual(paths[0], ["1.0.weight", "2.weight"])
        self.assertEqual(paths[1], ["1.0.weight", "2.block.0.0.weight", "2.block.1.0.weight", "2.shortcut.weight", "3.weight"])
        self.assertEqual(len(paths[2]), 4)
        self.assertEqual(len(paths[3]), 1 + 3 * 2 + 3 + 1)
        # [128, 10]: (784 + 1) 128 + 2 128 + (128 + 1) 10
        self.assertEqual(results["experiments"][0]["parameters"], 785 * 128 + 256 + 1290)
        for name in ("validation_losses", "test_accuracies", "gradient_magnitudes", "layer_gradient_comparison"):
            if shutil.which("gnuplot"):
                self.assertTrue(os.path.getsize(self.path("out", name + ".png")) > 10000, name)
        with open(self.path("out", "results.md")) as f:
            table = f.read()
        for e in results["experiments"]:
            self.assertIn(f"{e['test_accuracy']:.2f}", table)

    def test_other_networks(self):
        """Normalisation and initial weights: what they are is kept, and networks behave as it is known of them."""
        deep = ("--depths", "20", "--epochs", "3", *sets({**DIGITS, "dataset.size": "6000"}))
        accuracy, layers = {}, {}
        for norm, init in (("batch", "default"), ("none", "default"), ("none", "he"), ("layer", "he")):
            out = norm + "-" + init
            done = self.ok(self.compare(*deep, "--normalization", norm, "--initialization", init, "--output-dir", self.path(out), env=NO_GNUPLOT))
            results = self.results(out)
            self.assertEqual((results["settings"]["normalization"], results["settings"]["initialization"]), (norm, init))
            plain, residual = results["experiments"]
            accuracy[norm, init], layers[norm, init] = (plain["test_accuracy"], residual["test_accuracy"]), [len(e["layers"]) for e in (plain, residual)]
            # 128, 64, 32 ... 32, 10: a normalisation has two values for each unit, in a residual block twice.
            units = 128 + 64 + 18 * 32
            linear = 785 * 128 + 129 * 64 + 65 * 32 + 17 * 33 * 32 + 330
            self.assertEqual(plain["parameters"], linear + (0 if norm == "none" else 2 * units))
            self.assertEqual("no normalisation" in self.text(out, "results.md"), norm == "none")
            self.assertEqual("initial weights of He" in self.text(out, "results.md"), init == "he")
        self.assertEqual(set(map(tuple, layers.values())), {(21, layers["batch", "default"][1])})
        # Without normalisation the default's signal dies out on its way through 20 layers, and He's does not.
        self.assertLess(accuracy["none", "default"][0], 20)
        self.assertGreater(min(accuracy["none", "he"][0], accuracy["layer", "he"][0]), 40)

        self.refused(self.compare(*deep, "--normalization", "layer", "--output-dir", self.path("none-he")), 2,
                     r"error\[config\] .*holds a study with networks of no normalisation, initial weights of He")
        files = [self.path(name, "final_results.json") for name in ("batch-default", "none-default", "none-he")]
        done = self.compare("--compare", *files, "--output-dir", self.path("all"))
        if shutil.which("gnuplot"):
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            image = Image(self.path("all", "comparison.png"))
            for color in ("0072b2", "d55e00", "009e73"):
                self.assertGreater(sum(image.count(bytes.fromhex(color), y) for y in range(image.height)), 100, color)
            with open(self.path("all", "comparison.svg"), encoding="utf-8") as f:
                text = f.read()
            for what in ("batch normalisation", "no normalisation, initial weights of He", "residual"):
                self.assertIn(what, text)

    def test_threads_do_not_matter(self):
        self.ok(self.study("one", "--threads", "1"))
        self.ok(self.study("two", "--threads", "2"))
        self.assertEqual(self.measured("one"), self.measured("two"))

    def test_an_experiment_is_what_train_does(self):
        self.ok(self.study("out"))
        for residual in (False, True):
            settings = {**DIGITS, "model.name": "mlp", "model.input_shape": "[1, 28, 28]", "model.layer_sizes": "[128, 64, 32, 10]",
                        "model.residual": "true" if residual else "false", "training.num_epochs": "2", "training.early_stopping_patience": "5"}
            with open(self.path("empty.toml"), "w"):
                pass
            name = "mlp_residual_digits" if residual else "mlp_digits"
            done = self.ok(self.compare("--config", self.path("empty.toml"), *sets(settings), "--stats", "--output-dir", self.path(name), program=TRAIN))
            with open(self.path(name, "runs", name, "metrics.jsonl")) as f:
                lines = [json.loads(line) for line in f]
            e = next(e for e in self.results("out")["experiments"] if (e["depth"], e["residual"]) == (3, residual))
            keys = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate")
            self.assertEqual([{k: m[k] for k in keys} for m in e["history"]], [{k: line[k] for k in keys} for line in lines if line["type"] == "epoch"])
            self.assertEqual([m["gradient_norm"] for m in e["history"]], [line["mean_gradient_norm"] for line in lines if line["type"] == "stats"])
            self.assertEqual([e["test_accuracy"]], [line["test_accuracy"] for line in lines if line["type"] == "test"])
            self.assertIn(f"test accuracy: {e['test_accuracy']:.2f} %", done.stdout)

    def start(self, out, *options):
        command = [COMPARE, "--depths", "1", "3", "--epochs", "2", *sets(DIGITS), "--output-dir", self.path(out), *options]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENV)

    def wait_for(self, process, out, experiments):
        """Until that many are finished, or the process has ended."""
        end = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < end:
            try:
                if len(self.results(out, "intermediate_results.json")["experiments"]) >= experiments:
                    return
            except FileNotFoundError:
                pass
            time.sleep(0.001)

    def test_killed(self):
        self.ok(self.study("whole"))
        draw = random.Random(5)
        for finished in (0, 1, 2, 3):
            out = f"killed{finished}"
            process = self.start(out)
            self.wait_for(process, out, finished)
            time.sleep(draw.random() * 0.05)
            process.kill()
            process.communicate()
            kept = self.results(out, "intermediate_results.json")["experiments"] if os.path.exists(self.path(out, "intermediate_results.json")) else []
            self.assertGreaterEqual(len(kept), finished)
            done = self.ok(self.study(out))
            self.assertEqual(done.stdout.count("(from an earlier run)"), len(kept))
            self.assertEqual(self.results(out)["experiments"][:len(kept)], kept)  # with their seconds: not trained again
            self.assertEqual(self.measured(out), self.measured("whole"))
            self.assertEqual(self.table(self.text(out, "results.md")), self.table(self.text("whole", "results.md")))

    def test_interrupted(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            with self.subTest(signal=number):
                out = f"out{code}"
                process = self.start(out, "--depths", "60", "90")  # so much that it cannot be over before the signal comes
                self.wait_for(process, out, 1)
                process.send_signal(number)
                output, errors = process.communicate(timeout=60)
                self.assertEqual((process.returncode, errors), (code, ""))
                self.assertIn("interrupted", output)
                self.assertFalse(os.path.exists(self.path(out, "final_results.json")))
                kept = self.results(out, "intermediate_results.json")["experiments"]
                self.ok(self.study(out))
                self.assertEqual(self.results(out)["experiments"][:len(kept)], kept[:4])

    def test_one_study_at_a_time(self):
        process = self.start("out", "--depths", "40")
        self.wait_for(process, "out", 0)
        self.refused(self.study("out"), 6, r"error\[io\] .*out: process \d+ \(\S*compare_mlp_depth .*\) is writing there; wait for it, or use another --output-dir")
        process.kill()
        process.communicate()
        self.ok(self.study("out"))  # the lock ends with the process

    def test_load_shows_the_study_that_was_interrupted(self):
        self.ok(self.study("out"))
        self.assertIn("final_results.json: 4 experiments", self.ok(self.compare("--load", "--output-dir", self.path("out"), env=NO_GNUPLOT)).stdout)
        os.remove(self.path("out", "intermediate_results.json"))
        process = self.start("out", "--set", "training.learning_rate=0.01", "--depths", "60", "90")
        self.wait_for(process, "out", 1)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130)
        shown = self.ok(self.compare("--load", "--output-dir", self.path("out"), env=NO_GNUPLOT)).stdout
        self.assertRegex(shown, r"intermediate_results.json: \d experiments")

    def test_whose_kernels(self):
        """Results say what they were computed with, also when another process writes them."""
        self.ok(self.compare("--depths", "1", "--epochs", "1", *sets(DIGITS), env=NO_GNUPLOT | {"DLA_SIMD": "base"}))
        for name in ("final_results.json", "intermediate_results.json"):
            self.assertEqual(self.results("mlp_results", name)["isa"], "base")
        done = self.ok(self.compare("--depths", "1", "--epochs", "1", *sets(DIGITS), env=NO_GNUPLOT))
        for name in ("final_results.json", "intermediate_results.json"):
            self.assertEqual(self.results("mlp_results", name)["isa"], "base")  # nothing was trained
        best = re.search(r"dla [\d.]+: cpu, (\w+)", done.stdout)[1]
        if best != "base":
            done = self.ok(self.compare("--depths", "1", "2", "--epochs", "1", *sets(DIGITS), env=NO_GNUPLOT))
            self.assertRegex(done.stderr, f"\\Anote: .* was begun with base kernels, this process uses {best}: last digits may differ\n")
            self.assertEqual(self.results("mlp_results")["isa"], f"base, {best}")
            self.assertIn(f"`base, {best}`", self.text("mlp_results", "results.md"))

    def test_progress_fits_the_terminal(self):
        for columns in (50, 80, 140):
            with self.subTest(columns=columns):
                end, terminal = pty.openpty()
                process = subprocess.Popen([COMPARE, "--depths", "30", "--epochs", "8", *sets(DIGITS | {"dataset.size": "6000"}), "--output-dir", self.path(str(columns))],
                                           stdout=terminal, env=ENV | {"COLUMNS": str(columns)})
                os.close(terminal)
                shown = b""
                try:
                    while part := os.read(end, 4096):
                        shown += part
                except OSError:  # the other end is closed
                    pass
                os.close(end)
                self.assertEqual(process.wait(timeout=60), 0)
                redrawn = [re.sub("\033\\[[^a-zA-Z]*[a-zA-Z]", "", line) for line in re.split("[\r\n]+", shown.decode())]
                redrawn = [line for line in redrawn if re.match(r"\[[12]/2\] depth  30", line) and "test acc" not in line]
                self.assertTrue(redrawn)
                self.assertTrue(all(len(line) < columns for line in redrawn), redrawn)
                self.assertTrue(all("epoch " in line and "ETA " in line for line in redrawn), redrawn)

    def test_a_larger_study_keeps_what_is_there(self):
        self.ok(self.study("out"))
        before = self.results("out")["experiments"]
        done = self.ok(self.compare("--depths", "3", "2", "--epochs", "2", "--runs", "2", *sets(DIGITS), "--output-dir", self.path("out")))
        self.assertEqual(done.stdout.count("(from an earlier run)"), 2)
        after = self.results("out")["experiments"]
        self.assertEqual({(e["depth"], e["residual"], e["run"], e["seed"]) for e in after},
                         {(d, r, run, 42 + run) for d in (2, 3) for r in (False, True) for run in (0, 1)})
        for e in before:
            self.assertTrue(e["depth"] == 1 or e in after)
        self.assertTrue(all(e in self.results("out", "intermediate_results.json")["experiments"] for e in before + after))
        self.assertIn("also holds 2 experiments of other depths or runs", done.stdout)
        again = self.ok(self.compare("--depths", "3", "2", "--epochs", "2", "--runs", "2", *sets(DIGITS), "--output-dir", self.path("out")))
        self.assertEqual(again.stdout.count("(from an earlier run)"), 8)
        self.assertEqual(self.results("out")["experiments"], after)

    def test_other_settings_are_refused(self):
        self.ok(self.study("out"))
        before = self.results("out", "intermediate_results.json")
        for options, pattern in ((("--set", "training.learning_rate=0.01"), "learning_rate"), (("--seed", "7"), "seed"),
                                 (("--set", "dataset.size=1200"), "training data|size")):
            with self.subTest(options=options):
                self.refused(self.study("out", *options), 2, r"error\[config\] .*intermediate_results.json: .*" + pattern)
        self.assertEqual(self.results("out", "intermediate_results.json"), before)
        with open(self.path("out", "intermediate_results.json"), "w") as f:
            f.write('{"kind": "dla depth st')
        self.refused(self.study("out"), 6, r"error\[io\] .*intermediate_results.json")
        with open(self.path("out", "intermediate_results.json")) as f:
            self.assertEqual(f.read(), '{"kind": "dla depth st')  # nothing is lost

    def test_divergence_is_a_result(self):
        settings = {**DIGITS, "training.optimizer": "sgd", "training.momentum": "0.0", "training.learning_rate": "1.9", "training.weight_decay": "1.0",
                    "training.scheduler": "none", "training.num_epochs": "12", "training.early_stopping_patience": "0"}
        done = self.ok(self.compare("--depths", "1", *sets(settings), "--output-dir", self.path("out"), "--epochs", "12"))
        self.assertIn("diverged", done.stdout)
        for e in self.results("out")["experiments"]:
            self.assertRegex(e["diverged"], "not finite")
            self.assertIsNone(e["test_accuracy"])
            self.assertLess(len(e["history"]), 12)
        with open(self.path("out", "results.md")) as f:
            self.assertIn("diverged", f.read())


class Published(Case):
    def test_the_documented_tables_are_the_results(self):
        folder = os.path.join(ROOT, "docs", "depth_study")
        with open(folder + ".md", encoding="utf-8") as f:
            page = f.read()
        for name in ("final_results.json", "five_runs/final_results.json"):
            with self.subTest(name=name):
                done = self.ok(self.compare("--load", os.path.join(folder, name), "--output-dir", self.path("out"), env=NO_GNUPLOT))
                table = "".join(line + "\n" for line in done.stdout.splitlines() if line.startswith("|"))
                self.assertEqual(table.count("\n"), 14)
                self.assertIn("\n\n" + table + "\n", page)
        for picture in re.findall(r"\]\((depth_study/[^)]*\.png)\)", page):
            self.assertEqual(Image(os.path.join(ROOT, "docs", picture)).width, 1600)


class Faults(Case):
    def test_usage(self):
        file = self.write(made_up(), "r.json")
        for arguments, pattern in ((("--depths", "0"), "--depths: Value 0 not in range 1 to 1000"), (("--depths", "1001"), "1 to 1000"),
                                   (("--depths", "5", "x"), "--depths"), (("--depths", "5", "7", "5"), "each depth once; got 5 twice"),
                                   (("--epochs", "0"), "--epochs: Value 0"), (("--runs", "0"), "1 to 100"), (("--runs", "101"), "1 to 100"),
                                   (("--threads", "0"), "--threads"), (("--seed", "-1"), "--seed"), (("--seed", "9999999999999999999"), "--seed"),
                                   (("--nonsense",), "nonsense"), (("extra",), "extra"),
                                   (("--load", file, "--epochs", "3"), "--epochs excludes --load|--load excludes --epochs"),
                                   (("--load", file, "--depths", "5"), "excludes"), (("--load", file, "--runs", "2"), "excludes"),
                                   (("--load", file, "--set", "training.seed=1"), "excludes"),
                                   (("--compare", file, "--normalization", "none"), "excludes"), (("--normalization", "group"), "batch,layer,none"),
                                   (("--set", "model.residual=true"), "--set model.residual: the study chooses its models")):
            with self.subTest(arguments=arguments):
                self.refused(self.compare(*arguments), 2, r"\Aerror\[usage\] .*(" + pattern + ")")
        for arguments, pattern in ((("--set", "training.nothing=1"), "--set training.nothing: unknown key"),
                                   (("--set", "training.seed"), "expected table.key=value"),
                                   (("--set", "dataset.val_size=0"), "--set dataset.val_size: out of range")):
            with self.subTest(arguments=arguments):
                self.refused(self.compare(*arguments), 2, r"\Aerror\[config\] [^\n]*\n.*" + pattern, 2)
        self.assertEqual(os.listdir(self.folder), ["r.json"])  # nothing was begun
        self.assertIn("--load", self.ok(self.compare("--help")).stdout)
        self.assertRegex(self.ok(self.compare("--version")).stdout, r"compare_mlp_depth \(dla\) \d+\.\d+\.\d+")

    def test_output(self):
        file = self.write(made_up(), "r.json")
        self.refused(self.compare("--load", file, "--output-dir", file), 6, r"\Aerror\[io\] .*r\.json")
        os.makedirs(self.path("out", "results.md"))
        self.refused(self.compare("--load", file, "--output-dir", self.path("out")), 6, r"\Aerror\[io\] .*results\.md")

    def test_without_gnuplot(self):
        file = self.write(made_up(), "r.json")
        os.makedirs(self.path("out"))
        with open(self.path("out", "test_accuracies.png"), "w") as f:
            f.write("an old image")
        done = self.ok(self.compare("--load", file, "--output-dir", self.path("out"), env=NO_GNUPLOT))
        self.assertRegex(done.stderr, r"\Anote: .*gnuplot is not installed \(Debian: apt install gnuplot-nox\); then: gnuplot .*; the other figures "
                                      r"likewise\n\Z")
        self.assertEqual(set(os.listdir(self.path("out"))), {"results.md"} | {f + end for f in FIGURES for end in (".gp", ".dat")})
        if not HAVE_GNUPLOT:
            return
        subprocess.run(["gnuplot", "validation_losses.gp"], cwd=self.path("out"), check=True)  # the script draws where it lies
        self.assertGreater(os.path.getsize(self.path("out", "validation_losses.png")), 10000)
        self.ok(self.compare("--load", file, "--output-dir", self.path("out")))
        images = [f + end for f in FIGURES for end in (".png", ".svg")]
        done = self.ok(self.compare("--load", file, "--output-dir", self.path("out"), env=NO_GNUPLOT))
        self.assertRegex(done.stderr, r"\Anote: no new image .*, the old one is of the same data: gnuplot is not installed")
        self.assertLess(set(images), set(os.listdir(self.path("out"))))
        self.ok(self.compare("--load", self.write(made_up((5, 10), seed=2), "r.json"), "--output-dir", self.path("out"),
                             env=NO_GNUPLOT))
        self.assertFalse(set(images) & set(os.listdir(self.path("out"))))

    def test_full_disk(self):
        if not HAVE_GNUPLOT:
            self.skipTest("gnuplot is not installed")
        file = self.write(made_up(), "r.json")

        def limit():  # stands in for the disk
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (25000, 25000))

        done = subprocess.run([COMPARE, "--load", file, "--output-dir", self.path("out")], capture_output=True, text=True, env=ENV, timeout=60,
                              preexec_fn=limit)
        self.ok(done)
        self.assertRegex(done.stderr, r"\Anote: no image .*: gnuplot did not write all of it; is the disk full\?")
        self.assertEqual(set(os.listdir(self.path("out"))), {"results.md"} | {f + end for f in FIGURES for end in (".gp", ".dat")})

    def test_not_results(self):
        good = made_up(depths=(5, 10), epochs=3)
        here = r"\Aerror\[io\] [^\n]*r\.json: "
        for content, pattern in ((b"", "not JSON"), (b"{", "not JSON"), (b"[]", "not the results of a depth study"), (b"\x89PNG\r\n\x1a\n", "not JSON"),
                                 (b"{}", "not the results"),
                                 (b'{"kind": "dla depth study"}', "not the results"), (json.dumps(good).encode() + b"x", "not JSON"),
                                 (json.dumps(good).encode()[:-1], "not JSON"), (b"[" * 100000, "JSON nested too deeply"),
                                 (json.dumps({**good, "kind": "other"}).encode(), "not the results"),
                                 (json.dumps({**good, "schema": 3}).encode(), "written by a newer version of this program; expected schema 2, got 3"),
                                 (json.dumps({**good, "schema": 2}).encode(), 'settings has no "normalization"')):
            with self.subTest(content=content[:40]):
                with open(self.path("r.json"), "wb") as f:
                    f.write(content)
                self.refused(self.compare("--load", "r.json"), 6, here + pattern)

        def change(*keys_and_value):
            return changed(good, *keys_and_value)

        x, row = ("experiments", 2), ("experiments", 2, "history", 1)
        config = good["settings"]["config"]
        cases = [
            (change("schema", "1"), r'schema is wrong; expected an integer from 1 to \d+, got "1"'), (change("schema", 0), "schema is wrong"),
            (change("runs", 0), "runs is wrong; expected an integer from 1 to 100, got 0"), (change("runs", 1.5), "runs is wrong"),
            (change("runs", KeyError), 'the file has no "runs"'), (change("more", 1), 'the file has the unknown key "more"'),
            (change("depths", []), "depths is wrong; expected at least one depth"), (change("depths", [5, 10, 5]), r"depths\[2\] is wrong"),
            (change("depths", [5, 1001]), r"depths\[1\] is wrong; expected an integer from 1 to 1000, got 1001"),
            (change("depths", {}), "depths is wrong; expected an array"),
            (change("depths", [5]), r"experiments\[2\]\.depth is wrong; expected one of the numbers in depths, got 10"),
            (change("settings", 3), "settings is wrong; expected an object, got 3"),
            (change("settings", "epochs", 2), r"settings\.epochs is wrong; expected 3 as in settings\.config, got 2"),
            (change("settings", "seed", 2**64), r"settings\.seed is wrong"), (change("settings", "seed", 41), "expected 42 as in"),
            (change("settings", "dataset", "cifar10"), 'expected "mnist" as in'),
            (change("settings", "config", "[training]\nfast = 1\n"), r"settings\.config is wrong; expected the TOML text"),
            (change("settings", "config", config.replace("= 3", "= 2")), "expected 2 as in"),
            (change("experiments", "x"), "experiments is wrong; expected an array"),
            (change("experiments", 0, None), r"experiments\[0\] is wrong; expected an object, got null"),
            (change(*x, "residual", 1), r"experiments\[2\]\.residual is wrong; expected true or false, got 1"),
            (change(*x, "run", 1), r"experiments\[2\]\.run is wrong; expected an integer from 0 to 0, got 1"),
            (change(*x, "depth", 5), r"experiments\[2\] is wrong; expected a depth, residual and run that no experiment before it has"),
            (change(*x, "best_epoch", 4), r"best_epoch is wrong; expected an integer from 1 to 3, got 4"),
            (change(*x, "best_epoch", 0), "best_epoch is wrong"),
            (change(*x, "test_accuracy", 100.5), r"test_accuracy is wrong; expected a number from 0 to 100\.0, got 100\.5"),
            (change(*x, "test_accuracy", None), "test_accuracy is wrong"),
            (change(*x, "seconds", -1), "seconds is wrong"), (change(*x, "parameters", "many"), "parameters is wrong"),
            (change(*x, "layers", {"a": 1}), "layers is wrong"),
            (change(*x, "layers", 0, "gradient_norm", 1e300), r"layers\[0\]\.gradient_norm is wrong; expected a number from 0 to 1e\+100, got 1e\+300"),
            (change(*x, "history", good["experiments"][2]["history"] * 2), "history is wrong; expected at most settings.epochs rows"),
            (change(*row, "epoch", 3), r"experiments\[2\]\.history\[1\]\.epoch is wrong; expected an integer from 2 to 2, got 3"),
            (change(*row, "val_loss", KeyError), r'experiments\[2\]\.history\[1\] has no "val_loss"'), (change(*row, "val_loss", "low"), "val_loss is wrong"),
            (change(*row, "val_loss", -0.5), "val_loss is wrong"), (change(*row, "learning_rate", None), "learning_rate is wrong"),
            (change(*row, "x" * 300, None), "has the unknown key string of 302 characters"),
        ]
        for results, pattern in cases:
            with self.subTest(pattern=pattern):
                self.refused(self.compare("--load", self.write(results, "r.json")), 6, here + "[^\n]*" + pattern)
        self.assertEqual(os.listdir(self.folder), ["r.json"])
        self.ok(self.compare("--load", self.write(change(*row, "val_loss", None), "r.json"), env=NO_GNUPLOT))  # null: not finite
        os.mkfifo(self.path("pipe"))
        for name in ("absent", "", "pipe"):
            self.refused(self.compare("--load", self.path(name)), 6, r"\Aerror\[io\] ")

    def test_mutations(self):
        draw = random.Random(7)
        data = json.dumps(made_up(depths=(2, 3), epochs=2, runs=2)).encode()
        damaged = [data[:draw.randrange(len(data))] for _ in range(20)]
        must_fail = len(damaged)
        for _ in range(250):
            changed = bytearray(data)
            for _ in range(draw.choice((1, 1, 1, 5))):
                at = draw.randrange(len(changed))
                kind = draw.randrange(4)
                if kind == 0:
                    changed[at] ^= 1 << draw.randrange(8)
                elif kind == 1:
                    changed[at] = draw.choice(b'0123456789-+.eE"[]{},:ntf')
                elif kind == 2:
                    del changed[at:at + draw.randrange(1, 9)]
                else:
                    changed[at:at] = changed[at:at + draw.randrange(1, 99)]
            damaged.append(bytes(changed))
        accepted = 0
        for i, content in enumerate(damaged):
            with open(self.path("r.json"), "wb") as f:
                f.write(content)
            done = self.compare("--load", "r.json", "--quiet", env=NO_GNUPLOT)
            with self.subTest(number=i):
                if i < must_fail or done.returncode != 0:
                    self.refused(done, 6, r"\Aerror\[io\] r\.json: ")
                else:
                    accepted += 1
                    self.assertNotRegex(self.text("results.md"), r"(?i)\b(nan|inf)\b")
        self.assertGreater(accepted, 0)  # a digit of a loss may change unseen
        self.assertLess(accepted, 200)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
