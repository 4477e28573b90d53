// SPDX-License-Identifier: MIT
// Views of other libraries look at our memory and see the same numbers; Eigen and xtensor are independent oracles here.
#include <dla/nn.hpp>

#include <doctest/doctest.h>

#include <numeric>

#if defined(DLA_TEST_EIGEN)
#include <dla/interop/eigen.hpp>

TEST_CASE("Linear equals Eigen's product of the mapped weight") {
    dla::Model<dla::Sequential<dla::Linear<7, 5>>, dla::Shape{7}, dla::Reference<double>> model(dla::Seed{3});
    std::vector<double> x(4 * 7);
    std::iota(x.begin(), x.end(), -5.0);
    auto& table = model.parameters();
    const auto weight = dla::as_eigen(table, table.parameter("0.weight"));
    const auto bias = dla::as_eigen(table, table.parameter("0.bias"));
    const dla::BasicView<const double*> batch(x.data(), 4, dla::Shape{7});
    const Eigen::MatrixXd expected = (dla::as_eigen(batch) * weight.transpose()).rowwise() + bias.col(0).transpose();
    const auto y = model.predict(x);
    for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 5; ++j) CHECK(y[static_cast<std::size_t>(i * 5 + j)] == doctest::Approx(expected(i, j)).epsilon(1e-12));
}

TEST_CASE("writing through an Eigen map changes the batch") {
    std::vector<float> x(6, 1.0f);
    const dla::BasicView<float*> batch(x.data(), 2, dla::Shape{3});
    dla::as_eigen(batch)(1, 2) = 9.0f;
    CHECK(x[5] == 9.0f);
    CHECK(dla::as_eigen(dla::BasicView<float*>(x.data(), 0, dla::Shape{3})).size() == 0);
}
#endif

#if defined(DLA_TEST_XTENSOR)
#include <dla/interop/xtensor.hpp>

#if __has_include(<xtensor/core/xmath.hpp>)
#include <xtensor/core/xmath.hpp>
#else
#include <xtensor/xmath.hpp>
#endif

TEST_CASE("images as an xtensor expression, there and back") {
    std::vector<float> x(2 * 3 * 4 * 5);
    std::iota(x.begin(), x.end(), 0.0f);
    const dla::BasicView<float*> batch(x.data(), 2, dla::Shape{5, 3, 4});
    auto images = dla::as_xtensor_images(batch);
    CHECK(images(1, 2, 3, 4) == x.back());
    CHECK(images(0, 1, 0, 2) == 22.0f);
    images(0, 0, 0, 1) = -1.0f;
    CHECK(x[1] == -1.0f);
    const xt::xtensor<float, 4> copy = images;
    const auto again = dla::as_batch(copy);
    CHECK(again.shape == batch.shape);
    CHECK(again.batch == 2);
    CHECK(again.data[119] == 119.0f);
    CHECK_THROWS_AS(dla::as_xtensor_images(dla::BasicView<float*>(x.data(), 2, dla::Shape{60})), dla::Error);
}

TEST_CASE("BatchNorm's running mean moves towards xtensor's mean of the batch") {
    dla::Model<dla::Sequential<dla::BatchNorm1d<6>>, dla::Shape{6}, dla::Reference<double>> model(dla::Seed{1});
    std::vector<double> x(8 * 6);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<double>(i * i % 17) - 3;
    const dla::BasicView<const double*> batch(x.data(), 8, dla::Shape{6});
    model.forward(batch);
    const xt::xtensor<double, 1> mean = xt::mean(dla::as_xtensor(batch), {0});
    std::vector<double> running(6);
    model.parameters().read(model.parameters().buffers[0], running);
    for (std::size_t i = 0; i < 6; ++i) CHECK(running[i] == doctest::Approx(0.1 * mean(i)).epsilon(1e-12));
}
#endif
