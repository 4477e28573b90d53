// SPDX-License-Identifier: MIT
// Pictures of a network: to_dot for Graphviz, to_svg that needs nothing else.
#pragma once

#include <dla/inspect/graph_dot.hpp>
#include <dla/inspect/graph_svg.hpp>
#include <dla/model/any_model.hpp>

namespace dla {

/// The network in the DOT language.
template <class P>
[[nodiscard]] std::string to_dot(const BasicModel<P>& model, const GraphOptions& options = {}) {
    return to_dot(model.parameters(), options);
}
[[nodiscard]] inline std::string to_dot(const AnyModel& model, const GraphOptions& options = {}) { return to_dot(model.index(), options); }

/// The network as an SVG picture.
template <class P>
[[nodiscard]] std::string to_svg(const BasicModel<P>& model, const GraphOptions& options = {}) {
    return to_svg(model.parameters(), options);
}
[[nodiscard]] inline std::string to_svg(const AnyModel& model, const GraphOptions& options = {}) { return to_svg(model.index(), options); }

}  // namespace dla
