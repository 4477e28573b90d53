// SPDX-License-Identifier: MIT
// Compiles the kernels with NVRTC for the device at hand, and keeps the result on disk.
#pragma once

#include <dla/backend/cuda/queue.hpp>
#include <dla/core/hash.hpp>
#include <dla/kernels/cuda/sources.hpp>

#include <nvrtc.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>

namespace dla::cuda {

/// Throws Error(device) unless a call of NVRTC succeeded.
inline void check(nvrtcResult status, const char* call) {
    if (status != NVRTC_SUCCESS) fail(ErrorCode::device, call, nvrtcGetErrorString(status));
}

/// Machine code of all kernels for an architecture as nvcc names it (sm_90). Needs no device. Throws Error(device) with what the compiler said.
inline std::vector<char> compile_kernels(const std::string& architecture) {
    std::vector<const char*> names, texts;
    for (const Source& source : device_sources) {
        names.push_back(source.name);
        texts.push_back(source.text);
    }
    nvrtcProgram program = nullptr;
    check(nvrtcCreateProgram(&program, "#include <dla/kernels/cuda/all.cuh>\n", "dla_cuda_kernels.cu", static_cast<int>(names.size()), texts.data(),
                             names.data()),
          "nvrtcCreateProgram");
    const std::string target = "--gpu-architecture=" + architecture;
    const char* options[] = {target.c_str(), "--std=c++20", "--device-as-default-execution-space", "--extra-device-vectorization"};
    if (nvrtcCompileProgram(program, 4, options) != NVRTC_SUCCESS) {
        std::size_t size = 0;
        check(nvrtcGetProgramLogSize(program, &size), "nvrtcGetProgramLogSize");
        std::string log(size, '\0');
        check(nvrtcGetProgramLog(program, log.data()), "nvrtcGetProgramLog");
        fail(ErrorCode::device, "NVRTC", "cannot compile the kernels for " + architecture + ":\n" + log.c_str());
    }
    std::size_t size = 0;
    check(nvrtcGetCUBINSize(program, &size), "nvrtcGetCUBINSize");
    std::vector<char> code(size);
    check(nvrtcGetCUBIN(program, code.data()), "nvrtcGetCUBIN");
    check(nvrtcDestroyProgram(&program), "nvrtcDestroyProgram");
    return code;
}

/// Where compiled kernels are kept: $DLA_CUDA_CACHE, $XDG_CACHE_HOME/dla or ~/.cache/dla; "" where there is no such place.
inline std::string cache_folder() {
    const auto variable = [](const char* name) {
        const char* value = std::getenv(name);
        return std::string(value != nullptr ? value : "");
    };
    if (const std::string own = variable("DLA_CUDA_CACHE"); !own.empty()) return own;
    if (const std::string caches = variable("XDG_CACHE_HOME"); !caches.empty()) return caches + "/dla";
    const std::string home = variable("HOME");
    return home.empty() ? "" : home + "/.cache/dla";
}

inline std::uint64_t checksum(const std::vector<char>& code) {
    Fnv1a hash;
    hash.add(std::uint64_t{code.size()});
    hash.add_words(code.data(), code.size());
    return hash.value();
}

/// What is kept: the code behind a checksum. Empty where the file is not there, cut off or damaged.
inline std::vector<char> read_cached(const std::string& file) {
    std::vector<char> code;
    std::FILE* in = std::fopen(file.c_str(), "rb");
    if (in == nullptr) return code;
    std::uint64_t sum = 0;
    const bool has_sum = std::fread(&sum, sizeof sum, 1, in) == 1;
    char room[1 << 16];
    for (std::size_t n = 0; has_sum && (n = std::fread(room, 1, sizeof room, in)) > 0;) code.insert(code.end(), room, room + n);
    std::fclose(in);
    if (checksum(code) != sum) code.clear();
    return code;
}
/// Keeps it, or not: a cache that cannot be written costs time and nothing else.
inline void write_cached(const std::string& folder, const std::string& file, const std::vector<char>& code) {
    for (std::size_t end = folder.find('/', 1);; end = folder.find('/', end + 1)) {
        (void)mkdir(folder.substr(0, end).c_str(), 0777);
        if (end == std::string::npos) break;
    }
    const std::string beside = file + "." + std::to_string(getpid());  // renamed when it is whole: other processes may read
    std::FILE* out = std::fopen(beside.c_str(), "wb");
    if (out == nullptr) return;
    const std::uint64_t sum = checksum(code);
    const bool written = std::fwrite(&sum, sizeof sum, 1, out) == 1 && std::fwrite(code.data(), 1, code.size(), out) == code.size();
    if (std::fclose(out) != 0 || !written || std::rename(beside.c_str(), file.c_str()) != 0) (void)std::remove(beside.c_str());
}

/// The kernels for an architecture, from the cache or compiled now. The name of the file has a hash of the sources and the compiler's version.
inline std::vector<char> cached_kernels(const std::string& architecture) {
    int major = 0, minor = 0;
    check(nvrtcVersion(&major, &minor), "nvrtcVersion");
    Fnv1a hash;
    hash.add(std::to_string(major) + "." + std::to_string(minor));
    for (const Source& source : device_sources) {
        hash.add(source.name);
        hash.add(source.text);
    }
    const std::string folder = cache_folder(), file = folder + "/cuda-" + to_hex(hash.value()) + "-" + architecture + ".cubin";
    if (folder.empty()) return compile_kernels(architecture);
    std::vector<char> code = read_cached(file);
    if (code.empty()) {
        code = compile_kernels(architecture);
        write_cached(folder, file, code);
    }
    return code;
}

/// Loads them on a device.
inline cudaLibrary_t load_compiled(int device) {
    int major = 0, minor = 0;
    check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "cudaDeviceGetAttribute");
    check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device), "cudaDeviceGetAttribute");
    const std::vector<char> code = cached_kernels("sm_" + std::to_string(major) + std::to_string(minor));
    cudaLibrary_t library = nullptr;
    check(cudaLibraryLoadData(&library, code.data(), nullptr, nullptr, 0, nullptr, nullptr, 0), "cudaLibraryLoadData");
    return library;
}

}  // namespace dla::cuda
