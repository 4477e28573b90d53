// SPDX-License-Identifier: MIT
// How pages show the images of a data set, and the names of their classes.
#pragma once

#include <dla/data.hpp>

#include <string>

namespace report {

/// The name of a class, or its number where it has none.
std::string class_name(const dla::Dataset& data, dla::index_t c);

/// An <img> of one image, enlarged to about 112 pixels; empty for images that are neither gray nor of three colours, or are larger than 256 pixels.
std::string picture_of(const dla::Dataset& data, dla::index_t sample);

/// The class that a row of probabilities [classes] says, and how sure it is.
struct Answer {
    dla::index_t said = 0;
    double sure = 0;
};
Answer answer(std::span<const float> probabilities, dla::index_t sample, dla::index_t samples);

}  // namespace report
