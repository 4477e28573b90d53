#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compiles every .cpp of this folder with -fsyntax-only. One with a line `// OK` must compile; the others must not, and the compiler's output must
match every `// EXPECT: regex` in them. `// ARGUMENTS: ...` adds to the command. Usage: compile_fail.py SOURCE_ROOT COMPILER [ARGUMENT...]"""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile


def sentence(output):
    """Clang prints a text as pieces, `{"layer 1 Lin"}, Line<31>{{"ear..."}`; put them together and undo escapes."""
    output = re.sub(r'"\}*,\s*(?:dla::)?(?:detail::)?Line<\d+U?L?>\s*\{*"', "", output)
    return output.replace('\\"', '"')


def options(root):
    return ["-std=c++20", "-DDLA_KERNELS_EXTERN", f"-I{root / 'include'}", f"-I{root / 'tests'}"]


def precompile(command, root, folder):
    """Reads <dla/nn.hpp> once for all files; gives the arguments that use it. g++ looks for it by itself, and past it where arguments differ."""
    header = folder / "dla" / "nn.hpp.gch"
    header.parent.mkdir(parents=True)
    subprocess.run([*command, *options(root), "-x", "c++-header", str(root / "include/dla/nn.hpp"), "-o", str(header)], check=True, stderr=subprocess.DEVNULL)
    return ["-include-pch", str(header)] if "clang" in command[-1] else [f"-I{folder}"]


def compile_one(command, root, source, precompiled):
    text = source.read_text()
    own = " ".join(re.findall(r"^// ARGUMENTS: (.*)$", text, re.M)).split()
    arguments = [*command, *([] if own else precompiled), *options(root), "-fsyntax-only", *own, str(source)]
    result = subprocess.run(arguments, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
    output = sentence(result.stdout + result.stderr)
    if "\n// OK\n" in text:
        return [] if result.returncode == 0 else ["does not compile:\n" + output[:3000]]
    expected = re.findall(r"^// EXPECT: (.*)$", text, re.M)
    problems = [] if expected else ["has no EXPECT line"]
    if result.returncode == 0:
        return problems + ["compiles"]
    return problems + [f"output does not match: {e}\n{output[:3000]}" for e in expected if not re.search(e, output)]


def main():
    root, command = pathlib.Path(sys.argv[1]), sys.argv[2:]
    sources = sorted((root / "tests/compile_fail").glob("*.cpp"))
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool, tempfile.TemporaryDirectory() as folder:
        precompiled = precompile(command, root, pathlib.Path(folder))
        for s, problems in zip(sources, pool.map(lambda s: compile_one(command, root, s, precompiled), sources)):
            failed += bool(problems)
            for problem in problems:
                print(f"{s.name}: {problem}")
    print(f"{len(sources) - failed} of {len(sources)} files as expected of {command[-1]}")
    return 1 if failed or not sources else 0


if __name__ == "__main__":
    sys.exit(main())
