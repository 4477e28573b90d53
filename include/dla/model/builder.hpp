// SPDX-License-Identifier: MIT
// Turns a description into state: runs over the network twice, once to count, once to hand out pointers.
#pragma once

#include <dla/layers/calls.hpp>
#include <dla/model/params.hpp>

namespace dla {

/// The part of a Builder that does not depend on the policy: rows and paths.
class RowBuilder {
public:
    /// A stream of random numbers of its own.
    std::uint32_t random_stream() { return static_cast<std::uint32_t>(RandomUse::first_layer) + streams_++; }

    // For containers.

    /// Puts `name` in front of what is declared while the returned object lives.
    class Scope {
    public:
        Scope(std::string& path, std::string_view name);
        ~Scope() { path_.resize(length_); }
        Scope(const Scope&) = delete;
        Scope& operator=(const Scope&) = delete;

    private:
        std::string& path_;
        std::size_t length_;
    };
    Scope scope(const Text& name) { return Scope(path_, name.view()); }

    /// The first pass is over: notes what is known of the network as a whole.
    void describe_network(const Text& name, const Shape& in, const Shape& out, const detail::LayerFacts& facts);
    /// A child begins; returns its row in the table of layers.
    int enter_layer(const Text& name, const Shape& in, const Shape& out, const detail::LayerFacts& facts);
    void leave_layer(int id);
    [[noreturn]] void refused(const Text& sentence) const;

protected:
    RowBuilder(ParamIndex& index, bool bind) : index_(index), bind_(bind) {}

    // Each adds a row in the first pass, and gives the row that was added in the second.
    const ParamRow* declare_parameter(const char* name, ParamKind kind, const Dims& dims, const Init& init, const DiskOrder& order, index_t padded);
    const BufferRow* declare_buffer(const char* name, const Dims& dims, double initial, const DiskOrder& order, index_t padded);
    const CounterRow* declare_counter(const char* name);
    /// The number of the row, or -1 in the first pass.
    int declare_mode();

private:
    /// Refuses an array that, with the `before` values in front of it, cannot be counted.
    void check_size(const char* name, const Dims& dims, index_t before) const;
    /// Notes the largest sample, and refuses a network that would not end in a lifetime: totals of its multiply-adds do not overflow then.
    void check_row(const Text& name, const Shape& in, const Shape& out, const detail::LayerFacts& facts);
    LayerRow make_row(const Text& name, const Shape& in, const Shape& out, const detail::LayerFacts& facts) const;
    std::string path(const char* name) const;

    ParamIndex& index_;
    bool bind_;
    std::string path_;
    std::vector<int> open_;
    std::size_t next_parameter_ = 0, next_buffer_ = 0, next_counter_ = 0, next_mode_ = 0;
    int next_layer_ = 0;
    index_t macs_ = 0;
    std::uint32_t streams_ = 0;
};

/// What `build` of a layer talks to. The first pass adds rows to the table and returns null pointers; the second returns the real ones.
template <class P>
class Builder : public RowBuilder {
public:
    Builder(ParamTable<P>& table, bool bind) : RowBuilder(table, bind), policy(table.policy), table_(table) {}

    P policy;

    /// Declares the parameter `name` with PyTorch's dims; gives its value and gradient.
    Param<P> parameter(const char* name, ParamKind kind, const Dims& dims, Init init, DiskOrder order = {}) {
        const ParamRow* row = declare_parameter(name, kind, dims, init, order, padded_count<typename P::master>(dims.size()));
        if (!row) return {};
        return {table_.weights(row->offset), table_.values(row->offset), table_.gradients(row->offset)};
    }
    /// Declares a buffer whose values start as `initial`.
    kernel::StatisticPtr<P> buffer(const char* name, const Dims& dims, double initial, DiskOrder order = {}) {
        const BufferRow* row = declare_buffer(name, dims, initial, order, padded_count<typename P::statistic>(dims.size()));
        return row ? table_.buffer(row->offset) : kernel::StatisticPtr<P>{};
    }
    /// Declares a 64-bit counter that starts at 0.
    typename P::template pointer<std::int64_t> counter(const char* name) {
        const CounterRow* row = declare_counter(name);
        return row ? table_.counter(row->offset) : typename P::template pointer<std::int64_t>{};
    }
    /// A switch that is true while the layer is to train as it infers (ParamTable::set_eval).
    const bool* mode() {
        const int row = declare_mode();
        return row < 0 ? nullptr : table_.mode(static_cast<std::size_t>(row));
    }

private:
    ParamTable<P>& table_;
};

}  // namespace dla

#if DLA_BODIES
#include <dla/model/builder.impl.hpp>
#endif
