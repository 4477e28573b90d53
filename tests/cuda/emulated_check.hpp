// SPDX-License-Identifier: MIT
// What the tests of the emulated device share: buffers, launches, and programs that are expected to die.
#pragma once

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <string>
#include <vector>

#include "../support/cuda/emulated.hpp"

namespace emulated_check {

using emulated::Order, emulated::Pace;
using Floats = std::vector<float>;

/// Settings and counters of a test case are its own.
struct Fresh {
    Fresh() { emulated::reset(); }
    ~Fresh() { emulated::reset(); }
    Fresh(const Fresh&) = delete;
    Fresh& operator=(const Fresh&) = delete;
};

/// Memory of the device.
template <class T>
class Device {
public:
    explicit Device(std::size_t n) : n_(n) { REQUIRE(cudaMalloc(reinterpret_cast<void**>(&data_), n * sizeof(T)) == cudaSuccess); }
    explicit Device(const std::vector<T>& from) : Device(from.size()) { put(from); }
    ~Device() { free(); }
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;

    void free() {
        if (data_ != nullptr) CHECK(cudaFree(data_) == cudaSuccess);
        data_ = nullptr;
    }
    void put(const std::vector<T>& from) { REQUIRE(cudaMemcpy(data_, from.data(), from.size() * sizeof(T), cudaMemcpyHostToDevice) == cudaSuccess); }
    std::vector<T> get() const {
        std::vector<T> out(n_);
        REQUIRE(cudaMemcpy(out.data(), data_, n_ * sizeof(T), cudaMemcpyDeviceToHost) == cudaSuccess);
        return out;
    }
    T* data() const { return data_; }
    std::size_t size() const { return n_; }

private:
    T* data_ = nullptr;
    std::size_t n_;
};

/// A launch as the library makes it: by the types of the kernel.
template <class... Args>
cudaError_t launch(void (*kernel)(Args...), dim3 grid, dim3 block, std::type_identity_t<Args>... arguments) {
    void* addresses[] = {&arguments..., nullptr};
    return cudaLaunchKernel(emulated::entry("test_kernel", kernel), grid, block, addresses, 0, nullptr);
}
template <class... Args>
cudaError_t launch_in(cudaStream_t stream, void (*kernel)(Args...), dim3 grid, dim3 block, std::type_identity_t<Args>... arguments) {
    void* addresses[] = {&arguments..., nullptr};
    return cudaLaunchKernel(emulated::entry("test_kernel", kernel), grid, block, addresses, 0, stream);
}

/// What `program` prints to stderr when it dies of a signal; "lives" if it does not.
template <class Program>
std::string last_words(const Program& program) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        program();
        _exit(0);
    }
    close(ends[1]);
    std::string words;
    char buffer[512];
    for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) words.append(buffer, static_cast<std::size_t>(n));
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? words : "lives: " + words;
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// What Fault says, "" if there is none.
template <class Call>
std::string fault_of(const Call& call) {
    try {
        call();
    } catch (const emulated::Fault& fault) {
        return fault.what();
    }
    return "";
}

/// Small, so that sums of products are exact in float.
inline Floats small_integers(std::size_t n, unsigned seed) {
    Floats out(n);
    for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<float>((i * 7919 + seed * 104729) % 13) - 6;
    return out;
}

}  // namespace emulated_check
