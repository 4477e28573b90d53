// SPDX-License-Identifier: MIT
// The calls of cuDNN on the emulated device: handles, and the life of descriptors.
#include "cudnn.hpp"

#include <algorithm>
#include <cstdio>

#include "cudnn_rules.hpp"

struct cudnnContext {
    cudaStream_t stream = nullptr;
};

namespace emulated::dnn {
namespace {

struct Descriptor {
    std::shared_ptr<Content> content;
};

struct State {
    std::vector<cudnnHandle_t> handles;
    std::map<cudnnBackendDescriptor_t, std::unique_ptr<Descriptor>> descriptors;
    std::string last_error;
};

State& state() {
    static State& the_state = *new State;
    return the_state;
}

const Rule* rule_of(const Content& c, cudnnBackendAttributeName_t name) {
    const auto found = std::ranges::find_if(rules, [&](const Rule& r) { return r.descriptor == c.type && r.name == name; });
    return found == std::end(rules) ? nullptr : &*found;
}

cudnnStatus_t set(Content& c, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t count, const void* elements) {
    const std::string what = "attribute " + std::to_string(name) + " of a descriptor of type " + std::to_string(c.type);
    if (c.finalized) return refuse(CUDNN_STATUS_BAD_PARAM, what + " is set after it was finalized");
    const Rule* rule = rule_of(c, name);
    if (rule == nullptr) return refuse(CUDNN_STATUS_BAD_PARAM, what + " does not exist, or is not emulated");
    if (type != rule->type && !(rule->type == CUDNN_TYPE_FLOAT && type == CUDNN_TYPE_DOUBLE))
        return refuse(CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE, what + " is not of the attribute type " + std::to_string(type));
    if (elements == nullptr) return refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, what + " is set from null");
    if (count < 1 || count > rule->most) return refuse(CUDNN_STATUS_BAD_PARAM_OUT_OF_BOUND, what + " is set to " + std::to_string(count) + " elements");
    Value value{type, count, {}, {}};
    if (type == CUDNN_TYPE_BACKEND_DESCRIPTOR) {
        for (std::int64_t i = 0; i < count; ++i) {
            const auto content = content_of(static_cast<const cudnnBackendDescriptor_t*>(elements)[i]);
            if (content == nullptr) return refuse(CUDNN_STATUS_BAD_PARAM, what + " is set to a descriptor that does not live");
            if (!content->finalized) return refuse(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED, what + " is set to a descriptor that is not finalized");
            value.contents.push_back(content);
        }
    } else {
        const auto* bytes = static_cast<const std::byte*>(elements);
        value.bytes.assign(bytes, bytes + static_cast<std::size_t>(count) * bytes_of(type));
    }
    c.values[name] = std::move(value);
    return CUDNN_STATUS_SUCCESS;
}

/// Room for the elements of an attribute that somebody asks for.
struct Answer {
    cudnnBackendAttributeType_t type;
    std::int64_t room;
    std::int64_t* count;
    void* elements;

    template <class T>
    cudnnStatus_t give(cudnnBackendAttributeType_t as, const std::vector<T>& values) const {
        if (type != as) return refuse(CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE, "an attribute that is asked for has another type");
        if (count != nullptr) *count = static_cast<std::int64_t>(values.size());
        const auto n = std::min(static_cast<std::size_t>(room), values.size());
        if (n > 0) std::memcpy(elements, values.data(), n * sizeof(T));
        return CUDNN_STATUS_SUCCESS;
    }
    /// Puts finalized contents into descriptors that the caller made.
    cudnnStatus_t fill(cudnnBackendDescriptorType_t kind, const std::vector<Engine>& found, const Content& from) const {
        if (type != CUDNN_TYPE_BACKEND_DESCRIPTOR) return refuse(CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE, "an attribute that is asked for has another type");
        if (count != nullptr) *count = static_cast<std::int64_t>(found.size());
        for (std::size_t i = 0; i < std::min(static_cast<std::size_t>(room), found.size()); ++i) {
            const cudnnBackendDescriptor_t handle = static_cast<const cudnnBackendDescriptor_t*>(elements)[i];
            const auto old = content_of(handle);
            if (old == nullptr || old->type != kind) return refuse(CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE, "answers are put into descriptors of another type");
            const auto made = std::make_shared<Content>();
            made->type = kind, made->finalized = true, made->convolution = from.convolution, made->engine = found[i];
            replace(handle, made);
        }
        return CUDNN_STATUS_SUCCESS;
    }
};

cudnnStatus_t get(const Content& c, cudnnBackendAttributeName_t name, const Answer& answer) {
    if (!c.finalized) return refuse(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED, "an attribute of a descriptor that is not finalized");
    if (answer.room < 0 || (answer.room > 0 && answer.elements == nullptr)) return refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "no room for an attribute");
    using Numerical = std::vector<cudnnBackendNumericalNote_t>;
    using Behavior = std::vector<cudnnBackendBehaviorNote_t>;
    if (c.type == CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR && name == CUDNN_ATTR_ENGINEHEUR_RESULTS) {
        std::vector<Engine> found;
        if (!settings().engine_notes.empty()) found = {Engine::noted};
        if (!settings().no_engines) found.insert(found.end(), {Engine::tensor_core, Engine::nondeterministic, Engine::plain});
        return answer.fill(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, found, c);
    }
    if (c.type == CUDNN_BACKEND_ENGINECFG_DESCRIPTOR && name == CUDNN_ATTR_ENGINECFG_ENGINE) return answer.fill(CUDNN_BACKEND_ENGINE_DESCRIPTOR, {c.engine}, c);
    if (c.type == CUDNN_BACKEND_ENGINE_DESCRIPTOR && name == CUDNN_ATTR_ENGINE_NUMERICAL_NOTE && c.engine == Engine::noted) {
        Numerical notes;
        for (const int note : settings().engine_notes) notes.push_back(static_cast<cudnnBackendNumericalNote_t>(note));
        return answer.give(CUDNN_TYPE_NUMERICAL_NOTE, notes);
    }
    if (c.type == CUDNN_BACKEND_ENGINE_DESCRIPTOR && name == CUDNN_ATTR_ENGINE_NUMERICAL_NOTE)
        return answer.give(CUDNN_TYPE_NUMERICAL_NOTE, c.engine == Engine::tensor_core        ? Numerical{CUDNN_NUMERICAL_NOTE_TENSOR_CORE}
                                                      : c.engine == Engine::nondeterministic ? Numerical{CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC}
                                                                                             : Numerical{});
    if (c.type == CUDNN_BACKEND_ENGINE_DESCRIPTOR && name == CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE)
        return answer.give(CUDNN_TYPE_BEHAVIOR_NOTE, c.engine == Engine::tensor_core ? Behavior{CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION} : Behavior{});
    if (c.type == CUDNN_BACKEND_ENGINE_DESCRIPTOR && name == CUDNN_ATTR_ENGINE_GLOBAL_INDEX)
        return answer.give(CUDNN_TYPE_INT64, std::vector{static_cast<std::int64_t>(c.engine)});
    if (c.type == CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR && name == CUDNN_ATTR_OPERATIONGRAPH_ENGINE_GLOBAL_COUNT)
        return answer.give(CUDNN_TYPE_INT64, std::vector{std::int64_t{engines}});
    if (c.type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR && name == CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE)
        return answer.give(CUDNN_TYPE_INT64, std::vector{static_cast<std::int64_t>(workspace_of(c.engine))});
    return refuse(CUDNN_STATUS_NOT_SUPPORTED, "asking for attribute " + std::to_string(name) + " is not emulated");
}

}  // namespace

cudnnStatus_t refuse(cudnnStatus_t status, const std::string& sentence) {
    state().last_error = sentence;
    complain("cuDNN: " + sentence);
    return status;
}

bool is_live(cudnnHandle_t handle) { return std::ranges::find(state().handles, handle) != state().handles.end(); }
cudaStream_t stream_of(cudnnHandle_t handle) { return handle->stream; }

std::shared_ptr<Content> content_of(cudnnBackendDescriptor_t handle) {
    const auto found = state().descriptors.find(handle);
    return found == state().descriptors.end() ? nullptr : found->second->content;
}

void replace(cudnnBackendDescriptor_t handle, std::shared_ptr<Content> content) { state().descriptors.at(handle)->content = std::move(content); }

}  // namespace emulated::dnn

using emulated::Call;
using namespace emulated::dnn;

extern "C" {

size_t cudnnGetVersion() { return CUDNN_VERSION; }
size_t cudnnGetCudartVersion() { return CUDART_VERSION; }

const char* cudnnGetErrorString(cudnnStatus_t status) {
    switch (status / 1000) {
        case 0:
            return "CUDNN_STATUS_SUCCESS";
        case 1:
            return "CUDNN_STATUS_NOT_INITIALIZED";
        case 2:
            return status == CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED ? "CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED" : "CUDNN_STATUS_BAD_PARAM";
        case 3:
            return "CUDNN_STATUS_NOT_SUPPORTED";
        case 4:
            return "CUDNN_STATUS_INTERNAL_ERROR";
        default:
            return "CUDNN_STATUS_EXECUTION_FAILED";
    }
}

void cudnnGetLastErrorString(char* message, size_t max_size) {
    const Call call;
    if (message != nullptr && max_size > 0) std::snprintf(message, max_size, "%s", state().last_error.c_str());
}

cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
    const Call call;
    if (handle == nullptr) return refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "no room for a handle");
    if (emulated::device_state() != cudaSuccess) return refuse(CUDNN_STATUS_NOT_INITIALIZED, "there is no device");
    state().handles.push_back(*handle = new cudnnContext);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
    const Call call;
    if (!is_live(handle)) return refuse(CUDNN_STATUS_BAD_PARAM, "a handle that does not live is destroyed");
    std::erase(state().handles, handle);
    delete handle;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t streamId) {
    const Call call;
    if (!is_live(handle) || emulated::stream_of(streamId) == nullptr) return refuse(CUDNN_STATUS_BAD_PARAM, "an unknown handle or stream");
    handle->stream = streamId;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetStream(cudnnHandle_t handle, cudaStream_t* streamId) {
    const Call call;
    if (!is_live(handle) || streamId == nullptr) return refuse(CUDNN_STATUS_BAD_PARAM, "an unknown handle");
    *streamId = handle->stream;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t descriptorType, cudnnBackendDescriptor_t* descriptor) {
    const Call call;
    if (descriptor == nullptr) return refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "no room for a descriptor");
    if (std::ranges::none_of(rules, [&](const Rule& r) { return r.descriptor == descriptorType; }))
        return refuse(CUDNN_STATUS_NOT_SUPPORTED, "descriptors of type " + std::to_string(descriptorType) + " are not emulated");
    auto made = std::make_unique<Descriptor>();
    made->content = std::make_shared<Content>();
    made->content->type = descriptorType;
    *descriptor = made.get();
    state().descriptors[*descriptor] = std::move(made);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor) {
    const Call call;
    if (emulated::will_touch(descriptor, 1)) emulated::fault("a plan of cuDNN's is destroyed while a convolution still waits to run by it");
    if (state().descriptors.erase(descriptor) == 0) return refuse(CUDNN_STATUS_BAD_PARAM, "a descriptor that does not live is destroyed");
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor) {
    const Call call;
    const auto content = content_of(descriptor);
    if (content == nullptr) return refuse(CUDNN_STATUS_BAD_PARAM, "a descriptor that does not live is finalized");
    if (content->finalized) return CUDNN_STATUS_SUCCESS;
    const cudnnStatus_t status = finalize(*content);
    content->finalized = status == CUDNN_STATUS_SUCCESS;
    return status;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t attributeName,
                                       cudnnBackendAttributeType_t attributeType, int64_t elementCount, const void* arrayOfElements) {
    const Call call;
    const auto content = content_of(descriptor);
    if (content == nullptr) return refuse(CUDNN_STATUS_BAD_PARAM, "an attribute is set in a descriptor that does not live");
    return set(*content, attributeName, attributeType, elementCount, arrayOfElements);
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t const descriptor, cudnnBackendAttributeName_t attributeName,
                                       cudnnBackendAttributeType_t attributeType, int64_t requestedElementCount, int64_t* elementCount, void* arrayOfElements) {
    const Call call;
    const auto content = content_of(descriptor);
    if (content == nullptr) return refuse(CUDNN_STATUS_BAD_PARAM, "an attribute of a descriptor that does not live");
    return get(*content, attributeName, {attributeType, requestedElementCount, elementCount, arrayOfElements});
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t executionPlan, cudnnBackendDescriptor_t variantPack) {
    const Call call;
    if (!is_live(handle)) return refuse(CUDNN_STATUS_BAD_PARAM, "an unknown handle");
    const auto plan = content_of(executionPlan), pack = content_of(variantPack);
    if (plan == nullptr || pack == nullptr) return refuse(CUDNN_STATUS_BAD_PARAM, "a plan or a variant pack that does not live");
    if (plan->type != CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR || pack->type != CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR)
        return refuse(CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE, "what is executed is no plan with a variant pack");
    if (!plan->finalized || !pack->finalized) return refuse(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED, "a plan or a variant pack that is not finalized is executed");
    return execute(handle, *plan, *pack, executionPlan);
}

}  // extern "C"
