// SPDX-License-Identifier: MIT
// Sizes that are too large to count with are refused in words, wherever they come from; no arithmetic on them overflows.
#include <doctest/doctest.h>

#include <dla/zoo/families.hpp>
#include <dla/nn.hpp>
#include <support/error_of.hpp>

using namespace dla;

namespace {

constexpr index_t most = std::numeric_limits<index_t>::max();
using P = Reference<float>;

/// The error of building a network for this input.
template <class Net>
std::string built(const Net& net, const Shape& in) {
    return error_of([&] { (void)Model<Net, Shape{}, P>(net, in, Seed{1}); });
}

template <class L>
std::string why(const L& layer, const Shape& in) {
    return std::string(layer.out_shape(in).why.view());
}

using Pooling = MaxPool2d<Dyn, Dyn, 0>;

}  // namespace

TEST_CASE("an input shape too large is refused") {
    const Sequential net(Flatten{}, Linear<Dyn, 2>{});
    for (const Shape& in : {Shape{most}, Shape{max_values + 1}, Shape{most, most}, Shape{index_t{1} << 32, index_t{1} << 32}, Shape{2, most, 3},
                            Shape{index_t{1} << 22, index_t{1} << 21, index_t{1} << 21}})
        CHECK(contains(built(net, in), "error[shape] network: Sequential refuses input ["));
    CHECK(contains(built(net, Shape{2, most, 3}), "a sample [2, 9223372036854775807, 3] has more than 1099511627776 values (2^40)"));
    CHECK(contains(built(Linear<>{.out = 2}, Shape{most, 3}), "a sample [9223372036854775807, 3] has more than"));
}

TEST_CASE("sizes of layers that are too large are refused, as output or as parameters") {
    const auto linear = [](index_t out) { return Sequential(Linear<>{.out = 4}, Linear<>{.out = out}); };
    CHECK(built(linear(most), Shape{4}) ==
          "error[shape] network: layer 1 Linear<Dyn, 9223372036854775807> refuses input [4]: a sample [9223372036854775807] has more than 1099511627776 values "
          "(2^40)");
    CHECK(contains(built(linear(max_values), Shape{4}), "error[shape] 1.weight: with [1099511627776, 4] the network has more than 1099511627776 values"));
    CHECK(contains(built(Linear<>{.out = most}, Shape{4}), "a sample [9223372036854775807] has more than"));
    // Each of the arrays could be counted, all of them together not.
    const Repeat<Linear<>> wide(4, {.out = index_t{1} << 19});
    CHECK(contains(built(Sequential(wide), Shape{index_t{1} << 19}), "3.weight: with [524288, 524288] the network has more than"));

    const Shape image{3, 9, 9};
    CHECK(contains(built(Sequential(Conv2d<>{.out = most, .kernel = 3}), image), "a sample [9223372036854775807, 9, 9] has more than"));
    CHECK(contains(built(Sequential(Conv2d<>{.out = index_t{1} << 32, .kernel = 31}), image), "error[shape] 0.weight: with [4294967296, 3, 31, 31]"));
    for (const index_t size : {most, most / 2, (index_t{1} << 30) + 1}) {
        CAPTURE(size);
        CHECK(contains(why(Conv2d<>{.out = 2, .kernel = size}, image), "must be at most 1073741824"));
        CHECK(contains(why(Conv2d<>{.out = 2, .kernel = {3, size}}, image), "must be at most 1073741824"));
        CHECK(contains(why(Conv2d<>{.out = 2, .kernel = 3, .padding = size}, image), "must be at most 1073741824"));
        CHECK(contains(why(Conv2d<>{.out = 2, .kernel = 3, .stride = {1, size}, .padding = 0}, image), "must be at most 1073741824"));
        CHECK(contains(why(Conv2d<>{.out = 2, .kernel = 3, .dilation = size}, image), "must be at most 1073741824"));
        CHECK(contains(why(Pooling{.kernel = size, .stride = 1}, image), "must be at most 1073741824"));
        CHECK(contains(why(Pooling{.kernel = 2, .stride = size, .ceil_mode = true}, image), "must be at most 1073741824"));
        CHECK(contains(why(Pooling{.kernel = 2, .stride = 1, .dilation = size}, image), "must be at most 1073741824"));
        CHECK(contains(why(Pooling{.kernel = 2, .stride = 1, .padding = size}, image), "padding must be between"));
        CHECK(contains(why(AvgPool2d<Dyn, Dyn, 0>{.kernel = size, .stride = 1}, image), "must be at most 1073741824"));
    }
    constexpr index_t large = index_t{1} << 30;
    CHECK(contains(why(Conv2d<>{.out = 2, .kernel = large, .dilation = large}, image), "padding Same") == false);
    CHECK(contains(built(Sequential(Conv2d<>{.out = 2, .kernel = large, .dilation = large}), image), "error[shape] 0: with Conv2d"));
    CHECK(contains(why(Conv2d<>{.out = 2, .kernel = 3, .padding = large}, image), "a sample [2, 2147483655, 2147483655] has more than"));
    CHECK(contains(why(Pooling{.kernel = large, .stride = large, .dilation = large, .ceil_mode = true}, image), "is larger than the padded image"));
}

TEST_CASE("a network that takes a lifetime is refused, so that its multiply-adds can be added up") {
    const Shape image{1, index_t{1} << 20, index_t{1} << 20};
    CHECK(contains(built(Sequential(Conv2d<>{.out = 1, .kernel = 1025}), image), "error[shape] 0: with Conv2d<Dyn, 1, 1025> the network takes more than"));
}

TEST_CASE("the sizes of a configuration are refused together when each of them is allowed") {
    const std::vector<index_t> sizes(400, 65536);  // 400 * 2^32
    const auto error = built(make_mlp(sizes), Shape{1, 28, 28});
    CHECK(contains(error, "error[shape] 257.0.weight: with [65536, 65536] the network has more than 1099511627776 values"));
    CHECK(contains(built(make_residual_mlp(sizes), Shape{1, 28, 28}), "error[shape] "));
    CHECK(contains(built(make_mlp(sizes), Shape{65536, 65536, 65536}), "has more than 1099511627776 values"));
    CHECK(contains(built(make_cnn({.filters = std::vector<index_t>(20, 65536), .num_classes = 65536, .kernel_size = 31}), Shape{3, 32, 32}), "error[shape] "));
}

TEST_CASE("a batch too large is refused before anything is planned for it") {
    Model<Sequential<Flatten, Linear<12, 40>, Linear<40, 2>>, Shape{3, 2, 2}, P> model(Seed{1});
    const CrossEntropy loss;
    const char* sentence =
        "error[shape] model: a batch of 9223372036854775807 samples, of up to 40 values in a layer; expected 0 or more and at most "
        "1099511627776 values in all";
    CHECK(error_of([&] { model.reserve(most, loss); }) == sentence);
    CHECK(error_of([&] { (void)model.plan(most, loss); }) == sentence);
    CHECK(error_of([&] { (void)model.inference_workspace(most); }) == sentence);
    CHECK(error_of([&] { (void)model.inference_workspace(most, loss); }) == sentence);
    for (const index_t batch : {max_values / 40 + 1, most / 40 + 1, index_t{-1}}) {
        CHECK(contains(error_of([&] { model.reserve(batch, loss); }), "error[shape] model: a batch of "));
        CHECK(contains(error_of([&] { (void)model.plan(batch, MeanSquaredError<float>{}); }), "error[shape] model: a batch of "));
    }
    CHECK(error_of([&] { model.reserve(3, loss); }) == "no error");
    CHECK(model.memory().batch == 3);
}
