// SPDX-License-Identifier: MIT
// EXPECT: (use of|call to|uses) deleted
// The data would be gone before the first epoch.
#include <dla/data.hpp>
#include <dla/train.hpp>
dla::AnyData data(dla::make_digits(10, dla::Seed{1}));
