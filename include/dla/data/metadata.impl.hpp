// SPDX-License-Identifier: MIT
// How a data set is described in texts.
#pragma once

#include <dla/core/finite.hpp>
#include <dla/data/augment.hpp>

#include <charconv>

namespace dla {

namespace detail {

/// `0.5,0.25`, each number as short as reads back to the same bits.
template <class T>
std::string number_list(std::span<const T> values) {
    std::string list;
    for (const T v : values) {
        char digits[32];
        const auto end = std::to_chars(digits, digits + sizeof digits, v).ptr;
        list.append(list.empty() ? "" : ",").append(digits, end);
    }
    return list;
}
/// Nothing where the text is no such list.
template <class T>
std::vector<T> number_list(std::string_view text) {
    std::vector<T> values;
    for (;;) {
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), values.emplace_back());
        if (error != std::errc{}) return {};
        if constexpr (std::is_floating_point_v<T>)
            if (!is_finite(values.back())) return {};
        text.remove_prefix(static_cast<std::size_t>(end - text.data()));
        if (text.empty()) return values;
        if (text[0] != ',') return {};
        text.remove_prefix(1);
    }
}

}  // namespace detail

DLA_ONCE std::map<std::string, std::string> to_metadata(const Dataset& data) {
    detail::check_normalisation(data);
    if (data.num_classes < 1 || (!data.class_names.empty() && std::ssize(data.class_names) != data.num_classes))
        fail(ErrorCode::data, data.name, text("has ", data.num_classes, " classes and ", data.class_names.size(), " names for them").view());
    std::string names;
    for (const std::string& name : data.class_names) {
        if (name.find('\n') != name.npos) fail(ErrorCode::data, data.name, "a class name has a line break; it cannot be stored with the weights");
        names += name + '\n';
    }
    return {{"dla.data.name", data.name},
            {"dla.data.shape", detail::number_list(std::span<const index_t>(data.shape.d, 3))},
            {"dla.data.mean", detail::number_list(std::span<const float>(data.mean))},
            {"dla.data.std", detail::number_list(std::span<const float>(data.std))},
            {"dla.data.classes", std::to_string(data.num_classes)},
            {"dla.data.class_names", names}};
}

DLA_ONCE Dataset from_metadata(const std::map<std::string, std::string>& metadata, std::string_view where) {
    const auto text = [&](const char* key) -> const std::string& {
        const auto at = metadata.find(key);
        if (at == metadata.end())
            fail(ErrorCode::data, where, std::string("has no '") + key + "'; weights are saved with it by save_weights(path, model, to_metadata(data))");
        return at->second;
    };
    const auto refuse = [&](const char* key, const char* expected) {
        fail(ErrorCode::data, where, std::string("'") + key + "' is not " + expected + "; got '" + text(key).substr(0, 60) + "'");
    };
    Dataset data;
    data.name = text("dla.data.name");
    const auto sizes = detail::number_list<index_t>(text("dla.data.shape"));
    const auto good = [](index_t n) { return n >= 1 && n <= index_t{1} << 30; };
    if (sizes.size() != 3 || !good(sizes[0]) || !good(sizes[1]) || !good(sizes[2])) refuse("dla.data.shape", "channels, height and width");
    data.shape = Shape{sizes[0], sizes[1], sizes[2]};
    if (data.shape.is_too_large()) refuse("dla.data.shape", "the shape of an image");
    data.mean = detail::number_list<float>(text("dla.data.mean"));
    data.std = detail::number_list<float>(text("dla.data.std"));
    if (std::ssize(data.mean) != sizes[0]) refuse("dla.data.mean", "a number for each channel");
    if (std::ssize(data.std) != sizes[0] || !std::ranges::all_of(data.std, [](float s) { return s > 0; }))
        refuse("dla.data.std", "a positive number for each channel");
    const auto classes = detail::number_list<int>(text("dla.data.classes"));
    if (classes.size() != 1 || classes[0] < 1) refuse("dla.data.classes", "a number of classes");
    data.num_classes = classes[0];
    const std::string& names = text("dla.data.class_names");
    for (std::size_t at = 0, end = 0; (end = names.find('\n', at)) != names.npos; at = end + 1) data.class_names.push_back(names.substr(at, end - at));
    if (!data.class_names.empty() && std::ssize(data.class_names) != data.num_classes) refuse("dla.data.class_names", "a name for each class");
    return data;
}

}  // namespace dla
