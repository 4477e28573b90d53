// SPDX-License-Identifier: MIT
// Kernels that give images another size, and group normalisation, of every host policy, against PyTorch's double results (tests/golden).
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

TEST_CASE_TEMPLATE("golden adaptive average pool", P, POLICIES) {
    const P p;
    const auto cases = golden::load("adaptive_pool");
    CHECK(cases.size() >= 9);
    for (const Case& c : cases) {
        const Resize2dDims d = resize_dims(c);
        const Tensor xt = channels_last(c.tensor("x")), dyt = channels_last(c.tensor("dy"));
        const auto x = to<P>(xt), dy = to<P>(dyt);
        auto y = poisoned<P>(dyt.size()), dx = poisoned<P>(xt.size());
        adaptive_avg_pool2d_forward(p, d, x.data(), y.data());
        adaptive_avg_pool2d_backward(p, d, dy.data(), dx.data());
        compare<P>(c, "y", channels_last(c.tensor("y")), y, 4, 0);  // the sums of these inputs are exact
        compare<P>(c, "dx", channels_last(c.tensor("dx")), dx, 8, largest(dyt) * outputs_of_one(d));
    }
}

TEST_CASE_TEMPLATE("golden zero padding: exactly", P, POLICIES) {
    const P p;
    const auto cases = golden::load("pad");
    CHECK(cases.size() >= 9);
    for (const Case& c : cases) {
        const Resize2dDims d = resize_dims(c), back{d.batch, d.out_height, d.out_width, d.channels, d.height, d.width};
        const auto x = to<P>(channels_last(c.tensor("x"))), dy = to<P>(channels_last(c.tensor("dy")));
        auto y = poisoned<P>(c.tensor("y").size()), dx = poisoned<P>(c.tensor("x").size());
        zero_pad2d(p, d, c.integer("top"), c.integer("left"), x.data(), y.data());
        zero_pad2d(p, back, -c.integer("top"), -c.integer("left"), dy.data(), dx.data());
        compare<P>(c, "y", channels_last(c.tensor("y")), y, 0, 0);
        compare<P>(c, "dx", channels_last(c.tensor("dx")), dx, 0, 0);
    }
}

TEST_CASE_TEMPLATE("golden group norm", P, POLICIES) {
    const P p;
    const auto cases = golden::load("group_norm");
    CHECK(cases.size() >= 16);
    // Images both ways: channels last, and as PyTorch has them.
    for (const bool last : {true, false})
        for (const Case& c : cases) {
            const auto& dims = c.tensor("x").dims;
            const auto view = [&](const std::string& name) { return last && dims.size() == 4 ? channels_last(c.tensor(name)) : c.tensor(name); };
            GroupNormDims d{.batch = dims[0], .channels = dims[1], .groups = c.integer("groups"), .channels_first = !last || dims.size() == 3};
            for (std::size_t i = 2; i < dims.size(); ++i) d.positions *= dims[i];
            const bool affine = c.has("w");
            const Tensor xt = view("x"), dyt = view("dy");
            const auto x = to<P>(xt), dy = to<P>(dyt);
            const auto w = affine ? to<P>(c.tensor("w")) : Values<P>(), b = affine ? to<P>(c.tensor("b")) : Values<P>();
            auto y = poisoned<P>(xt.size()), inferred = y, dx = y, mean = poisoned<P>(d.batch * d.groups), invstd = mean;
            auto dw = accumulator<P>(d.channels), db = accumulator<P>(d.channels);
            const Scratch scratch(group_norm_scratch(p, d));
            const double eps = c.number("eps");
            group_norm_forward(p, scratch.data, d, eps, x.data(), pointer(affine, w), pointer(affine, b), y.data(), mean.data(), invstd.data());
            group_norm_forward(p, scratch.data, d, eps, x.data(), pointer(affine, w), pointer(affine, b), inferred.data(), nullptr, nullptr);
            CHECK(inferred == y);
            group_norm_backward(p, scratch.data, d, x.data(), pointer(affine, w), mean.data(), invstd.data(), dy.data(), dx.data(), pointer(affine, dw),
                                pointer(affine, db));
            double gain = 0;
            for (const auto e : invstd) gain = std::max(gain, static_cast<double>(e));
            const double wide = affine ? largest(c.tensor("w")) : 1, shift = affine ? largest(c.tensor("b")) : 0, unit_size = 2 * gain * largest(xt);
            const double rows = std::sqrt(static_cast<double>(d.batch * d.positions));
            compare<P>(c, "y", view("y"), y, 8, wide * unit_size + shift);
            compare<P>(c, "dx", view("dx"), dx, 16, gain * wide * largest(dyt) * (1 + unit_size));
            auto inplace = dy;
            if (affine) {
                compare<P>(c, "dw", c.tensor("dw"), dw, 8, rows * largest(dyt) * unit_size + before, before);
                compare<P>(c, "db", c.tensor("db"), db, 8, rows * largest(dyt) + before, before);
                auto dw_alone = accumulator<P>(d.channels), db_alone = dw_alone;
                group_norm_backward(p, scratch.data, d, x.data(), w.data(), mean.data(), invstd.data(), dy.data(), nullptr, dw_alone.data(), db_alone.data());
                CHECK_MESSAGE((dw_alone == dw && db_alone == db), c.name << ": without dx");
            }
            group_norm_backward(p, scratch.data, d, x.data(), pointer(affine, w), mean.data(), invstd.data(), inplace.data(), inplace.data(),
                                pointer(affine, dw), pointer(affine, db));
            CHECK_MESSAGE(inplace == dx, c.name << ": in place");
        }
}
