#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures what the library costs the compiler: CPU seconds, peak memory, and the multiple of a small Eigen program compiled in the same rounds.

usage: compile_time.py [--compiler g++] [--rounds 5] [--level -O2] [--eigen DIR]; run from anywhere. Each round compiles everything once, in turns, and the Eigen
program behind each file: a multiple is the median over the rounds of a file's time by that of the Eigen program behind it, because machines change their speed.
A second column compiles with DLA_KERNELS_EXTERN, for programs in which one file says DLA_KERNELS_IMPLEMENT; its own cost is the last row.
"""
import argparse
import os
import pathlib
import re
import statistics
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
EIGEN = """#include <Eigen/Dense>
#include <iostream>
int main() {
    Eigen::MatrixXf a = Eigen::MatrixXf::Random(64, 64), b = Eigen::MatrixXf::Random(64, 64);
    Eigen::MatrixXf c = a * b;
    std::cout << c.sum() << "\\n";
}
"""
MAIN = """
int main() {
    dla::Model<Net, INPUT> model(dla::Seed{42});
    dla::Adam adam;
    std::vector<float> inputs(8 * static_cast<std::size_t>(model.input_shape().size()));
    std::vector<std::int32_t> labels(8);
    return dla::train_step(model, adam, dla::CrossEntropy{}, inputs, labels) > 0 ? 0 : 1;
}
"""
IMPLEMENT = "#define DLA_KERNELS_IMPLEMENT\n#include <dla/data.hpp>\n#include <dla/nn.hpp>\n#include <dla/train.hpp>\n"


def conv(i, o):
    return f"dla::Conv2d<{i}, {o}, 3>, dla::BatchNorm2d<{o}>, dla::ReLU"


def linear(layers):
    return ("#include <dla/nn.hpp>\nusing Net = dla::Sequential<" + ", ".join(["dla::Linear<32, 32>, dla::ReLU"] * (layers // 2)) + ">;" +
            MAIN.replace("INPUT", "dla::Shape{32}"))


def sources():
    readme = re.search(r"```cpp\n(.*?)```", (ROOT / "README.md").read_text(), re.S).group(1)
    cifar = ("#include <dla/nn.hpp>\nusing Net = dla::Sequential<" +
             ", ".join([conv(3, 32), conv(32, 64), "dla::MaxPool2d<2>", conv(64, 128), conv(128, 256), "dla::MaxPool2d<2>"]) +
             ", dla::Flatten, dla::Linear<16384, 256>, dla::ReLU, dla::Dropout, dla::Linear<256, 10>>;" + MAIN.replace("INPUT", "dla::Shape{3, 32, 32}"))
    names, body = re.findall(r"```cpp\n(.*?)```", (ROOT / "docs" / "training.md").read_text(), re.S)[:2]
    fit = f"{names}int main() {{\n{body}}}\n"
    return {"`#include <dla/nn.hpp>` alone": "#include <dla/nn.hpp>\nint main() {}\n", "the example of the README": readme, "CIFAR-10 CNN, written out": cifar,
            "Sequential of 50 layers": linear(50), "Sequential of 200 layers": linear(200), "the first program of docs/training.md (`fit`)": fit}


def measure(command):
    pid = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(pid, 0)
    if status != 0:
        raise SystemExit(f"failed: {' '.join(command)}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--compiler", default="g++")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--level", default="-O2")
    p.add_argument("--eigen", default="/usr/include/eigen3")
    a = p.parse_args()
    if not (pathlib.Path(a.eigen) / "Eigen/Dense").exists():
        raise SystemExit(f"no Eigen in {a.eigen}; install libeigen3-dev or say where it is with --eigen")
    extern = ["-DDLA_KERNELS_EXTERN"]
    jobs = {}
    for name, text in sources().items():
        jobs[name, "headers alone"] = (text, [])
        jobs[name, "kernels extern"] = (text, extern)
    jobs["the file with DLA_KERNELS_IMPLEMENT", "headers alone"] = (IMPLEMENT, [])
    runs = {job: [] for job in jobs}
    with tempfile.TemporaryDirectory() as folder:
        for number, (job, (text, _)) in enumerate(jobs.items()):
            (pathlib.Path(folder) / f"{number}.cpp").write_text(text)
        (pathlib.Path(folder) / "eigen.cpp").write_text(EIGEN)

        def compile_file(name, arguments):
            source = pathlib.Path(folder) / f"{name}.cpp"
            return measure([a.compiler, "-std=c++20", a.level, *arguments, "-I", str(ROOT / "include"), "-c", str(source), "-o", str(source) + ".o"])

        eigen = []
        for _ in range(a.rounds):
            for number, (job, (_, arguments)) in enumerate(jobs.items()):
                seconds, memory = compile_file(number, arguments)
                eigen.append(compile_file("eigen", [f"-I{a.eigen}"]))
                runs[job].append((seconds, memory, seconds / eigen[-1][0]))

    def cell(job):
        if job not in runs:
            return ""
        seconds, memory, multiple = zip(*runs[job])
        return f"{statistics.median(seconds):.1f} s, {statistics.median(multiple):.2f}, {max(memory):.0f} MB"

    version = subprocess.run([a.compiler, "--version"], capture_output=True, text=True).stdout.splitlines()[0]
    print(f"{version}, {a.level}, median of {a.rounds} rounds: seconds of processor time, multiple of the Eigen program, peak memory\n")
    print("| what | headers alone | `DLA_KERNELS_EXTERN` |\n|---|---|---|")
    times = sorted(t for t, _ in eigen)
    print(f"| Eigen: a product of two matrices | {times[0]:.1f} to {times[-1]:.1f} s, 1, {max(m for _, m in eigen):.0f} MB | |")
    for name in [*sources(), "the file with DLA_KERNELS_IMPLEMENT"]:
        print(f"| {name} | {cell((name, 'headers alone'))} | {cell((name, 'kernels extern'))} |")


if __name__ == "__main__":
    main()
