// SPDX-License-Identifier: MIT
// EXPECT: layer 1 Pair refuses input \[8\]: it works in place \(in_place\) but gives \[4\], which has another size; leave in_place out
#include <dla/nn.hpp>
struct Pair {
    static constexpr dla::InPlace in_place{.forward = true, .backward = false};
    constexpr dla::Text name() const { return "Pair"; }
    constexpr dla::ShapeResult out_shape(dla::Shape s) const { return dla::Shape(s.d[0] / 2); }
    template <class P>
    void infer(dla::Context<P>& c, dla::ConstView<P> x, dla::View<P> y) const {
        add(c.policy, y.size(), x.data, x.data + y.size(), y.data);
    }
    template <class P>
    void backward(dla::Context<P>& c, dla::ConstView<P>, dla::ConstView<P>, dla::ConstView<P> dy, dla::View<P> dx) const {
        copy(c.policy, dy.size(), dy.data, dx.data);
    }
};
dla::Model<dla::Sequential<dla::Linear<4, 8>, Pair, dla::Linear<4, 2>>, dla::Shape{4}> model(dla::Seed{1});
