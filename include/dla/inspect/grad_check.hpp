// SPDX-License-Identifier: MIT
// Checks a layer's or a network's backward pass against central differences in double, and the promises a layer makes about memory.
#pragma once

#include <dla/kernels/reference.hpp>
#include <dla/model/network.hpp>

#include <string>
#include <vector>

namespace dla {

/// How `check_gradients` compares. |numeric - analytic| <= atol + rtol * |numeric| must hold for every entry looked at.
struct GradientCheckOptions {
    double eps = 1e-6;  ///< half of the distance between the two points of a difference; there is no second try with another one
    double rtol = 1e-5;
    double atol = 1e-7;
    index_t entries = 256;  ///< looked at in each parameter and in the input: all, or so many evenly spread ones
    Seed seed{1};           ///< of the parameters, the input and the gradient that comes from above
};

/// What `check_gradients` found.
struct GradientReport {
    index_t checked = 0;  ///< entries compared
    index_t nonzero = 0;  ///< of them with a gradient other than zero; a check of zeros proves little
    double worst = 0;     ///< largest |numeric - analytic| / (atol + rtol * |numeric|); at most 1 when all agree
    std::string path;     ///< of the worst entry: a parameter, or "input"
    index_t index = 0;    ///< of the worst entry within its array, in memory order
    double numeric = 0, analytic = 0;
    std::vector<std::string> broken;  ///< promises about memory that did not hold

    bool ok() const { return worst <= 1 && broken.empty(); }
    /// One line: what was checked, or what is wrong.
    std::string text() const {
        const auto number = [](double v) {
            char digits[32];
            std::snprintf(digits, sizeof digits, "%.9g", v);
            return std::string(digits);
        };
        std::string line = (ok() ? "ok: " : "wrong: ") + std::to_string(checked) + " gradients, " + std::to_string(nonzero) + " not zero; worst at " + path +
                           "[" + std::to_string(index) + "]: numeric " + number(numeric) + ", analytic " + number(analytic) + " (" + number(worst) +
                           " of what is allowed)";
        for (const std::string& promise : broken) line += "; " + promise;
        return line;
    }
};

namespace detail {

/// See dla::check_gradients. `net` has not been built yet; `needs` is what it says to read in backward.
DLA_ONCE GradientReport check_network_gradients(std::unique_ptr<BuiltNetwork<Reference<double>>> net, const Shape& in, const Shape& out, Needs needs,
                                                index_t batch, const GradientCheckOptions& options);

}  // namespace detail

/// Runs `net` on `batch` random samples of shape `input` in double and compares every gradient (of parameters and input) with a central difference;
/// also that dx is overwritten, parameter gradients are added to, x, y, dy and parameters are not written, and no unwritten memory is read.
/// A test of a layer of your own: `const auto report = dla::check_gradients(Scale{}, dla::Shape{5}, 3); REQUIRE_MESSAGE(report.ok(), report.text());`
/// Throws Error(shape) when the layer refuses the input, or works in place but gives another size.
template <class Net>
GradientReport check_gradients(const Net& net, const Shape& input, index_t batch, const GradientCheckOptions& options = {}) {
    static_assert(LayerOn<Net, Reference<double>>, "dla: check_gradients takes a layer; the notes say what this type lacks");
    const ShapeResult out = detail::checked_out_shape(net, input);
    if (!out.ok()) fail(ErrorCode::shape, "check_gradients", refusal(net.name(), input, out).view());
    return detail::check_network_gradients(built_network<Reference<double>>(net), input, out.shape,
                                           detail::needs_of<Net, Reference<double>>(), batch, options);
}

}  // namespace dla

#if DLA_BODIES
#include <dla/inspect/grad_check.impl.hpp>
#endif
