// SPDX-License-Identifier: MIT
// cuDNN's graph API as far as convolutions need it: descriptors, and plans that are chosen once for each shape.
#pragma once

#include <dla/backend/cuda/queue.hpp>
#include <dla/kernels/cuda/kept.hpp>
#include <dla/kernels/cuda/shared_library.hpp>
#include <dla/kernels/types.hpp>

#include <cudnn.h>

#include <optional>
#include <vector>

namespace dla::cuda {

/// What is called of cuDNN, opened when the first model is made.
struct Cudnn {
    SharedLibrary library{"libcudnn.so", CUDNN_MAJOR};
    decltype(&::cudnnBackendCreateDescriptor) cudnnBackendCreateDescriptor = library.find("cudnnBackendCreateDescriptor");
    decltype(&::cudnnBackendDestroyDescriptor) cudnnBackendDestroyDescriptor = library.find("cudnnBackendDestroyDescriptor");
    decltype(&::cudnnBackendExecute) cudnnBackendExecute = library.find("cudnnBackendExecute");
    decltype(&::cudnnBackendFinalize) cudnnBackendFinalize = library.find("cudnnBackendFinalize");
    decltype(&::cudnnBackendGetAttribute) cudnnBackendGetAttribute = library.find("cudnnBackendGetAttribute");
    decltype(&::cudnnBackendSetAttribute) cudnnBackendSetAttribute = library.find("cudnnBackendSetAttribute");
    decltype(&::cudnnCreate) cudnnCreate = library.find("cudnnCreate");
    decltype(&::cudnnGetErrorString) cudnnGetErrorString = library.find("cudnnGetErrorString");
    decltype(&::cudnnGetLastErrorString) cudnnGetLastErrorString = library.find("cudnnGetLastErrorString");
    decltype(&::cudnnGetVersion) cudnnGetVersion = library.find("cudnnGetVersion");
    decltype(&::cudnnSetStream) cudnnSetStream = library.find("cudnnSetStream");
};
inline const Cudnn& cudnn() {
    static const Cudnn& functions = *new Cudnn;
    return functions;
}

/// Throws Error(device) unless a call of cuDNN succeeded, with what cuDNN says more.
inline void check(cudnnStatus_t status, const char* call) {
    if (status == CUDNN_STATUS_SUCCESS) return;
    char more[512] = "";
    cudnn().cudnnGetLastErrorString(more, sizeof more);
    fail(ErrorCode::device, call, text(cudnn().cudnnGetErrorString(status), more[0] != '\0' ? ": " : "", std::string_view(more)).view());
}

/// Whether cuDNN says that it has no such thing: another engine, or a kernel of ours, does it. Throws Error(device) for everything else but success.
inline bool not_supported(cudnnStatus_t status, const char* call) {
    const int number = static_cast<int>(status), kind = number / 1000 * 1000;
    const bool memory = status == CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED || status == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED;
    if (kind == static_cast<int>(CUDNN_STATUS_NOT_SUPPORTED) || (kind == static_cast<int>(CUDNN_STATUS_INTERNAL_ERROR) && !memory)) return true;
    check(status, call);
    return false;
}

/// A descriptor of cuDNN's.
class Descriptor {
public:
    explicit Descriptor(cudnnBackendDescriptorType_t type) { check(cudnn().cudnnBackendCreateDescriptor(type, &descriptor_), "cudnnBackendCreateDescriptor"); }
    Descriptor(Descriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, nullptr)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(descriptor_, other.descriptor_);
        return *this;
    }
    ~Descriptor() {
        if (descriptor_ != nullptr) (void)cudnn().cudnnBackendDestroyDescriptor(descriptor_);
    }

    cudnnBackendDescriptor_t get() const { return descriptor_; }
    template <class V>
    Descriptor& set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, const V& value) {
        check(cudnn().cudnnBackendSetAttribute(descriptor_, name, type, 1, &value), "cudnnBackendSetAttribute");
        return *this;
    }
    template <class V, std::size_t N>
    Descriptor& set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, const std::array<V, N>& values) {
        check(cudnn().cudnnBackendSetAttribute(descriptor_, name, type, static_cast<std::int64_t>(N), values.data()), "cudnnBackendSetAttribute");
        return *this;
    }
    Descriptor& set(cudnnBackendAttributeName_t name, const Descriptor& value) { return set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, value.descriptor_); }
    /// Fills up to `values.size()` and says how many there are.
    template <class V>
    std::int64_t read(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::vector<V>& values) const {
        std::int64_t count = 0;
        check(cudnn().cudnnBackendGetAttribute(descriptor_, name, type, static_cast<std::int64_t>(values.size()), &count, values.data()),
              "cudnnBackendGetAttribute");
        return count;
    }
    cudnnStatus_t try_finalize() { return cudnn().cudnnBackendFinalize(descriptor_); }
    Descriptor finalized() && {
        check(try_finalize(), "cudnnBackendFinalize");
        return std::move(*this);
    }

private:
    cudnnBackendDescriptor_t descriptor_ = nullptr;
};

/// The three convolutions of a layer.
enum class ConvKind { forward, backward_data, backward_weights };

/// x, w and y of a convolution, by the numbers under which cuDNN knows them.
enum ConvTensor : std::int64_t { conv_x = 1, conv_w = 2, conv_y = 3 };

/// Images [batch, height, width, channels], or weights, as cuDNN wants to know them: sizes channels first, strides as they lie.
inline Descriptor image_descriptor(ConvTensor number, std::int64_t alignment, index_t batch, index_t channels, index_t height, index_t width) {
    const std::array<std::int64_t, 4> sizes{batch, channels, height, width}, strides{height * width * channels, 1, width * channels, channels};
    Descriptor tensor(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    tensor.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT)
        .set(CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, sizes)
        .set(CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, strides)
        .set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, std::int64_t{number})
        .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, alignment);
    return std::move(tensor).finalized();
}

/// Zeros behind the last row or column with which cuDNN computes as many outputs as `out`: as many as before it, which all engines take, or as few as can be.
/// Nothing where the last `stride` values or more are not read: cuDNN would make another output of them.
constexpr std::optional<index_t> zeros_behind(index_t in, index_t before, index_t kernel, index_t dilation, index_t stride, index_t out) {
    const index_t window = (kernel - 1) * dilation + 1, fewest = std::max<index_t>((out - 1) * stride + window - before - in, 0);
    for (const index_t zeros : {before, fewest})
        if (in + before + zeros >= window && (in + before + zeros - window) / stride + 1 == out) return zeros;
    return std::nullopt;
}

/// What x, w and y are aligned to at least, in bytes.
using ConvAlignment = std::array<std::int64_t, 3>;

/// The operation of a convolution; none where cuDNN's definition has no such one. Needs no device.
inline std::optional<Descriptor> conv_operation(ConvKind kind, const Conv2dDims& d, const ConvAlignment& aligned = {16, 16, 16}) {
    const auto below = zeros_behind(d.height, d.pad_top, d.kernel_h, d.dilation_h, d.stride_h, d.out_height);
    const auto right = zeros_behind(d.width, d.pad_left, d.kernel_w, d.dilation_w, d.stride_w, d.out_width);
    if (!below || !right) return std::nullopt;
    using Pair = std::array<std::int64_t, 2>;
    Descriptor conv(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    conv.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT)
        .set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, CUDNN_CROSS_CORRELATION)
        .set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, std::int64_t{2})
        .set(CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, Pair{d.dilation_h, d.dilation_w})
        .set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, Pair{d.stride_h, d.stride_w})
        .set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, Pair{d.pad_top, d.pad_left})
        .set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, Pair{*below, *right});
    conv = std::move(conv).finalized();
    const Descriptor x = image_descriptor(conv_x, aligned[0], d.batch, d.in_channels, d.height, d.width);
    const Descriptor w = image_descriptor(conv_w, aligned[1], d.out_channels, d.in_channels / d.groups, d.kernel_h, d.kernel_w);
    const Descriptor y = image_descriptor(conv_y, aligned[2], d.batch, d.out_channels, d.out_height, d.out_width);
    const float one = 1, zero = 0;
    const auto operation = [&](auto type, auto of_conv, auto of_x, auto of_w, auto of_y, auto alpha, auto beta) -> std::optional<Descriptor> {
        Descriptor made(type);
        made.set(of_conv, conv).set(of_x, x).set(of_w, w).set(of_y, y).set(alpha, CUDNN_TYPE_FLOAT, one).set(beta, CUDNN_TYPE_FLOAT, zero);
        if (not_supported(made.try_finalize(), "cudnnBackendFinalize")) return std::nullopt;
        return made;
    };
    switch (kind) {
        case ConvKind::forward:
            return operation(CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA);
        case ConvKind::backward_data:
            return operation(CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA);
        case ConvKind::backward_weights:
            break;
    }
    return operation(CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA);
}

/// The convolutions of one device: how each is computed, as cuDNN advises when it is first asked.
class Convolutions {
public:
    static Convolutions& of(Queue& queue) { return once_for_device<Convolutions>(queue); }
    explicit Convolutions(Queue& queue) : queue_(queue) {
        queue.use();
        check(cudnn().cudnnCreate(&handle_), "cudnnCreate");
        check(cudnn().cudnnSetStream(handle_, queue.stream()), "cudnnSetStream");
    }

    /// Computes one of x, w and y from the others; of `backward_weights` w is overwritten. False, and nothing is done, where cuDNN has no engine that gives the
    /// same bits each time and rounds no more than it was allowed to.
    bool run(ConvKind kind, const Conv2dDims& d, bool tf32, bool strict, const float* x, const float* w, const float* y) {
        const std::lock_guard lock(queue_.mutex());
        queue_.use();
        const ConvAlignment aligned{alignment_of(x, 16), alignment_of(w, 16), alignment_of(y, 16)};  // all that is allocated has 16; parts of it may not
        const Key key{static_cast<int>(kind),
                      tf32,
                      strict,
                      aligned[0],
                      aligned[1],
                      aligned[2],
                      d.batch,
                      d.height,
                      d.width,
                      d.in_channels,
                      d.out_channels,
                      d.kernel_h,
                      d.kernel_w,
                      d.stride_h,
                      d.stride_w,
                      d.dilation_h,
                      d.dilation_w,
                      d.pad_top,
                      d.pad_left,
                      d.out_height,
                      d.out_width,
                      d.groups};
        const auto* found = plans_.find(key);
        if (found == nullptr) {
            std::optional<Plan> made = plan(kind, d, aligned, tf32, strict);
            without_engine_ += !made;
            found = &plans_.keep(key, std::move(made), [&] { queue_.synchronize(); });  // none is at work when it is destroyed
        }
        if (!*found) return false;
        // What is written is not const where it comes from.
        const std::array<void*, 3> pointers{const_cast<float*>(x), const_cast<float*>(w), const_cast<float*>(y)};
        Descriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
        pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, std::array<std::int64_t, 3>{conv_x, conv_w, conv_y})
            .set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, pointers)
            .set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, queue_.workspace((*found)->workspace));
        pack = std::move(pack).finalized();
        check(cudnn().cudnnBackendExecute(handle_, (*found)->plan.get(), pack.get()), "cudnnBackendExecute");
        return true;
    }
    std::size_t kept() const { return plans_.size(); }
    /// How many convolutions cuDNN had no engine for when it was asked: those are computed by kernels of our own, which are slow.
    std::size_t without_engine() const { return without_engine_; }

private:
    using Key = std::array<index_t, 22>;
    struct Plan {
        Descriptor config, plan;
        index_t workspace;
    };

    /// An engine may be used that is deterministic and, unless TF32 is allowed, multiplies floats as they are.
    static bool allowed(const Descriptor& config, bool tf32, bool strict) {
        Descriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
        std::vector<cudnnBackendDescriptor_t> room{engine.get()};
        config.read(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, room);
        std::vector<cudnnBackendNumericalNote_t> notes(CUDNN_NUMERICAL_NOTE_TYPE_COUNT);
        notes.resize(static_cast<std::size_t>(engine.read(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, notes)));
        for (const cudnnBackendNumericalNote_t note : notes)
            if (note == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC || note == CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION ||
                (!tf32 && (note == CUDNN_NUMERICAL_NOTE_TENSOR_CORE || note == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS)) ||
                (strict && (note == CUDNN_NUMERICAL_NOTE_FFT || note == CUDNN_NUMERICAL_NOTE_WINOGRAD || note == CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4 ||
                            note == CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6 || note == CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13)))
                return false;
        return true;
    }
    /// The first that cuDNN's heuristics advise and that is allowed.
    std::optional<Plan> plan(ConvKind kind, const Conv2dDims& d, const ConvAlignment& aligned, bool tf32, bool strict) {
        const std::optional<Descriptor> operation = conv_operation(kind, d, aligned);
        if (!operation) return std::nullopt;
        Descriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
        graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, *operation).set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, handle_);
        if (not_supported(graph.try_finalize(), "cudnnBackendFinalize")) return std::nullopt;
        for (const cudnnBackendHeurMode_t mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK}) {
            Descriptor heuristic(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
            heuristic.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph).set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, mode);
            if (not_supported(heuristic.try_finalize(), "cudnnBackendFinalize")) continue;
            std::vector<Descriptor> configs;
            std::vector<cudnnBackendDescriptor_t> room;
            for (int i = 0; i < 64; ++i) room.push_back(configs.emplace_back(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR).get());
            const std::int64_t count = heuristic.read(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, room);
            for (std::size_t i = 0; i < static_cast<std::size_t>(std::min<std::int64_t>(count, 64)); ++i) {
                if (!allowed(configs[i], tf32, strict)) continue;
                Descriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
                plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configs[i]).set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, handle_);
                if (not_supported(plan.try_finalize(), "cudnnBackendFinalize")) continue;
                std::vector<std::int64_t> bytes(1);
                plan.read(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, bytes);
                if (bytes[0] > Queue::largest_workspace) continue;
                queue_.workspace(bytes[0]);  // or there is not enough memory: another engine would give other bits, depending on who else uses the device
                return Plan{std::move(configs[i]), std::move(plan), bytes[0]};
            }
        }
        return std::nullopt;
    }

    Queue& queue_;
    cudnnHandle_t handle_ = nullptr;
    Kept<Key, std::optional<Plan>> plans_;
    std::size_t without_engine_ = 0;
};

}  // namespace dla::cuda
