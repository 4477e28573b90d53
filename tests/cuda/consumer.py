# SPDX-License-Identifier: MIT
"""A project that bundles dla as a Meson subproject and asks for CUDA, where the toolkit is and where it is not.

usage: consumer.py SOURCE_ROOT WORK_DIR GPU_HOME [MESON_OPTION...]   (GPU_HOME: empty where there is no toolkit)
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys

PROGRAM = """
#include <dla/cuda.hpp>
#include <cstdio>
using Net = dla::Sequential<dla::Linear<2, 8>, dla::ReLU, dla::Linear<8, 2>>;
int main() try {
    dla::Model<Net, dla::Shape{2}, dla::Cuda<float>> model(dla::Seed{42});
    std::printf("%zu outputs\\n", model.predict(std::vector<float>{1, 2, 3, 4}).size());
} catch (const dla::Error& e) {
    std::puts(e.what());
}
"""


def run(*command, code=0, **options):
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode != code:
        sys.exit(f"{command} ended with {done.returncode}\n{done.stdout[-4000:]}")
    return done.stdout


def main():
    root, work, home = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
    shutil.rmtree(work, ignore_errors=True)
    (work / "subprojects").mkdir(parents=True)
    (work / "subprojects" / "dla").symlink_to(root, target_is_directory=True)
    (work / "main.cpp").write_text(PROGRAM)
    (work / "meson.build").write_text("project('app', 'cpp', default_options: ['cpp_std=c++20', 'optimization=0'])\n"
                                      "executable('app', 'main.cpp', dependencies: dependency('dla-cuda', fallback: 'dla'))\n")
    meson = [shutil.which("meson")] if shutil.which("meson") else [sys.executable, "-m", "mesonbuild.mesonmain"]
    if subprocess.run([*meson, "--version"], capture_output=True).returncode != 0:
        print("Meson is not there, not tried")
        sys.exit(77)
    said = run(*meson, "setup", work / "none", work, "--wrap-mode=nodownload", "-Ddla:cuda=enabled", "-Ddla:gpu_home=/no/such/folder", code=1)
    assert re.search(r"ERROR: .*-Dcuda=enabled, but there is no cuda_runtime_api.h.* libcudart.so.* in /no/such/folder or in -Dgpu_libdirs and", said), said
    print("without a toolkit: told what is missing and where it was looked for")
    if home:
        run(*meson, "setup", work / "build", work, "--wrap-mode=nodownload", "-Ddla:cuda=enabled", f"-Ddla:gpu_home={home}", "-Ddla:gpu_arch=90", "-Dcpp_args=-DDLA_NO_SIMD", *sys.argv[4:])
        run("ninja", "-C", work / "build")
        said = run(work / "build" / "app").strip()
        assert re.fullmatch(r"4 outputs|error\[device\] CUDA: .+", said), said
        print(f"with the toolkit: built and linked; it says: {said}")


main()
