// SPDX-License-Identifier: MIT
// A library of the CUDA toolkit that is opened when it is first needed.
#pragma once

#include <dla/core/error.hpp>

#include <string>

#include <dlfcn.h>

namespace dla::cuda {

/// A shared library, opened by the name that the loader knows (`libcudnn.so.9`), since loading cuBLASLt takes longer than a short program. Never closed: what
/// it made lives as long as the process. A program that exports `extern "C" void* dla_cuda_function(const char* name)` is asked for the functions instead.
class SharedLibrary {
public:
    /// `file` without its version. Throws Error(device) where there is no such library.
    SharedLibrary(const std::string& file, int version) : file_(file + "." + std::to_string(version)) {
        instead_ = reinterpret_cast<Instead*>(dlsym(RTLD_DEFAULT, "dla_cuda_function"));
        if (instead_ != nullptr) return;
        handle_ = dlopen(file_.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (handle_ != nullptr) return;
        const char* why = dlerror();
        fail(ErrorCode::device, file_,
             std::string("is needed for computing on a CUDA device, and cannot be loaded: ") + (why != nullptr ? why : "no reason given") +
                 "; LD_LIBRARY_PATH says where it is");
    }
    /// A function of the library, which becomes a pointer of whatever type is asked for.
    struct Function {
        void* address;
        template <class F>
        operator F*() const {
            return reinterpret_cast<F*>(address);
        }
    };
    /// Throws Error(device) where there is none of this name.
    Function find(const char* name) const {
        void* function = instead_ != nullptr ? instead_(name) : dlsym(handle_, name);
        if (function == nullptr)
            fail(ErrorCode::device, file_, std::string("has no ") + name + ": it is older than the headers that this program was compiled with");
        return {function};
    }

private:
    using Instead = void*(const char*);
    std::string file_;
    Instead* instead_ = nullptr;
    void* handle_ = nullptr;
};

}  // namespace dla::cuda
