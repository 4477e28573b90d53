// SPDX-License-Identifier: MIT
// ARGUMENTS: -O3 -ffast-math
// EXPECT: dla: NaN and infinity must be noticed; add -fno-finite-math-only behind -ffast-math, -Ofast or -ffinite-math-only
#include <dla/kernels/types.hpp>
int main() {}
