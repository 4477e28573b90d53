// SPDX-License-Identifier: MIT
// Where the time of a training step goes: forward and backward, layer by layer, in the step itself.
#pragma once

#include <dla/core/table.hpp>
#include <dla/model/observe.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <span>

namespace dla {

/// A layer, or neighbours that the policy computes together. Times in seconds.
struct LayerTime {
    std::vector<int> layers;           ///< rows of ParamIndex::layers; none: what containers do themselves, such as the sums of residual blocks
    double forward = 0, backward = 0;  ///< backward is 0 where nobody wants its gradients
};
/// What `profile` measured.
struct Profile {
    index_t batch = 0;
    double pass = 0;                ///< forward and backward of the whole network with the loss, in seconds
    std::vector<LayerTime> layers;  ///< in the order of the network, what containers do last
};

namespace detail {

/// Collects the times of each pass.
class ProfileClock final : public LayerClock {
public:
    using Clock = std::chrono::steady_clock;
    struct Times {
        std::vector<double> forward, backward;  // of each pass
    };
    std::map<std::vector<int>, Times> layers;
    std::function<void()> settle;  ///< waits for what is queued; empty where nothing is

    void next_pass() {
        ++passes_;
        for (auto& [layer, t] : layers) t.forward.resize(passes_), t.backward.resize(passes_);
    }
    void begin() override {
        if (settle) settle();
        start_ = Clock::now();
    }
    void end(std::span<const int> rows, bool backward) override {
        if (settle) settle();
        const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
        Times& t = layers[{rows.begin(), rows.end()}];
        t.forward.resize(passes_), t.backward.resize(passes_);
        (backward ? t.backward : t.forward).back() += seconds;
    }

private:
    std::size_t passes_ = 0;
    Clock::time_point start_;
};

inline double median(std::vector<double> values) {
    if (values.empty()) return 0;
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

}  // namespace detail

/// Medians over `passes` (at least one) forward and backward passes on a batch (after one that does not count), as in `train_step` but without clipping and
/// optimizer. Nothing is changed but the gradients. A layer that is computed twice in a pass counts twice. Where work is queued, each layer is waited for, so
/// that it is the layer's own time, and the sum more than a step takes.
template <class P, class Loss>
[[nodiscard]] Profile profile(BasicModel<P>& model, const Loss& loss, std::span<const typename P::scalar> inputs,
                              std::span<const typename Loss::Target> targets, int passes = 5) {
    using Clock = detail::ProfileClock::Clock;
    detail::ProfileClock clock;
    if constexpr (!P::shares_host) clock.settle = [policy = model.parameters().policy] { policy.wait(policy.record()); };
    std::vector<double> whole;
    struct Restore {
        BasicModel<P>& model;
        LayerClock* before;
        ~Restore() { model.clock = before; }
    } restore{model, model.clock};
    for (int pass = -1; pass < std::max(1, passes); ++pass) {
        const detail::Inspection keep(model, static_cast<Observer<P>*>(nullptr));
        model.parameters().zero_gradients();
        model.clock = pass < 0 ? nullptr : &clock;
        if (pass >= 0) clock.next_pass();
        const auto start = Clock::now();
        model.compute_gradients(loss, inputs, targets);
        if (pass >= 0) whole.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    }
    const index_t batch = static_cast<index_t>(inputs.size()) / std::max<index_t>(1, model.input_shape().size());
    Profile result{.batch = batch, .pass = detail::median(whole), .layers = {}};
    for (const auto& [layers, t] : clock.layers) result.layers.push_back({layers, detail::median(t.forward), detail::median(t.backward)});
    std::stable_partition(result.layers.begin(), result.layers.end(), [](const LayerTime& t) { return !t.layers.empty(); });
    return result;
}

/// `1-3  Conv2d<1, 8, 3>, BatchNorm2d<8>, ReLU`: paths and names of the layers that a time is of.
[[nodiscard]] inline std::string layer_text(const ParamIndex& index, const LayerTime& time) {
    if (time.layers.empty()) return "sums and copies of containers";
    const auto row = [&](int layer) -> const LayerRow& { return index.layers[static_cast<std::size_t>(layer)]; };
    const std::string &first = row(time.layers.front()).path, &last = row(time.layers.back()).path;
    const std::string container = first.substr(0, first.rfind('.') + 1);  // whose children they are, most often
    std::string text = first;
    if (first != last) text += last.starts_with(container) ? "-" + last.substr(container.size()) : " to " + last;
    for (const int layer : time.layers) text += (layer == time.layers.front() ? "  " : ", ") + row(layer).name;
    return text;
}

/// The profile as a table: times in milliseconds, shares of the pass.
[[nodiscard]] inline std::string profile_text(const ParamIndex& index, const Profile& profile) {
    const auto number = [](const char* format, double v) {
        char line[32];
        std::snprintf(line, sizeof line, format, v);
        return std::string(line);
    };
    std::vector<std::vector<std::string>> lines{{"Layer", "Forward ms", "Backward ms", "Share"}};
    double sum = 0;
    const auto add = [&](const std::string& name, double forward, double backward) {
        lines.push_back({name, number("%.3f", 1e3 * forward), backward > 0 ? number("%.3f", 1e3 * backward) : "",
                         profile.pass > 0 ? number("%.1f %%", 100 * (forward + backward) / profile.pass) : ""});
    };
    for (const LayerTime& t : profile.layers) {
        add(layer_text(index, t), t.forward, t.backward);
        sum += t.forward + t.backward;
    }
    add("loss and the rest", std::max(0.0, profile.pass - sum), 0);
    return table_text(lines, {.style = TableStyle::ruled}) + "\nforward and backward of " + grouped(profile.batch) +
           " samples: " + number("%.3f ms", 1e3 * profile.pass) + "\n";
}

}  // namespace dla
