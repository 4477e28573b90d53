// SPDX-License-Identifier: MIT
// What the toolkit's libraries do without a device: NVRTC compiles the kernels, cuDNN takes the descriptors of convolutions, and what is missing is said.
#include <doctest/doctest.h>

#include <dla/cuda.hpp>
#include <support/error_of.hpp>
#include <support/golden.hpp>
#include <support/temporary_folder.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace dla;

TEST_CASE("NVRTC compiles every kernel, and what it made is kept") {
    const TemporaryFolder folder;
    setenv("DLA_CUDA_CACHE", (folder / "a/b").c_str(), 1);
    for (const char* architecture : {"sm_80", "sm_90"}) {
        const std::vector<char> code = cuda::cached_kernels(architecture);
        const std::string text(code.begin(), code.end());
        for (const char* name : cuda::kernel_names) CHECK_MESSAGE(text.find(std::string(".text.dla_cuda_") + name) != std::string::npos, name);
    }
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder / "a/b")) files.push_back(entry.path());
    REQUIRE(files.size() == 2);
    // A file that is damaged or cut off is none.
    for (const auto& file : files) {
        const auto whole = cuda::read_cached(file);
        CHECK(whole.size() > 100000);
        std::filesystem::resize_file(file, std::filesystem::file_size(file) - 1);
        CHECK(cuda::read_cached(file).empty());
        std::filesystem::resize_file(file, 3);
        CHECK(cuda::read_cached(file).empty());
    }
    CHECK(cuda::read_cached(folder / "nothing").empty());
    // Nobody minds a cache that cannot be written.
    cuda::write_cached("/proc/no/such", "/proc/no/such/file", {'a'});
    unsetenv("DLA_CUDA_CACHE");
    setenv("XDG_CACHE_HOME", "/x", 1);
    CHECK(cuda::cache_folder() == "/x/dla");
    CHECK(cuda::target_of(9, 0) == "sm_90");
    const std::string newest = cuda::target_of(99, 9);  // a device that this NVRTC does not know
    CHECK(newest.starts_with("compute_"));
    CHECK(std::string(cuda::compile_kernels(newest).data()).find(".target sm_" + newest.substr(8)) != std::string::npos);
    CHECK(contains(error_of([] { cuda::target_of(3, 5); }), "error[device] NVRTC: knows no device of compute capability 3.5"));
    CHECK(contains(error_of([] { cuda::compile_kernels("sm_1"); }), "error[device] NVRTC: cannot compile the kernels for sm_1"));
}

TEST_CASE("libraries are opened by name, with all that is called of them") {
    CHECK(std::string(cuda::cublaslt().cublasLtGetStatusString(CUBLAS_STATUS_NOT_SUPPORTED)) != "");
    CHECK(cuda::cublaslt().cublasLtGetVersion() / 10000 == CUBLAS_VER_MAJOR);
    CHECK(cuda::cudnn().cudnnGetVersion() / 10000 == CUDNN_MAJOR);
    CHECK(std::string(cuda::cudnn().cudnnGetErrorString(CUDNN_STATUS_SUCCESS)) == "CUDNN_STATUS_SUCCESS");
    int major = 0, minor = 0;
    CHECK(cuda::nvrtc().nvrtcVersion(&major, &minor) == NVRTC_SUCCESS);
    CHECK(major == CUDART_VERSION / 1000);
    const std::string missing = error_of([] { cuda::SharedLibrary("libnothing.so", 13); });
    CHECK(contains(missing, "error[device] libnothing.so.13: is needed for computing on a CUDA device, and cannot be loaded: "));
    CHECK(contains(missing, "LD_LIBRARY_PATH says where it is"));
    CHECK(contains(error_of([] { cuda::nvrtc().library.find("nvrtcNothing"); }), "error[device] libnvrtc.so.13: has no nvrtcNothing: it is older than"));
}

TEST_CASE("cuDNN takes the descriptors of every convolution without a device") {
    int described = 0;
    for (const auto& c : golden::load("conv2d")) {
        CAPTURE(c.name);
        const auto &x = c.tensor("x").dims, &w = c.tensor("w").dims, &y = c.tensor("y").dims;
        Conv2dDims d{.batch = x[0], .height = x[2], .width = x[3], .in_channels = x[1], .out_channels = y[1], .kernel_h = w[2], .kernel_w = w[3]};
        d.stride_h = c.integer("stride_h"), d.stride_w = c.integer("stride_w"), d.dilation_h = c.integer("dilation_h"), d.dilation_w = c.integer("dilation_w");
        d.groups = c.integer("groups"), d.out_height = y[2], d.out_width = y[3];
        const bool same = c.has("padding");
        d.pad_top = same ? d.dilation_h * (d.kernel_h - 1) / 2 : c.integer("pad_h");
        d.pad_left = same ? d.dilation_w * (d.kernel_w - 1) / 2 : c.integer("pad_w");
        if (c.tensor("x").size() == 0) continue;  // nothing is asked of cuDNN
        for (const auto kind : {cuda::ConvKind::forward, cuda::ConvKind::backward_data, cuda::ConvKind::backward_weights})
            described += cuda::conv_operation(kind, d).has_value();
    }
    CHECK(described >= 3 * 50);
    Conv2dDims d{.batch = 2, .height = 8, .width = 8, .in_channels = 3, .out_channels = 4, .kernel_h = 3, .kernel_w = 3, .out_height = 5, .out_width = 6};
    CHECK_FALSE(cuda::conv_operation(cuda::ConvKind::forward, d).has_value());  // a last row that is not read
    d.out_height = 6;
    CHECK(cuda::conv_operation(cuda::ConvKind::forward, d).has_value());
    d.groups = 2;  // does not divide the channels
    CHECK(contains(error_of([&] { cuda::conv_operation(cuda::ConvKind::forward, d); }), "error[device] cudnnBackend"));
}

TEST_CASE("zeros behind an image: as before it where that gives the outputs, else the fewest") {
    CHECK(cuda::zeros_behind(32, 1, 3, 1, 2, 16) == 1);  // one is enough for 16 outputs, and so is none
    CHECK(cuda::zeros_behind(32, 0, 3, 1, 1, 30) == 0);
    CHECK(cuda::zeros_behind(5, 0, 2, 1, 1, 5) == 1);  // same: the odd zero is behind
    CHECK(cuda::zeros_behind(7, 3, 4, 2, 1, 7) == 3);
    CHECK(cuda::zeros_behind(8, 0, 3, 1, 1, 5) == std::nullopt);
    CHECK(cuda::zeros_behind(8, 0, 1, 1, 3, 3) == 0);
}

TEST_CASE("a program without a device is told so") {
    if (const std::string why = cuda::why_no_device(); !why.empty()) {
        MESSAGE(why);
        CHECK(error_of([] { Model<Linear<4, 3>, Shape{4}, Cuda<float>> model(Seed{1}); }) == "error[device] CUDA: " + why);
    }
    CHECK_FALSE(cuda::why_no_device(1000).empty());
}
