// SPDX-License-Identifier: MIT
// PReLU of Cpu<float> and Cpu<bf16>: integers are exact, reals against the reference, the same bits at any number of threads.
#include <doctest/doctest.h>

#include <dla/kernels/contract.hpp>
#include <dla/kernels/cpu.hpp>
#include <support/kernel_check.hpp>

using namespace dla;
using namespace support;

static_assert(kernel::PReLUKernels<Cpu<float>> && kernel::PReLUKernels<Cpu<bf16>>);

namespace {

const NormDims shapes[] = {{0, 3, 1},   {1, 1, 1},    {3, 1, 1},    {2, 1, 37},   {5, 3, 1},     {2, 3, 4},    {4, 3, 15},    {9, 16, 1},
                           {33, 17, 1}, {128, 64, 1}, {700, 65, 1}, {3, 5, 1000}, {101, 1, 701}, {301, 37, 7}, {40007, 1, 1}, {20003, 3, 1}};

index_t size(const NormDims& d) { return d.outer * d.channels * d.inner; }

struct Outcome {
    Floats y, dx, dw;
};
/// In scratch of exactly the declared size; dw is added to what is there.
template <class P>
Outcome run(const P& p, const NormDims& d, const Floats& x, const Floats& w, const Floats& dy, bool in_place = false) {
    Outcome o{in_place ? x : poisoned(size(d)), in_place ? dy : poisoned(size(d)), Floats(static_cast<std::size_t>(d.channels), 2.0f)};
    Scratch scratch(prelu_scratch(p, d));
    prelu_forward(p, d, in_place ? o.y.data() : x.data(), w.data(), o.y.data());
    prelu_backward(p, scratch.data(), d, x.data(), w.data(), in_place ? o.dx.data() : dy.data(), o.dx.data(), o.dw.data());
    return o;
}

std::vector<bf16> narrow(const Floats& x) {
    std::vector<bf16> out;
    for (const float v : x) out.push_back(static_cast<bf16>(v));
    return out;
}
Floats wide(const std::vector<bf16>& x) {
    Floats out;
    for (const bf16 v : x) out.push_back(static_cast<float>(v));
    return out;
}

}  // namespace

TEST_CASE("cpu prelu: integers are exact, in place too, and the weights' gradients are added to what is there") {
    for (const NormDims& d : shapes) {
        CAPTURE(d.outer);
        CAPTURE(d.channels);
        CAPTURE(d.inner);
        const Floats x = integers(1, size(d), 20), dy = integers(2, size(d), 20), w = integers(3, d.channels, 9);
        const Outcome expected = run(Reference<float>{}, d, x, w, dy);
        for (const bool in_place : {false, true}) {
            const Outcome got = run(cpu(), d, x, w, dy, in_place);
            CHECK(got.y == expected.y);
            CHECK(got.dx == expected.dx);
            CHECK(got.dw == expected.dw);
        }
        Outcome alone{{}, {}, Floats(static_cast<std::size_t>(d.channels), 2.0f)};
        Scratch scratch(prelu_scratch(cpu(), d));
        prelu_backward(cpu(), scratch.data(), d, x.data(), w.data(), dy.data(), nullptr, alone.dw.data());
        CHECK(alone.dw == expected.dw);
    }
}

TEST_CASE("cpu prelu: reals, the same bits at any number of threads") {
    for (const NormDims& d : shapes) {
        CAPTURE(d.outer);
        CAPTURE(d.channels);
        CAPTURE(d.inner);
        const Floats x = reals(1, size(d), 3), dy = reals(2, size(d)), w = reals(3, d.channels);
        const Outcome expected = run(Reference<float>{}, d, x, w, dy);  // sums in double as well: one rounding each
        check_threads([&](const Cpu<float>& p) {
            Outcome got = run(p, d, x, w, dy);
            CHECK(same_bits(got.y, expected.y));
            CHECK(same_bits(got.dx, expected.dx));
            CHECK(distance(got.dw, expected.dw) <= 0x1p-23);
            got.dx.insert(got.dx.end(), got.dw.begin(), got.dw.end());
            return got.dx;
        });
    }
}

TEST_CASE("cpu prelu: edge values") {
    const NormDims d{1, 1, 6};
    const Floats x{0.0f, -0.0f, not_a_number, infinite, -infinite, std::numeric_limits<float>::denorm_min()}, w{0.5f}, dy(6, 2.0f);
    for (const Outcome& o : {run(cpu(), d, x, w, dy), run(Reference<float>{}, d, x, w, dy)}) {
        CHECK(same_values(o.y, {0.0f, 0.0f, not_a_number, infinite, -infinite, std::numeric_limits<float>::denorm_min()}));
        CHECK(std::signbit(o.y[1]));
        CHECK(o.dx == Floats{1, 1, 1, 2, 1, 2});
        CHECK(std::isnan(o.dw[0]));
    }
    CHECK(run(cpu(), {2, 2, 1}, {1, -1, not_a_number, 2}, {0.5f, 0.5f}, {1, 3, 1, 1}).dw[1] == -1.0f);  // NaN stays in its channel
}

TEST_CASE("cpu bf16 prelu: the reference's bits, sums that do not depend on threads") {
    for (const NormDims& d : shapes) {
        CAPTURE(d.outer);
        CAPTURE(d.channels);
        CAPTURE(d.inner);
        const auto x = narrow(reals(1, size(d), 3)), dy = narrow(reals(2, size(d)));
        const Floats w = reals(3, d.channels);
        const auto all = [&](const auto& p) {
            std::vector<bf16> y(x.size()), dx = dy;
            Floats dw(w.size(), 2.0f);
            Scratch scratch(prelu_scratch(p, d));
            prelu_forward(p, d, x.data(), w.data(), y.data());
            prelu_backward(p, scratch.data(), d, x.data(), w.data(), dx.data(), dx.data(), dw.data());
            return Outcome{wide(y), wide(dx), dw};
        };
        const Outcome expected = all(Reference<bf16>{});
        Floats first;
        for (const int threads : {1, 2, 3, 5}) {
            Cpu<bf16> p;
            p.threads = threads;
            const Outcome got = all(p);
            // The product is rounded to float before it is rounded to bf16, which may be twice in the same direction.
            CHECK(distance(got.y, expected.y) <= 0x1p-8);
            CHECK(distance(got.dx, expected.dx) <= 0x1p-8);
            CHECK(distance(got.dw, expected.dw) <= 0x1p-23);
            if (threads == 1) first = got.dw;
            CHECK(same_bits(got.dw, first));
        }
    }
}
