// SPDX-License-Identifier: MIT
// The calls of the CUDA runtime that describe the emulated device and its errors.
#include <dlfcn.h>

#include <cstdio>

#include "internal.hpp"

using emulated::Call, emulated::failed, emulated::settings;

namespace {

struct Named {
    cudaError_t error;
    const char *name, *text;
};

constexpr Named names[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver", "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorInvalidDeviceFunction, "cudaErrorInvalidDeviceFunction", "invalid device function"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access was encountered"},
    {cudaErrorLaunchOutOfResources, "cudaErrorLaunchOutOfResources", "too many resources requested for launch"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported"},
};
constexpr Named unknown{cudaErrorUnknown, "unrecognized error code", "unrecognized error code"};

const Named& find(cudaError_t error) {
    for (const Named& named : names)
        if (named.error == error) return named;
    return unknown;
}

}  // namespace

extern "C" {

/// Whom the library asks for what it would open the toolkit's libraries for: the program must export its functions.
void* dla_cuda_function(const char* name) { return dlsym(RTLD_DEFAULT, name); }

const char* cudaGetErrorName(cudaError_t error) { return find(error).name; }
const char* cudaGetErrorString(cudaError_t error) { return find(error).text; }

cudaError_t cudaRuntimeGetVersion(int* runtimeVersion) {
    if (runtimeVersion == nullptr) return failed(cudaErrorInvalidValue);
    *runtimeVersion = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int* driverVersion) {
    const Call call;
    if (driverVersion == nullptr) return failed(cudaErrorInvalidValue);
    *driverVersion = settings().driver ? CUDART_VERSION : 0;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
    const Call call;
    if (count == nullptr) return failed(cudaErrorInvalidValue);
    const cudaError_t state = emulated::device_state();
    *count = state == cudaSuccess ? settings().devices : 0;
    return state == cudaSuccess ? state : failed(state);
}

cudaError_t cudaGetDevice(int* device) {
    const Call call;
    if (device == nullptr) return failed(cudaErrorInvalidValue);
    if (emulated::device_state() != cudaSuccess) return failed(emulated::device_state());
    *device = 0;
    return cudaSuccess;
}

// Memory and streams of a second device are not emulated: only a count.
cudaError_t cudaSetDevice(int device) {
    const Call call;
    if (emulated::device_state() != cudaSuccess) return failed(emulated::device_state());
    if (device == 0) return cudaSuccess;
    if (device < 0 || device >= settings().devices) return failed(cudaErrorInvalidDevice);
    return failed(cudaErrorNotSupported, "only device 0 can be used");
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* prop, int device) {
    const Call call;
    if (prop == nullptr) return failed(cudaErrorInvalidValue);
    if (emulated::device_state() != cudaSuccess) return failed(emulated::device_state());
    if (device < 0 || device >= settings().devices) return failed(cudaErrorInvalidDevice);
    *prop = cudaDeviceProp{};
    std::snprintf(prop->name, sizeof prop->name, "emulated device");
    prop->totalGlobalMem = settings().memory;
    prop->sharedMemPerBlock = 49152;
    prop->warpSize = 32;
    prop->maxThreadsPerBlock = 1024;
    prop->major = 8, prop->minor = 0;
    prop->multiProcessorCount = 4;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attr, int device) {
    const Call call;
    if (value == nullptr) return failed(cudaErrorInvalidValue);
    if (emulated::device_state() != cudaSuccess) return failed(emulated::device_state());
    if (device < 0 || device >= settings().devices) return failed(cudaErrorInvalidDevice);
    switch (attr) {
        case cudaDevAttrMaxThreadsPerBlock:
            *value = 1024;
            return cudaSuccess;
        case cudaDevAttrMaxSharedMemoryPerBlock:
            *value = 49152;
            return cudaSuccess;
        case cudaDevAttrWarpSize:
            *value = 32;
            return cudaSuccess;
        case cudaDevAttrMultiProcessorCount:
            *value = 4;
            return cudaSuccess;
        case cudaDevAttrComputeCapabilityMajor:
            *value = 8;
            return cudaSuccess;
        case cudaDevAttrComputeCapabilityMinor:
            *value = 0;
            return cudaSuccess;
        default:
            return failed(cudaErrorInvalidValue, "device attribute " + std::to_string(static_cast<int>(attr)) + " is not emulated");
    }
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
    const Call call;
    if (free == nullptr || total == nullptr) return failed(cudaErrorInvalidValue);
    if (emulated::device_state() != cudaSuccess) return failed(emulated::device_state());
    *total = settings().memory;
    *free = emulated::live_bytes() < settings().memory ? settings().memory - emulated::live_bytes() : 0;
    return cudaSuccess;
}

}  // extern "C"
