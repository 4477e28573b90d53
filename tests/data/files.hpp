// SPDX-License-Identifier: MIT
// Files for the data tests: a folder that cleans up after itself, and writers of IDX, gzip and tar.
#pragma once

#include <dla/core/error.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <string>
#include <vector>

#include <unistd.h>

#if defined(DLA_HAVE_ZLIB)
#include <zlib.h>
#endif

namespace files {

using Bytes = std::vector<std::uint8_t>;
namespace fs = std::filesystem;

class TempDir {
public:
    TempDir() {
        std::string pattern = (fs::temp_directory_path() / "dla_data_XXXXXX").string();
        REQUIRE(mkdtemp(pattern.data()) != nullptr);
        path_ = pattern;
    }
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    ~TempDir() {
        std::error_code error;
        fs::remove_all(path_, error);
    }
    fs::path operator/(const std::string& name) const { return path_ / name; }
    const fs::path& path() const { return path_; }

private:
    fs::path path_;
};

inline fs::path write(const fs::path& path, const Bytes& bytes) {
    fs::create_directories(path.parent_path());
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    REQUIRE(file.good());
    return path;
}

inline Bytes read(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return Bytes(std::istreambuf_iterator<char>(file), {});
}

/// An IDX file of bytes with the given axes and values.
inline Bytes idx(std::initializer_list<std::uint32_t> sizes, const Bytes& values) {
    Bytes out = {0, 0, 8, static_cast<std::uint8_t>(sizes.size())};
    for (std::uint32_t n : sizes)
        for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<std::uint8_t>(n >> shift));
    out.insert(out.end(), values.begin(), values.end());
    return out;
}

#if defined(DLA_HAVE_ZLIB)
inline Bytes gzip(const Bytes& in) {
    z_stream stream{};
    REQUIRE(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    Bytes out(deflateBound(&stream, static_cast<uLong>(in.size())) + 64);
    stream.next_in = const_cast<Bytef*>(in.data());
    stream.avail_in = static_cast<uInt>(in.size());
    stream.next_out = out.data();
    stream.avail_out = static_cast<uInt>(out.size());
    REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
}
#endif

inline void tar_add(Bytes& tar, const std::string& name, const Bytes& content, char type = '0') {
    Bytes header(512, 0);
    std::copy(name.begin(), name.end(), header.begin());
    std::snprintf(reinterpret_cast<char*>(&header[100]), 8, "%07o", 0644u);
    std::snprintf(reinterpret_cast<char*>(&header[124]), 12, "%011llo", static_cast<unsigned long long>(content.size()));
    header[156] = static_cast<std::uint8_t>(type);
    const std::string magic = "ustar";
    std::copy(magic.begin(), magic.end(), header.begin() + 257);
    header[263] = header[264] = '0';
    unsigned sum = 8 * ' ';
    for (std::uint8_t b : header) sum += b;
    std::snprintf(reinterpret_cast<char*>(&header[148]), 8, "%06o", sum);
    tar.insert(tar.end(), header.begin(), header.end());
    tar.insert(tar.end(), content.begin(), content.end());
    tar.resize((tar.size() + 511) / 512 * 512, 0);
}
inline void tar_end(Bytes& tar) { tar.resize((tar.size() / 10240 + 1) * 10240, 0); }

/// Runs f and returns the message of the dla::Error of the expected code it must throw; anything else fails the test.
template <class F>
std::string message_of(F&& f, dla::ErrorCode code = dla::ErrorCode::data) {
    try {
        f();
    } catch (const dla::Error& error) {
        CHECK(error.code() == code);
        return error.what();
    }
    FAIL_CHECK("expected an error");
    return {};
}

inline bool contains(const std::string& text, const std::string& part) {
    const bool found = text.find(part) != std::string::npos;
    if (!found) MESSAGE("\"", part, "\" is not in \"", text, "\"");
    return found;
}

/// The folder of the real data, empty if there is none.
inline fs::path real_data() {
    const char* set = std::getenv("DLA_DATA_DIR");
    for (const fs::path& folder : {fs::path(set ? set : ""), fs::path(DLA_SOURCE_ROOT) / ".." / "shared" / "data"})
        if (!folder.empty() && fs::is_directory(folder)) return folder;
    return {};
}

}  // namespace files
