// SPDX-License-Identifier: MIT
#include <dla/data/download.hpp>

#if defined(DLA_HAVE_CURL)

#include "files.hpp"

#include <functional>
#include <mutex>
#include <thread>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

using namespace files;
using dla::DownloadOptions;
using dla::ErrorCode;
using dla::RemoteFile;

namespace {

struct Request {
    std::string path;
    long from = -1;  // of a Range header
};

// An HTTP server on 127.0.0.1 that answers each request with the bytes a function gives and then closes the connection.
class Server {
public:
    explicit Server(std::function<std::string(const Request&)> answer) : answer_(std::move(answer)) {
        listener_ = socket(AF_INET, SOCK_STREAM, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t length = sizeof address;
        REQUIRE(bind(listener_, reinterpret_cast<sockaddr*>(&address), length) == 0);
        REQUIRE(listen(listener_, 8) == 0);
        REQUIRE(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length) == 0);
        port_ = ntohs(address.sin_port);
        thread_ = std::jthread([this] { serve(); });
    }
    ~Server() {
        shutdown(listener_, SHUT_RDWR);
        thread_.join();
        close(listener_);
    }
    std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/"; }
    std::vector<Request> requests() {
        const std::lock_guard lock(mutex_);
        return requests_;
    }

private:
    void serve() {
        for (int peer; (peer = accept(listener_, nullptr, nullptr)) >= 0; close(peer)) {
            std::string text;
            char buffer[2048];
            for (ssize_t n; text.find("\r\n\r\n") == std::string::npos && (n = recv(peer, buffer, sizeof buffer, 0)) > 0;)
                text.append(buffer, static_cast<std::size_t>(n));
            Request request;
            const std::size_t slash = text.find('/');
            if (slash == std::string::npos) continue;
            request.path = text.substr(slash, text.find(' ', slash) - slash);
            if (const std::size_t range = text.find("Range: bytes="); range != std::string::npos) request.from = std::atol(text.c_str() + range + 13);
            {
                const std::lock_guard lock(mutex_);
                requests_.push_back(request);
            }
            const std::string reply = answer_(request);
            for (std::size_t sent = 0; sent < reply.size();) {
                const ssize_t n = send(peer, reply.data() + sent, reply.size() - sent, MSG_NOSIGNAL);
                if (n <= 0) break;
                sent += static_cast<std::size_t>(n);
            }
            shutdown(peer, SHUT_WR);
        }
    }

    std::function<std::string(const Request&)> answer_;
    int listener_ = -1;
    int port_ = 0;
    std::mutex mutex_;
    std::vector<Request> requests_;
    std::jthread thread_;
};

const std::string& content() {
    static const std::string text = [] {
        std::string s;
        for (int i = 0; i < 300000; ++i) s += static_cast<char>((i * 31 + (i >> 8)) & 255);
        return s;
    }();
    return text;
}

std::string head(const std::string& status, std::size_t length, const std::string& more = "") {
    return "HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(length) + "\r\n" + more + "Connection: close\r\n\r\n";
}

// A good server; without `ranges` it always sends everything.
std::string good(const Request& request, bool ranges = true) {
    if (!ranges || request.from < 0) return head("200 OK", content().size()) + content();
    const auto from = static_cast<std::size_t>(request.from);
    if (from >= content().size()) return head("416 Range Not Satisfiable", 0);
    const std::string range =
        "Content-Range: bytes " + std::to_string(from) + "-" + std::to_string(content().size() - 1) + "/" + std::to_string(content().size()) + "\r\n";
    return head("206 Partial Content", content().size() - from, range) + content().substr(from);
}

std::string hash_of(const std::string& text) {
    TempDir dir;
    return dla::sha256_of_file(write(dir / "f", Bytes(text.begin(), text.end())));
}

RemoteFile remote(const std::string& url) { return {"file.bin", content().size(), hash_of(content()), {url}}; }

bool is_content(const fs::path& path) {
    const Bytes bytes = read(path);
    return std::string(bytes.begin(), bytes.end()) == content();
}

void write_part(const TempDir& dir, const std::string& text) { write(dir / "file.bin.part", Bytes(text.begin(), text.end())); }

}  // namespace

TEST_CASE("sha256: known answers") {
    CHECK(hash_of("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(hash_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(hash_of(std::string(1000000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("download: a file arrives, is reported, and is not fetched again") {
    TempDir dir;
    Server server([](const Request& r) { return good(r); });
    DownloadOptions options;
    std::uint64_t last = 0;
    options.progress = [&](const std::string& name, std::uint64_t done, std::uint64_t total) {
        CHECK(name == "file.bin");
        CHECK(done >= last);
        CHECK(total == content().size());
        last = done;
        return true;
    };
    dla::download_file(remote(server.url()), dir / "sub" / "folder", options);
    CHECK(is_content(dir / "sub" / "folder" / "file.bin"));
    CHECK(!fs::exists(dir / "sub" / "folder" / "file.bin.part"));
    CHECK(last == content().size());
    dla::download_file(remote(server.url()), dir / "sub" / "folder");
    CHECK(server.requests().size() == 1);
    CHECK(server.requests()[0].path == "/file.bin");
}

TEST_CASE("download: a part is continued where the server can, begun anew where it cannot") {
    for (bool ranges : {true, false}) {
        TempDir dir;
        Server server([ranges](const Request& r) { return good(r, ranges); });
        write_part(dir, content().substr(0, 100000));
        dla::download_file(remote(server.url()), dir.path());
        CHECK(is_content(dir / "file.bin"));
        REQUIRE(server.requests().size() == 1);
        CHECK(server.requests()[0].from == 100000);
    }
}

TEST_CASE("download: a complete part is only checked; a too long one is dropped") {
    TempDir dir;
    Server server([](const Request& r) { return good(r); });
    write_part(dir, content());
    dla::download_file(remote(server.url()), dir.path());
    CHECK(server.requests().empty());
    CHECK(is_content(dir / "file.bin"));
    fs::remove(dir / "file.bin");
    write_part(dir, content() + "more");
    dla::download_file(remote(server.url()), dir.path());
    CHECK(is_content(dir / "file.bin"));
}

TEST_CASE("download: a connection that breaks is continued by the next attempt") {
    TempDir dir;
    Server server([](const Request& r) {
        std::string reply = good(r);
        if (r.from < 0) reply.resize(reply.size() - 120000);
        return reply;
    });
    dla::download_file(remote(server.url()), dir.path());
    CHECK(is_content(dir / "file.bin"));
    REQUIRE(server.requests().size() == 2);
    CHECK(server.requests()[1].from == static_cast<long>(content().size()) - 120000);
}

TEST_CASE("download: what always breaks fails, keeps its part, and the next call continues") {
    TempDir dir;
    bool broken = true;
    Server server([&broken](const Request& r) {
        std::string reply = good(r);
        if (broken) reply.resize(std::min<std::size_t>(reply.size(), 50000));
        return reply;
    });
    const std::string said = message_of([&] { dla::download_file(remote(server.url()), dir.path()); }, ErrorCode::io);
    CHECK(contains(said, server.url() + "file.bin"));
    CHECK(contains(said, "https_proxy"));
    CHECK(contains(said, dir.path().string()));
    CHECK(!fs::exists(dir / "file.bin"));
    CHECK(fs::file_size(dir / "file.bin.part") > 90000);
    broken = false;
    dla::download_file(remote(server.url()), dir.path());
    CHECK(is_content(dir / "file.bin"));
}

TEST_CASE("download: a wrong hash leaves nothing behind") {
    TempDir dir;
    Server server([](const Request& r) { return good(r); });
    RemoteFile file = remote(server.url());
    file.sha256.back() = file.sha256.back() == '0' ? '1' : '0';
    CHECK(contains(message_of([&] { dla::download_file(file, dir.path()); }, ErrorCode::io), "wrong SHA-256; expected " + file.sha256));
    CHECK(fs::is_empty(dir.path()));
    CHECK_THROWS_AS(dla::download_file(file, dir / "new" / "folder"), dla::Error);
    CHECK(!fs::exists(dir / "new" / "folder"));
    // A part that began with other bytes is found out the same way, and the second attempt starts from nothing.
    write_part(dir, std::string(1000, 'x'));
    dla::download_file(remote(server.url()), dir.path());
    CHECK(is_content(dir / "file.bin"));
}

TEST_CASE("download: a body that is too short, too long or of another range is refused") {
    const auto refused = [](const std::function<std::string(const Request&)>& answer, bool with_part = false) {
        TempDir dir;
        Server server(answer);
        if (with_part) write_part(dir, content().substr(0, 1000));
        const std::string said = message_of([&] { dla::download_file(remote(server.url()), dir.path()); }, ErrorCode::io);
        CHECK(!fs::exists(dir / "file.bin"));
        return said;
    };
    CHECK(contains(refused([](const Request&) { return head("200 OK", 10) + "0123456789"; }), "sent 10 bytes; expected 300000"));
    CHECK(contains(refused([](const Request&) { return head("200 OK", content().size() + 1) + content() + "x"; }), "larger than 300000"));
    CHECK(contains(refused([](const Request&) { return head("404 Not Found", 0); }), "404"));
    CHECK(contains(refused([](const Request&) { return head("200 OK", 0); }), "sent nothing"));
    CHECK(contains(refused([](const Request&) { return std::string(); }), "file.bin: "));
    CHECK(contains(refused([](const Request&) { return head("206 Partial Content", 5, "Content-Range: bytes 7-11/300000\r\n") + "01234"; }, true),
                   "another range"));
    CHECK(contains(refused([](const Request&) { return head("206 Partial Content", 5) + "01234"; }, true), "another range"));
}

TEST_CASE("download: the next mirror is tried, and the caller's come first") {
    TempDir dir;
    Server bad([](const Request&) { return head("500 Oops", 0); });
    Server moved([&bad](const Request&) { return head("302 Found", 0, "Location: " + bad.url() + "elsewhere\r\n"); });
    Server ok([](const Request& r) { return good(r); });
    RemoteFile file = remote(bad.url());
    file.mirrors.push_back(ok.url());
    DownloadOptions options;
    options.mirrors = {moved.url().substr(0, moved.url().size() - 1)};  // without the slash
    dla::download_file(file, dir.path(), options);
    CHECK(is_content(dir / "file.bin"));
    CHECK(moved.requests().size() == 2);
    REQUIRE(bad.requests().size() == 4);
    CHECK(bad.requests()[0].path == "/elsewhere");
    CHECK(ok.requests().size() == 1);
}

TEST_CASE("download: without a hash plain HTTP is refused, also behind the answer of a caller's mirror") {
    TempDir dir;
    Server server([](const Request& r) { return good(r); });
    RemoteFile file = remote(server.url());
    file.sha256.clear();
    CHECK(contains(message_of([&] { dla::download_file(file, dir.path()); }, ErrorCode::io), "rotocol"));
    CHECK(server.requests().empty());
}

TEST_CASE("download: the caller can stop it; the part is kept") {
    TempDir dir;
    Server server([](const Request& r) { return good(r); });
    DownloadOptions options;
    options.progress = [](const std::string&, std::uint64_t done, std::uint64_t) { return done == 0; };
    CHECK(contains(message_of([&] { dla::download_file(remote(server.url()), dir.path(), options); }, ErrorCode::io), "stopped"));
    CHECK(fs::exists(dir / "file.bin.part"));
    CHECK(!fs::exists(dir / "file.bin"));
    fs::remove(dir / "file.bin.part");
    options.progress = [](const std::string&, std::uint64_t, std::uint64_t) -> bool { throw 1; };
    CHECK(contains(message_of([&] { dla::download_file(remote(server.url()), dir.path(), options); }, ErrorCode::io), "stopped"));
}

TEST_CASE("download: the published sets are complete, hashed and go where load_dataset looks") {
    for (const char* name : {"mnist", "fashion_mnist", "cifar10"}) {
        TempDir dir;
        const dla::RemoteDataset set = dla::remote_dataset(name);
        for (const RemoteFile& file : set.files) {
            CHECK(file.size > 0);
            CHECK(file.sha256.size() == 64);
            REQUIRE(!file.mirrors.empty());
            CHECK(file.mirrors[0].starts_with("https://"));
            CHECK(!dla::has_dataset(name, dir.path()));
            write(dir.path() / set.folder / file.name, {0});
        }
        CHECK(dla::has_dataset(name, dir.path()));
    }
    message_of([] { dla::remote_dataset("digits"); }, ErrorCode::config);
}

#endif
