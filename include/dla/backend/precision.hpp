// SPDX-License-Identifier: MIT
// Which number types a policy keeps its values in: activations, weights for compute, masters, statistics.
#pragma once

#include <dla/core/half.hpp>

namespace dla {

/// The four types of a policy whose activations are T; all T unless T has too few digits for some of them.
///   activation  activations and their gradients: most of the memory of a training step, and most of its traffic
///   weight      weights as the products read them: a copy of the masters, or the masters themselves where the types are equal
///   master      weights as they are trained and saved, their gradients, the memory of the optimizer; normalisation reads its gain and shift here
///   statistic   of normalisation: mean, 1 / standard deviation, running statistics; and the class weights of a loss
/// Specialise it for a type of your own.
template <class T>
struct Precision {
    using activation = T;
    using weight = T;
    using master = T;
    using statistic = T;
};

/// In 8 or 11 bits a step of an optimizer is mostly rounded away (w + 1e-3 w = w in bf16), and sums of gradients and squares stop growing. So these stay in
/// float (Micikevicius et al., "Mixed precision training", ICLR 2018).
template <int Exponent, int Fraction>
struct Precision<Half<Exponent, Fraction>> {
    using activation = Half<Exponent, Fraction>;
    using weight = Half<Exponent, Fraction>;
    using master = float;
    using statistic = float;
};

}  // namespace dla
