// SPDX-License-Identifier: MIT
// EXPECT: (use of|call to|uses) deleted
// A temporary that cannot be moved from would be gone before the first epoch.
#include <dla/data.hpp>
#include <dla/train.hpp>
const dla::Dataset digits();
dla::AnyData data(digits());
