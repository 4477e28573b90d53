// SPDX-License-Identifier: MIT
// Walks through a tar archive (ustar, GNU or the old format) over a ByteReader; only regular files are reported.
#pragma once

#include <dla/data/gzip.hpp>

#include <cstring>

namespace dla {
inline namespace DLA_ZLIB_TAG {

/// One regular file of an archive.
struct TarEntry {
    std::string name;
    std::uint64_t size = 0;
};

/// Reads an archive front to back. After `next` gave an entry, read some or all of its bytes with `read_exact`; `next` skips the rest.
/// Errors: data, if a header's check sum or size is wrong, the archive is cut short, or something other than padding follows its end.
class TarReader {
public:
    explicit TarReader(ByteReader& bytes) : bytes_(bytes) {}

    /// Moves to the next regular file; false at the end of the archive, whose last bytes have then been checked.
    bool next(TarEntry& entry) {
        for (;;) {
            bytes_.skip_exact(left_ + padding_, "a tar member");
            left_ = padding_ = 0;
            std::uint8_t header[512];
            bytes_.read_exact(header, sizeof header, "a tar header");
            if (is_zero(header)) {
                finish();
                return false;
            }
            check_sum(header);
            left_ = octal(header + 124, 12, "size");
            padding_ = (512 - left_ % 512) % 512;
            const auto type = header[156];
            if (type != '0' && type != 0) continue;
            entry.size = left_;
            entry.name = field(header, 100);
            if (std::memcmp(header + 257, "ustar\0", 6) == 0 && header[345] != 0) entry.name = field(header + 345, 155) + "/" + entry.name;
            return true;
        }
    }

    void read_exact(std::uint8_t* out, std::size_t count) {
        if (count > left_) fail(ErrorCode::data, bytes_.where(), "a tar member is shorter than its content should be");
        bytes_.read_exact(out, count, "a tar member");
        left_ -= count;
    }

private:
    static bool is_zero(const std::uint8_t* header) {
        return std::all_of(header, header + 512, [](std::uint8_t b) { return b == 0; });
    }

    static std::string field(const std::uint8_t* text, std::size_t length) {
        const auto* end = std::find(text, text + length, std::uint8_t{0});
        return std::string(text, end);
    }

    std::uint64_t octal(const std::uint8_t* text, int length, std::string_view what) const {
        int i = 0;
        while (i < length && text[i] == ' ') ++i;
        std::uint64_t value = 0;
        const int first = i;
        for (; i < length && text[i] >= '0' && text[i] <= '7'; ++i) value = value * 8 + static_cast<std::uint64_t>(text[i] - '0');
        if (i == first || (i < length && text[i] != ' ' && text[i] != 0))
            fail(ErrorCode::data, bytes_.where(), "the " + std::string(what) + " in a tar header is not an octal number; the archive is damaged");
        return value;
    }

    void check_sum(const std::uint8_t* header) const {
        std::uint64_t sum = 0;
        for (int i = 0; i < 512; ++i) sum += i >= 148 && i < 156 ? std::uint64_t{' '} : header[i];
        if (sum != octal(header + 148, 8, "check sum"))
            fail(ErrorCode::data, bytes_.where(), "a tar header has a wrong check sum; the archive is damaged or is none");
    }

    // Two zero blocks end an archive and more may pad it: read them all, so that the check sum of a gzip file is verified too.
    void finish() {
        std::uint8_t block[512];
        for (int blocks = 0; blocks < 4096; ++blocks) {
            const std::size_t got = bytes_.read(block, sizeof block);
            if (got < sizeof block) std::fill(block + got, block + sizeof block, std::uint8_t{0});
            if (!is_zero(block)) break;
            if (got == 0) return;
        }
        fail(ErrorCode::data, bytes_.where(), "something other than padding follows the end of the tar archive; it is damaged");
    }

    ByteReader& bytes_;
    std::uint64_t left_ = 0;
    std::uint64_t padding_ = 0;
};

}  // namespace DLA_ZLIB_TAG
}  // namespace dla
