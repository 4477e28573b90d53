// SPDX-License-Identifier: MIT
// Images for the tests of those who read them: PNG files put together by hand (no libpng, no zlib), JPEG files through libjpeg's encoder.
#pragma once

#include "files.hpp"

#include <string_view>

#ifdef DLA_HAVE_JPEG
#include <jpeglib.h>
#endif

namespace files {

inline void put_number(Bytes& out, std::uint32_t n) {
    for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<std::uint8_t>(n >> shift));
}

inline std::uint32_t crc_of(const std::uint8_t* bytes, std::size_t count) {
    std::uint32_t crc = 0xffffffffu;
    for (std::size_t i = 0; i < count; ++i) {
        crc ^= bytes[i];
        for (int k = 0; k < 8; ++k) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

inline void put_chunk(Bytes& png, std::string_view type, const Bytes& content) {
    put_number(png, static_cast<std::uint32_t>(content.size()));
    const std::size_t at = png.size();
    png.insert(png.end(), type.begin(), type.end());
    png.insert(png.end(), content.begin(), content.end());
    put_number(png, crc_of(png.data() + at, png.size() - at));
}

/// What zlib would make of bytes that it stores as they are.
inline Bytes stored(const Bytes& raw) {
    Bytes out = {0x78, 0x01};
    std::uint32_t a = 1, b = 0;
    for (std::size_t at = 0; at == 0 || at < raw.size(); at += 65535) {
        const std::size_t n = std::min<std::size_t>(65535, raw.size() - at);
        out.push_back(at + n == raw.size());
        for (const std::size_t v : {n, ~n}) out.push_back(static_cast<std::uint8_t>(v)), out.push_back(static_cast<std::uint8_t>(v >> 8));
        out.insert(out.end(), raw.begin() + static_cast<std::ptrdiff_t>(at), raw.begin() + static_cast<std::ptrdiff_t>(at + n));
    }
    for (const std::uint8_t byte : raw) a = (a + byte) % 65521, b = (b + a) % 65521;
    put_number(out, b << 16 | a);
    return out;
}

struct Png {
    std::uint32_t width = 1, height = 1;
    int depth = 8, colour = 2;  ///< 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGB and alpha
    Bytes palette{}, transparent{};

    std::size_t samples() const { return std::size_t{width} * (colour == 2 ? 3 : colour == 4 ? 2 : colour == 6 ? 4 : 1); }

    Bytes start() const {
        Bytes png = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'}, header;
        put_number(header, width);
        put_number(header, height);
        header.insert(header.end(), {static_cast<std::uint8_t>(depth), static_cast<std::uint8_t>(colour), 0, 0, 0});
        put_chunk(png, "IHDR", header);
        if (!palette.empty()) put_chunk(png, "PLTE", palette);
        if (!transparent.empty()) put_chunk(png, "tRNS", transparent);
        return png;
    }
    /// `values`: samples() for each row, each below 2^depth.
    Bytes file(const std::vector<std::uint32_t>& values) const {
        Bytes raw;
        for (std::size_t y = 0; y < height; ++y) {
            raw.push_back(0);  // no filter
            std::uint32_t bits = 0;
            int have = 0;
            for (std::size_t i = 0; i < samples(); ++i) {
                bits = bits << depth | values[y * samples() + i];
                for (have += depth; have >= 8; have -= 8) raw.push_back(static_cast<std::uint8_t>(bits >> (have - 8)));
            }
            if (have > 0) raw.push_back(static_cast<std::uint8_t>(bits << (8 - have)));
        }
        Bytes png = start();
        put_chunk(png, "IDAT", stored(raw));
        put_chunk(png, "IEND", {});
        return png;
    }
};

/// An RGB or grey image as PNG, 8 bits.
inline Bytes png_of(const Bytes& pixels, std::uint32_t height, std::uint32_t width, int channels) {
    Png png;
    png.width = width;
    png.height = height;
    png.colour = channels == 3 ? 2 : 0;
    return png.file(std::vector<std::uint32_t>(pixels.begin(), pixels.end()));
}

#ifdef DLA_HAVE_JPEG
struct JpegSettings {
    int quality = 100;
    bool progressive = false;
    bool halved_colours = false;
    J_COLOR_SPACE stored = JCS_UNKNOWN;  ///< unknown: libjpeg's choice
    int scans = 0;                       ///< above 0: as many as 127, one or two for each coefficient
};

/// channels 1: grey; 3: RGB; 4: CMYK; 2: two components of no colour.
inline Bytes jpeg_of(const Bytes& pixels, std::uint32_t height, std::uint32_t width, int channels, const JpegSettings& settings = {}) {
    jpeg_compress_struct info{};
    jpeg_error_mgr errors{};
    info.err = jpeg_std_error(&errors);
    jpeg_create_compress(&info);
    unsigned char* memory = nullptr;
    unsigned long size = 0;
    jpeg_mem_dest(&info, &memory, &size);
    info.image_width = width;
    info.image_height = height;
    info.input_components = channels;
    info.in_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : channels == 4 ? JCS_CMYK : JCS_UNKNOWN;
    jpeg_set_defaults(&info);
    if (settings.stored != JCS_UNKNOWN) jpeg_set_colorspace(&info, settings.stored);
    jpeg_set_quality(&info, settings.quality, TRUE);
    const int factor = settings.halved_colours ? 2 : 1;
    info.comp_info[0].h_samp_factor = info.comp_info[0].v_samp_factor = factor;
    if (settings.progressive) jpeg_simple_progression(&info);
    std::vector<jpeg_scan_info> script;
    if (settings.scans > 0) {
        script.push_back({1, {0}, 0, 0, 0, 0});
        for (int k = 1; k < 64; ++k) {
            script.push_back({1, {0}, k, k, 0, 1});
            script.push_back({1, {0}, k, k, 1, 0});
        }
        script.resize(static_cast<std::size_t>(settings.scans));
        info.scan_info = script.data();
        info.num_scans = settings.scans;
    }
    jpeg_start_compress(&info, TRUE);
    const std::size_t row = std::size_t{width} * static_cast<std::size_t>(channels);
    while (info.next_scanline < height) {
        JSAMPROW from = const_cast<std::uint8_t*>(pixels.data()) + info.next_scanline * row;
        jpeg_write_scanlines(&info, &from, 1);
    }
    jpeg_finish_compress(&info);
    Bytes out(memory, memory + size);
    jpeg_destroy_compress(&info);
    std::free(memory);
    return out;
}
#endif

}  // namespace files
