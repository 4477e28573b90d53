// SPDX-License-Identifier: MIT
// Folders: made where they are missing, and one process at a time in one, or at something in it.
#pragma once

#include <dla/io/atomic_file.hpp>

#include <filesystem>
#include <fstream>
#include <sstream>

#include <sys/sysmacros.h>

namespace dla {

namespace detail {

/// `process 4711 (train --config a.toml)`: who holds the lock on a file, as the system tells it; `another process` where it does not. Some file systems tell
/// stat another device than /proc/locks: there the inode alone serves, if only one lock has it.
inline std::string lock_holder(const struct stat& file) {
    char own[64];
    std::snprintf(own, sizeof own, "%02x:%02x:%llu", major(file.st_dev), minor(file.st_dev), static_cast<unsigned long long>(file.st_ino));
    const std::string inode = ":" + std::to_string(file.st_ino);
    std::ifstream locks("/proc/locks");
    std::string holder;
    int candidates = 0;
    for (std::string line; std::getline(locks, line);) {
        // 1: FLOCK  ADVISORY  WRITE 4711 fe:01:262146 0 EOF
        std::istringstream words(line);
        std::string number, kind, how, mode, pid, place;
        words >> number >> kind >> how >> mode >> pid >> place;
        if (kind != "FLOCK" || !place.ends_with(inode) || pid.starts_with('-') || pid == "0") continue;
        holder = pid;
        candidates = place == own ? 1 : candidates + 1;
        if (place == own) break;
    }
    if (candidates != 1) return "another process";
    std::ifstream command("/proc/" + holder + "/cmdline");
    std::string words_of_command;
    for (std::string word; std::getline(command, word, '\0') && words_of_command.size() < 200;)
        words_of_command += (words_of_command.empty() ? "" : " ") + word;
    for (char& c : words_of_command)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    return "process " + holder + (words_of_command.empty() ? "" : " (" + words_of_command + ")");
}

}  // namespace detail

/// Makes a folder and those that it lies in, where they are not there. `what` is how an error calls it. Throws Error(io).
inline void make_folder(const std::string& folder, std::string_view what = "the folder") {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) fail(ErrorCode::io, folder, detail::errno_sentence("cannot create " + std::string(what), error.value()));
}

/// Holds a folder, which is made if it is not there, until the object or the process ends, however it ends. No file is left behind. File systems without locks
/// are used without. Throws Error(io): the folder cannot be made, or somebody else holds it, whose name is told.
class FolderLock {
public:
    FolderLock() = default;
    /// `hint` says what to do when the folder is taken, e.g. "use another --output-dir".
    FolderLock(const std::string& folder, std::string_view hint) {
        make_folder(folder);
        file_ = detail::FileDescriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        struct stat status{};
        if (!file_ || ::fstat(file_.get(), &status) != 0) fail(ErrorCode::io, folder, detail::errno_sentence("cannot open the folder", errno));
        if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
            fail(ErrorCode::io, folder, detail::lock_holder(status) + " is writing there; wait for it, or " + std::string(hint));
    }

private:
    detail::FileDescriptor file_;
};

/// The same for one thing of several in a folder: holds the file `path`, which is there as long as somebody holds it (or was killed).
class FileLock {
public:
    FileLock(const std::string& path, std::string_view hint) : path_(path) {
        for (;;) {
            file_ = detail::FileDescriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666));
            struct stat opened{}, named{};
            if (!file_ || ::fstat(file_.get(), &opened) != 0) fail(ErrorCode::io, path, detail::errno_sentence("cannot open", errno));
            if (!S_ISREG(opened.st_mode)) fail(ErrorCode::io, path, "not a regular file; a run locks one");
            if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
                fail(ErrorCode::io, path, detail::lock_holder(opened) + " is writing there; wait for it, or " + std::string(hint));
            // Between open and flock the owner before may have removed the file.
            if (::stat(path.c_str(), &named) == 0 && named.st_ino == opened.st_ino && named.st_dev == opened.st_dev) return;
        }
    }
    FileLock(const FileLock&) = delete;
    FileLock& operator=(const FileLock&) = delete;
    ~FileLock() { ::unlink(path_.c_str()); }

private:
    std::string path_;
    detail::FileDescriptor file_;
};

}  // namespace dla
