// SPDX-License-Identifier: MIT
// Reads the bytes of a file, plain or gzip, one piece at a time and to the checked end.
#pragma once

#include <dla/core/error.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#if defined(DLA_HAVE_ZLIB)
#include <zlib.h>
#endif

namespace dla {
inline namespace DLA_ZLIB_TAG {

/// The content of a regular file in reading order; a gzip file (by its first two bytes, whatever its name) is decompressed on the way.
/// Memory is constant. Errors: data for damaged content (cut short, wrong check sum, bytes after the end), io when the file cannot be read.
class ByteReader {
public:
    explicit ByteReader(const std::filesystem::path& path) : where_(path.string()) {
        std::error_code error;
        if (!std::filesystem::is_regular_file(path, error)) fail(ErrorCode::data, where_, "not a regular file; expected a readable data file");
        file_size_ = std::filesystem::file_size(path, error);
        if (error) fail(ErrorCode::io, where_, "cannot tell the size of the file (" + error.message() + ")");
        file_.open(path, std::ios::binary);
        if (!file_) fail(ErrorCode::io, where_, "cannot open the file for reading; check its permissions");
        input_.resize(std::size_t{1} << 16);
        refill();
        compressed_ = have_ >= 2 && input_[0] == 0x1f && input_[1] == 0x8b;
#if defined(DLA_HAVE_ZLIB)
        if (compressed_ && inflateInit2(&stream_, 15 + 16) != Z_OK) fail(ErrorCode::io, where_, "zlib cannot start (out of memory?)");
#else
        if (compressed_) fail(ErrorCode::data, where_, "the file is gzip-compressed but this build has no zlib; decompress it (gzip -d), or rebuild with zlib");
#endif
    }
    ByteReader(const ByteReader&) = delete;
    ByteReader& operator=(const ByteReader&) = delete;
    ~ByteReader() {
#if defined(DLA_HAVE_ZLIB)
        if (compressed_) inflateEnd(&stream_);
#endif
    }

    bool compressed() const { return compressed_; }
    /// Bytes on disk.
    std::uint64_t file_size() const { return file_size_; }
    const std::string& where() const { return where_; }

    /// Reads up to `count` bytes; fewer only at the end of the content.
    std::size_t read(std::uint8_t* out, std::size_t count) { return compressed_ ? read_gzip(out, count) : read_plain(out, count); }

    /// Reads `count` bytes. Error: data, if the content ends before.
    void read_exact(std::uint8_t* out, std::size_t count, std::string_view what) {
        const std::size_t got = read(out, count);
        if (got != count)
            fail(ErrorCode::data, where_,
                 "the file is cut short in " + std::string(what) + "; expected " + std::to_string(count) + " more bytes, got " + std::to_string(got) +
                     "; fetch it again");
    }

    /// Appends `count` bytes to `out`, which grows only as bytes arrive, so a file that promises more than it holds costs little memory.
    void append_exact(std::vector<std::uint8_t>& out, std::uint64_t count, std::string_view what) {
        if (!compressed_) out.reserve(out.size() + static_cast<std::size_t>(std::min(count, file_size_)));
        while (count > 0) {
            const std::size_t piece = static_cast<std::size_t>(std::min<std::uint64_t>(count, std::uint64_t{1} << 20));
            const std::size_t old = out.size();
            out.resize(old + piece);
            read_exact(out.data() + old, piece, what);
            count -= piece;
        }
    }

    void skip_exact(std::uint64_t count, std::string_view what) {
        std::uint8_t scratch[4096];
        while (count > 0) {
            const std::size_t piece = static_cast<std::size_t>(std::min<std::uint64_t>(count, sizeof scratch));
            read_exact(scratch, piece, what);
            count -= piece;
        }
    }

    /// Checks that nothing follows; of a gzip file this also verifies the check sum.
    void expect_end() {
        std::uint8_t extra;
        if (read(&extra, 1) != 0)
            fail(ErrorCode::data, where_, "bytes follow the end of the data; expected the end of the file; it is damaged or of another kind");
    }

private:
    void refill() {
        file_.read(reinterpret_cast<char*>(input_.data()), static_cast<std::streamsize>(input_.size()));
        have_ = static_cast<std::size_t>(file_.gcount());
        used_ = 0;
        if (file_.bad()) fail(ErrorCode::io, where_, "reading failed");
    }

    std::size_t read_plain(std::uint8_t* out, std::size_t count) {
        std::size_t done = 0;
        while (done < count) {
            if (used_ == have_) refill();
            if (have_ == 0) break;
            const std::size_t piece = std::min(count - done, have_ - used_);
            std::copy_n(input_.data() + used_, piece, out + done);
            used_ += piece;
            done += piece;
        }
        return done;
    }

#if defined(DLA_HAVE_ZLIB)
    std::size_t read_gzip(std::uint8_t* out, std::size_t count) {
        std::size_t done = 0;
        while (done < count && !ended_) {
            if (used_ == have_) refill();
            if (have_ == 0) fail(ErrorCode::data, where_, "the gzip data are cut short; fetch the file again");
            const std::size_t room = std::min<std::size_t>(count - done, std::size_t{1} << 30);
            stream_.next_in = input_.data() + used_;
            stream_.avail_in = static_cast<uInt>(have_ - used_);
            stream_.next_out = out + done;
            stream_.avail_out = static_cast<uInt>(room);
            const int status = inflate(&stream_, Z_NO_FLUSH);
            used_ = have_ - stream_.avail_in;
            done += room - stream_.avail_out;
            if (status == Z_STREAM_END)
                next_member();
            else if (status != Z_OK)
                fail(ErrorCode::data, where_,
                     std::string("the gzip data are damaged (") + (stream_.msg ? stream_.msg : "zlib error") + "); fetch the file again");
        }
        return done;
    }

    // A gzip file may hold several members one after another; anything else behind a member is damage.
    void next_member() {
        if (used_ == have_) refill();
        if (have_ == 0) {
            ended_ = true;
            return;
        }
        if (inflateReset(&stream_) != Z_OK) fail(ErrorCode::io, where_, "zlib cannot restart");
    }

    z_stream stream_{};
    bool ended_ = false;
#else
    std::size_t read_gzip(std::uint8_t*, std::size_t) { return 0; }
#endif

    std::string where_;
    std::ifstream file_;
    std::uint64_t file_size_ = 0;
    std::vector<std::uint8_t> input_;
    std::size_t have_ = 0;
    std::size_t used_ = 0;
    bool compressed_ = false;
};

}  // namespace DLA_ZLIB_TAG
}  // namespace dla
