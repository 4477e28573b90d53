// SPDX-License-Identifier: MIT
// Data, networks and options of the tests of fit.
#pragma once

#include <dla/data.hpp>
#include <dla/nn.hpp>
#include <dla/train.hpp>

#include <stdexcept>

namespace fit_tests {

using namespace dla;

/// y = (a b + a / 2, a - b) of points in the square, exact numbers.
inline ArrayData surface(int count = 400) {
    std::vector<float> x, y;
    RandomStream random({1, 0, 0}, RandomUse::synthesis);
    for (int i = 0; i < count; ++i) {
        const float a = 2 * random.uniform() - 1, b = 2 * random.uniform() - 1;
        x.insert(x.end(), {a, b});
        y.insert(y.end(), {a * b + a / 2, a - b});
    }
    return ArrayData(Shape{2}, std::move(x), Shape{2}, std::move(y));
}
/// Which of three stripes a point lies in; stripe 2 has one in ten.
inline ArrayData stripes(int count = 400) {
    std::vector<float> x;
    std::vector<std::int32_t> label;
    RandomStream random({2, 0, 0}, RandomUse::synthesis);
    for (int i = 0; i < count; ++i) {
        const std::int32_t c = i % 10 == 0 ? 2 : i % 2;
        x.insert(x.end(), {static_cast<float>(c) + 0.8f * random.uniform() - 0.4f, random.uniform()});
        label.push_back(c);
    }
    return ArrayData(Shape{2}, std::move(x), std::move(label));
}
using Regressor = Model<Sequential<Linear<2, 16>, BatchNorm1d<>, Tanh, Dropout, Linear<16, 2>>, Shape{2}>;
using Classifier = Model<Sequential<Linear<2, 16>, ReLU, Linear<16, 3>>, Shape{2}>;

template <class M>
std::vector<float> all_values(const M& model) {
    std::vector<float> values;
    for (const auto& part : parameter_values(model)) values.insert(values.end(), part.begin(), part.end());
    for (const BufferRow& row : model.parameters().buffers) {
        std::vector<float> host(static_cast<std::size_t>(row.count));
        model.parameters().read(row, host);
        values.insert(values.end(), host.begin(), host.end());
    }
    return values;
}
inline FitOptions quiet(int epochs) {
    FitOptions o;
    o.epochs = epochs;
    o.batch_size = 32;
    o.quiet = true;
    return o;
}

/// Breaks a run off after so many steps, as an error would.
struct Stop : TrainingCallback {
    int after;
    explicit Stop(int steps) : after(steps) {}
    void progress(int, std::int64_t, std::int64_t) override {
        if (--after == 0) throw std::runtime_error("stop");
    }
};

}  // namespace fit_tests
