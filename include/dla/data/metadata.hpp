// SPDX-License-Identifier: MIT
// What a program needs to know of the training data when it predicts: kept in the file of the weights.
#pragma once

#include <dla/data/dataset.hpp>

#include <map>

namespace dla {

/// Shape, mean, std and class names as texts for `save_weights(path, model, to_metadata(data))`. Error: data, if a
/// class name has a line break, or the set lacks one of them.
DLA_ONCE std::map<std::string, std::string> to_metadata(const Dataset& data);

/// A Dataset without images that has these again: `from_metadata(SafetensorsFile::read(path).metadata())`. `normalised` and `read_input` prepare images with
/// it, and `class_names` says what a prediction means. Error: data, naming `where`, for texts that to_metadata does not write, and when there are none.
DLA_ONCE Dataset from_metadata(const std::map<std::string, std::string>& metadata, std::string_view where = "metadata");

}  // namespace dla

#if DLA_BODIES
#include <dla/data/metadata.impl.hpp>
#endif
