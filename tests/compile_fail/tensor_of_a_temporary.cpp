// SPDX-License-Identifier: MIT
// EXPECT: (use of|call to) deleted .*stored_tensor
// The tensor would view values that are gone.
#include <dla/io/safetensors.hpp>
dla::StoredTensor tensor = dla::stored_tensor<float>("a", {2}, std::vector<float>{1, 2});
