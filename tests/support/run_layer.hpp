// SPDX-License-Identifier: MIT
// Runs a layer or network once on any policy: inference, forward and backward from host data, everything it made back on the host.
#pragma once

#include <dla/model/inference_workspace.hpp>
#include <dla/model/workspace.hpp>

#include <limits>

namespace support {

/// Outputs of inference and of training, all gradients in PyTorch's order, running statistics afterwards.
template <class T, class Master = T>
struct Outcome {
    std::vector<T> inferred, y, dx;
    std::vector<Master> gradients, buffers;
};

/// A network on policy P, with parameters that depend on the seed alone and are the same (rounded) numbers for every policy.
template <class P>
class Runner {
public:
    using T = typename P::scalar;
    using Values = std::vector<T>;
    using Masters = std::vector<typename P::master>;  // statistics are of that type, too
    using Result = Outcome<T, typename P::master>;

    template <class Net>
    Runner(const Net& net, const dla::Shape& in, dla::index_t batch, const P& policy = {}, bool want_dx = true)
        : Runner(dla::built_network<P>(net), in, net.out_shape(in).shape, batch, policy, want_dx) {}

    Runner(std::unique_ptr<dla::BuiltNetwork<P>> net, const dla::Shape& in, const dla::Shape& out, dla::index_t batch, const P& policy, bool want_dx)
        : table(policy), net_(std::move(net)), in_(in), out_(out), batch_(batch), want_dx_(want_dx) {
        net_->build(table, in_, out_, dla::Seed{7});
        dla::RandomStream random({11, 0, 0}, dla::RandomUse::split);
        for (const dla::ParamRow& row : table.parameters) {
            Masters v(static_cast<std::size_t>(row.count));
            table.read(dla::ParamPart::value, row, v);
            for (auto& e : v) e += static_cast<typename P::master>(0.25f * random.uniform() - 0.125f);
            table.write(dla::ParamPart::value, row, v);
        }
        for (const dla::BufferRow& row : table.buffers) {
            Masters v(static_cast<std::size_t>(row.count));
            for (auto& e : v) e = static_cast<typename P::statistic>(0.5f + random.uniform());
            table.write(row, v);
        }
        workspace_ = dla::Workspace<P>(policy, *net_, in_, out_, batch_, 0, want_dx);
        workspace_.poison(policy);
        inference_ = dla::InferenceWorkspace<P>(table, *net_, in_, out_, batch_);
        arena_ = dla::Arena<P>(policy, 4 * dla::align_up(batch_ * std::max(in_.size(), out_.size()) * static_cast<dla::index_t>(sizeof(T))) + dla::alignment);
    }

    /// `values` floats that do not depend on the policy, none near zero, no two near each other.
    static Values random_values(dla::index_t n, std::uint32_t stream) {
        dla::RandomStream random({5, 0, stream}, dla::RandomUse::synthesis);
        Values v(static_cast<std::size_t>(n));
        for (dla::index_t i = 0; i < n; ++i) {
            const float at = (2 * (static_cast<float>(i) + 0.25f) - static_cast<float>(n)) / static_cast<float>(std::max<dla::index_t>(n, 1));
            v[static_cast<std::size_t>(i)] = static_cast<T>(at + (at < 0 ? -0.125f : 0.125f));
        }
        dla::shuffle(v, random);
        return v;
    }

    /// What `run` computes with, unless it is told other inputs.
    Values inputs(dla::index_t batch) const { return random_values(batch * in_.size(), 1); }
    Values output_gradient(dla::index_t batch) const { return random_values(batch * out_.size(), 2); }

    /// Outputs lie in poisoned memory.
    Result run(dla::index_t batch = -1, const Values* other_inputs = nullptr) {
        if (batch < 0) batch = batch_;
        const auto bytes = [](std::size_t count) { return static_cast<dla::index_t>(count * sizeof(T)); };
        const Values x = other_inputs ? *other_inputs : inputs(batch), dy = output_gradient(batch);
        const dla::index_t room = dla::align_up(batch_ * std::max(in_.size(), out_.size()) * static_cast<dla::index_t>(sizeof(T)));
        const auto at = [&](int i) { return arena_.template at<T>(i * room); };
        const auto put = [&](int i, const Values& v) {
            if (!v.empty()) table.policy.copy_in(arena_.data() + i * room, v.data(), bytes(v.size()));
        };
        const auto get = [&](int i, std::size_t count) {
            Values v(count);
            dla::fetch(table.policy, v.data(), at(i), static_cast<dla::index_t>(count));
            return v;
        };
        const Values poison(std::max(x.size(), dy.size()), std::numeric_limits<T>::quiet_NaN());

        dla::Context<P> c;
        c.policy = table.policy;
        c.random = random_position();
        put(0, x), put(1, dy), put(2, poison), put(3, poison);
        const dla::ConstView<P> xv(at(0), batch, in_), dyv(at(1), batch, out_);
        const dla::View<P> yv(at(2), batch, out_), dxv(want_dx_ ? at(3) : typename P::template pointer<T>{}, batch, in_);

        Result result;
        inference_.infer(table, *net_, xv, yv);
        result.inferred = get(2, dy.size());

        put(2, poison);
        c.scratch = workspace_.scratch();
        table.zero_gradients();
        net_->forward(c, xv, yv, workspace_.tape());
        result.y = get(2, dy.size());
        net_->backward(c, xv, dla::ConstView<P>(yv), dyv, dxv, workspace_.tape());
        result.dx = get(3, want_dx_ ? x.size() : 0);
        for (const dla::ParamRow& row : table.parameters) {
            Masters v(static_cast<std::size_t>(row.count));
            table.read(dla::ParamPart::gradient, row, v);
            result.gradients.insert(result.gradients.end(), v.begin(), v.end());
        }
        for (const dla::BufferRow& row : table.buffers) {
            Masters v(static_cast<std::size_t>(row.count));
            table.read(row, v);
            result.buffers.insert(result.buffers.end(), v.begin(), v.end());
        }
        return result;
    }
    const dla::Shape& out_shape() const { return out_; }
    const dla::MemoryPlan& plan() const { return workspace_.plan(); }
    const dla::BuiltNetwork<P>& network() const { return *net_; }

    dla::ParamTable<P> table;

private:
    auto random_position() {
        if (position_.bytes() == 0) {
            position_ = dla::Arena<P>(table.policy, dla::alignment);
            const dla::RandomPosition value{3, 1, 4};
            table.policy.copy_in(position_.data(), &value, sizeof value);
        }
        return typename P::template pointer<const dla::RandomPosition>(position_.template at<const dla::RandomPosition>(0));
    }

    std::unique_ptr<dla::BuiltNetwork<P>> net_;
    dla::Shape in_, out_;
    dla::index_t batch_;
    bool want_dx_;
    dla::Workspace<P> workspace_;
    dla::InferenceWorkspace<P> inference_;
    dla::Arena<P> arena_, position_;
};

/// Equal to the last bit, NaN included.
template <class Values>
bool same_bits(const Values& a, const Values& b) {
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(a[0])) == 0);
}
template <class T>
bool same_outcome(const Outcome<T>& a, const Outcome<T>& b) {
    return same_bits(a.inferred, b.inferred) && same_bits(a.y, b.y) && same_bits(a.dx, b.dx) && same_bits(a.gradients, b.gradients) &&
           same_bits(a.buffers, b.buffers);
}

}  // namespace support
