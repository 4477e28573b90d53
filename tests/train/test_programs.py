#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs `train` and `evaluate` as users do: killed, interrupted, resumed, with bad options and damaged files.

usage: test_programs.py TRAIN EVALUATE SOURCE_ROOT [unittest options]
"""
import contextlib
import fcntl
import hashlib
import json
import os
import pty
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

TRAIN, EVALUATE, ROOT = map(os.path.abspath, sys.argv[1:4])  # meson gives relative paths when it builds inside the source
# No data from outside: a proxy that nobody answers for keeps downloads from leaving this machine.
ENV = {k: v for k, v in os.environ.items() if k != "DLA_DATA_DIR" and not k.lower().endswith("_proxy")}
ENV |= {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
HAVE_GNUPLOT = shutil.which("gnuplot") is not None

MLP = {"model.name": '"mlp"', "model.input_shape": "[1, 28, 28]", "model.layer_sizes": "[64, 48, 48, 10]", "model.residual": "true",
       "training.scheduler": '"reduce_lr"', "training.lr_patience": "0", "training.batch_size": "32"}
CNN = {"model.name": '"cnn"', "model.input_shape": "[1, 28, 28]", "model.filters": "[4, 8]", "model.dropout": "0.3", "dataset.augment": "true",
       "training.scheduler": '"one_cycle"', "training.learning_rate": "0.01", "training.clip_grad_norm": "1.0", "training.batch_size": "50"}
COMMON = {"training.num_epochs": "6", "training.save_every": "2", "training.log_every": "3", "training.early_stopping_patience": "0",
          "dataset.name": '"digits"', "dataset.size": "1500", "dataset.val_size": "300"}


def toml(settings):
    tables = {}
    for key, value in settings.items():
        table, name = key.split(".")
        tables.setdefault(table, []).append(f"{name} = {value}")
    return "".join(f"[{table}]\n" + "\n".join(lines) + "\n" for table, lines in tables.items())


def read_safetensors(data):
    """Header and data of a file's bytes."""
    length = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8:8 + length]), data[8 + length:]


def read(path):
    with open(path, "rb") as f:
        return f.read()


def digest(data):
    """Compared in place of the data: unittest would look for the differences of megabytes character by character."""
    return hashlib.sha256(data).hexdigest()


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return value, at


def fields(data):
    """(number, value) of a protobuf message: integers, 8- and 4-byte strings, and bytes."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        else:
            size, at = {1: (8, at), 5: (4, at)}.get(key & 7) or varint(data, at)
            value, at = data[at:at + size], at + size
        yield key >> 3, value


CRC_TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    CRC_TABLE.append(byte)


def masked_crc(data):
    crc = 0xFFFFFFFF
    for b in data:
        crc = CRC_TABLE[(crc ^ b) & 255] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def scalars(folder):
    """{tag: {step: value}} of a folder's event files, as TensorBoard shows them; every checksum is verified."""
    shown = {}
    for name in sorted(n for n in os.listdir(folder) if n.startswith("events.")):
        data, at = read(os.path.join(folder, name)), 0
        while at + 12 <= len(data):
            size, crc = struct.unpack_from("<QI", data, at)
            assert crc == masked_crc(data[at:at + 8]), name
            if at + 16 + size > len(data):
                break  # the process was killed while it wrote this
            event = data[at + 12:at + 12 + size]
            assert struct.unpack_from("<I", data, at + 12 + size)[0] == masked_crc(event), name
            at += 16 + size
            event = list(fields(event))
            step = dict(event).get(2, 0)
            for number, value in event:
                if number == 7:  # session start: what was told from this step on is withdrawn
                    shown = {tag: {s: v for s, v in steps.items() if s < step} for tag, steps in shown.items()}
                if number != 5:
                    continue
                for _, summary in fields(value):
                    content = dict(fields(summary))
                    if 2 in content:
                        tag = content[1].decode()
                        assert step not in shown.setdefault(tag, {}), f"{tag} has step {step} twice"
                        shown[tag][step] = struct.unpack("<f", content[2])[0]
    return shown


def histograms(folder):
    """{(tag, step): bytes of the histogram} of a folder's event files."""
    found = {}
    for name in sorted(n for n in os.listdir(folder) if n.startswith("events.")):
        data, at = read(os.path.join(folder, name)), 0
        while at + 12 <= len(data):
            size = struct.unpack_from("<Q", data, at)[0]
            event = list(fields(data[at + 12:at + 12 + size]))
            at += 16 + size
            for _, summary in (item for number, value in event if number == 5 for item in fields(value)):
                content = dict(fields(summary))
                if 5 in content:
                    found[content[1].decode(), dict(event).get(2, 0)] = content[5]
    return found


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="dla_test_")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def config(self, settings, name="config.toml"):
        with open(self.path(name), "w") as f:
            f.write(toml({k: v for k, v in {**COMMON, **settings}.items() if v is not None}))
        return self.path(name)

    def run_program(self, *arguments, timeout=60):
        done = subprocess.run(arguments, capture_output=True, text=True, env=ENV, timeout=timeout, cwd=self.folder)
        self.assertNotRegex(done.stderr, "terminate called|Sanitizer|Segmentation")
        return done

    def train(self, config, out, *options):
        """All runs have one identity unless a test gives another, so that their files can be compared."""
        own = () if "--run-id" in options else ("--run-id", "0")
        return self.run_program(TRAIN, "--config", config, "--output-dir", self.path(out), *own, *options)

    def ok(self, done):
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done

    def refused(self, done, code, pattern, lines=1):
        """Exit status, and error lines on stderr and nothing else there."""
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        errors = [line for line in done.stderr.splitlines() if not line.startswith("note: ")]
        self.assertEqual(len(errors), lines, done.stderr)
        self.assertRegex(done.stderr, pattern)

    def metrics(self, out, name):
        with open(self.path(out, "runs", name, "metrics.jsonl")) as f:
            return [json.loads(line) for line in f]

    def start(self, config, out, *options, room=None):
        """A running `train`. With `room` its output goes into a pipe that has room for that many bytes and nobody reads: it stands still, for certain and
        for as long as the test needs, when it writes more. Epochs end with a line, so it comes to no end."""
        own = () if "--run-id" in options else ("--run-id", "0")
        command = [TRAIN, "--config", config, "--output-dir", self.path(out), *own, *options]
        if room is None:
            return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENV)
        reader, writer = os.pipe()
        size = fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        self.assertLess(room, size)
        self.assertEqual(os.write(writer, b"x" * (size - room)), size - room)
        process = subprocess.Popen(command, stdout=writer, stderr=subprocess.PIPE, text=True, env=ENV)
        os.close(writer)
        process.stdout = os.fdopen(reader, "r")  # communicate() reads it, and so lets the process go on
        return process

    def kill(self, process):
        """Kills a process that has not ended."""
        process.kill()
        process.communicate()
        self.assertEqual(process.returncode, -signal.SIGKILL, "it ended before it was killed")

    def signal_and_wait(self, process, number):
        """Sends a signal and returns when it was handled: it is no longer pending, and every thread sleeps."""
        process.send_signal(number)
        folder, end = f"/proc/{process.pid}", time.monotonic() + 60
        while time.monotonic() < end:
            pending = re.search(r"^ShdPnd:\s*(\w+)", read(folder + "/status").decode(), re.M)[1]
            states = [read(f"{folder}/task/{t}/stat").decode().rpartition(")")[2].split()[0] for t in os.listdir(folder + "/task")]
            if not int(pending, 16) >> (number - 1) & 1 and all(s == "S" for s in states):
                return
            time.sleep(0.001)
        self.fail("the signal was not handled")

    def wait_for_step(self, process, out, name, step, kind="step|epoch"):
        """Until metrics.jsonl tells of this step (or one behind it) in a line of this kind. The process must still run then."""
        path = self.path(out, "runs", name, "metrics.jsonl")
        end = time.monotonic() + 60
        while time.monotonic() < end:
            self.assertIsNone(process.poll(), "it ended before that step")
            try:  # a program that goes on writes the file anew
                text = read(path).decode()
            except FileNotFoundError:
                text = ""
            if text:
                lines = [line for line in text.splitlines() if re.search(f'"type":"({kind})"', line)]
                if any(int(m.group(1)) >= step for m in (re.search(r'"step":(\d+)', line) for line in lines[-3:]) if m):
                    return
            time.sleep(0.0005)
        self.fail(f"no step {step} within a minute")

    def room_for(self, done, epochs):
        """Bytes of output up to the line of this epoch, where the next line does not fit. Lines differ by a few digits of rates and seconds."""
        lines = done.stdout.splitlines(keepends=True)
        last = next(i for i, line in enumerate(lines) if re.match(f"epoch +{epochs} ", line))
        self.assertGreater(len(lines[last]), 80)
        return sum(len(line.encode()) for line in lines[:last + 1]) + 40


class Resume(Case):
    def check_log(self, out, name, whole):
        """Every epoch and every logged step once, with the values of the uninterrupted run; TensorBoard shows the same."""
        timing = ("samples_per_second", "seconds")
        strip = [{k: v for k, v in line.items() if k not in timing} for line in self.metrics(out, name)]
        self.assertEqual(strip, [{k: v for k, v in line.items() if k not in timing} for line in self.metrics(whole, name)])
        self.assertEqual(sum(line["type"] == "test" for line in strip), 1)
        self.assertEqual([line["epoch"] for line in strip if line["type"] == "epoch"], [1, 2, 3, 4, 5, 6])
        self.assertEqual(scalars(self.path(out, "runs", name)), scalars(self.path(whole, "runs", name)))

    def check_same(self, out, name, whole):
        for kind in ("final", "best", "epoch_6"):
            file = os.path.join("checkpoints", f"{name}_{kind}.safetensors")
            self.assertEqual(digest(read(self.path(out, file))), digest(read(self.path(whole, file))), f"{kind} differs")
        self.check_log(out, name, whole)

    def killed(self, settings, name, seed, kills):
        config = self.config(settings)
        whole = self.ok(self.train(config, "whole", "--threads", "1"))
        self.ok(self.train(config, "whole2", "--threads", "2"))
        self.check_same("whole2", name, "whole")
        steps = max(line["step"] for line in self.metrics("whole", name)) // 6  # of an epoch
        draw = random.Random(seed)
        for round_ in range(kills):
            out, threads = f"killed{round_}", 1 + round_ % 2
            checkpoints = self.path(out, "checkpoints")

            def resumable():
                files = os.listdir(checkpoints) if os.path.isdir(checkpoints) else []
                return ["--resume" if any(re.fullmatch(name + r"_epoch_\d+\.safetensors", f) for f in files) else "--overwrite"]

            # Killed twice: in one of the first four epochs, and in the first epoch after it was resumed (or begun anew).
            process = self.start(config, out, "--threads", str(threads), room=self.room_for(whole, 4))
            self.wait_for_step(process, out, name, draw.randrange(1, 4 * steps))
            time.sleep(draw.random() * 0.01)
            self.kill(process)
            process = self.start(config, out, "--threads", str(3 - threads), *resumable(), room=0)
            self.wait_for_step(process, out, name, draw.randrange(1, steps - 3))
            time.sleep(draw.random() * 0.01)
            self.kill(process)
            process = self.start(config, out, "--threads", str(3 - threads), *(resumable() if round_ % 2 else ["--continue"]))
            output, errors = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 0, output + errors)
            self.check_same(out, name, "whole")

    def test_killed_mlp(self):
        self.killed(MLP, "mlp_residual_digits", 1, 2)

    def test_killed_cnn(self):
        self.killed(CNN, "cnn_digits", 2, 2)

    def test_interrupted(self):
        for settings, name in ((MLP, "mlp_residual_digits"), (CNN, "cnn_digits")):
            config = self.config(settings)
            self.ok(self.train(config, "whole" + name))
            for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
                with self.subTest(name=name, signal=number):
                    out = f"{name}{code}"
                    process = self.start(config, out, room=0)
                    self.wait_for_step(process, out, name, 1, "epoch")  # it cannot write the line of the first epoch, and waits
                    self.signal_and_wait(process, number)
                    output, errors = process.communicate(timeout=60)
                    self.assertEqual(process.returncode, code, output + errors)
                    interrupted = self.path(out, "checkpoints", name + "_interrupted.safetensors")
                    self.assertIn(f"was interrupted by signal {int(number)} after epoch 1, batch ", errors)
                    self.assertIn("everything is in " + interrupted + "; go on with it by --resume", errors)
                    header, _ = read_safetensors(read(interrupted))
                    state = json.loads(header["__metadata__"]["state"])
                    self.assertEqual(state["kind"], "interrupted")
                    self.assertGreater(state["batch"], 0)  # inside an epoch
                    options = ["--resume"] if number == signal.SIGINT else ["--resume", interrupted]
                    self.ok(self.train(config, out, *options))
                    self.assertFalse(os.path.exists(interrupted))  # the run is past it
                    self.check_same(out, name, "whole" + name)

    def test_interrupted_where_an_epoch_is_one_step(self):
        """No step lies inside an epoch: the signal is served between two of them."""
        config, name = self.config({**MLP, "training.batch_size": "2000"}), "mlp_residual_digits"
        self.ok(self.train(config, "whole"))
        process = self.start(config, "out", room=0)
        self.wait_for_step(process, "out", name, 1, "epoch")
        self.signal_and_wait(process, signal.SIGINT)
        output, errors = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, output + errors)
        self.ok(self.train(config, "out", "--resume"))
        self.check_same("out", name, "whole")

    def test_second_signal(self):
        """The first signal is served at the end of a step, the second at once: here while the process waits for somebody to read its output."""
        process = self.start(self.config(MLP), "out", room=0)
        self.wait_for_step(process, "out", "mlp_residual_digits", 1, "epoch")
        self.signal_and_wait(process, signal.SIGINT)
        self.assertIsNone(process.poll())
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(timeout=60), 143)
        process.communicate()
        self.assertFalse(os.path.exists(self.path("out", "checkpoints", "mlp_residual_digits_interrupted.safetensors")))

    def test_doctor(self):
        config = self.config(MLP)
        done = self.train(config, "out", "--doctor")
        checks = re.findall(r"^(good|note|BAD) +([\w ]+): ", done.stdout, re.M)
        self.assertEqual([name for _, name in checks], ["order", "first NaN", "dead ReLUs", "update size", "gradients", "loader", "one batch", "learning rate",
                                                        "labels", "memory"])
        bad = [name for kind, name in checks if kind == "BAD"]
        self.assertIn(bad, ([], ["loader"]))  # which is a matter of time
        self.assertEqual(done.returncode, len(bad), done.stdout + done.stderr)
        self.assertIn("range test: " + self.path("out", "learning_rates.png") if HAVE_GNUPLOT else "good", done.stdout)
        self.assertEqual([f for f in os.listdir(self.path("out")) if not f.startswith("learning_rates")], [])  # nothing was trained
        sick = self.train(self.config({**MLP, "training.learning_rate": "50.0"}, "sick.toml"), "out", "--doctor")
        self.assertEqual(sick.returncode, 1, sick.stdout + sick.stderr)
        self.assertRegex(sick.stdout, r"BAD   learning rate: [^\n]*50[^\n]*\n      use a learning rate of")
        self.refused(self.train(config, "out", "--doctor", "--resume"), 2, "doctor.*resume|resume.*doctor")

    def test_resume_when_over(self):
        config = self.config(MLP)
        self.ok(self.train(config, "out"))
        before = read(self.path("out", "checkpoints", "mlp_residual_digits_final.safetensors"))
        self.ok(self.train(config, "out", "--resume"))
        self.assertEqual(read(self.path("out", "checkpoints", "mlp_residual_digits_final.safetensors")), before)
        self.assertEqual(sum(line["type"] == "test" for line in self.metrics("out", "mlp_residual_digits")), 1)

    def test_damaged_newest_is_passed_over(self):
        config, name = self.config(MLP), "mlp_residual_digits"
        self.ok(self.train(config, "whole"))
        self.ok(self.train(config, "out"))
        newest = self.path("out", "checkpoints", name + "_epoch_6.safetensors")
        os.truncate(newest, 1000)
        done = self.ok(self.train(config, "out", "--resume"))
        self.assertIn("note: skipped", done.stderr)
        self.assertIn(f"{name}_epoch_4.safetensors", done.stdout)
        self.check_same("out", name, "whole")
        # A header that is whole, over a flipped bit and over a tensor that is missing.
        for damage in ("flip", "lose"):
            self.ok(self.train(config, damage))
            newest = self.path(damage, "checkpoints", name + "_epoch_6.safetensors")
            data = bytearray(read(newest))
            if damage == "flip":
                data[-5] ^= 4
            else:
                header, arrays = read_safetensors(bytes(data))
                lost = max((k for k in header if k != "__metadata__"), key=lambda k: header[k]["data_offsets"])
                arrays = arrays[:header.pop(lost)["data_offsets"][0]]
                header["__metadata__"].pop("dla.checksum")
                text = json.dumps(header).encode()
                data = struct.pack("<Q", len(text)) + text + arrays
            with open(newest, "wb") as f:
                f.write(data)
            done = self.ok(self.train(config, damage, "--resume"))
            self.assertRegex(done.stderr, r"\Anote: skipped .*_epoch_6.safetensors: .*(checksum|is missing)")
            self.assertIn(f"{name}_epoch_4.safetensors", done.stdout)
            self.check_same(damage, name, "whole")

    def test_second_run(self):
        """A run is not overwritten by another one unless somebody says so, and never mixed with it."""
        config, name = self.config({**MLP, "training.num_epochs": "4"}), "mlp_residual_digits"
        checkpoints = self.path("out", "checkpoints")
        self.ok(self.train(config, "out", "--run-id", "first"))
        before = {f: digest(read(os.path.join(checkpoints, f))) for f in os.listdir(checkpoints)}
        log = read(self.path("out", "runs", name, "metrics.jsonl"))
        pattern = rf"error\[usage\] .*checkpoints: an earlier run left {name}_best.safetensors and 3 more; go on with it \(--resume\), .*--overwrite"
        for options in ((), ("--seed", "7"), ("--quiet",)):
            self.refused(self.train(config, "out", *options), 2, pattern)
        self.assertEqual({f: digest(read(os.path.join(checkpoints, f))) for f in os.listdir(checkpoints)}, before)
        self.assertEqual(read(self.path("out", "runs", name, "metrics.jsonl")), log)
        self.refused(self.train(config, "out", "--overwrite", "--resume"), 2, "overwrite.*resume|resume.*overwrite")
        self.refused(self.train(config, "out", "--continue", "--resume"), 2, "continue.*resume|resume.*continue")
        self.refused(self.train(config, "out", "--continue", "--overwrite"), 2, "continue.*overwrite|overwrite.*continue")
        # Started anew and killed before its first checkpoint: nothing of the first run is there to be taken for its own.
        whole = self.ok(self.train(config, "whole", "--run-id", "second"))
        process = self.start(config, "out", "--overwrite", "--run-id", "second", room=self.room_for(whole, 1))
        end = time.monotonic() + 60
        while b'"second"' not in log:  # the first run's log lies there until the second begins its own
            self.assertLess(time.monotonic(), end)
            try:
                log = read(self.path("out", "runs", name, "metrics.jsonl"))
            except FileNotFoundError:
                log = b""
        self.wait_for_step(process, "out", name, 30)
        self.kill(process)
        self.assertEqual([f for f in os.listdir(checkpoints) if "epoch" in f or "final" in f], [])
        self.assertNotIn(b"first", read(self.path("out", "runs", name, "metrics.jsonl")))
        self.refused(self.train(config, "out", "--resume"), 4, "no checkpoint")
        self.ok(self.train(config, "out", "--overwrite", "--run-id", "second"))
        # A checkpoint of another run in the same place is passed over; named, it is refused, because the log is not its own.
        self.ok(self.train(config, "third", "--run-id", "third"))
        other = os.path.join(checkpoints, name + "_epoch_4.safetensors")
        shutil.copy(self.path("third", "checkpoints", name + "_epoch_4.safetensors"), other)
        done = self.ok(self.train(config, "out", "--resume"))
        self.assertIn("_epoch_4.safetensors: written by another run", done.stderr)
        self.assertIn("_epoch_2.safetensors", done.stdout)
        shutil.copy(self.path("third", "checkpoints", name + "_epoch_4.safetensors"), other)
        self.refused(self.train(config, "out", "--resume", other), 4, r"error\[checkpoint\] .*metrics.jsonl: is the log of another run")
        # Without a name each run has an identity of its own.
        ids = set()
        for out in ("a", "b"):
            self.ok(self.run_program(TRAIN, "--config", config, "--output-dir", self.path(out)))
            ids.add(next(line["run"] for line in self.metrics(out, name) if line["type"] == "run"))
            self.assertTrue(any(sorted(ids)[0] in f or sorted(ids)[-1] in f for f in os.listdir(self.path(out, "runs", name)) if f.startswith("events")))
            header, _ = read_safetensors(read(self.path(out, "checkpoints", name + "_epoch_4.safetensors")))
            self.assertIn(json.loads(header["__metadata__"]["state"])["run"], ids)
        self.assertEqual(len(ids), 2)
        self.assertEqual(digest(read(self.path("a", "checkpoints", name + "_final.safetensors"))), digest(read(self.path("b", "checkpoints", name + "_final.safetensors"))))

    def test_two_at_once(self):
        config, name = self.config(MLP), "mlp_residual_digits"
        whole = self.ok(self.train(config, "whole"))
        process = self.start(config, "out", room=self.room_for(whole, 2))
        self.wait_for_step(process, "out", name, 40)
        for options in ((), ("--resume",), ("--quiet",)):
            self.refused(self.train(config, "out", *options), 6, rf"error\[io\] .*out/runs/{name}: process {process.pid} \(.*train --config .*\) is writing there; ")
        self.ok(self.train(config, "other"))  # beside it, but elsewhere
        output, errors = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, output + errors)
        self.check_same("out", name, "whole")

    def test_two_in_one_checkpoint_folder(self):
        config, name = self.config({**MLP, "training.checkpoint_dir": f'"{self.path("shared")}"'}), "mlp_residual_digits"
        whole = self.ok(self.train(config, "whole"))
        shutil.rmtree(self.path("shared"))
        process = self.start(config, "one", room=self.room_for(whole, 2))
        self.wait_for_step(process, "one", name, 40)
        for options in ((), ("--overwrite",)):
            self.refused(self.train(config, "two", *options), 6, rf"error\[io\] .*shared/{name}.lock: process {process.pid} \(.*train --config .*\) is writing there; ")
        other = self.config({**MLP, "model.residual": "false", "training.num_epochs": "1", "training.checkpoint_dir": f'"{self.path("shared")}"'}, "other.toml")
        self.ok(self.train(other, "two"))  # another name in the same folder
        output, errors = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, output + errors)
        self.assertEqual([f for f in os.listdir(self.path("shared")) if not f.endswith(".safetensors")], [])

    def test_logs_and_copies_of_an_earlier_run_stay(self):
        config, name = self.config({**MLP, "training.num_epochs": "4"}), "mlp_residual_digits"
        self.ok(self.train(config, "out"))
        shutil.move(self.path("out", "checkpoints"), self.path("archive"))
        log = read(self.path("out", "runs", name, "metrics.jsonl"))
        self.refused(self.train(config, "out"), 2, rf"error\[usage\] .*runs/{name}: an earlier run left [^;]* and \d more; remove it and start over \(--overwrite\)")
        self.assertEqual(read(self.path("out", "runs", name, "metrics.jsonl")), log)
        os.rmdir(self.path("out", "checkpoints"))
        shutil.move(self.path("archive"), self.path("out", "checkpoints"))
        own = [f"{name}_epoch_2.safetensors.bak", f"{name}_epoch_2_good.safetensors", f"{name}_epoch_.safetensors", f"{name}_better_best.safetensors"]
        for file in own:
            shutil.copy(self.path("out", "checkpoints", f"{name}_epoch_2.safetensors"), self.path("out", "checkpoints", file))
        self.ok(self.train(config, "out", "--overwrite"))
        self.assertEqual([f for f in own if f not in os.listdir(self.path("out", "checkpoints"))], [])

    def test_checkpoints_of_several_runs_without_a_log(self):
        config, name = self.config({**MLP, "training.num_epochs": "4"}), "mlp_residual_digits"
        for run in ("one", "two"):
            self.ok(self.train(config, run, "--run-id", run))
        ours, log = self.path("one", "checkpoints", name + "_epoch_4.safetensors"), self.path("one", "runs", name, "metrics.jsonl")
        shutil.copy(self.path("two", "checkpoints", name + "_epoch_4.safetensors"), ours)
        os.remove(log)
        self.refused(self.train(config, "one", "--resume"), 4, r"error\[checkpoint\] .*checkpoints: has checkpoints of several runs \(one, two\), and no log says which")
        # One that is named is taken, and the log that is made anew says whose it is.
        done = self.ok(self.train(config, "one", "--resume", self.path("one", "checkpoints", name + "_epoch_2.safetensors")))
        self.assertIn("is missing; epochs 1, 2 are taken from the checkpoint", done.stderr)
        self.assertEqual(self.metrics("one", name)[0], {"type": "run", "step": 0, "run": "one"})

    def test_closed_streams(self):
        """Descriptors 0 to 2 are not there: files must not get their numbers."""
        config, name = self.config({**MLP, "training.num_epochs": "2"}), "mlp_residual_digits"
        self.ok(self.train(config, "whole"))
        for number, (closed, code) in enumerate([("<&-", 0), (">&-", 6), ("2>&-", 0), ("<&- >&- 2>&-", 6)]):
            with self.subTest(closed=closed):
                out = f"out{number}"
                done = self.run_program("sh", "-c", f'exec "$0" "$@" {closed}', TRAIN, "--config", config, "--output-dir", self.path(out), "--run-id", "0")
                self.assertEqual(done.returncode, code, done.stdout + done.stderr)
                for line in read(self.path(out, "runs", name, "metrics.jsonl")).decode().splitlines():
                    json.loads(line)
                for kind in ("final", "epoch_2"):
                    file = os.path.join("checkpoints", f"{name}_{kind}.safetensors")
                    self.assertEqual(digest(read(self.path(out, file))), digest(read(self.path("whole", file))))

    def test_limits_of_the_system(self):
        config, name = self.config({**MLP, "training.num_epochs": "2"}), "mlp_residual_digits"
        done = self.run_program("sh", "-c", 'ulimit -f 20; exec "$0" "$@"', TRAIN, "--config", config, "--output-dir", self.path("small"))
        self.refused(done, 6, r"error\[io\] .*: cannot (write|append): File too large")
        self.assertEqual([f for f in os.listdir(self.path("small", "checkpoints")) if f.endswith(".tmp")], [])
        # What the parent ignores stays ignored.
        whole = self.ok(self.train(config, "whole"))
        command = ["sh", "-c", 'trap "" INT; exec "$0" "$@"', TRAIN, "--config", config, "--output-dir", self.path("ignored")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENV)
        self.wait_for_step(process, "ignored", name, 3)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, output + errors)

    def test_threads_that_the_system_does_not_give(self):
        config = self.config({**MLP, "training.num_epochs": "1"})
        # 600 threads reserve 5 GB of addresses for their stacks.
        done = self.run_program("sh", "-c", 'ulimit -s 8192; ulimit -v 2000000; exec "$0" "$@"', TRAIN, "--config", config, "--output-dir", self.path("out"), "--threads", "600")
        self.refused(done, 2, r"\Aerror\[usage\] --threads: the system does not give 600 threads; use fewer, or raise its limit \(ulimit -u\)")
        self.assertFalse(os.path.exists(self.path("out", "checkpoints")))

    def test_no_work_that_only_a_file_asks_for(self):
        self.ok(self.train(self.config({**MLP, "training.num_epochs": "1"}), "out"))
        data = read(self.path("out", "checkpoints", "mlp_residual_digits_final.safetensors"))
        contents, arrays = read_safetensors(data)
        meta = contents["__metadata__"]
        del meta["dla.checksum"]  # as a file of others has none
        self.assertIn("size = 1500\n", meta["config"])
        meta["config"] = meta["config"].replace("size = 1500\n", "size = 1000000\n")
        text = json.dumps(contents).encode()
        with open(self.path("large.safetensors"), "wb") as f:
            f.write(struct.pack("<Q", len(text)) + text + arrays)
        done = self.ok(self.run_program(EVALUATE, "--checkpoint", self.path("large.safetensors")))
        self.assertRegex(done.stdout, ", 10000 test images of digits")

    def test_odd_files(self):
        config, name = self.config({**MLP, "training.num_epochs": "2"}), "mlp_residual_digits"
        os.makedirs(self.path("out", "runs", name))
        os.symlink("/dev/zero", self.path("out", "runs", name, "metrics.jsonl"))
        self.refused(self.train(config, "out"), 6, r"error\[io\] .*metrics.jsonl: not a regular file")
        os.makedirs(self.path("out2", "checkpoints"))
        os.mkfifo(self.path("out2", "checkpoints", name + "_epoch_2.safetensors.tmp"))
        self.refused(self.train(config, "out2"), 6, r"error\[io\] .*_epoch_2.safetensors.tmp is not a regular file")
        os.makedirs(self.path("out3", "runs", name))
        os.mkfifo(self.path("out3", "runs", name, "metrics.jsonl"))
        self.refused(self.train(config, "out3"), 6, r"error\[io\] .*metrics.jsonl: not a regular file")
        # At the place of a checkpoint: refused before anything is trained, whatever would become of what is written there.
        for number, kind in enumerate(("final", "epoch_2", "best", "interrupted")):
            folder = self.path(f"place{number}", "checkpoints")
            os.makedirs(folder)
            os.symlink("/dev/null", os.path.join(folder, f"{name}_{kind}.safetensors"))
            self.refused(self.train(config, f"place{number}"), 6, rf"error\[io\] .*checkpoints: {name}_{kind}.safetensors is not a regular file")
            os.remove(os.path.join(folder, f"{name}_{kind}.safetensors"))
            os.mkfifo(os.path.join(folder, f"{name}_{kind}.safetensors"))
            self.refused(self.train(config, f"place{number}"), 6, rf"error\[io\] .*checkpoints: {name}_{kind}.safetensors is not a regular file")
            self.assertEqual(os.listdir(self.path(f"place{number}", "runs", name)), [])


class Outcome(Case):
    def test_best_weights_are_restored(self):
        # Four validation images: all of them are soon right, and what cannot be beaten stays the best while training goes on.
        name = "mlp_digits"
        config = self.config({**MLP, "model.residual": "false", "training.learning_rate": "0.003", "training.scheduler": '"none"', "training.save_every": "1",
                              "training.num_epochs": "12", "dataset.val_size": "4"})
        done = self.ok(self.train(config, "out"))
        epochs = [line for line in self.metrics("out", name) if line["type"] == "epoch"]
        best = max(epochs, key=lambda line: line["val_accuracy"])
        self.assertLess(best["epoch"], 10)
        self.assertEqual([line["epoch"] for line in epochs if line["best"]][-1], best["epoch"])

        def weights(kind):
            header, data = read_safetensors(read(self.path("out", "checkpoints", f"{name}_{kind}.safetensors")))
            names = [k for k in header if k != "__metadata__" and not k.startswith(("optimizer.", "best."))]
            return {k: digest(data[slice(*header[k]["data_offsets"])]) for k in names}

        self.assertEqual(weights("final"), weights(f"epoch_{best['epoch']}"))
        self.assertEqual(weights("final"), weights("best"))
        self.assertNotEqual(weights("final"), weights(f"epoch_{epochs[-1]['epoch']}"))
        self.assertIn(f"best validation accuracy: {best['val_accuracy']:.2f} %", done.stdout)
        tested = [line for line in self.metrics("out", name) if line["type"] == "test"]
        self.assertEqual(len(tested), 1)
        self.assertIn(f"test accuracy: {tested[0]['test_accuracy']:.2f} %", done.stdout)
        for kind in ("final", "best"):
            done = self.ok(self.run_program(EVALUATE, "--checkpoint", self.path("out", "checkpoints", f"{name}_{kind}.safetensors")))
            self.assertTrue(done.stdout.endswith(f"\ntest accuracy: {tested[0]['test_accuracy']:.2f} %\n"), done.stdout)
            rows = re.findall(r"^(\d) ((?: +\d+){10}) +([\d.]+) +([\d.]+) +([\d.]+)$", done.stdout, re.M)
            self.assertEqual([row[0] for row in rows], list("0123456789"))
            matrix = [list(map(int, row[1].split())) for row in rows]
            self.assertEqual(f"{100 * sum(matrix[c][c] for c in range(10)) / sum(map(sum, matrix)):.2f}", f"{tested[0]['test_accuracy']:.2f}")
            for c, row in enumerate(rows):
                self.assertEqual(row[3], f"{matrix[c][c] / sum(matrix[c]):.4f}")  # recall
        self.assertEqual(set(scalars(self.path("out", "runs", name))),
                         {"Loss/train", "Accuracy/train", "Loss/val", "Accuracy/val", "Learning_rate", "Loss/step", "Loss/test", "Accuracy/test"})

    def test_early_stopping(self):
        config = self.config({**MLP, "training.learning_rate": "0.1", "training.scheduler": '"none"', "training.early_stopping_patience": "2",
                              "training.num_epochs": "60"})
        done = self.ok(self.train(config, "out"))
        epochs = [line for line in self.metrics("out", "mlp_residual_digits") if line["type"] == "epoch"]
        self.assertLess(len(epochs), 60)
        self.assertEqual([line["best"] for line in epochs[-3:]], [True, False, False])
        self.assertIn("stopped early: no better validation accuracy in 2 epochs", done.stdout)

    def test_stats(self):
        """Statistics of layers change nothing of the run, are told once for each epoch, also by a run that was killed, and end as a table."""
        name = "mlp_residual_digits"
        config = self.config({**MLP, "training.num_epochs": "4"})
        plain, done = self.ok(self.train(config, "plain")), self.ok(self.train(config, "stats", "--stats"))
        for kind in ("final", "best", "epoch_2", "epoch_4"):
            file = os.path.join("checkpoints", f"{name}_{kind}.safetensors")
            self.assertEqual(digest(read(self.path("plain", file))), digest(read(self.path("stats", file))), f"{kind} differs")
        self.assertFalse([line for line in self.metrics("plain", name) if line["type"] == "stats"])
        shown = histograms(self.path("plain", "runs", name))
        self.assertEqual(len([tag for tag in shown if tag[0].startswith("Gradients/")]), 4 * len([tag for tag in shown if tag[1] == 4]) // 2)
        self.assertEqual(shown, histograms(self.path("stats", "runs", name)))
        stats = [line for line in self.metrics("stats", name) if line["type"] == "stats"]
        self.assertEqual([line["epoch"] for line in stats], [1, 2, 3, 4])
        layers = {layer["path"]: layer for layer in stats[-1]["layers"]}
        self.assertEqual(list(layers)[:4], ["1.0", "1.1", "1.2", "2"])
        self.assertEqual(set(layers["1.0"]), {"path", "layer", "gradient_norm", "weight_norm", "update_ratio"})
        self.assertEqual(set(layers["1.2"]), {"path", "layer", "dead"})
        for layer in layers.values():
            self.assertTrue(all(v >= 0 for k, v in layer.items() if k not in ("path", "layer")), layer)
        self.assertGreater(layers["1.0"]["gradient_norm"], 0)
        self.assertTrue(1e-5 < layers["1.0"]["update_ratio"] < 1, layers["1.0"])
        shown = scalars(self.path("stats", "runs", name))
        for tag, key in (("Gradient_norm", "gradient_norm"), ("Weight_norm", "weight_norm"), ("Update_ratio", "update_ratio"), ("Dead_units", "dead")):
            for line in stats:
                for layer in line["layers"]:
                    if key in layer:
                        self.assertAlmostEqual(shown[f"{tag}/{layer['path']}"][line["epoch"]], layer[key], delta=1e-6 * max(1, layer[key]))
        self.assertAlmostEqual(shown["Gradient_norm/mean_over_parameters"][4], stats[-1]["mean_gradient_norm"], delta=1e-6)
        table = done.stdout[done.stdout.index("each layer after the last epoch"):]
        self.assertRegex(table, r"Layer +Parameters +Gradient norm +Weight norm +Update/weight +Dead units\n")
        self.assertIn("1.0  Linear", table)
        self.assertIn(f"{layers['1.0']['gradient_norm']:.3e}", table)
        self.assertNotIn("Gradient norm", plain.stdout)

        process = self.start(config, "killed", "--stats", room=self.room_for(done, 3))
        self.wait_for_step(process, "killed", name, 100)  # behind the checkpoint of epoch 2
        self.kill(process)
        self.ok(self.train(config, "killed", "--stats", "--resume"))
        self.assertEqual([line for line in self.metrics("killed", name) if line["type"] == "stats"], stats)
        self.assertEqual(scalars(self.path("killed", "runs", name)), shown)

    def test_seeds_differ(self):
        config = self.config({**MLP, "training.num_epochs": "1"})
        for out, seed in (("a", "1"), ("b", "2"), ("c", "1")):
            self.ok(self.train(config, out, "--seed", seed))
        final = [read(self.path(out, "checkpoints", "mlp_residual_digits_final.safetensors")) for out in "abc"]
        self.assertEqual(final[0], final[2])
        self.assertNotEqual(read_safetensors(final[0])[1], read_safetensors(final[1])[1])

    def test_quiet(self):
        done = self.ok(self.train(self.config({**MLP, "training.num_epochs": "1"}), "out", "--quiet"))
        self.assertRegex(done.stdout, r"\Abest validation accuracy: \d+\.\d\d %\ntest accuracy: \d+\.\d\d %\n\Z")
        self.assertEqual(done.stderr, "")

    def test_no_control_characters_without_a_terminal(self):
        done = self.ok(self.train(self.config({**MLP, "training.num_epochs": "2"}), "out"))
        self.assertNotRegex(done.stdout, "[\r\033]")
        self.assertEqual(len(re.findall(r"^epoch +\d", done.stdout, re.M)), 2)

    def test_terminals(self):
        config = self.config({**MLP, "training.num_epochs": "2", "dataset.size": "400", "dataset.val_size": "40"})

        def on_terminal(term):
            ours, theirs = pty.openpty()
            with subprocess.Popen([TRAIN, "--config", config, "--output-dir", self.path(term)], stdout=theirs, stderr=theirs, env=ENV | {"TERM": term}) as process:
                os.close(theirs)
                text = b""
                with contextlib.suppress(OSError):  # what Linux says when the other side is closed
                    while part := os.read(ours, 65536):
                        text += part
            os.close(ours)
            self.assertEqual(process.returncode, 0, text)
            return text.replace(b"\r\n", b"\n")

        self.assertRegex(on_terminal("xterm"), rb"\r\033\[Kepoch   1 ")
        self.assertNotRegex(on_terminal("dumb"), rb"[\r\033]")

    def test_same_logits_in_pytorch(self):
        python = "/usr/bin/python3"
        if subprocess.run([python, "-c", "import torch, tomllib"], capture_output=True).returncode != 0:
            self.skipTest("no PyTorch in /usr/bin/python3")
        script = os.path.join(ROOT, "scripts", "load_in_pytorch.py")
        variants = [("mlp_digits", {**MLP, "model.residual": "false"}), ("mlp_residual_digits", MLP), ("cnn_digits", {**CNN, "model.filters": "[4, 8, 6]"}),
                    ("cnn_residual_digits", {**CNN, "model.filters": "[4, 4, 8]", "model.residual": "true"})]
        for name, settings in variants:
            with self.subTest(name=name):
                config = self.config({**settings, "training.num_epochs": "2", "dataset.size": "600"})
                self.ok(self.train(config, name))
                file, logits = self.path(name, "checkpoints", name + "_final.safetensors"), self.path(name + "_logits")
                self.ok(self.run_program(EVALUATE, "--checkpoint", file, "--logits", logits))
                done = self.ok(self.run_program(python, script, file, "--logits", logits))
                self.assertIn("largest difference", done.stdout)
                self.ok(self.run_program(python, script, self.path(name, "checkpoints", name + "_epoch_2.safetensors")))
                if name != "mlp_digits":
                    continue
                data = bytearray(read(logits))
                data[-2] ^= 0x40  # the last logit
                with open(logits, "wb") as f:
                    f.write(data)
                self.assertEqual(self.run_program(python, script, file, "--logits", logits).returncode, 1)


class Faults(Case):
    def test_not_finite(self):
        name = "mlp_digits"
        # Weight decay times rate is so high that the weights grow by a factor in each step until they overflow, here after two epochs or more.
        config = self.config({**MLP, "model.residual": "false", "model.layer_sizes": "[32, 16, 10]", "training.optimizer": '"sgd"', "training.momentum": "0.0",
                              "training.learning_rate": "1.9", "training.weight_decay": "1.0", "training.save_every": "1", "training.scheduler": '"none"'})
        done = self.train(config, "out")
        self.refused(done, 5, r"error\[numeric\] epoch \d, (after )?step \d+: (the (validation )?loss|buffer \S+) is not finite; "
                              r"(first not finite: (the output of|parameter|the gradient)|every layer's output is finite)")
        epoch = int(re.search(r"epoch (\d)", done.stderr).group(1))
        self.assertGreater(epoch, 1)
        file = self.path("out", "checkpoints", f"{name}_epoch_{epoch - 1}.safetensors")
        self.ok(self.run_program(EVALUATE, "--checkpoint", file))
        self.assertFalse(os.path.exists(self.path("out", "checkpoints", f"{name}_epoch_{epoch}.safetensors")))
        again = self.train(config, "out", "--resume")  # the checkpoint that stays can be resumed, and the run ends as before
        self.assertEqual((again.returncode, again.stderr), (5, done.stderr))

    def test_usage(self):
        config = self.config(MLP)
        for arguments, pattern in ((("--nonsense",), "nonsense"), (("--threads", "0"), "threads"), (("--threads", "x"), "threads"), (("--seed", "-1"), "seed"),
                                   (("--device", "tpu"), "tpu"), (("extra",), "extra")):
            with self.subTest(arguments=arguments):
                self.refused(self.train(config, "out", *arguments), 2, r"error\[usage\] .*" + pattern)
        self.refused(self.run_program(TRAIN), 2, r"error\[usage\] train: --config is required")
        self.refused(self.run_program(EVALUATE), 2, r"error\[usage\] evaluate: --checkpoint is required")
        self.refused(self.run_program(EVALUATE, "--checkpoint", "x", "--threads", "0"), 2, "threads")
        self.assertFalse(os.path.exists(self.path("out")))
        for program in (TRAIN, EVALUATE):
            self.assertIn("--", self.ok(self.run_program(program, "--help")).stdout)
            self.assertRegex(self.ok(self.run_program(program, "--version")).stdout, r"\(dla\) \d+\.\d+\.\d+")

    def test_config(self):
        self.refused(self.train(self.path("absent.toml"), "out"), 2, r"error\[config\] .*absent\.toml")
        with open(self.path("bad.toml"), "w") as f:
            f.write('[model]\nname = "mlp"\nlayer_size = [10]\n[training]\nlearning_rate = "fast"\nbatch_size = 0\n')
        done = self.train(self.path("bad.toml"), "out")
        self.assertEqual(done.returncode, 2)
        for part in ("bad.toml:3:", "did you mean", "bad.toml:5:", "bad.toml:6:"):
            self.assertIn(part, done.stderr)
        config = self.config(MLP)
        self.refused(self.train(config, "out", "--set", "training.learning_rate=-1"), 2, r"--set training.learning_rate: out of range", 2)
        self.refused(self.train(config, "out", "--set", "training.learning_rate"), 2, "expected table.key=value", 2)
        self.refused(self.train(config, "out", "--set", "training.nothing=1"), 2, "--set training.nothing: unknown key", 2)
        self.assertFalse(os.path.exists(self.path("out")))

    def test_data(self):
        config = self.config({"model.name": '"mlp"', "model.input_shape": "[1, 28, 28]", "dataset.name": '"mnist"', "dataset.size": None})
        done = self.train(config, "out", "--data-dir", self.path("absent"))
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertRegex(done.stderr.splitlines()[-1], r"error\[data\] .*absent: no complete mnist data set.* this folder does not exist")
        if "downloading" in done.stdout:
            self.assertIn("the download failed", done.stderr)
        self.assertFalse(os.path.exists(self.path("absent")))
        done = self.train(config, "out", "--data-dir", self.path("a", "b", "c"))
        self.assertFalse(os.path.exists(self.path("a")))
        os.makedirs(self.path("data", "mnist"))
        for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
            with open(self.path("data", "mnist", name), "wb") as f:
                f.write(b"\0\0\x08\x03\0\0\0\x05garbage")
        self.refused(self.train(config, "out", "--data-dir", self.path("data")), 3, r"error\[data\] ")

    def test_output(self):
        config = self.config({**MLP, "training.num_epochs": "1"})
        with open(self.path("file"), "w"):
            pass
        self.refused(self.train(config, "file"), 6, r"error\[io\] .*file/runs/mlp_residual_digits: cannot create")
        os.makedirs(self.path("out", "runs"))
        with open(self.path("out", "runs", "mlp_residual_digits"), "w"):
            pass
        self.refused(self.train(config, "out"), 6, r"error\[io\] .*out/runs/mlp_residual_digits")
        os.makedirs(self.path("out2", "checkpoints", "mlp_residual_digits_final.safetensors"))
        self.refused(self.train(config, "out2"), 6, r"error\[io\] .*final\.safetensors")

    def test_resume_refusals(self):
        config = self.config({**MLP, "training.num_epochs": "2"})
        checkpoints = self.path("out", "checkpoints", "mlp_residual_digits_")
        self.refused(self.train(config, "out", "--resume"), 4, r"error\[checkpoint\] .*no checkpoint")
        self.refused(self.train(config, "out", "--resume", self.path("absent")), 4, r"error\[checkpoint\] .*absent")
        self.ok(self.train(config, "out"))
        self.refused(self.train(config, "out", "--resume", checkpoints + "final.safetensors"), 4, "holds weights only")
        whole = checkpoints + "epoch_2.safetensors"
        self.refused(self.train(config, "out", "--resume", whole, "--set", "training.num_epochs=3"), 4, "`num_epochs = 2`, now `num_epochs = 3`")
        self.refused(self.train(config, "out", "--resume", whole, "--seed", "7"), 4, "`seed = 42`, now `seed = 7`")
        self.refused(self.train(config, "out", "--resume", "--seed", "7"), 4, "`seed = 42`, now `seed = 7`")
        self.refused(self.train(config, "out", "--resume", config), 4, r"error\[checkpoint\] ")

    def test_damaged_checkpoints(self):
        config = self.config({**MLP, "model.layer_sizes": "[8, 10]", "training.num_epochs": "1", "dataset.size": "400", "dataset.val_size": "40"})
        self.ok(self.train(config, "out"))
        prefix = self.path("out", "checkpoints", "mlp_residual_digits_")
        draw = random.Random(4)
        for kind in ("final", "epoch_1"):
            data = read(prefix + kind + ".safetensors")
            header = 8 + struct.unpack("<Q", data[:8])[0]
            damaged = [data[:n] for n in [0, 1, 7, 8, 9, header - 1, header, header + 1, len(data) - 1] + [draw.randrange(len(data)) for _ in range(6)]]
            must_fail = len(damaged)
            damaged += [bytes(8), b"\xff" * 8 + data[8:], data + b"\0", b"\x89PNG\r\n\x1a\n" + data[8:], data.replace(b"dla-checkpoint-1", b"dla-checkpoint-9")]
            # Sizes that would take 50 gigabytes, in a file of kilobytes.
            contents, arrays = read_safetensors(data)
            contents["__metadata__"]["config"] = contents["__metadata__"]["config"].replace("[8, 10]", "[65536, 65536, 10]")
            text = json.dumps(contents).encode()
            damaged += [struct.pack("<Q", len(text)) + text + arrays]
            must_fail = len(damaged)
            for at in [draw.randrange(header) for _ in range(40)] + list(range(8)):
                changed = bytearray(data)
                changed[at] ^= 1 << draw.randrange(8)
                damaged.append(bytes(changed))
            file = self.path("damaged.safetensors")
            for i, content in enumerate(damaged):
                with open(file, "wb") as f:
                    f.write(content)
                for done in (self.run_program(EVALUATE, "--checkpoint", file), *([self.train(config, "out2", "--resume", file)] if kind == "epoch_1" else [])):
                    with self.subTest(kind=kind, number=i, program=done.args[0]):
                        if i < must_fail or done.returncode != 0:
                            self.refused(done, 4, r"\Aerror\[(checkpoint|model|shape)\] ")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
