// SPDX-License-Identifier: MIT
// Whole networks against PyTorch: state_dict in, outputs and all gradients out, through paths and layouts as they are on disk.
#include <doctest/doctest.h>

#include <dla/nn.hpp>
#include <support/golden.hpp>

using namespace dla;
using golden::Case;
using golden::Tensor;

namespace {

using P = Reference<double>;
using Values = std::vector<double>;

const Case& find(const std::string& name) {
    static const std::vector<Case> cases = golden::load("network");
    const auto found = std::find_if(cases.begin(), cases.end(), [&](const Case& c) { return c.name == name; });
    REQUIRE_MESSAGE(found != cases.end(), name);
    return *found;
}

/// (N, C, H, W) to (N, H, W, C) or back.
Values transposed(const Values& v, const std::vector<std::int64_t>& nchw, bool to_memory) {
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

void close(const Values& got, const Values& expected, const std::string& what) {
    CAPTURE(what);
    REQUIRE(got.size() == expected.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
        CAPTURE(i);
        REQUIRE(std::abs(got[i] - expected[i]) <= 1e-9 * std::max(1.0, std::abs(expected[i])));
    }
}

template <class Net>
void check(const std::string& name, const Net& net) {
    CAPTURE(name);
    const Case& c = find(name);
    const Tensor& x = c.tensor("x");
    Model<Net, Shape{}, P> model(net, Shape{x.dims[1], x.dims[2], x.dims[3]}, Seed{3});
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
        table.write(ParamPart::value, row, t.values);
    }
    for (const BufferRow& row : table.buffers) table.write(row, c.tensor("before." + row.path).values);

    const index_t batch = x.dims[0];
    const Values images = transposed(x.values, x.dims, true);
    const ConstView<P> xv(images.data(), batch, model.input_shape());
    model.plan_input_gradient();
    const ConstView<P> y = model.forward(xv);
    close(Values(y.data, y.data + y.size()), c.tensor("y").values, "y");

    Values dx(images.size());
    const Values& dy = c.tensor("dy").values;
    model.backward(xv, ConstView<P>(dy.data(), batch, model.output_shape()), View<P>(dx.data(), batch, model.input_shape()));
    close(transposed(dx, x.dims, false), c.tensor("dx").values, "dx");
    for (const ParamRow& row : table.parameters) {
        Values gradient(static_cast<std::size_t>(row.count)), value(gradient.size());
        table.read(ParamPart::gradient, row, gradient);
        close(gradient, c.tensor("gradient." + row.path).values, "gradient of " + row.path);
        table.read(ParamPart::value, row, value);
        CHECK(value == c.tensor("before." + row.path).values);
    }
    for (const BufferRow& row : table.buffers) {
        Values after(static_cast<std::size_t>(row.count));
        table.read(row, after);
        close(after, c.tensor("after." + row.path).values, row.path);
    }
    for (const CounterRow& row : table.counters) CHECK(static_cast<double>(table.read(row)) == c.tensor("after." + row.path).values.at(0));
    close(model.predict(images), c.tensor("inferred").values, "inferred");
}

}  // namespace

TEST_CASE("networks agree with PyTorch from the same state_dict") {
    check("conv_relu_flatten_linear_norm", Sequential<Conv2d<2, 3, 3>, ReLU, Flatten, Linear<60, 6>, BatchNorm1d<6>>{});
    using Conv = Conv2d<2, 3, Dyn, 1, 0>;
    check("norm_behind_flatten", Sequential(Conv{.kernel = {3, 2}}, LayerNorm<3, 2, 3>{}, Flatten{}, BatchNorm1d<18>{}, Linear<18, 4>{}));
    check("layer_norm_behind_flatten",
          Sequential(Conv2d<4, 6, 3>{.groups = 2, .bias = false}, BatchNorm2d<6>{}, MaxPool2d<2, 1>{}, Flatten{}, LayerNorm<24>{}, Linear<24, 3>{}));
}
