// SPDX-License-Identifier: MIT
// The layers of a model as a tree in which equal consecutive parts stand once, with their number: what tables and pictures show.
#pragma once

#include <dla/model/param_index.hpp>

#include <algorithm>
#include <map>
#include <utility>

namespace dla {

/// A layer, a container, or several of them that repeat as a group. Refers to the index it was made from.
struct LayerNode {
    const LayerRow* row = nullptr;  ///< of the first copy; null: a group without a row of its own
    std::string path;               ///< `3`, or `3-98` for copies
    index_t copies = 1;
    index_t parameters = 0, trainable = 0, macs = 0;  ///< of one copy with everything inside; macs for one sample
    std::vector<LayerNode> children;

    bool branches() const { return row && row->merge != Merge::none; }
    const Shape& in() const { return row ? row->in : children.front().in(); }
    const Shape& out() const { return row ? row->out : children.back().out(); }
};

namespace detail {

class LayerTree {
public:
    LayerTree(const ParamIndex& index, bool collapse) : index_(index), collapse_(collapse) {}

    std::vector<LayerNode> build() {
        const LayerRow& network = index_.network;
        std::vector<Numbered> top;
        // A network that only holds others in a row needs no node; one that is a layer, adds branches, or owns something does.
        const bool owns = network.macs > 0 || std::ranges::any_of(index_.parameters, [](const ParamRow& p) { return p.layer < 0; });
        if (index_.layers.empty() || network.merge != Merge::none || owns)
            top.push_back(node(network, -1));
        else
            top = children(0, static_cast<int>(index_.layers.size()), true);
        return without_kinds(std::move(top));
    }

private:
    /// A node and the number of its kind: equal numbers mean equal subtrees.
    struct Numbered {
        LayerNode node;
        int kind = 0;
        int rows = 1;  // that a table shows
    };

    Numbered node(const LayerRow& row, int id) {
        Numbered result;
        LayerNode& n = result.node;
        n.row = &row;
        n.path = row.path;
        n.macs = row.macs;
        std::string key = row.type + '\n' + row.settings + '\n' + (row.rectifies ? "r" : "") + static_cast<char>('0' + static_cast<int>(row.merge));
        for (const Shape* s : {&row.in, &row.out})
            for (const index_t d : {static_cast<index_t>(s->rank), static_cast<index_t>(s->order), s->d[0], s->d[1], s->d[2]}) key += ' ' + std::to_string(d);
        for (std::size_t i = row.first_param; i < row.end_param; ++i) {
            const ParamRow& p = index_.parameters[i];
            n.parameters += p.count;
            n.trainable += p.trainable ? p.count : 0;
            key += '\n' + p.path.substr(row.path.size()) + (p.trainable ? " t" : " f");
            for (int d = 0; d < p.dims.rank; ++d) key += ' ' + std::to_string(p.dims.d[d]);
        }
        if (!row.leaf) {
            std::vector<Numbered> inside = children(id + 1, id < 0 ? static_cast<int>(index_.layers.size()) : row.end, row.merge == Merge::none);
            if (inside.size() == 1 && inside[0].node.copies == 1 && inside[0].node.path == row.path) return std::move(inside[0]);  // a Repeat of one
            for (const Numbered& child : inside) {
                key += "\n#" + std::to_string(child.kind) + "x" + std::to_string(child.node.copies);
                n.macs += child.node.copies * child.node.macs;
                result.rows += child.rows;
            }
            n.children = without_kinds(std::move(inside));
        }
        result.kind = kinds_.emplace(std::move(key), static_cast<int>(kinds_.size())).first->second;
        return result;
    }

    /// The nodes of rows [begin, end) that lie side by side.
    std::vector<Numbered> children(int begin, int end, bool may_fold) {
        std::vector<Numbered> nodes;
        for (int id = begin; id < end; id = index_.layers[static_cast<std::size_t>(id)].end)
            nodes.push_back(node(index_.layers[static_cast<std::size_t>(id)], id));
        return collapse_ && may_fold ? fold(std::move(nodes)) : std::move(nodes);
    }

    /// `copies` groups of `period` nodes each, from `begin`, are equal; drawing them once saves `saved` rows.
    struct Fold {
        std::size_t begin = 0, period = 0, copies = 1;
        int saved = 0;
    };
    static Fold best_fold(const std::vector<Numbered>& nodes, std::size_t begin) {
        Fold best;
        int rows = 0;
        for (std::size_t period = 1; begin + 2 * period <= nodes.size(); ++period) {
            rows += nodes[begin + period - 1].rows;
            std::size_t equal = 0;
            while (begin + equal + period < nodes.size() && nodes[begin + equal].kind == nodes[begin + equal + period].kind) ++equal;
            const std::size_t copies = equal / period + 1;
            const int saved = static_cast<int>(copies - 1) * rows - (period > 1 ? 1 : 0);
            // A group begins where it can end with the last of the equal nodes: layers that differ from the rest come first.
            if (copies > 1 && saved >= 2 && saved > best.saved) best = {begin + equal % period, period, copies, saved};
        }
        return best;
    }
    std::vector<Numbered> fold(std::vector<Numbered> nodes) {
        std::vector<Numbered> folded;
        for (std::size_t i = 0; i < nodes.size();) {
            const Fold f = best_fold(nodes, i);
            if (f.copies == 1) {
                folded.push_back(std::move(nodes[i++]));
                continue;
            }
            for (; i < f.begin; ++i) folded.push_back(std::move(nodes[i]));
            folded.push_back(group(nodes, f));
            i += f.period * f.copies;
        }
        return folded;
    }
    Numbered group(std::vector<Numbered>& nodes, const Fold& f) {
        const std::string first = nodes[f.begin].node.path, last = nodes[f.begin + f.period * f.copies - 1].node.path;
        Numbered result;
        if (f.period == 1) {
            result = std::move(nodes[f.begin]);
        } else {
            std::string key = "group";
            for (std::size_t j = f.begin; j < f.begin + f.period; ++j) {
                LayerNode& child = nodes[j].node;
                key += ' ' + std::to_string(nodes[j].kind);
                result.node.parameters += child.parameters;
                result.node.trainable += child.trainable;
                result.node.macs += child.macs;
                result.rows += nodes[j].rows;
                result.node.children.push_back(std::move(child));
            }
            result.kind = kinds_.emplace(std::move(key), static_cast<int>(kinds_.size())).first->second;
        }
        result.node.copies = static_cast<index_t>(f.copies);
        result.node.path = first + "-" + last.substr(last.find_last_of('.') + 1);  // they are siblings
        return result;
    }
    static std::vector<LayerNode> without_kinds(std::vector<Numbered> nodes) {
        std::vector<LayerNode> plain;
        for (Numbered& n : nodes) plain.push_back(std::move(n.node));
        return plain;
    }

    const ParamIndex& index_;
    bool collapse_;
    std::map<std::string, int> kinds_;
};

}  // namespace detail

/// The layers as a tree. With `collapse` consecutive parts that are equal in everything but their values (types, settings, shapes, parameters) become one
/// node with a number of copies; its `row` and `children` are those of the first copy.
[[nodiscard]] inline std::vector<LayerNode> layer_tree(const ParamIndex& index, bool collapse = true) { return detail::LayerTree(index, collapse).build(); }
/// Refused: the nodes would refer to rows of a temporary.
std::vector<LayerNode> layer_tree(const ParamIndex&&, bool collapse = true) = delete;

}  // namespace dla
