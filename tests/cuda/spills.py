# SPDX-License-Identifier: MIT
"""No kernel keeps registers in memory. Usage: spills.py NVCC SOURCE_ROOT ARCHITECTURE..."""
import pathlib
import re
import subprocess
import sys


def main():
    nvcc, root, architectures = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3:]
    listed = set(re.findall(r"DLA_CUDA_KERNEL\((\w+)\)", (root / "include/dla/kernels/cuda/list.inl.hpp").read_text()))
    running = [(a, subprocess.Popen([nvcc, "-std=c++20", "-O3", "--expt-relaxed-constexpr", f"-arch=sm_{a}", "-Xptxas=-v", "-Werror=all-warnings", "-Xcompiler=-Wall,-Werror",
                                     "-I", root / "include", "-cubin", "-o", "/dev/null", root / "src/kernels.cu"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
               for a in architectures]
    problems = []
    for architecture, process in running:
        out = process.communicate()[0]
        if process.returncode != 0:
            sys.exit(out)
        found = re.findall(r"Compiling entry function 'dla_cuda_(\w+)'.*?(\d+) bytes spill stores, (\d+) bytes spill loads", out, re.S)
        if {name for name, _, _ in found} != listed:
            problems.append(f"sm_{architecture}: list.inl.hpp and the kernels differ by {sorted({name for name, _, _ in found} ^ listed)}")
        problems += [f"sm_{architecture}: {name} spills {stores} and {loads} bytes" for name, stores, loads in found if stores != "0" or loads != "0"]
        print(f"sm_{architecture}: {len(found)} kernels")
    sys.exit("\n".join(problems) or None)


main()
