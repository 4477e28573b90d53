// SPDX-License-Identifier: MIT
// A model as a table: layers, shapes, parameters, multiply-adds, memory.
#pragma once

#include <dla/model/model.hpp>

#include <cstdio>

namespace dla {

namespace detail {

/// `1234567` as `1,234,567`.
inline std::string grouped(index_t n) {
    std::string digits = std::to_string(n);
    for (int i = static_cast<int>(digits.size()) - 3; i > 0; i -= 3) digits.insert(static_cast<std::size_t>(i), 1, ',');
    return digits;
}
/// `12.3 MiB`.
inline std::string byte_text(index_t bytes) {
    const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = static_cast<double>(bytes);
    int unit = 0;
    while (value >= 1024 && unit < 4) value /= 1024, ++unit;
    char line[32];
    std::snprintf(line, sizeof line, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return line;
}

}  // namespace detail

/// One line for each layer, containers indented around what they hold, and the totals. `scalar_bytes`: of one parameter; `plan`: of a training step;
/// `slots`: values an optimizer keeps for each parameter.
[[nodiscard]] inline std::string summary(const ParamIndex& index, const MemoryPlan& plan, index_t scalar_bytes = 4, int slots = 2) {
    struct Line {
        std::string cell[5];
    };
    std::vector<Line> lines{{{"Layer", "Input", "Output", "Parameters", "MACs"}}};
    index_t macs = 0, frozen = 0;
    for (const LayerRow& row : index.layers) {
        index_t count = 0;
        if (row.leaf)
            for (std::size_t i = row.first_param; i < row.end_param; ++i) count += index.parameters[i].count;
        macs += row.macs;
        lines.push_back({{std::string(static_cast<std::size_t>(2 * row.depth), ' ') + row.path + "  " + row.name, std::string(to_text(row.in).view()),
                          std::string(to_text(row.out).view()), count > 0 ? detail::grouped(count) : "", row.macs > 0 ? detail::grouped(row.macs) : ""}});
    }
    for (const ParamRow& row : index.parameters) frozen += row.trainable ? 0 : row.count;
    std::size_t width[5]{};
    for (const Line& line : lines)
        for (int i = 0; i < 5; ++i) width[i] = std::max(width[i], line.cell[i].size());
    std::string out;
    for (std::size_t n = 0; n < lines.size(); ++n) {
        std::string text;
        for (int i = 0; i < 5; ++i) {
            const std::string pad(width[i] - lines[n].cell[i].size(), ' ');
            text += (i ? "  " : "") + (i < 3 ? lines[n].cell[i] + pad : pad + lines[n].cell[i]);
        }
        text.erase(text.find_last_not_of(' ') + 1);
        out += text + "\n";
        if (n == 0) out += std::string(width[0] + width[1] + width[2] + width[3] + width[4] + 8, '-') + "\n";
    }
    const index_t count = index.parameter_count();
    out += "parameters: " + detail::grouped(count) + " (" + detail::byte_text(count * scalar_bytes) + ")" +
           (frozen > 0 ? ", " + detail::grouped(frozen) + " of them frozen" : "") + "\n";
    out += "multiply-adds for one sample: " + detail::grouped(macs) + "\n";
    out += "training step of " + std::to_string(plan.batch) + " samples: activations " + detail::byte_text(plan.activations) + " (" +
           detail::byte_text(plan.unshared) + " without sharing), scratch " + detail::byte_text(plan.scratch) + ", gradients " +
           detail::byte_text(index.value_count * scalar_bytes) + ", optimizer " + detail::byte_text(slots * index.value_count * scalar_bytes) + "\n";
    return out;
}

/// The table of a model, with the memory that a training step on `batch` samples would need.
template <class Net, Shape Input, class P>
[[nodiscard]] std::string summary(const Model<Net, Input, P>& model, index_t batch = 128) {
    struct {
        index_t scratch(const P&, index_t, const Shape&) const { return 0; }
    } no_loss;
    return summary(static_cast<const ParamIndex&>(model.parameters()), model.plan(batch, no_loss), sizeof(typename P::scalar));
}

}  // namespace dla
