// SPDX-License-Identifier: MIT
// What each layer makes of a shape, and the sentence with which it refuses one; all of it in constant expressions too.
#include <doctest/doctest.h>

#include <support/layer_cases.hpp>

using namespace dla;

namespace {

template <class L>
std::string why(const L& layer, const Shape& in) {
    const ShapeResult result = layer.out_shape(in);
    return result.ok() ? "accepted: " + std::string(to_text(result.shape).view()) : std::string(refusal(layer.name(), in, result).view());
}

using Conv = Conv2d<Dyn, Dyn, Dyn, 1, 0>;

}  // namespace

TEST_CASE("shapes are known to the compiler") {
    static_assert(Linear<4, 3>{}.out_shape(Shape{4}).shape == Shape{3});
    static_assert(Linear<Dyn, 3>{}.out_shape(Shape{5, 4}).shape == Shape{5, 3});
    static_assert(Conv2d<3, 8, 3>{}.out_shape(Shape{3, 7, 9}).shape == Shape{8, 7, 9});
    static_assert(Conv2d<3, 8, 3, 2, 1>{}.out_shape(Shape{3, 7, 8}).shape == Shape{8, 4, 4});
    static_assert(Conv2d<3, 8, 2>{}.out_shape(Shape{3, 7, 8}).shape == Shape{8, 7, 8});
    static_assert(MaxPool2d<3, 2, 1>{}.out_shape(Shape{2, 7, 8}).shape == Shape{2, 4, 4});
    static_assert(MaxPool2d<2>{.ceil_mode = true}.out_shape(Shape{2, 7, 8}).shape == Shape{2, 4, 4});
    static_assert(AvgPool2d<2>{}.out_shape(Shape{2, 7, 8}).shape == Shape{2, 3, 4});
    static_assert(GlobalAvgPool2d{}.out_shape(Shape{2, 7, 8}).shape == Shape{2});
    static_assert(Flatten{}.out_shape(Shape{3, 4}).shape == Shape{12});
    static_assert(Flatten{}.out_shape(Shape{2, 3, 4}).shape.is_flattened_image());
    static_assert(Flatten{}.out_shape(Shape{1, 3, 4}).shape == Shape{12});  // one channel: both orders are the same
    static_assert(Flatten{}.out_shape(Shape{12, 1, 1}).shape == Shape{12});
    static_assert(!Linear<4, 3>{}.out_shape(Shape{5}).ok());
    static_assert(Linear<4, 3>{}.out_shape(Shape{}).ok() && Conv2d<3, 8, 3>{}.out_shape(Shape{}).ok() && GlobalAvgPool2d{}.out_shape(Shape{}).ok());
    static_assert(Conv2d<3, 8, 3, 2, 1>{}.out_shape(Shape{3, Dyn, 8}).shape == Shape{8, Dyn, 4});
    CHECK(Flatten{}.out_shape(Shape{2, Dyn, 4}).shape.size() == Dyn);
}

TEST_CASE("refusals of linear layers and convolutions") {
    CHECK(why(Linear<512, 10>{}, Shape{64, 2, 2}) ==
          "Linear<512, 10> refuses input [64, 2, 2] (256 values): expected 512; did you forget Flatten, or mean Linear<256, 10>?");
    CHECK(why(Linear<256, 10>{}, Shape{64, 2, 2}) == "Linear<256, 10> refuses input [64, 2, 2] (256 values): expected 256; did you forget Flatten?");
    CHECK(why(Linear<4, 3>{}, Shape{5}) == "Linear<4, 3> refuses input [5]: expected 4; did you mean Linear<5, 3>?");
    CHECK(why(Linear<4, Dyn>{}, Shape{4}) == "Linear<4, Dyn> refuses input [4]: its output size is not set; write Linear<4, 10> or Linear<4, Dyn>{.out = 10}");
    CHECK(why(Linear<4, Dyn>{.out = 0}, Shape{4}) == "Linear<4, 0> refuses input [4]: its output size is 0; expected at least 1");
    CHECK(why(Conv2d<3, 8, 3>{}, Shape{7}) == "Conv2d<3, 8, 3> refuses input [7]: expected an image [channels, height, width]");
    CHECK(why(Conv2d<3, 8, 3>{}, Shape{3, 9, 9}.contiguous()) ==
          "Conv2d<3, 8, 3> refuses input [3, 9, 9] (contiguous) (243 values): expected an image with channels last in memory; put ToChannelsLast in front");
    CHECK(why(Conv2d<3, 8, 3>{}, Shape{4, 9, 9}) == "Conv2d<3, 8, 3> refuses input [4, 9, 9] (324 values): expected 3 channels; did you mean Conv2d<4, 8, 3>?");
    CHECK(why(Conv2d<3, 8, 3>{}, Shape{32, 32, 3}) ==
          "Conv2d<3, 8, 3> refuses input [32, 32, 3] (3072 values): expected 3 channels; shapes are channels first: did you mean [3, 32, 32]?");
    CHECK(why(Conv{.out = 2, .kernel = {3, 5}}, Shape{1, 4, 4}) ==
          "Conv2d<Dyn, 2, 3x5, 1, 0> refuses input [1, 4, 4] (16 values): the kernel (3 x 5) is larger than the padded image; pad more, pool less or use a "
          "smaller kernel");
    CHECK(why(Conv{.out = 2, .kernel = 2, .dilation = 4}, Shape{1, 4, 5}) ==
          "Conv2d<Dyn, 2, 2, 1, 0> refuses input [1, 4, 5] (20 values): the kernel (5 x 5) is larger than the padded image; pad more, pool less or use a "
          "smaller kernel");
    CHECK(why(Conv{.out = 4, .kernel = 1, .groups = 3}, Shape{6, 2, 2}) ==
          "Conv2d<Dyn, 4, 1, 1, 0> refuses input [6, 2, 2] (24 values): groups = 3 must divide the input channels (6) and the output channels (4)");
    CHECK(why(Conv{.kernel = 1}, Shape{6, 2, 2}) ==
          "Conv2d<Dyn, Dyn, 1, 1, 0> refuses input [6, 2, 2] (24 values): its number of output channels is not set; write Conv2d<Dyn, Dyn, 1>{.out = 32}");
    CHECK(why(Conv{.out = 2}, Shape{6, 2, 2}).ends_with("its kernel size is not set; write Conv2d<Dyn, Dyn, Dyn>{.out = 32, .kernel = 3}"));
    CHECK(why(Conv2d<3, 8, 3, Same>{}, Shape{3, 9, 9}).find("padding comes behind it, Conv2d<in, out, kernel, stride, padding>") != std::string::npos);
    CHECK(why(Conv{.out = 2, .kernel = 1, .stride = 0}, Shape{6, 2, 2}).ends_with("output channels, kernel, stride and dilation must be at least 1"));
    CHECK(why(Conv{.out = 2, .kernel = 1, .padding = -1}, Shape{6, 2, 2}).ends_with("padding must be 0 or more, or Same"));
    CHECK(why(Conv2d<3, 8, 3, 2>{}, Shape{3, 8, 8}).ends_with("padding Same needs stride 1; write the padding, e.g. Conv2d<3, 8, 3, 2, 1>"));
}

TEST_CASE("refusals of the other layers") {
    CHECK(why(BatchNorm1d<8>{}, Shape{8, 5, 5}) ==
          "BatchNorm1d<8> refuses input [8, 5, 5] (200 values): expected [features] or [channels, length]; did you mean BatchNorm2d?");
    CHECK(why(BatchNorm2d<8>{}, Shape{8}) == "BatchNorm2d<8> refuses input [8]: expected an image [channels, height, width]; did you mean BatchNorm1d?");
    CHECK(why(BatchNorm2d<8>{}, Shape{4, 5, 5}) == "BatchNorm2d<8> refuses input [4, 5, 5] (100 values): expected 8 channels; did you mean BatchNorm2d<4>?");
    CHECK(why(BatchNorm1d<8>{}, Shape{7}) == "BatchNorm1d<8> refuses input [7]: expected 8 channels; did you mean BatchNorm1d<7>?");
    CHECK(why(LayerNorm<6>{}, Shape{4, 5}) == "LayerNorm<6> refuses input [4, 5] (20 values): expected 6 values on axis 1");
    CHECK(why(LayerNorm<3, 5>{}, Shape{4, 5}) == "LayerNorm<3, 5> refuses input [4, 5] (20 values): expected 3 values on axis 0");
    CHECK(why(LayerNorm<4, 5>{}, Shape{5}) == "LayerNorm<4, 5> refuses input [5]: expected at least 2 axes");
    CHECK(why(LayerNorm<>{}, Shape{2, 3, 4}) ==
          "LayerNorm<> refuses input [2, 3, 4] (24 values): expected [features] or [rows, features]; for an image name all three axes, LayerNorm<channels, "
          "height, width>");
    CHECK(why(MaxPool2d<2>{}, Shape{8}) == "MaxPool2d<2> refuses input [8]: expected an image [channels, height, width]");
    CHECK(why(MaxPool2d<3>{}, Shape{8, 2, 5}) ==
          "MaxPool2d<3> refuses input [8, 2, 5] (80 values): the window (3 x 3) is larger than the padded image; pool less often");
    CHECK(why(MaxPool2d<2>{.padding = 2}, Shape{8, 4, 5}) ==
          "MaxPool2d<2> refuses input [8, 4, 5] (160 values): padding must be between 0 and half the window");
    CHECK(MaxPool2d<>{.kernel = 2}.out_shape(Shape{8, 4, 6}).shape == Shape{8, 2, 3});  // the stride is the kernel
    CHECK(AvgPool2d<>{.kernel = {2, 3}}.out_shape(Shape{8, 4, 6}).shape == Shape{8, 2, 2});
    CHECK(MaxPool2d<>{.kernel = 2}.dims(Shape{8, 4, 6}, 1).stride_w == 2);
    CHECK(why(MaxPool2d<>{}, Shape{8, 4, 6}).ends_with("its kernel size is not set; write it as the first argument, or {.kernel = 2}"));
    CHECK(why(AvgPool2d<2>{.stride = 0}, Shape{8, 4, 5}).ends_with("kernel, stride and dilation must be at least 1"));
    CHECK(why(GlobalAvgPool2d{}, Shape{8}).ends_with("expected an image [channels, height, width]"));
    CHECK(why(Softmax<2>{}, Shape{8}) == "Softmax<2> refuses input [8]: it has no dimension 2 (0 is the batch)");
    CHECK(why(PReLU<8>{}, Shape{4, 5, 5}) ==
          "PReLU<8> refuses input [4, 5, 5] (100 values): expected 8 channels; did you mean PReLU<4>, or PReLU<> with one weight for all?");
    CHECK(why(LogSoftmax<3>{}, Shape{8, 2}) == "LogSoftmax<3> refuses input [8, 2] (16 values): it has no dimension 3 (0 is the batch)");
    CHECK(why(Dropout{.p = 1.5}, Shape{8}) == "Dropout refuses input [8]: its probability must lie in [0, 1]");
    CHECK(why(Dropout{.p = std::nan("")}, Shape{8}) == "Dropout refuses input [8]: its probability must lie in [0, 1]");
    CHECK(why(ReLU{}, Shape{8, 3}) == "accepted: [8, 3]");
    CHECK(why(Softplus{.beta = 0}, Shape{8}) == "Softplus refuses input [8]: beta must not be 0 or NaN");
    CHECK(why(Softplus{.beta = std::nan("")}, Shape{8}) == "Softplus refuses input [8]: beta must not be 0 or NaN");
}

TEST_CASE("refusals of group normalisation") {
    static_assert(GroupNorm<4, 8>{}.out_shape(Shape{8, 3, 2}).shape == Shape{8, 3, 2});
    static_assert(GroupNorm<4>{}.out_shape(Shape{Dyn, 3, Dyn}).shape == Shape{Dyn, 3, Dyn});
    static_assert(GroupNorm<PerChannel>{}.out_shape(Shape{7, 3}).shape == Shape{7, 3});
    CHECK(why(GroupNorm<3>{}, Shape{8, 5, 5}) == "GroupNorm<3> refuses input [8, 5, 5] (200 values): groups = 3 must divide the channels (8)");
    CHECK(why(GroupNorm<3, 8>{}, Shape{Dyn, 5}) == "GroupNorm<3, 8> refuses input [Dyn, 5]: groups = 3 must divide the channels (8)");
    CHECK(why(GroupNorm<4, 16>{}, Shape{8, 5}) == "GroupNorm<4, 16> refuses input [8, 5] (40 values): expected 16 channels, got 8");
    CHECK(why(GroupNorm<>{}, Shape{8}) ==
          "GroupNorm<Dyn> refuses input [8]: its number of groups is not set; write GroupNorm<8>, or GroupNorm<PerChannel> for a group of each channel");
    CHECK(why(GroupNorm<>{.groups = 0}, Shape{8}) == "GroupNorm<0> refuses input [8]: its number of groups is 0; expected at least 1");
    CHECK(why(GroupNorm<PerChannel, 8>{}, Shape{9}) == "GroupNorm<PerChannel, 8> refuses input [9]: expected 8 channels, got 9");
    CHECK(why(GroupNorm<2>{}, Flatten{}.out_shape(Shape{2, 3, 4}).shape) ==
          "GroupNorm<2> refuses input [24]: the features of a flattened image lie position by position, so no channels are neighbours; put GroupNorm before "
          "Flatten");
}

TEST_CASE("refusals of features that are to become an image") {
    static_assert(Unflatten<2, 3, 4>{}.out_shape(Shape{24}).shape == Shape{2, 3, 4});
    static_assert(Unflatten<Dyn, 3, 4>{}.out_shape(Shape{60}).shape == Shape{5, 3, 4});
    static_assert(Unflatten<2, 3, Dyn>{}.out_shape(Shape{Dyn}).shape == Shape{2, 3, Dyn});
    static_assert(Unflatten<2, 3, 4>{}.out_shape(Flatten{}.out_shape(Shape{2, 3, 4}).shape).shape == Shape{2, 3, 4});
    static_assert(Unflatten<2, 3, 4>{}.out_shape(Shape{}).shape == Shape{2, 3, 4});
    CHECK(why(Unflatten<2, 3, 4>{}, Shape{20}) == "Unflatten<2, 3, 4> refuses input [20]: expected 24 features");
    CHECK(why(Unflatten<2, 3, 4>{}, Shape{36}) == "Unflatten<2, 3, 4> refuses input [36]: expected 24 features; did you mean Unflatten<3, 3, 4>?");
    CHECK(why(Unflatten<2, 3, 4>{}, Shape{9, 2, 2}.flattened()) == "Unflatten<2, 3, 4> refuses input [36]: expected 24 features");
    CHECK(why(Unflatten<2, 3, 4>{}, Shape{0}) == "Unflatten<2, 3, 4> refuses input [0]: expected 24 features");
    CHECK(why(Unflatten<Dyn, 3, 4>{}, Shape{20}) == "Unflatten<Dyn, 3, 4> refuses input [20]: expected a multiple of 12 features");
    CHECK(why(Unflatten<2, 3, 4>{}, Shape{2, 12}) ==
          "Unflatten<2, 3, 4> refuses input [2, 12] (24 values): expected features in one axis; put Flatten in front");
    CHECK(why(Unflatten<2, 4, 3>{}, Flatten{}.out_shape(Shape{2, 3, 4}).shape) ==
          "Unflatten<2, 4, 3> refuses input [24]: these are the features of an image [2, 3, 4], in its order in memory, and only that image can be made of "
          "them; for another put ToContiguous in front of Flatten");
}

TEST_CASE("refusals of layers that resize images") {
    using Upsample = Upsample2d<>;
    static_assert(Upsample2d<2>{}.out_shape(Shape{3, 4, 5}).shape == Shape{3, 8, 10});
    static_assert(Upsample{.size = {2, 7}}.out_shape(Shape{Dyn, Dyn, Dyn}).shape == Shape{Dyn, 2, 7});
    static_assert(Upsample2d<2>{}.out_shape(Shape{3, Dyn, 5}).shape == Shape{3, Dyn, 10});
    static_assert(ZeroPad2d<2>{}.out_shape(Shape{3, 4, 5}).shape == Shape{3, 8, 9});
    static_assert(ZeroPad2d<>{.left = -1, .right = 3, .top = 1}.out_shape(Shape{Dyn, Dyn, 5}).shape == Shape{Dyn, Dyn, 7});
    static_assert(ZeroPad2d<>{.left = -4}.out_shape(Shape{3, 4, 5}).shape == Shape{3, 4, 1});
    CHECK(why(ZeroPad2d<1>{}, Shape{8}) == "ZeroPad2d<1> refuses input [8]: expected an image [channels, height, width]");
    CHECK(why(ZeroPad2d<>{.left = 9, .right = -5}, Shape{3, 4, 5}) ==
          "ZeroPad2d<9, -5, 0, 0> refuses input [3, 4, 5] (60 values): negative padding cuts rows and columns off, and here nothing of the image is left");
    CHECK(why(ZeroPad2d<>{.top = -2, .bottom = -2}, Shape{3, 4, 5}).ends_with("nothing of the image is left"));
    CHECK(why(ZeroPad2d<>{.top = index_t{1} << 62}, Shape{3, 4, 5}).ends_with("padding must lie between -1073741824 and 1073741824; got 4611686018427387904"));
    CHECK(why(ZeroPad2d<1 << 20>{}, Shape{3, 4, 5}).ends_with("a sample [3, 2097156, 2097157] has more than 1099511627776 values (2^40)"));
    static_assert(AdaptiveAvgPool2d<7>{}.out_shape(Shape{3, 12, Dyn}).shape == Shape{3, 7, 7});
    static_assert(AdaptiveAvgPool2d<2, Same>{}.out_shape(Shape{3, Dyn, Dyn}).shape == Shape{3, 2, Dyn});
    CHECK(why(AdaptiveAvgPool2d<7, 5>{}, Shape{8}) == "AdaptiveAvgPool2d<7, 5> refuses input [8]: expected an image [channels, height, width]");
    CHECK(why(AdaptiveAvgPool2d<>{}, Shape{3, 4, 5}) ==
          "AdaptiveAvgPool2d<Dyn> refuses input [3, 4, 5] (60 values): its size is not set; write AdaptiveAvgPool2d<7>, or Same for an axis that "
          "stays as it is");
    CHECK(why(AdaptiveAvgPool2d<Same, 0>{}, Shape{3, 4, 5}) ==
          "AdaptiveAvgPool2d<Same, 0> refuses input [3, 4, 5] (60 values): its size must be at least 1, or Same");
    CHECK(why(AdaptiveAvgPool2d<>{.size = {2, index_t{1} << 31}}, Shape{3, 4, 5}).ends_with("heights and widths must be at most 1073741824"));
    CHECK(why(AdaptiveAvgPool2d<1 << 20>{}, Shape{3, 4, 5}).ends_with("a sample [3, 1048576, 1048576] has more than 1099511627776 values (2^40)"));
    CHECK(why(Upsample2d<2>{}, Shape{8}) == "Upsample2d<2> refuses input [8]: expected an image [channels, height, width]");
    CHECK(why(Upsample{}, Shape{3, 4, 5}) ==
          "Upsample2d<> refuses input [3, 4, 5] (60 values): neither its scale nor its size is set; write Upsample2d<2> or Upsample2d<>{.size = {32, 32}}");
    CHECK(why(Upsample2d<2>{.size = 8}, Shape{3, 4, 5}) ==
          "Upsample2d<2> refuses input [3, 4, 5] (60 values): its scale and its size are set; write one of them, Upsample2d<2> or "
          "Upsample2d<>{.size = {32, 32}}");
    CHECK(why(Upsample{.scale = {2, 0}}, Shape{3, 4, 5}) ==
          "Upsample2d<2x0> refuses input [3, 4, 5] (60 values): its scale (2 x 0) must be at least 1; for a smaller image write the size, e.g. "
          "Upsample2d<>{.size = 16}");
    CHECK(why(Upsample{.size = {8, 0}}, Shape{3, 4, 5}).ends_with("its size (8 x 0) must be at least 1"));
    CHECK(why(Upsample2d<2>{.align_corners = true}, Shape{3, 4, 5}).ends_with("align_corners is an option of Interpolation::bilinear; nearest has none"));
    CHECK(why(Upsample{.scale = {index_t{1} << 62, 1}}, Shape{3, 4, 5})
              .ends_with("heights and widths must be at most 1073741824; it would give [3, 9223372036854775807, 5]"));
    CHECK(why(Upsample{.size = 1}, Shape{1, index_t{1} << 31, 1}).find("heights and widths must be at most 1073741824") != std::string::npos);
    CHECK(why(Upsample{.scale = index_t{1} << 20}, Shape{3, 4, 5}).ends_with("a sample [3, 4194304, 5242880] has more than 1099511627776 values (2^40)"));
}

TEST_CASE("every case of the list gives the shape it claims, known or not") {
    support::for_each_layer_case([](const std::string& name, const auto& layer, const Shape& in, index_t) {
        CAPTURE(name);
        const ShapeResult known = layer.out_shape(in);
        REQUIRE(known.ok());
        CHECK(known.shape.is_known());
        CHECK(layer.out_shape(Shape{}).ok());
        for (int axis = 0; axis < in.rank; ++axis) {
            Shape partly = in;
            partly.d[axis] = Dyn;
            const ShapeResult guessed = layer.out_shape(partly);
            CHECK(guessed.ok());
            CHECK(compatible(guessed.shape, known.shape));
        }
    });
}
