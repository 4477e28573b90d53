// SPDX-License-Identifier: MIT
// A network with its parameters: the type of the network, its shapes, and how it is built.
#pragma once

#include <dla/compose/check.hpp>
#include <dla/model/basic_model.hpp>
#include <dla/model/init.hpp>

namespace dla {

/// A network of type Net for samples of shape `Input` (unknown: given to the constructor) on policy P. What it can do is inherited: see Predictor for
/// prediction and BasicModel for training. Shapes are checked by the compiler when `Input` is written in the type, and again with concrete numbers when the
/// model is built. Values that enter or leave are in memory order: images as (N, height, width, channels).
template <class Net, Shape Input = Shape{}, class P = Cpu<float>>
class Model : public BasicModel<P> {
    static_assert(detail::ShapeCheck<Net, Input>::check());
    static_assert(LayerOn<Net, P>, "dla: this network cannot run on this policy; see the notes for what a layer or a kernel lacks");

public:
    using Network = Net;

    /// The network that the type describes. Throws Error(shape) when sizes are missing or do not fit.
    explicit Model(Seed seed, const P& policy = {}) : Model(Net{}, Input, seed, policy) {
        static_assert(detail::ShapeCheck<Net, Input>::template check<true>());
    }
    /// A network with sizes set at run time.
    Model(const Net& net, Seed seed, const P& policy = {}) : Model(net, Input, seed, policy) {}
    Model(const Net& net, const Shape& input, Seed seed, const P& policy = {})
        : BasicModel<P>(built_network<P>(net), input, detail::checked_output(net, input, Input), seed, policy) {}

    /// Refused, with the reason: a bare number is no seed.
    template <class Number>
        requires std::is_arithmetic_v<Number>
    explicit Model(Number, const P& = {}) : Model(Seed{0}) {
        static_assert(sizeof(Number) == 0, "dla: a Model takes a seed, which is a type of its own: write dla::Seed{42} instead of 42");
    }
    template <class Given>
        requires std::same_as<Given, Shape>
    Model(const Net& net, const Given& input) : Model(net, input, Seed{0}) {
        static_assert(sizeof(Given) == 0, "dla: a Model takes a seed behind network and input shape: Model(net, dla::Shape{3, 32, 32}, dla::Seed{42})");
    }

    /// A second model with the same values: parameters, what is frozen and in eval mode, running statistics, random position. Optimizers know the first alone.
    Model clone() const {
        Model copy(network(), this->input_shape(), Seed{this->position.seed}, this->parameters().policy);
        copy.take_values(*this);
        return copy;
    }

    const Net& network() const { return static_cast<const BuiltNetworkOf<Net, P>&>(*this->net_).net; }
};

/// Refused, with the reason: a type of numbers, or anything else, is no policy.
template <class Net, Shape Input, class T>
    requires(!Policy<T>)
class Model<Net, Input, T> : public Model<Net, Input> {
    static_assert(sizeof(T) == 0,
                  "dla: the third argument of Model is a policy, which says where and in which numbers it computes, not a type of numbers: write "
                  "Model<Net, dla::Shape{..}, dla::Reference<double>>, or EigenCpu<double> of <dla/interop/eigen_policy.hpp>");
    using Model<Net, Input>::Model;
};

}  // namespace dla
