# SPDX-License-Identifier: MIT
"""Builds a small program that uses the library in every way the README names: plain compiler, Meson subproject, pkg-config, CMake.
Usage: consumers.py [--kernels] SOURCE_ROOT WORK_DIR -- COMPILER [ARGUMENT...]; --kernels: the subproject builds its kernels as well (minutes)."""
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

PROGRAM = """
#include <dla/nn.hpp>
#include <cstdio>
using Net = dla::Sequential<dla::Linear<2, 8>, dla::ReLU, dla::Linear<8, 2>>;
float other_unit();
int main() {
    dla::Model<Net, dla::Shape{2}> model(dla::Seed{42});
    std::printf("%s\\n", DLA_VERSION_STRING);
    return model.predict(std::vector<float>{1, 2, 3, 4}).size() == 4 && other_unit() > 0 ? 0 : 1;
}
"""
OTHER = """
#include <dla/nn.hpp>
float other_unit() {
    dla::Model<dla::Sequential<dla::Linear<2, 8>, dla::ReLU>, dla::Shape{2}> model(dla::Seed{42});
    dla::Adam adam;
    return dla::train_step(model, adam, dla::CrossEntropy{}, std::vector<float>{1, 2}, std::vector<std::int32_t>{1});
}
"""


def run(command, **options):
    result = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    if result.returncode != 0:
        raise RuntimeError(f"failed: {' '.join(map(str, command))}\n{(result.stdout + result.stderr)[:4000]}")
    return result.stdout


def sources(folder, names=("main.cpp", "other.cpp")):
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text({"main.cpp": PROGRAM, "other.cpp": OTHER, "both.cpp": OTHER + PROGRAM}[name])
    return [folder / name for name in names]


class Consumers:
    """One way to use the library each. They share nothing, so they run side by side. Kernels for one instruction set (DLA_NO_SIMD) do where kernels are not
    the point."""

    def __init__(self, root, work, compiler, with_kernels):
        self.root, self.work, self.compiler, self.with_kernels = root, work, compiler, with_kernels
        self.environment = {**os.environ, "CXX": " ".join(compiler)}
        self.meson = shutil.which("meson")
        self.version = re.search(r'DLA_VERSION_STRING "(.*)"', (root / "include/dla/version.hpp").read_text()).group(1)

    def plain(self):
        plain = self.work / "plain"
        run(self.compiler + ["-std=c++20", "-DDLA_NO_SIMD", f"-I{self.root / 'include'}", *sources(plain), "-o", plain / "app"])
        assert run([plain / "app"]).strip() == self.version
        c17 = subprocess.run(self.compiler + ["-std=c++17", f"-I{self.root / 'include'}", "-fsyntax-only", plain / "main.cpp"], capture_output=True, text=True)
        assert c17.returncode != 0 and "dla needs C++20" in c17.stderr, c17.stderr[:2000]
        return "plain compiler: ok; C++17 is told what is missing"

    def once(self):
        once = self.work / "once"
        once.mkdir()
        page = (self.root / "docs/compile_time.md").read_text()
        files = dict(re.findall(r"```cpp\n// (\S+)\n(.*?)```", page, re.S))
        assert set(files) == {"kernels.cpp", "net.hpp", "net.cpp", "main.cpp"}, f"docs/compile_time.md has the files {sorted(files)}"
        for name, text in files.items():
            (once / name).write_text(text)
        commands = re.search(r"```sh\n(g\+\+ .*?)```", page, re.S).group(1).splitlines()
        for command in commands:
            words = command.split("#")[0].replace("-I include", f"-I{self.root / 'include'}").replace("-O3", "-O0").replace(" -c ", " -DDLA_NO_SIMD -c ").split()
            run(self.compiler + words[1:], cwd=once)
        said = run([once / "app"]).strip()
        undefined = run(["nm", "-C", "--undefined-only", once / "net.o"])
        for name in ("detail::AnyLinear::infer", "BasicModel", "dla::fail("):
            assert name in undefined, f"net.o has what depends on no network, such as {name}:\n{undefined[:2000]}"
        both = subprocess.run(self.compiler + ["-std=c++20", f"-I{self.root / 'include'}", "-fsyntax-only", "-DDLA_KERNELS_EXTERN", "kernels.cpp"],
                              capture_output=True, text=True, cwd=once)
        assert both.returncode != 0 and "exactly one unit of a program implements" in both.stderr, both.stderr[:2000]
        return f"kernels compiled once, a model in a file of its own: {said}"

    def subproject(self):
        sub = self.work / "subproject"
        sources(sub)
        (sub / "subprojects").mkdir()
        (sub / "subprojects" / "dla").symlink_to(self.root, target_is_directory=True)
        (sub / "meson.build").write_text(
            "project('app', 'cpp', default_options: ['cpp_std=c++20', 'buildtype=debug'])\n"
            "executable('app', 'main.cpp', 'other.cpp', dependencies: dependency('dla', version: '>=0.1'))\n")
        said = run([self.meson, "setup", sub / "build", sub, "--wrap-mode=nodownload", "-Dcpp_args=-DDLA_NO_SIMD"], env=self.environment)
        found = set(re.findall(r"^dla\| .*dependency (\S+) found", said, re.M))
        assert found <= {"threads"}, f"a subproject looks for {found}:\n{said}"
        targets = [t["name"] for t in json.loads(run([self.meson, "introspect", "--targets", sub / "build"]))]
        assert targets == ["app"], f"a subproject builds {targets}"
        run(["ninja", "-j1", "-C", sub / "build"])
        assert run([sub / "build" / "app"]).strip() == self.version

        (sub / "meson.build").write_text(
            "project('app', 'cpp', default_options: ['cpp_std=c++20', 'buildtype=debug'])\n"
            "executable('app', 'main.cpp', 'other.cpp', dependencies: dependency('dla-kernels', fallback: 'dla', version: '>=0.1', default_options: ['kernels=enabled']))\n")
        run([self.meson, "setup", "--wipe", sub / "build", sub, "--wrap-mode=nodownload", "-Dcpp_args=-DDLA_NO_SIMD"], env=self.environment)
        targets = {t["name"]: t for t in json.loads(run([self.meson, "introspect", "--targets", sub / "build"]))}
        assert set(targets) == {"app", "dla-kernels"}, f"a subproject with kernels builds {sorted(targets)}"
        if self.with_kernels:
            run(["ninja", "-j1", "-C", sub / "build"])
            assert run([sub / "build" / "app"]).strip() == self.version
        return "Meson subproject: ok, and only the program itself is to be built, or the program and the kernels where it asks for them"

    def installed(self):
        destination = self.work / "destination"
        run([self.meson, "setup", self.work / "install", self.root, "--prefix=/usr"], env=self.environment)
        built = [t["name"] for t in json.loads(run([self.meson, "introspect", "--targets", self.work / "install"])) if t["build_by_default"]]
        assert built == [], f"an installation builds {built}"
        run([self.meson, "install", "-C", self.work / "install"], env={**self.environment, "DESTDIR": str(destination)})
        headers = sorted(p.relative_to(self.root / "include") for p in (self.root / "include").rglob("*.hpp"))
        there = sorted(p.relative_to(destination / "usr/include") for p in (destination / "usr/include").rglob("*.hpp"))
        assert headers == there, set(headers) ^ set(there)
        said = "installed: ok"
        if pkg_config := shutil.which("pkg-config"):
            found = {**self.environment, "PKG_CONFIG_LIBDIR": str(destination / "usr/share/pkgconfig"), "PKG_CONFIG_SYSROOT_DIR": str(destination)}
            assert run([pkg_config, "--modversion", "dla"], env=found).strip() == self.version
            flags = run([pkg_config, "--cflags", "--libs", "dla"], env=found).split()
            files = sources(self.work / "pkg-config", ["both.cpp"])
            run(self.compiler + ["-std=c++20", "-DDLA_NO_SIMD", *files, *flags, "-o", self.work / "pkg-config" / "app"])
            assert run([self.work / "pkg-config" / "app"]).strip() == self.version
            said += "; pkg-config: ok"
        if cmake := shutil.which("cmake"):
            project = self.work / "cmake"
            sources(project, ["both.cpp"])
            (project / "CMakeLists.txt").write_text(
                "cmake_minimum_required(VERSION 3.16)\nproject(app CXX)\nfind_package(dla 0.1 REQUIRED)\n"
                "add_executable(app both.cpp)\ntarget_link_libraries(app PRIVATE dla::dla)\n")
            run([cmake, "-S", project, "-B", project / "build", f"-DCMAKE_PREFIX_PATH={destination / 'usr'}", "-DCMAKE_CXX_FLAGS=-DDLA_NO_SIMD"],
                env=self.environment)
            run([cmake, "--build", project / "build"])
            assert run([project / "build" / "app"]).strip() == self.version
            return said + "; CMake: ok"
        return said + "; CMake: not there, not tried"


def main():
    options, (_, *compiler) = sys.argv[1:sys.argv.index("--")], sys.argv[sys.argv.index("--"):]
    with_kernels = options[0] == "--kernels"
    root, work = map(pathlib.Path, options[1:] if with_kernels else options)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    consumers = Consumers(root, work, compiler, with_kernels)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for said in [pool.submit(f) for f in (consumers.once, consumers.subproject, consumers.installed, consumers.plain)]:
            print(said.result())


if __name__ == "__main__":
    main()
