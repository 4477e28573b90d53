#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Writes include/dla/kernels/cuda/sources.hpp: the device code as text, for NVRTC, which compiles it where a program has no object made by nvcc.

    scripts/embed_device_code.py            writes it
    scripts/embed_device_code.py --check    fails when it is not what the sources say

What all.cuh reaches is in it, without comments, and the few names of the standard library that it uses: NVRTC has no headers of its own for them.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = ROOT / "include"
OUT = INCLUDE / "dla/kernels/cuda/sources.hpp"

STANDARD = {
    "cstdint": """#pragma once
namespace std {
using int8_t = signed char;
using uint8_t = unsigned char;
using int32_t = int;
using uint32_t = unsigned;
using int64_t = long;
using uint64_t = unsigned long;
}
""",
    "cmath": """#pragma once
#define HUGE_VALF __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fc00000)
namespace std {
using ::erfc;
using ::exp;
using ::expm1;
using ::log;
using ::log1p;
using ::pow;
using ::sqrt;
using ::tanh;
}
""",
    "array": """#pragma once
namespace std {
template <class T, decltype(sizeof(0)) N>
struct array {
    T values[N];
    constexpr T& operator[](decltype(sizeof(0)) i) { return values[i]; }
    constexpr const T& operator[](decltype(sizeof(0)) i) const { return values[i]; }
};
}
""",
}

HEAD = """// SPDX-License-Identifier: MIT
// The device code as text, for NVRTC; written by scripts/embed_device_code.py.
#pragma once

namespace dla::cuda {

/// A file as `#include` names it.
struct Source {
    const char* name;
    const char* text;
};

inline constexpr Source device_sources[] = {
"""


def without_comments(text):
    text = re.sub(r"[ \t]*//[^\n]*", "", text)
    return re.sub(r"\n{2,}", "\n", text).lstrip("\n")


def reached(name, found):
    if name in found:
        return
    if name in STANDARD:
        found[name] = STANDARD[name]
        return
    path = INCLUDE / name
    if not path.is_file():
        sys.exit(f"error: device code includes <{name}>, which is not ours and has no text here")
    text = path.read_text()
    found[name] = without_comments(text)
    for target in re.findall(r"^\s*#\s*include\s+<([^>]+)>", text, re.M):
        reached(target, found)


def generated():
    found = {}
    reached("dla/kernels/cuda/all.cuh", found)
    for name in found:
        if ')cuda"' in found[name]:
            sys.exit(f"error: {name} has the end of a raw string in it")
    return HEAD + "".join(f'    {{"{name}", R"cuda({found[name]})cuda"}},\n' for name in sorted(found)) + "};\n\n}  // namespace dla::cuda\n"


def main():
    text = generated()
    if sys.argv[1:] == ["--check"]:
        if not OUT.is_file() or OUT.read_text() != text:
            sys.exit(f"error: {OUT.relative_to(ROOT)} is not what the device code says; run scripts/embed_device_code.py")
        return
    if sys.argv[1:]:
        sys.exit(__doc__)
    OUT.write_text(text)


main()
