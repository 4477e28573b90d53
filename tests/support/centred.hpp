// SPDX-License-Identifier: MIT
// A layer whose samples depend on each other in inference.
#pragma once

#include <dla/layers/concept.hpp>

namespace support {

/// y = x - the mean of x over the batch, in inference as well.
struct Centred {
    static constexpr dla::Needs needs{};
    static constexpr bool mixes_samples = true;
    constexpr dla::Text name() const { return "Centred"; }
    constexpr dla::ShapeResult out_shape(dla::Shape s) const { return s; }
    template <class P>
    void infer(dla::Context<P>&, dla::ConstView<P> x, dla::View<P> y) const {
        const dla::index_t size = x.shape.size();
        for (dla::index_t i = 0; i < size; ++i) {
            typename P::scalar sum = 0;
            for (dla::index_t n = 0; n < x.batch; ++n) sum += x.data[n * size + i];
            for (dla::index_t n = 0; n < x.batch; ++n) y.data[n * size + i] = x.data[n * size + i] - sum / static_cast<float>(x.batch);
        }
    }
    template <class P>
    void backward(dla::Context<P>& c, dla::ConstView<P>, dla::ConstView<P>, dla::ConstView<P> dy, dla::View<P> dx) const {
        if (dx) infer(c, dy, dx);
    }
};

}  // namespace support
