// SPDX-License-Identifier: MIT
// Reads and writes arrays as NumPy does with np.save: .npy files.
// Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html, versions 1.0 to 3.0.
#pragma once

#include <dla/core/finite.hpp>
#include <dla/core/half.hpp>
#include <dla/core/shape.hpp>
#include <dla/io/atomic_file.hpp>

#include <algorithm>
#include <bit>
#include <limits>

namespace dla {

static_assert(std::endian::native == std::endian::little, "the .npy files that are read are little-endian, and bytes are copied here as they are");

/// An array of any rank as a .npy file holds it, its values as floats.
struct NpyArray {
    std::vector<index_t> shape;  ///< empty: a single value
    std::vector<float> values;   ///< last axis fastest, whatever the order in the file
    std::string type;            ///< of the file's values: b1, i1, u1, i2, u2, i4, u4, i8, u8, f2, f4 or f8

    bool are_integers() const { return type[0] != 'f'; }
};

namespace detail {

/// `[2, 3]`.
inline std::string npy_shape_text(std::span<const index_t> shape) {
    std::string t = "[";
    for (std::size_t i = 0; i < shape.size(); ++i) t += (i ? ", " : "") + std::to_string(shape[i]);
    return t + "]";
}

/// What a header says: `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`, a literal of Python that is read without Python.
struct NpyHeader {
    std::string descr;
    bool fortran_order = false;
    std::vector<index_t> shape;
};

class NpyHeaderReader {
public:
    NpyHeaderReader(const std::string& path, std::string_view text) : path_(path), text_(text) {}

    NpyHeader read() {
        NpyHeader header;
        bool have_descr = false, have_order = false, have_shape = false;
        expect('{');
        while (!take('}')) {
            const std::string key = quoted();
            expect(':');
            if (key == "descr" && !have_descr)
                header.descr = descr(), have_descr = true;
            else if (key == "fortran_order" && !have_order)
                header.fortran_order = boolean(), have_order = true;
            else if (key == "shape" && !have_shape)
                header.shape = shape(), have_shape = true;
            else
                refuse("has the key '" + key + "' twice, or it is none of descr, fortran_order and shape");
            if (!take(',')) {
                expect('}');
                break;
            }
        }
        skip_spaces();
        if (at_ != text_.size()) refuse("goes on behind its end");
        if (!have_descr || !have_order || !have_shape) refuse("lacks one of descr, fortran_order and shape");
        return header;
    }

private:
    [[noreturn]] void refuse(const std::string& what) const { fail(ErrorCode::data, path_, "the header of the .npy file " + what + "; the file is damaged"); }
    void skip_spaces() {
        while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
    }
    bool take(char c) {
        skip_spaces();
        if (at_ == text_.size() || text_[at_] != c) return false;
        return ++at_, true;
    }
    void expect(char c) {
        if (!take(c)) refuse(std::string("has no '") + c + "' at its character " + std::to_string(at_));
    }
    std::string quoted() {
        skip_spaces();
        const char quote = take('"') ? '"' : (expect('\''), '\'');
        const std::size_t end = text_.find(quote, at_);
        if (end == std::string_view::npos || end - at_ > 40) refuse("has a text without an end, or a long one");
        const std::string found(text_.substr(at_, end - at_));
        for (const char c : found)
            if (c < 32 || c > 126 || c == '\\') refuse("has a text that is not plain ASCII");
        at_ = end + 1;
        return found;
    }
    std::string descr() {
        skip_spaces();
        if (at_ < text_.size() && text_[at_] == '[') fail(ErrorCode::data, path_, "the .npy file holds records of several fields; save each field as an array");
        return quoted();
    }
    bool boolean() {
        skip_spaces();
        for (const std::string_view word : {"True", "False"})
            if (text_.substr(at_).starts_with(word)) return at_ += word.size(), word == "True";
        refuse("has a fortran_order that is neither True nor False");
    }
    std::vector<index_t> shape() {
        std::vector<index_t> sizes;
        expect('(');
        bool comma = true;
        while (!take(')')) {
            if (!comma) refuse("has no comma between two sizes");
            if (sizes.size() == 32) refuse("has more than 32 axes");
            skip_spaces();
            index_t size = 0;
            const std::size_t first = at_;
            for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) size = saturating_add(saturating_mul(size, 10), text_[at_] - '0');
            if (at_ == first) refuse("has a size that is no whole number of at least 0");
            sizes.push_back(size);
            comma = take(',');
        }
        if (sizes.size() == 1 && !comma) refuse("has a shape that is no tuple");  // (3) is the number 3
        return sizes;
    }

    const std::string& path_;
    std::string_view text_;
    std::size_t at_ = 0;
};

/// All of the `count` bytes, or an error.
inline void npy_read(int fd, void* out, std::size_t count, const std::string& path) {
    for (char* to = static_cast<char*>(out); count > 0;) {
        const ssize_t got = ::read(fd, to, count);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) fail(ErrorCode::data, path, errno_sentence("cannot read", errno));
        if (got == 0) fail(ErrorCode::data, path, "the .npy file is cut short");
        to += got;
        count -= static_cast<std::size_t>(got);
    }
}

template <class T>
float npy_float(const std::byte* bytes, const std::string& path) {
    T value;
    std::memcpy(&value, bytes, sizeof value);
    if constexpr (std::is_same_v<T, double>)
        if (is_finite(value) && (value > std::numeric_limits<float>::max() || value < std::numeric_limits<float>::lowest()))
            fail(ErrorCode::data, path, "the .npy file holds the number " + std::to_string(value) + ", which is too large for a float");
    return static_cast<float>(value);
}

struct NpyType {
    const char* name;
    std::size_t size;
    float (*read)(const std::byte*, const std::string&);
};

inline float npy_bool(const std::byte* byte, const std::string& path) {
    if (*byte > std::byte{1}) fail(ErrorCode::data, path, "the .npy file holds a truth value that is neither 0 nor 1; the file is damaged");
    return *byte == std::byte{1} ? 1.0f : 0.0f;
}

inline const NpyType& npy_type(const std::string& descr, const std::string& path) {
    static constexpr NpyType types[] = {
        {"b1", 1, npy_bool},
        {"i1", 1, npy_float<std::int8_t>},
        {"u1", 1, npy_float<std::uint8_t>},
        {"i2", 2, npy_float<std::int16_t>},
        {"u2", 2, npy_float<std::uint16_t>},
        {"i4", 4, npy_float<std::int32_t>},
        {"u4", 4, npy_float<std::uint32_t>},
        {"i8", 8, npy_float<std::int64_t>},
        {"u8", 8, npy_float<std::uint64_t>},
        {"f2", 2, npy_float<f16>},
        {"f4", 4, npy_float<float>},
        {"f8", 8, npy_float<double>},
    };
    if (descr.size() == 3)
        for (const NpyType& type : types)
            if (descr.substr(1) == type.name && (descr[0] == '<' || (type.size == 1 && descr[0] == '|'))) return type;
    fail(ErrorCode::data, path,
         "the .npy file holds values of the type '" + descr +
             "'; expected little-endian f2, f4, f8, i1 to i8, u1 to u8 or bool; in NumPy, np.save(path, array.astype('<f4')) writes such a file");
}

}  // namespace detail

/// Reads a .npy file: f2, f4, f8, signed and unsigned integers of 1 to 8 bytes and bool, little-endian, in C or Fortran order. Integers and f8 are rounded
/// to the nearest float. Throws Error(data): a file that is missing, damaged, longer or shorter than its header says (checked before memory is claimed), of
/// another type, or with an f8 that is too large for a float.
inline NpyArray read_npy(const std::string& path) {
    const auto refuse = [&](const std::string& sentence) { fail(ErrorCode::data, path, sentence); };
    const detail::FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));  // O_NONBLOCK: never wait for the writer of a FIFO
    if (!file) refuse(detail::errno_sentence("cannot open", errno));
    struct stat status{};
    if (::fstat(file.get(), &status) != 0) refuse(detail::errno_sentence("cannot read", errno));
    if (!S_ISREG(status.st_mode)) refuse("not a regular file");
    const auto file_size = static_cast<std::uint64_t>(status.st_size);

    std::uint8_t start[12]{};
    if (file_size < 10) refuse("not a .npy file: it has " + std::to_string(file_size) + " bytes");
    detail::npy_read(file.get(), start, 10, path);
    if (std::memcmp(start, "\x93NUMPY", 6) != 0) refuse("not a .npy file: it does not begin with \\x93NUMPY");
    if (start[6] < 1 || start[6] > 3 || start[7] != 0)
        refuse("the .npy file has the version " + std::to_string(start[6]) + "." + std::to_string(start[7]) + "; expected 1.0, 2.0 or 3.0");
    std::uint64_t length = start[8] | std::uint64_t{start[9]} << 8, offset = 10;
    if (start[6] > 1) {
        detail::npy_read(file.get(), start + 10, 2, path);
        length |= std::uint64_t{start[10]} << 16 | std::uint64_t{start[11]} << 24;
        offset = 12;
    }
    if (length > 65536) refuse("the header of the .npy file is said to have " + std::to_string(length) + " bytes; expected at most 65536");
    if (offset + length > file_size) refuse("the .npy file is cut short in its header");
    std::string text(static_cast<std::size_t>(length), '\0');
    detail::npy_read(file.get(), text.data(), text.size(), path);
    offset += length;

    detail::NpyHeader header = detail::NpyHeaderReader(path, text).read();
    const detail::NpyType& type = detail::npy_type(header.descr, path);
    index_t count = 1;
    for (const index_t size : header.shape) count = saturating_mul(count, size);
    const index_t bytes = saturating_mul(count, static_cast<index_t>(type.size));
    if (static_cast<std::uint64_t>(bytes) != file_size - offset)
        refuse("the .npy file is cut short or damaged: the shape " + detail::npy_shape_text(header.shape) + " of " + type.name + " takes " +
               std::to_string(bytes) + " bytes, and " + std::to_string(file_size - offset) + " are there");

    NpyArray array{std::move(header.shape), {}, type.name};
    const auto n = static_cast<std::size_t>(count);
    std::vector<std::byte> piece(std::min(n * type.size, std::size_t{1} << 20));
    try {
        array.values.resize(n);
    } catch (const std::exception&) {
        refuse("not enough memory for " + std::to_string(n) + " values");
    }
    const std::size_t rank = header.fortran_order ? array.shape.size() : 0;
    std::vector<std::size_t> index(rank), stride(rank, 1);  // of the file's axes, the first of which is the fastest
    for (std::size_t axis = rank; axis-- > 1;) stride[axis - 1] = stride[axis] * static_cast<std::size_t>(array.shape[axis]);
    for (std::size_t done = 0, to = 0; done < n;) {
        const std::size_t values = std::min(n - done, piece.size() / type.size);
        detail::npy_read(file.get(), piece.data(), values * type.size, path);
        for (std::size_t i = 0; i < values; ++i) {
            array.values[rank == 0 ? done + i : to] = type.read(piece.data() + i * type.size, path);
            for (std::size_t axis = 0; axis < rank; ++axis) {
                to += stride[axis];
                if (++index[axis] < static_cast<std::size_t>(array.shape[axis])) break;
                to -= stride[axis] * index[axis];
                index[axis] = 0;
            }
        }
        done += values;
    }
    return array;
}

/// Writes values, last axis fastest, as a .npy file of f4 and version 1.0, atomically (see AtomicFile). Throws Error(io): values that do not fill the shape,
/// a size below 0, more than 32 axes, or what the disk refuses.
inline void write_npy(const std::string& path, std::span<const index_t> shape, std::span<const float> values) {
    index_t count = 1;
    for (const index_t size : shape) count = saturating_mul(count, size);
    if (shape.size() > 32 || std::any_of(shape.begin(), shape.end(), [](index_t size) { return size < 0; }) || count != std::ssize(values))
        fail(ErrorCode::io, path, "an array of the shape " + detail::npy_shape_text(shape) + " cannot be made of " + std::to_string(values.size()) + " values");
    std::string sizes;
    for (const index_t size : shape) sizes += std::to_string(size) + (shape.size() == 1 ? "," : &size == &shape.back() ? "" : ", ");
    std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + sizes + "), }";
    header.append(63 - (10 + header.size()) % 64, ' ') += '\n';  // values begin at a multiple of 64 bytes
    AtomicFile file(path);
    file.write(std::string_view("\x93NUMPY\x01\x00", 8));
    const char length[] = {static_cast<char>(header.size() & 255), static_cast<char>(header.size() >> 8)};
    file.write(std::string_view(length, 2));
    file.write(header);
    file.write(std::as_bytes(values));
    file.commit();
}
inline void write_npy(const std::string& path, std::initializer_list<index_t> shape, std::span<const float> values) {
    write_npy(path, std::span<const index_t>(shape.begin(), shape.size()), values);
}

}  // namespace dla
