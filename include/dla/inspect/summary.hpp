// SPDX-License-Identifier: MIT
// A model as a table: layers, shapes, parameters, multiply-adds, memory.
#pragma once

#include <dla/core/table.hpp>
#include <dla/inspect/layer_tree.hpp>
#include <dla/model/any_model.hpp>

#include <limits>
#include <ostream>

namespace dla {

/// What `summary` shows.
struct SummaryOptions {
    index_t batch = 128;                              ///< N of the shapes and of the memory
    bool collapse = true;                             ///< equal consecutive layers and blocks in one row
    int max_depth = std::numeric_limits<int>::max();  ///< rows nested deeper are summed in the row that holds them; 0: only the outermost
    int micro_batches = 1;                            ///< parts in which a training step computes the batch
    int optimizer_slots = 2;                          ///< what the optimizer remembers for each value: 2 for Adam, `slot_count()` of any optimizer
};

namespace detail {

/// Sizes of the first parameter that belongs to the layer itself: of its weight.
inline std::string kernel_text(const ParamIndex& index, const LayerRow& row) {
    if (!row.leaf || row.first_param == row.end_param) return "";
    const Dims& dims = index.parameters[row.first_param].dims;
    std::string out = "[";
    for (int i = 0; i < dims.rank; ++i) out += (i ? ", " : "") + std::to_string(dims.d[i]);
    return out + "]";
}

inline void add_rows(const std::vector<LayerNode>& nodes, int depth, const ParamIndex& index, index_t scalar_bytes, const SummaryOptions& o,
                     std::vector<std::vector<std::string>>& lines) {
    for (const LayerNode& node : nodes) {
        const bool whole = node.children.empty() || depth >= o.max_depth;  // what it holds is not shown by rows of its own
        const std::string times = node.copies > 1 ? std::to_string(node.copies) + " x " : "";
        // A row that is followed by rows of what it holds shows what is its own; one of several copies all of a copy.
        LayerNode own = node;
        if (!whole && node.copies == 1)
            for (const LayerNode& child : node.children) {
                own.parameters -= child.copies * child.parameters;
                own.trainable -= child.copies * child.trainable;
                own.macs -= child.copies * child.macs;
            }
        const auto count = [&](index_t n) { return n > 0 ? times + grouped(n) : std::string(); };
        std::string layer(static_cast<std::size_t>(2 * depth), ' ');
        if (!node.path.empty()) layer += node.path + "  ";
        layer += node.row ? node.row->type + (node.row->settings.empty() ? "" : " " + node.row->settings) : "Repeat";
        if (node.copies > 1) layer += " x" + std::to_string(node.copies);
        const bool frozen = own.trainable != own.parameters;
        const auto shape = [&](const Shape& one) { return std::string(to_text(one, o.batch).view()); };
        lines.push_back({layer, shape(node.in()), shape(node.out()), node.row ? kernel_text(index, *node.row) : "", count(own.parameters),
                         frozen ? (own.trainable > 0 ? "in part" : "yes") : "", count(own.macs),
                         whole ? times + byte_text(o.batch * node.out().size() * scalar_bytes) : ""});
        if (!whole) add_rows(node.children, depth + 1, index, scalar_bytes, o, lines);
    }
}

}  // namespace detail

/// The table of the rows in `index`: for each layer path, type and settings, shapes with the batch in front, size of the weight, parameters, multiply-adds,
/// bytes of the output; then the totals, and the memory of training as `planned` and, if a step of this batch was reserved or taken, as `claimed`.
/// `scalar_bytes`: of one value.
[[nodiscard]] inline std::string summary(const ParamIndex& index, const TrainingMemory& planned, const TrainingMemory& claimed, const SummaryOptions& options,
                                         index_t scalar_bytes = 4) {
    const std::vector<LayerNode> tree = layer_tree(index, options.collapse);
    const std::string n = std::to_string(options.batch);
    std::vector<std::vector<std::string>> lines{
        {"Layer", "Input", "Output", "Kernel", "Parameters", "Frozen", "MACs of a sample", "Output of " + n}};
    detail::add_rows(tree, 0, index, scalar_bytes, options, lines);
    std::string out = table_text(lines, {.style = TableStyle::ruled, .align = "llllr"});

    index_t macs = 0, trainable = 0, buffers = 0;
    for (const LayerNode& node : tree) macs += node.copies * node.macs, trainable += node.copies * node.trainable;
    for (const BufferRow& row : index.buffers) buffers += row.count;
    const index_t count = index.parameter_count();
    out += "\nparameters: " + grouped(count) + " (" + grouped(trainable) + " trainable, " + grouped(count - trainable) + " frozen)\n";
    out += "buffers: " + grouped(buffers) + " values of running statistics, " +
           grouped(static_cast<index_t>(index.counters.size())) + (index.counters.size() == 1 ? " counter\n" : " counters\n");
    out += "multiply-adds (MACs): " + grouped(macs) + " for one sample, " + grouped(saturating_mul(macs, options.batch)) + " for " + n + "\n\n";

    const bool both = claimed.batch == planned.batch;
    const std::string parts = options.micro_batches > 1 ? " in " + std::to_string(options.micro_batches) + " parts" : "";
    std::vector<std::vector<std::string>> memory{{"Bytes of training, batch of " + n + parts, "planned", both ? "claimed" : "", ""}};
    const auto row = [&](const std::string& what, index_t plan, index_t claim) {
        memory.push_back({what, grouped(plan), both ? (claim > 0 || plan == 0 ? grouped(claim) : "not yet") : "", plan >= 1024 ? byte_text(plan) : ""});
    };
    const ParamMemory &p = planned.parameters, &c = claimed.parameters;
    row("weights", p.weights, c.weights);
    row("gradients", p.gradients, c.gradients);
    row("optimizer (" + std::to_string(options.optimizer_slots) + " values for each weight)", p.optimizer, c.optimizer);
    row("running statistics", p.buffers, c.buffers);
    row("control of optimizer and clipping", p.control, c.control);
    row("activations (" + byte_text(planned.unshared) + " without sharing)", planned.activations, claimed.activations);
    row("scratch of kernels", planned.scratch, claimed.scratch);
    if (planned.leaves > 0) row("partial sums of the parts", planned.leaves, claimed.leaves);
    row("total", planned.total(), claimed.total());
    return out + table_text(memory, {.style = TableStyle::ruled});
}

/// The table of a model, typed or with its type forgotten (AnyModel). `loss` may need scratch memory of its own.
template <class P, class Loss = detail::NoLoss>
[[nodiscard]] std::string summary(const BasicModel<P>& model, const SummaryOptions& options = {}, const Loss& loss = {}) {
    const TrainingMemory planned = planned_memory(model, options.batch, options.optimizer_slots, loss, options.micro_batches);
    return summary(model.parameters(), planned, claimed_memory(model), options, sizeof(typename P::scalar));
}

/// Its summary.
template <class P>
std::ostream& operator<<(std::ostream& out, const BasicModel<P>& model) {
    return out << summary(model);
}

[[nodiscard]] inline std::string summary(const AnyModel& model, const SummaryOptions& options = {}, const AnyLoss& loss = CrossEntropy{}) {
    const TrainingMemory planned = planned_memory(model, options.batch, options.optimizer_slots, loss, options.micro_batches);
    const std::string_view type = model.compute_type();
    return summary(model.index(), planned, claimed_memory(model), options, type == "f64" ? 8 : type == "f32" ? 4 : 2);
}
inline std::ostream& operator<<(std::ostream& out, const AnyModel& model) { return out << summary(model); }

}  // namespace dla
