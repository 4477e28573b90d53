// SPDX-License-Identifier: MIT
// Memory and order of a CUDA device: what is copied is what was there at the call, memory is zeroed, threads share the stream.
#include <doctest/doctest.h>

#include <dla/core/table.hpp>
#include <dla/cuda.hpp>
#include <support/cuda/orders.hpp>
#include <support/networks.hpp>
#include <support/run_layer.hpp>

#include <numeric>
#include <thread>

using namespace dla;

namespace {

template <class T>
concept Followed = requires(T p) { *p; } || requires(T p) { p[0]; } || requires(T p) { p.operator->(); };
static_assert(Followed<float*> && !Followed<DevicePtr<float>> && !Followed<DevicePtr<const float>>);
static_assert(std::is_convertible_v<DevicePtr<float>, DevicePtr<const float>> && !std::is_convertible_v<DevicePtr<const float>, DevicePtr<float>>);
static_assert(!std::is_convertible_v<float*, DevicePtr<float>>);

}  // namespace

TEST_CASE("more than the staging memory holds goes in, and the caller may write at once") {
    support::in_every_order([] {
        const Cuda<float> policy;
        std::vector<int> sent(5'000'000), back(sent.size());  // 20 MB, and a piece
        std::iota(sent.begin(), sent.end(), 1);
        const std::vector<int> expected = sent;
        const Arena<Cuda<float>> room(policy, static_cast<index_t>(sent.size() * sizeof(int)));
        put(policy, room.at<int>(0), sent.data(), std::ssize(sent));
        std::fill(sent.begin(), sent.end(), -1);
        fetch(policy, back.data(), room.at<const int>(0), std::ssize(back));
        CHECK(back == expected);
    });
}

TEST_CASE("memory is zeroed, also where other memory was before") {
    support::in_every_order([] {
        const Cuda<float> policy;
        for (int i = 0; i < 3; ++i) {
            const Arena<Cuda<float>> room(policy, 4000);
            std::vector<int> values(1000, 7);
            fetch(policy, values.data(), room.at<const int>(0), 1000);
            CHECK(std::ranges::all_of(values, [](int v) { return v == 0; }));
            policy.fill(room.data(), 0xab, 4000);
        }
    });
}

TEST_CASE("an event that many others came after is still waited for") {
    support::in_every_order([] {
        const Cuda<float> policy;
        const Arena<Cuda<float>> room(policy, 64);
        const int sent = 5;
        put(policy, room.at<int>(0), &sent, 1);
        void* pinned = nullptr;  // into which a copy may come late
        REQUIRE(cudaMallocHost(&pinned, sizeof(int)) == cudaSuccess);
        int& got = *static_cast<int*>(pinned) = 0;
        policy.copy_out(&got, room.data(), sizeof got);
        const auto event = policy.record();
        for (int i = 0; i < 200; ++i) policy.record();
        policy.wait(event);
        CHECK(got == 5);
        cudaFreeHost(pinned);
    });
}

TEST_CASE("threads that predict with one model on a device") {
    const Model<support::Cnn, support::image, Cuda<float>> model(Seed{1});
    const support::Data<float> data(7);
    const auto expected = model.predict(data.images);
    std::vector<std::vector<float>> got(4);
    std::vector<std::thread> threads;
    for (auto& mine : got)
        threads.emplace_back([&] {
            for (int i = 0; i < 5; ++i) mine = model.predict(data.images);
        });
    for (std::thread& t : threads) t.join();
    for (const auto& mine : got) CHECK(support::same_bits(mine, expected));
}

TEST_CASE("memory that is not there is told in numbers") {
    try {
        (void)Cuda<float>().allocate(index_t{1} << 50);
        FAIL("allocated");
    } catch (const OutOfDeviceMemory& e) {
        CHECK(e.needed() == index_t{1} << 50);
        CHECK(e.free() > 0);
        CHECK(std::string(e.what()).starts_with("error[device] memory: the device has not enough: " + byte_text(e.needed()) + " are asked for in one piece, "));
    }
    const support::Data<float> data(6);  // and what follows works
    Model<support::Mlp, support::image, Cuda<float>> model(Seed{3});
    CHECK(model.predict(data.images).size() == 18);
}
