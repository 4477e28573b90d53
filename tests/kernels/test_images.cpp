// SPDX-License-Identifier: MIT
// Cpu<float> kernels that give images another size against the reference: odd sizes, every width of channels, threads.
#include <doctest/doctest.h>

#include <dla/kernels/contract.hpp>
#include <dla/kernels/cpu.hpp>
#include <support/kernel_check.hpp>

using namespace dla;
using namespace support;

static_assert(kernel::Upsample2d<Cpu<float>> && kernel::AdaptiveAvgPool2d<Cpu<float>> && kernel::ZeroPad2d<Cpu<float>>);

namespace {

const Resize2dDims sizes[] = {{2, 3, 4, 0, 6, 8},  {1, 5, 7, 0, 10, 28}, {1, 1, 1, 0, 3, 5}, {2, 1, 6, 0, 4, 6}, {1, 6, 9, 0, 4, 13},
                              {1, 7, 5, 0, 7, 10}, {3, 9, 11, 0, 2, 3},  {1, 4, 6, 0, 1, 1}, {2, 5, 5, 0, 5, 5}, {0, 3, 3, 0, 6, 6}};
const index_t widths[] = {1, 3, 4, 8, 16, 17, 33};

Resize2dDims with_channels(Resize2dDims d, index_t channels) {
    d.channels = channels;
    return d;
}
index_t inputs_of(const Resize2dDims& d) { return d.batch * d.height * d.width * d.channels; }
index_t outputs_of(const Resize2dDims& d) { return d.batch * d.out_height * d.out_width * d.channels; }

template <class F>
void for_each_size(const F& f) {
    for (const Resize2dDims& size : sizes)
        for (const index_t channels : widths) {
            CAPTURE(size.height);
            CAPTURE(size.width);
            CAPTURE(channels);
            f(with_channels(size, channels));
        }
}

}  // namespace

TEST_CASE("cpu upsample, nearest: the reference's values, also NaN and infinities; integers give its gradients") {
    const Reference<float> reference;
    for_each_size([&](const Resize2dDims& d) {
        Floats x = integers(1, inputs_of(d), 50);
        for (std::size_t i = 0; i < x.size(); ++i) {
            if (word(2, static_cast<index_t>(i)) % 13 == 0) x[i] = not_a_number;
            if (word(3, static_cast<index_t>(i)) % 7 == 0) x[i] = -infinite;
        }
        const Floats dy = integers(4, outputs_of(d), 50);
        Floats expected = poisoned(outputs_of(d)), y = expected, dx_expected = poisoned(inputs_of(d)), dx = dx_expected;
        upsample2d_forward(reference, d, Interpolation::nearest, false, x.data(), expected.data());
        upsample2d_forward(cpu(), d, Interpolation::nearest, false, x.data(), y.data());
        CHECK(same_values(y, expected));
        upsample2d_backward(reference, d, Interpolation::nearest, false, dy.data(), dx_expected.data());
        upsample2d_backward(cpu(), d, Interpolation::nearest, false, dy.data(), dx.data());
        CHECK(same_values(dx, dx_expected));
    });
}

TEST_CASE("cpu upsample, bilinear: within rounding of the reference in double, and equal where shares are eighths") {
    for (const bool align : {false, true})
        for_each_size([&](const Resize2dDims& d) {
            const bool eighths =
                !align && (d.out_height == d.height || d.out_height == 2 * d.height) && (d.out_width % d.width == 0 && d.out_width <= 4 * d.width);
            CAPTURE(align);
            const Floats x = eighths ? integers(1, inputs_of(d), 50) : reals(1, inputs_of(d));
            const Floats dy = eighths ? integers(2, outputs_of(d), 50) : reals(2, outputs_of(d));
            Floats y = poisoned(outputs_of(d)), dx = poisoned(inputs_of(d));
            std::vector<double> exact(y.size()), dx_exact(dx.size());
            upsample2d_forward(cpu(), d, Interpolation::bilinear, align, x.data(), y.data());
            upsample2d_backward(cpu(), d, Interpolation::bilinear, align, dy.data(), dx.data());
            upsample2d_forward(Reference<double>{}, d, Interpolation::bilinear, align, doubles(x).data(), exact.data());
            upsample2d_backward(Reference<double>{}, d, Interpolation::bilinear, align, doubles(dy).data(), dx_exact.data());
            // Two shares, each a product and a sum of two: 8 units. A gradient sums up at most 4 outputs for each that an input becomes, of magnitude 1.
            const double unit = 0x1p-24, terms = static_cast<double>((2 * d.out_height / d.height + 2) * (2 * d.out_width / d.width + 2));
            CHECK(distance(y, exact) <= (eighths ? 0 : 8 * unit));
            CHECK(distance(dx, dx_exact) <= (eighths ? 0 : 4 * std::sqrt(terms) * unit));
        });
}

TEST_CASE("upsample by whole scales: the places of PyTorch") {
    const Resize2dDims d{1, 1, 3, 1, 1, 6};
    const Floats x{0, 8, 16};
    Floats y = poisoned(6);
    upsample2d_forward(cpu(), d, Interpolation::nearest, false, x.data(), y.data());
    CHECK(y == Floats{0, 0, 8, 8, 16, 16});
    upsample2d_forward(cpu(), d, Interpolation::bilinear, false, x.data(), y.data());
    CHECK(y == Floats{0, 2, 6, 10, 14, 16});
    const Resize2dDims aligned{1, 1, 3, 1, 1, 5};
    Floats z = poisoned(5);
    upsample2d_forward(cpu(), aligned, Interpolation::bilinear, true, x.data(), z.data());
    CHECK(z == Floats{0, 4, 8, 12, 16});
    const Resize2dDims far{1, 1, 2, 1, 1, 82};  // where PyTorch's 41 * (1 / 41) in float is less than 1
    const Floats two{3, 4};
    Floats wide = poisoned(82);
    upsample2d_forward(cpu(), far, Interpolation::nearest, false, two.data(), wide.data());
    CHECK(wide[40] == 3);
    CHECK(wide[41] == 4);
}

TEST_CASE("cpu adaptive average pool: integers give the reference's values; gradients within rounding") {
    for_each_size([&](const Resize2dDims& d) {
        const Floats x = integers(1, inputs_of(d), 50), dy = reals(2, outputs_of(d));
        Floats expected = poisoned(outputs_of(d)), y = expected, dx = poisoned(inputs_of(d));
        std::vector<double> dx_exact(dx.size());
        adaptive_avg_pool2d_forward(Reference<float>{}, d, x.data(), expected.data());
        adaptive_avg_pool2d_forward(cpu(), d, x.data(), y.data());
        CHECK(same_values(y, expected));
        adaptive_avg_pool2d_backward(Reference<double>{}, d, doubles(dy).data(), dx_exact.data());
        adaptive_avg_pool2d_backward(cpu(), d, dy.data(), dx.data());
        const double terms = static_cast<double>((d.out_height / d.height + 2) * (d.out_width / d.width + 2));
        CHECK(distance(dx, dx_exact) <= 2 * std::sqrt(terms) * 0x1p-24);
    });
}

TEST_CASE("cpu zero padding: the reference's bits, wherever the image comes to lie") {
    for_each_size([&](const Resize2dDims& d) {
        Floats x = reals(1, inputs_of(d));
        if (!x.empty()) x.back() = not_a_number, x.front() = -0.0f;
        for (const index_t top : {-9, -3, -1, 0, 1, 2, 9})
            for (const index_t left : {-30, -2, 0, 1, 3, 30}) {
                CAPTURE(top);
                CAPTURE(left);
                Floats expected = poisoned(outputs_of(d)), y = expected;
                zero_pad2d(Reference<float>{}, d, top, left, x.data(), expected.data());
                zero_pad2d(cpu(), d, top, left, x.data(), y.data());
                CHECK(same_bits(y, expected));
            }
    });
}

TEST_CASE("cpu images of another size: the same bits at any number of threads") {
    for (const Resize2dDims& d : {Resize2dDims{8, 16, 15, 20, 32, 30}, Resize2dDims{1, 40, 41, 33, 57, 29}, Resize2dDims{6, 57, 29, 20, 20, 7}}) {
        const Floats x = reals(1, inputs_of(d)), dy = reals(2, outputs_of(d));
        check_threads([&](const Cpu<float>& p) {
            Floats all;
            const auto run = [&](index_t count, const auto& f) {
                Floats out = poisoned(count);
                f(out.data());
                CHECK(std::none_of(out.begin(), out.end(), [](float v) { return std::isnan(v); }));
                all.insert(all.end(), out.begin(), out.end());
            };
            for (const Interpolation mode : {Interpolation::nearest, Interpolation::bilinear}) {
                run(outputs_of(d), [&](float* y) { upsample2d_forward(p, d, mode, false, x.data(), y); });
                run(inputs_of(d), [&](float* dx) { upsample2d_backward(p, d, mode, false, dy.data(), dx); });
            }
            run(outputs_of(d), [&](float* y) { adaptive_avg_pool2d_forward(p, d, x.data(), y); });
            run(inputs_of(d), [&](float* dx) { adaptive_avg_pool2d_backward(p, d, dy.data(), dx); });
            run(outputs_of(d), [&](float* y) { zero_pad2d(p, d, 3, -2, x.data(), y); });
            return all;
        });
    }
}
