// SPDX-License-Identifier: MIT
// Writes 8-bit grey and RGB images as PNG files, through libpng when the build has it (DLA_HAVE_PNG).
#pragma once

#include <dla/io/atomic_file.hpp>

#ifdef DLA_HAVE_PNG
#include <png.h>
#endif

namespace dla {
inline namespace DLA_PNG_TAG {

/// Whether `write_png` can work in this build.
#ifdef DLA_HAVE_PNG
inline constexpr bool have_png = true;
#else
inline constexpr bool have_png = false;
#endif

/// Writes pixels [height, width, channels], channels 1 (grey) or 3 (RGB), atomically. Throws Error(io): sizes that do not fit,
/// a disk that refuses, or a build without libpng.
inline void write_png(const std::string& path, std::span<const std::uint8_t> pixels, std::uint32_t width, std::uint32_t height, int channels) {
    constexpr std::uint32_t largest = 1u << 15;
    if (channels != 1 && channels != 3) fail(ErrorCode::io, path, "an image has 1 or 3 channels; got " + std::to_string(channels));
    if (width == 0 || height == 0 || width > largest || height > largest)
        fail(ErrorCode::io, path, "image size out of range; expected 1 to 32768, got " + std::to_string(width) + " x " + std::to_string(height));
    const std::size_t expected = std::size_t{width} * height * static_cast<std::size_t>(channels);
    if (pixels.size() != expected)
        fail(ErrorCode::io, path, "wrong number of pixel bytes; expected " + std::to_string(expected) + ", got " + std::to_string(pixels.size()));
#ifdef DLA_HAVE_PNG
    png_image image{};
    image.version = PNG_IMAGE_VERSION;
    image.width = width;
    image.height = height;
    image.format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
    png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
    std::string bytes(size, '\0');
    if (!png_image_write_to_memory(&image, bytes.data(), &size, 0, pixels.data(), 0, nullptr))
        fail(ErrorCode::io, path, std::string("libpng cannot encode the image: ") + image.message);
    bytes.resize(size);
    write_file(path, bytes);
#else
    fail(ErrorCode::io, path, "this build cannot write PNG images; install libpng (Debian: libpng-dev) and define DLA_HAVE_PNG (Meson does)");
#endif
}

}  // namespace DLA_PNG_TAG
}  // namespace dla
