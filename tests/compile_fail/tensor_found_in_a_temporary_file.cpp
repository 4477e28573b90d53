// SPDX-License-Identifier: MIT
// EXPECT: (use of|call to) deleted .*find
// The tensor would view a file that is gone.
#include <dla/io/safetensors.hpp>
const dla::StoredTensor* tensor = dla::SafetensorsFile::read("net.safetensors").find("0.weight");
