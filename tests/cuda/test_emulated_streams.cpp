// SPDX-License-Identifier: MIT
// Commands of the emulated device may be carried out late: whoever does not wait, or changes memory too early, gets wrong numbers.
#include <set>
#include <thread>

#include "../support/cuda/device_code.hpp"
#include "emulated_check.hpp"

using namespace emulated_check;

extern "C" {

__global__ void test_append(float* log, float value) {
    const int n = static_cast<int>(log[0]);
    log[0] = static_cast<float>(n + 1), log[n + 1] = value;
}

}  // extern "C"

namespace {

/// Memory of the host that a device copies from by itself.
class Pinned {
public:
    explicit Pinned(std::size_t n) { REQUIRE(cudaMallocHost(reinterpret_cast<void**>(&data_), n * sizeof(float)) == cudaSuccess); }
    ~Pinned() { CHECK(cudaFreeHost(data_) == cudaSuccess); }
    Pinned(const Pinned&) = delete;
    Pinned& operator=(const Pinned&) = delete;
    float* data() { return data_; }
    float& operator[](std::size_t i) { return data_[i]; }

private:
    float* data_ = nullptr;
};

struct Stream {
    cudaStream_t handle{};
    explicit Stream(unsigned flags = cudaStreamNonBlocking) { REQUIRE(cudaStreamCreateWithFlags(&handle, flags) == cudaSuccess); }
    ~Stream() { CHECK(cudaStreamDestroy(handle) == cudaSuccess); }
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;
};

struct Event {
    cudaEvent_t handle{};
    Event() { REQUIRE(cudaEventCreateWithFlags(&handle, cudaEventDisableTiming) == cudaSuccess); }
    ~Event() { CHECK(cudaEventDestroy(handle) == cudaSuccess); }
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;
};

cudaError_t append(cudaStream_t stream, const Device<float>& log, float value) { return launch_in(stream, test_append, 1, 1, log.data(), value); }

Floats logged(const Device<float>& log) {
    CHECK(cudaDeviceSynchronize() == cudaSuccess);
    const Floats all = log.get();
    return {all.begin() + 1, all.begin() + 1 + static_cast<std::ptrdiff_t>(all[0])};
}

}  // namespace

TEST_CASE("late: pinned memory is read when the copy is carried out, other memory at the call") {
    const Fresh fresh;
    for (const Pace pace : {Pace::eager, Pace::late}) {
        emulated::settings().pace = pace;
        const Stream stream;
        const Device<float> y(2);
        Pinned pinned(1);
        float pageable = 1;
        pinned[0] = 1;
        REQUIRE(cudaMemcpyAsync(y.data(), pinned.data(), 4, cudaMemcpyHostToDevice, stream.handle) == cudaSuccess);
        REQUIRE(cudaMemcpyAsync(y.data() + 1, &pageable, 4, cudaMemcpyHostToDevice, stream.handle) == cudaSuccess);
        pinned[0] = 2, pageable = 2;
        CHECK(cudaStreamQuery(stream.handle) == (pace == Pace::late ? cudaErrorNotReady : cudaSuccess));
        REQUIRE(cudaStreamSynchronize(stream.handle) == cudaSuccess);
        CHECK(cudaStreamQuery(stream.handle) == cudaSuccess);
        CHECK(y.get() == Floats{pace == Pace::late ? 2.0f : 1.0f, 1});
    }
}

TEST_CASE("late: pinned memory is written when somebody waits, other memory before the call returns") {
    const Fresh fresh;
    emulated::settings().pace = Pace::late;
    const Stream stream;
    const Device<float> y(1);
    Pinned pinned(1);
    pinned[0] = 0;
    float pageable = 0;
    REQUIRE(cudaMemsetAsync(y.data(), 1, 4, stream.handle) == cudaSuccess);
    REQUIRE(cudaMemcpyAsync(pinned.data(), y.data(), 4, cudaMemcpyDeviceToHost, stream.handle) == cudaSuccess);
    CHECK(pinned[0] == 0);
    CHECK(contains(fault_of([&] { cudaFreeHost(pinned.data()); }), "that a copy still waits to use"));
    REQUIRE(cudaMemcpyAsync(&pageable, y.data(), 4, cudaMemcpyDeviceToHost, stream.handle) == cudaSuccess);
    CHECK(pageable != 0);
    CHECK(pinned[0] == pageable);
}

TEST_CASE("late: an event waits for its stream as far as the record, and no further") {
    const Fresh fresh;
    emulated::settings().pace = Pace::late;
    const Stream stream;
    const Event event, never;
    Pinned first(1), second(1);
    first[0] = second[0] = 0;
    const Device<float> y(1);
    REQUIRE(cudaMemsetAsync(y.data(), 1, 4, stream.handle) == cudaSuccess);
    REQUIRE(cudaMemcpyAsync(first.data(), y.data(), 4, cudaMemcpyDeviceToHost, stream.handle) == cudaSuccess);
    REQUIRE(cudaEventRecord(event.handle, stream.handle) == cudaSuccess);
    REQUIRE(cudaMemcpyAsync(second.data(), y.data(), 4, cudaMemcpyDeviceToHost, stream.handle) == cudaSuccess);
    CHECK(cudaEventQuery(event.handle) == cudaErrorNotReady);
    REQUIRE(cudaEventSynchronize(event.handle) == cudaSuccess);
    CHECK(cudaEventQuery(event.handle) == cudaSuccess);
    CHECK(first[0] != 0);
    CHECK(second[0] == 0);
    CHECK(cudaEventQuery(never.handle) == cudaSuccess);
    CHECK(cudaEventSynchronize(never.handle) == cudaSuccess);
    REQUIRE(cudaDeviceSynchronize() == cudaSuccess);
    CHECK(second[0] != 0);
    CHECK(emulated::counters().waits == 3);
}

TEST_CASE("late: streams overtake each other unless an event forbids it; each keeps its own order") {
    const Fresh fresh;
    const auto run = [](unsigned seed, bool bound) {
        emulated::reset();
        emulated::settings().seed = seed, emulated::settings().pace = Pace::late;
        const Stream a, b;
        const Event event;
        const Device<float> log(8);
        REQUIRE(cudaMemset(log.data(), 0, 4) == cudaSuccess);
        REQUIRE(cudaStreamSynchronize(nullptr) == cudaSuccess);  // a memset is a command too
        for (const float value : {1.0f, 2.0f}) REQUIRE(append(a.handle, log, value) == cudaSuccess);
        REQUIRE(cudaEventRecord(event.handle, a.handle) == cudaSuccess);
        if (bound) REQUIRE(cudaStreamWaitEvent(b.handle, event.handle, 0) == cudaSuccess);
        for (const float value : {3.0f, 4.0f}) REQUIRE(append(b.handle, log, value) == cudaSuccess);
        return logged(log);
    };
    std::set<Floats> orders;
    for (unsigned seed = 1; seed <= 40; ++seed) {
        const Floats order = run(seed, false);
        CHECK(run(seed, true) == Floats{1, 2, 3, 4});
        CHECK(run(seed, false) == order);
        const auto at = [&](float value) { return std::find(order.begin(), order.end(), value); };
        CHECK(at(1) < at(2));
        CHECK(at(3) < at(4));
        orders.insert(order);
    }
    CHECK(orders.size() == 6);
}

TEST_CASE("late: the null stream waits for blocking streams and they for it") {
    const Fresh fresh;
    for (unsigned seed = 1; seed <= 20; ++seed) {
        emulated::settings().seed = seed, emulated::settings().pace = Pace::late;
        const Stream a(cudaStreamDefault), b(cudaStreamDefault);
        const Device<float> log(8);
        REQUIRE(cudaMemset(log.data(), 0, 4) == cudaSuccess);
        REQUIRE(append(a.handle, log, 1) == cudaSuccess);
        REQUIRE(append(nullptr, log, 2) == cudaSuccess);
        REQUIRE(append(b.handle, log, 3) == cudaSuccess);
        CHECK(logged(log) == Floats{1, 2, 3});
    }
}

TEST_CASE("several threads of the host may use the device at once") {
    const Fresh fresh;
    emulated::settings().pace = Pace::late;
    constexpr std::size_t threads = 4;
    constexpr int times = 200;
    const Device<float> sums(Floats(threads * (times + 1), 0));
    std::vector<std::thread> workers;
    for (std::size_t t = 0; t < threads; ++t)
        workers.emplace_back([&sums, t] {
            cudaStream_t stream{};
            cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
            for (int i = 0; i < times; ++i) launch_in(stream, test_append, 1, 1, sums.data() + t * (times + 1), static_cast<float>(i));
            cudaStreamSynchronize(stream);
            cudaStreamDestroy(stream);
        });
    for (std::thread& worker : workers) worker.join();
    const Floats got = sums.get();
    for (std::size_t t = 0; t < threads; ++t) {
        CHECK(got[t * (times + 1)] == times);
        CHECK(got[t * (times + 1) + times] == times - 1);
    }
    CHECK(emulated::counters().launches == threads * times);
}

TEST_CASE("handles that are none are refused") {
    const Fresh fresh;
    cudaStream_t stream{};
    REQUIRE(cudaStreamCreate(&stream) == cudaSuccess);
    REQUIRE(cudaStreamDestroy(stream) == cudaSuccess);
    CHECK(cudaStreamDestroy(stream) == cudaErrorInvalidResourceHandle);
    CHECK(cudaStreamSynchronize(stream) == cudaErrorInvalidResourceHandle);
    const Device<float> y(1);
    CHECK(append(stream, y, 1) == cudaErrorInvalidResourceHandle);
    CHECK(cudaMemsetAsync(y.data(), 0, 4, stream) == cudaErrorInvalidResourceHandle);
    cudaEvent_t event{};
    REQUIRE(cudaEventCreate(&event) == cudaSuccess);
    CHECK(cudaEventRecord(event, stream) == cudaErrorInvalidResourceHandle);
    REQUIRE(cudaEventDestroy(event) == cudaSuccess);
    CHECK(cudaEventRecord(event, nullptr) == cudaErrorInvalidResourceHandle);
    CHECK(cudaEventSynchronize(event) == cudaErrorInvalidResourceHandle);
}
