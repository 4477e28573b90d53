// SPDX-License-Identifier: MIT
#include "test_images.hpp"

#include "html.hpp"

#include <algorithm>

namespace report {

std::string class_name(const dla::Dataset& data, dla::index_t c) {
    const auto i = static_cast<std::size_t>(c);
    return i < data.class_names.size() ? data.class_names[i] : std::to_string(c);
}

std::string picture_of(const dla::Dataset& data, dla::index_t sample) {
    const dla::Shape& s = data.shape;
    if (!s.is_image() || (s.d[0] != 1 && s.d[0] != 3) || s.d[1] > 256 || s.d[2] > 256) return "";
    return picture(data.image(sample), static_cast<int>(s.d[2]), static_cast<int>(s.d[1]), static_cast<int>(s.d[0]),
                   std::max(1, static_cast<int>(112 / std::max(s.d[1], s.d[2]))), "test image " + std::to_string(sample));
}

Answer answer(std::span<const float> probabilities, dla::index_t sample, dla::index_t samples) {
    const std::size_t classes = probabilities.size() / static_cast<std::size_t>(samples);
    const auto row = probabilities.subspan(static_cast<std::size_t>(sample) * classes, classes);
    const auto best = std::max_element(row.begin(), row.end());
    return {best - row.begin(), static_cast<double>(*best)};
}

}  // namespace report
