// SPDX-License-Identifier: MIT
// Where a run stands: what checkpoints are made of, and the weights of a model as values.
#pragma once

#include <dla/model/any_model.hpp>
#include <dla/train/metrics.hpp>
#include <dla/train/rows.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace dla {

/// Values of all parameters and buffers, in PyTorch's order, and counters; in the order of the table.
struct Weights {
    ValueType type = ValueType::f32;
    std::vector<std::vector<std::byte>> arrays = {};  ///< bytes of values of `type`
    std::vector<std::int64_t> counters = {};
    bool empty() const { return arrays.empty(); }
    bool operator==(const Weights&) const = default;
};

/// The values that the model holds now.
DLA_ONCE Weights take_weights(const ParamAccess& model);
/// Writes them back into a model with the same rows and the same type of values. Throws Error(usage) for others.
DLA_ONCE void put_weights(ParamAccess& model, const Weights& w);
// The same of a model whose type is known.
template <class P>
Weights take_weights(const BasicModel<P>& model) {
    const auto access = detail::read_access(model.parameters());
    return take_weights(static_cast<const ParamAccess&>(access));
}
template <class P>
void put_weights(BasicModel<P>& model, const Weights& w) {
    ParamAccessOf<P> access(model.parameters());
    put_weights(static_cast<ParamAccess&>(access), w);
}

/// Where a run stands, besides weights, optimizer and schedule.
struct RunState {
    std::string kind = "epoch";  ///< epoch, interrupted, best or final
    std::string run;             ///< identity of the run (see new_run_id), so that files of two are not mixed; empty: none
    std::string config;          ///< canonical text of the configuration
    std::string options;         ///< of a run whose configuration was given as text: what else it was told; compared where both have it
    std::string isa;             ///< AnyModel::computes_on: bits are equal only there
    std::uint64_t data_fingerprint = 0;
    std::map<std::string, std::string> data;  ///< what is known of a Dataset, as from_metadata takes it; empty: nothing
    std::uint64_t seed = 42;
    int epoch = 0;          ///< finished epochs
    index_t batch = 0;      ///< finished batches of the epoch that is under way
    std::int64_t step = 0;  ///< steps in all
    RunningMean running;    ///< of the epoch under way
    EarlyStopping stopping;
    std::string monitor = "val_accuracy";  ///< what `stopping` watches, see EpochMetrics::find; where nothing is, "nothing"
    bool higher_is_better = true;
    std::vector<EpochMetrics> history;
    std::optional<double> test_accuracy;  ///< percent, once the run is over
    Weights best;                         ///< of the best epoch
    bool averages = false;                ///< a moving average of the weights is kept, see TrainerOptions::ema_decay
    Weights average;                      ///< that one; empty before the first step
};

/// ` it has `num_epochs = 20`, now `num_epochs = 30`` for the first line in which two configurations differ; empty when they are equal.
DLA_ONCE std::string first_difference(const std::string& then, const std::string& now);

}  // namespace dla

#if DLA_BODIES
#include <dla/train/run_state.impl.hpp>
#endif
