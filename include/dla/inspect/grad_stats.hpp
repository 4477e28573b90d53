// SPDX-License-Identifier: MIT
// What happens in each layer on one batch: gradient norms, sizes of updates, dead ReLUs, and where values stop being finite.
#pragma once

#include <dla/core/finite.hpp>
#include <dla/core/table.hpp>
#include <dla/model/any_model.hpp>

#include <cstdio>
#include <limits>

namespace dla {

/// Norms of one parameter: L2, over its values as PyTorch's `p.norm()` and `p.grad.norm()`.
struct ParamStats {
    std::string path;
    ParamKind kind = ParamKind::weight;
    int layer = -1;  ///< row of ParamIndex::layers
    index_t count = 0;
    bool trainable = true;
    double value_norm = 0, gradient_norm = 0;
    double value_before = 0, update_norm = 0;  ///< before the last optimizer step and of its change; set by `add_updates`
};

/// One layer that has parameters of its own or ends with a ReLU. NaN: does not apply, or was not measured.
struct LayerStats {
    int layer = -1;          ///< row of ParamIndex::layers, -1: the whole network, when it is a single layer or a Residual
    std::string path, type;  ///< "3.block.0", "Linear"; of a ReLU inside of another layer "Residual, its ReLU"
    index_t parameters = 0, trainable = 0;
    double value_norm = std::numeric_limits<double>::quiet_NaN();     ///< L2 over all parameters of the layer
    double gradient_norm = std::numeric_limits<double>::quiet_NaN();  ///< likewise
    double update_ratio = std::numeric_limits<double>::quiet_NaN();   ///< L2 norm of the last optimizer step over that of the values before it
    double dead = std::numeric_limits<double>::quiet_NaN();           ///< share of units whose ReLU gave 0 for every sample (and pixel) of the batch
};

/// What `grad_stats` found, by parameter and by layer.
struct GradStats {
    double loss = 0;
    std::vector<ParamStats> parameters;  ///< in the order of ParamIndex::parameters
    std::vector<LayerStats> layers;      ///< in the order of the network
    std::string non_finite;              ///< the first place with a NaN or an infinity, e.g. `the output of layer 3.0 Linear<32, 10>`; empty: none

    /// Mean over trainable parameters (weights, biases, normalisation alike) of the L2 norm of their gradients.
    double mean_gradient_norm() const {
        double sum = 0;
        int count = 0;
        for (const ParamStats& p : parameters)
            if (p.trainable) sum += p.gradient_norm, ++count;
        return count == 0 ? 0 : sum / count;
    }
};

namespace detail {

template <class M>
struct ScalarOf {
    using type = float;  // of every AnyModel
};
template <class M>
    requires requires { typename M::Policy; }
struct ScalarOf<M> {
    using type = typename M::Policy::scalar;
};

inline const ParamIndex& rows_of(const AnyModel& model) { return model.index(); }
inline void read_values(const AnyModel& model, ParamPart part, const ParamRow& row, std::vector<float>& host) {
    host.resize(static_cast<std::size_t>(row.count));
    model.read(part, row, host);
}
inline LossResult run_inspection(AnyModel& model, const AnyLoss& loss, std::span<const float> inputs, const Targets& targets,
                                 Observer<Reference<float>>& observer) {
    return model.inspect(loss, inputs, targets, &observer);
}
template <class P>
const ParamIndex& rows_of(const BasicModel<P>& model) {
    return model.parameters();
}
template <class P>
void read_values(const BasicModel<P>& model, ParamPart part, const ParamRow& row, std::vector<typename P::master>& host) {
    host.resize(static_cast<std::size_t>(row.count));
    model.parameters().read(part, row, host);
}
template <class P, class Loss>
LossResult run_inspection(BasicModel<P>& model, const Loss& loss, std::span<const typename P::scalar> inputs, std::span<const typename Loss::Target> targets,
                          Observer<Reference<typename P::scalar>>& observer) {
    return inspect(model, loss, inputs, targets, &observer);
}

template <class T>
double sum_of_squares(std::span<const T> values) {
    double sum = 0;
    for (const T v : values) sum += static_cast<double>(v) * static_cast<double>(v);
    return sum;
}

/// Counts dead units and looks for values that are not finite.
template <class T>
class StatsObserver final : public NonFiniteFinder<T> {
public:
    using View = ConstView<Reference<T>>;
    explicit StatsObserver(const ParamIndex& index) : NonFiniteFinder<T>(index), index_(index), dead(index.layers.size() + 1, no_value) {}

    void after_forward(int layer, const View& y) override {
        NonFiniteFinder<T>::after_forward(layer, y);
        if (!index_.layer(layer).rectifies || y.size() == 0) return;
        // A unit is a channel of an image, in whatever order it lies, or a feature, the last axis of rows.
        const Shape& s = y.shape;
        const auto units = static_cast<std::size_t>(s.d[s.rank == 2 ? 1 : 0]);
        const auto inner = static_cast<std::size_t>(s.rank == 3 && !s.is_image() ? s.d[1] * s.d[2] : 1);
        std::vector<char> alive(units, 0);
        for (std::size_t i = 0; i < static_cast<std::size_t>(y.size()); ++i)
            if (y.data[i] != T(0)) alive[i / inner % units] = 1;
        dead[static_cast<std::size_t>(layer + 1)] = static_cast<double>(std::count(alive.begin(), alive.end(), 0)) / static_cast<double>(units);
    }

private:
    const ParamIndex& index_;

public:
    static constexpr double no_value = std::numeric_limits<double>::quiet_NaN();
    std::vector<double> dead;  // of the network, then of each layer
};

/// Sums what the parameters of each layer say.
inline void sum_layers(GradStats& stats) {
    for (LayerStats& layer : stats.layers) {
        if (layer.parameters == 0) continue;
        double value = 0, gradient = 0, before = 0, update = 0;
        for (const ParamStats& p : stats.parameters) {
            if (p.layer != layer.layer) continue;
            value += p.value_norm * p.value_norm;
            gradient += p.gradient_norm * p.gradient_norm;
            before += p.value_before * p.value_before;
            update += p.update_norm * p.update_norm;
        }
        layer.value_norm = std::sqrt(value);
        layer.gradient_norm = std::sqrt(gradient);
        if (before > 0) layer.update_ratio = std::sqrt(update / before);
    }
}

/// A number of a table; blank when it does not apply or was not measured.
inline std::string stats_number(const char* format, double value, bool applies) {
    char text[32];
    std::snprintf(text, sizeof text, format, value);
    return applies ? text : "";
}

}  // namespace detail

/// Statistics of `loss` on one batch: `grad_stats(model, CrossEntropy{}, inputs, labels)`. The model computes gradients in training mode and stays as it was,
/// but for its gradients, which are this batch's afterwards. Takes a Model or an AnyModel, and any loss.
template <class M, class Loss, class Inputs, class Values>
[[nodiscard]] GradStats grad_stats(M& model, const Loss& loss, const Inputs& inputs, const Values& targets) {
    using T = std::remove_cv_t<std::remove_reference_t<decltype(*std::data(inputs))>>;
    const ParamIndex& index = detail::rows_of(model);
    detail::StatsObserver<T> observer(index);
    GradStats stats;
    stats.loss = detail::run_inspection(model, loss, std::span<const T>(inputs), targets, observer).loss;
    std::vector<T> host;
    std::string bad_value, bad_gradient;
    const auto norm = [&](const char* what, const ParamRow& row, std::string& bad) {
        if (bad.empty() && !all_finite(std::span<const T>(host))) bad = what + row.path;
        return std::sqrt(detail::sum_of_squares(std::span<const T>(host)));
    };
    for (const ParamRow& row : index.parameters) {
        ParamStats p{.path = row.path, .kind = row.kind, .layer = row.layer, .count = row.count, .trainable = row.trainable};
        detail::read_values(model, ParamPart::value, row, host);
        p.value_norm = norm("parameter ", row, bad_value);
        detail::read_values(model, ParamPart::gradient, row, host);
        p.gradient_norm = norm("the gradient of parameter ", row, bad_gradient);
        stats.parameters.push_back(std::move(p));
    }
    const std::string bad_input = all_finite(std::span<const T>(inputs)) ? "" : "the input", bad_loss = is_finite(stats.loss) ? "" : "the loss";
    for (const std::string& bad : {bad_value, bad_input, observer.found(), bad_gradient, bad_loss})
        if (stats.non_finite.empty()) stats.non_finite = bad;
    for (int i = -1; i < static_cast<int>(index.layers.size()); ++i) {
        const LayerRow& row = index.layer(i);
        LayerStats layer{.layer = i, .path = row.path, .type = row.type, .dead = observer.dead[static_cast<std::size_t>(i + 1)]};
        for (const ParamStats& p : stats.parameters)
            if (p.layer == i) layer.parameters += p.count, layer.trainable += p.trainable ? p.count : 0;
        if (row.rectifies && row.type != "ReLU") layer.type += ", its ReLU";
        if (layer.parameters > 0 || row.rectifies) stats.layers.push_back(std::move(layer));
    }
    detail::sum_layers(stats);
    return stats;
}

/// One array of all parameters; their values are what `add_updates` takes.
template <class M>
[[nodiscard]] auto parameter_values(const M& model, ParamPart part = ParamPart::value) {
    std::vector<std::vector<typename detail::ScalarOf<M>::type>> values;
    for (const ParamRow& row : detail::rows_of(model).parameters) detail::read_values(model, part, row, values.emplace_back());
    return values;
}

/// Adds to `stats` how far the parameters have moved since `before` was taken by `parameter_values`, one optimizer step ago: the ratio of update to weight,
/// whose usual size is about 1e-3.
template <class T, class M>
void add_updates(GradStats& stats, const M& model, const std::vector<std::vector<T>>& before) {
    const ParamIndex& index = detail::rows_of(model);
    if (before.size() != index.parameters.size() || stats.parameters.size() != before.size())
        fail(ErrorCode::model, "add_updates", text("got values of ", before.size(), " parameters; expected ", index.parameters.size()).view());
    std::vector<T> now;
    for (std::size_t i = 0; i < before.size(); ++i) {
        ParamStats& p = stats.parameters[i];
        detail::read_values(model, ParamPart::value, index.parameters[i], now);
        p.value_before = std::sqrt(detail::sum_of_squares(std::span<const T>(before[i])));
        for (std::size_t j = 0; j < now.size(); ++j) now[j] -= before[i][j];
        p.update_norm = std::sqrt(detail::sum_of_squares(std::span<const T>(now)));
    }
    detail::sum_layers(stats);
}

/// The layers as a table for the terminal.
[[nodiscard]] inline std::string to_text(const GradStats& stats) {
    std::vector<std::vector<std::string>> lines{{"Layer", "Parameters", "Gradient norm", "Weight norm", "Update/weight", "Dead units"}};
    for (const LayerStats& l : stats.layers)
        lines.push_back({(l.path.empty() ? "" : l.path + "  ") + l.type + (l.parameters > 0 && l.trainable == 0 ? ", frozen" : ""),
                         l.parameters > 0 ? grouped(l.parameters) : "", detail::stats_number("%.3e", l.gradient_norm, l.parameters > 0),
                         detail::stats_number("%.3e", l.value_norm, l.parameters > 0), detail::stats_number("%.2e", l.update_ratio, !is_nan(l.update_ratio)),
                         detail::stats_number("%.1f %%", 100 * l.dead, !is_nan(l.dead))});
    std::string out = table_text(lines, {.style = TableStyle::ruled});
    out += "loss " + detail::stats_number("%.4f", stats.loss, true) + ", mean over parameters of the gradient norm " +
           detail::stats_number("%.3e", stats.mean_gradient_norm(), true) + "\n";
    if (!stats.non_finite.empty()) out += "not finite: " + stats.non_finite + "\n";
    return out;
}

}  // namespace dla
