// SPDX-License-Identifier: MIT
// Whole networks, and single layers, against PyTorch: state_dict in, outputs and all gradients out, through paths and layouts as they are on disk.
#include <doctest/doctest.h>

#include <dla/nn.hpp>
#include <support/golden.hpp>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

using namespace dla;
using golden::Case;
using golden::Tensor;

namespace {

using Values = std::vector<double>;

const Case& find(const std::string& name) {
    static const std::vector<Case> cases = [] {
        std::vector<Case> all = golden::load("network");
        for (Case& c : golden::load("branches")) all.push_back(std::move(c));
        return all;
    }();
    const auto found = std::find_if(cases.begin(), cases.end(), [&](const Case& c) { return c.name == name; });
    REQUIRE_MESSAGE(found != cases.end(), name);
    return *found;
}

/// (N, C, H, W) to (N, H, W, C) or back; what has fewer axes lies as it is.
Values transposed(const Values& v, const std::vector<std::int64_t>& nchw, bool to_memory) {
    if (nchw.size() < 4) return v;
    const auto n = nchw[0], c = nchw[1], pixels = nchw[2] * nchw[3];
    Values out(v.size());
    for (std::int64_t s = 0; s < n; ++s)
        for (std::int64_t k = 0; k < c; ++k)
            for (std::int64_t p = 0; p < pixels; ++p) {
                const auto disk = static_cast<std::size_t>((s * c + k) * pixels + p), memory = static_cast<std::size_t>((s * pixels + p) * c + k);
                (to_memory ? out[memory] : out[disk]) = v[to_memory ? disk : memory];
            }
    return out;
}

/// In double each value by itself; in float as parts of the largest of an array, since sums cancel.
template <class T>
void close(const std::vector<T>& got, const Values& expected, const std::string& what) {
    CAPTURE(what);
    REQUIRE(got.size() == expected.size());
    constexpr bool exact = std::is_same_v<T, double>;
    double largest = 1;
    for (const double e : expected) largest = std::max(largest, exact ? 1.0 : std::abs(e));
    for (std::size_t i = 0; i < got.size(); ++i) {
        CAPTURE(i);
        REQUIRE(std::abs(static_cast<double>(got[i]) - expected[i]) <= (exact ? 1e-9 * std::max(1.0, std::abs(expected[i])) : 2e-5 * largest));
    }
}
template <class T>
std::vector<T> as(const Values& v) {
    std::vector<T> out(v.size());
    std::ranges::transform(v, out.begin(), [](double x) { return static_cast<T>(x); });
    return out;
}

Shape sample(const std::vector<std::int64_t>& dims) {
    return dims.size() == 4 ? Shape{dims[1], dims[2], dims[3]} : dims.size() == 3 ? Shape{dims[1], dims[2]} : Shape{dims[1]};
}

template <class P, class Net>
void check_on(const Case& c, const Net& net) {
    using T = typename P::scalar;
    CAPTURE(c.name);
    CAPTURE(P::name);
    const Tensor &x = c.tensor("x"), &expected = c.tensor("y");
    Model<Net, Shape{}, P> model(net, sample(x.dims), Seed{3});
    ParamTable<P>& table = model.parameters();

    std::size_t arrays = 0;
    for (const auto& [key, tensor] : c.tensors)
        if (key.starts_with("before.")) ++arrays;
    REQUIRE(table.parameters.size() + table.buffers.size() + table.counters.size() == arrays);
    for (const ParamRow& row : table.parameters) {
        const Tensor& t = c.tensor("before." + row.path);
        CAPTURE(row.path);
        REQUIRE(row.dims.rank == static_cast<int>(t.dims.size()));
        for (std::size_t i = 0; i < t.dims.size(); ++i) REQUIRE(row.dims.d[i] == t.dims[i]);
        table.write(ParamPart::value, row, as<T>(t.values));
    }
    for (const BufferRow& row : table.buffers) table.write(row, as<T>(c.tensor("before." + row.path).values));

    const index_t batch = x.dims[0];
    const std::vector<T> images = as<T>(transposed(x.values, x.dims, true));
    const ConstView<P> xv(images.data(), batch, model.input_shape());
    model.plan_input_gradient();
    const ConstView<P> y = model.forward(xv);
    close(as<T>(transposed(Values(y.data, y.data + y.size()), expected.dims, false)), expected.values, "y");

    std::vector<T> dx(images.size());
    const std::vector<T> dy = as<T>(transposed(c.tensor("dy").values, expected.dims, true));
    model.backward(xv, ConstView<P>(dy.data(), batch, model.output_shape()), View<P>(dx.data(), batch, model.input_shape()));
    close(as<T>(transposed(Values(dx.begin(), dx.end()), x.dims, false)), c.tensor("dx").values, "dx");
    for (const ParamRow& row : table.parameters) {
        std::vector<T> gradient(static_cast<std::size_t>(row.count)), value(gradient.size());
        table.read(ParamPart::gradient, row, gradient);
        close(gradient, c.tensor("gradient." + row.path).values, "gradient of " + row.path);
        table.read(ParamPart::value, row, value);
        CHECK(value == as<T>(c.tensor("before." + row.path).values));
    }
    for (const BufferRow& row : table.buffers) {
        std::vector<T> after(static_cast<std::size_t>(row.count));
        table.read(row, after);
        close(after, c.tensor("after." + row.path).values, row.path);
    }
    for (const CounterRow& row : table.counters) CHECK(static_cast<double>(table.read(row)) == c.tensor("after." + row.path).values.at(0));
    const std::vector<T> inferred = model.predict(images);
    close(as<T>(transposed(Values(inferred.begin(), inferred.end()), expected.dims, false)), c.tensor(c.has("inferred") ? "inferred" : "y").values, "inferred");
}
template <class Net>
void check(const Case& c, const Net& net) {
    check_on<Reference<double>>(c, net);
    check_on<Cpu<float>>(c, net);
}
template <class Net>
void check(const std::string& name, const Net& net) {
    check_on<Reference<double>>(find(name), net);  // in float, normalisation of three samples would make too much of a rounding
}
template <class Net>
void check_both(const std::string& name, const Net& net) {
    check(find(name), net);
}

}  // namespace

TEST_CASE("networks agree with PyTorch from the same state_dict") {
    check("conv_relu_flatten_linear_norm", Sequential<Conv2d<2, 3, 3>, ReLU, Flatten, Linear<60, 6>, BatchNorm1d<6>>{});
    using Conv = Conv2d<2, 3, Dyn, 1, 0>;
    check("norm_behind_flatten", Sequential(Conv{.kernel = {3, 2}}, LayerNorm<3, 2, 3>{}, Flatten{}, BatchNorm1d<18>{}, Linear<18, 4>{}));
    check("layer_norm_behind_flatten",
          Sequential(Conv2d<4, 6, 3>{.groups = 2, .bias = false}, BatchNorm2d<6>{}, MaxPool2d<2, 1>{}, Flatten{}, LayerNorm<24>{}, Linear<24, 3>{}));
}

TEST_CASE("branching networks agree with PyTorch from the same state_dict") {
    check_both("inception", Sequential<Parallel<Concat, Conv2d<2, 3, 1>, Sequential<Conv2d<2, 2, 1>, ReLU, Conv2d<2, 4, 3>>, Sequential<MaxPool2d<3, 1, 1>, Conv2d<2, 1, 1>>, Identity>,
                                  BatchNorm2d<>, ReLU, GlobalAvgPool2d, Linear<10, 3>>{});
    using Gate = Sequential<GlobalAvgPool2d, Linear<4, 2>, ReLU, Linear<2, 4>, Sigmoid>;
    check_both("squeeze_and_excitation", Sequential<Conv2d<3, 4, 3>, BatchNorm2d<>, Parallel<Multiply, Identity, Gate>, Flatten, Linear<48, 2>>{});
    using Inner = Parallel<Concat, Identity, Sequential<MaxPool2d<2>, Conv2d<4, 6, 3>, ReLU, ConvTranspose2d<6, 4, 2, 2>>>;
    check_both("unet", Sequential<Conv2d<1, 3, 3>, ReLU,
                             Parallel<Concat, Identity, Sequential<MaxPool2d<2>, Conv2d<3, 4, 3>, ReLU, Inner, Conv2d<8, 4, 3>, Tanh, ConvTranspose2d<4, 3, 2, 2>>>, Conv2d<6, 2, 1>>{});
    check_both("dense", Sequential<Parallel<Concat, Identity, Sequential<BatchNorm2d<>, ReLU, Conv2d<2, 3, 3>>>, Parallel<Concat, Identity, Sequential<BatchNorm2d<>, ReLU, Conv2d<5, 3, 3>>>,
                              GlobalAvgPool2d>{});
    check_both("features", Sequential(Parallel<Add, Linear<5, 4>, Sequential<Linear<5, 3>, Tanh, Linear<3, 4>>, Linear<5, 4>>({}, {}, {.bias = false}),
                                 Parallel<Multiply, Sequential<Linear<4, 4>, Sigmoid>, Identity>{}, Parallel<Concat, Linear<4, 2>, Identity>{}));
    check("rows", Sequential<Parallel<Concat, Linear<4, 3>, Sequential<Linear<4, 3>, ReLU>>, BatchNorm1d<>, Flatten, Linear<12, 2>>{});
    check_both("sum_behind_flatten", Sequential<Flatten, Parallel<Add, Identity, Linear<12, 12>>, Linear<12, 2>>{});
}

TEST_CASE("transposed convolutions agree with PyTorch") {
    for (const Case& c : golden::load("conv_transpose2d")) {
        const auto size = [&](const char* h, const char* w) { return Size2(c.integer(h), c.integer(w)); };
        check(c, ConvTranspose2d<>{.out = c.integer("out"),
                                   .kernel = size("kernel_h", "kernel_w"),
                                   .stride = size("stride_h", "stride_w"),
                                   .padding = size("pad_h", "pad_w"),
                                   .output_padding = size("output_pad_h", "output_pad_w"),
                                   .dilation = size("dilation_h", "dilation_w"),
                                   .groups = c.integer("groups"),
                                   .bias = c.tensors.contains("before.bias")});
    }
}

TEST_CASE("features that become images lie as PyTorch's") {
    const auto c = golden::load("unflatten");
    REQUIRE(c.size() == 4);
    check(c.at(0), Sequential<Linear<5, 24>, ReLU, Unflatten<2, 3, 4>, ConvTranspose2d<2, 3, 3, 2, 1>, Sigmoid>{});
    check(c.at(1), Sequential<Unflatten<3, Dyn, 5>, Softplus>{});
    check(c.at(2), Sequential<Conv2d<2, 3, 3, 1, 0>, Flatten, Tanh, Unflatten<Dyn, 2, 3>, Conv2d<3, 2, 2, 1, 0>, Flatten, Linear<4, 3>>{});
    check(c.at(3), Sequential<Conv2d<2, 3, 3, 1, 0>, ToContiguous, Flatten, Unflatten<2, 3, 3>, Conv2d<2, 2, 2, 1, 0>>{});
}

TEST_CASE("layers agree with PyTorch") {
    const auto check_log_softmax = [](const Case& c) {
        const auto dim = c.integer("dim");
        dim == 1 ? check(c, LogSoftmax<1>{}) : dim == 2 ? check(c, LogSoftmax<2>{}) : check(c, LogSoftmax<3>{});
    };
    const std::map<std::string, std::function<void(const Case&)>> kinds{
        {"pad",
         [](const Case& c) {
             check(c, ZeroPad2d<>{.left = c.integer("left"), .right = c.integer("right"), .top = c.integer("top"), .bottom = c.integer("bottom")});
         }},
        {"upsample",
         [](const Case& c) {
             Upsample2d<> layer{.mode = c.text("mode") == "nearest" ? Interpolation::nearest : Interpolation::bilinear,
                                .align_corners = c.integer("align_corners") == 1};
             (c.has("scale_h") ? layer.scale : layer.size) =
                 c.has("scale_h") ? Size2(c.integer("scale_h"), c.integer("scale_w")) : Size2(c.integer("size_h"), c.integer("size_w"));
             check(c, layer);
         }},
        {"adaptive",
         [](const Case& c) { check(c, AdaptiveAvgPool2d<>{.size = {c.integer("size_h"), c.text("size_w") == "same" ? Same : c.integer("size_w")}}); }},
        {"group_norm",
         [](const Case& c) {
             const GroupNorm<> layer{.groups = c.integer("groups"), .eps = c.number("eps"), .affine = c.integer("affine") == 1};
             check(c, layer);
             if (layer.groups == c.tensor("x").dims[1]) check(c, GroupNorm<PerChannel>{.eps = layer.eps});
         }},
        {"prelu", [](const Case& c) { c.integer("weights") == 1 ? check(c, PReLU<>{}) : check(c, PReLU<Dyn>{}); }},
        {"elu", [](const Case& c) { check(c, ELU{.alpha = c.number("alpha")}); }},
        {"softplus", [](const Case& c) { check(c, Softplus{.beta = c.number("beta"), .threshold = c.number("threshold")}); }},
        {"hardswish", [](const Case& c) { check(c, Hardswish{}); }},
        {"log_softmax", check_log_softmax},
        {"chain",
         [](const Case& c) {
             check(c, Sequential(ZeroPad2d<>{.left = 2, .right = 0, .top = 1, .bottom = 3}, Conv2d<3, 6, Dyn, 1, 0>{.kernel = {2, 3}}, GroupNorm<3>{},
                                 PReLU<6>{}, Upsample2d<>{.size = {11, 6}, .mode = Interpolation::bilinear, .align_corners = true}, Conv2d<6, 5, 3>{},
                                 Hardswish{}, Upsample2d<>{.scale = {1, 2}}, Softplus{.beta = 2}, AdaptiveAvgPool2d<4, 5>{}, GroupNorm<PerChannel>{},
                                 ELU{.alpha = 0.5}, PReLU<>{}, ZeroPad2d<>{.left = -1, .right = 1, .top = 0, .bottom = -2}, LogSoftmax<1>{}));
         }},
    };
    std::set<std::string> seen;
    for (const Case& c : golden::load("layers")) {
        kinds.at(c.text("kind"))(c);
        seen.insert(c.text("kind"));
    }
    CHECK(seen.size() == kinds.size());
}
