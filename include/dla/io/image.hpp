// SPDX-License-Identifier: MIT
// Reads PNG and JPEG images as 8-bit grey or RGB, through libpng (DLA_HAVE_PNG) and libjpeg (DLA_HAVE_JPEG) where the build has them.
// In no umbrella, because the headers of libjpeg define many names.
#pragma once

#include <dla/core/shape.hpp>
#include <dla/io/png.hpp>

#include <algorithm>
#include <csetjmp>
#include <cstddef>
#include <cstdio>

#ifdef DLA_HAVE_JPEG
#include <jpeglib.h>
#endif

namespace dla {

/// Pixels [height, width, channels], from 0 to 255.
struct Image {
    index_t height = 0;
    index_t width = 0;
    index_t channels = 0;  ///< 1 (grey) or 3 (RGB)
    std::vector<std::uint8_t> pixels;
};

namespace detail {

inline constexpr std::uint64_t largest_image_side = 32768, most_image_pixels = std::uint64_t{1} << 28;

/// Claims memory for the pixels of an image of at most 32768 x 32768 and 2^28 pixels.
inline Image claim_image(std::string_view where, std::uint64_t height, std::uint64_t width, index_t channels) {
    if (height == 0 || width == 0 || height > largest_image_side || width > largest_image_side || height * width > most_image_pixels)
        fail(ErrorCode::data, where,
             "the image has " + std::to_string(width) + " x " + std::to_string(height) + " pixels; expected 1 to 32768 on a side and at most 2^28");
    Image image{static_cast<index_t>(height), static_cast<index_t>(width), channels, {}};
    try {
        image.pixels.resize(static_cast<std::size_t>(height * width) * static_cast<std::size_t>(channels));
    } catch (const std::exception&) {
        fail(ErrorCode::data, where, "not enough memory for an image of " + std::to_string(width) + " x " + std::to_string(height) + " pixels");
    }
    return image;
}

/// The first `channels` of every `stored` bytes, in place.
inline void drop_alpha(Image& image, std::size_t stored, std::size_t channels) {
    for (std::size_t from = 0, to = 0; from < image.pixels.size(); from += stored, to += channels)
        for (std::size_t c = 0; c < channels; ++c) image.pixels[to + c] = image.pixels[from + c];
    image.pixels.resize(image.pixels.size() / stored * channels);
    image.channels = static_cast<index_t>(channels);
}

/// Checks that a PNG file has all its chunks, and whether so few compressed bytes can hold so many pixels: before any memory is claimed for them.
inline void check_png(std::span<const std::byte> bytes, std::string_view where) {
    const auto number = [&](std::size_t at) {
        std::uint64_t n = 0;
        for (std::size_t i = 0; i < 4; ++i) n = n << 8 | static_cast<std::uint64_t>(bytes[at + i]);
        return n;
    };
    constexpr std::uint64_t header = 0x49484452, data = 0x49444154, end = 0x49454e44;  // IHDR, IDAT, IEND
    if (bytes.size() < 33 || number(8) != 13 || number(12) != header) fail(ErrorCode::data, where, "the PNG file is cut short or damaged in its header");
    std::uint64_t compressed = 0;
    for (std::size_t at = 8;;) {
        if (bytes.size() - at < 12 || number(at) > bytes.size() - at - 12) fail(ErrorCode::data, where, "the PNG file is cut short or damaged");
        if (number(at + 4) == data) compressed += number(at);
        if (number(at + 4) == end) break;
        at += static_cast<std::size_t>(number(at)) + 12;
    }
    const std::uint64_t width = number(16), height = number(20);
    static_cast<void>(claim_image(where, height, width, 0));
    const auto depth = static_cast<std::uint64_t>(bytes[24]), colour = static_cast<std::uint64_t>(bytes[25]);
    const std::uint64_t bits = depth * (colour == 2 ? 3 : colour == 4 ? 2 : colour == 6 ? 4 : 1);
    if (height * ((width * bits + 7) / 8) > 1032 * compressed + 1024)  // deflate's best
        fail(ErrorCode::data, where,
             "the PNG file is damaged: " + std::to_string(compressed) + " compressed bytes cannot hold " + std::to_string(width) + " x " +
                 std::to_string(height) + " pixels");
}

}  // namespace detail

namespace detail {
inline namespace DLA_PNG_TAG {

#ifdef DLA_HAVE_PNG
inline Image decode_png(std::span<const std::byte> bytes, std::string_view where) {
    check_png(bytes, where);
    struct Reader {
        png_image image{};
        ~Reader() { png_image_free(&image); }
    } reader;
    png_image& png = reader.image;
    const auto refuse = [&] { fail(ErrorCode::data, where, std::string("the PNG file is damaged: ") + png.message); };
    png.version = PNG_IMAGE_VERSION;
    if (!png_image_begin_read_from_memory(&png, bytes.data(), bytes.size())) refuse();
    png.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;  // or samples of 16 bits would be taken for linear ones
    const bool colour = (png.format & PNG_FORMAT_FLAG_COLOR) != 0, alpha = (png.format & PNG_FORMAT_FLAG_ALPHA) != 0;
    png.format = colour ? (alpha ? PNG_FORMAT_RGBA : PNG_FORMAT_RGB) : (alpha ? PNG_FORMAT_GA : PNG_FORMAT_GRAY);
    const std::size_t channels = colour ? 3 : 1, stored = channels + alpha;
    Image image = claim_image(where, png.height, png.width, static_cast<index_t>(stored));
    if (!png_image_finish_read(&png, nullptr, image.pixels.data(), 0, nullptr)) refuse();
    if (alpha) drop_alpha(image, stored, channels);
    return image;
}
#else
inline Image decode_png(std::span<const std::byte>, std::string_view where) {
    fail(ErrorCode::data, where, "this build cannot read PNG images; install libpng (Debian: libpng-dev) and define DLA_HAVE_PNG (Meson does)");
}
#endif

}  // namespace DLA_PNG_TAG
}  // namespace detail

inline namespace DLA_JPEG_TAG {

/// Whether JPEG files can be read in this build; for PNG see have_png.
#ifdef DLA_HAVE_JPEG
inline constexpr bool have_jpeg = true;
#else
inline constexpr bool have_jpeg = false;
#endif

}  // namespace DLA_JPEG_TAG

namespace detail {
inline namespace DLA_JPEG_TAG {

#ifdef DLA_HAVE_JPEG
/// What libjpeg works on. Its errors jump back to the step that called it: in the functions below nothing has a destructor that a jump would skip, and no
/// variable changes that is read behind one.
struct Jpeg {
    jpeg_decompress_struct info{};
    jpeg_error_mgr errors{};
    jpeg_progress_mgr progress{};
    std::jmp_buf jump{};
    char message[JMSG_LENGTH_MAX]{};

    Jpeg() {
        info.err = jpeg_std_error(&errors);
        info.client_data = this;
        errors.error_exit = stop;
        errors.emit_message = [](j_common_ptr common, int level) {
            if (level < 0) stop(common);  // data that libjpeg would make up for: an image that is partly grey
        };
        progress.progress_monitor = [](j_common_ptr common) {
            auto* jpeg = static_cast<Jpeg*>(common->client_data);
            if (jpeg->info.input_scan_number <= 100) return;  // encoders write up to a dozen; each costs the time of a whole image
            std::snprintf(jpeg->message, sizeof jpeg->message, "more than 100 scans");
            std::longjmp(jpeg->jump, 1);
        };
    }
    Jpeg(const Jpeg&) = delete;
    Jpeg& operator=(const Jpeg&) = delete;
    ~Jpeg() { jpeg_destroy_decompress(&info); }

    [[noreturn]] static void stop(j_common_ptr common) {
        auto* jpeg = static_cast<Jpeg*>(common->client_data);
        common->err->format_message(common, jpeg->message);
        std::longjmp(jpeg->jump, 1);
    }
};

[[gnu::noinline]] inline bool jpeg_header(Jpeg& jpeg, const unsigned char* bytes, unsigned long count) {
    if (setjmp(jpeg.jump)) return false;
    jpeg_create_decompress(&jpeg.info);
    jpeg.info.progress = &jpeg.progress;
    jpeg_mem_src(&jpeg.info, const_cast<unsigned char*>(bytes), count);
    jpeg_read_header(&jpeg.info, TRUE);
    return true;
}
[[gnu::noinline]] inline bool jpeg_pixels(Jpeg& jpeg, unsigned char* pixels, std::size_t row) {
    if (setjmp(jpeg.jump)) return false;
    jpeg_start_decompress(&jpeg.info);
    while (jpeg.info.output_scanline < jpeg.info.output_height) {
        JSAMPROW to = pixels + jpeg.info.output_scanline * row;
        jpeg_read_scanlines(&jpeg.info, &to, 1);
    }
    jpeg_finish_decompress(&jpeg.info);
    return true;
}

inline Image decode_jpeg(std::span<const std::byte> bytes, std::string_view where) {
    Jpeg jpeg;
    const auto refuse = [&](const std::string& what) { fail(ErrorCode::data, where, what); };
    const auto damaged = [&] { refuse(std::string("the JPEG file is damaged or of a kind that libjpeg does not read: ") + jpeg.message); };
    if (!jpeg_header(jpeg, reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<unsigned long>(bytes.size()))) damaged();
    jpeg_decompress_struct& info = jpeg.info;
    const bool grey = info.jpeg_color_space == JCS_GRAYSCALE;
    if (info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK)
        refuse("a JPEG file of the colours CMYK; convert it to RGB, e.g. by ImageMagick: convert in.jpg -colorspace sRGB out.jpg");
    if (!grey && info.jpeg_color_space != JCS_YCbCr && info.jpeg_color_space != JCS_RGB)
        refuse("a JPEG file of " + std::to_string(info.num_components) + " components of unknown colours; expected grey or RGB");
    info.out_color_space = grey ? JCS_GRAYSCALE : JCS_RGB;
    static_cast<void>(claim_image(where, info.image_height, info.image_width, 0));
    // Every block of 64 values takes at least a bit, and some component has one for each two blocks of pixels.
    if (!info.arith_code && std::uint64_t{info.image_width} * info.image_height > 1024 * std::uint64_t{bytes.size()} + 65536)
        refuse("the JPEG file is cut short or damaged: " + std::to_string(bytes.size()) + " bytes cannot hold " + std::to_string(info.image_width) + " x " +
               std::to_string(info.image_height) + " pixels");
    Image image = claim_image(where, info.image_height, info.image_width, grey ? 1 : 3);
    if (!jpeg_pixels(jpeg, image.pixels.data(), static_cast<std::size_t>(image.width * image.channels))) damaged();
    return image;
}
#else
inline Image decode_jpeg(std::span<const std::byte>, std::string_view where) {
    fail(ErrorCode::data, where,
         "this build cannot read JPEG images; install libjpeg-turbo (Debian: libjpeg62-turbo-dev) and define DLA_HAVE_JPEG (Meson does)");
}
#endif

}  // namespace DLA_JPEG_TAG
}  // namespace detail

inline namespace DLA_JPEG_TAG {
inline namespace DLA_PNG_TAG {

/// Reads the bytes of a PNG or JPEG file; its first bytes say which. `channels` 1 or 3 converts: grey becomes three equal channels, and RGB becomes
/// (19595 R + 38470 G + 7471 B + 32768) / 65536 rounded down (ITU-R 601, as in Pillow); 0 leaves the image's own.
/// PNG: bits 1 to 8 and palettes as they are; 16 bits are rounded to 8; alpha is dropped, not blended, as Pillow's convert("RGB") does; a gAMA chunk that
/// is not sRGB's is followed. JPEG: grey, YCbCr and RGB, baseline and progressive; an orientation in its EXIF data is not followed.
/// Throws Error(data) with `where` and what is wrong: another kind of file, damaged or cut short (also where a decoder only warns), CMYK, a side above
/// 32768 or more than 2^28 pixels (before memory is claimed), or a build without the decoder.
inline Image decode_image(std::span<const std::byte> bytes, std::string_view where, int channels = 0) {
    if (channels != 0 && channels != 1 && channels != 3) fail(ErrorCode::config, where, "an image has 1 or 3 channels; got " + std::to_string(channels));
    const auto begins_with = [&](std::string_view signature) {
        return bytes.size() >= signature.size() && std::memcmp(bytes.data(), signature.data(), signature.size()) == 0;
    };
    const bool png = begins_with("\x89PNG\r\n\x1a\n");
    if (!png && !begins_with("\xff\xd8\xff")) fail(ErrorCode::data, where, "neither a PNG nor a JPEG image, whatever its name says");
    Image image = png ? detail::decode_png(bytes, where) : detail::decode_jpeg(bytes, where);
    if (channels == 0 || image.channels == channels) return image;
    const std::vector<std::uint8_t> from = std::move(image.pixels);
    image = detail::claim_image(where, static_cast<std::uint64_t>(image.height), static_cast<std::uint64_t>(image.width), channels);
    std::uint8_t* to = image.pixels.data();
    if (channels == 3)
        for (const std::uint8_t grey : from) to = std::fill_n(to, 3, grey);
    else
        for (std::size_t i = 0; i < from.size(); i += 3)
            *to++ = static_cast<std::uint8_t>((19595u * from[i] + 38470u * from[i + 1] + 7471u * from[i + 2] + 32768u) >> 16);
    return image;
}

/// The same of a file of at most 1 GiB.
inline Image read_image(const std::string& path, int channels = 0) {
    return decode_image(read_file(path, std::uint64_t{1} << 30, ErrorCode::data), path, channels);
}

}  // namespace DLA_PNG_TAG
}  // namespace DLA_JPEG_TAG
}  // namespace dla
