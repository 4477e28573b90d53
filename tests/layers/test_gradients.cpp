// SPDX-License-Identifier: MIT
// Gradients of every layer, and that the checker itself finds what it is there to find.
#include <doctest/doctest.h>

#include <dla/inspect/grad_check.hpp>
#include <support/layer_cases.hpp>

using namespace dla;

TEST_CASE("every layer: gradients and promises about memory") {
    support::for_each_layer_case([](const std::string& name, const auto& layer, const Shape& in, index_t batch) {
        CAPTURE(name);
        const GradientReport report = check_gradients(layer, in, batch);
        INFO(report.text());
        CHECK(report.ok());
        CHECK(report.checked > 0);
        if (name != "Dropout 1") CHECK(report.nonzero * 8 > report.checked);  // strided pools pass some inputs by
    });
}

namespace {

enum class Flaw { none, wrong_factor, wrong_sign_of_one, dx_added, gradient_overwritten, writes_x, writes_dy, forgets_one, forgets_when_no_dx };

/// y = w * x for each feature: a user's layer in a few lines, correct or with one flaw.
struct Scale {
    Flaw flaw = Flaw::none;

    template <class P>
    struct State {
        Param<P> weight;
    };
    template <class P>
    using Tape = Nothing;

    constexpr Text name() const { return "Scale"; }
    constexpr ShapeResult out_shape(Shape s) const {
        if (s.rank > 1) return refuse("expected [features]");
        return s;
    }
    template <class P, class Builder>
    State<P> build(Builder& b, const Shape& s) const {
        return {b.parameter("weight", ParamKind::weight, {s.d[0]}, Init{.fixed = 1})};
    }
    template <class P>
    void infer(Context<P>&, const State<P>& state, ConstView<P> x, View<P> y) const {
        for (index_t i = 0; i < x.size(); ++i) y.data[i] = state.weight.value[i % x.shape.d[0]] * x.data[i];
    }
    template <class P>
    void forward(Context<P>& c, State<P>& state, ConstView<P> x, View<P> y, Nothing&) const {
        infer(c, state, x, y);
    }
    template <class P>
    void backward(Context<P>&, State<P>& state, ConstView<P> x, ConstView<P>, ConstView<P> dy, View<P> dx, Nothing&) const {
        const index_t n = x.shape.d[0];
        if (flaw == Flaw::gradient_overwritten) std::fill(state.weight.grad, state.weight.grad + n, 0);
        if (!(flaw == Flaw::forgets_when_no_dx && !dx))
            for (index_t i = 0; i < x.size(); ++i) state.weight.grad[i % n] += dy.data[i] * x.data[i] * (flaw == Flaw::wrong_factor ? 1.0001 : 1);
        if (flaw == Flaw::writes_x) const_cast<double*>(x.data)[0] = 0;
        if (flaw == Flaw::writes_dy) const_cast<double*>(dy.data)[0] = 0;
        if (!dx) return;
        for (index_t i = 0; i < x.size(); ++i) {
            if (flaw == Flaw::forgets_one && i == 3) continue;
            const double g = state.weight.value[i % n] * dy.data[i] * (flaw == Flaw::wrong_sign_of_one && i == 4 ? -1 : 1);
            dx.data[i] = flaw == Flaw::dx_added ? dx.data[i] + g : g;
        }
    }
};

bool mentions(const GradientReport& report, const char* words) { return report.text().find(words) != std::string::npos; }

}  // namespace

TEST_CASE("a user's layer passes in three lines") {
    const GradientReport report = check_gradients(Scale{}, Shape{5}, 3);
    INFO(report.text());
    REQUIRE(report.ok());
    CHECK(report.checked == 5 + 15);
    CHECK(report.nonzero == 20);
    CHECK(check_gradients(Sequential<Linear<Dyn, 4>, Scale, Tanh, Scale>{}, Shape{3}, 2).ok());
}

TEST_CASE("the checker names what is wrong") {
    const auto check = [](Flaw flaw) { return check_gradients(Scale{flaw}, Shape{5}, 3); };
    const GradientReport factor = check(Flaw::wrong_factor);
    CHECK_FALSE(factor.ok());
    CHECK(factor.path == "weight");
    CHECK(factor.analytic == doctest::Approx(1.0001 * factor.numeric).epsilon(1e-6));
    const GradientReport sign = check(Flaw::wrong_sign_of_one);
    CHECK_FALSE(sign.ok());
    CHECK(sign.path == "input");
    CHECK(sign.index == 4);
    CHECK(sign.broken.empty());
    for (const auto& [flaw, words] : {std::pair{Flaw::dx_added, "overwrite"},
                                      {Flaw::gradient_overwritten, "does not add to the parameter gradients"},
                                      {Flaw::writes_x, "writes to x"},
                                      {Flaw::writes_dy, "writes to dy"},
                                      {Flaw::forgets_one, "does not overwrite all of dx"},
                                      {Flaw::forgets_when_no_dx, "when dx is not wanted"}}) {
        const GradientReport report = check(flaw);
        INFO(report.text());
        CHECK_FALSE(report.ok());
        CHECK(mentions(report, words));
    }
    CHECK_THROWS_WITH_AS(check_gradients(Scale{}, Shape{2, 5}, 3), "error[shape] check_gradients: Scale refuses input [2, 5] (10 values): expected [features]",
                         Error);
}

namespace {

/// Reads x in backward and says that it does not: right alone, wrong in a network that has given x away.
struct Forgetful : Scale {
    static constexpr Needs needs{.x = false, .y = false};
};

}  // namespace

TEST_CASE("the checker finds a layer that reads what its needs do not claim") {
    const GradientReport report = check_gradients(Forgetful{}, Shape{5}, 4);
    CHECK_FALSE(report.ok());
    REQUIRE(!report.broken.empty());
    CHECK(report.broken[0].find("`needs` does not claim") != std::string::npos);
}

TEST_CASE("large arrays are sampled evenly") {
    const GradientReport report = check_gradients(Linear<Dyn, 9>{}, Shape{11}, 7, {.entries = 10});
    CHECK(report.ok());
    CHECK(report.checked == 10 + 9 + 10);
}

namespace {

/// Every other value, and says that it may write over its input: only where sizes stay is that true.
template <bool Forward, bool Backward>
struct Thin {
    static constexpr Needs needs{};
    static constexpr InPlace in_place{.forward = Forward, .backward = Backward};

    constexpr Text name() const { return "Thin"; }
    constexpr ShapeResult out_shape(Shape s) const {
        if (s.rank == 1 && s.d[0] != Dyn) s = Shape(s.d[0] / 2);
        return s;
    }
    template <class P>
    void infer(Context<P>&, ConstView<P> x, View<P> y) const {
        for (index_t i = 0; i < y.size(); ++i) y.data[i] = x.data[2 * i];
    }
    template <class P>
    void backward(Context<P>&, ConstView<P>, ConstView<P>, ConstView<P> dy, View<P> dx) const {
        for (index_t i = 0; i < dy.size(); ++i) dx.data[2 * i] = dy.data[i], dx.data[2 * i + 1] = 0;
    }
};

}  // namespace

TEST_CASE("a layer that works in place and changes the size is refused") {
    const auto sentence = [](const auto& f) -> std::string {
        try {
            f();
        } catch (const Error& e) {
            return e.what();
        }
        return "no error";
    };
    const std::string why = "it works in place (in_place) but gives [3], which has another size; leave in_place out";
    CHECK(check_gradients(Thin<false, false>{}, Shape{6}, 3).ok());
    CHECK(sentence([] { check_gradients(Thin<true, false>{}, Shape{6}, 3); }) == "error[shape] check_gradients: Thin refuses input [6]: " + why);
    CHECK(sentence([] { check_gradients(Thin<false, true>{}, Shape{6}, 3); }) == "error[shape] check_gradients: Thin refuses input [6]: " + why);
    using Net = Sequential<Linear<Dyn, Dyn>, Thin<true, true>, Linear<Dyn, 2>>;
    Net net;
    get<0>(net.layers).out = 6;
    CHECK(sentence([&] { Model<Net, Shape{}, Reference<double>>(net, Shape{4}, Seed{1}); }) == "error[shape] network: layer 1 Thin refuses input [6]: " + why);
    CHECK(sentence([&] { check_gradients(net, Shape{4}, 3); }) == "error[shape] check_gradients: layer 1 Thin refuses input [6]: " + why);
    using Inside = Sequential<Linear<Dyn, 6>, Repeat<Thin<true, true>>, Residual<Repeat<Thin<true, true>>, Linear<Dyn, 3>>>;
    Inside inside;
    get<1>(inside.layers) = Repeat<Thin<true, true>>(1);
    CHECK(sentence([&] { Model<Inside, Shape{}, Reference<double>>(inside, Shape{4}, Seed{1}); }) ==
          "error[shape] network: layer 1 Thin refuses input [6]: " + why);
    get<1>(inside.layers) = Repeat<Thin<true, true>>(0);
    get<2>(inside.layers).block = Repeat<Thin<true, true>>(1);
    CHECK(sentence([&] { Model<Inside, Shape{}, Reference<double>>(inside, Shape{4}, Seed{1}); }).find(why) != std::string::npos);
    CHECK(sentence([] { Model<Thin<true, true>, Shape{}, Reference<double>>({}, Shape{6}, Seed{1}); }) ==
          "error[shape] network: Thin refuses input [6]: " + why);
}

namespace {

/// Says that its output is its input, seen otherwise, and makes it larger.
struct Widens {
    static constexpr Needs needs{};
    static constexpr bool is_view = true;
    constexpr Text name() const { return "Widens"; }
    constexpr ShapeResult out_shape(Shape s) const { return Shape{64 * s.d[0]}; }
    template <class P>
    void infer(Context<P>&, ConstView<P>, View<P>) const {}
    template <class P>
    void backward(Context<P>&, ConstView<P>, ConstView<P>, ConstView<P>, View<P>) const {}
};

}  // namespace

TEST_CASE("a view that changes the size is refused") {
    using Net = Sequential<Linear<4, 8>, Widens, Linear<Dyn, 2>>;
    CHECK_THROWS_WITH_AS(
        (Model<Net, Shape{}, Reference<double>>(Net{}, Shape{4}, Seed{1})),
        "error[shape] network: layer 1 Widens refuses input [8]: it is a view (is_view) but gives [512], which has another size; leave is_view out", Error);
    CHECK_THROWS_AS((void)check_gradients(Widens{}, Shape{8}, 2), Error);
}
