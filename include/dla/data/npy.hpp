// SPDX-License-Identifier: MIT
// Samples from arrays that NumPy saved.
#pragma once

#include <dla/data/source.hpp>

namespace dla {

/// How the axes of images lie.
struct NpyOptions {
    int ignore = uncounted;       ///< class number of pixels that do not count, such as 255
    bool channels_first = false;  ///< images (of targets, too) are [N, C, H, W] in the file, as PyTorch has them, and not [N, H, W, C]
};

/// Samples from two .npy files (see read_npy). Inputs: [N, F], [N, R, F], or images [N, H, W, C], which become samples [C, H, W]; their values are taken as
/// they are, bytes from 0 to 255 (see Standardisation). Targets: integers [N] are labels, [N, H, W] a class
/// number for each pixel (-100: does not count); floats [N], or shaped as inputs are, such as masks [N, H, W, 1], are values.
/// Throws Error(data): files that cannot be read, other shapes, different N, other negative labels, and values that are not finite.
DLA_ONCE ArrayData load_npy(const std::string& inputs, const std::string& targets, const NpyOptions& options = {});

}  // namespace dla

#if DLA_BODIES
#include <dla/data/npy.impl.hpp>
#endif
