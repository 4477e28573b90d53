// SPDX-License-Identifier: MIT
// A clone is a second model: the same bits from the same steps, and nothing shared.
#include <doctest/doctest.h>

#include <dla/inspect/summary.hpp>
#include <support/networks.hpp>
#include <support/run_layer.hpp>

#include <sstream>

using namespace dla;
using support::Data;
using support::image;

TEST_CASE("a clone goes the way of the first, by itself") {
    Model<support::Cnn, image> model(Seed{3});
    const Data<float> data(8);
    Adam first;
    for (int i = 0; i < 3; ++i) train_step(model, first, CrossEntropy{}, data.images, data.labels);
    model.parameters().freeze("0");
    model.parameters().set_eval("1");
    auto copy = model.clone();
    CHECK(support::weights(copy.parameters()) == support::weights(model.parameters()));
    CHECK_FALSE(copy.parameters().parameter("0.weight").trainable);
    CHECK(copy.parameters().parameter("4.weight").trainable);
    CHECK(copy.predict(data.images) == model.predict(data.images));

    const std::vector<float> before = support::weights(model.parameters());
    Adam second = first;
    CHECK_THROWS_AS(train_step(copy, second, CrossEntropy{}, data.images, data.labels), Error);  // it knows the first model
    Sgd a({.learning_rate = 0.1}), b({.learning_rate = 0.1});
    for (int i = 0; i < 3; ++i) train_step(copy, a, CrossEntropy{}, data.images, data.labels);
    CHECK(support::weights(model.parameters()) == before);
    for (int i = 0; i < 3; ++i) train_step(model, b, CrossEntropy{}, data.images, data.labels);
    CHECK(support::weights(copy.parameters()) == support::weights(model.parameters()));  // dropout, statistics and what is frozen, too
    CHECK(support::weights(model.parameters()) != before);
}

TEST_CASE("shapes and models are written to streams") {
    std::ostringstream out;
    out << Shape{3, 32, 32} << ' ' << Shape{} << ' ' << Shape{Dyn};
    CHECK(out.str() == "[3, 32, 32] [unknown] [Dyn]");
    std::ostringstream numbers;  // which could become shapes
    numbers << 1.5 << ' ' << 2.5f << ' ' << 3L << ' ' << 4;
    CHECK(numbers.str() == "1.5 2.5 3 4");
    Model<support::Mlp, image> model(Seed{3});
    std::ostringstream table;
    table << model;
    CHECK(table.str() == summary(model));
}
