# SPDX-License-Identifier: MIT
"""Runs the commands of docs/cuda.md for programs that are built without Meson, on the program of the same page.

usage: commands.py SOURCE_ROOT WORK_DIR GPU_HOME [FOLDER...]   (FOLDER: where headers or libraries are besides)
"""
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

MAIN = """
#include <cstdio>
#include <vector>
int main() try {
    dla::cuda::cublaslt(), dla::cuda::cudnn();  // are they found?
    std::printf("%g\\n", one_step(std::vector<float>(2 * 784, 0.5f), std::vector<std::int32_t>{1, 2}));
} catch (const dla::Error& e) {
    std::puts(e.what());
}
"""

root, work, home = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]), sys.argv[3]
shutil.rmtree(work, ignore_errors=True)
work.mkdir(parents=True)
(work / "include").symlink_to(root / "include", target_is_directory=True)
page = (root / "docs/cuda.md").read_text()
(work / "program.cpp").write_text(re.search(r"```cpp\n(.+?)```", page, re.S)[1] + MAIN)
commands = re.findall(r"^ *((?:nvcc|g\+\+) .+)$", page, re.M)
assert [c.split()[0] for c in commands] == ["nvcc", "g++", "g++"], commands
for command in commands:
    words = shlex.split(command.replace("/usr/local/cuda", home))
    if words[0] == "nvcc":
        words[0] = shutil.which("nvcc") or home + "/bin/nvcc"
    for folder in sys.argv[4:]:
        words += ["-I" + folder] if words[0] != "g++" else ["-I" + folder, "-Wl,-rpath," + folder]
    print(shlex.join(words), flush=True)
    subprocess.run(words, cwd=work, check=True)
    if words[0] == "g++":
        said = subprocess.run([work / "a.out"], capture_output=True, text=True, check=True).stdout.strip()
        print(said)
        assert re.fullmatch(r"2\.\d+|error\[device\] CUDA: .+", said), said
