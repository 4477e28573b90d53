// SPDX-License-Identifier: MIT
// Repeat is what it stands for: numbers, paths, bits; and what a network's parts are called when they refuse a shape.
#include <doctest/doctest.h>

#include <dla/nn.hpp>
#include <support/run_layer.hpp>

using namespace dla;

namespace {

using P = Reference<float>;
using Paths = std::vector<std::string>;

template <class Net>
Paths parameter_paths(const Net& net, const Shape& in) {
    Paths paths;
    const support::Runner<P> runner(net, in, 2);
    for (const ParamRow& row : runner.table.parameters) paths.push_back(row.path);
    return paths;
}
template <class Net>
Paths layer_paths(const Net& net, const Shape& in) {
    Paths paths;
    const support::Runner<P> runner(net, in, 2);
    for (const LayerRow& row : runner.table.layers)
        if (row.leaf) paths.push_back(row.path + " " + row.name);
    return paths;
}

template <class A, class B>
void same(const A& a, const B& b, const Shape& in) {
    CHECK(parameter_paths(a, in) == parameter_paths(b, in));
    CHECK(layer_paths(a, in) == layer_paths(b, in));
    CHECK(a.out_shape(in).shape == b.out_shape(in).shape);
    CHECK(support::same_outcome(support::Runner<P>(a, in, 3).run(), support::Runner<P>(b, in, 3).run()));
}

using Fc = Linear<Dyn, 4>;

template <class Net>
std::string refusal_of(const Net& net, const Shape& in) {
    const ShapeResult result = net.out_shape(in);
    REQUIRE_FALSE(result.ok());
    return std::string(refusal(net.name(), in, result).view());
}

}  // namespace

TEST_CASE("Repeat inside a Sequential is as if written out") {
    same(Sequential(Fc{}, Repeat<Fc>(0), ReLU{}), Sequential<Fc, ReLU>{}, Shape{3});
    same(Sequential(Fc{}, Repeat<Fc>(1), ReLU{}), Sequential<Fc, Fc, ReLU>{}, Shape{3});
    same(Sequential(Repeat<Fc>(3), ReLU{}, Fc{}), Sequential<Fc, Fc, Fc, ReLU, Fc>{}, Shape{3});
    same(Sequential(Fc{}, Repeat<Fc, Tanh>(2), Linear<4, 2>{}), Sequential<Fc, Fc, Tanh, Fc, Tanh, Linear<4, 2>>{}, Shape{3});
    same(Sequential(Repeat<Fc, BatchNorm1d<>, ReLU>(0), Fc{}), Sequential<Fc>{}, Shape{3});
    using Any = Linear<Dyn, Dyn>;
    same(Sequential(Repeat<Any>{Any{.out = 5}, Any{.out = 7}, Any{.out = 2}}), Sequential(Any{.out = 5}, Any{.out = 7}, Any{.out = 2}), Shape{3});
    same(Sequential(Repeat<Residual<Fc>>(2), Sigmoid{}), Sequential<Residual<Fc>, Residual<Fc>, Sigmoid>{}, Shape{4});
    same(Sequential(Repeat<Conv2d<Dyn, 3, 3>, ReLU>(2), Flatten{}, Fc{}), Sequential<Conv2d<Dyn, 3, 3>, ReLU, Conv2d<Dyn, 3, 3>, ReLU, Flatten, Fc>{},
         Shape{2, 4, 4});
}

TEST_CASE("Repeat elsewhere: one copy has no number") {
    CHECK(parameter_paths(Repeat<Fc>(1), Shape{3}) == Paths{"weight", "bias"});
    CHECK(parameter_paths(Repeat<Fc>(2), Shape{3}) == Paths{"0.weight", "0.bias", "1.weight", "1.bias"});
    CHECK(parameter_paths(Repeat<Fc, Fc>(1), Shape{3}) == Paths{"0.weight", "0.bias", "1.weight", "1.bias"});
    CHECK(parameter_paths(Residual<Fc, Repeat<Fc>>(Fc{}, Repeat<Fc>(1)), Shape{3}) == Paths{"block.weight", "block.bias", "shortcut.weight", "shortcut.bias"});
    CHECK(parameter_paths(Residual<Fc, Repeat<Fc>>(Fc{}, Repeat<Fc>(0)), Shape{4}) == Paths{"block.weight", "block.bias"});
    same(Repeat<Fc>(3), Sequential<Fc, Fc, Fc>{}, Shape{3});
    same(Residual<Fc, Repeat<Fc>>(Fc{}, Repeat<Fc>(1)), Residual<Fc, Fc>{}, Shape{3});
    same(Residual<Fc, Repeat<Fc>>(Fc{}, Repeat<Fc>(0)), Residual<Fc>{}, Shape{4});
    same(Sequential<Residual<Sequential<Fc, Tanh>, Fc>>{}, Sequential(Residual<Repeat<Fc, Tanh>, Repeat<Fc>>(Repeat<Fc, Tanh>(1), Repeat<Fc>(1))), Shape{3});
}

TEST_CASE("paths are PyTorch's") {
    using Block = Sequential<Conv2d<Dyn, 2, 3>, BatchNorm2d<>, ReLU>;
    const auto net = Sequential(Conv2d<Dyn, 2, 3>{}, Residual<Block>{}, Sequential<ReLU, Repeat<Fc>>(ReLU{}, Repeat<Fc>(2)));
    CHECK(parameter_paths(Sequential(Conv2d<Dyn, 2, 3>{}, Residual<Block>{}, Flatten{}, Sequential(Fc{}, ReLU{}, Repeat<Fc>(2))), Shape{1, 3, 3}) ==
          Paths{"0.weight", "0.bias", "1.block.0.weight", "1.block.0.bias", "1.block.1.weight", "1.block.1.bias", "3.0.weight", "3.0.bias", "3.2.weight",
                "3.2.bias", "3.3.weight", "3.3.bias"});
    CHECK(refusal_of(net, Shape{1, 3, 3}) == "layer 2.1 Linear<Dyn, 4> refuses input [2, 3, 3] (18 values): expected [features]; did you forget Flatten?");
}

TEST_CASE("a refusal names the place, however deep") {
    using Bad = Linear<7, 4>;
    const std::string why = " Linear<7, 4> refuses input [4]: expected 7; did you mean Linear<4, 4>?";
    CHECK(refusal_of(Sequential<Fc, Bad>{}, Shape{3}) == "layer 1" + why);
    CHECK(refusal_of(Sequential<Fc, Sequential<ReLU, Sequential<Tanh, Bad>>>{}, Shape{3}) == "layer 1.1.1" + why);
    CHECK(refusal_of(Sequential<Fc, Residual<Sequential<Fc, Bad>>>{}, Shape{3}) == "layer 1.block.1" + why);
    CHECK(refusal_of(Sequential<Fc, Residual<Fc, Bad>>{}, Shape{3}) == "layer 1.shortcut" + why);
    CHECK(refusal_of(Residual<Bad>{}, Shape{4}) == "layer block" + why);
    CHECK(refusal_of(Sequential(Fc{}, Repeat<Fc>(2), Repeat<Fc, Bad>(1)), Shape{3}) == "layer 4" + why);
    CHECK(refusal_of(Repeat<Bad>(1), Shape{4}) == why.substr(1));
    CHECK(refusal_of(Repeat<Fc, Bad>(2), Shape{3}) == "layer 1" + why);
    CHECK(refusal_of(Residual<Fc, Repeat<Bad>>(Fc{}, Repeat<Bad>(1)), Shape{4}) == "layer shortcut" + why);
    CHECK(refusal_of(Sequential(Fc{}, Residual<Repeat<Bad>>(Repeat<Bad>(1))), Shape{3}) == "layer 1.block" + why);
    CHECK(refusal_of(Residual<Repeat<Bad>>(Repeat<Bad>(2)), Shape{4}) == "layer block.0" + why);
    CHECK(refusal_of(Sequential<Fc, Residual<Linear<Dyn, 3>>>{}, Shape{3}) ==
          "layer 1 Residual refuses input [4]: its block gives [3] and its shortcut [4], which cannot be added; keep the shape in the block or give the "
          "Residual a projection as shortcut");
    CHECK(refusal_of(Residual<Fc, Linear<Dyn, 5>>{}, Shape{3}) ==
          "Residual refuses input [3]: its block gives [4] and its shortcut [5], which cannot be added; make both give the same shape");
    CHECK(refusal_of(Residual<Sequential<Flatten, Linear<Dyn, 8>>, Flatten>{}, Shape{2, 2, 2}) ==
          "Residual refuses input [2, 2, 2] (8 values): features of a flattened image cannot be added to features of another order; put a Linear between "
          "Flatten and the Residual");
}

TEST_CASE("unknown sizes stay unknown, known ones are checked") {
    CHECK(Sequential<Fc, ReLU>{}.out_shape(Shape{}).ok());
    CHECK(Sequential<Conv2d<Dyn, 4, 3>, MaxPool2d<2>>{}.out_shape(Shape{1, Dyn, 8}).shape == Shape{4, Dyn, 4});
    CHECK_FALSE(Sequential<Conv2d<Dyn, 4, 3>, Conv2d<5, 4, 3>>{}.out_shape(Shape{1, Dyn, Dyn}).ok());
    CHECK_FALSE(Sequential<MaxPool2d<2>, MaxPool2d<2>, MaxPool2d<2>>{}.out_shape(Shape{Dyn, 7, Dyn}).ok());
    CHECK(Residual<Linear<Dyn, 4>>{}.out_shape(Shape{Dyn}).shape == Shape{4});
}
