// SPDX-License-Identifier: MIT
// Predictions and evaluations that bring no workspace: what a model keeps for them, and what it does not.
#include <doctest/doctest.h>

#include <support/centred.hpp>
#include <support/count_new.hpp>
#include <support/networks.hpp>

#include <thread>

using namespace dla;
using support::image;

namespace {

using Values = std::vector<float>;

bool same(const Values& a, const Values& b) { return std::ranges::equal(std::as_bytes(std::span(a)), std::as_bytes(std::span(b))); }

/// By a workspace of its own, which knows nothing of what the model keeps.
template <class Model>
Values predict_alone(const Model& model, std::span<const float> inputs) {
    const index_t samples = std::ssize(inputs) / model.input_shape().size();
    Values y(static_cast<std::size_t>(samples * model.output_shape().size()));
    auto workspace = model.inference_workspace(samples);
    model.predict(inputs, y, workspace);
    return y;
}

}  // namespace

TEST_CASE("predictions into the caller's memory allocate nothing once memory is there, nor do evaluations") {
    const Model<support::Cnn, image> model(support::Cnn{}, Seed{5});
    const support::Data<float> data(8);
    const std::span<const float> images(data.images);
    const std::span<const std::int32_t> labels(data.labels);
    Values y(8 * 3), three(3 * 3);
    model.evaluate(CrossEntropy{}, images, labels, y);
    const long before = support::allocations();
    model.predict(images, y);
    model.predict(images.first(3 * static_cast<std::size_t>(image.size())), three);
    model.evaluate(CrossEntropy{}, images, labels);
    model.evaluate(CrossEntropy{}, images, labels, y);
    CHECK(support::allocations() == before);
    CHECK(same(y, predict_alone(model, images)));
    CHECK(same(three, predict_alone(model, images.first(3 * static_cast<std::size_t>(image.size())))));
}

TEST_CASE("what a model keeps for predictions follows its weights, its size and where it moves") {
    using Net = Sequential<Conv2d<40, 40, 3>, ReLU>;  // whose weights are prepared
    Model<Net, Shape{40, 8, 8}> model(Seed{3});
    Values x(5 * 40 * 8 * 8);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 17) / 8 - 1;
    const auto small = std::span<const float>(x).first(2 * 40 * 8 * 8);
    const Values first = model.predict(small);
    CHECK(same(model.predict(x), predict_alone(model, x)));  // more samples than before
    CHECK(same(model.predict(small), first));                // and fewer
    const ParamRow& weight = model.parameters().parameter("0.weight");
    Values values(static_cast<std::size_t>(weight.count));
    model.parameters().read(ParamPart::value, weight, values);
    for (float& v : values) v *= 2;
    model.parameters().write(ParamPart::value, weight, values);
    CHECK(!same(model.predict(small), first));
    CHECK(same(model.predict(small), predict_alone(model, small)));
    auto moved = std::move(model);
    CHECK(same(moved.predict(small), predict_alone(moved, small)));
    Model<Net, Shape{40, 8, 8}> other(Seed{4});
    (void)other.predict(x);
    other = std::move(moved);
    CHECK(same(other.predict(small), predict_alone(other, small)));
    const auto copy = other.clone();
    CHECK(same(copy.predict(small), other.predict(small)));
}

TEST_CASE("outputs may lie where inputs lie") {
    const Model<Linear<6, 6>, Shape{6}> model(Seed{3});  // reads the input while it writes the output
    for (const std::size_t shift : {std::size_t{0}, std::size_t{1}, std::size_t{5}}) {
        Values room(30 + shift);
        for (std::size_t i = 0; i < room.size(); ++i) room[i] = static_cast<float>(i) / 10 - 1;
        for (const bool later : {false, true}) {  // which of the two begins first
            Values both = room;
            const auto x = std::span(both).subspan(later ? 0 : shift, 30), y = std::span(both).subspan(later ? shift : 0, 30);
            const Values expected = predict_alone(model, x);
            model.predict(x, y);
            CHECK(same({y.begin(), y.end()}, expected));
            both = room;
            const Values targets(30);
            model.evaluate(MeanSquaredError{}, x, targets, y);
            CHECK(same({y.begin(), y.end()}, expected));
        }
    }
}

TEST_CASE("a refused prediction harms none after it, and no value beside the outputs is written") {
    const Model<support::Cnn, image> model(support::Cnn{}, Seed{5});
    const support::Data<float> data(5);
    Values y(5 * 3 + 2, 7.0f);
    CHECK_THROWS_AS(model.predict(data.images, std::span(y)), Error);
    model.predict(data.images, std::span(y).subspan(1, 15));
    CHECK(y.front() == 7);
    CHECK(y.back() == 7);
    CHECK(same({y.begin() + 1, y.end() - 1}, predict_alone(model, data.images)));
}

TEST_CASE("threads that predict at a time get memory of their own") {
    const Model<support::Cnn, image> model(support::Cnn{}, Seed{5});
    const support::Data<float> data(8);
    const Values expected = predict_alone(model, data.images);
    std::vector<Values> results(4, Values(24));
    std::vector<std::thread> threads;
    for (Values& y : results)
        threads.emplace_back([&] {
            for (int i = 0; i < 50; ++i) model.predict(data.images, y);
        });
    for (std::thread& t : threads) t.join();
    for (const Values& y : results) CHECK(same(y, expected));
}

TEST_CASE("memory is kept up to a bound together, or as much as was reserved") {
    using P = Reference<float>;
    Model<Sequential<Linear<4, 1024>, support::Centred, Linear<1024, 2>>, Shape{4}, P> model(Seed{1});  // stays together: large batches take much memory
    const auto batch = [](index_t samples) { return Values(static_cast<std::size_t>(4 * samples)); };
    const auto allocates = [&](index_t samples) {
        const Values x = batch(samples);
        Values y(static_cast<std::size_t>(2 * samples));
        const long before = support::allocations();
        model.predict(x, y);
        return support::allocations() != before;
    };
    const index_t bound = index_t{256} << 20, many = 80000;  // 4 kB each
    CHECK(allocates(100));
    CHECK(!allocates(100));
    const index_t kept = model.inference_bytes();
    CHECK(kept > 0);
    REQUIRE(model.inference_workspace(many).bytes() > bound);
    CHECK(allocates(many));
    CHECK(model.inference_bytes() == kept);  // the large one took no other's place
    CHECK(!allocates(100));
    model.reserve_inference(many, MeanSquaredError{});
    CHECK(!allocates(many));
    CHECK(!allocates(100));
    CHECK(!allocates(many));  // whichever came back last
    CHECK(model.inference_bytes() > bound);
    model.release_inference();
    CHECK(model.inference_bytes() == 0);
    CHECK(allocates(100));

    // Several at a time share the bound.
    WorkspacePool<P> pool;
    const auto third = [&](const auto&) { return model.inference_workspace(many / 4); };
    const auto never = [](const auto&) { return false; };
    {
        const auto a = pool.take(never, third), b = pool.take(never, third), c = pool.take(never, third), d = pool.take(never, third);
        CHECK(pool.bytes() == 0);
    }
    CHECK(pool.bytes() <= bound);
    CHECK(pool.bytes() > bound / 2);
}

TEST_CASE("what is refused leaves the memory that is kept, and claims none") {
    const Model<support::Cnn, image> model(support::Cnn{}, Seed{5});
    support::Data<float> data(8);
    const std::span<const float> images(data.images);
    Values y(8 * 3), few(5);
    model.evaluate(CrossEntropy{}, images, std::span<const std::int32_t>(data.labels), y);
    const index_t kept = model.inference_bytes();
    data.labels[3] = 17;
    CHECK_THROWS_AS(model.evaluate(CrossEntropy{}, images, std::span<const std::int32_t>(data.labels), y), Error);
    CHECK(model.inference_bytes() == kept);
    const Values many(static_cast<std::size_t>(500 * image.size()));
    CHECK_THROWS_AS(model.predict(many, std::span(few)), Error);
    CHECK_THROWS_AS(model.evaluate(CrossEntropy{}, many, std::span<const std::int32_t>(data.labels)), Error);
    CHECK(model.inference_bytes() == kept);
}
