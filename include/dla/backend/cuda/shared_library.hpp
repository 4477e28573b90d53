// SPDX-License-Identifier: MIT
// A library of the CUDA toolkit that is opened when it is first needed.
#pragma once

#include <dla/core/error.hpp>

#include <string>

#include <dlfcn.h>

namespace dla::cuda {

/// A shared library, opened by the name that the loader knows (`libcudnn.so.9`), since loading cuBLASLt takes longer than a short program. Where the program
/// exports functions of its own under the library's names, those are taken. Never closed: what it made lives as long as the process.
class SharedLibrary {
public:
    /// `file` without its version; `function`: one that it must have. Throws Error(device) where there is no such library.
    SharedLibrary(const std::string& file, int version, const char* function) : file_(file + "." + std::to_string(version)) {
        if (dlsym(RTLD_DEFAULT, function) != nullptr) return;
        handle_ = dlopen(file_.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (handle_ == nullptr)
            fail(ErrorCode::device, file_,
                 "is needed for computing on a CUDA device, and cannot be loaded: " + reason() + "; LD_LIBRARY_PATH says where it is");
    }
    /// The function with this name. Throws Error(device) where there is none.
    template <class F>
    F find(const char* name) const {
        void* function = dlsym(handle_, name);
        if (function == nullptr)
            fail(ErrorCode::device, file_, std::string("has no ") + name + ": it is older than the headers that this program was compiled with");
        return reinterpret_cast<F>(function);
    }
    /// Throws Error(device) unless the version at hand, such as 9, is the one that was asked for: a library that the program had loaded may be another.
    void expect_version(int expected, int found) const {
        if (found != expected)
            fail(ErrorCode::device, file_, "is needed for computing on a CUDA device, but the program has loaded version " + std::to_string(found) + " of it");
    }

private:
    static std::string reason() {
        const char* why = dlerror();
        return why != nullptr ? why : "no reason given";
    }

    std::string file_;
    void* handle_ = RTLD_DEFAULT;
};

/// A member for a function of a library, with the function's type and name.
#define DLA_CUDA_FUNCTION(name) decltype(&::name) name = library.find<decltype(&::name)>(#name)

}  // namespace dla::cuda
