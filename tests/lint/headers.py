#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Headers compile alone, twice in a row and without a warning, and <dla/nn.hpp> stays light. Usage: headers.py [--all] SOURCE_ROOT COMPILER [ARGUMENT...]
Those that documents and examples include, without the bodies of what depends on no network; with --all each header, and what has bodies with them, too.
A header that another one includes before anything else is compiled with it: nothing stands in front of it there, either.
Arguments in $DLA_HEADER_ARGS (include folders, feature definitions) are passed on. Headers whose third-party library is missing are named and skipped."""
import concurrent.futures
import os
import pathlib
import re
import shlex
import subprocess
import sys

WARNINGS = "-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror".split()
HEAVY = re.compile(r"/(iostream|regex|filesystem)$|/(Eigen|xtensor|xtl|nlohmann|toml\+\+|CLI|fmt)/")
LIGHT = "nn.hpp model/any_model.hpp inspect/grad_check.hpp optim/make_optimizer.hpp optim/any_schedule.hpp".split()
# What a header may need that a machine may lack.
OPTIONAL = {"interop/eigen.hpp": "Eigen/Core", "interop/eigen_policy.hpp": "Eigen/Core", "interop/xtensor.hpp": "xtensor/xadapt.hpp", "cuda.hpp": "cuda_runtime_api.h"}


def main():
    every = sys.argv[1] == "--all"
    root, *command = sys.argv[2:] if every else sys.argv[1:]
    root = pathlib.Path(root)
    include = root / "include"
    base = [*command, "-std=c++20", f"-I{include}", *shlex.split(os.environ.get("DLA_HEADER_ARGS", ""))]
    environment = {**os.environ, "LC_ALL": "C"}

    def run(arguments, source):
        return subprocess.run([*base, *arguments, "-x", "c++", "-"], input=source, capture_output=True, text=True, env=environment)

    def is_missing(name):
        needed = OPTIONAL.get(name) or ("cuda_runtime_api.h" if name.startswith("kernels/cuda/") else None)
        return needed is not None and run(["-E", "-o", os.devnull], f"#if !__has_include(<{needed}>)\n#error\n#endif\n").returncode != 0

    def chain(name):
        """The header, the first that it includes, the first that this one includes, and so on."""
        names = [name]
        while m := re.match(r"(?:[^#]|#(?!include|if))*#include <dla/(.*\.hpp)>", (include / "dla" / names[-1]).read_text()):
            if m.group(1) in names or m.group(1).endswith((".inl.hpp", ".impl.hpp")):
                break
            names.append(m.group(1))
        return names

    def has_bodies(name):
        return (include / "dla" / name.replace(".hpp", ".impl.hpp")).exists()

    def is_inside_kernels(name):
        return name.startswith("kernels/cpu/") and name.rpartition("/")[2] not in ("declarations.hpp", "isa.hpp", "parallel.hpp")

    def compile_alone(name, with_bodies):
        """Without the bodies of what depends on no network, which bring further headers; where asked for also with them."""
        source = f"#include <dla/{name}>\n#include <dla/{name}>\n"
        for extra in ([] if is_inside_kernels(name) else [["-DDLA_KERNELS_EXTERN"]]) + ([[]] if with_bodies else []):
            result = run([*WARNINGS, "-fsyntax-only", *extra], source)
            if result.returncode != 0:
                break
        return "" if result.returncode == 0 else f"<dla/{name}> alone:\n{(result.stdout + result.stderr)[:3000]}"

    def look_for_heavy(name):
        result = run(["-M"], f"#include <dla/{name}>\n")
        heavy = sorted({word for word in result.stdout.replace("\\\n", " ").split() if HEAVY.search(word)})
        return "" if result.returncode == 0 and not heavy else f"<dla/{name}> reaches {' '.join(heavy)}{result.stderr[:1000]}"

    names = sorted(p.relative_to(include / "dla").as_posix() for p in (include / "dla").rglob("*.hpp") if not p.name.endswith((".inl.hpp", ".impl.hpp")))
    skipped = [n for n in names if is_missing(n)]
    names = [n for n in names if n not in skipped]
    if not every:
        text = "".join(p.read_text() for p in [root / "README.md", *root.glob("docs/*.md"), *root.glob("examples/**/*.[ch]pp")])
        names = sorted({*re.findall(r"#include <dla/(.*\.hpp)>", text), *LIGHT}.intersection(names))
    led = {n for name in names for n in chain(name)[1:]}
    roots = [n for n in names if n not in led]
    reached = {n for name in roots for n in chain(name)}
    assert reached >= set(names), f"not compiled: {set(names) - reached}"
    # Bodies take long. Of what users do not include by name as few files as it takes to have each header's bodies once with nothing in front.
    whole = {n for n in roots if every and (is_inside_kernels(n) or "/" not in n)}
    left = {n for n in names if every and has_bodies(n)} - {n for name in whole for n in chain(name)}
    for name in sorted(roots, key=lambda n: -len(left.intersection(chain(n)))):
        if left.intersection(chain(name)):
            whole.add(name)
            left.difference_update(chain(name))
    assert not left, f"bodies not compiled: {left}"
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        problems = [p for p in [*pool.map(lambda n: compile_alone(n, n in whole), sorted(roots, key=lambda n: n not in whole)), *pool.map(look_for_heavy, [n for n in LIGHT if n in names])] if p]
    print("\n".join(problems))
    if skipped:
        print("skipped, their libraries are missing:", " ".join(skipped))
    print(f"{len(names)} headers in {len(roots)} files, {len(problems)} problems")
    return 1 if problems or not names else 0


if __name__ == "__main__":
    sys.exit(main())
