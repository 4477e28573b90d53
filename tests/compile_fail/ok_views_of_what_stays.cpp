// SPDX-License-Identifier: MIT
// OK
// What refuses temporaries takes the same things when they stay.
#include <dla/data.hpp>
#include <dla/io/safetensors.hpp>
#include <dla/inspect/layer_tree.hpp>
#include <dla/train.hpp>
const dla::Dataset digits = dla::make_digits(10, dla::Seed{1});
dla::Loader loader(digits, dla::all_samples(digits), {.batch_size = 2});
auto image = digits.image(0);
const dla::ParamIndex rows;
auto tree = dla::layer_tree(rows);
const std::vector<float> values{1, 2};
dla::StoredTensor tensor = dla::stored_tensor<float>("a", {2}, values);
dla::StoredTensor again = dla::stored_tensor<float>("a", {2}, std::span<const float>(values));
dla::StoredMetadata metadata = dla::SafetensorsFile::read("net.safetensors").metadata();  // by value: nothing is left behind
dla::RunState state = dla::Checkpoint("net.safetensors").state();
