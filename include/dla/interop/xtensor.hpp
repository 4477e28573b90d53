// SPDX-License-Identifier: MIT
// Batches of host policies as xtensor expressions, without a copy, and back. Needs xtensor 0.24; not included by any other header.
// For statistics, plots and .npy files: expressions are many times slower than kernels, so keep them out of training steps.
#pragma once

#include <dla/core/error.hpp>
#include <dla/core/view.hpp>

#include <array>

#if __has_include(<xtensor/containers/xadapt.hpp>)
#include <xtensor/containers/xadapt.hpp>
#include <xtensor/containers/xtensor.hpp>
#else
#include <xtensor/xadapt.hpp>
#include <xtensor/xtensor.hpp>
#endif

namespace dla {

/// A batch of images as an expression of rank 4 [samples, height, width, channels]: its order in memory. The expression looks at the batch's memory.
/// Throws Error(shape) when the samples are not images.
template <class T>
auto as_xtensor_images(const BasicView<T*>& batch) {
    if (!batch.shape.is_image()) fail(ErrorCode::shape, "as_xtensor_images", text("takes images [channels, height, width]; got ", to_text(batch.shape)).view());
    const std::array<std::size_t, 4> shape{static_cast<std::size_t>(batch.batch), static_cast<std::size_t>(batch.shape.d[1]),
                                           static_cast<std::size_t>(batch.shape.d[2]), static_cast<std::size_t>(batch.shape.d[0])};
    return xt::adapt(batch.data, static_cast<std::size_t>(batch.size()), xt::no_ownership(), shape);
}

/// A batch as an expression of rank 2 [samples, values], whatever the shape of a sample.
template <class T>
auto as_xtensor(const BasicView<T*>& batch) {
    const std::size_t samples = static_cast<std::size_t>(batch.batch);
    const std::array<std::size_t, 2> shape{samples, samples == 0 ? 0 : static_cast<std::size_t>(batch.shape.size())};
    return xt::adapt(batch.data, static_cast<std::size_t>(batch.size()), xt::no_ownership(), shape);
}

/// A tensor [samples, height, width, channels] as a batch of images.
template <class T>
BasicView<const T*> as_batch(const xt::xtensor<T, 4>& images) {
    const auto at = [&](std::size_t i) { return static_cast<index_t>(images.shape()[i]); };
    return {images.data(), at(0), Shape{at(3), at(1), at(2)}};
}
/// A tensor [samples, features] as a batch.
template <class T>
BasicView<const T*> as_batch(const xt::xtensor<T, 2>& rows) {
    return {rows.data(), static_cast<index_t>(rows.shape()[0]), Shape{static_cast<index_t>(rows.shape()[1])}};
}

}  // namespace dla
