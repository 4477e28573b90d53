// SPDX-License-Identifier: MIT
// EXPECT: dla: this layer's `prepare` cannot be called as
#include <dla/nn.hpp>
struct Twice {
    static constexpr dla::Needs needs{};
    constexpr dla::Text name() const { return "Twice"; }
    constexpr dla::ShapeResult out_shape(dla::Shape s) const { return s; }
    template <class P>
    void infer(dla::Context<P>& c, dla::ConstView<P> x, dla::View<P> y) const {
        add(c.policy, x.size(), x.data, x.data, y.data);
    }
    template <class P>
    void backward(dla::Context<P>& c, dla::ConstView<P>, dla::ConstView<P>, dla::ConstView<P> dy, dla::View<P> dx) const {
        add(c.policy, dy.size(), dy.data, dy.data, dx.data);
    }
    template <class P>
    dla::index_t prepare(const dla::Context<P>&, const dla::Shape&, dla::PreparedPtr<P>) const {  // and the state
        return 4;
    }
};
dla::Model<dla::Sequential<dla::Linear<4, 8>, Twice>, dla::Shape{4}> model(dla::Seed{1});
