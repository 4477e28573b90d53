// SPDX-License-Identifier: MIT
#include <dla/io/atomic_file.hpp>
#include <dla/io/folder_lock.hpp>
#include <dla/io/process.hpp>

#include <doctest/doctest.h>
#include <support/error_of.hpp>
#include <support/temporary_folder.hpp>

#include <csignal>

#include <sys/resource.h>
#include <sys/wait.h>

TEST_CASE("a committed file replaces the old one; nothing else is left") {
    TemporaryFolder folder;
    const std::string path = folder / "a.txt";
    put_file(path, "old");
    {
        dla::AtomicFile file(path);
        file.write("ne");
        file.write("w");
        CHECK(file_text(path) == "old");
        file.commit();
    }
    CHECK(file_text(path) == "new");
    CHECK_FALSE(std::filesystem::exists(path + ".tmp"));
}

TEST_CASE("without commit the old file stays and the temporary one goes") {
    TemporaryFolder folder;
    const std::string path = folder / "a.txt";
    put_file(path, "old");
    { dla::AtomicFile(path).write("half"); }
    CHECK(file_text(path) == "old");
    CHECK_FALSE(std::filesystem::exists(path + ".tmp"));
}

TEST_CASE("errors name the path and the system's reason") {
    TemporaryFolder folder;
    const std::string missing = folder / "no/a.txt";
    CHECK(error_of([&] { dla::write_file(missing, "x"); }) ==
          "error[io] " + missing + ": cannot create " + missing + ".tmp: No such file or directory (errno 2)");
    std::filesystem::create_directories(folder / "d/full");
    const std::string is_folder = folder / "d";
    CHECK(contains(error_of([&] { dla::write_file(is_folder, "x"); }), "error[io] " + is_folder + ": cannot rename "));
    CHECK_FALSE(std::filesystem::exists(is_folder + ".tmp"));
}

TEST_CASE("a disk that refuses in the middle keeps the old file") {
    TemporaryFolder folder;
    const std::string path = folder / "a.txt";
    put_file(path, "old");
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {  // a file size limit stands in for a full disk
        std::signal(SIGXFSZ, SIG_IGN);
        const rlimit limit{4096, 4096};
        setrlimit(RLIMIT_FSIZE, &limit);
        const std::string error = error_of([&] { dla::write_file(path, std::string(10000, 'x')); });
        _exit(contains(error, "error[io] " + path + ": cannot write: File too large (errno 27)") ? 42 : 1);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 42);
    CHECK(file_text(path) == "old");
    CHECK_FALSE(std::filesystem::exists(path + ".tmp"));
}

TEST_CASE("two writers at once are refused, a dead writer's file is reused") {
    TemporaryFolder folder;
    const std::string path = folder / "a.txt";
    {
        dla::AtomicFile first(path);
        first.write("first");
        CHECK(contains(error_of([&] { dla::write_file(path, "second"); }), "another process is writing"));
        first.commit();
    }
    CHECK(file_text(path) == "first");
    put_file(path + ".tmp", std::string(1000, 'x'));
    dla::write_file(path, "third");
    CHECK(file_text(path) == "third");
    CHECK_FALSE(std::filesystem::exists(path + ".tmp"));
}

TEST_CASE("a link in place of the temporary file is not followed") {
    TemporaryFolder folder;
    put_file(folder / "victim", "safe");
    std::filesystem::create_symlink(folder / "victim", folder / "a.txt.tmp");
    CHECK(contains(error_of([&] { dla::write_file(folder / "a.txt", "x"); }), "cannot create"));
    CHECK(file_text(folder / "victim") == "safe");
}

TEST_CASE("of a link the target is replaced, in its own folder, there or not") {
    TemporaryFolder folder;
    std::filesystem::create_directories(folder / "data");
    put_file(folder / "data/a", "old");
    std::filesystem::create_symlink("data/a", folder / "inner");
    std::filesystem::create_symlink(folder / "inner", folder / "outer");
    std::filesystem::create_symlink("data/new", folder / "dangling");
    std::filesystem::create_symlink("data", folder / "to_folder");
    std::filesystem::create_symlink("circle", folder / "circle");
    dla::write_file(folder / "outer", "first");
    dla::write_file(folder / "dangling", "second");
    CHECK(file_text(folder / "data/a") == "first");
    CHECK(file_text(folder / "data/new") == "second");
    CHECK(contains(error_of([&] { dla::write_file(folder / "to_folder", "x"); }), "Is a directory"));
    for (const char* link : {"inner", "outer", "dangling", "to_folder"}) CHECK(std::filesystem::is_symlink(folder / link));
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path)) CHECK(entry.path().extension() != ".tmp");
}

TEST_CASE("devices and pipes are written to, not replaced") {
    TemporaryFolder folder;
    std::filesystem::create_symlink("/dev/full", folder / "full");  // a device that any user may write to
    CHECK(contains(error_of([&] { dla::write_file(folder / "full", "x"); }), "cannot write: No space left on device"));
    CHECK(std::filesystem::is_symlink(folder / "full"));
    CHECK(std::filesystem::is_character_file("/dev/full"));
    const std::string pipe = folder / "pipe";
    REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
    const int reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
    dla::write_file(pipe, "through");
    char text[8] = {};
    CHECK(::read(reader, text, sizeof text) == 7);
    CHECK(std::string(text) == "through");
    ::close(reader);
    CHECK(std::filesystem::is_fifo(pipe));
    CHECK(contains(error_of([&] { dla::write_file(pipe, "x"); }), "nobody reads from the other end"));  // instead of waiting for somebody
    const std::string taken = folder / "taken";
    REQUIRE(mkfifo((taken + ".tmp").c_str(), 0600) == 0);
    CHECK(contains(error_of([&] { dla::write_file(taken, "x"); }), taken + ".tmp is not a regular file"));
    CHECK(std::filesystem::is_fifo(taken + ".tmp"));
    CHECK_FALSE(std::filesystem::exists(taken));
}

TEST_CASE("a folder is held by one process, and the next is told by whom") {
    TemporaryFolder folder;
    const std::string place = folder / "a/b";
    {
        const dla::FolderLock lock(place, "go elsewhere");
        const std::string said = error_of([&] { dla::FolderLock second(place, "go elsewhere"); });
        CHECK(contains(said, "error[io] " + place + ": "));
        CHECK(contains(said, "process " + std::to_string(::getpid()) + " ("));
        CHECK(contains(said, "io_test"));
        CHECK(contains(said, "is writing there; wait for it, or go elsewhere"));
        CHECK(std::filesystem::is_empty(place));
    }
    const dla::FolderLock again(place, "");
    put_file(folder / "file", "");
    CHECK(contains(error_of([&] { dla::FolderLock lock(folder / "file", ""); }), "file"));
    CHECK(contains(error_of([&] { dla::FolderLock lock(folder / "file/x", ""); }), "cannot create the folder"));
}

TEST_CASE("what standard output goes to gets the text where the output stands") {
    TemporaryFolder folder;
    const std::string path = folder / "out.txt", link = folder / "stdout";
    std::filesystem::create_symlink("/proc/self/fd/1", link);  // what /dev/stdout is
    std::fflush(stdout);
    const int saved = ::dup(1), file = ::open(path.c_str(), O_WRONLY | O_CREAT, 0600);
    ::dup2(file, 1);
    std::printf("before, ");
    const std::string by_device = error_of([&] { dla::write_file(link, "device, "); });
    const std::string by_name = error_of([&] { dla::write_file(path, "name, "); });
    std::printf("after");
    std::fflush(stdout);
    ::dup2(saved, 1);
    ::close(saved);
    ::close(file);
    CHECK(by_device == "no error");
    CHECK(by_name == "no error");
    CHECK(file_text(path) == "before, device, name, after");
}

TEST_CASE("kill -9 at any moment leaves the old or the new content") {
    TemporaryFolder folder;
    const std::string path = folder / "a.bin";
    for (int round = 0; round < 20; ++round) {
        const pid_t child = fork();
        REQUIRE(child >= 0);
        if (child == 0)
            for (char c = 'a';; c = c == 'z' ? 'a' : static_cast<char>(c + 1)) dla::write_file(path, std::string(200000, c));
        usleep(static_cast<useconds_t>(2000 + 977 * round));
        kill(child, SIGKILL);
        int status = 0;
        waitpid(child, &status, 0);
        if (!std::filesystem::exists(path)) continue;  // killed before the first rename
        const std::string text = file_text(path);
        REQUIRE(text.size() == 200000);
        CHECK(text.find_first_not_of(text[0]) == std::string::npos);
    }
    dla::write_file(path, "end");
    CHECK(file_text(path) == "end");
}

TEST_CASE("read_file") {
    TemporaryFolder folder;
    put_file(folder / "a", "12345");
    CHECK(dla::read_file(folder / "a", 5).size() == 5);
    CHECK(contains(error_of([&] { dla::read_file(folder / "a", 4, dla::ErrorCode::data); }), "error[data] "));
    CHECK(contains(error_of([&] { dla::read_file(folder / "a", 4); }), "file too large; expected at most 4 bytes, got 5"));
    CHECK(contains(error_of([&] { dla::read_file(folder / "b", 4); }), "cannot open: No such file or directory"));
    CHECK(contains(error_of([&] { dla::read_file(folder.path, 4); }), "not a regular file"));
    const auto status = dla::read_file("/proc/self/status", 1u << 20);  // tells no size
    CHECK(contains(std::string(reinterpret_cast<const char*>(status.data()), status.size()), "Threads:"));
    CHECK(status.back() == std::byte{'\n'});
    CHECK(contains(error_of([&] { dla::read_file("/proc/self/status", 10); }), "file too large; expected at most 10 bytes"));
    put_file(folder / "empty", "");
    CHECK(dla::read_file(folder / "empty", 0).empty());
}
