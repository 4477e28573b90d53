// SPDX-License-Identifier: MIT
// Branches: what they compute against their parts by themselves, memory that they share, what is refused, and networks put together by random numbers.
#include <doctest/doctest.h>

#include <compose/check_network.hpp>
#include <support/error_of.hpp>

#include <cmath>

using namespace dla;

namespace {

using Values = std::vector<double>;
using Square = Conv2d<Dyn, Dyn, Dyn>;

/// What `net` infers of x, with parameters that follow from `seed`; they are the same for networks whose parameters have the same sizes in the same order.
template <class Net>
Values infer(const Net& net, const Shape& in, const Values& x) {
    Model<Net, Shape{}, Reference<double>> model(net, in, Seed{1});
    index_t k = 0;
    for (const ParamRow& row : model.parameters().parameters) {
        Values v(static_cast<std::size_t>(row.count));
        for (double& e : v) e = std::sin(static_cast<double>(++k));
        model.parameters().write(ParamPart::value, row, v);
    }
    return model.predict(x);
}
Values images(index_t n) {
    Values x(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = std::cos(static_cast<double>(3 * i + 1));
    return x;
}

}  // namespace

TEST_CASE("branches give the sum, the concatenation and the product of what they give alone") {
    const Shape in{2, 3, 5};
    const index_t batch = 3, pixels = 15;
    const Values x = images(batch * in.size());
    using A = Conv2d<2, 2, 3>;
    using Both = Parallel<Add, A, Identity, Tanh>;
    const Values a = infer(A{}, in, x), t = infer(Tanh{}, in, x);
    const Values sum = infer(Both{}, in, x), next = infer(Parallel<Concat, A, Identity, Tanh>{}, in, x);
    const Values product = infer(Parallel<Multiply, A, Tanh>{}, in, x), square = infer(Parallel<Multiply, Identity, Identity>{}, in, x);
    REQUIRE(next.size() == 3 * x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
        CHECK(sum[i] == a[i] + x[i] + t[i]);
        CHECK(product[i] == a[i] * t[i]);
        CHECK(square[i] == x[i] * x[i]);
        const std::size_t pixel = i / 2, channel = i % 2;
        CHECK(next[6 * pixel + channel] == a[i]);
        CHECK(next[6 * pixel + 2 + channel] == x[i]);
        CHECK(next[6 * pixel + 4 + channel] == t[i]);
    }
    using Gate = Sequential<GlobalAvgPool2d, Linear<2, 2>, Sigmoid>;
    const Values gate = infer(Gate{}, in, x), gated = infer(Parallel<Multiply, Identity, Gate>{}, in, x);
    for (std::size_t i = 0; i < x.size(); ++i) CHECK(gated[i] == x[i] * gate[i / static_cast<std::size_t>(2 * pixels) * 2 + i % 2]);

    // Rank 1 and 2: the first axis of a sample, PyTorch's dimension 1.
    const Values f = images(4 * 3);
    const Values features = infer(Parallel<Concat, Identity, Tanh>{}, Shape{3}, f), rows = infer(Parallel<Concat, Identity, Tanh>{}, Shape{3, 2}, f);
    for (std::size_t i = 0; i < f.size(); ++i) {
        CHECK(features[i / 3 * 6 + i % 3] == f[i]);
        CHECK(features[i / 3 * 6 + 3 + i % 3] == std::tanh(f[i]));
        CHECK(rows[i / 6 * 12 + i % 6] == f[i]);
        CHECK(rows[i / 6 * 12 + 6 + i % 6] == std::tanh(f[i]));
    }
}

TEST_CASE("a Residual is the sum of two branches") {
    const Shape in{3, 4, 4};
    const Values x = images(2 * in.size());
    using Block = Sequential<Conv2d<3, 3, 3>, ReLU, Conv2d<3, 3, 3>>;
    CHECK(infer(Residual<Block>{}, in, x) == infer(Parallel<Add, Block, Identity>{}, in, x));
    CHECK(infer(Residual<Block, Conv2d<3, 3, 1>, ReLU>{}, in, x) == infer(Sequential<Parallel<Add, Block, Conv2d<3, 3, 1>>, ReLU>{}, in, x));
}

TEST_CASE("branches share memory and have the right gradients") {
    using Inner = Sequential<Linear<Dyn, 4>, ReLU>;
    using Reads = Sequential<Linear<Dyn, 4>, Sigmoid>;
    check_network("a sum of one that keeps its output and one that does not", Parallel<Add, Reads, Inner>{}, Shape{3}, 3);
    check_network("a sum of three", Sequential<Linear<Dyn, 4>, Parallel<Add, Inner, Reads, Linear<Dyn, 4>>, Tanh>{}, Shape{3}, 3);
    check_network("a sum that begins with an identity", Sequential<Linear<Dyn, 4>, Parallel<Add, Identity, Reads, Identity>, ReLU>{}, Shape{3}, 3);
    check_network("a sum of identities", Sequential<Parallel<Add, Identity, Identity>, Linear<Dyn, 2>>{}, Shape{3}, 3);
    check_network("a sum of sums", Parallel<Add, Parallel<Add, Inner, Identity>, Residual<Inner, Identity, ReLU>, Tanh>{}, Shape{4}, 3);
    check_network("concatenation of features", Sequential<Parallel<Concat, Inner, Reads, Identity>, Linear<Dyn, 2>>{}, Shape{5}, 3);
    check_network("concatenation of rows", Parallel<Concat, Linear<Dyn, 4>, Sequential<Linear<Dyn, 4>, Tanh>>{}, Shape{2, 3}, 3);
    check_network("concatenation first and last", Sequential<Parallel<Concat, Identity, GELU>, Parallel<Concat, Tanh, Identity>>{}, Shape{3}, 2);
    check_network("Inception", Sequential<Parallel<Concat, Conv2d<Dyn, 2, 1>, Sequential<Conv2d<Dyn, 3, 1>, ReLU, Conv2d<Dyn, 2, 3>, Sigmoid>,
                                                   Sequential<MaxPool2d<3, 1, 1>, Conv2d<Dyn, 1, 1>>>,
                                          BatchNorm2d<>, ReLU, GlobalAvgPool2d, Linear<Dyn, 2>>{}, Shape{2, 5, 4}, 2);
    check_network("dense blocks", Sequential<Parallel<Concat, Identity, Conv2d<Dyn, 2, 3>>, Parallel<Concat, Identity, Sequential<BatchNorm2d<>, ReLU, Conv2d<Dyn, 2, 3>>>,
                                             GlobalAvgPool2d>{}, Shape{2, 3, 3}, 2);
    check_network("a product", Sequential<Linear<Dyn, 4>, Parallel<Multiply, Inner, Reads>, Linear<Dyn, 2>>{}, Shape{3}, 3);
    check_network("a product with its input", Sequential<Linear<Dyn, 4>, Parallel<Multiply, Identity, Reads>, Linear<Dyn, 2>>{}, Shape{3}, 3);
    check_network("a product with its input behind", Sequential<Linear<Dyn, 4>, Parallel<Multiply, Tanh, Identity>>{}, Shape{3}, 3);
    check_network("a square", Sequential<Linear<Dyn, 4>, ReLU, Parallel<Multiply, Identity, Identity>>{}, Shape{3}, 3);
    using Gate = Sequential<GlobalAvgPool2d, Linear<Dyn, 2>, ReLU, Linear<Dyn, 3>, Sigmoid>;
    check_network("squeeze and excitation", Sequential<Conv2d<Dyn, 3, 3>, Residual<Sequential<Conv2d<Dyn, 3, 3>, BatchNorm2d<>, Parallel<Multiply, Identity, Gate>>, Identity, ReLU>,
                                                       GlobalAvgPool2d>{}, Shape{2, 4, 3}, 2);
    check_network("branches that pass on a number of copies",
                  Parallel<Add, Repeat<Linear<Dyn, 4>>, Repeat<Tanh>, Repeat<Linear<Dyn, 4>>>(Repeat<Linear<Dyn, 4>>(2), Repeat<Tanh>(0), Repeat<Linear<Dyn, 4>>(1)), Shape{4}, 3);
    check_network("dropout in one branch", Parallel<Concat, Sequential<Linear<Dyn, 4>, Dropout>, Linear<Dyn, 2>>{}, Shape{4}, 3);
    check_network("branches without parameters", Parallel<Add, Tanh, Sigmoid, Identity>{}, Shape{4}, 3);
    check_network("a product without parameters", Parallel<Multiply, Tanh, Sigmoid>{}, Shape{4}, 3);
    // The identity's features come in the order of a flattened image, which the sum cannot have.
    check_network("a sum behind Flatten", Sequential<Flatten, Parallel<Add, Identity, Linear<Dyn, 12>, Identity>, Linear<Dyn, 2>>{}, Shape{3, 2, 2}, 3);
}

TEST_CASE("branches that cannot be joined are refused with a reason") {
    const auto sentence = [](const auto& net, const Shape& in) {
        const ShapeResult r = net.out_shape(in);
        return r.ok() ? std::string(to_text(r.shape).view()) : std::string(refusal(net.name(), in, r).view());
    };
    using Conv = Conv2d<3, 4, 3>;
    CHECK(sentence(Parallel<Concat, Conv, Conv2d<3, 5, 1>, Identity>{}, {3, 8, 6}) == "[12, 8, 6]");
    CHECK(sentence(Parallel<Concat, Conv, Conv2d<3, 5, 1>, Identity>{}, {3, Dyn, 6}) == "[12, Dyn, 6]");
    CHECK(sentence(Parallel<Concat, Conv, Identity>{}, {}) == "[unknown]");
    CHECK(sentence(Parallel<Concat, Conv, MaxPool2d<2>>{}, {3, 8, 6}) ==
          "Parallel refuses input [3, 8, 6] (144 values): branch 0 gives [4, 8, 6] and branch 1 [3, 4, 3], which cannot be put next to each other; they may "
          "differ in channels, the first axis, alone");
    CHECK(sentence(Parallel<Add, Identity, Conv>{}, {3, 8, 6}) ==
          "Parallel refuses input [3, 8, 6] (144 values): branch 0 gives [3, 8, 6] and branch 1 [4, 8, 6], which cannot be added; make all branches give the "
          "same shape, or join them with Concat");
    CHECK(sentence(Parallel<Multiply, Identity, GlobalAvgPool2d>{}, {3, 8, 6}) == "[3, 8, 6]");
    CHECK(sentence(Parallel<Multiply, Identity, Sequential<GlobalAvgPool2d, Linear<3, 4>>>{}, {3, 8, 6}) ==
          "Parallel refuses input [3, 8, 6] (144 values): branch 0 gives [3, 8, 6] and branch 1 [4], which cannot be multiplied; give the second the shape of "
          "the first, or one value for each channel of its images");
    CHECK(sentence(Parallel<Multiply, GlobalAvgPool2d, Identity>{}, {3, 8, 6}).find("cannot be multiplied") != std::string::npos);
    CHECK(sentence(Parallel<Concat, Flatten, Sequential<Flatten, Linear<Dyn, 2>>>{}, {3, 2, 2}) ==
          "Parallel refuses input [3, 2, 2] (12 values): features of a flattened image cannot be put next to others; put the Flatten behind the Parallel or a "
          "Linear behind the Flatten");
    CHECK(sentence(Parallel<Add, Flatten, Sequential<Flatten, Linear<Dyn, 12>>>{}, {3, 2, 2}) ==
          "Parallel refuses input [3, 2, 2] (12 values): features of a flattened image cannot be added to features of another order; put a Linear between "
          "Flatten and the Parallel");
    CHECK(sentence(Parallel<Concat, Identity, Sequential<Tanh, Conv>>{}, {4, 8, 6}) ==
          "layer 1.1 Conv2d<3, 4, 3> refuses input [4, 8, 6] (192 values): expected 3 channels; did you mean Conv2d<4, 4, 3>?");
    const index_t large = max_values / 3;
    CHECK(sentence(Parallel<Concat, Identity, Identity, Identity, Identity>{}, {large}).find("more than") != std::string::npos);
    using Bad = Parallel<Concat, Identity, MaxPool2d<2>>;
    CHECK(contains(error_of([] { Model<Sequential<Bad>>(Sequential<Bad>{}, Shape{1, 4, 4}, Seed{1}); }), "error[shape] network: layer 0 Parallel refuses input"));
}

namespace {

// One type, many networks: which layers are there, and which branch passes its input on, is a matter of copies.
constexpr index_t width = 4;
template <int Depth>
struct Tree {
    using Inner = typename Tree<Depth - 1>::type;
    using Layers = Sequential<Repeat<Linear<Dyn, width>>, Repeat<Tanh>, Repeat<Inner>, Repeat<ReLU>>;
    using Narrow = Sequential<Repeat<Inner>, Linear<Dyn, width>>;  // behind a Concat, whose width is another
    using type = Sequential<Repeat<Parallel<Add, Repeat<Linear<Dyn, width>>, Layers, Repeat<Inner>>>, Repeat<Sequential<Parallel<Concat, Layers, Repeat<Inner>>, Linear<Dyn, width>>>,
                            Repeat<Parallel<Multiply, Repeat<Inner>, Sequential<Repeat<Linear<Dyn, width>>, Sigmoid>>>>;
};
template <>
struct Tree<0> {
    using type = Repeat<Residual<Linear<Dyn, width>, Identity, Tanh>>;
};

/// Sets the copies of everything that repeats.
struct Draw {
    RandomStream& random;
    void operator()(auto&) const {}
    template <class B, class S, class A>
    void operator()(Residual<B, S, A>& r) const {
        (*this)(r.block);
    }
    template <class... Ls>
    void operator()(Sequential<Ls...>& s) const {
        for_each_index<sizeof...(Ls)>([&](auto i) { (*this)(get<i>(s.layers)); });
    }
    template <class J, class... Bs>
    void operator()(Parallel<J, Bs...>& p) const {
        for_each_index<sizeof...(Bs)>([&](auto i) { (*this)(get<i>(p.branches)); });
    }
    template <class... Ls>
    void operator()(Repeat<Ls...>& r) const {
        r.blocks.resize(random.below(3) == 0 ? 0 : 1 + random.below(4) / 3);
        for (auto& block : r.blocks) (*this)(block);
    }
};

}  // namespace

TEST_CASE("200 random branching networks: bits without shared memory, gradients, and Cpu<float>") {
    using Net = Sequential<Linear<Dyn, width>, typename Tree<2>::type, Linear<Dyn, 3>>;
    index_t branching = 0;
    for (std::uint32_t seed = 0; seed < 200; ++seed) {
        CAPTURE(seed);
        RandomStream random({seed, 0, 0}, RandomUse::synthesis);
        Net net;
        Draw{random}(net);
        const Shape in{5};
        const index_t batch = 1 + seed % 4;
        check_bits(net, in, batch);
        if (seed % 5 == 0) check_report(check_gradients(net, in, batch, {.entries = 4}));
        const auto exact = CheckedRunner(net, in, batch).run();
        support::Runner<Cpu<float>> fast(net, in, batch);
        const auto got = fast.run();
        double largest = 0;
        for (const double v : exact.dx) largest = std::max(largest, std::abs(v));
        for (std::size_t i = 0; i < exact.dx.size(); ++i) CHECK(std::abs(got.dx[i] - exact.dx[i]) <= 1e-4 * largest + 1e-6);
        for (std::size_t i = 0; i < exact.y.size(); ++i) CHECK(std::abs(got.y[i] - exact.y[i]) <= 1e-4 * std::abs(exact.y[i]) + 1e-4);
        largest = 0;
        for (const double v : exact.gradients) largest = std::max(largest, std::abs(v));
        REQUIRE(got.gradients.size() == exact.gradients.size());
        for (std::size_t i = 0; i < exact.gradients.size(); ++i) CHECK(std::abs(got.gradients[i] - exact.gradients[i]) <= 1e-4 * largest + 1e-6);
        for (const LayerRow& row : fast.table.layers) branching += row.merge != Merge::none ? 1 : 0;
    }
    CHECK(branching > 1000);
}
