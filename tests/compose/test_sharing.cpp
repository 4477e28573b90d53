// SPDX-License-Identifier: MIT
// Memory shared between layers changes no bit and no gradient: networks chosen to hit every rule.
#include <doctest/doctest.h>

#include <compose/check_network.hpp>
#include <support/networks.hpp>

using namespace dla;

namespace {

/// y = x / 2, in place forward; backward it writes to dx before it has read dy.
struct Halve {
    static constexpr Needs needs{.x = false, .y = false};
    static constexpr InPlace in_place{.forward = true, .backward = false};
    constexpr const char* name() const { return "Halve"; }
    constexpr ShapeResult out_shape(Shape in) const { return in; }
    template <class P>
    void infer(Context<P>&, ConstView<P> x, View<P> y) const {
        for (index_t i = 0; i < x.size(); ++i) y.data[i] = x.data[i] / 2;
    }
    template <class P>
    void backward(Context<P>&, ConstView<P>, ConstView<P>, ConstView<P> dy, View<P> dx) const {
        for (index_t i = 0; i < dx.size(); ++i) dx.data[i] = 0;
        for (index_t i = 0; i < dx.size(); ++i) dx.data[i] += dy.data[i] / 2;
    }
};

}  // namespace

TEST_CASE("views at every place") {
    check_network("Flatten first", Sequential<Flatten, Linear<Dyn, 3>, ReLU>{}, Shape{2, 3, 2}, 3);
    check_network("Flatten last", Sequential<Conv2d<Dyn, 3, 2>, ReLU, Flatten>{}, Shape{2, 3, 3}, 2);
    check_network("Flatten in the middle", Sequential<Conv2d<Dyn, 3, 2>, ReLU, Flatten, ReLU, Linear<Dyn, 2>>{}, Shape{2, 3, 3}, 2);
    check_network("Identity alone", Sequential<Identity>{}, Shape{4}, 3);
    check_network("views alone", Sequential<Identity, Flatten, Identity>{}, Shape{2, 3, 4}, 2);
    check_network("a chain of views first", Sequential<Identity, Flatten, Identity, Tanh, Linear<Dyn, 2>>{}, Shape{2, 3, 4}, 2);
    check_network("a chain of views last", Sequential<Linear<Dyn, 4>, Sigmoid, Identity, Flatten, Identity>{}, Shape{3, 4}, 2);
    check_network("views around a layer that reads its input", Sequential<Flatten, Identity, GELU, Identity>{}, Shape{2, 3, 4}, 2);
    check_network("a view of a value that is read twice", Sequential<Linear<Dyn, 4>, Sigmoid, Identity, Linear<Dyn, 4>, Identity, Sigmoid>{}, Shape{3}, 2);
}

TEST_CASE("activations at every place") {
    check_network("one, alone", Sequential<ReLU>{}, Shape{9}, 2);
    check_network("two, alone", Sequential<Tanh, Sigmoid>{}, Shape{9}, 2);
    check_network("first", Sequential<ReLU, Linear<Dyn, 3>>{}, Shape{5}, 2);
    check_network("last", Sequential<Linear<Dyn, 3>, Softmax<1>>{}, Shape{5}, 2);
    check_network("one upon another", Sequential<Linear<Dyn, 3>, Tanh, ReLU, Dropout, Sigmoid, Linear<Dyn, 2>>{}, Shape{5}, 4);
    check_network("behind one that reads its output", Sequential<Linear<Dyn, 5>, Softmax<1>, ReLU, BatchNorm1d<>, Dropout>{}, Shape{5}, 4);
    check_network("that read their input", Sequential<Linear<Dyn, 5>, GELU, SiLU, LeakyReLU, GELUTanh>{}, Shape{5}, 2);
    check_network("behind a pool", Sequential<MaxPool2d<2>, ReLU, AvgPool2d<2>, Tanh, GlobalAvgPool2d>{}, Shape{3, 8, 8}, 2);
    check_network("normalisations, which give dx in place", Sequential<Linear<Dyn, 5>, BatchNorm1d<>, LayerNorm<>, BatchNorm1d<>, ReLU>{}, Shape{5}, 4);
}

TEST_CASE("containers in containers") {
    using Inner = Sequential<Linear<Dyn, 4>, ReLU>;
    check_network("Sequential of Sequentials", Sequential<Inner, Sequential<Inner, Sequential<Tanh>>, Sequential<Sigmoid, Linear<Dyn, 2>>>{}, Shape{3}, 3);
    check_network("Residual, identity", Sequential<Linear<Dyn, 4>, Residual<Inner>, Linear<Dyn, 2>>{}, Shape{3}, 3);
    check_network("Residual whose block reads its output", Residual<Sequential<Linear<Dyn, 4>, Sigmoid>>{}, Shape{4}, 3);
    check_network("Residual whose shortcut reads its output", Residual<Linear<Dyn, 4>, Sequential<Linear<Dyn, 4>, Tanh>>{}, Shape{3}, 3);
    check_network("Residual with an activation that needs memory for dx", Sequential<Linear<Dyn, 4>, Residual<Inner, Identity, Halve>, Linear<Dyn, 2>>{},
                  Shape{3}, 3);
    check_network("Residual with ReLU, a projection, behind it a pool",
                  Sequential<Conv2d<Dyn, 3, 2>, Residual<Sequential<Conv2d<Dyn, 4, 3, 1, 1>, Sigmoid>, Conv2d<Dyn, 4, 1>, ReLU>, MaxPool2d<2>>{}, Shape{2, 5, 5}, 3);
    check_network("Residual with ReLU", Sequential<Linear<Dyn, 4>, Residual<Inner, Identity, ReLU>, ReLU>{}, Shape{3}, 3);
    check_network("Residual with Sigmoid and projection", Residual<Inner, Linear<Dyn, 4>, Sigmoid>{}, Shape{3}, 3);
    check_network("Residual of Residuals", Residual<Residual<Inner, Identity, Tanh>, Residual<Linear<Dyn, 4>>, ReLU>{}, Shape{4}, 3);
    check_network("Residual first and last", Sequential<Residual<ReLU>, Residual<Tanh>, Residual<Identity>>{}, Shape{6}, 2);
    check_network("Residual over a view", Residual<Sequential<Flatten, Linear<Dyn, 12>>, Sequential<Flatten, Linear<Dyn, 12>>>{}, Shape{2, 2, 3}, 2);
    check_network("Residual of GELU, whose x is read by both", Sequential<Linear<Dyn, 4>, ReLU, Residual<GELU, SiLU>>{}, Shape{3}, 3);
    check_network("Residual of a Dropout", Residual<Sequential<Linear<Dyn, 4>, Dropout>, Identity, ReLU>{}, Shape{4}, 3);
    for (const int copies : {0, 1, 2, 4}) {
        const Repeat<Residual<Inner>> repeat(copies);
        check_network("Repeat x" + std::to_string(copies), Sequential(Linear<Dyn, 4>{}, repeat, Tanh{}), Shape{3}, 3);
        check_network("Repeat alone x" + std::to_string(copies), repeat, Shape{4}, 3);
        check_network("Repeat of what has no parameters x" + std::to_string(copies), Sequential(Repeat<Sigmoid>(copies), Repeat<GELU>(copies), Flatten{}),
                      Shape{2, 3}, 3);
        check_network("Residual around a Repeat x" + std::to_string(copies), Residual<Repeat<Inner>>(Repeat<Inner>(copies)), Shape{4}, 3);
    }
    check_network("ResNet", support::resnet(), Shape{2, 4, 4}, 3);
    check_network("CNN", support::Cnn{}, support::image, 2);
    check_network("MLP", support::Mlp{}, support::image, 3);
}
