// SPDX-License-Identifier: MIT
// `digits`: a procedural, seeded set of handwritten-looking digits with MNIST's shape, for use without any file.
#pragma once

#include <dla/data/dataset.hpp>

namespace dla::inline DLA_ABI_TAG {

/// Which of two disjoint sequences of images `make_digits` draws from.
enum class DigitsPart : std::uint32_t { train = 0, test = 1 };

/// `count` images of digits [N, 28, 28, 1] with labels. Image i depends on (seed, part, i) only, so a larger set begins with the smaller one.
/// Labels are the same everywhere; pixels may differ in the last unit between compilers, never between runs, threads or ISA levels of one build.
/// `threads` 0 means one for each core. Error: config, unless 1 <= count < 2^32.
DLA_ONCE Dataset make_digits(index_t count, Seed seed, DigitsPart part = DigitsPart::train, int threads = 0);

}  // namespace dla::inline DLA_ABI_TAG

#if DLA_BODIES
#include <dla/data/digits.impl.hpp>
#endif
