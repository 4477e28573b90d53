// SPDX-License-Identifier: MIT
// Kernels that give images another size, of every host policy, against PyTorch's double results (tests/golden).
#include <support/golden_check.hpp>

using namespace dla;
using namespace golden;

namespace {

Resize2dDims resize_dims(const Case& c) {
    const auto& x = c.tensor("x").dims;
    const auto& y = c.tensor("y").dims;
    return {.batch = x[0], .height = x[2], .width = x[3], .channels = x[1], .out_height = y[2], .out_width = y[3]};
}

/// About how many outputs an input is a part of, and one more along each axis.
double outputs_of_one(const Resize2dDims& d) { return static_cast<double>((d.out_height / d.height + 1) * (d.out_width / d.width + 1)); }

}  // namespace

TEST_CASE_TEMPLATE("golden upsample", P, POLICIES) {
    const P p;
    const auto cases = golden::load("upsample");
    CHECK(cases.size() >= 35);
    for (const Case& c : cases) {
        const Resize2dDims d = resize_dims(c);
        const Interpolation mode = c.text("mode") == "nearest" ? Interpolation::nearest : Interpolation::bilinear;
        const bool align = c.integer("align_corners") != 0, exact = mode == Interpolation::nearest;
        const Tensor xt = channels_last(c.tensor("x")), dyt = channels_last(c.tensor("dy"));
        const auto x = to<P>(xt), dy = to<P>(dyt);
        auto y = poisoned<P>(dyt.size()), dx = poisoned<P>(xt.size());
        upsample2d_forward(p, d, mode, align, x.data(), y.data());
        upsample2d_backward(p, d, mode, align, dy.data(), dx.data());
        compare<P>(c, "y", channels_last(c.tensor("y")), y, exact ? 0 : 16, largest(xt));
        compare<P>(c, "dx", channels_last(c.tensor("dx")), dx, exact ? 0 : 16, largest(dyt) * outputs_of_one(d));
    }
}
