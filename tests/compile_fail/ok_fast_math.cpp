// SPDX-License-Identifier: MIT
// ARGUMENTS: -O3 -ffast-math -fno-finite-math-only -Werror
// OK
#include <dla/nn.hpp>
int main() {}
