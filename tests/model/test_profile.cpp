// SPDX-License-Identifier: MIT
// Times of layers: each is measured once, those of a group together, and nothing is changed.
#include <doctest/doctest.h>

#include <dla/inspect/profile.hpp>
#include <dla/zoo/families.hpp>

#include <support/networks.hpp>
#include <support/run_layer.hpp>

using namespace dla;

namespace {

std::vector<float> some_inputs(index_t count) {
    RandomStream random({1, 2, 3}, RandomUse::synthesis);
    std::vector<float> x(static_cast<std::size_t>(count));
    for (float& v : x) v = static_cast<float>(random.normal());
    return x;
}
const std::vector<std::int32_t> labels{0, 1, 2, 0, 1, 2};

/// The rows that times are of, each once.
std::vector<int> rows_of(const Profile& p) {
    std::vector<int> rows;
    for (const LayerTime& t : p.layers) rows.insert(rows.end(), t.layers.begin(), t.layers.end());
    return rows;
}
template <class P>
std::vector<int> leaves(const BasicModel<P>& model) {
    std::vector<int> rows;
    for (std::size_t i = 0; i < model.parameters().layers.size(); ++i)
        if (model.parameters().layers[i].leaf && model.parameters().layers[i].type != "Flatten") rows.push_back(static_cast<int>(i));  // a view does not run
    return rows;
}

}  // namespace

TEST_CASE("a profile has each layer once, in order, and the network is as it was") {
    const std::vector<index_t> sizes{16, 16, 3};
    const auto check = [&]<class P>(const P& policy) {
        Model<ResidualMlp, Shape{}, P> model(make_residual_mlp(sizes), Shape{1, 4, 4}, Seed{1}, policy);
        const auto before = support::weights(model.parameters());
        const auto x = some_inputs(6 * 16);
        const auto scores = model.predict(x);
        const Profile p = profile(model, CrossEntropy{}, x, labels, 3);
        CHECK(rows_of(p) == leaves(model));
        CHECK(p.batch == 6);
        CHECK(p.pass > 0);
        double sum = 0;
        for (const LayerTime& t : p.layers) sum += t.forward + t.backward;
        CHECK(sum > 0);
        CHECK(p.layers.back().layers.empty());  // the sums of the residual block
        CHECK(p.layers.back().backward > 0);
        CHECK(model.clock == nullptr);
        CHECK(support::same_bits(before, support::weights(model.parameters())));
        CHECK(support::same_bits(scores, model.predict(x)));
        return p.layers.size();
    };
    CHECK(check(Cpu<float>{}) < check(Reference<float>{}));  // groups
}

TEST_CASE("a profile names the members of a group that has a container among them") {
    using Net = Sequential<Linear<16, 8>, Sequential<BatchNorm1d<>, ReLU>, Linear<8, 3>>;
    Model<Net> model(Net{}, Shape{16}, Seed{1});
    const Profile p = profile(model, CrossEntropy{}, some_inputs(6 * 16), labels, 1);
    CHECK(rows_of(p) == leaves(model));
    CHECK(layer_text(model.parameters(), p.layers[0]) == "0-1.1  Linear<16, 8>, BatchNorm1d<>, ReLU");
}

TEST_CASE("a profile lists a layer that is frozen") {
    const std::vector<index_t> sizes{16, 8, 3};
    Model<Mlp> model(make_mlp(sizes), Shape{16}, Seed{1});
    model.parameters().freeze("1.0*");
    const Profile p = profile(model, CrossEntropy{}, some_inputs(6 * 16), labels, 2);
    REQUIRE(p.layers.size() == 3);
    for (const LayerTime& t : p.layers) CHECK(t.forward > 0);
    CHECK(p.layers[1].backward > 0);
    CHECK(p.layers[2].backward > 0);
    const std::string text = profile_text(model.parameters(), p);
    CHECK(text.find("Linear<Dyn, 16>, BatchNorm1d<>, ReLU") != std::string::npos);
    CHECK(text.find("forward and backward of 6 samples") != std::string::npos);
}

TEST_CASE("a profile that fails leaves the model's clock as it was") {
    const std::vector<index_t> sizes{8, 3};
    Model<Mlp> model(make_mlp(sizes), Shape{16}, Seed{1});
    CHECK_THROWS_AS(static_cast<void>(profile(model, CrossEntropy{}, some_inputs(6 * 16), std::vector<std::int32_t>{0, 1, 2, 0, 1, 9})), Error);
    CHECK(model.clock == nullptr);
    CHECK(model.observer == nullptr);
}
