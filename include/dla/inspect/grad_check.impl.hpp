// SPDX-License-Identifier: MIT
// How gradients are checked.
#pragma once

#include <dla/core/finite.hpp>
#include <dla/model/workspace.hpp>

#include <cstring>

namespace dla::detail {

/// One network on Reference<double> with its input, output and gradients, each where a caller would have it.
class GradientCheck {
public:
    using P = Reference<double>;
    using Values = std::vector<double>;

    GradientCheck(std::unique_ptr<BuiltNetwork<P>> net, const Shape& in, const Shape& out, Needs needs, index_t batch, const GradientCheckOptions& options)
        : net_(std::move(net)), in_(in), out_(out), needs_(needs), batch_(batch), options_(options) {
        net_->build(table_, in_, out_, options.seed);
        position_ = {static_cast<std::uint64_t>(options.seed), 0, 1};

        // Away from the constants that parameters start with, where errors hide.
        RandomStream random(position_, RandomUse::split);
        for (const ParamRow& row : table_.parameters)
            for (index_t i = 0; i < row.count; ++i) table_.values(row.offset)[i] += 0.4 * random.uniform_double() - 0.2;
        x_ = distinct_values(batch_ * in_.size(), random);
        dy_.resize(static_cast<std::size_t>(batch_ * out_.size()));
        for (double& v : dy_) v = (random.bits() & 1 ? 1 : -1) * (0.25 + random.uniform_double());
        y_.resize(dy_.size());
        dx_.resize(x_.size());
        training_ = Workspace<P>(P{}, *net_, in_, out_, batch_, 0, true);
        without_dx_ = Workspace<P>(P{}, *net_, in_, out_, batch_, 0, false);
    }

    GradientReport run() {
        check_promises();
        for (const ParamRow& row : table_.parameters) compare(row.path, table_.values(row.offset), gradients_.data() + row.offset, row.count);
        compare("input", x_.data(), dx_.data(), static_cast<index_t>(x_.size()));
        return report_;
    }

private:
    /// Values in [-1.1, 1.1] that are not closer than 0.1 to zero and not closer than 1/n to each other: no kink of ReLU and no tie of a maximum is near.
    static Values distinct_values(index_t n, RandomStream& random) {
        Values v(static_cast<std::size_t>(n));
        for (index_t i = 0; i < n; ++i) {
            const double at = 2 * (static_cast<double>(i) + 0.25 + 0.5 * random.uniform_double()) / static_cast<double>(n) - 1;
            v[static_cast<std::size_t>(i)] = at + (at < 0 ? -0.1 : 0.1);
        }
        shuffle(v, random);
        return v;
    }

    Values forward(Workspace<P>& workspace) {
        workspace.poison(P{});
        std::fill(y_.begin(), y_.end(), std::numeric_limits<double>::quiet_NaN());
        Context<P> c = context(workspace);
        net_->forward(c, ConstView<P>(x_.data(), batch_, in_), View<P>(y_.data(), batch_, out_), workspace.tape());
        return y_;
    }
    void backward(Workspace<P>& workspace, double* dx) {
        Context<P> c = context(workspace);
        net_->backward(c, ConstView<P>(x_.data(), batch_, in_), ConstView<P>(y_.data(), batch_, out_), ConstView<P>(dy_.data(), batch_, out_),
                       View<P>(dx, batch_, in_), workspace.tape());
    }
    Context<P> context(const Workspace<P>& workspace) const {
        Context<P> c;
        c.scratch = workspace.scratch();
        c.random = &position_;
        return c;
    }
    Values parameter_gradients() const { return Values(table_.gradients(), table_.gradients() + table_.value_count); }
    Values parameter_values() const { return Values(table_.values(), table_.values() + table_.value_count); }

    static bool same_bits(const Values& a, const Values& b) {
        return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0);
    }
    void promise(bool kept, const char* otherwise) {
        if (!kept) report_.broken.emplace_back(otherwise);
    }

    void check_promises() {
        const Values x = x_, dy = dy_, values = parameter_values();
        const auto finite = [](const Values& v) { return std::all_of(v.begin(), v.end(), [](double e) { return is_finite(e); }); };
        promise(finite(forward(training_)), "forward left an output unwritten, or reads memory that nobody wrote");
        promise(same_bits(x, x_), "forward writes to its input");
        const Values y = y_;

        table_.zero_gradients();
        std::fill(dx_.begin(), dx_.end(), std::numeric_limits<double>::quiet_NaN());
        backward(training_, dx_.data());
        gradients_ = parameter_gradients();
        promise(finite(dx_), "backward does not overwrite all of dx, or reads memory that nobody wrote");
        promise(finite(gradients_), "backward reads memory that nobody wrote");
        promise(same_bits(x, x_), "backward writes to x");
        promise(same_bits(dy, dy_), "backward writes to dy");
        promise(same_bits(y, y_), "backward writes to y");
        promise(same_bits(values, parameter_values()), "forward or backward writes to a parameter");

        const Values dx = dx_;
        forward(training_);
        std::fill(dx_.begin(), dx_.end(), 1e30);
        backward(training_, dx_.data());
        promise(same_bits(dx, dx_), "backward adds to dx instead of overwriting it, or differs from run to run");
        double scale = 0;
        for (double g : gradients_) scale = std::max(scale, std::abs(g));
        const Values twice = parameter_gradients();
        bool doubled = true;
        for (std::size_t i = 0; i < twice.size(); ++i) doubled = doubled && std::abs(twice[i] - 2 * gradients_[i]) <= 1e-12 * scale;
        promise(doubled, "backward does not add to the parameter gradients");

        // What `needs` does not claim has been given away by the time of backward: it may hold anything.
        constexpr double nan = std::numeric_limits<double>::quiet_NaN();
        table_.zero_gradients();
        forward(training_);
        if (!needs_.x) std::fill(x_.begin(), x_.end(), nan);
        if (!needs_.y) std::fill(y_.begin(), y_.end(), nan);
        backward(training_, dx_.data());
        promise(same_bits(dx, dx_) && same_bits(gradients_, parameter_gradients()), "backward reads x or y although `needs` does not claim it");
        std::copy(x.begin(), x.end(), x_.begin());

        table_.zero_gradients();
        forward(without_dx_);
        backward(without_dx_, nullptr);
        promise(same_bits(gradients_, parameter_gradients()), "parameter gradients differ when dx is not wanted");
    }

    /// Compares `analytic` with (L(v + eps) - L(v - eps)) / 2 eps, L = sum of dy * y, entry by entry of `values`.
    void compare(const std::string& path, double* values, const double* analytic, index_t count) {
        const index_t looked_at = std::min(count, std::max<index_t>(options_.entries, 1));
        for (index_t k = 0; k < looked_at; ++k) {
            const index_t i =
                looked_at == count ? k : static_cast<index_t>((static_cast<double>(k) + 0.5) * static_cast<double>(count) / static_cast<double>(looked_at));
            const double kept = values[i], above = kept + options_.eps, below = kept - options_.eps;
            values[i] = above;
            const Values high = forward(training_);
            values[i] = below;
            const Values low = forward(training_);
            values[i] = kept;
            double difference = 0;
            for (std::size_t j = 0; j < dy_.size(); ++j) difference += dy_[j] * (high[j] - low[j]);
            const double numeric = difference / (above - below);
            const double ratio = std::abs(numeric - analytic[i]) / (options_.atol + options_.rtol * std::abs(numeric));
            ++report_.checked;
            if (analytic[i] != 0) ++report_.nonzero;
            if (report_.checked == 1 || !(ratio <= report_.worst)) {
                report_.worst = is_nan(ratio) ? std::numeric_limits<double>::infinity() : ratio;
                report_.path = path;
                report_.index = i;
                report_.numeric = numeric;
                report_.analytic = analytic[i];
            }
        }
    }

    std::unique_ptr<BuiltNetwork<P>> net_;
    Shape in_, out_;
    Needs needs_;
    index_t batch_;
    GradientCheckOptions options_;
    ParamTable<P> table_;
    RandomPosition position_;
    Workspace<P> training_, without_dx_;
    Values x_, y_, dy_, dx_, gradients_;
    GradientReport report_;
};

DLA_ONCE GradientReport check_network_gradients(std::unique_ptr<BuiltNetwork<Reference<double>>> net, const Shape& in, const Shape& out, Needs needs,
                                                index_t batch, const GradientCheckOptions& options) {
    return GradientCheck(std::move(net), in, out, needs, batch, options).run();
}

}  // namespace dla::detail
