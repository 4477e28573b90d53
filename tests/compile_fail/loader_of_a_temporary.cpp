// SPDX-License-Identifier: MIT
// EXPECT: (use of|call to) deleted .*Loader
// The loader would refer to a data set that is gone.
#include <dla/data.hpp>
dla::Loader loader(dla::load_dataset("digits", ".").train, {0, 1}, {.batch_size = 1});
