// SPDX-License-Identifier: MIT
// How means and standard deviations are computed: two passes, in double, in the order of the data.
#pragma once

#include <dla/core/finite.hpp>

#include <cmath>

#include <dla/core/begin_exact.inl.hpp>

namespace dla {

DLA_ONCE void compute_statistics(Dataset& data) {
    const Shape& s = data.shape;
    const bool good = s.is_image() && s.is_known() && s.size() > 0 && !s.is_too_large() && !data.images.empty() &&
                      data.images.size() % static_cast<std::size_t>(s.size()) == 0;
    if (!good)
        fail(ErrorCode::data, data.name, text("got ", data.images.size(), " pixel bytes; expected a multiple of the size of an image ", to_text(s)).view());
    const auto channels = static_cast<std::size_t>(s.d[0]);
    std::vector<std::uint64_t> counts(channels * 256);
    for (std::size_t i = 0, c = 0; i < data.images.size(); ++i, c = c + 1 == channels ? 0 : c + 1) ++counts[c * 256 + data.images[i]];
    const double pixels = static_cast<double>(data.images.size() / channels);
    data.mean.clear(), data.std.clear();
    for (std::size_t c = 0; c < channels; ++c) {
        const std::uint64_t* count = counts.data() + c * 256;
        double sum = 0, squares = 0;
        for (int byte = 0; byte < 256; ++byte) sum += static_cast<double>(count[byte]) * byte;
        const double mean = sum / pixels;
        for (int byte = 0; byte < 256; ++byte) squares += static_cast<double>(count[byte]) * (byte - mean) * (byte - mean);
        const bool constant = std::find(count, count + 256, data.images.size() / channels) != count + 256;
        data.mean.push_back(static_cast<float>(mean / 255));
        data.std.push_back(constant ? 1.0f : static_cast<float>(std::sqrt(squares / pixels) / 255));
    }
}

namespace detail {

/// Means and deviations of the rows that `row(i)` gives, each of `features` values (or several times as many), i below `rows`.
template <class Row>
Standardisation fit_rows(std::size_t rows, std::size_t features, const Row& row) {
    std::vector<double> mean(features), squares(features), least(features), most(features);
    double count = 0;
    const auto each = [&](const auto& take) {
        for (std::size_t i = 0; i < rows; ++i) {
            const std::span<const float> values = row(i);
            for (std::size_t at = 0; at < values.size(); at += features)
                for (std::size_t f = 0; f < features; ++f) take(f, static_cast<double>(values[at + f]));
        }
    };
    for (std::size_t f = 0; f < features; ++f) least[f] = most[f] = static_cast<double>(row(0)[f]);
    each([&](std::size_t f, double value) {
        mean[f] += value;
        least[f] = std::min(least[f], value);
        most[f] = std::max(most[f], value);
        if (f == 0) ++count;
    });
    for (double& m : mean) m /= count;
    each([&](std::size_t f, double value) { squares[f] += (value - mean[f]) * (value - mean[f]); });
    Standardisation found{std::move(mean), std::vector<double>(features, 1.0)};
    for (std::size_t f = 0; f < features; ++f)
        if (least[f] == most[f])
            found.mean[f] = least[f];  // exactly, where the sum was rounded
        else
            found.std[f] = std::sqrt(squares[f] / count);
    return found;
}

inline void check_features(const Standardisation& s, std::size_t values) {
    if (s.mean.empty() || s.std.size() != s.mean.size() || values % s.mean.size() != 0)
        fail(ErrorCode::shape, "Standardisation",
             text("got ", values, " values; expected a multiple of ", s.mean.size(), ", the features that it was fitted to").view());
}

}  // namespace detail

DLA_ONCE Standardisation Standardisation::fit(const ArrayData& data, std::span<const std::uint32_t> samples) {
    if (samples.empty()) fail(ErrorCode::data, "Standardisation", "got no samples to fit to; expected at least one");
    for (const std::uint32_t sample : samples)
        if (index_t{sample} >= data.size()) fail(ErrorCode::data, "Standardisation", text("there is no sample ", sample, " among ", data.size()).view());
    const Shape shape = data.input_shape();
    const auto size = static_cast<std::size_t>(shape.size());
    return detail::fit_rows(samples.size(), static_cast<std::size_t>(shape.d[shape.is_image() ? 0 : shape.rank - 1]),
                            [&](std::size_t i) { return data.inputs().subspan(samples[i] * size, size); });
}

DLA_ONCE Standardisation Standardisation::fit_values(std::span<const float> values, index_t features) {
    if (features < 1 || values.empty() || values.size() % static_cast<std::size_t>(features) != 0)
        fail(ErrorCode::data, "Standardisation", text("got ", values.size(), " values to fit to; expected a multiple of ", features, " features").view());
    for (std::size_t i = 0; i < values.size(); ++i)
        if (!is_finite(values[i])) fail(ErrorCode::data, "Standardisation", text("the value ", i, " is not finite").view());
    const auto n = static_cast<std::size_t>(features);
    return detail::fit_rows(values.size() / n, n, [&](std::size_t i) { return values.subspan(i * n, n); });
}

DLA_ONCE void Standardisation::apply(std::span<float> values) const {
    detail::check_features(*this, values.size());
    for (std::size_t i = 0, f = 0; i < values.size(); ++i, f = f + 1 == mean.size() ? 0 : f + 1)
        values[i] = static_cast<float>((static_cast<double>(values[i]) - mean[f]) / std[f]);
}
DLA_ONCE void Standardisation::invert(std::span<float> values) const {
    detail::check_features(*this, values.size());
    for (std::size_t i = 0, f = 0; i < values.size(); ++i, f = f + 1 == mean.size() ? 0 : f + 1)
        values[i] = static_cast<float>(static_cast<double>(values[i]) * std[f] + mean[f]);
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
