// SPDX-License-Identifier: MIT
// Cpu<float> optimizer steps against the reference's order of operations and PyTorch's numbers.
#include <doctest/doctest.h>

#include <dla/kernels/contract.hpp>
#include <dla/kernels/cpu.hpp>
#include <support/kernel_check.hpp>

using namespace dla;
using namespace support;

static_assert(kernel::OptimizerKernels<Cpu<float>>);

namespace {

const index_t sizes[] = {0, 1, 3, 15, 16, 17, 33, 1000, 1023, 1025, 40001};

}  // namespace

TEST_CASE("cpu sgd: every option against the reference, three steps") {
    for (const index_t n : sizes)
        for (int option = 0; option < 16; ++option) {
            CAPTURE(n);
            CAPTURE(option);
            SgdScalars s{.learning_rate = 0.1,
                         .momentum = (option & 1) != 0 ? 0.9 : 0.0,
                         .dampening = (option & 2) != 0 ? 0.5 : 0.0,
                         .weight_decay = (option & 4) != 0 ? 0.1 : 0.0};
            s.nesterov = (option & 8) != 0;
            Floats value = reals(1, n), expected = value, velocity = poisoned(n), expected_velocity = velocity;
            for (std::uint32_t step = 0; step < 3; ++step) {
                const Floats grad = reals(2 + step, n);
                s.first = step == 0;
                sgd_step(Reference<float>{}, n, &s, expected.data(), grad.data(), s.momentum != 0 ? expected_velocity.data() : nullptr);
                sgd_step(cpu(), n, &s, value.data(), grad.data(), s.momentum != 0 ? velocity.data() : nullptr);
            }
            CHECK(distance(value, expected) <= 1e-6);
            CHECK(distance(velocity, expected_velocity) <= 1e-6);  // stays poisoned without momentum
        }
}

TEST_CASE("cpu adam: every option against the reference, three steps") {
    for (const index_t n : sizes)
        for (const double decay : {0.0, 0.1})
            for (const bool decoupled : {false, true}) {
                CAPTURE(n);
                AdamScalars s{.learning_rate = 0.1, .weight_decay = decay, .decoupled = decoupled};
                Floats value = reals(1, n), expected = value, m(value.size(), 0.0f), v = m, em = m, ev = m;
                for (std::uint32_t step = 0; step < 3; ++step) {
                    const Floats grad = reals(2 + step, n);
                    s.correction1 = 1 - std::pow(s.beta1, step + 1);
                    s.correction2 = 1 - std::pow(s.beta2, step + 1);
                    adam_step(Reference<float>{}, n, &s, expected.data(), grad.data(), em.data(), ev.data());
                    adam_step(cpu(), n, &s, value.data(), grad.data(), m.data(), v.data());
                }
                CHECK(distance(value, expected) <= 1e-6);
                CHECK(distance(m, em) <= 2e-7);
                CHECK(distance(v, ev) <= 2e-7);
            }
}

TEST_CASE("cpu optimizers: PyTorch's anchors") {
    const float grads[] = {.5f, .6f, .7f};
    const auto sgd = [&](SgdScalars s) {
        float value = 1, velocity = not_a_number;
        for (int i = 0; i < 3; ++i) {
            s.first = i == 0;
            sgd_step(cpu(), 1, &s, &value, &grads[i], &velocity);
        }
        return value;
    };
    CHECK(sgd({.learning_rate = .1, .momentum = .9}) == doctest::Approx(.6805).epsilon(1e-6));
    CHECK(sgd({.learning_rate = .1, .momentum = .9, .dampening = .5}) == doctest::Approx(.7725).epsilon(1e-6));
    CHECK(sgd({.learning_rate = .1, .momentum = .9, .weight_decay = .1, .nesterov = true}) == doctest::Approx(.460624646).epsilon(1e-6));
    const auto adam = [&](AdamScalars s) {
        float value = 1, m = 0, v = 0;
        for (int i = 0; i < 3; ++i) {
            s.correction1 = 1 - std::pow(s.beta1, i + 1);
            s.correction2 = 1 - std::pow(s.beta2, i + 1);
            adam_step(cpu(), 1, &s, &value, &grads[i], &m, &v);
        }
        return value;
    };
    CHECK(adam({.learning_rate = .1, .weight_decay = .1}) == doctest::Approx(.6995412676191609).epsilon(1e-6));
    CHECK(adam({.learning_rate = .1, .weight_decay = .1, .decoupled = true}) == doctest::Approx(.6729946676854355).epsilon(1e-6));
}

TEST_CASE("cpu muon: the steps around the orthogonalisation against the reference") {
    for (const index_t n : sizes)
        for (const bool nesterov : {false, true})
            for (const bool skip : {false, true}) {
                CAPTURE(n);
                MuonScalars s{.learning_rate = 0.1, .factor = 1.5, .momentum = 0.9, .weight_decay = 0.2, .nesterov = nesterov, .skip = skip};
                const Floats grad = reals(2, n), before = reals(1, n);
                Floats value = before, expected = value, velocity = reals(3, n), expected_velocity = velocity, direction = poisoned(n), d = direction;
                muon_direction(Reference<float>{}, n, &s, grad.data(), expected_velocity.data(), d.data());
                muon_direction(cpu(), n, &s, grad.data(), velocity.data(), direction.data());
                CHECK(distance(velocity, expected_velocity) <= 2e-7);
                CHECK(distance(direction, d) <= 2e-7);  // stays poisoned when skipped
                const Floats along = reals(4, n);
                muon_update(Reference<float>{}, n, &s, along.data(), expected.data());
                muon_update(cpu(), n, &s, along.data(), value.data());
                CHECK(distance(value, expected) <= 2e-7);
                if (skip) CHECK(same_bits(value, before));
            }
    for (const index_t n : sizes)
        for (const double squares : {4.0, 1e-20, 0.0}) {
            Floats x = reals(1, n), expected = x;
            divide_by_norm(Reference<float>{}, n, &squares, 1e-7, expected.data());
            divide_by_norm(cpu(), n, &squares, 1e-7, x.data());
            CHECK(same_bits(x, expected));
            if (n > 1) CHECK(x[1] == reals(1, n)[1] * static_cast<float>(squares == 4 ? 0.5 : 1e7));
        }
}

TEST_CASE("cpu clip: scales above the limit only") {
    for (const index_t n : sizes) {
        const Floats x = reals(1, n);
        for (const double squares : {0.25, 100.0}) {
            Floats value = x, expected = x;
            clip_scale(Reference<float>{}, n, &squares, 1.0, expected.data());
            clip_scale(cpu(), n, &squares, 1.0, value.data());
            CHECK(same_bits(value, expected));
            CHECK((same_bits(value, x) == (squares < 1 || n == 0)));
        }
        const double none = static_cast<double>(not_a_number);
        Floats value = x;
        clip_scale(cpu(), n, &none, 1.0, value.data());
        CHECK(same_bits(value, x));
    }
}

TEST_CASE("cpu optimizers: a value has the same bits wherever it stands and however many threads there are") {
    const index_t n = 100003;
    const Floats grad = reals(2, n);
    SgdScalars sgd{.learning_rate = 0.1, .momentum = 0.9, .weight_decay = 0.01};
    const AdamScalars adam{.learning_rate = 0.1, .correction1 = 0.1, .correction2 = 0.001};
    const MuonScalars muon{.learning_rate = 0.1, .factor = 0.3, .weight_decay = 0.1};
    const auto run = [&](const Cpu<float>& p, index_t first, index_t count) {
        Floats value = reals(1, n), velocity = reals(3, n), m = velocity, v(value.size(), 0.5f);
        const auto at = static_cast<std::size_t>(first);
        sgd_step(p, count, &sgd, &value[at], &grad[at], &velocity[at]);
        adam_step(p, count, &adam, &value[at], &grad[at], &m[at], &v[at]);
        Floats direction(value.size());
        muon_direction(p, count, &muon, &grad[at], &velocity[at], &direction[at]);
        muon_update(p, count, &muon, &direction[at], &value[at]);
        return value;
    };
    check_threads([&](const Cpu<float>& p) { return run(p, 0, n); });
    const Floats whole = run(cpu(), 0, n);
    for (index_t i = 0; i < 40; ++i) CHECK(run(cpu(), i, 1)[static_cast<std::size_t>(i)] == whole[static_cast<std::size_t>(i)]);
}
