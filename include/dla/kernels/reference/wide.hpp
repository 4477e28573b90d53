// SPDX-License-Identifier: MIT
// The type in which the reference kernels add up, and the type of their pointer arguments.
#pragma once

#include <dla/backend/policy.hpp>

#include <cmath>
#include <limits>
#include <type_traits>

namespace dla::detail {

/// double for the smaller floating-point types, T itself otherwise.
template <class T>
using Wide = std::conditional_t<std::is_floating_point_v<T> && (sizeof(T) < sizeof(double)), double, T>;

/// T, deduced from the policy alone: a null pointer or a double literal is then a fine argument.
template <class T>
using Of = std::type_identity_t<T>;

}  // namespace dla::detail
