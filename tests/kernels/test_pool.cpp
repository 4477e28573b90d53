// SPDX-License-Identifier: MIT
// Cpu<float> pooling against the reference: equal bits, also for ties, NaN, overlap, dilation, padding and ceil mode.
#include <doctest/doctest.h>

#include <dla/kernels/contract.hpp>
#include <dla/kernels/cpu.hpp>
#include <support/kernel_check.hpp>

using namespace dla;
using namespace support;

static_assert(kernel::MaxPool2dForward<Cpu<float>> && kernel::MaxPool2dBackward<Cpu<float>> && kernel::AvgPool2d<Cpu<float>>);

namespace {

index_t outputs(index_t in, index_t kernel, index_t stride, index_t dilation, index_t pad, bool ceil) {
    index_t out = (in + 2 * pad - dilation * (kernel - 1) - 1 + (ceil ? stride - 1 : 0)) / stride + 1;
    if (ceil && (out - 1) * stride >= in + pad) --out;
    return out;
}

struct Case {
    index_t batch, height, width, kernel, stride, dilation, pad;
    bool ceil;
};
const Case cases[] = {{2, 8, 8, 2, 2, 1, 0, false}, {1, 7, 9, 2, 2, 1, 0, false}, {1, 7, 9, 2, 2, 1, 0, true},  {2, 6, 5, 3, 2, 1, 1, false},
                      {1, 7, 7, 3, 1, 1, 1, false}, {1, 9, 8, 2, 1, 3, 1, false}, {1, 8, 8, 2, 3, 1, 0, false}, {1, 5, 5, 3, 3, 1, 0, true},
                      {1, 6, 6, 6, 6, 1, 0, false}, {0, 4, 4, 2, 2, 1, 0, false}, {3, 4, 6, 2, 2, 1, 1, true},  {1, 1, 1, 1, 1, 1, 0, false},
                      {2, 3, 10, 3, 3, 1, 0, false}};

Pool2dDims dims(const Case& c, index_t channels) {
    Pool2dDims d{c.batch, c.height, c.width, channels, c.kernel, c.kernel, c.stride, c.stride, c.dilation, c.dilation, c.pad, c.pad};
    d.out_height = outputs(c.height, c.kernel, c.stride, c.dilation, c.pad, c.ceil);
    d.out_width = outputs(c.width, c.kernel, c.stride, c.dilation, c.pad, c.ceil);
    return d;
}
index_t inputs_of(const Pool2dDims& d) { return d.batch * d.height * d.width * d.channels; }
index_t outputs_of(const Pool2dDims& d) { return d.batch * d.out_height * d.out_width * d.channels; }

}  // namespace

TEST_CASE("cpu max pool: values, places and gradients equal the reference's") {
    const Reference<float> reference;
    for (const Case& c : cases)
        for (const index_t channels : {1, 3, 4, 8, 16, 17, 33}) {
            const Pool2dDims d = dims(c, channels);
            CAPTURE(d.height);
            CAPTURE(d.width);
            CAPTURE(d.kernel_h);
            CAPTURE(channels);
            Floats x = integers(1, inputs_of(d), 3);  // many ties
            for (std::size_t i = 0; i < x.size(); ++i) {
                if (word(2, static_cast<index_t>(i)) % 23 == 0) x[i] = not_a_number;
                if (word(3, static_cast<index_t>(i)) % 7 == 0) x[i] = -infinite;
            }
            Floats expected = poisoned(outputs_of(d)), y = expected;
            std::vector<std::int32_t> places(expected.size(), -7), at(expected.size(), -8);
            max_pool2d_forward(reference, d, x.data(), expected.data(), places.data());
            max_pool2d_forward(cpu(), d, x.data(), y.data(), at.data());
            CHECK(same_values(y, expected));
            CHECK(at == places);
            y = poisoned(outputs_of(d));
            max_pool2d_forward(cpu(), d, x.data(), y.data(), nullptr);
            CHECK(same_values(y, expected));

            const Floats dy = integers(4, outputs_of(d), 9);
            Floats dx_expected = poisoned(inputs_of(d)), dx = dx_expected;
            max_pool2d_backward(reference, d, dy.data(), places.data(), dx_expected.data());
            max_pool2d_backward(cpu(), d, dy.data(), places.data(), dx.data());
            CHECK(same_values(dx, dx_expected));
        }
}

TEST_CASE("cpu average pool: integers give the reference's bits") {
    const Reference<float> reference;
    for (const Case& c : cases)
        for (const index_t channels : {1, 3, 8, 16, 17, 33})
            for (const int variant : {0, 1, 2}) {
                Pool2dDims d = dims(c, channels);
                if (c.dilation != 1) continue;
                d.count_include_pad = variant != 1;
                d.divisor_override = variant == 2 ? 5 : 0;
                const Floats x = integers(1, inputs_of(d), 50), dy = integers(2, outputs_of(d), 50);
                Floats expected = poisoned(outputs_of(d)), y = expected, dx_expected = poisoned(inputs_of(d)), dx = dx_expected;
                avg_pool2d_forward(reference, d, x.data(), expected.data());
                avg_pool2d_forward(cpu(), d, x.data(), y.data());
                CHECK(same_values(y, expected));
                avg_pool2d_backward(reference, d, dy.data(), dx_expected.data());
                avg_pool2d_backward(cpu(), d, dy.data(), dx.data());
                CHECK(same_values(dx, dx_expected));
            }
}

TEST_CASE("cpu average pool: the anchor of PyTorch's ceil mode") {
    Pool2dDims d{1, 4, 4, 1, 3, 3, 2, 2, 1, 1, 1, 1, 3, 3};
    const Floats x(16, 1.0f), expected{.4444f, .6667f, .3333f, .6667f, 1, .5f, .3333f, .5f, .25f};
    Floats y = poisoned(9);
    avg_pool2d_forward(cpu(), d, x.data(), y.data());
    CHECK(distance(y, expected) <= 1e-4);
}

TEST_CASE("cpu pooling: the same bits at any number of threads") {
    for (const Case& c : {Case{16, 16, 16, 2, 2, 1, 0, false}, Case{16, 15, 16, 3, 2, 1, 1, false}}) {
        const Pool2dDims d = dims(c, 20);
        const Floats x = reals(1, inputs_of(d)), dy = reals(2, outputs_of(d));
        check_threads([&](const Cpu<float>& p) {
            Floats y = poisoned(outputs_of(d)), dx = poisoned(inputs_of(d)), mean = y, spread = dx;
            std::vector<std::int32_t> places(y.size());
            max_pool2d_forward(p, d, x.data(), y.data(), places.data());
            max_pool2d_backward(p, d, dy.data(), places.data(), dx.data());
            avg_pool2d_forward(p, d, x.data(), mean.data());
            avg_pool2d_backward(p, d, dy.data(), spread.data());
            for (const Floats* part : {&dx, &mean, &spread}) y.insert(y.end(), part->begin(), part->end());
            return y;
        });
    }
}
