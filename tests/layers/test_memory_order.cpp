// SPDX-License-Identifier: MIT
// What a layer computes does not depend on the order of its input in memory: images with channels last against the same images as they are written.
#include <doctest/doctest.h>

#include <dla/data/dataset.hpp>
#include <dla/nn.hpp>

#include <support/run_layer.hpp>

#include <string>

using namespace dla;

namespace {

void compare(const std::vector<double>& got, const std::vector<double>& expected, const char* what) {
    CAPTURE(what);
    REQUIRE(got.size() == expected.size());
    for (std::size_t i = 0; i < got.size(); ++i) REQUIRE(got[i] == doctest::Approx(expected[i]).epsilon(1e-10));
}

/// The layer between two that leave the order alone, against the layer between two that change it and change it back.
template <class Layer>
void check(const std::string& name, const Layer& layer, const Shape& shape, index_t batch) {
    CAPTURE(name);
    REQUIRE_FALSE(shape.is_image());
    const auto as_written = support::Runner<Reference<double>>(Sequential(Identity{}, layer, Identity{}), shape, batch).run();
    const auto moved = support::Runner<Reference<double>>(Sequential(ToChannelsLast{}, layer, ToContiguous{}), shape, batch).run();
    compare(as_written.inferred, moved.inferred, "outputs of inference");
    compare(as_written.y, moved.y, "outputs");
    compare(as_written.dx, moved.dx, "gradients of the input");
    compare(as_written.gradients, moved.gradients, "gradients of parameters");
    compare(as_written.buffers, moved.buffers, "running statistics");
}

constexpr Shape written(index_t a, index_t b, index_t c) { return Shape{a, b, c}.contiguous(); }

}  // namespace

TEST_CASE("order is a property of a shape") {
    static_assert(Shape{3, 4, 5}.order == MemoryOrder::channels_last && Shape{3, 4, 5}.is_image());
    static_assert(!written(3, 4, 5).is_image() && written(3, 4, 5).rank == 3 && written(3, 4, 5).size() == 60);
    static_assert(written(3, 4, 5) != Shape{3, 4, 5} && written(3, 4, 5).channels_last() == Shape{3, 4, 5});
    static_assert(!compatible(written(3, 4, 5), Shape{3, 4, 5}) && compatible(written(3, 4, 5), written(3, Dyn, 5)));
    static_assert(Shape{7}.contiguous() == Shape{7} && Shape{7}.channels_last() == Shape{7} && Shape{2, 7}.channels_last() == Shape{2, 7});
    static_assert(Flatten{}.out_shape(written(3, 4, 5)).shape == Shape{60} && Flatten{}.out_shape(Shape{3, 4, 5}).shape != Shape{60});
    static_assert(Flatten{}.out_shape(Shape{3, 4, 5}).shape.contiguous() == Shape{60});
    static_assert(ToChannelsLast{}.out_shape(written(3, 4, 5)).shape == Shape{3, 4, 5} && ToContiguous{}.out_shape(Shape{3, 4, 5}).shape == written(3, 4, 5));
    static_assert(ToContiguous{}.out_shape(Shape{6}).shape == Shape{6} && ToChannelsLast{}.out_shape(Shape{2, 6}).shape == Shape{2, 6});
    CHECK(to_text(written(3, 4, 5)).view() == "[3, 4, 5] (contiguous)");
    CHECK(to_text(Shape{3, 4, 5}).view() == "[3, 4, 5]");
    CHECK(ToContiguous{}.out_shape(Flatten{}.out_shape(Shape{3, 4, 5}).shape).why.view() == "the axes of a flattened image are gone; put it before Flatten");
}

TEST_CASE("layers compute the same in both orders") {
    check("BatchNorm2d", BatchNorm2d<>{}, written(3, 4, 5), 3);
    check("LayerNorm of all axes", LayerNorm<3, 4, 5>{}, written(3, 4, 5), 2);
    check("GroupNorm", GroupNorm<2>{}, written(6, 3, 4), 2);
    check("GroupNorm of each channel", GroupNorm<PerChannel>{}, written(3, 5, 2), 2);
    check("PReLU", PReLU<Dyn>{}, written(3, 4, 5), 2);
    check("Softmax of channels", Softmax<1>{}, written(3, 4, 5), 2);
    check("Softmax of rows", Softmax<2>{}, written(3, 4, 5), 2);
    check("Softmax of columns", Softmax<3>{}, written(3, 4, 5), 2);
    check("LogSoftmax of rows", LogSoftmax<2>{}, written(3, 4, 5), 2);
    check("GELU", GELU{}, written(3, 4, 5), 2);
    check("Flatten", Sequential<Flatten, Linear<Dyn, 7>>{}, written(3, 4, 5), 2);
    check("Flatten and a norm", Sequential<Flatten, LayerNorm<>, BatchNorm1d<>, PReLU<Dyn>, Linear<Dyn, 4>>{}, written(3, 4, 5), 3);
    check("concatenation", Parallel<Concat, BatchNorm2d<>, Identity, Tanh>{}, written(3, 4, 5), 2);
    check("sum", Parallel<Add, GroupNorm<3>, Identity, Tanh>{}, written(3, 4, 5), 2);
    check("product", Parallel<Multiply, Sigmoid, Tanh>{}, written(3, 4, 5), 2);
    check("residual", Residual<Sequential<BatchNorm2d<>, Tanh>>{}, written(3, 4, 5), 2);
    check("convolution behind", Sequential<ToChannelsLast, Conv2d<3, 4, 3>, BatchNorm2d<4>, ReLU, MaxPool2d<2>, ToContiguous>{}, written(3, 6, 5), 2);
}

TEST_CASE("the last axis of three is a row like that of two") {
    const auto three = support::Runner<Reference<double>>(Sequential(Linear<7, 4>{}, LayerNorm<4>{}, Tanh{}), written(2, 3, 7), 2).run();
    const auto two = support::Runner<Reference<double>>(Sequential(Linear<7, 4>{}, LayerNorm<4>{}, Tanh{}), Shape{6, 7}, 2).run();
    compare(three.y, two.y, "outputs");
    compare(three.dx, two.dx, "gradients of the input");
    compare(three.gradients, two.gradients, "gradients of parameters");
    const auto axes = support::Runner<Reference<double>>(LayerNorm<3, 7>{}, written(2, 3, 7), 2).run();
    const auto rows = support::Runner<Reference<double>>(LayerNorm<3, 7>{}, Shape{3, 7}, 4).run();
    compare(axes.y, rows.y, "outputs over two of three axes");
}

TEST_CASE("a network takes images as other programs store them") {
    using Body = Sequential<Conv2d<3, 4, 3>, BatchNorm2d<4>, ReLU, MaxPool2d<2>, Flatten, Linear<Dyn, 5>>;
    Model<Sequential<ToChannelsLast, Body>, Shape{3, 6, 4}.contiguous()> written_model(Seed{3});
    Model<Sequential<Identity, Body>, Shape{3, 6, 4}> model(Seed{4});
    copy_weights(written_model.parameters(), model.parameters());
    std::vector<float> nchw(2 * 72), nhwc(nchw.size());
    for (std::size_t i = 0; i < nchw.size(); ++i) nchw[i] = static_cast<float>(i * 31 % 47) / 23.0f - 1;
    nchw_to_nhwc(nchw, nhwc, 2, model.input_shape());
    CHECK(written_model.predict(nchw) == model.predict(nhwc));
}
