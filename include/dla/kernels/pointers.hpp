// SPDX-License-Identifier: MIT
// Pointers to a policy's memory, by what they point to.
#pragma once

#include <dla/backend/policy.hpp>

namespace dla::kernel {

/// The policy's pointer to T.
template <class P, class T>
using PtrOf = typename P::template pointer<T>;
/// Memory that a kernel may use during a call.
template <class P>
using Scratch = PtrOf<P, std::byte>;

// What a pointer points to; see backend/precision.hpp.
/// To activations and their gradients.
template <class P>
using ActivationPtr = PtrOf<P, typename P::activation>;
/// To activations, for reading.
template <class P>
using ConstActivationPtr = PtrOf<P, const typename P::activation>;
/// To weights as products read them.
template <class P>
using WeightPtr = PtrOf<P, typename P::weight>;
/// To weights as products read them, for reading.
template <class P>
using ConstWeightPtr = PtrOf<P, const typename P::weight>;
/// To weights as they are trained, and their gradients.
template <class P>
using MasterPtr = PtrOf<P, typename P::master>;
/// To weights as they are trained, for reading.
template <class P>
using ConstMasterPtr = PtrOf<P, const typename P::master>;
/// To means and variances.
template <class P>
using StatisticPtr = PtrOf<P, typename P::statistic>;
/// To means and variances, for reading.
template <class P>
using ConstStatisticPtr = PtrOf<P, const typename P::statistic>;

/// Short for ActivationPtr.
template <class P>
using Ptr = ActivationPtr<P>;
/// Short for ConstActivationPtr.
template <class P>
using ConstPtr = ConstActivationPtr<P>;

}  // namespace dla::kernel
