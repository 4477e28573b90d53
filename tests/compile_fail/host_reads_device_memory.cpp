// SPDX-License-Identifier: MIT
// EXPECT: (use of deleted function|overload resolution selected deleted operator|selected deleted)
// The test policy itself: its pointers cannot be dereferenced.
#include <dla/nn.hpp>
#include <support/opaque.hpp>
float first(const dla::ParamTable<opaque::Opaque<float>>& table) { return *table.values(); }
