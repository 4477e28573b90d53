// SPDX-License-Identifier: MIT
// Optimizers that are chosen at run time.
#include "golden_rules.hpp"

#include <cmath>
#include <string_view>

using namespace dla;
using namespace optim_test;

TEST_CASE("an optimizer by name") {
    const Optimizer adam = make_optimizer("adam"), adamw = make_optimizer("adamw", {.beta1 = 0.8}),
                    sgd = make_optimizer("sgd", {.learning_rate = 0.5, .momentum = 0.9, .nesterov = true});
    CHECK(std::string_view(adam.name()) == "adam");
    CHECK(std::string_view(adamw.name()) == "adamw");
    CHECK(std::string_view(sgd.name()) == "sgd");
    // What is not given keeps the optimizer's own default.
    CHECK(adam.learning_rate() == 1e-3);
    CHECK(adam.weight_decay() == 0);
    CHECK(adamw.weight_decay() == 0.01);
    CHECK(adamw.momentum() == 0.8);
    CHECK(sgd.learning_rate() == 0.5);
    CHECK(sgd.momentum() == 0.9);
    CHECK(sgd.nesterov());
    CHECK(make_optimizer("sgd").momentum() == 0);
    for (const char* name : {"sgd", "adam", "adamw"}) {
        const Optimizer spared = make_optimizer(name, {.weight_decay = 0.25, .decay_bias_and_norm = false});
        CHECK(spared.weight_decay() == 0.25);
        CHECK_FALSE(spared.decay_bias_and_norm());
    }
}

TEST_CASE("slots have PyTorch's names") {
    const auto names = [](const Optimizer& o) {
        std::string all;
        for (const char* name : o.slot_names()) all += std::string(name) + " ";
        CHECK(o.slot_names().size() == static_cast<std::size_t>(o.slot_count()));
        return all;
    };
    CHECK(names(Adam()) == "exp_avg exp_avg_sq ");
    CHECK(names(AdamW()) == "exp_avg exp_avg_sq ");
    CHECK(names(Sgd()) == "");
    CHECK(names(Sgd({.momentum = 0.9})) == "momentum_buffer ");
}

TEST_CASE("rate, momentum and steps") {
    for (Optimizer o : {Optimizer(Adam()), Optimizer(AdamW()), Optimizer(Sgd({.momentum = 0.9}))}) {
        CAPTURE(o.name());
        o.set_learning_rate(0.25);
        CHECK(o.learning_rate() == 0.25);
        o.set_momentum(0.5);
        CHECK(o.momentum() == 0.5);
        o.set_steps(17);
        CHECK(o.steps() == 17);
        const auto refused = [&](const auto& f) { return code_of(f) == ErrorCode::usage; };
        CHECK(refused([&] { o.set_learning_rate(-1); }));
        CHECK(refused([&] { o.set_learning_rate(std::nan("")); }));
        CHECK(refused([&] { o.set_learning_rate(HUGE_VAL); }));
        CHECK(refused([&] { o.set_momentum(1); }));
        CHECK(refused([&] { o.set_momentum(-0.1); }));
        CHECK(refused([&] { o.set_momentum(std::nan("")); }));
        CHECK(refused([&] { o.set_steps(-1); }));
        CHECK(o.learning_rate() == 0.25);
        CHECK(o.momentum() == 0.5);
        CHECK(o.steps() == 17);
    }
    // Velocity that was not kept up to date must not come back.
    Optimizer with = Sgd({.momentum = 0.9}), without = Sgd();
    CHECK(code_of([&] { with.set_momentum(0); }) == ErrorCode::usage);
    CHECK(code_of([&] { without.set_momentum(0.9); }) == ErrorCode::usage);
    const AnySchedule cycle({.rule = OneCycle({.length = 10})}), rate_only({.rule = OneCycle({.length = 10, .cycle_momentum = false})});
    CHECK(code_of([&] { cycle.apply(without); }) == ErrorCode::usage);
    CHECK(code_of([&] { rate_only.apply(without); }) == std::nullopt);
}

TEST_CASE("options that an optimizer does not have, or refuses") {
    const auto refused = [](std::string_view name, const OptimizerOptions& o) { return code_of([&] { (void)make_optimizer(name, o); }) == ErrorCode::usage; };
    CHECK(refused("adagrad", {}));
    CHECK(refused("", {}));
    for (const char* name : {"adam", "adamw"}) {
        CHECK(refused(name, {.momentum = 0.9}));
        CHECK(refused(name, {.dampening = 0.0}));
        CHECK(refused(name, {.nesterov = false}));
        CHECK(refused(name, {.beta1 = 1.0}));
        CHECK(refused(name, {.beta2 = -0.1}));
        CHECK(refused(name, {.eps = -1.0}));
        CHECK(refused(name, {.eps = std::nan("")}));
    }
    CHECK(refused("sgd", {.beta1 = 0.9}));
    CHECK(refused("sgd", {.beta2 = 0.9}));
    CHECK(refused("sgd", {.eps = 1e-8}));
    CHECK(refused("sgd", {.momentum = -0.9}));
    CHECK(refused("sgd", {.momentum = std::nan("")}));
    CHECK(refused("sgd", {.nesterov = true}));
    CHECK(refused("sgd", {.momentum = 0.9, .dampening = 0.1, .nesterov = true}));
    for (const char* name : {"sgd", "adam", "adamw"}) {
        CHECK(refused(name, {.learning_rate = -1.0}));
        CHECK(refused(name, {.learning_rate = std::nan("")}));
        CHECK(refused(name, {.weight_decay = -1.0}));
        CHECK(refused(name, {.weight_decay = std::nan("")}));
    }
}
