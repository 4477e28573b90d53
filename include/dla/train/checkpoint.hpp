// SPDX-License-Identifier: MIT
// Checkpoints: everything a run is made of in one safetensors file, with PyTorch's names and layouts for the weights.
#pragma once

#include <dla/io/safetensors.hpp>
#include <dla/model/any_model.hpp>
#include <dla/optim/any_schedule.hpp>
#include <dla/train/run_state.hpp>

namespace dla {

/// Tensors of a file that holds these weights, under PyTorch's names and in its layouts. They view the weights, which must outlive them.
DLA_ONCE std::vector<StoredTensor> stored_tensors(const ParamIndex& index, const Weights& weights);
std::vector<StoredTensor> stored_tensors(const ParamIndex&, const Weights&&) = delete;

/// Writes a checkpoint atomically. With optimizer and schedule a run can continue from it; without, it holds the weights alone (PyTorch's
/// load_state_dict takes them as they are). Throws Error(io).
DLA_ONCE void save_checkpoint(const std::string& path, const AnyModel& model, const RunState& state, Optimizer* optimizer = nullptr,
                              const AnySchedule* schedule = nullptr);

/// An opened checkpoint: its state is read, its arrays are checked when they are loaded into a model.
class Checkpoint {
public:
    /// Throws Error(checkpoint) when the file is damaged or no checkpoint.
    explicit Checkpoint(const std::string& path) : Checkpoint(SafetensorsFile::read(path)) {}
    explicit Checkpoint(SafetensorsFile file);

    const RunState& state() const& { return state_; }
    RunState state() && { return std::move(state_); }
    const std::string& where() const& { return file_.where(); }
    bool can_resume() const { return !optimizer_.empty(); }

    /// Copies parameters and buffers into a model. Throws Error(checkpoint), the model unchanged, when an array is missing or does not fit.
    void load_weights(AnyModel& model) const;

    /// As load_weights, and everything else a run needs to continue bit for bit. The optimizer and the schedule must be of the kind that was saved.
    RunState load_run(AnyModel& model, Optimizer& optimizer, AnySchedule& schedule) const;

private:
    std::string metadata(const std::string& key) const;

    SafetensorsFile file_;
    RunState state_;
    std::string optimizer_;
    std::int64_t optimizer_steps_ = 0;
    std::vector<std::int64_t> steps_of_parameters_;  // empty: all have taken optimizer_steps_
    std::vector<NamedNumber> schedule_;
};

}  // namespace dla

#if DLA_BODIES
#include <dla/train/checkpoint.impl.hpp>
#endif
