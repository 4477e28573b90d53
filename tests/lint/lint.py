#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Rules that the sources keep, read from their text: who may include whom, sizes, first lines, macros. Usage: lint.py SOURCE_ROOT"""
import pathlib
import re
import sys

# Folder: the folders it may include besides itself (docs/design.md, "One-way include graph").
BELOW = {
    "core": "",
    "backend": "core",
    "kernels": "core backend",
    "layers": "core backend kernels",
    "compose": "core backend kernels layers",
    "loss": "core backend kernels",
    "optim": "core backend kernels",
    "model": "core backend kernels layers compose loss optim",
    "inspect": "core backend kernels layers compose loss optim model",
    "data": "core io",
    "io": "core",
    "train": "core backend kernels layers compose loss optim model inspect data io",
    "config": "core io",
    "zoo": "core backend kernels layers compose loss optim model inspect data io config",
    "experiment": "core backend kernels layers compose loss optim model inspect data io train config zoo",
    "interop": "core backend kernels layers compose loss optim model inspect data io train config zoo",
}
# The only macros: switches of core/config.hpp, the version, and these.
MACROS = re.compile(r"DLA_\w+$")
INLINE = re.compile(r"(\[\[[\w:, ]*\]\] )?(DLA_ONCE|DLA_TEMPLATE_ONCE|inline|constexpr|consteval|static_assert|static constexpr|static inline|using|namespace|struct|class|enum|extern|concept|friend|requires)\b")
MACRO_FILES = {"core/config.hpp", "version.hpp"}
# What a third-party header wants to be told, and what kernels/cuda/list.inl.hpp is read with.
FOREIGN_MACROS = {"TOML_ASSERT", "EIGEN_DONT_PARALLELIZE", "DLA_CUDA_KERNEL"}
FORBIDDEN_BELOW_TRAIN = re.compile(r"#include <(iostream|regex|filesystem|nlohmann/|toml|Eigen/|xtensor/)")
# libm picks variants by the processor when a program starts, and their last bits differ: what weights depend on uses <dla/core/math.hpp>.
LIBM = re.compile(r"std::(pow|exp2?|expm1|log(?:2|10|1p)?|a?(?:sin|cos|tan)h?|atan2|erfc?|cbrt|hypot|[tl]gamma|fma)\b")
LIBM_MAY_BE_CALLED_IN = ("kernels/reference/", "kernels/formulas.hpp", "io/", "interop/", "inspect/grad_check.hpp")
EMBEDDED = re.compile(r'R"cuda\(.*?\)cuda"', re.S)  # device code as text, in a header that a script writes
NN_SIDE = "core backend kernels layers compose model loss optim".split()


def strip_comments(text):
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.S)


def check_header(include, path):
    name = path.relative_to(include / "dla").as_posix()
    folder = name.split("/")[0] if "/" in name else ""
    text = EMBEDDED.sub('""', path.read_text())
    lines = text.splitlines()
    code = strip_comments(text)
    inline = name.endswith(".inl.hpp")
    if lines[:1] != ["// SPDX-License-Identifier: MIT"]:
        yield "the first line must be // SPDX-License-Identifier: MIT"
    if len(lines) < 2 or not lines[1].startswith("// "):
        yield "the second line must say in a sentence what the header is for"
    if ("#pragma once" in lines) == inline:
        yield "#pragma once belongs into every header and into no .inl.hpp"
    if len(lines) > 300:
        yield f"{len(lines)} lines; at most 300"
    for number, line in enumerate(lines, 1):
        if len(line) > 160:
            yield f"line {number} has {len(line)} characters; at most 160"
        if re.search(r"[ \t]$", line) or "\t" in line:
            yield f"line {number} has a tab or ends in a space"
    if re.search(r"\busing\s+namespace\b", code):
        yield "using namespace in a header"
    if name not in MACRO_FILES:
        for macro in re.findall(r"^\s*#\s*define\s+(\w+)", code, re.M):
            if macro not in FOREIGN_MACROS:
                yield f"defines the macro {macro}; macros live in core/config.hpp"
    elif not inline:
        for macro in re.findall(r"^\s*#\s*define\s+(\w+)", code, re.M):
            if not MACROS.match(macro):
                yield f"the macro {macro} must be named DLA_..."
    for target in re.findall(r"^\s*#\s*include\s+([<\"][^>\"]+[>\"])", code, re.M):
        if target.startswith('"'):
            yield f"includes {target}; write <dla/...>"
        elif target.startswith("<dla/"):
            to = target[5:-1]
            if not (include / "dla" / to).is_file():
                if f"__has_include({target})" not in code:
                    yield f"includes {target}, which does not exist"
            elif folder:
                if "/" not in to and to != "version.hpp":
                    yield f"includes the umbrella {target}"
                elif "/" in to and to.split("/")[0] not in [folder, *BELOW.get(folder, "").split()]:
                    yield f"{folder} must not include {target}"
    if folder and folder not in BELOW:
        yield f"{folder} has no place in the include graph"
    if folder in NN_SIDE and (bad := FORBIDDEN_BELOW_TRAIN.search(code)):
        yield f"{bad.group(0)}...> in what <dla/nn.hpp> reaches"
    if not name.startswith(LIBM_MAY_BE_CALLED_IN) and (bad := LIBM.search(code)):
        yield f"{bad.group(0)} differs between processors; use <dla/core/math.hpp>"
    yield from defined_twice(code)
    if not folder:
        rest = re.sub(r"^\s*#.*$", "", code, flags=re.M).strip()
        if rest:
            yield "an umbrella holds nothing but includes"


def check_device_code(text):
    lines = text.splitlines()
    if lines[:1] != ["// SPDX-License-Identifier: MIT"] or not lines[1].startswith("// "):
        yield "the first line must be // SPDX-License-Identifier: MIT, the second a sentence"
    if len(lines) > 300:
        yield f"{len(lines)} lines; at most 300"
    yield from (f"line {n} has {len(line)} characters; at most 160" for n, line in enumerate(lines, 1) if len(line) > 160)
    code = strip_comments(text)
    if re.search(r"\batomic", code):
        yield "an atomic: sums would depend on who comes first"
    if re.search(r"\bmem(cpy|move|set)\b", code):
        yield "memcpy, memmove or memset, which the watch of the emulated device does not see"
    for target in re.findall(r"#include <([^>]+)>", code):
        if not target.startswith(("dla/kernels/cuda/", "dla/kernels/formulas.hpp", "dla/kernels/windows.hpp")):
            yield f"includes <{target}>; device code has what block.cuh brings"


def defined_twice(code):
    """Functions that a second translation unit would define again: what is neither inline nor a template. They begin a line, members of classes do not."""
    lines = code.split("\n")
    for number, line in enumerate(lines):
        if not re.match(r"[A-Za-z_\[][^;={}]*\(", line) or INLINE.match(line):
            continue
        before = lines[number - 1].strip() if number else ""
        if before.startswith(("template", "requires", "[[")) or before.endswith((",", "(", "&&", "||", ">")):
            continue
        rest = "\n".join(lines[number:number + 12])
        if re.match(r"[^;{]*\{", rest):
            yield f"line {number + 1}: a function that is neither inline nor a template: {line[:60]}"


def cycles(include):
    graph = {}
    for path in (include / "dla").rglob("*.hpp"):
        name = path.relative_to(include).as_posix()
        graph[name] = re.findall(r"^\s*#\s*include\s+<(dla/[^>]+)>", strip_comments(EMBEDDED.sub("", path.read_text())), re.M)
    done, open_now = set(), []
    for name in graph:
        if name.endswith(".impl.hpp") and [n for n in graph if name in graph[n]] != [name.replace(".impl.hpp", ".hpp")]:
            yield f"{name} belongs to the header of its name, which alone includes it"

    def visit(name):
        if name in open_now:
            yield " -> ".join(open_now[open_now.index(name):] + [name])
        elif name not in done:
            open_now.append(name)
            for target in graph.get(name, []):
                yield from visit(target)
            open_now.pop()
            done.add(name)

    for name in sorted(graph):
        yield from visit(name)


def main():
    root = pathlib.Path(sys.argv[1])
    include = root / "include"
    headers = sorted((include / "dla").rglob("*.hpp"))
    problems = []
    for path in headers:
        problems += [f"{path.relative_to(root)}: {p}" for p in check_header(include, path)]
    problems += [f"includes: {c}" for c in cycles(include)]
    for folder, suffixes in [("tests", (".cpp", ".hpp")), ("examples", (".cpp", ".hpp")), ("bench", (".cpp", ".hpp"))]:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in suffixes and not path.read_text().startswith("// SPDX-License-Identifier: MIT\n"):
                problems.append(f"{path.relative_to(root)}: the first line must be // SPDX-License-Identifier: MIT")
    for path in sorted((include / "dla/kernels/cuda").glob("*.cuh")):
        problems += [f"{path.relative_to(root)}: {p}" for p in check_device_code(path.read_text())]
    linked = (root / "tests/lint/link_a.cpp").read_text()
    for umbrella in sorted((include / "dla").glob("*.hpp")):
        if umbrella.name != "cuda.hpp" and f"#include <dla/{umbrella.name}>" not in linked:
            problems.append(f"tests/lint/link_a.cpp: does not include <dla/{umbrella.name}>")
    print("\n".join(problems))
    print(f"{len(headers)} headers, {len(problems)} problems")
    return 1 if problems or not headers else 0


if __name__ == "__main__":
    sys.exit(main())
