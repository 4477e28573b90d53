// SPDX-License-Identifier: MIT
// Every kernel of every host policy against PyTorch's double results (tests/golden).
#include <support/golden_check.hpp>

using namespace dla;
using namespace golden;

TEST_CASE_TEMPLATE("golden conv2d", P, POLICIES) {
    const P p;
    const auto cases = golden::load("conv2d");
    CHECK(cases.size() >= 51);
    for (const Case& c : cases) {
        const auto& xd = c.tensor("x").dims;
        const auto& wd = c.tensor("w").dims;
        const auto& yd = c.tensor("y").dims;
        Conv2dDims d{.batch = xd[0], .height = xd[2], .width = xd[3], .in_channels = xd[1], .out_channels = yd[1], .kernel_h = wd[2], .kernel_w = wd[3]};
        d.stride_h = c.integer("stride_h");
        d.stride_w = c.integer("stride_w");
        d.dilation_h = c.integer("dilation_h");
        d.dilation_w = c.integer("dilation_w");
        d.groups = c.integer("groups");
        d.out_height = yd[2];
        d.out_width = yd[3];
        const bool same = c.has("padding"), bias = c.has("b");
        d.pad_top = same ? d.dilation_h * (d.kernel_h - 1) / 2 : c.integer("pad_h");  // 'same': the odd zero goes behind
        d.pad_left = same ? d.dilation_w * (d.kernel_w - 1) / 2 : c.integer("pad_w");
        const Tensor xt = channels_last(c.tensor("x")), wt = channels_last(c.tensor("w")), dyt = channels_last(c.tensor("dy"));
        const auto x = to<P>(xt), w = to<P>(wt), dy = to<P>(dyt);
        const auto b = bias ? to<P>(c.tensor("b")) : Values<P>();
        auto y = poisoned<P>(c.tensor("y").size()), dx = poisoned<P>(xt.size()), dw = accumulator<P>(wt.size()), db = accumulator<P>(d.out_channels);
        const Scratch forward(conv2d_forward_scratch(p, d)), data(conv2d_backward_data_scratch(p, d)), weights(conv2d_backward_weights_scratch(p, d));
        conv2d_forward(p, forward.data, d, x.data(), w.data(), pointer(bias, b), y.data());
        conv2d_backward_data(p, data.data, d, dy.data(), w.data(), dx.data());
        conv2d_backward_weights(p, weights.data, d, x.data(), dy.data(), dw.data(), pointer(bias, db));

        // the same sums of absolute values give the scale of each error
        const Reference<double> exact;
        const auto ax = magnitudes(xt), aw = magnitudes(wt), ady = magnitudes(dyt);
        std::vector<double> ab = bias ? magnitudes(c.tensor("b")) : std::vector<double>(), ay(y.size()), adx(dx.size()), adw(dw.size()), adb(db.size());
        conv2d_forward(exact, nullptr, d, ax.data(), aw.data(), pointer(bias, ab), ay.data());
        conv2d_backward_data(exact, nullptr, d, ady.data(), aw.data(), adx.data());
        conv2d_backward_weights(exact, nullptr, d, ax.data(), ady.data(), adw.data(), adb.data());
        const double taps = static_cast<double>(d.kernel_h * d.kernel_w), positions = static_cast<double>(d.batch * d.out_height * d.out_width);
        compare_sums<P>(c, "y", channels_last(c.tensor("y")), y, ay, taps * static_cast<double>(d.in_channels / d.groups));
        compare_sums<P>(c, "dx", channels_last(c.tensor("dx")), dx, adx, taps * static_cast<double>(d.out_channels / d.groups));
        compare_sums<P>(c, "dw", channels_last(c.tensor("dw")), dw, adw, positions, before);
        if (bias) compare_sums<P>(c, "db", c.tensor("db"), db, adb, positions, before);
    }
}

TEST_CASE_TEMPLATE("golden linear", P, POLICIES) {
    const P p;
    const auto cases = golden::load("linear");
    CHECK(cases.size() >= 11);
    for (const Case& c : cases) {
        const Tensor &xt = c.tensor("x"), &wt = c.tensor("w"), &dyt = c.tensor("dy");
        const index_t out = wt.dims[0], in = wt.dims[1], rows = xt.size() / in;
        const bool bias = c.has("b");
        const auto x = to<P>(xt), w = to<P>(wt), dy = to<P>(dyt);
        const auto b = bias ? to<P>(c.tensor("b")) : Values<P>();
        auto y = poisoned<P>(dyt.size()), dx = poisoned<P>(xt.size()), dw = accumulator<P>(wt.size()), db = accumulator<P>(out);
        const GemmDims forward{rows, out, in, false, true}, data{rows, in, out, false, false}, weights{out, in, rows, true, false};
        const Scratch scratch(std::max({gemm_scratch(p, forward), gemm_scratch(p, data), gemm_scratch(p, weights), column_sum_scratch(p, rows, out)}));
        gemm(p, scratch.data, forward, x.data(), w.data(), pointer(bias, b), 0, y.data());
        gemm(p, scratch.data, data, dy.data(), w.data(), nullptr, 0, dx.data());
        gemm(p, scratch.data, weights, dy.data(), x.data(), nullptr, 1, dw.data());
        column_sum(p, scratch.data, rows, out, dy.data(), db.data());

        const Reference<double> exact;
        const auto ax = magnitudes(xt), aw = magnitudes(wt), ady = magnitudes(dyt);
        std::vector<double> ab = bias ? magnitudes(c.tensor("b")) : std::vector<double>(), ay(y.size()), adx(dx.size()), adw(dw.size()), adb(db.size());
        gemm(exact, nullptr, forward, ax.data(), aw.data(), pointer(bias, ab), 0, ay.data());
        gemm(exact, nullptr, data, ady.data(), aw.data(), nullptr, 0, adx.data());
        gemm(exact, nullptr, weights, ady.data(), ax.data(), nullptr, 0, adw.data());
        column_sum(exact, nullptr, rows, out, ady.data(), adb.data());
        compare_sums<P>(c, "y", c.tensor("y"), y, ay, static_cast<double>(in));
        compare_sums<P>(c, "dx", c.tensor("dx"), dx, adx, static_cast<double>(out));
        compare_sums<P>(c, "dw", c.tensor("dw"), dw, adw, static_cast<double>(rows), before);
        if (bias) compare_sums<P>(c, "db", c.tensor("db"), db, adb, static_cast<double>(rows), before);
    }
}

TEST_CASE_TEMPLATE("golden batch norm", P, POLICIES) {
    const P p;
    const auto cases = golden::load("batch_norm");
    CHECK(cases.size() >= 40);
    // Images both ways: channels last (inner = 1) and as PyTorch has them (inner = height * width).
    for (const bool last : {true, false})
        for (const Case& c : cases) {
            const auto& dims = c.tensor("x").dims;
            if (last && dims.size() == 3) continue;
            const auto view = [&](const std::string& name) { return last && dims.size() == 4 ? channels_last(c.tensor(name)) : c.tensor(name); };
            NormDims d{dims[0], dims[1], 1};
            for (std::size_t i = 2; i < dims.size(); ++i) (last ? d.outer : d.inner) *= dims[i];
            const bool affine = c.has("w");
            const double eps = c.number("eps"), wide = affine ? largest(c.tensor("w")) : 1, shift = affine ? largest(c.tensor("b")) : 0;
            const Tensor xt = view("x"), yt = view("y");
            const auto x = to<P>(xt);
            const auto w = affine ? to<P>(c.tensor("w")) : Values<P>(), b = affine ? to<P>(c.tensor("b")) : Values<P>();
            auto running_mean = to<P>(c.tensor("running_mean")), running_var = to<P>(c.tensor("running_var"));
            auto y = poisoned<P>(xt.size());
            if (c.text("mode") == "eval") {
                batch_norm_infer(p, d, eps, x.data(), pointer(affine, w), pointer(affine, b), running_mean.data(), running_var.data(), y.data());
                double gain = 0;  // largest invstd: how much an error of x - mean grows
                for (const double v : c.tensor("running_var").values) gain = std::max(gain, 1 / std::sqrt(v + eps));
                compare<P>(c, "y", yt, y, 8, wide * gain * (largest(xt) + largest(c.tensor("running_mean"))) + shift);
                auto inplace = x;
                batch_norm_infer(p, d, eps, inplace.data(), pointer(affine, w), pointer(affine, b), running_mean.data(), running_var.data(), inplace.data());
                CHECK_MESSAGE(inplace == y, c.name << ": in place");
                continue;
            }
            const Tensor dyt = view("dy"), dxt = view("dx");
            const auto dy = to<P>(dyt);
            auto mean = poisoned<P>(d.channels), invstd = poisoned<P>(d.channels), dx = poisoned<P>(xt.size());
            auto dw = accumulator<P>(d.channels), db = accumulator<P>(d.channels);
            std::int64_t tracked = c.integer("tracked");
            const Scratch scratch(batch_norm_scratch(p, d));
            batch_norm_forward(p, scratch.data, d, eps, c.number("momentum"), x.data(), pointer(affine, w), pointer(affine, b), running_mean.data(),
                               running_var.data(), &tracked, y.data(), mean.data(), invstd.data());
            batch_norm_backward(p, scratch.data, d, x.data(), pointer(affine, w), mean.data(), invstd.data(), dy.data(), dx.data(), pointer(affine, dw),
                                pointer(affine, db));
            double gain = 0, moved = 0;
            for (std::size_t i = 0; i < invstd.size(); ++i) {
                gain = std::max(gain, static_cast<double>(invstd[i]));
                moved = std::max(moved, std::abs(static_cast<double>(mean[i])));
            }
            const double rows = static_cast<double>(d.outer * d.inner), unit_size = gain * (largest(xt) + moved);  // magnitudes entering (x - mean) * invstd
            CHECK(tracked == c.integer("tracked_after"));
            compare<P>(c, "y", yt, y, 8, wide * unit_size + shift);
            compare<P>(c, "running_mean", c.tensor("running_mean_after"), running_mean, 8, largest(xt) + largest(c.tensor("running_mean")));
            compare<P>(c, "running_var", c.tensor("running_var_after"), running_var, 8, largest(xt) / gain + largest(c.tensor("running_var")));
            compare<P>(c, "dx", dxt, dx, 16, gain * wide * largest(dyt) * (1 + unit_size));
            if (!affine) continue;
            compare<P>(c, "dw", c.tensor("dw"), dw, 8, std::sqrt(rows) * largest(dyt) * unit_size + before, before);
            compare<P>(c, "db", c.tensor("db"), db, 8, std::sqrt(rows) * largest(dyt) + before, before);
            auto inplace = dy;
            batch_norm_backward(p, scratch.data, d, x.data(), w.data(), mean.data(), invstd.data(), inplace.data(), inplace.data(), dw.data(), db.data());
            CHECK_MESSAGE(inplace == dx, c.name << ": in place");
        }
}

TEST_CASE_TEMPLATE("golden layer norm", P, POLICIES) {
    const P p;
    const auto cases = golden::load("layer_norm");
    CHECK(cases.size() >= 11);
    for (const Case& c : cases) {
        const Tensor &xt = c.tensor("x"), &dyt = c.tensor("dy");
        index_t columns = 1, rows = 1;
        for (std::size_t i = 0; i < xt.dims.size(); ++i) (i + at(c.integer("dims")) < xt.dims.size() ? rows : columns) *= xt.dims[i];
        const bool affine = c.has("w");
        const auto x = to<P>(xt), dy = to<P>(dyt);
        const auto w = affine ? to<P>(c.tensor("w")) : Values<P>(), b = affine ? to<P>(c.tensor("b")) : Values<P>();
        auto y = poisoned<P>(xt.size()), dx = poisoned<P>(xt.size()), mean = poisoned<P>(rows), invstd = poisoned<P>(rows);
        auto dw = accumulator<P>(columns), db = accumulator<P>(columns);
        const Scratch scratch(layer_norm_scratch(p, rows, columns));
        layer_norm_forward(p, rows, columns, c.number("eps"), x.data(), pointer(affine, w), pointer(affine, b), y.data(), mean.data(), invstd.data());
        layer_norm_backward(p, scratch.data, rows, columns, x.data(), pointer(affine, w), mean.data(), invstd.data(), dy.data(), dx.data(), pointer(affine, dw),
                            pointer(affine, db));
        double gain = 0;
        for (const auto e : invstd) gain = std::max(gain, static_cast<double>(e));
        const double wide = affine ? largest(c.tensor("w")) : 1, shift = affine ? largest(c.tensor("b")) : 0, unit_size = 2 * gain * largest(xt);
        compare<P>(c, "y", c.tensor("y"), y, 8, wide * unit_size + shift);
        compare<P>(c, "dx", c.tensor("dx"), dx, 16, gain * wide * largest(dyt) * (1 + unit_size));
        if (!affine) continue;
        compare<P>(c, "dw", c.tensor("dw"), dw, 8, std::sqrt(static_cast<double>(rows)) * largest(dyt) * unit_size + before, before);
        compare<P>(c, "db", c.tensor("db"), db, 8, std::sqrt(static_cast<double>(rows)) * largest(dyt) + before, before);
        auto inplace = dy;
        layer_norm_backward(p, scratch.data, rows, columns, x.data(), w.data(), mean.data(), invstd.data(), inplace.data(), inplace.data(), dw.data(),
                            db.data());
        CHECK_MESSAGE(inplace == dx, c.name << ": in place");
    }
}

namespace {

Pool2dDims pool_dims(const Case& c) {
    const auto& x = c.tensor("x").dims;
    const auto& y = c.tensor("y").dims;
    Pool2dDims d{.batch = x[0], .height = x[2], .width = x[3], .channels = x[1]};
    d.kernel_h = c.integer("kernel_h");
    d.kernel_w = c.integer("kernel_w");
    d.stride_h = c.integer("stride_h");
    d.stride_w = c.integer("stride_w");
    d.pad_h = c.integer("pad_h");
    d.pad_w = c.integer("pad_w");
    d.out_height = y[2];
    d.out_width = y[3];
    return d;
}

}  // namespace

TEST_CASE_TEMPLATE("golden max pool: exactly", P, POLICIES) {
    const P p;
    const auto cases = golden::load("max_pool");
    CHECK(cases.size() >= 24);
    for (const Case& c : cases) {
        Pool2dDims d = pool_dims(c);
        d.dilation_h = c.integer("dilation_h");
        d.dilation_w = c.integer("dilation_w");
        const auto x = to<P>(channels_last(c.tensor("x"))), dy = to<P>(channels_last(c.tensor("dy")));
        auto y = poisoned<P>(c.tensor("y").size()), without = y, dx = poisoned<P>(c.tensor("x").size());
        Integers argmax(y.size(), -7);
        max_pool2d_forward(p, d, x.data(), y.data(), argmax.data());
        max_pool2d_forward(p, d, x.data(), without.data(), nullptr);
        max_pool2d_backward(p, d, dy.data(), argmax.data(), dx.data());
        compare<P>(c, "y", channels_last(c.tensor("y")), y, 0, 0);
        compare<P>(c, "y without argmax", channels_last(c.tensor("y")), without, 0, 0);
        compare(c, "argmax", channels_last(c.tensor("argmax")), argmax, [](std::size_t) { return 0.0; });
        compare<P>(c, "dx", channels_last(c.tensor("dx")), dx, 0, 0);
    }
}

TEST_CASE_TEMPLATE("golden average pool", P, POLICIES) {
    const P p;
    const auto cases = golden::load("avg_pool");
    CHECK(cases.size() >= 24);
    for (const Case& c : cases) {
        Pool2dDims d = pool_dims(c);
        d.count_include_pad = c.integer("count_include_pad") != 0;
        d.divisor_override = c.integer("divisor_override");
        const auto x = to<P>(channels_last(c.tensor("x"))), dy = to<P>(channels_last(c.tensor("dy")));
        auto y = poisoned<P>(c.tensor("y").size()), dx = poisoned<P>(c.tensor("x").size());
        avg_pool2d_forward(p, d, x.data(), y.data());
        avg_pool2d_backward(p, d, dy.data(), dx.data());
        compare<P>(c, "y", channels_last(c.tensor("y")), y, 4, 0);  // the sums of these inputs are exact
        compare<P>(c, "dx", channels_last(c.tensor("dx")), dx, 8, largest(c.tensor("dy")));
    }
}

TEST_CASE_TEMPLATE("golden activations", P, POLICIES) {
    const P p;
    auto cases = golden::load("activation");
    CHECK(cases.size() >= 27);
    const auto rectifiers = golden::load("rectifier");
    CHECK(rectifiers.size() >= 24);
    cases.insert(cases.end(), rectifiers.begin(), rectifiers.end());
    const std::map<std::string, Activation> kinds{
        {"relu", Activation::relu}, {"leaky_relu", Activation::leaky_relu}, {"gelu", Activation::gelu}, {"gelu_tanh", Activation::gelu_tanh},
        {"silu", Activation::silu}, {"sigmoid", Activation::sigmoid},       {"tanh", Activation::tanh}, {"elu", Activation::elu},
        {"softplus", Activation::softplus}, {"hardswish", Activation::hardswish}};
    for (const Case& c : cases) {
        const Activation kind = kinds.at(c.text("kind"));
        const ActivationOptions options(c.number("slope", c.number("value", 0.01)), c.number("threshold", 20));
        const Tensor &xt = c.tensor("x"), &yt = c.tensor("y"), &dyt = c.tensor("dy"), &dxt = c.tensor("dx");
        const auto x = to<P>(xt), dy = to<P>(dyt);
        auto y = poisoned<P>(xt.size()), dx = poisoned<P>(xt.size()), inplace = x, dx_inplace = dy;
        activation_forward(p, kind, options, xt.size(), x.data(), y.data());
        activation_forward(p, kind, options, xt.size(), inplace.data(), inplace.data());
        const bool reads_y = kind == Activation::relu || kind == Activation::sigmoid || kind == Activation::tanh;
        activation_backward(p, kind, options, xt.size(), pointer(!reads_y, x), pointer(reads_y, y), dy.data(), dx.data());
        activation_backward(p, kind, options, xt.size(), pointer(!reads_y, x), pointer(reads_y, y), dx_inplace.data(), dx_inplace.data());
        // 4 ulp; plus what PyTorch itself loses where it computes 1 + erf or 1 + tanh; plus results below the smallest normal number, which may be 0
        const double smallest = static_cast<double>(std::numeric_limits<typename P::scalar>::min());
        const bool exact = kind == Activation::relu;
        const auto own = [&](std::size_t i) { return 0x1p-52 * (1 + (std::isfinite(xt.values[i]) ? std::abs(xt.values[i]) : 0)) + 2 * smallest; };
        compare(c, "y", yt, y, [&](std::size_t i) { return exact ? 0 : 8 * unit<P> * std::abs(yt.values[i]) + own(i); });
        compare(c, "y in place", yt, inplace, [&](std::size_t i) { return exact ? 0 : 8 * unit<P> * std::abs(yt.values[i]) + own(i); });
        const auto slope_bound = [&](std::size_t i) { return exact ? 0 : 8 * unit<P> * (std::abs(dxt.values[i]) + std::abs(dyt.values[i])) + 8 * own(i); };
        compare(c, "dx", dxt, dx, slope_bound);
        compare(c, "dx in place", dxt, dx_inplace, slope_bound);
        for (std::size_t i = 0; i < y.size(); ++i)
            if (yt.values[i] == 0 && xt.values[i] == 0)
                CHECK_MESSAGE(std::signbit(yt.values[i]) == std::signbit(y[i]), c.name << ": sign of zero, element " << i);
    }
}

TEST_CASE_TEMPLATE("golden prelu", P, POLICIES) {
    const P p;
    const auto cases = golden::load("prelu");
    CHECK(cases.size() >= 10);
    for (const Case& c : cases) {
        const bool image = c.tensor("x").dims.size() == 4;
        const auto in_memory = [&](const char* name) { return image ? channels_last(c.tensor(name)) : c.tensor(name); };
        const Tensor xt = in_memory("x"), wt = c.tensor("w");
        const auto x = to<P>(xt), w = to<P>(wt), dy = to<P>(in_memory("dy"));
        const index_t channels = wt.size();
        NormDims d{.outer = xt.dims[0], .channels = channels, .inner = 1};
        if (channels == 1)
            d.inner = xt.size() / std::max<index_t>(xt.dims[0], 1);
        else if (image)
            d.outer *= xt.dims[1] * xt.dims[2];
        else if (xt.dims.size() == 3)
            d.inner = xt.dims[2];
        auto y = poisoned<P>(xt.size()), dx = poisoned<P>(xt.size()), dw = accumulator<P>(channels);
        const Scratch scratch(prelu_scratch(p, d));
        prelu_forward(p, d, x.data(), w.data(), y.data());
        prelu_backward(p, scratch.data, d, x.data(), w.data(), dy.data(), dx.data(), dw.data());
        compare<P>(c, "y", in_memory("y"), y, 0, 0);  // products of these inputs, and their sums, are exact
        compare<P>(c, "dx", in_memory("dx"), dx, 0, 0);
        compare<P>(c, "dw", c.tensor("dw"), dw, 0, 0, before);
    }
}

TEST_CASE_TEMPLATE("golden softmax", P, POLICIES) {
    const P p;
    const auto cases = golden::load("softmax");
    CHECK(cases.size() >= 15);
    for (const Case& c : cases) {
        const Tensor& xt = c.tensor("x");
        const auto dim = at(c.integer("dim"));
        NormDims d{1, xt.dims[dim], 1};
        for (std::size_t i = 0; i < xt.dims.size(); ++i)
            if (i != dim) (i < dim ? d.outer : d.inner) *= xt.dims[i];
        const auto x = to<P>(xt), dy = to<P>(c.tensor("dy"));
        auto y = poisoned<P>(xt.size()), dx = poisoned<P>(xt.size()), inplace = dy;
        softmax_forward(p, d, x.data(), y.data());
        softmax_backward(p, d, y.data(), dy.data(), dx.data());
        softmax_backward(p, d, y.data(), inplace.data(), inplace.data());
        const double smallest = static_cast<double>(std::numeric_limits<typename P::scalar>::min());
        compare(c, "y", c.tensor("y"), y, [&](std::size_t i) { return 20 * unit<P> * c.tensor("y").values[i] + smallest; });
        const double size = largest(c.tensor("dy"));
        const auto bound = [&](std::size_t i) { return 40 * unit<P> * c.tensor("y").values[i] * size + smallest; };
        compare(c, "dx", c.tensor("dx"), dx, bound);
        compare(c, "dx in place", c.tensor("dx"), inplace, bound);
    }
}

TEST_CASE_TEMPLATE("golden log-softmax", P, POLICIES) {
    const P p;
    const auto cases = golden::load("log_softmax");
    CHECK(cases.size() >= 16);
    for (const Case& c : cases) {
        const Tensor &xt = c.tensor("x"), &yt = c.tensor("y"), &dyt = c.tensor("dy");
        const auto dim = at(c.integer("dim"));
        NormDims d{1, xt.dims[dim], 1};
        for (std::size_t i = 0; i < xt.dims.size(); ++i)
            if (i != dim) (i < dim ? d.outer : d.inner) *= xt.dims[i];
        const auto x = to<P>(xt), dy = to<P>(dyt);
        auto y = poisoned<P>(xt.size()), dx = poisoned<P>(xt.size()), in_place = x, over_dy = dy;
        log_softmax_forward(p, d, x.data(), y.data());
        log_softmax_forward(p, d, in_place.data(), in_place.data());
        // Roundings of x - max, of the sum's logarithm (which has that of a sum of `channels` terms), and of their difference.
        const auto bound = [&](std::size_t i) { return unit<P> * (4 * std::abs(yt.values[i]) + static_cast<double>(d.channels) + 8); };
        compare(c, "y", yt, y, bound);
        compare(c, "y in place", yt, in_place, bound);
        log_softmax_backward(p, d, y.data(), dy.data(), dx.data());
        log_softmax_backward(p, d, y.data(), over_dy.data(), over_dy.data());
        // exp(y) <= 1 has the relative error of y's absolute one; times the sum of dy.
        const double sum = largest(dyt) * static_cast<double>(d.channels);
        const auto slope = [&](std::size_t i) {
            const double value = std::isfinite(yt.values[i]) ? yt.values[i] : 0;
            const double share = std::exp(value) * (4 * std::abs(value) + 2 * static_cast<double>(d.channels) + 12);
            return unit<P> * (sum * share + 4 * std::abs(dyt.values[i]) + sum);
        };
        compare(c, "dx", c.tensor("dx"), dx, slope);
        compare(c, "dx in place", c.tensor("dx"), over_dy, slope);
    }
}

TEST_CASE_TEMPLATE("golden losses", P, POLICIES) {
    const P p;
    const auto cases = golden::load("loss");
    CHECK(cases.size() >= 39);
    for (const Case& c : cases) {
        const Tensor &xt = c.tensor("x"), &dxt = c.tensor("dx");
        const bool weighted = c.has("class_weights"), mean = c.text("reduction") == "mean";
        const auto x = to<P>(xt), weights = weighted ? to<P>(c.tensor("class_weights")) : Values<P>(),
                   targets = c.has("targets") ? to<P>(c.tensor("targets")) : Values<P>();
        auto dx = poisoned<P>(xt.size());
        LossResult result{.loss = -1, .weight = -1, .correct = -1, .counted = -1, .bad_row = 99}, alone = result;
        const auto run = [&](LossResult* to_fill, typename P::scalar* gradient) {
            if (c.text("kind") == "mse") {
                const Scratch scratch(sum_of_squares_scratch(p, xt.size()));
                const ElementLossDims d{.rows = xt.size(), .outputs = 1, .divisor = mean ? static_cast<double>(xt.size()) : 1.0};
                element_loss(p, scratch.data, d, x.data(), targets.data(), nullptr, to_fill, gradient);
                return;
            }
            CrossEntropyDims d{.rows = xt.dims[0], .classes = xt.dims[1], .label_smoothing = c.number("label_smoothing"), .mean = mean};
            const Scratch scratch(cross_entropy_scratch(p, d));
            if (c.text("kind") == "cross_entropy_soft") {
                cross_entropy_soft(p, scratch.data, d, x.data(), targets.data(), pointer(weighted, weights), to_fill, gradient);
                return;
            }
            d.ignore_index = static_cast<std::int32_t>(c.integer("ignore_index"));
            Integers labels;
            for (const double e : c.tensor("labels").values) labels.push_back(static_cast<std::int32_t>(e));
            cross_entropy(p, scratch.data, d, x.data(), labels.data(), pointer(weighted, weights), to_fill, gradient);
        };
        run(&result, dx.data());
        run(&alone, nullptr);
        const Tensor& loss = c.tensor("loss");
        const double each = largest(xt) * (weighted ? largest(c.tensor("class_weights")) : 1) * (mean ? 1 : static_cast<double>(xt.size()));
        compare(c, "loss", loss, std::vector<double>{result.loss}, [&](std::size_t) { return 20 * unit<P> * (std::abs(loss.values[0]) + each); });
        compare(c, "loss without gradient", loss, std::vector<double>{alone.loss},
                [&](std::size_t) { return 20 * unit<P> * (std::abs(loss.values[0]) + each); });
        compare<P>(c, "dx", dxt, dx, 40, largest(dxt));
        CHECK(result.bad_row == -1);
        CHECK(result.counted == alone.counted);
        CHECK(result.correct == alone.correct);
    }
}

TEST_CASE_TEMPLATE("golden losses of single values", P, POLICIES) {
    const P p;
    const auto cases = golden::load("element_loss");
    CHECK(cases.size() >= 82);
    const std::map<std::string, ElementLoss> kinds{{"absolute", ElementLoss::absolute},
                                                   {"huber", ElementLoss::huber},
                                                   {"smooth_l1", ElementLoss::smooth_l1},
                                                   {"bce_with_logits", ElementLoss::bce_with_logits}};
    for (const Case& c : cases) {
        const Tensor &xt = c.tensor("x"), &dxt = c.tensor("dx"), &loss = c.tensor("loss");
        const bool weighted = c.has("pos_weight"), mean = c.text("reduction") == "mean";
        const auto x = to<P>(xt), targets = to<P>(c.tensor("targets")), weights = weighted ? to<P>(c.tensor("pos_weight")) : Values<P>();
        ElementLossDims d{.kind = kinds.at(c.text("kind")), .rows = xt.dims[0], .outputs = 1, .bend = c.number("bend", 1)};
        for (std::size_t axis = 1; axis < xt.dims.size(); ++axis) d.outputs *= xt.dims[axis];
        d.divisor = mean ? static_cast<double>(xt.size()) : 1.0;
        d.weights = static_cast<index_t>(weights.size());
        auto dx = poisoned<P>(xt.size()), in_place = x;
        const Scratch scratch(sum_of_squares_scratch(p, xt.size()));
        LossResult result, alone;
        element_loss(p, scratch.data, d, x.data(), targets.data(), pointer(weighted, weights), &result, dx.data());
        element_loss(p, scratch.data, d, x.data(), targets.data(), pointer(weighted, weights), &alone, nullptr);
        element_loss(p, scratch.data, d, in_place.data(), targets.data(), pointer(weighted, weights), &result, in_place.data());
        // Sums are added up in double whatever the policy; losses that are not squares of exact numbers have a rounding or an exponential of 1e-11.
        const double each = (largest(xt) + 1) * (weighted ? 4 : 1);
        compare(c, "loss", loss, std::vector<double>{result.loss}, [&](std::size_t) { return 1e-11 * (std::abs(loss.values[0]) + each); });
        CHECK((result.loss == alone.loss || std::isnan(alone.loss)));
        const double scale = (weighted ? 4 : 1) / d.divisor;
        compare<P>(c, "dx", dxt, dx, 4, scale);
        compare<P>(c, "dx in place", dxt, in_place, 4, scale);
        CHECK(result.bad_row == -1);
        CHECK(result.counted == xt.size());
    }
}

TEST_CASE_TEMPLATE("golden optimizer traces", P, POLICIES) {
    const P p;
    const auto cases = golden::load("optimizer");
    CHECK(cases.size() >= 32);
    for (const Case& c : cases) {
        const Tensor &values = c.tensor("values"), &grads = c.tensor("grads");
        const index_t steps = grads.dims[0], n = grads.dims[1];
        CHECK(steps >= 10);
        const auto row = [&](const Tensor& t, index_t r) { return Tensor{{n}, {t.values.begin() + r * n, t.values.begin() + (r + 1) * n}}; };
        auto value = to<P>(row(values, 0)), first = Values<P>(at(n)), second = Values<P>(at(n));
        for (index_t step = 0; step < steps; ++step) {
            const auto grad = to<P>(row(grads, step));
            const double rate = c.tensor("learning_rates").values[at(step)];
            const bool sgd = c.text("kind") == "sgd";
            const double momentum = c.has("momenta") ? c.tensor("momenta").values[at(step)] : c.number(sgd ? "momentum" : "beta1");  // a schedule may move it
            if (sgd) {
                const SgdScalars s{rate, momentum, c.number("dampening"), c.number("weight_decay"), c.integer("nesterov") != 0, step == 0};
                sgd_step(p, n, &s, value.data(), grad.data(), s.momentum != 0 ? first.data() : nullptr);
            } else {
                AdamScalars s{rate, momentum, c.number("beta2"), c.number("eps"), c.number("weight_decay")};
                s.correction1 = 1 - std::pow(s.beta1, static_cast<double>(step + 1));
                s.correction2 = 1 - std::pow(s.beta2, static_cast<double>(step + 1));
                s.decoupled = c.text("kind") == "adamw";
                adam_step(p, n, &s, value.data(), grad.data(), first.data(), second.data());
            }
            compare<P>(c, ("after step " + std::to_string(step)).c_str(), row(values, step + 1), value, 4 * static_cast<double>(step + 1),
                       largest(row(values, step)));
        }
    }
}

TEST_CASE_TEMPLATE("golden clip_grad_norm", P, POLICIES) {
    const P p;
    const auto cases = golden::load("clip");
    CHECK(cases.size() >= 6);
    for (const Case& c : cases) {
        auto grads = to<P>(c.tensor("before"));
        const auto n = static_cast<index_t>(grads.size());
        double squares = -1;
        const Scratch scratch(sum_of_squares_scratch(p, n));
        sum_of_squares(p, scratch.data, n, grads.data(), &squares);
        clip_scale(p, n, &squares, c.number("max_norm"), grads.data());
        compare(c, "norm", c.tensor("norm"), std::vector<double>{std::sqrt(squares)}, [&](std::size_t) { return 1e-15 * c.tensor("norm").values[0]; });
        compare<P>(c, "after", c.tensor("after"), grads, 4, 0);
    }
}
