#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs `visualize_network` as users do, and reads its tables and pictures.

usage: test_visualize.py VISUALIZE TRAIN SOURCE_ROOT [unittest options]
"""
import glob
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
from xml.dom import minidom

VISUALIZE, TRAIN, ROOT = map(os.path.abspath, sys.argv[1:4])  # meson gives relative paths when it builds inside the source
# No data from outside: a proxy that nobody answers for keeps downloads from leaving this machine.
ENV = {k: v for k, v in os.environ.items() if k != "DLA_DATA_DIR" and not k.lower().endswith("_proxy")}
ENV |= {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}

DEEP = "[128, 64" + ", 32" * 98 + ", 10]"
# Configuration: parameters, multiply-adds of a sample (both from PyTorch), residual blocks, of which with a projection.
FAMILIES = {"m_cnn.toml": (4586506, 118327808, 0, 0), "m_cnn_residual.toml": (17988362, 546146816, 3, 3), "m_mlp.toml": (112714, 111936, 0, 0),
            "m_mlp_residual.toml": (130168, 128840, 4, 3)}


def config(name):
    return os.path.join(ROOT, "configs", name)


def number(text):
    return int(text.replace(",", ""))


def text_width(text, size, bold):
    """About the width in Helvetica; the program reckons with a wider font."""
    width = sum(0.28 if c in "iljtfrI.,:;|!'()[] " else 0.89 if c in "mwMW" else 0.7 if c.isupper() else 0.56 for c in text)
    return width * size * (1.08 if bold else 1)


class Dot:
    """What a DOT file says, read without Graphviz: quoted attributes, nodes, edges, clusters."""

    def __init__(self, text):
        self.nodes, self.edges, self.clusters, self.cluster_of, open_now = {}, [], {}, {}, []
        lines = text.splitlines()
        assert lines[0] == "digraph network {" and lines[-1] == "}", text
        for line in lines[1:-1]:
            line = line.strip()
            if m := re.fullmatch(r"subgraph (cluster_\d+) \{", line):
                open_now.append(m[1])
                self.clusters[m[1]] = None
            elif line == "}":
                open_now.pop()
            elif m := re.fullmatch(r"(\w+) -> (\w+) \[(.*)\];", line):
                self.edges.append((m[1], m[2], self.attributes(m[3])))
            elif m := re.fullmatch(r"(\w+) \[(.*)\];", line):
                attributes = self.attributes(m[2])
                if m[1] == "graph":
                    if open_now:
                        self.clusters[open_now[-1]] = attributes["label"]
                elif m[1] not in ("node", "edge"):
                    assert m[1] not in self.nodes, m[1]
                    self.nodes[m[1]] = attributes
                    self.cluster_of[m[1]] = list(open_now)
            else:
                raise AssertionError("not understood: " + line)
        assert not open_now

    @staticmethod
    def attributes(text):
        item = r'(\w+)=("(?:[^"\\]|\\.)*"|[\w.\-]+)'
        assert re.fullmatch(rf"{item}(, {item})*", text), text
        return {k: v[1:-1].replace('\\"', '"') if v[0] == '"' else v for k, v in re.findall(item, text)}


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="dla_test_")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def run_program(self, *arguments, timeout=120):
        done = subprocess.run(arguments, capture_output=True, text=True, env=ENV, timeout=timeout, cwd=self.folder)
        self.assertNotRegex(done.stderr, "terminate called|Sanitizer|Segmentation")
        return done

    def show(self, *arguments):
        done = self.run_program(VISUALIZE, *arguments)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def refused(self, done, code, pattern):
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertRegex(done.stderr, pattern)

    def digits(self):
        """A configuration that needs no data."""
        with open(self.path("digits.toml"), "w") as f:
            f.write('[model]\nname = "mlp"\ninput_shape = [1, 28, 28]\nlayer_sizes = [16, 16, 10]\nresidual = true\n'
                    '[training]\nbatch_size = 32\nnum_epochs = 1\nsave_every = 1\n[dataset]\nname = "digits"\nsize = 400\nval_size = 40\n')
        return self.path("digits.toml")


class Table(Case):
    def check_memory(self, text, batch):
        """Planned and claimed bytes are equal in each line, and add up."""
        lines = text[text.index(f"Bytes of training, batch of {batch} "):].splitlines()
        self.assertRegex(lines[0], r" planned +claimed$")
        values = [re.fullmatch(r"(.+?)  +([\d,]+) +([\d,]+)(?: +[\d.]+ [KMG]iB)?", line) for line in lines[2:lines.index("")]]
        self.assertEqual([m[1].split(" ")[0] for m in values],
                         ["weights", "gradients", "optimizer", "running", "control", "activations", "scratch", "total"])
        for m in values:
            self.assertEqual(m[2], m[3], m[0])
        numbers = [number(m[2]) for m in values]
        self.assertEqual(sum(numbers[:-1]), numbers[-1])
        self.assertTrue(all(n > 0 for n in numbers))

    def test_families(self):
        for name, (parameters, macs, _, _) in FAMILIES.items():
            with self.subTest(name=name):
                text = self.show("--config", config(name), "--batch", "8")
                self.assertIn(f"\nparameters: {parameters:,} ({parameters:,} trainable, 0 frozen)\n", text)
                self.assertIn(f"{macs:,} for one sample, {8 * macs:,} for 8\n", text)
                shape = "3, 32, 32" if "cnn" in name else "1, 28, 28"
                self.assertTrue(text.endswith(f"\nforward pass: noise [8, {shape}] gives [8, 10], all values finite\n"), text)
                self.check_memory(text, 8)
                rows = re.findall(r"^ *\d\S*  .*$", text[:text.index("\n\nparameters")], re.M)
                self.assertEqual(sum(number(m) for row in rows for m in re.findall(r"\]  +([\d,]+) (?!B)", row)), parameters)  # behind the kernel
                self.assertTrue(all("[8, " in row for row in rows))

    def test_every_config(self):
        for file in glob.glob(config("*.toml")):
            with self.subTest(file=file):
                self.assertIn("all values finite", self.show("--config", file, "--batch", "2"))

    def test_batch_and_optimizer_are_the_configs(self):
        text = self.show("--config", config("m_mlp.toml"))
        self.check_memory(text, 128)
        self.assertIn("optimizer (2 values", text)
        text = self.show("--config", config("m_mlp.toml"), "--set", "training.batch_size=96", "--set", 'training.optimizer="sgd"')
        self.check_memory(text, 96)
        self.assertIn("optimizer (1 values", text)

    def test_one_sample(self):
        text = self.show("--config", config("m_mlp.toml"), "--batch", "1")
        self.assertRegex(text, r"optimizer .* not yet")  # batch normalisation cannot take a step
        self.assertIn("noise [1, 1, 28, 28] gives [1, 10], all values finite", text)

    def test_deep(self):
        arguments = ("--config", config("m_mlp_residual.toml"), "--set", f"model.layer_sizes={DEEP}", "--batch", "16")
        text, full = self.show(*arguments), self.show(*arguments, "--full")
        self.assertRegex(text, r"\n4-100  Residual activation=ReLU x97 .* 97 x 2,240 +97 x 2,048\n")
        self.assertLess(len(text.splitlines()), 70)
        self.assertGreater(len(full.splitlines()), 800)
        self.assertEqual(text[text.index("\nparameters:"):], full[full.index("\nparameters:"):])
        self.check_memory(text, 16)

    def test_stats(self):
        text = self.show("--config", self.digits(), "--stats", "--batch", "50")
        self.assertIn("\ngradients on the first 50 training images of digits:\n", text)
        self.assertRegex(text, r"\n1\.0  .* 12,560 +\d\.\d+e[+-]\d+ ")
        self.assertRegex(text, r"\nloss \d")
        self.check_memory(text[:text.index("\ngradients on the")] + "\n\n", 50)
        done = self.run_program(VISUALIZE, "--config", config("m_mlp.toml"), "--stats", "--data-dir", self.path("absent"))
        self.refused_last(done, 3, r"error\[data\] ")

    def test_one_sample_has_no_statistics(self):
        for option in (("--stats",), ("--gradients", self.path("g"))):
            self.refused(self.run_program(VISUALIZE, "--config", self.digits(), "--batch", "1", *option), 2, r"error\[usage\] --batch 1: batch norm")
        self.assertEqual(os.listdir(self.folder), ["digits.toml"])

    def test_one_image_has_statistics(self):
        small = ("--set", "model.filters=[4, 8]", "--set", "dataset.name=digits", "--set", "model.input_shape=[1, 28, 28]")
        done = self.run_program(VISUALIZE, "--config", config("m_cnn.toml"), *small, "--batch", "1", "--stats")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("gradients on the first 1 training images", done.stdout)
        self.assertNotIn("not yet", done.stdout)  # a step was taken

    def test_output_that_is_lost(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([VISUALIZE, "--config", self.digits()], stdout=full, stderr=subprocess.PIPE, text=True, env=ENV)
        self.assertEqual(done.returncode, 6)
        self.assertRegex(done.stderr, r"\Aerror\[io\] standard output: ")

    def gradients(self, settings, file):
        """Writes gradients of a network on digits, and gives the path of the file and the mean norm that was printed."""
        with open(self.path("network.toml"), "w") as f:
            f.write(f'[model]\ninput_shape = [1, 28, 28]\n{settings}\n[training]\nlabel_smoothing = 0.1\n[dataset]\nname = "digits"\n'
                    'size = 100\nval_size = 10\n')
        text = self.show("--config", self.path("network.toml"), "--gradients", self.path(file), "--batch", "64")
        return self.path(file), float(re.search(r"mean over parameters of the gradient norm ([\d.e+-]+)", text)[1])

    def test_norms_are_those_of_the_gradients(self):
        file, mean = self.gradients('name = "mlp"\nlayer_sizes = [24, 16, 10]', "g.safetensors")
        with open(file, "rb") as f:
            data = f.read()
        begin = 8 + struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8:begin])
        norms = []
        for name, entry in header.items():
            if name.startswith("gradient."):
                at, end = entry["data_offsets"]
                norms.append(sum(v * v for v, in struct.iter_unpack("<f", data[begin + at:begin + end])) ** 0.5)
                self.assertEqual(entry["shape"], header[name.removeprefix("gradient.")]["shape"])
        self.assertEqual(len(norms), 10)
        self.assertAlmostEqual(sum(norms) / len(norms), mean, delta=1e-3 * mean)
        self.assertEqual(header["batch.images"]["shape"], [64, 1, 28, 28])

    def test_same_gradients_in_pytorch(self):
        python = "/usr/bin/python3"
        if subprocess.run([python, "-c", "import torch, tomllib"], capture_output=True).returncode != 0:
            self.skipTest("no PyTorch in /usr/bin/python3")
        script = os.path.join(ROOT, "scripts", "load_in_pytorch.py")
        for settings in ('name = "mlp"\nlayer_sizes = [24, 16, 16, 10]', 'name = "mlp"\nlayer_sizes = [24, 16, 16, 10]\nresidual = true',
                         'name = "cnn"\ndropout = 0.0\nfilters = [4, 8, 6]', 'name = "cnn"\ndropout = 0.0\nfilters = [4, 4, 8]\nresidual = true'):
            with self.subTest(settings=settings):
                file, mean = self.gradients(settings, "g.safetensors")
                done = self.run_program(python, script, file)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertAlmostEqual(float(re.search(r"norm: PyTorch ([\d.e+-]+), ", done.stdout)[1]), mean, delta=1e-3 * mean)
        with open(file, "rb") as f:
            data = bytearray(f.read())
        begin = 8 + struct.unpack("<Q", data[:8])[0]
        at, end = json.loads(data[8:begin])["gradient.1.block.0.0.weight"]["data_offsets"]
        for i in range(begin + at, begin + end, 4):  # a gradient that is a tenth too large
            struct.pack_into("<f", data, i, 1.1 * struct.unpack_from("<f", data, i)[0])
        with open(file, "wb") as f:
            f.write(data)
        done = self.run_program(python, script, file)
        self.assertEqual(done.returncode, 1)
        self.assertIn("too far off: 1.block.0.0.weight", done.stdout)

    def refused_last(self, done, code, pattern):
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertRegex(done.stderr.splitlines()[-1], pattern)  # a failed download speaks before

    def test_checkpoint(self):
        done = self.run_program(TRAIN, "--config", self.digits(), "--output-dir", self.path("out"))
        self.assertEqual(done.returncode, 0, done.stderr)
        file = self.path("out", "checkpoints", "mlp_residual_digits_final.safetensors")
        text, expected = self.show("--checkpoint", file), self.show("--config", self.digits())
        self.assertTrue(text.startswith(file + ": mlp_residual_digits\n"))
        self.assertEqual(text.splitlines()[1:], expected.splitlines()[1:])
        # Trained weights, not initial ones: they classify.
        losses = [float(re.search(r"\nloss ([\d.]+)", self.show(*source, "--stats"))[1]) for source in (("--checkpoint", file), ("--config", self.digits()))]
        self.assertLess(losses[0], losses[1])
        with open(file, "rb") as f:
            data = f.read()
        header = 8 + struct.unpack("<Q", data[:8])[0]
        contents = json.loads(data[8:header])
        contents["__metadata__"]["config"] = contents["__metadata__"]["config"].replace("[16, 16, 10]", "[65536, 65536, 10]")
        grown = json.dumps(contents).encode()
        for damaged in (b"", data[:9], data[:header], data[:-1], data[:100] + b"\xff" + data[101:], struct.pack("<Q", len(grown)) + grown + data[header:]):
            with open(self.path("damaged.safetensors"), "wb") as f:
                f.write(damaged)
            self.refused(self.run_program(VISUALIZE, "--checkpoint", self.path("damaged.safetensors")), 4, r"\Aerror\[(checkpoint|model)\] .*damaged")
        self.refused(self.run_program(VISUALIZE, "--checkpoint", self.path("absent")), 4, r"error\[checkpoint\] .*absent")

    def test_no_work_that_only_a_file_asks_for(self):
        done = self.run_program(TRAIN, "--config", self.digits(), "--output-dir", self.path("out"), "--set", "training.num_epochs=1")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        [file] = glob.glob(self.path("out", "checkpoints", "*_final.safetensors"))
        with open(file, "rb") as f:
            data = f.read()
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8:8 + length])
        del header["__metadata__"]["dla.checksum"]  # as a file of others has none
        text, changed = header["__metadata__"]["config"], re.subn(r"(?m)^size = \d+$", "size = 1000000", header["__metadata__"]["config"])
        self.assertEqual(changed[1], 1, text)
        header["__metadata__"]["config"] = changed[0]
        text = json.dumps(header).encode()
        with open(self.path("large.safetensors"), "wb") as f:
            f.write(struct.pack("<Q", len(text)) + text + data[8 + length:])
        shown = [self.show("--checkpoint", name, "--stats", "--batch", "8").split("\n", 1)[1] for name in (file, self.path("large.safetensors"))]
        self.assertEqual(shown[0], shown[1])
        process = subprocess.Popen([VISUALIZE, "--checkpoint", self.path("large.safetensors"), "--stats", "--batch", "8"], stdout=subprocess.DEVNULL, env=ENV)
        _, process.returncode, usage = os.wait4(process.pid, 0)
        self.assertEqual(process.returncode, 0)
        self.assertLess(usage.ru_maxrss, 500_000)  # kilobytes; a million digits are 784 MB

    def test_usage(self):
        file = self.digits()
        either = "either --config FILE or --checkpoint FILE"
        for arguments, pattern in (((), either), (("--config", file, "--checkpoint", file), either), (("--checkpoint", file, "--set", "a.b=1"), "--set"),
                                   (("--config", file, "--batch", "0"), "--batch"), (("--config", file, "--batch", "x"), "--batch"),
                                   (("--config", file, "--batch", "65537"), "--batch"), (("--config", file, "--nonsense"), "nonsense"),
                                   (("--config", file, "--svg"), "--svg"), (("--config", file, "--threads", "0"), "--threads")):
            with self.subTest(arguments=arguments):
                self.refused(self.run_program(VISUALIZE, *arguments), 2, r"\Aerror\[usage\] visualize_network: .*" + pattern)
        done = self.run_program(VISUALIZE, "--config", file, "--set", "model.layer_size=[1]")
        self.assertEqual(done.returncode, 2)
        self.assertIn("did you mean", done.stderr)
        self.refused(self.run_program(VISUALIZE, "--config", self.path("absent")), 2, r"error\[config\] .*absent")
        self.assertRegex(self.show("--version"), r"\Avisualize_network \(dla\) \d+\.\d+\.\d+")
        self.assertIn("--checkpoint", self.show("--help"))

    def test_output_that_cannot_be_written(self):
        os.mkdir(self.path("folder"))
        for option in ("--dot", "--svg", "--gradients"):
            for place in (self.path("absent", "x"), self.path("folder")):
                self.refused(self.run_program(VISUALIZE, "--config", self.digits(), option, place), 6, r"\Aerror\[io\] " + re.escape(place))
        self.assertEqual(os.listdir(self.path("folder")), [])


class Pictures(Case):
    def draw(self, *arguments):
        self.show(*arguments, "--batch", "2", "--dot", self.path("net.dot"), "--svg", self.path("net.svg"))
        with open(self.path("net.dot"), encoding="utf-8") as f:
            dot = f.read()
        with open(self.path("net.svg"), encoding="utf-8") as f:
            return dot, f.read()

    def cases(self):
        for name, (_, _, residual, projections) in FAMILIES.items():
            yield ("--config", config(name)), residual, projections, 1
        deep = ("--config", config("m_mlp_residual.toml"), "--set", f"model.layer_sizes={DEEP}")
        yield deep, 4, 3, 97
        yield (*deep, "--full"), 100, 3, 1
        yield ("--config", config("m_mlp.toml"), "--set", f"model.layer_sizes={DEEP}"), 0, 0, 97

    def test_dot(self):
        for arguments, residual, projections, copies in self.cases():
            with self.subTest(arguments=arguments):
                text, _ = self.draw(*arguments)
                dot = Dot(text)
                shortcuts = [e for e in dot.edges if e[2].get("class") == "shortcut"]
                sums = [n for n, a in dot.nodes.items() if a["label"] == "+"]
                forks = [n for n, a in dot.nodes.items() if a.get("shape") == "point"]
                self.assertEqual(len(shortcuts), residual)  # one residual arc for each block
                self.assertEqual(sorted(e[1] for e in shortcuts), sorted(sums))
                identities = [e for e in shortcuts if e[2].get("style") == "dashed"]
                self.assertEqual(len(identities), residual - projections)
                self.assertTrue(all(e[0] in forks for e in identities))
                self.assertFalse(any(e[0] in forks for e in shortcuts if e not in identities))
                for fork, to, _ in identities:  # both ends lie in the frame of the same block
                    self.assertEqual(dot.cluster_of[fork], dot.cluster_of[to])
                    self.assertIn("Residual", dot.clusters[dot.cluster_of[fork][-1]])
                self.assertEqual(sum("Residual" in label for label in dot.clusters.values()), residual)
                self.assertEqual([label for label in dot.clusters.values() if "\u00d7" in label] != [], copies > 1)
                if copies > 1:
                    self.assertTrue(any(label.endswith(f"\u00d7 {copies}") for label in dot.clusters.values()))
                # Values flow from the input through every node to the output, and nothing flows back.
                out, into = {n: [] for n in dot.nodes}, {n: [] for n in dot.nodes}
                for a, b, _ in dot.edges:
                    out[a].append(b)
                    into[b].append(a)
                for start, next_ in (("input", out), ("output", into)):
                    seen, todo = {start}, [start]
                    while todo:
                        for n in next_[todo.pop()]:
                            if n not in seen:
                                seen.add(n)
                                todo.append(n)
                    self.assertEqual(seen, set(dot.nodes))
                for n in dot.nodes:
                    self.assertEqual(len(into[n]), 0 if n == "input" else 2 if n in sums else 1)
                    self.assertEqual(len(out[n]), 0 if n == "output" else 2 if n in forks else 1)

    def test_dot_parses(self):
        if not shutil.which("dot"):
            self.skipTest("no Graphviz: its program dot would read the files")
        for arguments, *_ in self.cases():
            with self.subTest(arguments=arguments):
                text, _ = self.draw(*arguments)
                done = self.run_program("dot", "-Tplain", self.path("net.dot"))
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                dot = Dot(text)
                self.assertEqual(len(re.findall("^node ", done.stdout, re.M)), len(dot.nodes))
                self.assertEqual(len(re.findall("^edge ", done.stdout, re.M)), len(dot.edges))

    def test_svg(self):
        for arguments, residual, projections, copies in self.cases():
            with self.subTest(arguments=arguments):
                dot_text, text = self.draw(*arguments)
                svg = minidom.parseString(text.encode()).documentElement
                self.assertEqual(svg.namespaceURI, "http://www.w3.org/2000/svg")
                page = tuple(float(v) for v in svg.getAttribute("viewBox").split())
                self.assertLess(page[2], 600)  # fits in a column
                groups = {}
                for g in svg.getElementsByTagName("g"):
                    groups.setdefault(g.getAttribute("class"), []).append(g)
                self.assertEqual(len(groups.get("frame residual", [])), residual)
                self.assertEqual(len(groups.get("sum", [])), residual)
                arcs = [p for p in svg.getElementsByTagName("path") if p.getAttribute("class") == "shortcut"]
                self.assertEqual(len(arcs), residual)
                self.assertEqual(sum(p.hasAttribute("stroke-dasharray") for p in arcs), residual - projections)
                self.assertTrue(all(p.getAttribute("marker-end") for p in arcs))
                badges = ["".join(self.words(t) for t in g.getElementsByTagName("text")) for g in groups.get("copies", [])]
                self.assertEqual(badges, [f"\u00d7 {copies}"] if copies > 1 else [])
                layers = [n for n in Dot(dot_text).nodes.values() if "\\n" in n["label"]]
                boxes = [self.box(g) for g in groups["layer"] + groups["end"]]
                self.assertEqual(len(boxes), len(layers))  # both pictures show the same layers
                frames = [self.box(g) for kind in ("frame", "frame residual") for g in groups.get(kind, [])]
                for kind in ("layer", "end", "copies", "frame", "frame residual"):
                    for g in groups.get(kind, []):
                        for t in (c for c in g.childNodes if c.nodeName == "text"):
                            self.inside(self.extent(t), self.box(g))
                self.assertNotIn("\u2026", text)  # nothing had to be cut
                for g in groups.get("frame", []) + groups.get("frame residual", []):
                    label = [self.words(c) for c in g.childNodes if c.nodeName == "text"][0]
                    self.assertRegex(label, r"\A(Sequential|Residual)" + re.escape(g.getAttribute("data-path")) + r"\Z")
                for b in boxes + frames:
                    self.inside(b, (page[0], page[1], page[2], page[3]))
                for t in (c for c in svg.childNodes if c.nodeName == "text"):
                    self.inside(self.extent(t), (page[0], page[1], page[2], page[3]))
                boxes.sort(key=lambda b: b[1])
                for i, a in enumerate(boxes):  # no box on another
                    for b in boxes[i + 1:i + 8]:
                        self.assertTrue(a[1] + a[3] <= b[1] or a[0] + a[2] <= b[0] or b[0] + b[2] <= a[0], (a, b))
                if len(frames) < 100:
                    for i, a in enumerate(frames):  # frames lie in one another or apart, and cut no box
                        for b in frames[:i] + boxes:
                            apart = a[1] + a[3] <= b[1] or b[1] + b[3] <= a[1] or a[0] + a[2] <= b[0] or b[0] + b[2] <= a[0]
                            self.assertTrue(apart or self.holds(a, b) or self.holds(b, a), (a, b))

    @staticmethod
    def words(node):
        return "".join(c.data if c.nodeType == c.TEXT_NODE else Pictures.words(c) for c in node.childNodes)

    @staticmethod
    def box(group):
        """x, y, width, height of the rectangle in front."""
        rect = [c for c in group.childNodes if c.nodeName == "rect"][-1]
        return tuple(float(rect.getAttribute(a)) for a in ("x", "y", "width", "height"))

    def extent(self, text):
        x, y, size = (float(text.getAttribute(a)) for a in ("x", "y", "font-size"))
        bold = [c for c in text.childNodes if c.nodeName == "tspan" and c.getAttribute("font-weight")]
        plain = self.words(text)[sum(len(self.words(c)) for c in bold):]
        width = sum(text_width(self.words(c), size, True) for c in bold) + text_width(plain, size, False)
        width += sum(float(c.getAttribute("dx") or 0) for c in text.childNodes if c.nodeName == "tspan")
        left = x - {"": 0, "middle": width / 2, "end": width}[text.getAttribute("text-anchor")]
        if text.getAttribute("transform"):
            assert text.getAttribute("transform").startswith("rotate(-90 ") and text.getAttribute("text-anchor") == "middle"
            return x - 0.75 * size, y - width / 2, 0.97 * size, width
        return left, y - 0.75 * size, width, 0.97 * size

    @staticmethod
    def holds(outer, inner):
        return (outer[0] <= inner[0] and outer[1] <= inner[1] and inner[0] + inner[2] <= outer[0] + outer[2] and
                inner[1] + inner[3] <= outer[1] + outer[3])

    def inside(self, inner, outer):
        self.assertTrue(self.holds(outer, inner), (inner, outer))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
