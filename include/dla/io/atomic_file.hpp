// SPDX-License-Identifier: MIT
// Whole files on disk: read one with a size limit, and replace one so that a crash leaves the old or the new content, never a mixture.
#pragma once

#include <dla/core/error.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace dla {

namespace detail {

/// `cannot write: No space left on device (errno 28)`; takes errno as an argument because cleaning up may change it.
inline std::string errno_sentence(std::string_view what, int error) {
    return std::string(what) + ": " + std::generic_category().message(error) + " (errno " + std::to_string(error) + ")";
}

/// Owns a file descriptor.
class FileDescriptor {
public:
    FileDescriptor() = default;
    explicit FileDescriptor(int fd) : fd_(fd) {}
    FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    FileDescriptor& operator=(FileDescriptor&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~FileDescriptor() { close(); }
    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }
    /// Status of close(2): some file systems report a failed write only here.
    int close() { return fd_ < 0 ? 0 : ::close(std::exchange(fd_, -1)); }

private:
    int fd_ = -1;
};

/// All of the bytes, or the errno of the write that failed.
inline int write_all(int fd, const char* bytes, std::size_t count) {
    while (count > 0) {
        const ssize_t written = ::write(fd, bytes, count);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return written < 0 ? errno : EIO;
        bytes += written;
        count -= static_cast<std::size_t>(written);
    }
    return 0;
}

/// The folder part of a path, `.` if it has none.
inline std::string parent_folder(const std::string& path) {
    const auto slash = path.find_last_of('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

/// The file that a path's symbolic links lead to, there or not; after 40 links (a circle) the one reached.
inline std::string link_target(std::string path) {
    char target[4096];
    for (int links = 0; links < 40; ++links) {
        const ssize_t length = ::readlink(path.c_str(), target, sizeof target);
        if (length <= 0 || static_cast<std::size_t>(length) == sizeof target) break;
        const std::string name(target, static_cast<std::size_t>(length));
        path = name[0] == '/' ? name : parent_folder(path) + "/" + name;
    }
    return path;
}

}  // namespace detail

/// Replaces `path` atomically: bytes go to `path.tmp` in the same folder; `commit` syncs them, renames, and syncs the folder.
/// Without `commit` (or after an error) the temporary file is removed and `path` is as it was. A temporary file that a killed
/// process left behind is reused; two writers at once are refused. Of a symbolic link the target is replaced, not the link.
/// What cannot be replaced is written to directly: a device, a pipe, and what standard output or standard error goes to.
/// Throws Error(io) with the path and the system's reason.
class AtomicFile {
public:
    explicit AtomicFile(std::string path) : path_(std::move(path)), target_(path_), temporary_(path_) {
        struct stat old {};
        if (::stat(path_.c_str(), &old) == 0 && open_directly(old)) return;
        target_ = detail::link_target(path_);
        temporary_ = target_ + ".tmp";
        for (int attempt = 0; attempt < 100; ++attempt) {
            // O_NONBLOCK: never wait for the reader of a FIFO that has the name.
            file_ = detail::FileDescriptor(::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666));
            if (!file_) stop(errno == ENXIO ? temporary_ + " is not a regular file" : "cannot create " + temporary_, errno);
            if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
                file_.close();
                fail(ErrorCode::io, path_, "another process is writing " + temporary_ + "; give each run its own output folder");
            }
            // Between open and flock the previous owner may have renamed the file: then this descriptor is the finished file, not ours.
            struct stat opened {
            }, named{};
            if (::fstat(file_.get(), &opened) == 0 && ::stat(temporary_.c_str(), &named) == 0 && opened.st_ino == named.st_ino &&
                opened.st_dev == named.st_dev) {
                if (!S_ISREG(opened.st_mode)) stop(temporary_ + " is not a regular file", EINVAL);
                owned_ = true;
                if (::ftruncate(file_.get(), 0) != 0) stop("cannot truncate " + temporary_, errno);
                return;
            }
        }
        stop("cannot create " + temporary_, EAGAIN);
    }
    AtomicFile(const AtomicFile&) = delete;
    AtomicFile& operator=(const AtomicFile&) = delete;
    ~AtomicFile() { discard(); }

    void write(std::span<const std::byte> bytes) {
        if (const int error = detail::write_all(file_.get(), reinterpret_cast<const char*>(bytes.data()), bytes.size())) stop("cannot write", error);
    }
    void write(std::string_view text) { write(std::as_bytes(std::span(text))); }

    /// Where the bytes are until `commit`, for programs that write them themselves.
    const std::string& temporary() const { return temporary_; }

    /// Makes the new content durable under its final name.
    void commit() {
        if (!owned_) {
            if (file_.close() != 0) stop("cannot close", errno);
            return;
        }
        if (::fsync(file_.get()) != 0) stop("cannot sync to disk", errno);
        if (::rename(temporary_.c_str(), target_.c_str()) != 0) stop("cannot rename " + temporary_ + " to it", errno);
        owned_ = false;
        if (file_.close() != 0) stop("cannot close", errno);
        const std::string folder = detail::parent_folder(target_);
        detail::FileDescriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        // EINVAL: a file system that cannot sync folders; nothing more can be done there.
        if (!directory || (::fsync(directory.get()) != 0 && errno != EINVAL)) stop("cannot sync its folder", errno);
    }

private:
    /// Whether `old`, which is at `path_`, is now open to be written to as it is.
    bool open_directly(const struct stat& old) {
        for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) {  // /dev/stdout: opened anew, a file would be written from its start
            struct stat stream {};
            if (::fstat(fd, &stream) != 0 || stream.st_dev != old.st_dev || stream.st_ino != old.st_ino) continue;
            std::fflush(stdout);  // what was printed before comes first
            file_ = detail::FileDescriptor(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
            if (!file_) stop("cannot open", errno);
            return true;
        }
        if (S_ISREG(old.st_mode) || S_ISDIR(old.st_mode)) return false;
        file_ = detail::FileDescriptor(::open(path_.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
        if (!file_) stop(errno == ENXIO ? "nobody reads from the other end" : "cannot open", errno);
        ::fcntl(file_.get(), F_SETFL, ::fcntl(file_.get(), F_GETFL) & ~O_NONBLOCK);
        return true;
    }
    [[noreturn]] void stop(std::string_view what, int error) {
        discard();
        fail(ErrorCode::io, path_, detail::errno_sentence(what, error));
    }
    void discard() noexcept {
        if (owned_) ::unlink(temporary_.c_str());
        owned_ = false;
        file_.close();
    }

    std::string path_;    ///< as given
    std::string target_;  ///< without links
    std::string temporary_;
    detail::FileDescriptor file_;
    bool owned_ = false;
};

/// Makes `text` the content of `path`, atomically (see AtomicFile).
inline void write_file(const std::string& path, std::string_view text) {
    AtomicFile file(path);
    file.write(text);
    file.commit();
}

/// The whole content of a regular file of at most `limit` bytes. Throws Error(code): missing, not a file, too large, cut while reading.
/// Memory used is the size of the file, known before anything is allocated; files that tell no size (those of /proc) are read to their end.
inline std::vector<std::byte> read_file(const std::string& path, std::uint64_t limit, ErrorCode code = ErrorCode::io) {
    detail::FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));  // O_NONBLOCK: never wait for the writer of a FIFO
    if (!file) fail(code, path, detail::errno_sentence("cannot open", errno));
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) fail(code, path, detail::errno_sentence("cannot read", errno));
    if (!S_ISREG(status.st_mode)) fail(code, path, "not a regular file");
    const auto size = static_cast<std::uint64_t>(status.st_size);
    if (size > limit) fail(code, path, "file too large; expected at most " + std::to_string(limit) + " bytes, got " + std::to_string(size));
    std::vector<std::byte> bytes;
    try {
        bytes.resize(static_cast<std::size_t>(size));
    } catch (const std::exception&) {
        fail(code, path, "not enough memory for " + std::to_string(size) + " bytes");
    }
    std::size_t done = 0;
    while (size == 0 && done <= limit) {  // such a file is small: a page at a time
        bytes.resize(done + 4096);
        const ssize_t got = ::read(file.get(), bytes.data() + done, bytes.size() - done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) fail(code, path, detail::errno_sentence("cannot read", errno));
        done += static_cast<std::size_t>(got);
        bytes.resize(done);
        if (done > limit) fail(code, path, "file too large; expected at most " + std::to_string(limit) + " bytes");
        if (got == 0) return bytes;
    }
    while (done < bytes.size()) {
        const ssize_t got = ::read(file.get(), bytes.data() + done, bytes.size() - done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) fail(code, path, detail::errno_sentence("cannot read", errno));
        if (got == 0) fail(code, path, "file shrank while it was read; expected " + std::to_string(size) + " bytes, got " + std::to_string(done));
        done += static_cast<std::size_t>(got);
    }
    return bytes;
}

}  // namespace dla
