// SPDX-License-Identifier: MIT
// EXPECT: dla: this layer's `keep` cannot be called as
#include <dla/nn.hpp>
struct Twice {
    template <class P>
    struct Tape {
        dla::Planned<P> kept;
    };
    constexpr dla::Text name() const { return "Twice"; }
    constexpr dla::ShapeResult out_shape(dla::Shape s) const { return s; }
    template <class P>
    void infer(dla::Context<P>& c, dla::ConstView<P> x, dla::View<P> y) const {
        add(c.policy, x.size(), x.data, x.data, y.data);
    }
    template <class P>
    void forward(dla::Context<P>& c, dla::ConstView<P> x, dla::View<P> y, Tape<P>&) const {
        infer(c, x, y);
    }
    template <class P>
    void backward(dla::Context<P>& c, dla::ConstView<P>, dla::ConstView<P>, dla::ConstView<P> dy, dla::View<P> dx, Tape<P>&) const {
        add(c.policy, dy.size(), dy.data, dy.data, dx.data);
    }
    template <class Claim, class P>
    void keep(const Claim& claim, Tape<P>& tape, dla::Shape& in, dla::index_t batch) const {  // const Shape&
        claim(tape.kept, batch * in.size());
    }
};
dla::Model<dla::Sequential<dla::Linear<4, 8>, Twice>, dla::Shape{4}> model(dla::Seed{1});
