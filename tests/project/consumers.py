# SPDX-License-Identifier: MIT
"""Builds a small program that uses the library in every way the README names: plain compiler, Meson subproject, pkg-config, CMake."""
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
        sys.exit(f"FAILED: {' '.join(map(str, command))}\n{(result.stdout + result.stderr)[:4000]}")
    return result.stdout


def sources(folder):
    folder.mkdir(parents=True)
    (folder / "main.cpp").write_text(PROGRAM)
    (folder / "other.cpp").write_text(OTHER)
    return [folder / "main.cpp", folder / "other.cpp"]


def main():
    root, work = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    compiler = sys.argv[sys.argv.index("--") + 1:]
    shutil.rmtree(work, ignore_errors=True)
    environment = {**os.environ, "CXX": " ".join(compiler)}
    meson = shutil.which("meson")

    plain = work / "plain"
    run(compiler + ["-std=c++20", f"-I{root / 'include'}", *sources(plain), "-o", plain / "app"])
    version = run([plain / "app"]).strip()
    print("plain compiler: ok")

    once = work / "once"
    once.mkdir()
    page = (root / "docs/compile_time.md").read_text()
    files = dict(re.findall(r"```cpp\n// (\S+)\n(.*?)```", page, re.S))
    assert set(files) == {"kernels.cpp", "net.hpp", "net.cpp", "main.cpp"}, f"docs/compile_time.md has the files {sorted(files)}"
    for name, text in files.items():
        (once / name).write_text(text)
    commands = re.search(r"```sh\n(g\+\+ .*?)```", page, re.S).group(1).splitlines()
    for command in commands:
        words = command.split("#")[0].replace("-I include", f"-I{root / 'include'}").replace("-O3", "-O1").split()
        run(compiler + words[1:], cwd=once)
    print("kernels compiled once, a model in a file of its own:", run([once / "app"]).strip())
    undefined = run(["nm", "-C", "--undefined-only", once / "net.o"])
    assert "dla::gemm(" in undefined and "dla::fail(" in undefined, f"net.o has kernels of its own:\n{undefined[:2000]}"
    both = subprocess.run(compiler + ["-std=c++20", f"-I{root / 'include'}", "-fsyntax-only", "-DDLA_KERNELS_EXTERN", "kernels.cpp"], capture_output=True, text=True, cwd=once)
    assert both.returncode != 0 and "exactly one unit of a program implements" in both.stderr, both.stderr[:2000]

    c17 = subprocess.run(compiler + ["-std=c++17", f"-I{root / 'include'}", "-fsyntax-only", plain / "main.cpp"], capture_output=True, text=True)
    assert c17.returncode != 0 and "dla needs C++20" in c17.stderr, c17.stderr[:2000]
    print("C++17 is told what is missing: ok")

    sub = work / "subproject"
    sources(sub)
    (sub / "subprojects").mkdir()
    (sub / "subprojects" / "dla").symlink_to(root, target_is_directory=True)
    (sub / "meson.build").write_text(
        "project('app', 'cpp', default_options: ['cpp_std=c++20', 'buildtype=debug'])\n"
        "executable('app', 'main.cpp', 'other.cpp', dependencies: dependency('dla', version: '>=0.1'))\n")
    said = run([meson, "setup", sub / "build", sub, "--wrap-mode=nodownload"], env=environment)
    found = set(re.findall(r"^dla\| .*dependency (\S+) found", said, re.M))
    assert found <= {"OpenMP"}, f"a subproject looks for {found}:\n{said}"
    targets = [t["name"] for t in json.loads(run([meson, "introspect", "--targets", sub / "build"]))]
    assert targets == ["app"], f"a subproject builds {targets}"
    run(["ninja", "-C", sub / "build"])
    assert run([sub / "build" / "app"]).strip() == version
    print("Meson subproject: ok, and only the program itself is built")

    (sub / "meson.build").write_text(
        "project('app', 'cpp', default_options: ['cpp_std=c++20', 'buildtype=debug'])\n"
        "executable('app', 'main.cpp', 'other.cpp', dependencies: dependency('dla-kernels', fallback: 'dla', version: '>=0.1', default_options: ['kernels=enabled']))\n")
    run([meson, "setup", "--wipe", sub / "build", sub, "--wrap-mode=nodownload"], env=environment)
    targets = {t["name"]: t for t in json.loads(run([meson, "introspect", "--targets", sub / "build"]))}
    assert set(targets) == {"app", "dla-kernels"}, f"a subproject with kernels builds {sorted(targets)}"
    run(["ninja", "-C", sub / "build"])
    assert run([sub / "build" / "app"]).strip() == version
    print("Meson subproject with kernels compiled once: ok")

    destination = work / "destination"
    run([meson, "setup", work / "install", root, "--prefix=/usr"], env=environment)
    built = [t["name"] for t in json.loads(run([meson, "introspect", "--targets", work / "install"])) if t["build_by_default"]]
    assert built == [], f"an installation builds {built}"
    run([meson, "install", "-C", work / "install"], env={**environment, "DESTDIR": str(destination)})
    headers = sorted(p.relative_to(root / "include") for p in (root / "include").rglob("*.hpp"))
    installed = sorted(p.relative_to(destination / "usr/include") for p in (destination / "usr/include").rglob("*.hpp"))
    assert headers == installed, set(headers) ^ set(installed)
    if pkg_config := shutil.which("pkg-config"):
        found = {**environment, "PKG_CONFIG_LIBDIR": str(destination / "usr/share/pkgconfig"), "PKG_CONFIG_SYSROOT_DIR": str(destination)}
        assert run([pkg_config, "--modversion", "dla"], env=found).strip() == version
        flags = run([pkg_config, "--cflags", "--libs", "dla"], env=found).split()
        run(compiler + ["-std=c++20", *sources(work / "pkg-config"), *flags, "-o", work / "pkg-config" / "app"])
        assert run([work / "pkg-config" / "app"]).strip() == version
        print("installed, pkg-config: ok")
    if cmake := shutil.which("cmake"):
        project = work / "cmake"
        sources(project)
        (project / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.16)\nproject(app CXX)\nfind_package(dla 0.1 REQUIRED)\n"
            "add_executable(app main.cpp other.cpp)\ntarget_link_libraries(app PRIVATE dla::dla)\n")
        run([cmake, "-S", project, "-B", project / "build", f"-DCMAKE_PREFIX_PATH={destination / 'usr'}"], env=environment)
        run([cmake, "--build", project / "build"])
        assert run([project / "build" / "app"]).strip() == version
        print("installed, CMake: ok")
    else:
        print("CMake: not installed, not tried")


if __name__ == "__main__":
    main()
