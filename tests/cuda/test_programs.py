#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The programs on a device: runs that are resumed there and elsewhere, and what is said where there is none.

usage: test_programs.py emulated|real TRAIN EVALUATE VISUALIZE_NETWORK COMPARE_MLP_DEPTH [unittest options]
`real`: ends with 77 where there is no device, and leaves out what only an emulated one can be made to do.
"""
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

REAL = {"emulated": False, "real": True}[sys.argv[1]]
TRAIN, EVALUATE, VISUALIZE, COMPARE = map(os.path.abspath, sys.argv[2:6])

COMMON = """[training]
num_epochs = 3
batch_size = 50
learning_rate = 0.005
clip_grad_norm = 1.0
save_every = 1
[dataset]
name = "digits"
size = 700
val_size = 100
"""
MLP = """[model]
name = "mlp"
input_shape = [1, 28, 28]
layer_sizes = [48, 32, 32, 10]
residual = true
""" + COMMON
CNN = """[model]
name = "cnn"
input_shape = [1, 28, 28]
filters = [2, 3]
dropout = 0.3
""" + COMMON.replace("size = 700", "size = 300")


emulated_only = unittest.skipIf(REAL, "a real device has the memory that it has")


class OnDevice(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.config = self.path("config.toml")
        pathlib.Path(self.config).write_text(MLP)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def run_(self, program, *arguments, code=0, env=None):
        done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=200, env=os.environ | (env or {}))
        self.assertEqual(done.returncode, code, f"{arguments}\n{done.stdout}{done.stderr}")
        return done.stdout, done.stderr

    def train(self, folder, *more, **options):
        return self.run_(TRAIN, "--config", self.config, "--output-dir", self.path(folder), *more, **options)

    def weights(self, folder):
        """The final weights, without the header that names the run."""
        file = next(pathlib.Path(self.path(folder), "checkpoints").glob("*_final.safetensors"))
        data = file.read_bytes()
        return data[8 + int.from_bytes(data[:8], "little"):]

    def losses(self, folder):
        log = next(pathlib.Path(self.path(folder)).glob("runs/*/metrics.jsonl"))
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        return [line["train_loss"] for line in lines if "train_loss" in line]

    def test_follows_the_cpu_and_is_the_same_from_run_to_run(self):
        pathlib.Path(self.config).write_text(CNN)  # with a convolution and dropout, on few images: emulated, that takes long
        out, _ = self.train("device", "--device", "cuda")
        self.assertRegex(out, r"^dla \S+: cuda \(.+\), data on cpu, ")
        again, _ = self.train("again", "--device", "auto")
        self.assertRegex(again, r"^dla \S+: cuda \(")
        self.assertEqual(self.weights("device"), self.weights("again"))
        out, _ = self.train("cpu")
        self.assertRegex(out, r"^dla \S+: cpu, ")
        device, cpu = self.losses("device"), self.losses("cpu")
        self.assertEqual(len(device), 3)
        for a, b in zip(device, cpu):
            self.assertLess(abs(a - b), 0.03 * b)  # the same masks and batches; roundings differ and are trained on
        self.assertLess(device[-1], 0.8 * device[0])

    def stopped(self, folder, device, how):
        """Begins a run and stops it by a signal when its first epoch is saved; one that is over by then is begun anew elsewhere. Returns its folder."""
        for attempt in range(8):
            where = f"{folder}{attempt}"
            process = subprocess.Popen([TRAIN, "--config", self.config, "--output-dir", self.path(where), "--device", device], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            saved = pathlib.Path(self.path(where), "checkpoints")
            while process.poll() is None and not list(saved.glob("*_epoch_1.safetensors")):
                time.sleep(0.002)
            process.send_signal(how)
            code = process.wait()
            if code != 0:
                self.assertEqual(code, -signal.SIGKILL if how == signal.SIGKILL else 128 + how)
                self.assertTrue(list(saved.glob("*_epoch_1.safetensors")))
                return where
        self.fail("each run was over before the signal came")

    def test_killed_and_resumed(self):
        self.train("whole", "--device", "cuda")
        broken = self.stopped("broken", "cuda", signal.SIGKILL)
        _, err = self.train(broken, "--device", "cuda", "--resume")
        self.assertNotIn("may differ", err)
        self.assertEqual(self.weights("whole"), self.weights(broken))

    def test_a_run_goes_on_elsewhere(self):
        for first, second in (("cuda", "cpu"), ("cpu", "cuda")):
            folder = self.stopped(first, first, signal.SIGTERM)
            _, err = self.train(folder, "--device", second, "--resume")
            self.assertRegex(err, r"note: the checkpoint was written with .+ kernels, this run uses .+: it goes on, but its last bits may differ")
            self.assertEqual(len(self.losses(folder)), 3)

    def test_a_checkpoint_of_one_is_evaluated_on_the_other(self):
        self.train("device", "--device", "cuda", "--quiet")
        file = str(next(pathlib.Path(self.path("device"), "checkpoints").glob("*_final.safetensors")))
        accuracies = []
        for device in ("cpu", "cuda"):
            out, _ = self.run_(EVALUATE, "--checkpoint", file, "--device", device)
            accuracies.append(float(re.search(r"test accuracy: ([\d.]+) %", out)[1]))
        self.assertLess(abs(accuracies[0] - accuracies[1]), 1.5)

    def test_looking_inside(self):
        out, _ = self.run_(VISUALIZE, "--config", self.config, "--device", "cuda", "--batch", "7")
        self.assertRegex(out, r"^dla \S+: cuda \(.+\) \(--device cuda asks for it\), data on cpu, ")
        self.assertIn("all values finite", out)
        if not REAL:
            self.fits_nowhere()
        out, _ = self.train("stats", "--device", "cuda", "--stats")
        self.assertIn("each layer after the last epoch", out)
        self.train("plain", "--device", "cuda")
        self.assertEqual(self.weights("stats"), self.weights("plain"))

    def fits_nowhere(self):
        small, _ = self.run_(VISUALIZE, "--config", self.config, "--device", "cuda", "--batch", "60000", code=7, env={"DLA_EMULATED_MEMORY": str(80 << 20)})
        self.assertIn("total", small.lower())  # the table, as planned

    def test_a_study_of_depth(self):
        study = ["--depths", "1", "3", "--epochs", "2"]
        for setting in ("dataset.name=digits", "dataset.size=300", "dataset.val_size=60", "training.batch_size=60"):
            study += ["--set", setting]
        results = []
        for folder, device in (("device", "cuda"), ("again", "auto"), ("host", "cpu")):
            out, err = self.run_(COMPARE, *study, "--output-dir", self.path(folder), "--device", device)
            self.assertRegex(out, r"^dla \S+: " + ("cpu, " if device == "cpu" else r"cuda \("))
            results.append(json.loads(pathlib.Path(self.path(folder), "final_results.json").read_text()))
        losses = [[[line["train_loss"] for line in e["history"]] for e in r["experiments"]] for r in results]
        self.assertEqual(len(losses[0]), 4)
        self.assertEqual(losses[0], losses[1])
        for device, host in zip(losses[0], losses[2]):
            for a, b in zip(device, host):
                self.assertLess(abs(a - b), 0.03 * b)
        self.assertRegex(results[0]["isa"], r"^cuda \(")
        # It is continued elsewhere, and that is said.
        _, err = self.run_(COMPARE, *study, "--output-dir", self.path("host"), "--device", "cuda")
        self.assertRegex(err, r"note: .+ was begun with .+ kernels, this process uses cuda \(.+\): last digits may differ")

    @emulated_only
    def test_without_a_device(self):
        nothing = {"DLA_EMULATED_DEVICES": "0"}
        _, err = self.train("none", "--device", "cuda", code=2, env=nothing)
        self.assertRegex(err, r"^error\[usage\] --device cuda: CUDA .+; --device cpu computes without\n$")
        self.assertFalse(os.path.exists(self.path("none")))
        out, _ = self.train("auto", "--device", "auto", env=nothing)
        self.assertRegex(out, r"^dla \S+: cpu, .+ \(--device auto: CUDA .+\)\n")
        _, err = self.train("gpu", "--device", "gpu", code=2)
        self.assertIn("--device", err)

    @emulated_only
    def test_not_enough_memory(self):
        _, err = self.train("none", "--device", "cuda", code=7, env={"DLA_EMULATED_MEMORY": str(32 << 20)})
        self.assertRegex(err, r"^error\[device\] memory: the device has not enough")
        for mebibytes in (65, 66, 67, 68):  # 64 of them for cuBLASLt and cuDNN to work in
            with self.subTest(mebibytes):
                little = {"DLA_EMULATED_MEMORY": str(mebibytes << 20)}
                _, err = self.train(f"small{mebibytes}", "--device", "cuda", "--set", "training.batch_size=500", code=7, env=little)
                self.assertRegex(err, r"^error\[device\] memory: a training step on batches of 500 takes \S+ \S+; \S+ \S+ more are asked for in one piece, "
                                      r"\S+ \S+ are free on the device; batches of \d+ fit, or more parts")
                fits = re.search(r"batches of (\d+) fit", err)[1]
                self.train(f"fits{mebibytes}", "--device", "cuda", "--set", f"training.batch_size={fits}", "--set", "training.num_epochs=1", env=little)
                self.train(f"no{mebibytes}", "--device", "cuda", "--set", f"training.batch_size={min(500, 3 * int(fits) + 100)}", code=7, env=little)


if __name__ == "__main__":
    if REAL:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "config.toml")
            path.write_text(MLP)
            tried = subprocess.run([VISUALIZE, "--config", str(path), "--device", "cuda"], capture_output=True, text=True)
        if tried.returncode == 2 and re.search(r"--device cuda: CUDA (finds no driver|finds a driver, but no device|says: )", tried.stderr):
            print(tried.stderr, end="")
            sys.exit(77)
    unittest.main(argv=[sys.argv[0], *sys.argv[6:]], verbosity=2)
