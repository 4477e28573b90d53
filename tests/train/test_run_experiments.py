#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs `run_experiments`: small lists on digits that are trained, killed, interrupted and continued; the page, the figures and the file of results; what it
refuses.

usage: test_run_experiments.py RUN_EXPERIMENTS TRAIN SOURCE_ROOT [unittest options]
"""
import json
import os
import random
import re
import shlex
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

RUN, TRAIN, ROOT = map(os.path.abspath, sys.argv[1:4])  # meson gives relative paths when it builds inside the source
# No data from outside: a proxy that nobody answers for keeps downloads from leaving this machine.
ENV = {k: v for k, v in os.environ.items() if k != "DLA_DATA_DIR" and not k.lower().endswith("_proxy")}
ENV |= {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
NO_GNUPLOT = ENV | {"PATH": "/nonexistent"}  # drawing is left out where only the numbers count, to save its time
HAVE_GNUPLOT = shutil.which("gnuplot") is not None

CONFIG = """[model]
name = "mlp"
layer_sizes = [32, 10]
input_shape = [1, 28, 28]
[training]
num_epochs = {epochs}
batch_size = 50
save_every = 1
[dataset]
name = "digits"
size = 1200
val_size = 200
"""
LIST = """title = "A title"
published_by = "as a book says"
[[experiment]]
name = "small"
title = "small MLP"
recipe = "plain"
config = "a.toml"
seeds = 2
published_val_accuracy = 50.5
[[experiment]]
name = "small_sgd"
title = "small MLP"
recipe = "sgd"
config = "a.toml"
set = ["training.optimizer=sgd", "training.learning_rate=0.05"]
seeds = [7, 3, 0]
"""
ROW = {"epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds"}
COLORS = {"published": "d55e00", "validation": "009e73", "test": "0072b2", "runs": "56b4e9"}  # dla/io/gnuplot.hpp


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="dla_test_")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.write("a.toml", CONFIG.format(epochs=3))
        self.write("list.toml", LIST)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        return self.path(name)

    def text(self, *parts):
        with open(self.path(*parts), encoding="utf-8") as f:
            return f.read()

    def run_it(self, *options, env=NO_GNUPLOT, timeout=120):
        done = subprocess.run([RUN, *options], capture_output=True, text=True, env=env, timeout=timeout, cwd=self.folder)
        self.assertNotRegex(done.stderr, "terminate called|Sanitizer|Segmentation")
        return done

    def ok(self, done):
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done

    def refused(self, done, code, pattern):
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertRegex(done.stderr, pattern)

    def results(self, name="experiments/results.json"):
        return json.loads(self.text(name))

    def measured(self, name="experiments/results.json"):
        """All that does not depend on time, machine and way of running."""
        results = self.results(name)
        for e in results["experiments"]:
            for r in e["runs"]:
                del r["sittings"]
                for row in r["history"]:
                    del row["seconds"]
        return results

    def start(self, *options):
        return subprocess.Popen([RUN, "list.toml", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=NO_GNUPLOT, cwd=self.folder)

    def children(self, process):
        found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True)
        return [int(p) for p in found.stdout.split()]

    def wait_until(self, what, process=None, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end and (process is None or process.poll() is None):
            if what():
                return
            time.sleep(0.005)
        self.assertTrue(what(), "waited in vain")


def table_rows(page):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")]


class Lists(Case):
    def test_from_training_to_page(self):
        done = self.ok(self.run_it("list.toml", "--side-by-side", "3", "--threads", "3", env=ENV))
        self.assertEqual(done.stderr if HAVE_GNUPLOT else "", "")
        results = self.results()
        self.assertEqual((results["kind"], results["schema"], set(results)), ("dla experiments", 1, {"kind", "schema", "experiments"}))
        self.assertEqual([(e["name"], [r["seed"] for r in e["runs"]]) for e in results["experiments"]], [("small", [42, 43]), ("small_sgd", [0, 3, 7])])
        for e in results["experiments"]:
            self.assertIn("[model]\nname = \"mlp\"\n", e["config"])
            self.assertNotIn("checkpoint_dir", e["config"])
            for r in e["runs"]:
                self.assertEqual(set(r), {"seed", "diverged", "best_epoch", "test_loss", "test_accuracy", "test_accuracy_mirrored", "sittings", "history"})
                self.assertEqual([row["epoch"] for row in r["history"]], [1, 2, 3])
                self.assertEqual([set(row) for row in r["history"]], [ROW] * 3)
                accuracies = [row["val_accuracy"] for row in r["history"]]
                self.assertEqual(r["best_epoch"], 1 + accuracies.index(max(accuracies)))
                (sitting,) = r["sittings"]
                self.assertEqual((sitting["threads"], sitting["side_by_side"]), (1, 3))
                self.assertRegex(sitting["commit"], r"\A([0-9a-f]{7,}(-dirty)?|unknown)\Z")
                self.assertRegex(sitting["began"], r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")

        # The table says what the file says.
        page = self.text("experiments/results.md")
        rows = table_rows(page)
        self.assertEqual(rows[0], ["Network", "Recipe", "Published", "Validation", "Test", "Runs", "Best epoch", "Epoch", "Run"])

        def mean(values):
            return f"{statistics.fmean(values):.2f} ± {statistics.stdev(values):.2f} %"

        for e, row in zip(results["experiments"], rows[2:4]):
            runs = e["runs"]
            best = [r["history"][r["best_epoch"] - 1]["val_accuracy"] for r in runs]
            self.assertEqual(row[:6], ["small MLP", "plain" if e["name"] == "small" else "sgd", "50.5 %" if e["name"] == "small" else "", mean(best),
                                       mean([r["test_accuracy"] for r in runs]), str(len(runs))])
            self.assertEqual(row[6], f"{statistics.fmean([r['best_epoch'] for r in runs]):.1f}")
            for r, accuracy in zip(runs, best):
                self.assertIn([str(r["seed"]), f"{accuracy:.2f} %", f"{r['test_accuracy']:.2f} %", f"{r['test_loss']:.4f}", str(r["best_epoch"]), "3"],
                              [row[:6] for row in rows])
        for line in ("\n".join(" | ".join(r) for r in rows[2:4])).split("\n"):
            self.assertIn(line.split(" | ")[3], done.stdout)
        self.assertIn("as a book says", page)

        # The command on the page gives the same run.
        command = re.search(r"^build/examples/train (.*sgd.*)$", page, re.MULTILINE)[1].replace("'", "").split()
        alone = self.ok(subprocess.run([TRAIN, *command, "--output-dir", "alone", "--threads", "2"], capture_output=True, text=True, env=NO_GNUPLOT, cwd=self.folder))
        seed7 = results["experiments"][1]["runs"][2]
        self.assertIn(f"test accuracy: {seed7['test_accuracy']:.2f} %", alone.stdout)
        lines = [json.loads(line) for line in self.text("alone/runs/mlp_digits/metrics.jsonl").splitlines()]
        self.assertEqual([line["val_loss"] for line in lines if line["type"] == "epoch"], [row["val_loss"] for row in seed7["history"]])

        # A second time nothing is trained, and page and file stay the same, byte for byte.
        before = self.text("experiments/results.json")
        again = self.ok(self.run_it("list.toml"))
        self.assertIn("5 of 5 runs are in", again.stdout)
        self.assertEqual((self.text("experiments/results.json"), self.text("experiments/results.md")), (before, page))
        left = sorted(os.listdir(self.path("experiments/runs/small/seed-42/checkpoints")))
        self.assertEqual(left, ["mlp_digits_best.safetensors", "mlp_digits_final.safetensors"])  # what it could be resumed from is gone

    @unittest.skipUnless(HAVE_GNUPLOT, "without gnuplot")
    def test_figures(self):
        self.ok(self.run_it("list.toml", "--threads", "1", env=ENV))
        linked = re.findall(r"\]\((results/\w+\.png)\)", self.text("experiments/results.md"))
        self.assertEqual(linked, ["results/accuracy_digits.png", "results/curves_digits.png", "results/time.png"])

        def blobs(image, color):
            """Places of a colour: points count once, whatever their size."""
            places = set()
            for y in range(image.height):
                row, at = image.rows[y], -1
                while (at := row.find(bytes.fromhex(color), at + 1)) >= 0:
                    if at % 3 == 0:
                        places.add((at // 3, y))
            count = 0
            while places:
                count += 1
                stack = [places.pop()]
                while stack:
                    x, y = stack.pop()
                    for dx in range(-2, 3):
                        for dy in range(-2, 3):
                            if (x + dx, y + dy) in places:
                                places.remove((x + dx, y + dy))
                                stack.append((x + dx, y + dy))
            return count

        accuracy = Image(self.path("experiments", linked[0]))
        runs = self.results()["experiments"]
        distinct = sum(len({r["test_accuracy"] for r in e["runs"]}) for e in runs)
        self.assertEqual(blobs(accuracy, COLORS["published"]), 1 + 1)  # a point, and one in the legend
        self.assertEqual(blobs(accuracy, COLORS["validation"]), 2 + 1)
        self.assertGreaterEqual(blobs(accuracy, COLORS["runs"]), min(distinct, 3) + 1)  # points may touch
        for figure in linked[1:]:
            image = Image(self.path("experiments", figure))
            for color in ("0072b2", "d55e00"):
                self.assertGreater(sum(image.count(bytes.fromhex(color), y) for y in range(image.height)), 50, figure)

    def test_more_seeds_and_parts(self):
        self.ok(self.run_it("list.toml", "--only", "small", "--quiet"))
        first = self.results()
        self.assertEqual([len(e["runs"]) for e in first["experiments"]], [2, 0])
        self.assertRegex(self.text("experiments/results.md"), r"\| +not run")
        self.assertIn("0 of 3", self.text("experiments/results.md"))
        self.write("list.toml", LIST.replace("seeds = 2", "seeds = 3"))
        self.ok(self.run_it("list.toml", "--results", "elsewhere/kept.json", "--only", "small"))  # its own file: from the start
        self.assertEqual(self.measured("elsewhere/kept.json")["experiments"][0]["runs"][:2], self.measured()["experiments"][0]["runs"])
        self.ok(self.run_it("list.toml"))
        self.assertEqual(self.results()["experiments"][0]["runs"][:2], first["experiments"][0]["runs"])  # with their times: not trained again
        self.assertEqual([len(e["runs"]) for e in self.results()["experiments"]], [3, 3])

    def test_results_of_other_lists_are_kept(self):
        self.ok(self.run_it("list.toml", "--only", "small"))
        self.write("other.toml", '[[experiment]]\nname = "other"\nconfig = "a.toml"\nseeds = [1]\n')
        self.ok(self.run_it("other.toml"))
        self.assertEqual([(e["name"], len(e["runs"])) for e in self.results()["experiments"]], [("small", 2), ("small_sgd", 0), ("other", 1)])
        self.assertEqual(len([r for r in table_rows(self.text("experiments/results.md")) if r[0] == "other"]), 1)

    def test_changed_configurations(self):
        self.ok(self.run_it("list.toml", "--only", "small"))
        before = self.text("experiments/results.json")
        self.write("a.toml", CONFIG.format(epochs=2))
        self.refused(self.run_it("list.toml"), 2, r"\Aerror\[config\] experiments/results\.json: holds runs of small with another configuration:"
                                                  r"[^\n]*num_epochs[^\n]*--rerun small")
        self.assertEqual(self.text("experiments/results.json"), before)
        self.ok(self.run_it("list.toml", "--only", "small", "--rerun", "small"))
        self.assertEqual([len(r["history"]) for r in self.results()["experiments"][0]["runs"]], [2, 2])

    def test_a_refused_rerun_removes_nothing(self):
        self.ok(self.run_it("list.toml"))
        self.write("list.toml", LIST.replace("learning_rate=0.05", "learning_rate=0.04"))
        before = self.text("experiments/results.json")
        self.refused(self.run_it("list.toml", "--rerun", "small"), 2, "holds runs of small_sgd with another configuration")
        self.assertEqual(self.text("experiments/results.json"), before)
        self.assertTrue(os.path.exists(self.path("experiments/runs/small/seed-42/checkpoints/mlp_digits_best.safetensors")))

    def test_what_failed_has_no_part_in_what_follows(self):
        """A sitting that left no checkpoint computed nothing of the run."""
        self.write("mnist.toml", '[model]\nname = "mlp"\n[training]\nnum_epochs = 1\n[dataset]\nname = "mnist"\ndata_dir = "nowhere"\n')
        self.write("list.toml", '[[experiment]]\nname = "one"\nconfig = "mnist.toml"\nseeds = 1\n')
        sittings = self.path("experiments/runs/one/seed-42/sittings.json")
        self.run_it("list.toml", "--threads", "1")
        with open(sittings, encoding="utf-8") as f:
            self.assertEqual([s["threads"] for s in json.load(f)], [1])
        self.run_it("list.toml", "--threads", "2")
        with open(sittings, encoding="utf-8") as f:
            self.assertEqual([s["threads"] for s in json.load(f)], [2])

    def test_times_of_interrupted_epochs(self):
        """The time of an epoch's last part is not the time of an epoch."""
        self.write("a.toml", CONFIG.format(epochs=40).replace("1200", "3000"))
        process = self.start("--only", "small", "--threads", "1")
        log = self.path("experiments/runs/small/seed-42/runs/mlp_digits/metrics.jsonl")
        self.wait_until(lambda: os.path.exists(log) and self.text(log).count('"type":"epoch"') >= 3, process)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, output + errors)
        lines = self.text(log).splitlines()
        for i, line in enumerate(lines):
            row = json.loads(line)
            if row["type"] == "epoch":  # as if epochs were long
                row.update(seconds=14 if row["epoch"] == 2 else 28, samples_per_second=100)
                lines[i] = json.dumps(row)
        self.write(log, "\n".join(lines) + "\n")
        self.ok(self.run_it("list.toml", "--only", "small", "--threads", "1"))
        history = self.results()["experiments"][0]["runs"][0]["history"]
        self.assertEqual([row["seconds"] for row in history[:3]], [28, None, 28])

    def test_words_for_a_shell_and_a_table(self):
        self.write("list.toml", LIST.replace('"training.optimizer=sgd"', '"training.optimizer=sgd", "dataset.data_dir=\'a checkpoint_dir\'"').replace("small MLP", "a|b"))
        self.ok(self.run_it("list.toml", "--only", "small_sgd"))
        page = self.text("experiments/results.md")
        command = re.search(r"```sh\n(build/examples/train [^\n]*learning_rate=0.05[^\n]*)\n", page).group(1)
        self.assertIn("dataset.data_dir='a checkpoint_dir'", shlex.split(command))
        rows = [line for line in page.splitlines() if "a\\|b" in line]
        self.assertTrue(rows, page)
        for row in rows:
            self.assertEqual(len(re.findall(r"(?<!\\)\|", row)), len(re.findall(r"(?<!\\)\|", next(l for l in page.splitlines() if l.startswith("| Network")))))

    def test_divergence_is_a_result(self):
        self.write("list.toml", LIST.replace("learning_rate=0.05", "learning_rate=100"))
        done = self.ok(self.run_it("list.toml", "--only", "small_sgd"))
        self.assertRegex(done.stdout, r"small_sgd seed 7  diverged: error\[numeric\]")
        run = self.results()["experiments"][1]["runs"][0]
        self.assertRegex(run["diverged"], "numeric")
        self.assertIsNone(run["test_accuracy"])
        page = self.text("experiments/results.md")
        self.assertRegex(page, r"\| +diverged")
        self.assertIn("Seed 7 diverged after", page)
        self.assertIn("3 of 3 runs are in", self.ok(self.run_it("list.toml", "--only", "small_sgd")).stdout)

    def test_a_failure_stops_nothing_else(self):
        self.write("mnist.toml", '[model]\nname = "mlp"\n[dataset]\nname = "mnist"\ndata_dir = "nowhere"\n')
        self.write("list.toml", '[[experiment]]\nname = "first"\nconfig = "mnist.toml"\nseeds = 1\n' + LIST.split("\n", 2)[2])
        done = self.run_it("list.toml")
        self.refused(done, 3, r"first seed 42: [^\n]*error\[data\]")
        self.assertEqual([len(e["runs"]) for e in self.results()["experiments"]], [0, 2, 3])
        self.assertIn("5 of 6 runs are finished", done.stdout)

    def test_report_only(self):
        self.ok(self.run_it("list.toml", "--quiet"))
        page = self.text("experiments/results.md")
        os.remove(self.path("experiments/results.md"))
        shutil.rmtree(self.path("experiments/runs"))
        done = self.ok(self.run_it("list.toml", "--report", "--quiet"))
        self.assertEqual(self.text("experiments/results.md"), page)
        self.assertEqual(done.stderr.count("\n"), 1)  # no gnuplot: said once
        self.refused(self.run_it("list.toml", "--report", "--results", "none"), 6, r"\Aerror\[io\] none\.json: no results to report")


class Stops(Case):
    def setUp(self):
        super().setUp()
        self.write("a.toml", CONFIG.format(epochs=40).replace("1200", "3000"))
        self.write("list.toml", LIST.replace("seeds = [7, 3, 0]", "seeds = [7]"))

    def begun(self):
        """Runs of which some epochs have been saved."""
        return sum(1 for where, _, files in os.walk(self.path("experiments")) if any(re.search("_epoch_[3-9]", f) for f in files))

    def test_killed_and_continued(self):
        self.ok(self.run_it("list.toml", "--results", "whole", "--output-dir", "whole_runs"))
        draw = random.Random(3)
        for round_number in range(2):
            process = self.start("--side-by-side", "2", "--threads", "2")
            self.wait_until(lambda: self.begun() >= 2 or round_number, process)
            time.sleep(0.1 + 0.2 * draw.random())
            children = self.children(process)
            process.kill()
            process.communicate()
            if round_number == 0:
                self.assertEqual(len(children), 2)
            # Nobody goes on behind its back.
            self.wait_until(lambda: not any(os.path.exists(f"/proc/{c}") for c in children))
        done = self.ok(self.run_it("list.toml"))
        self.assertEqual(self.measured(), self.measured("whole.json"))
        logs = "".join(self.text(os.path.relpath(os.path.join(where, f), self.folder)) for where, _, files in os.walk(self.path("experiments"))
                       for f in files if f == "train.log")
        self.assertIn("resuming from", logs, done.stdout)

    def test_interrupted(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            with self.subTest(signal=number):
                shutil.rmtree(self.path("experiments"), ignore_errors=True)
                process = self.start("--side-by-side", "2", "--threads", "2")
                self.wait_until(lambda: self.begun() >= 1, process)
                process.send_signal(number)
                output, errors = process.communicate(timeout=60)
                self.assertEqual((process.returncode, re.sub(r"note: .*\n", "", errors)), (code, ""), output + errors)
                self.assertIn("interrupted: waiting for", output)
                self.assertRegex(output, r"\d of 3 runs are finished; the same command continues")
                self.assertTrue(any("_interrupted" in f for _, _, files in os.walk(self.path("experiments")) for f in files))
                self.ok(self.run_it("list.toml", "--only", "small"))
                self.assertEqual([len(e["runs"]) for e in self.results()["experiments"]][0], 2)

    def test_one_at_a_time(self):
        process = self.start()
        self.wait_until(lambda: self.begun() >= 1, process)
        self.refused(self.run_it("list.toml"), 6, r"\Aerror\[io\] experiments: process \d+ \(.*run_experiments list.toml\) is writing there")
        self.refused(self.run_it("list.toml", "--output-dir", "other", "--results", "experiments/results"), 6, "is writing there")
        process.terminate()
        process.communicate(timeout=60)


class Faults(Case):
    def test_usage(self):
        for options, pattern in (((), "LIST"), (("list.toml", "--only", "smal"), r"--only: list.toml has no experiment 'smal'; expected one of small, small_sgd"),
                                 (("list.toml", "--rerun", "x"), "--rerun: "), (("list.toml", "--side-by-side", "0"), "--side-by-side"),
                                 (("list.toml", "--report", "--rerun", "small"), "excludes"), (("absent.toml",), "absent.toml"), (("list.toml", "more"), "more")):
            with self.subTest(options=options):
                self.refused(self.run_it(*options), 2, r"\Aerror\[(usage|config)\] .*" + pattern)
        self.assertFalse(os.path.exists(self.path("experiments/runs")))
        self.assertIn("--side-by-side", self.ok(self.run_it("--help")).stdout)
        self.assertRegex(self.ok(self.run_it("--version")).stdout, r"\Arun_experiments \(dla\) \d+\.\d+\.\d+")

    def test_lists(self):
        one = '[[experiment]]\nname = "a"\nconfig = "a.toml"\nseeds = 1\n'
        for text, pattern in (("", "no tables"), ("x = ", "not TOML"), ("title = 3\n" + one, "title: expected a line of text, got integer 3"),
                              ("what = 1\n" + one, r"list\.toml:1:1: unknown key what; expected title, published_by"), ("experiment = 3", "wrong type of experiment"),
                              ("[experiment]\nname = 'a'", "wrong type of experiment"), (one + "color = 1\n", r":5:1: unknown key color"),
                              (one.replace('name = "a"\n', ""), "without name"), (one.replace("seeds = 1\n", ""), "without seeds"),
                              (one.replace('config = "a.toml"\n', ""), "without config"), (one + one, 'there is another experiment "a"'),
                              (one.replace('"a"', '"../a"'), "expected up to 64 letters"), (one.replace('"a"', '"-a"'), "expected up to 64 letters"),
                              (one.replace("= 1", "= 0"), "seeds: expected 1 to 100, got 0"), (one.replace("= 1", "= 101"), "got 101"),
                              (one.replace("= 1", "= []"), "seeds: expected a number"), (one.replace("= 1", "= [1, 1]"), "1 is there twice"),
                              (one.replace("= 1", "= [-1]"), "whole numbers"), (one.replace("= 1", '= "x"'), 'got string "x"'),
                              (one + "set = 3\n", "set: expected an array"), (one + "set = [3]\n", "got integer 3"),
                              (one + 'set = ["training.seed=3"]\n', "seeds are given as seeds"), (one + 'set = ["training.checkpoint_dir=x"]\n', "folder of its own"),
                              (one + 'set = ["training.epochs=3"]\n', "unknown key; did you mean training.num_epochs"),
                              (one + "published_val_accuracy = 101\n", "expected percent, 0 to 100, got integer 101"),
                              (one.replace("a.toml", "b.toml"), "config: .*b.toml"), (one + "recipe = ''\n", "recipe: expected a line"),
                              ("a" + ".a" * 40 + " = 1", "too many dots")):
            with self.subTest(pattern=pattern):
                self.write("list.toml", text)
                self.refused(self.run_it("list.toml"), 2, r"\Aerror\[config\] list.toml: [\s\S]*" + pattern)
        self.write("list.toml", "x = 1\n" + one.replace("= 1", "= 0") + one.replace('"a"', '"b"').replace("a.toml", "b.toml"))
        self.refused(self.run_it("list.toml"), 2, r"3 errors\n[\s\S]*unknown key x[\s\S]*seeds[\s\S]*b.toml")
        self.assertFalse(os.path.exists(self.path("experiments")))

    def test_not_results(self):
        self.ok(self.run_it("list.toml", "--only", "small"))
        good = self.results()
        page = self.text("experiments/results.md")

        def change(*keys_and_value):
            return changed(good, *keys_and_value)

        run, row = ("experiments", 0, "runs", 1), ("experiments", 0, "runs", 1, "history", 2)
        text = json.dumps(good)
        for content, pattern in ((text[:-3], "not JSON"), ("[]", "not the results of experiments"), ("{}", "not the results of experiments"), ("", "not JSON")):
            self.write("experiments/results.json", content)
            self.refused(self.run_it("list.toml"), 6, r"\Aerror\[io\] experiments/results\.json: [^\n]*" + pattern)
            self.assertEqual(self.text("experiments/results.json"), content)  # it is not written over
        for results, pattern in ((change("schema", 2), "written by a newer version of this program; expected schema 1, got 2"), (change("kind", "x"), "not the results"),
                                 (change("more", 1), 'unknown key "more"'), (change(*run, "seed", 42), r"runs\[1\]\.seed is wrong; expected a seed that no run before"),
                                 (change(*run, "seed", -1), "seed is wrong"), (change("experiments", 1, "name", "small"), r"\[1\]\.name is wrong"),
                                 (change("experiments", 0, "config", "[model]\nx = 1\n"), "expected the TOML text"), (change(*run, "best_epoch", 0), "best_epoch"),
                                 (change(*run, "best_epoch", 4), "best_epoch"), (change(*run, "test_accuracy", 101), "test_accuracy"),
                                 (change(*run, "test_accuracy", None), "test_accuracy"), (change(*run, "sittings", 0, "threads", 0), r"sittings\[0\]\.threads"),
                                 (change(*run, "sittings", 0, "commit", KeyError), 'no "commit"'), (change(*row, "epoch", 2), r"history\[2\]\.epoch is wrong"),
                                 (change(*row, "seconds", -1), "seconds is wrong"), (change(*row, "val_loss", "x"), "val_loss is wrong")):
            with self.subTest(pattern=pattern):
                self.write("experiments/results.json", json.dumps(results))
                self.refused(self.run_it("list.toml", "--report"), 6, r"\Aerror\[io\] experiments/results\.json: [^\n]*" + pattern)
        self.assertEqual(self.text("experiments/results.md"), page)

    def test_damaged_folders(self):
        """What is wrong with one run's folder is that run's failure; the others go on."""
        os.makedirs(self.path("experiments/runs/small/seed-42/checkpoints"))
        self.write("experiments/runs/small/seed-42/sittings.json", "x")
        self.write("experiments/runs/small/seed-42/checkpoints/mlp_digits_best.safetensors", "x")
        os.makedirs(self.path("experiments/runs/small_sgd"))
        self.write("experiments/runs/small_sgd/seed-7", "a file where a folder belongs")
        done = self.run_it("list.toml")
        self.refused(done, 6, r"small seed 42: [^\n]*sittings\.json")
        self.assertRegex(done.stderr, r"small_sgd seed 7: [^\n]*seed-7")
        self.assertEqual([[r["seed"] for r in e["runs"]] for e in self.results()["experiments"]], [[43], [0, 3]])

    def test_damaged_logs(self):
        """A run whose own log was damaged meanwhile is a failure, not a wrong number."""
        self.write("a.toml", CONFIG.format(epochs=40).replace("1200", "3000"))
        process = self.start("--only", "small")
        log = self.path("experiments/runs/small/seed-42/runs/mlp_digits/metrics.jsonl")
        self.wait_until(lambda: os.path.exists(log) and os.path.getsize(log) > 2000, process)
        with open(log, "ab") as f:
            f.write(b'{"type": "epoch", "epoch": 1}\n')
        output, errors = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 6, output + errors)
        self.assertRegex(errors, r"small seed 42: error\[io\] [^\n]*metrics\.jsonl")

    @unittest.skipIf(os.geteuid() == 0 and not os.path.exists("/dev/full"), "nothing refuses to be written")
    def test_output(self):
        self.write("experiments", "a file")
        self.refused(self.run_it("list.toml"), 6, r"\Aerror\[io\] experiments")


class Published(Case):
    def test_the_page_is_the_results(self):
        """docs/results.md is what the program makes of docs/results.json and the list."""
        if not os.path.exists(os.path.join(ROOT, "docs/results.json")):
            self.skipTest("nothing published")
        os.symlink(os.path.join(ROOT, "configs"), self.path("configs"))
        shutil.copy(os.path.join(ROOT, "docs/results.json"), self.path("results.json"))
        self.ok(self.run_it("configs/lists/experiments.toml", "--report", "--quiet", "--results", "results"))
        with open(os.path.join(ROOT, "docs/results.md"), encoding="utf-8") as f:
            self.assertEqual(self.text("results.md"), f.read())
        for figure in re.findall(r"\]\((results/\w+\.png)\)", self.text("results.md")):
            self.assertTrue(os.path.exists(os.path.join(ROOT, "docs", figure)), figure)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
