#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads the page that a run leaves: well-formed, complete, without the network; its numbers are those of the run. A headless browser renders it where there is
one.

usage: test_report.py TRAIN EVALUATE SOURCE_ROOT [unittest options]
"""
import base64
import html.parser
import json
import math
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "support"))
from png_image import Image

TRAIN, EVALUATE, ROOT = map(os.path.abspath, sys.argv[1:4])
ENV = {k: v for k, v in os.environ.items() if k != "DLA_DATA_DIR"}
CONFIG = """[model]
name = "mlp"
layer_sizes = [32, 10]
input_shape = [1, 28, 28]
[training]
num_epochs = 4
batch_size = 50
[dataset]
name = "digits"
size = 1200
val_size = 200
"""
BROWSER = next((b for b in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if b), None)
VOID = {"meta", "img", "br"}
EMPTY_SVG = {"line", "circle", "path"}


class Page(html.parser.HTMLParser):
    """Checks that every element is closed in its turn, and gathers text, pictures and addresses."""

    def __init__(self, text):
        super().__init__()
        self.open, self.problems, self.images, self.addresses, self.counts = [], [], [], [], {}
        self.tables, self.points = [], []
        self.feed(text)
        self.close()
        if self.open:
            self.problems.append(f"not closed: {self.open}")

    def handle_starttag(self, tag, attributes):
        self.counts[tag] = self.counts.get(tag, 0) + 1
        a = dict(attributes)
        if tag == "img":
            self.images.append(a)
        for key in ("src", "href", "xlink:href", "action", "data"):
            if key in a:
                self.addresses.append(a[key])
        if tag == "path" and "stroke" in a:
            self.points.append(a["d"])
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th") and self.tables:
            self.tables[-1][-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data):
        if "td" in self.open or "th" in self.open:
            self.tables[-1][-1][-1] += data.strip()


class Report(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="dla_test_")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        with open(os.path.join(cls.folder, "c.toml"), "w") as f:
            f.write(CONFIG)
        cls.done = subprocess.run([TRAIN, "--config", "c.toml", "--stats"], capture_output=True, text=True, env=ENV, cwd=cls.folder, timeout=100)
        assert cls.done.returncode == 0, cls.done.stdout + cls.done.stderr
        cls.file = os.path.join(cls.folder, "runs/mlp_digits/report.html")
        with open(cls.file, encoding="utf-8") as f:
            cls.text = f.read()
        cls.page = Page(cls.text)
        with open(os.path.join(cls.folder, "runs/mlp_digits/metrics.jsonl")) as f:
            cls.metrics = [json.loads(line) for line in f]

    def test_whole_and_by_itself(self):
        self.assertEqual(self.page.problems, [])
        self.assertIn("report: runs/mlp_digits/report.html", self.done.stdout)
        self.assertEqual([a for a in self.page.addresses if not a.startswith("data:image/bmp;base64,")], [])
        self.assertNotRegex(self.text, r"https?://|<script|@import|url\(")
        self.assertNotRegex(self.text, r"(?i)\bnan\b|\binf\b")
        self.assertEqual(self.page.counts["svg"], 3)

    def test_numbers(self):
        test = next(line for line in self.metrics if line["type"] == "test")
        epochs = [line for line in self.metrics if line["type"] == "epoch"]
        best = max(epochs, key=lambda line: line["val_accuracy"])
        self.assertIn(f"<b>{test['test_accuracy']:.2f} %</b>test accuracy", self.text)
        self.assertIn(f"<b>{best['val_accuracy']:.2f} %</b>best validation accuracy, epoch {best['epoch']}<", self.text)
        confusion = self.page.tables[-1]
        counts = [[int(cell or 0) for cell in row[1:]] for row in confusion[1:]]
        self.assertEqual((len(counts), sum(map(sum, counts))), (10, 200))
        right = sum(counts[i][i] for i in range(10))
        self.assertAlmostEqual(100 * right / 200, test["test_accuracy"])
        for row, c in zip(self.page.tables[-2][1:], range(10)):
            self.assertEqual(row[1], f"{100 * counts[c][c] / sum(counts[c]):.2f} %")
        wrong = 200 - right
        self.assertEqual(len(self.page.images), min(32, wrong))
        self.assertIn(f"<p>{wrong} test images were taken for another class", self.text)
        sure = [float(s) for s in re.findall(r"</b> \((\d+\.\d) %\)", self.text)]
        self.assertEqual(sure, sorted(sure, reverse=True))
        # A curve has a point for each epoch, and higher values lie higher.
        loss = [tuple(map(float, p.split())) for p in re.split("[ML]", self.page.points[0])[1:]]
        self.assertEqual(len(loss), 4)
        values = [line["train_loss"] for line in epochs]
        self.assertEqual(sorted(range(4), key=lambda i: values[i]), sorted(range(4), key=lambda i: -loss[i][1]))

    def test_pictures(self):
        for image in self.page.images:
            data = base64.b64decode(image["src"].split(",", 1)[1], validate=True)
            kind, size, _, offset, _, width, height, planes, bits = struct.unpack("<2sIIIIiiHH", data[:30])
            self.assertEqual((kind, size, offset, width, height, planes, bits), (b"BM", len(data), 54, 28, 28, 1, 24))
            self.assertEqual(len(data), 54 + 28 * 84)
            self.assertGreater(max(data[54:]), 100)
            self.assertEqual(image["width"], "112")
            self.assertTrue(image["alt"])

    def test_what_it_is_about(self):
        for what in ("layer_sizes = [32, 10]", "avx" if "avx" in self.done.stdout else "cpu", "commit", "BatchNorm1d", "After the last epoch"):
            self.assertIn(what, self.text)

    def test_evaluate(self):
        done = subprocess.run([EVALUATE, "--checkpoint", "checkpoints/mlp_digits_best.safetensors", "--report", "e.html"], capture_output=True, text=True,
                              env=ENV, cwd=self.folder, timeout=100)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        with open(os.path.join(self.folder, "e.html"), encoding="utf-8") as f:
            page = Page(f.read())
        self.assertEqual(page.problems, [])
        self.assertEqual(page.tables[-1], self.page.tables[-1])
        self.assertEqual(page.counts["svg"], 3)
        done = subprocess.run([EVALUATE, "--checkpoint", "checkpoints/mlp_digits_best.safetensors", "--report", "no/e.html"], capture_output=True, text=True,
                              env=ENV, cwd=self.folder, timeout=100)
        self.assertEqual(done.returncode, 6, done.stdout + done.stderr)
        self.assertRegex(done.stderr, r"\Aerror\[io\] no/e.html")

    def evaluate(self, *options):
        return subprocess.run([EVALUATE, *options], capture_output=True, text=True, env=ENV, cwd=self.folder, timeout=100)

    def logits(self, checkpoint):
        """Labels, and whether each test image is named rightly."""
        done = self.evaluate("--checkpoint", checkpoint, "--logits", "out.safetensors")
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(os.path.join(self.folder, "out.safetensors"), "rb") as f:
            data = f.read()
        length = struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8 : 8 + length])
        part = lambda name: data[8 + length :][slice(*header[name]["data_offsets"])]
        labels = struct.unpack("<200i", part("labels"))
        scores = struct.unpack("<2000f", part("logits"))
        return labels, [max(range(10), key=lambda c: scores[10 * i + c]) == labels[i] for i in range(200)]

    def test_comparison(self):
        for seed, options in (("7", ()), ("8", ("--set", "training.optimizer=sgd", "--set", "training.save_every=1"))):
            done = subprocess.run([TRAIN, "--config", "c.toml", "--seed", seed, "--output-dir", "seed-" + seed, "--quiet", *options], capture_output=True,
                                  text=True, env=ENV, cwd=self.folder, timeout=100)
            self.assertEqual(done.returncode, 0, done.stderr)
        os.symlink(self.folder, os.path.join(self.folder, "here"))
        files = ["here/checkpoints/mlp_digits_best.safetensors"] + [f"seed-{s}/checkpoints/mlp_digits_best.safetensors" for s in (7, 8)]
        done = self.evaluate("--checkpoint", *files, "--report", "all.html")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        with open(os.path.join(self.folder, "all.html"), encoding="utf-8") as f:
            text = f.read()
        page = Page(text)
        self.assertEqual((page.problems, page.counts["svg"]), ([], 3))
        self.assertNotRegex(text, r"https?://|<script|@import|url\(|(?i:\bnan\b|\binf\b)")
        names = ["here", "seed-7", "seed-8"]
        overview, differ, classes, pairs = page.tables
        right = [self.logits(file)[1] for file in files]
        self.assertEqual([row[0] for row in overview[1:]], names)
        for row, r in zip(overview[1:], right):
            p = sum(r) / 200
            self.assertEqual(row[1], f"{100 * p:.2f} ± {100 * (p * (1 - p) / 200) ** 0.5:.2f} %")
            self.assertIn(row[1], done.stdout)
        self.assertEqual({row[0]: row[1:] for row in differ[1:]},
                         {"training.seed": ["42", "7", "8"], "training.optimizer": ['"adam"', '"adam"', '"sgd"']})
        labels = self.logits(files[0])[0]
        for c, row in enumerate(classes[1:]):
            of = [i for i in range(200) if labels[i] == c]
            self.assertEqual(row[1:], [f"{100 * sum(r[i] for i in of) / len(of):.2f} %" for r in right])
        for row, (i, j) in zip(pairs[1:], ((0, 1), (0, 2), (1, 2)), strict=True):
            b, c = sum(x and not y for x, y in zip(right[i], right[j])), sum(y and not x for x, y in zip(right[i], right[j]))
            chance = min(1, 2 * sum(math.comb(b + c, k) for k in range(min(b, c) + 1)) / 2 ** (b + c))
            self.assertEqual(row[2:4], [str(b), str(c)])
            self.assertEqual(row[4], "below 0.0001" if chance < 0.0001 else f"{chance:.4f}")
        mixed = sum(0 < r0 + r1 + r2 < 3 for r0, r1, r2 in zip(*right))
        self.assertRegex(text, rf"<p>{mixed} test images? (is|are) named rightly by some")
        self.assertEqual(len(page.images), min(24, mixed))
        self.shows(os.path.join(self.folder, "all.html"), "0072b2", "d55e00", "009e73")

        # Weights that are not the best epoch's are said to be another's.
        self.assertEqual(self.evaluate("--checkpoint", "seed-8/checkpoints/mlp_digits_epoch_1.safetensors", "--report", "one.html").returncode, 0)
        with open(os.path.join(self.folder, "one.html"), encoding="utf-8") as f:
            self.assertIn("the weights that were tested are those of epoch 1.", f.read())

        for options, code, what in ((["--logits", "l"], 2, "--logits: takes one checkpoint; got 2"), (["--report", "no/r.html"], 6, "no/r.html")):
            done = self.evaluate("--checkpoint", *files[:2], *options)
            self.assertEqual(done.returncode, code, done.stdout + done.stderr)
            self.assertIn(what, done.stderr)
        done = subprocess.run([TRAIN, "--config", "c.toml", "--output-dir", "more", "--quiet", "--set", "dataset.size=1300", "--set", "training.num_epochs=1"],
                              capture_output=True, text=True, env=ENV, cwd=self.folder, timeout=100)
        done = self.evaluate("--checkpoint", files[0], "more/checkpoints/mlp_digits_best.safetensors")
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        self.assertIn("is of digits of another size", done.stderr)

    def shows(self, page, *colors):
        """A browser, where there is one, draws something of each color."""
        if not BROWSER:
            return
        shot = page + ".png"
        done = subprocess.run([BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={self.folder}/browser",
                               "--window-size=1120,2600", f"--screenshot={shot}", "file://" + page], capture_output=True, text=True, timeout=100)
        self.assertTrue(os.path.exists(shot), done.stderr[-2000:])
        image = Image(shot)
        for color in colors:
            self.assertGreater(sum(image.count(bytes.fromhex(color), y) for y in range(image.height)), 100, "a curve is missing")

    @unittest.skipUnless(BROWSER, "no browser")
    def test_in_a_browser(self):
        self.shows(self.file, "0072b2", "d55e00")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
