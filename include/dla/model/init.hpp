// SPDX-License-Identifier: MIT
// First values of parameters and buffers.
#pragma once

#include <dla/model/params.hpp>

namespace dla {

namespace detail {

/// `, 5 not in the file (0.weight, 0.bias, 1.weight, 1.bias, ...)`, or nothing for no names.
DLA_ONCE std::string names_text(const std::vector<std::string>& names, const char* what);
/// Initial values of parameter number `i` of a table, in PyTorch's order.
DLA_ONCE std::vector<double> first_values(const ParamRow& row, std::size_t i, Seed seed);

}  // namespace detail

/// Sets every parameter, buffer and counter to its initial value. A value depends on the seed, the row and its place in PyTorch's order only.
template <class P>
[[gnu::cold]] void initialise(ParamTable<P>& table, Seed seed) {
    for (std::size_t i = 0; i < table.parameters.size(); ++i) {
        const std::vector<double> values = detail::first_values(table.parameters[i], i, seed);
        table.write(ParamPart::value, table.parameters[i], std::vector<typename P::master>(values.begin(), values.end()));
    }
    std::vector<typename P::statistic> statistics;
    for (const BufferRow& row : table.buffers) {
        statistics.assign(static_cast<std::size_t>(row.count), static_cast<typename P::statistic>(row.initial));
        table.write(row, statistics);
    }
    for (const CounterRow& row : table.counters) table.write(row, 0);
}

/// What `copy_weights` did.
struct CopyReport {
    std::vector<std::string> copied;
    std::vector<std::string> missing;     ///< in the target, not in the source
    std::vector<std::string> unexpected;  ///< in the source, not in the target
    std::vector<std::string> mismatched;  ///< in both with different sizes

    /// `12 arrays copied, 2 not in the source (1.weight, 1.bias), ...`.
    [[nodiscard]] std::string text() const;
};
/// To any output stream.
template <class Stream>
auto operator<<(Stream& out, const CopyReport& report) -> decltype(out << report.text()) {
    return out << report.text();
}

/// Copies parameters and buffers from one table to another by path, whatever their policies; sizes must agree. Nothing else is touched.
template <class P, class Q>
CopyReport copy_weights(const ParamTable<P>& from, ParamTable<Q>& to) {
    CopyReport report;
    const auto copy_rows = [&]<class From, class To, class Row>(const std::vector<Row>& sources, const std::vector<Row>& targets, std::type_identity<From>,
                                                                std::type_identity<To>, auto&& read, auto&& write) {
        for (const Row& target : targets) {
            const auto source = std::find_if(sources.begin(), sources.end(), [&](const Row& row) { return row.path == target.path; });
            if (source == sources.end()) {
                report.missing.push_back(target.path);
            } else if (!(source->dims == target.dims)) {
                report.mismatched.push_back(target.path);
            } else {
                std::vector<From> host(static_cast<std::size_t>(source->count));
                read(*source, std::span(host));
                std::vector<To> converted(host.begin(), host.end());
                write(target, std::span<const To>(converted));
                report.copied.push_back(target.path);
            }
        }
        for (const Row& source : sources)
            if (std::none_of(targets.begin(), targets.end(), [&](const Row& row) { return row.path == source.path; })) report.unexpected.push_back(source.path);
    };
    copy_rows(
        from.parameters, to.parameters, std::type_identity<typename P::master>{}, std::type_identity<typename Q::master>{},
        [&](const ParamRow& row, auto host) { from.read(ParamPart::value, row, host); },
        [&](const ParamRow& row, auto host) { to.write(ParamPart::value, row, host); });
    copy_rows(
        from.buffers, to.buffers, std::type_identity<typename P::statistic>{}, std::type_identity<typename Q::statistic>{},
        [&](const BufferRow& row, auto host) { from.read(row, host); }, [&](const BufferRow& row, auto host) { to.write(row, host); });
    for (const CounterRow& target : to.counters)
        for (const CounterRow& source : from.counters)
            if (source.path == target.path) to.write(target, from.read(source));
    return report;
}

}  // namespace dla

#if DLA_BODIES
#include <dla/model/init.impl.hpp>
#endif
