// SPDX-License-Identifier: MIT
// Parameters, buffers and counters of any model: as the bytes they are, whatever its types, or as floats.
#pragma once

#include <dla/model/params.hpp>
#include <dla/optim/optimizer.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <type_traits>
#include <vector>

namespace dla {

/// The type that a model keeps its parameters and buffers in: float, also of a network that computes in 16 bits, or double.
enum class ValueType { f32, f64 };
/// Bytes of a value.
constexpr std::size_t size_of(ValueType type) { return type == ValueType::f32 ? sizeof(float) : sizeof(double); }

/// Arrays are in PyTorch's order; as bytes they hold row.count values of `value_type()`, which lose nothing; as floats a double is rounded.
class ParamAccess {
public:
    virtual ~ParamAccess() = default;
    virtual const ParamIndex& index() const = 0;
    virtual ValueType value_type() const = 0;

    virtual void read(ParamPart part, const ParamRow& row, std::span<std::byte> host) const = 0;
    virtual void write(ParamPart part, const ParamRow& row, std::span<const std::byte> host) = 0;
    virtual void read(const BufferRow& row, std::span<std::byte> host) const = 0;
    virtual void write(const BufferRow& row, std::span<const std::byte> host) = 0;
    virtual std::int64_t read(const CounterRow& row) const = 0;
    virtual void write(const CounterRow& row, std::int64_t value) = 0;

    void read(ParamPart part, const ParamRow& row, std::span<float> host) const {
        as_floats(host, [&](std::span<std::byte> bytes) { read(part, row, bytes); });
    }
    void write(ParamPart part, const ParamRow& row, std::span<const float> host) {
        from_floats(host, [&](std::span<const std::byte> bytes) { write(part, row, bytes); });
    }
    void read(const BufferRow& row, std::span<float> host) const {
        as_floats(host, [&](std::span<std::byte> bytes) { read(row, bytes); });
    }
    void write(const BufferRow& row, std::span<const float> host) {
        from_floats(host, [&](std::span<const std::byte> bytes) { write(row, bytes); });
    }

protected:
    ParamAccess() = default;
    ParamAccess(const ParamAccess&) = default;
    ParamAccess& operator=(const ParamAccess&) = default;

    /// What read_bytes(bytes) reads, or write_bytes(bytes) writes, as floats.
    template <class Read>
    void as_floats(std::span<float> host, const Read& read_bytes) const {
        if (value_type() == ValueType::f32) return read_bytes(std::as_writable_bytes(host));
        std::vector<double> exact(host.size());
        read_bytes(std::as_writable_bytes(std::span(exact)));
        std::ranges::transform(exact, host.begin(), [](double v) { return static_cast<float>(v); });
    }
    template <class Write>
    void from_floats(std::span<const float> host, const Write& write_bytes) {
        if (value_type() == ValueType::f32) return write_bytes(std::as_bytes(host));
        const std::vector<double> exact(host.begin(), host.end());
        write_bytes(std::as_bytes(std::span(exact)));
    }
};

namespace detail {

/// Bytes as the values that they are of.
template <class T>
std::span<T> values_in(std::span<std::byte> bytes) {
    return {reinterpret_cast<T*>(bytes.data()), bytes.size() / sizeof(T)};
}
template <class T>
std::span<const T> values_in(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
}

/// What a table's policy must be for files and trainers to take it.
template <class P>
constexpr ValueType value_type_of() {
    using T = typename P::master;
    static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>, "dla: files and trainers take models whose parameters are float or double");
    static_assert(std::is_same_v<T, typename P::statistic>, "dla: files and trainers take models whose parameters and statistics are of one type");
    return std::is_same_v<T, float> ? ValueType::f32 : ValueType::f64;
}

}  // namespace detail

/// Looks at a table, which must outlive it.
template <class P>
class ParamAccessOf final : public ParamAccess {
    using T = typename P::master;

public:
    explicit ParamAccessOf(ParamTable<P>& table) : table_(&table) {}
    const ParamIndex& index() const override { return *table_; }
    ValueType value_type() const override { return detail::value_type_of<P>(); }
    using ParamAccess::read, ParamAccess::write;
    void read(ParamPart part, const ParamRow& row, std::span<std::byte> host) const override { table_->read(part, row, detail::values_in<T>(host)); }
    void write(ParamPart part, const ParamRow& row, std::span<const std::byte> host) override { table_->write(part, row, detail::values_in<T>(host)); }
    void read(const BufferRow& row, std::span<std::byte> host) const override { table_->read(row, detail::values_in<T>(host)); }
    void write(const BufferRow& row, std::span<const std::byte> host) override { table_->write(row, detail::values_in<T>(host)); }
    std::int64_t read(const CounterRow& row) const override { return table_->read(row); }
    void write(const CounterRow& row, std::int64_t value) override { table_->write(row, value); }

private:
    ParamTable<P>* table_;
};

namespace detail {
/// Looks at a table that nobody may write; it is const, so that only what reads can be called.
template <class P>
const ParamAccessOf<P> read_access(const ParamTable<P>& table) {
    return ParamAccessOf<P>(const_cast<ParamTable<P>&>(table));
}
}  // namespace detail

}  // namespace dla
