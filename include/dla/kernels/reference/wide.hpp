// SPDX-License-Identifier: MIT
// The types in which the reference kernels calculate, and the types of their arguments.
#pragma once

#include <dla/backend/policy.hpp>

#include <cmath>
#include <limits>
#include <type_traits>

namespace dla::detail {

template <class T>
inline constexpr bool narrower_than_double = std::is_floating_point_v<T> && (sizeof(T) < sizeof(double));
template <int Exponent, int Fraction>
inline constexpr bool narrower_than_double<Half<Exponent, Fraction>> = true;

/// For sums and formulas, rounded once when the result is stored: double for the smaller floating-point types, T itself otherwise.
template <class T>
using Wide = std::conditional_t<narrower_than_double<T>, double, T>;

/// For the few kernels that are defined by single operations in T: what T's own operators give, float for the 16-bit types and T for the others.
template <class T>
using Arithmetic = decltype(T{} + T{});

/// Types of a kernel's arguments, made from the policy's T alone: a null pointer or a double literal is then a fine argument.
template <class T>
using Of = std::type_identity_t<T>;
template <class T>
using WeightOf = typename Precision<T>::weight;
template <class T>
using MasterOf = typename Precision<T>::master;
template <class T>
using StatisticOf = typename Precision<T>::statistic;

/// Kernels that are called with pointers of several types are one function where these types are equal, and overloads where they differ.
template <class T>
concept MastersApart = !std::same_as<MasterOf<T>, Of<T>>;
template <class T>
concept ProductsApart = MastersApart<T> || !std::same_as<WeightOf<T>, Of<T>>;

}  // namespace dla::detail
