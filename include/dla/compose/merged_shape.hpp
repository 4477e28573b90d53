// SPDX-License-Identifier: MIT
// What the outputs of branches give together, or why that cannot be.
#pragma once

#include <dla/layers/calls.hpp>

#include <span>

namespace dla::detail {

/// How sentences call branches, the container that has them, and what is to be done where their shapes do not fit.
struct BranchWords {
    Text (*name)(std::size_t branch);
    const char *container, *advice;
};

/// `all` with the sizes that `s` knows besides.
constexpr Shape joined(Shape all, const Shape& s) {
    if (all.rank == 0 || s.rank == 0) return all.rank == 0 ? s : all;
    for (int k = 0; k < all.rank; ++k) all.d[k] = known(all.d[k], s.d[k]);
    return all;
}
/// One value for each channel of the images `all`.
constexpr bool is_gate(const Shape& s, const Shape& all) {
    return all.is_image() && (s.rank == 1 || (s.is_image() && s.d[1] == 1 && s.d[2] == 1)) && compatible(all.d[0], s.d[0]) && !s.is_flattened_image();
}

[[gnu::cold]] constexpr ShapeResult added_shape(Merge merge, std::span<const Shape> shapes, const BranchWords& words) {
    Shape all = shapes[0];
    for (std::size_t i = 1; i < shapes.size(); ++i) {
        const Shape& s = shapes[i];
        const bool adds = merge == Merge::add;
        if (all.rank == 1 && s.rank == 1 && all.is_flattened_image() != s.is_flattened_image())
            return refuse("features of a flattened image cannot be ", adds ? "added to" : "multiplied by",
                          " features of another order; put a Linear between Flatten and the ", words.container);
        if (!adds && is_gate(s, all)) continue;
        if (!compatible(all, s))
            return refuse(words.name(0), " gives ", to_text(shapes[0]), " and ", words.name(i), " ", to_text(s), ", which cannot be ",
                          adds ? "added" : "multiplied", "; ", words.advice);
        all = joined(all, s);
    }
    return all;
}
[[gnu::cold]] constexpr ShapeResult concatenated_shape(std::span<const Shape> shapes, const BranchWords& words) {
    Shape all = shapes[0];
    index_t channels = 0;  // along the first axis, PyTorch's dimension 1
    for (std::size_t i = 0; i < shapes.size(); ++i) {
        const Shape& s = shapes[i];
        if (s.rank == 0) return Shape{};
        if (s.is_flattened_image())
            return refuse("features of a flattened image cannot be put next to others; put the Flatten behind the ", words.container,
                          " or a Linear behind the Flatten");
        channels = channels == Dyn || s.d[0] == Dyn ? Dyn : saturating_add(channels, s.d[0]);
        Shape rest = s;
        rest.d[0] = all.d[0];
        if (!compatible(rest, all))
            return refuse(words.name(0), " gives ", to_text(shapes[0]), " and ", words.name(i), " ", to_text(s), ", which cannot be put next to each other; ",
                          words.advice);
        all = joined(all, rest);
    }
    all.d[0] = channels;
    return all;
}

/// Of branches that give `shapes`; `identity[i]`: branch i does nothing.
[[gnu::cold]] constexpr ShapeResult merged_shape(Merge merge, std::span<Shape> shapes, std::span<const bool> identity, const BranchWords& words) {
    if (merge == Merge::concat) return concatenated_shape(shapes, words);
    if (merge == Merge::add) {
        // An identity puts the features of a flattened image into the order of a branch that has none, which for PyTorch is that of (channels, height, width).
        bool plain = false;
        for (std::size_t i = 0; i < shapes.size(); ++i)
            plain = plain || (!identity[i] && shapes[i].rank == 1 && shapes[i].is_known() && !shapes[i].is_flattened_image());
        for (std::size_t i = 0; i < shapes.size(); ++i)
            if (plain && identity[i] && shapes[i].is_flattened_image()) shapes[i] = shapes[i].contiguous();
    }
    return added_shape(merge, shapes, words);
}

}  // namespace dla::detail
