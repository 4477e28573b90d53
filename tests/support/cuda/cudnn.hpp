// SPDX-License-Identifier: MIT
// Descriptors of cuDNN's graph interface on the emulated device, and the one operation they can describe.
#pragma once

#include <cudnn.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "internal.hpp"

namespace emulated::dnn {

struct Content;
using Contents = std::shared_ptr<const Content>;

/// An attribute that was set. Descriptors are kept with what was in them, so they may be destroyed afterwards.
struct Value {
    cudnnBackendAttributeType_t type = CUDNN_TYPE_INT64;
    std::int64_t count = 0;
    std::vector<std::byte> bytes;
    std::vector<Contents> contents;  // in place of bytes
};

struct Tensor {
    std::int64_t id = 0, alignment = 1;
    std::array<std::int64_t, 4> dims{}, strides{};  // [images, channels, height, width], whatever their order in memory

    std::size_t count() const { return static_cast<std::size_t>(dims[0] * dims[1] * dims[2] * dims[3]); }
};

enum class Direction { forward, data, filter };

struct Convolution {
    Direction direction = Direction::forward;
    Tensor x, w, y;  // or their gradients
    std::array<std::int64_t, 2> before{}, after{}, stride{}, dilation{};
    double alpha = 1, beta = 0;

    std::int64_t groups() const { return x.dims[1] / w.dims[1]; }
    const Tensor& out() const { return direction == Direction::forward ? y : direction == Direction::data ? x : w; }
};

/// The engines, in the order in which the heuristics propose them; `noted` comes first where a test asks for it, and computes as `plain` does.
enum class Engine { tensor_core, nondeterministic, plain, noted };
constexpr int engines = 3;
constexpr std::size_t workspace_of(Engine e) { return e == Engine::tensor_core ? 8192 : e == Engine::nondeterministic ? 6144 : 4096; }

/// What is behind a handle. It does not change once it is finalized.
struct Content {
    cudnnBackendDescriptorType_t type = CUDNN_BACKEND_TENSOR_DESCRIPTOR;
    bool finalized = false;
    std::map<cudnnBackendAttributeName_t, Value> values;
    std::shared_ptr<const Convolution> convolution;  // from the operation on
    Engine engine = Engine::plain;                   // from the engine on

    bool has(cudnnBackendAttributeName_t name) const { return values.contains(name); }
    template <class T>
    std::vector<T> all(cudnnBackendAttributeName_t name) const {
        const Value& value = values.at(name);
        std::vector<T> out(value.bytes.size() / sizeof(T));
        std::memcpy(out.data(), value.bytes.data(), out.size() * sizeof(T));
        return out;
    }
    template <class T>
    T one(cudnnBackendAttributeName_t name) const {
        T out{};
        std::memcpy(&out, values.at(name).bytes.data(), sizeof out);
        return out;
    }
    const Content& descriptor(cudnnBackendAttributeName_t name) const { return *values.at(name).contents.at(0); }
};

/// Remembers why, and says so.
cudnnStatus_t refuse(cudnnStatus_t status, const std::string& sentence);
bool is_live(cudnnHandle_t handle);
cudaStream_t stream_of(cudnnHandle_t handle);
/// Null for what is no live descriptor.
std::shared_ptr<Content> content_of(cudnnBackendDescriptor_t handle);
/// Makes `content` what the descriptor holds.
void replace(cudnnBackendDescriptor_t handle, std::shared_ptr<Content> content);

/// Checks what was set in a descriptor, and finds what follows from it.
cudnnStatus_t finalize(Content& content);
/// Reads an operation's convolution out of its attributes.
cudnnStatus_t read_convolution(const Content& operation, Convolution& out);
/// `descriptor`: the plan's, which must live until it is done.
cudnnStatus_t execute(cudnnHandle_t handle, const Content& plan, const Content& pack, cudnnBackendDescriptor_t descriptor);

}  // namespace emulated::dnn
