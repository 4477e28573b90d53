// SPDX-License-Identifier: MIT
// EXPECT: (use of|call to) deleted .*image
// The span would view the bytes of a data set that is gone.
#include <dla/data.hpp>
auto image = dla::make_digits(10, dla::Seed{1}).image(0);
