#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures what including and using the library costs the compiler: CPU seconds and peak memory.

usage: compile_time.py [--compiler g++] [--rounds 3]; run in the root of the repository. CPU time is the smallest of the rounds.
"""
import argparse
import os
import pathlib
import re
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
MAIN = """
int main() {
    dla::Model<Net, INPUT> model(dla::Seed{42});
    dla::Adam adam;
    std::vector<float> images(8 * static_cast<std::size_t>(model.input_shape().size()));
    std::vector<std::int32_t> labels(8);
    return dla::train_step(model, adam, dla::CrossEntropy{}, images, labels) > 0 ? 0 : 1;
}
"""


def conv(i, o):
    return f"dla::Conv2d<{i}, {o}, 3>, dla::BatchNorm2d<{o}>, dla::ReLU"


def sources():
    readme = re.search(r"```cpp\n(.*?)```", (ROOT / "README.md").read_text(), re.S).group(1)
    cifar = ("#include <dla/nn.hpp>\nusing Net = dla::Sequential<" + ", ".join([conv(3, 32), conv(32, 64), "dla::MaxPool2d<2>", conv(64, 128), conv(128, 256), "dla::MaxPool2d<2>"]) +
             ", dla::Flatten, dla::Linear<16384, 256>, dla::ReLU, dla::Dropout, dla::Linear<256, 10>>;" + MAIN.replace("INPUT", "dla::Shape{3, 32, 32}"))
    deep = ("#include <dla/nn.hpp>\nusing Net = dla::Sequential<" + ", ".join(["dla::Linear<32, 32>, dla::ReLU"] * 100) + ">;" + MAIN.replace("INPUT", "dla::Shape{32}"))
    return {"#include <dla/nn.hpp> alone": "#include <dla/nn.hpp>\nint main() {}\n", "the example of the README": readme, "CIFAR-10 CNN, written out": cifar,
            "Sequential of 200 layers": deep}


def measure(command):
    pid = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(pid, 0)
    if status != 0:
        raise SystemExit(f"failed: {' '.join(command)}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--compiler", default="g++")
    p.add_argument("--rounds", type=int, default=3)
    a = p.parse_args()
    print(f"| what | -O0 | -O2 |   ({subprocess.run([a.compiler, '--version'], capture_output=True, text=True).stdout.splitlines()[0]})\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, text in sources().items():
            source = pathlib.Path(folder) / "source.cpp"
            source.write_text(text)
            cells = []
            for level in ["-O0", "-O2"]:
                runs = [measure([a.compiler, "-std=c++20", level, "-fopenmp", "-I", str(ROOT / "include"), "-c", str(source), "-o", str(source) + ".o"]) for _ in range(a.rounds)]
                cells.append(f"{min(t for t, _ in runs):.1f} s, {max(m for _, m in runs):.0f} MB")
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
