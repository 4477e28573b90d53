// SPDX-License-Identifier: MIT
// EXPECT: dla: a layer of this Sequential cannot run on this policy; the notes say what it lacks
// EXPECT: LayerCheck<Double, .*Cpu<float>
// EXPECT: dla: a layer needs `backward\(context, state, x, y, dy, dx, tape\) const`, without `state` and `tape` if it has no State and Tape
#include <dla/nn.hpp>
struct Double {
    template <class P>
    using State = dla::Nothing;
    template <class P>
    using Tape = dla::Nothing;
    constexpr dla::Text name() const { return "Double"; }
    constexpr dla::ShapeResult out_shape(dla::Shape s) const { return s; }
    template <class P, class Builder>
    dla::Nothing build(Builder&, const dla::Shape&) const {
        return {};
    }
    template <class P>
    void infer(dla::Context<P>& c, const dla::Nothing&, dla::ConstView<P> x, dla::View<P> y) const {
        add(c.policy, x.size(), x.data, x.data, y.data);
    }
    template <class P>
    void forward(dla::Context<P>& c, dla::Nothing& state, dla::ConstView<P> x, dla::View<P> y, dla::Nothing&) const {
        infer(c, state, x, y);
    }
};
dla::Model<dla::Sequential<dla::Linear<4, 8>, Double>, dla::Shape{4}> model(dla::Seed{1});
