// SPDX-License-Identifier: MIT
// What nearly every test includes, parsed once for each executable.
#include <doctest/doctest.h>

#include <dla/nn.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>
