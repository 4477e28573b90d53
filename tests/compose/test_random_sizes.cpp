// SPDX-License-Identifier: MIT
// Networks whose layers and sizes are drawn when the test runs: the CPU's kernels against the reference in double, gradients included.
#include <doctest/doctest.h>

#include <compose/check_reference.hpp>

using namespace dla;

namespace {

// Every layer may be there or not, so one type stands for many networks.
using Body =
    Sequential<Repeat<Linear<>>, Repeat<BatchNorm1d<>>, Repeat<ReLU>, Repeat<LayerNorm<>>, Repeat<GELU>, Repeat<Dropout>, Repeat<Tanh>, Repeat<Softmax<1>>>;
using Vectors = Sequential<Repeat<Body>, Repeat<Residual<Body, Repeat<Linear<>>, ReLU>>, Linear<>>;
using Filter = Sequential<Repeat<Conv2d<>>, Repeat<BatchNorm2d<>>, Repeat<ReLU>, Repeat<MaxPool2d<2>>, Repeat<SiLU>, Repeat<Dropout>, Repeat<AvgPool2d<2>>>;
using Images = Sequential<Repeat<Filter>, Repeat<Residual<Filter, Repeat<Conv2d<Dyn, Dyn, 1>>>>, Flatten, Repeat<Body>, Linear<>>;

/// Draws one network after another.
class Draw : public support::Draw {
public:
    using support::Draw::Draw;

    /// Ends with `out` features, from `in`.
    Body body(index_t in, index_t out) {
        Body b;
        if (in != out || chance(80)) get<0>(b.layers).blocks.push_back({.out = out, .bias = chance(70)});
        get<1>(b.layers) = Repeat<BatchNorm1d<>>(copies(40));
        get<2>(b.layers) = Repeat<ReLU>(copies(40));
        get<3>(b.layers) = Repeat<LayerNorm<>>(out >= 5 ? copies(25) : 0);  // of few features, the variance may be next to nothing
        get<4>(b.layers) = Repeat<GELU>(copies(25));
        get<5>(b.layers) = Repeat<Dropout>(copies(25), Dropout{.p = 0.25});
        get<6>(b.layers) = Repeat<Tanh>(copies(25));
        get<7>(b.layers) = Repeat<Softmax<1>>(copies(10));
        return b;
    }
    Vectors vectors(index_t width) {
        Vectors net;
        for (index_t n = from(0, 2); n > 0; --n) {
            const index_t out = odd(33);
            get<0>(net.layers).blocks.push_back(body(width, out));
            width = out;
        }
        for (index_t n = from(0, 2); n > 0; --n) {
            const index_t out = chance(50) ? width : odd(33);
            Residual<Body, Repeat<Linear<>>, ReLU> r(body(width, out));
            if (width != out) r.shortcut.blocks.push_back({.out = out});
            get<1>(net.layers).blocks.push_back(r);
            width = out;
        }
        get<2>(net.layers).out = odd(9);
        return net;
    }
    Filter filter(index_t in, index_t out, bool may_shrink) {
        Filter f;
        const index_t kernel = from(1, 3);
        if (in != out || chance(80)) get<0>(f.layers).blocks.push_back({.out = out, .kernel = kernel, .padding = Same, .bias = chance(70)});
        get<1>(f.layers) = Repeat<BatchNorm2d<>>(copies(40));
        get<2>(f.layers) = Repeat<ReLU>(copies(40));
        get<3>(f.layers) = Repeat<MaxPool2d<2>>(may_shrink ? copies(30) : 0);
        get<4>(f.layers) = Repeat<SiLU>(copies(25));
        get<5>(f.layers) = Repeat<Dropout>(copies(20), Dropout{.p = 0.25});
        get<6>(f.layers) = Repeat<AvgPool2d<2>>(may_shrink && get<3>(f.layers).blocks.empty() ? copies(30) : 0);
        return f;
    }
    Images images(index_t channels) {
        Images net;
        for (index_t n = from(0, 2); n > 0; --n) {
            const index_t out = odd(19);
            get<0>(net.layers).blocks.push_back(filter(channels, out, true));
            channels = out;
        }
        for (index_t n = from(0, 2); n > 0; --n) {
            const index_t out = chance(50) ? channels : odd(19);
            Residual<Filter, Repeat<Conv2d<Dyn, Dyn, 1>>> r(filter(channels, out, false));
            if (channels != out) r.shortcut.blocks.push_back({.out = out});
            get<1>(net.layers).blocks.push_back(r);
            channels = out;
        }
        if (chance(50)) get<3>(net.layers).blocks.push_back(body(0, odd(17)));
        get<4>(net.layers).out = odd(9);
        return net;
    }
};

}  // namespace

TEST_CASE("200 random networks of odd sizes: Cpu<float> against Reference, gradients included") {
    double worst = 0;
    index_t layers = 0;
    for (std::uint32_t seed = 1; seed <= 200; ++seed) {
        CAPTURE(seed);
        Draw draw(seed);
        const index_t batch = draw.from(4, 9);
        if (seed % 2 == 0) {
            const Shape in(draw.odd(33));
            const Vectors net = draw.vectors(in.size());
            worst = std::max(worst, support::check_reference(net, in, batch, seed));
            layers += static_cast<index_t>(get<0>(net.layers).blocks.size() + get<1>(net.layers).blocks.size());
        } else {
            const Shape in(draw.odd(5), draw.odd(5) + 6, draw.from(7, 11));
            const Images net = draw.images(in.d[0]);
            worst = std::max(worst, support::check_reference(net, in, batch, seed));
            layers += static_cast<index_t>(get<0>(net.layers).blocks.size() + get<1>(net.layers).blocks.size());
        }
    }
    MESSAGE("largest difference: ", worst, " of 32 units");
    CHECK(layers > 300);  // blocks, so that the networks are not all next to empty
}
