// SPDX-License-Identifier: MIT
// Compiles the kernels with NVRTC for the device at hand, and keeps the result on disk.
#pragma once

#include <dla/backend/cuda/queue.hpp>
#include <dla/core/hash.hpp>
#include <dla/kernels/cuda/shared_library.hpp>
#include <dla/kernels/cuda/sources.hpp>

#include <nvrtc.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>

namespace dla::cuda {

/// What is called of NVRTC, opened when kernels are first asked for.
struct Nvrtc {
    SharedLibrary library{"libnvrtc.so", CUDART_VERSION / 1000};
    decltype(&::nvrtcCompileProgram) nvrtcCompileProgram = library.find("nvrtcCompileProgram");
    decltype(&::nvrtcCreateProgram) nvrtcCreateProgram = library.find("nvrtcCreateProgram");
    decltype(&::nvrtcDestroyProgram) nvrtcDestroyProgram = library.find("nvrtcDestroyProgram");
    decltype(&::nvrtcGetCUBIN) nvrtcGetCUBIN = library.find("nvrtcGetCUBIN");
    decltype(&::nvrtcGetCUBINSize) nvrtcGetCUBINSize = library.find("nvrtcGetCUBINSize");
    decltype(&::nvrtcGetErrorString) nvrtcGetErrorString = library.find("nvrtcGetErrorString");
    decltype(&::nvrtcGetNumSupportedArchs) nvrtcGetNumSupportedArchs = library.find("nvrtcGetNumSupportedArchs");
    decltype(&::nvrtcGetPTX) nvrtcGetPTX = library.find("nvrtcGetPTX");
    decltype(&::nvrtcGetPTXSize) nvrtcGetPTXSize = library.find("nvrtcGetPTXSize");
    decltype(&::nvrtcGetProgramLog) nvrtcGetProgramLog = library.find("nvrtcGetProgramLog");
    decltype(&::nvrtcGetProgramLogSize) nvrtcGetProgramLogSize = library.find("nvrtcGetProgramLogSize");
    decltype(&::nvrtcGetSupportedArchs) nvrtcGetSupportedArchs = library.find("nvrtcGetSupportedArchs");
    decltype(&::nvrtcVersion) nvrtcVersion = library.find("nvrtcVersion");
};
inline const Nvrtc& nvrtc() {
    static const Nvrtc& functions = *new Nvrtc;
    return functions;
}

/// Throws Error(device) unless a call of NVRTC succeeded.
inline void check(nvrtcResult status, const char* call) {
    if (status != NVRTC_SUCCESS) fail(ErrorCode::device, call, nvrtc().nvrtcGetErrorString(status));
}

inline constexpr const char* compile_options[] = {"--std=c++20", "--device-as-default-execution-space"};

/// All kernels for a target as nvcc names it: machine code for sm_90, PTX, which the driver compiles, for compute_90. Needs no device. Throws Error(device)
/// with what the compiler said.
inline std::vector<char> compile_kernels(const std::string& target) {
    std::vector<const char*> names, texts;
    for (const Source& source : device_sources) {
        names.push_back(source.name);
        texts.push_back(source.text);
    }
    nvrtcProgram made = nullptr;
    check(nvrtc().nvrtcCreateProgram(&made, "#include <dla/kernels/cuda/all.cuh>\n", "dla_cuda_kernels.cu", static_cast<int>(names.size()), texts.data(),
                                     names.data()),
          "nvrtcCreateProgram");
    const auto destroy = [](nvrtcProgram p) { (void)nvrtc().nvrtcDestroyProgram(&p); };
    const std::unique_ptr<std::remove_pointer_t<nvrtcProgram>, decltype(destroy)> program(made, destroy);
    const std::string architecture = "--gpu-architecture=" + target;
    std::vector<const char*> options(std::begin(compile_options), std::end(compile_options));
    options.push_back(architecture.c_str());
    std::size_t size = 0;
    if (nvrtc().nvrtcCompileProgram(made, static_cast<int>(options.size()), options.data()) != NVRTC_SUCCESS) {
        check(nvrtc().nvrtcGetProgramLogSize(made, &size), "nvrtcGetProgramLogSize");
        std::string log(size, '\0');
        check(nvrtc().nvrtcGetProgramLog(made, log.data()), "nvrtcGetProgramLog");
        fail(ErrorCode::device, "NVRTC", "cannot compile the kernels for " + target + ":\n" + log.c_str());
    }
    const bool machine_code = target.starts_with("sm_");
    check(machine_code ? nvrtc().nvrtcGetCUBINSize(made, &size) : nvrtc().nvrtcGetPTXSize(made, &size), "nvrtcGetCUBINSize");
    std::vector<char> code(size);
    check(machine_code ? nvrtc().nvrtcGetCUBIN(made, code.data()) : nvrtc().nvrtcGetPTX(made, code.data()), "nvrtcGetCUBIN");
    return code;
}

/// What to compile for a device: its own machine code if this NVRTC knows it, else PTX for the latest before it, which the driver compiles. Throws
/// Error(device) for a device that is older than all that it knows.
inline std::string target_of(int major, int minor) {
    int count = 0;
    check(nvrtc().nvrtcGetNumSupportedArchs(&count), "nvrtcGetNumSupportedArchs");
    std::vector<int> known(static_cast<std::size_t>(count));
    check(nvrtc().nvrtcGetSupportedArchs(known.data()), "nvrtcGetSupportedArchs");
    const int own = 10 * major + minor;
    int best = 0;
    for (const int architecture : known)
        if (architecture <= own) best = std::max(best, architecture);
    if (best == 0)
        fail(ErrorCode::device, "NVRTC", text("knows no device of compute capability ", major, ".", minor, "; it is too old for this toolkit").view());
    return (best == own ? "sm_" : "compute_") + std::to_string(best);
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
        (void)mkdir(folder.substr(0, end).c_str(), 0700);
        if (end == std::string::npos) break;
    }
    const std::string beside = file + "." + std::to_string(getpid());  // renamed when it is whole: other processes may read
    std::FILE* out = std::fopen(beside.c_str(), "wb");
    if (out == nullptr) return;
    const std::uint64_t sum = checksum(code);
    const bool written = std::fwrite(&sum, sizeof sum, 1, out) == 1 && std::fwrite(code.data(), 1, code.size(), out) == code.size();
    if (std::fclose(out) != 0 || !written || std::rename(beside.c_str(), file.c_str()) != 0) (void)std::remove(beside.c_str());
}

/// Where the kernels for a target are kept, "" for nowhere. The name has a hash of the sources, the options and the compiler's version.
inline std::string cached_file(const std::string& target) {
    int major = 0, minor = 0;
    check(nvrtc().nvrtcVersion(&major, &minor), "nvrtcVersion");
    Fnv1a hash;
    hash.add(std::to_string(major) + "." + std::to_string(minor));
    for (const char* option : compile_options) hash.add(option);
    for (const Source& source : device_sources) {
        hash.add(source.name);
        hash.add(source.text);
    }
    const std::string folder = cache_folder();
    return folder.empty() ? "" : folder + "/cuda-" + to_hex(hash.value()) + "-" + target;
}

/// Compiled now, and kept.
inline std::vector<char> fresh_kernels(const std::string& target) {
    std::vector<char> code = compile_kernels(target);
    if (const std::string file = cached_file(target); !file.empty()) write_cached(cache_folder(), file, code);
    return code;
}
/// From the cache, or compiled now.
inline std::vector<char> cached_kernels(const std::string& target) {
    const std::string file = cached_file(target);
    std::vector<char> code = file.empty() ? std::vector<char>() : read_cached(file);
    return code.empty() ? fresh_kernels(target) : code;
}

/// Loads them on a device.
inline cudaLibrary_t load_compiled(int device) {
    int major = 0, minor = 0;
    check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "cudaDeviceGetAttribute");
    check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device), "cudaDeviceGetAttribute");
    const std::string target = target_of(major, minor);
    cudaLibrary_t library = nullptr;
    const auto load = [&](const std::vector<char>& code) { return cudaLibraryLoadData(&library, code.data(), nullptr, nullptr, 0, nullptr, nullptr, 0); };
    if (load(cached_kernels(target)) != cudaSuccess) {
        (void)cudaGetLastError();
        check(load(fresh_kernels(target)), "cudaLibraryLoadData");  // what was kept may be good for nothing
    }
    return library;
}

}  // namespace dla::cuda
