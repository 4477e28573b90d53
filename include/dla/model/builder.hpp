// SPDX-License-Identifier: MIT
// Turns a description into state: runs over the network twice, once to count, once to hand out pointers.
#pragma once

#include <dla/layers/calls.hpp>
#include <dla/model/params.hpp>

namespace dla {

/// What `build` of a layer talks to. The first pass adds rows to the table and returns null pointers; the second returns the real ones.
template <class P>
class Builder {
public:
    Builder(ParamTable<P>& table, bool bind) : policy(table.policy), table_(table), bind_(bind) {}

    P policy;

    /// Declares the parameter `name` with PyTorch's dims; gives its value and gradient.
    Param<P> parameter(const char* name, ParamKind kind, const Dims& dims, Init init, DiskOrder order = {}) {
        if (bind_) {
            const ParamRow& row = table_.parameters[next_parameter_++];
            return {table_.weights(row.offset), table_.values(row.offset), table_.gradients(row.offset)};
        }
        check_size(name, dims, table_.value_count);
        table_.parameters.push_back({path(name), kind, dims, order, init, table_.value_count, dims.size(), layer(), true});
        table_.value_count += padded_count<typename P::master>(dims.size());
        return {};
    }
    /// Declares a buffer whose values start as `initial`.
    kernel::StatisticPtr<P> buffer(const char* name, const Dims& dims, double initial, DiskOrder order = {}) {
        if (bind_) return table_.buffer(table_.buffers[next_buffer_++].offset);
        check_size(name, dims, table_.buffer_count);
        table_.buffers.push_back({path(name), dims, order, initial, table_.buffer_count, dims.size()});
        table_.buffer_count += padded_count<typename P::statistic>(dims.size());
        return {};
    }
    /// Declares a 64-bit counter that starts at 0.
    typename P::template pointer<std::int64_t> counter(const char* name) {
        if (bind_) return table_.counter(table_.counters[next_counter_++].offset);
        table_.counters.push_back({path(name), static_cast<index_t>(table_.counters.size())});
        return {};
    }
    /// A switch that is true while the layer is to train as it infers (ParamTable::set_eval).
    const bool* mode() {
        if (bind_) return table_.mode(next_mode_++);
        table_.modes.push_back({path_});
        return nullptr;
    }
    /// A stream of random numbers of its own.
    std::uint32_t random_stream() { return static_cast<std::uint32_t>(RandomUse::first_layer) + streams_++; }

    // For containers.

    /// Puts `name` in front of what is declared while the returned object lives.
    class Scope {
    public:
        Scope(std::string& path, std::string_view name) : path_(path), length_(path.size()) { path_.append(path_.empty() ? "" : ".").append(name); }
        ~Scope() { path_.resize(length_); }
        Scope(const Scope&) = delete;
        Scope& operator=(const Scope&) = delete;

    private:
        std::string& path_;
        std::size_t length_;
    };
    Scope scope(const Text& name) { return Scope(path_, name.view()); }

    /// The first pass is over: notes what is known of the network as a whole.
    void describe_network(const Text& name, const Shape& in, const Shape& out, const detail::LayerFacts& facts) {
        check_row(name, in, out, facts);
        table_.network = make_row(name, in, out, facts);
        table_.network.end = next_layer_;
        table_.network.leaf = next_layer_ == 0;
        table_.network.first_param = 0;
        table_.network.end_param = table_.parameters.size();
    }

    /// A child begins; returns its row in the table of layers.
    int enter_layer(const Text& name, const Shape& in, const Shape& out, const detail::LayerFacts& facts) {
        const int id = next_layer_++;
        if (!bind_) {
            if (!open_.empty()) table_.layers[static_cast<std::size_t>(open_.back())].leaf = false;
            check_row(name, in, out, facts);
            table_.layers.push_back(make_row(name, in, out, facts));
        }
        open_.push_back(id);
        return id;
    }
    void leave_layer(int id) {
        open_.pop_back();
        if (bind_) return;
        LayerRow& row = table_.layers[static_cast<std::size_t>(id)];
        row.end = next_layer_;
        row.end_param = table_.parameters.size();
    }
    [[noreturn]] void refused(const Text& sentence) const { fail(ErrorCode::shape, "network", sentence.view()); }

private:
    /// Refuses an array that, with the `before` values in front of it, cannot be counted.
    void check_size(const char* name, const Dims& dims, index_t before) const {
        if (dims.size() <= max_values - before) return;
        Text sizes;
        for (int i = 0; i < dims.rank; ++i) sizes.append(i ? ", " : "").append(dims.d[i]);
        fail(ErrorCode::shape, path(name), text("with [", sizes, "] the network has more than ", max_values, " values (2^40)").view());
    }
    /// Notes the largest sample, and refuses a network that would not end in a lifetime: totals of its multiply-adds do not overflow then.
    void check_row(const Text& name, const Shape& in, const Shape& out, const detail::LayerFacts& facts) {
        table_.largest_sample = std::max({table_.largest_sample, in.size(), out.size()});
        macs_ = saturating_add(macs_, facts.macs);
        if (macs_ > max_macs)
            fail(ErrorCode::shape, path_, text("with ", name, " the network takes more than ", max_macs, " multiply-adds for a sample (2^60)").view());
    }
    LayerRow make_row(const Text& name, const Shape& in, const Shape& out, const detail::LayerFacts& facts) const {
        return {.path = path_,
                .name = std::string(name.view()),
                .type = std::string(facts.type.view()),
                .settings = std::string(facts.settings.view()),
                .in = in,
                .out = out,
                .macs = facts.macs,
                .depth = static_cast<int>(open_.size()),
                .first_param = table_.parameters.size(),
                .branches = facts.branches,
                .rectifies = facts.rectifies};
    }
    std::string path(const char* name) const { return path_.empty() ? std::string(name) : path_ + "." + name; }
    int layer() const { return open_.empty() ? -1 : open_.back(); }

    static constexpr index_t max_macs = index_t{1} << 60;

    ParamTable<P>& table_;
    bool bind_;
    std::string path_;
    std::vector<int> open_;
    std::size_t next_parameter_ = 0, next_buffer_ = 0, next_counter_ = 0, next_mode_ = 0;
    int next_layer_ = 0;
    index_t macs_ = 0;
    std::uint32_t streams_ = 0;
};

}  // namespace dla
