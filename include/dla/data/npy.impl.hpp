// SPDX-License-Identifier: MIT
// How arrays become samples.
#pragma once

#include <dla/data/dataset.hpp>
#include <dla/io/npy.hpp>

namespace dla {

DLA_ONCE ArrayData load_npy(const std::string& inputs, const std::string& targets, const NpyOptions& options) {
    NpyArray x = read_npy(inputs), y = read_npy(targets);
    const auto refuse = [](const std::string& path, const NpyArray& array, const std::string& sentence) {
        fail(ErrorCode::data, path, "the array " + detail::npy_shape_text(array.shape) + " of " + array.type + " " + sentence);
    };
    const auto has_empty_axis = [](const NpyArray& a) { return std::find(a.shape.begin(), a.shape.end(), 0) != a.shape.end(); };
    if (has_empty_axis(x)) refuse(inputs, x, "holds no values");
    for (const auto& [path, array] : {std::pair(&inputs, &x), std::pair(&targets, &y)})
        for (std::size_t i = 0; i < array->values.size(); ++i)
            if (!is_finite(array->values[i])) refuse(*path, *array, "has a value that is not finite, number " + std::to_string(i) + " in memory order");
    const std::vector<index_t>& d = x.shape;
    if (options.channels_first && d.size() != 4) refuse(inputs, x, "holds no images; expected [N, C, H, W] where channels come first");
    if (d.size() < 2 || d.size() > 4) refuse(inputs, x, "is not one of samples; expected [N, features], [N, rows, features] or [N, height, width, channels]");
    // The shape of a sample; images get their channels last.
    const auto sample = [&](NpyArray& array) -> Shape {
        const std::vector<index_t>& n = array.shape;
        if (n.size() < 4) return n.size() == 3 ? Shape{n[1], n[2]} : Shape{n.size() == 2 ? n[1] : 1};
        if (!options.channels_first) return {n[3], n[1], n[2]};
        const Shape shape{n[1], n[2], n[3]};
        std::vector<float> reordered(array.values.size());
        nchw_to_nhwc(array.values, reordered, n[0], shape);
        array.values = std::move(reordered);
        return shape;
    };
    const Shape shape = sample(x);
    const bool fits = !y.shape.empty() && y.shape[0] == d[0] && !has_empty_axis(y);
    if (!fits) refuse(targets, y, "does not fit the " + std::to_string(d[0]) + " samples of " + inputs);
    const bool are_values = !y.are_integers(), images = d.size() == 4;
    if (are_values && y.shape.size() > 4)
        refuse(targets, y, "is not one of targets; expected [N], or as inputs are: [N, targets], [N, height, width, channels], ...");
    // A class number for each pixel.
    const bool map = !are_values && images && y.shape.size() == 3, map_with_channel = !are_values && images && y.shape.size() == 4;
    if (!are_values && !map && !map_with_channel && y.shape.size() != 1)
        refuse(targets, y, "is not one of labels; expected [N], [N, height, width] of images, or floats for targets that are values (array.astype('<f4'))");
    const Shape target = map ? Shape{1, y.shape[1], y.shape[2]} : sample(y);
    if (map_with_channel && target.d[0] != 1) refuse(targets, y, "has several class numbers for a pixel; expected [N, height, width]");
    if (are_values) return ArrayData(shape, std::move(x.values), target, std::move(y.values));
    constexpr float limit = 1 << 24;  // up to here floats hold every integer
    std::vector<std::int32_t> labels(y.values.size());
    for (std::size_t i = 0; i < labels.size(); ++i) {
        const bool counts = !(target.size() > 1 && (y.values[i] == static_cast<float>(uncounted) || y.values[i] == static_cast<float>(options.ignore)));
        if (counts && !(y.values[i] >= 0 && y.values[i] < limit))
            refuse(targets, y,
                   "has a label that is below 0 or 2^24 and more, that of sample " + std::to_string(i / static_cast<std::size_t>(target.size())) +
                       "; class numbers begin with 0" + (target.size() > 1 ? ", and -100 does not count" : ""));
        labels[i] = counts ? static_cast<std::int32_t>(y.values[i]) : uncounted;
    }
    return ArrayData(shape, std::move(x.values), std::move(labels), target);
}

}  // namespace dla
