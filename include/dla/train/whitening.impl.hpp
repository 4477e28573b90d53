// SPDX-License-Identifier: MIT
// Second moments of image patches, and their eigenvectors.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <vector>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::detail {

/// Eigenvalues and -vectors (rows of `vectors`) of a symmetric matrix [n, n], by rotations (Jacobi 1846), largest value first.
struct SymmetricEigen {
    std::vector<double> values, vectors;
};
[[gnu::cold]] inline SymmetricEigen symmetric_eigen(std::vector<double> a, std::size_t n) {
    std::vector<double> v(n * n);
    for (std::size_t i = 0; i < n; ++i) v[i * n + i] = 1;
    double all = 0;
    for (const double x : a) all += x * x;
    for (int sweep = 0; sweep < 100; ++sweep) {
        double off = 0;
        for (std::size_t i = 0; i < n; ++i)
            for (std::size_t j = 0; j < i; ++j) off += a[i * n + j] * a[i * n + j];
        if (off <= 1e-32 * all) break;
        for (std::size_t p = 0; p < n; ++p)
            for (std::size_t q = p + 1; q < n; ++q) {
                if (a[p * n + q] == 0) continue;
                const double theta = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q]);
                const double t = (theta >= 0 ? 1 : -1) / (std::fabs(theta) + std::sqrt(theta * theta + 1)), c = 1 / std::sqrt(t * t + 1), s = t * c;
                const auto rotate = [&](double& x, double& y) {
                    const double was = x;
                    x = c * was - s * y;
                    y = s * was + c * y;
                };
                for (std::size_t k = 0; k < n; ++k) rotate(a[k * n + p], a[k * n + q]);
                for (std::size_t k = 0; k < n; ++k) rotate(a[p * n + k], a[q * n + k]);
                for (std::size_t k = 0; k < n; ++k) rotate(v[p * n + k], v[q * n + k]);
            }
    }
    std::vector<std::size_t> order(n);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) { return a[i * n + i] > a[j * n + j]; });
    SymmetricEigen e;
    for (const std::size_t i : order) {
        e.values.push_back(std::max(0.0, a[i * n + i]));
        e.vectors.insert(e.vectors.end(), v.begin() + static_cast<std::ptrdiff_t>(i * n), v.begin() + static_cast<std::ptrdiff_t>((i + 1) * n));
    }
    return e;
}

/// Mean of x x^T over all patches [channels, h, w] of the images, pixels normalised.
[[gnu::cold]] inline std::vector<double> patch_moments(const Dataset& data, std::span<const std::uint32_t> samples, std::size_t h, std::size_t w) {
    const auto channels = static_cast<std::size_t>(data.shape.d[0]), height = static_cast<std::size_t>(data.shape.d[1]),
               width = static_cast<std::size_t>(data.shape.d[2]), n = channels * h * w;
    std::vector<std::array<double, 256>> pixel(channels);
    for (std::size_t c = 0; c < channels; ++c)
        for (std::size_t b = 0; b < 256; ++b) pixel[c][b] = (static_cast<double>(b) / 255 - data.mean[c]) / data.std[c];
    std::vector<double> moments(n * n), patch(n);
    for (const std::uint32_t sample : samples) {
        const auto image = data.image(sample);
        for (std::size_t y = 0; y + h <= height; ++y)
            for (std::size_t x = 0; x + w <= width; ++x) {
                for (std::size_t c = 0, k = 0; c < channels; ++c)
                    for (std::size_t i = 0; i < h; ++i)
                        for (std::size_t j = 0; j < w; ++j, ++k) patch[k] = pixel[c][image[((y + i) * width + x + j) * channels + c]];
                for (std::size_t i = 0; i < n; ++i)
                    for (std::size_t j = 0; j <= i; ++j) moments[i * n + j] += patch[i] * patch[j];
            }
    }
    const double count = static_cast<double>(samples.size()) * static_cast<double>((height - h + 1) * (width - w + 1));
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j <= i; ++j) moments[j * n + i] = moments[i * n + j] /= count;
    return moments;
}

}  // namespace dla::detail

namespace dla {

DLA_ONCE void whiten_first_convolution(AnyModel& model, const Dataset& data, std::span<const std::uint32_t> samples, const WhiteningOptions& options) {
    const auto& rows = model.index().parameters;
    const bool first = !rows.empty() && rows[0].kind == ParamKind::weight && rows[0].dims.rank == 4;
    if (!first) fail(ErrorCode::model, "whitening", "the network's first parameter is no weight of a convolution");
    const ParamRow& weight = rows[0];
    const index_t out = weight.dims.d[0], in = weight.dims.d[1], h = weight.dims.d[2], w = weight.dims.d[3];
    if (out != 2 * in * h * w)
        fail(ErrorCode::model, weight.path,
             text("has ", out, " filters over patches of ", in, " x ", h, " x ", w, " values; whitening takes ", 2 * in * h * w,
                  ", two for each value (and groups = 1)")
                 .view());
    if (!(data.shape == model.input_shape()) || data.shape.d[0] != in)
        fail(ErrorCode::data, data.name, text("has images ", to_text(data.shape), "; the network takes ", to_text(model.input_shape())).view());
    if (h > data.shape.d[1] || w > data.shape.d[2])
        fail(ErrorCode::data, data.name, text("has images ", to_text(data.shape), ", smaller than patches of ", h, " x ", w).view());
    if (samples.empty()) fail(ErrorCode::data, data.name, "whitening needs one image at least; got none");
    for (const std::uint32_t sample : samples)
        if (static_cast<index_t>(sample) >= data.size())
            fail(ErrorCode::data, data.name, text("has ", data.size(), " images; sample ", sample, " is out of range").view());
    if (options.images < 1) fail(ErrorCode::usage, "whitening", text("images must be at least 1; got ", options.images).view());
    if (!(options.eps > 0)) fail(ErrorCode::usage, "whitening", "eps must be above 0");

    const auto n = static_cast<std::size_t>(in * h * w);
    const auto looked_at = samples.first(std::min(samples.size(), static_cast<std::size_t>(options.images)));
    const detail::SymmetricEigen eigen =
        detail::symmetric_eigen(detail::patch_moments(data, looked_at, static_cast<std::size_t>(h), static_cast<std::size_t>(w)), n);
    std::vector<float> filters(2 * n * n);
    for (std::size_t i = 0; i < n; ++i) {
        const double factor = 1 / std::sqrt(eigen.values[i] + options.eps);
        // An eigenvector has no sign: its largest value is made positive.
        const auto row = std::span(eigen.vectors).subspan(i * n, n);
        const double largest = *std::max_element(row.begin(), row.end(), [](double a, double b) { return std::fabs(a) < std::fabs(b); });
        for (std::size_t j = 0; j < n; ++j) {
            filters[i * n + j] = static_cast<float>((largest < 0 ? -factor : factor) * row[j]);
            filters[(n + i) * n + j] = -filters[i * n + j];
        }
    }
    model.write(ParamPart::value, weight, std::span<const float>(filters));
    if (rows.size() > 1 && rows[1].kind == ParamKind::bias && rows[1].layer == weight.layer)
        model.write(ParamPart::value, rows[1], std::span<const float>(std::vector<float>(static_cast<std::size_t>(out))));
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
