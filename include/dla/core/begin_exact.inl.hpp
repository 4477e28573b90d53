// SPDX-License-Identifier: MIT
// Opens a region that keeps the order and the rounding of its operations, whatever -ffast-math or -Ofast allow in the code around it. Without it, `x + big -
// big` becomes x, and the exact steps of a polynomial are merged. Standard headers must have been included before. No include guard on purpose.
#if defined(__clang__)
#pragma float_control(push)
#pragma float_control(precise, on)
#elif defined(__GNUC__)
#pragma GCC push_options
// Only where needed, because g++ does not inline functions into others whose options differ.
#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || defined(__NO_SIGNED_ZEROS__)
#pragma GCC optimize("no-fast-math")
#endif
#endif
