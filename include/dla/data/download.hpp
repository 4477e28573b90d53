// SPDX-License-Identifier: MIT
// Fetches data sets over HTTPS with libcurl: resumable, checked by size and SHA-256 before a file gets its name.
// Only in builds with DLA_HAVE_CURL (libcurl and libcrypto).
#pragma once

#if defined(DLA_HAVE_CURL)

#include <dla/data/load.hpp>

#include <curl/curl.h>
#include <openssl/evp.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>

namespace dla {

/// A published file. A size of 0 or an empty hash is not checked; without a hash only HTTPS is allowed.
struct RemoteFile {
    std::string name;                  ///< file name, also appended to each mirror
    std::uint64_t size = 0;            ///< bytes
    std::string sha256;                ///< 64 hexadecimal digits
    std::vector<std::string> mirrors;  ///< URLs of the folder, ending in '/'; tried in order
};

/// A data set to fetch: where its files go below the data folder, and which they are.
struct RemoteDataset {
    std::string folder;
    std::vector<RemoteFile> files;
};

/// Where downloads may come from, and how patient they are.
struct DownloadOptions {
    std::vector<std::string> mirrors;  ///< tried before the published ones
    /// Called now and then with the bytes there are and the bytes expected (0 if unknown); returning false stops (the part is kept).
    std::function<bool(const std::string& name, std::uint64_t done, std::uint64_t total)> progress;
    int attempts = 2;  ///< for each mirror; an attempt continues where the last one stopped
    long connect_timeout_s = 20;
    long stall_timeout_s = 60;  ///< gives up on a server that sends less than 100 bytes a second for so long
};

/// SHA-256 of a file's content as 64 hexadecimal digits. Error: io.
inline std::string sha256_of_file(const std::filesystem::path& path) {
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
    std::ifstream file(path, std::ios::binary);
    if (!file || !context || EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) != 1)
        fail(ErrorCode::io, path.string(), "cannot open the file to compute its SHA-256");
    std::vector<char> buffer(std::size_t{1} << 16);
    for (std::streamsize got = 1; got > 0;) {
        file.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
        got = file.gcount();
        if (file.bad() || EVP_DigestUpdate(context.get(), buffer.data(), static_cast<std::size_t>(got)) != 1)
            fail(ErrorCode::io, path.string(), "reading failed");
    }
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int length = 0;
    if (EVP_DigestFinal_ex(context.get(), digest, &length) != 1) fail(ErrorCode::io, path.string(), "computing the SHA-256 failed");
    std::string hex;
    for (unsigned int i = 0; i < length; ++i) {
        hex += "0123456789abcdef"[digest[i] >> 4];
        hex += "0123456789abcdef"[digest[i] & 15];
    }
    return hex;
}

namespace detail {

/// State of one transfer; curl's callbacks get a pointer to it. No exception may pass through curl, so problems are noted in `problem`.
struct Transfer {
    CURL* curl = nullptr;
    const RemoteFile* file = nullptr;
    const DownloadOptions* options = nullptr;
    std::filesystem::path part;
    std::ofstream out;
    std::uint64_t start = 0;  // bytes asked to skip
    std::uint64_t done = 0;   // bytes in the part
    std::uint64_t limit = 0;
    bool opened = false;
    bool cancelled = false;
    std::string range;  // Content-Range of the answer
    std::string problem;

    // The answer decides how the part is opened: 206 from where we asked continues it, 200 begins anew.
    bool open() {
        long status = 0;
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
        const bool continues = start > 0 && status == 206 && range.find("bytes " + std::to_string(start) + "-") != std::string::npos;
        if (status != 200 && !continues) {
            problem = status == 206 ? "the server answered with another range than asked for" : "unexpected HTTP status " + std::to_string(status);
            return false;
        }
        done = continues ? start : 0;
        out.open(part, std::ios::binary | (continues ? std::ios::app : std::ios::trunc));
        if (!out) problem = "cannot write " + part.string();
        opened = true;
        return problem.empty();
    }
};

inline std::size_t on_data(char* data, std::size_t one, std::size_t count, void* user) {
    auto& transfer = *static_cast<Transfer*>(user);
    try {
        if (!transfer.opened && !transfer.open()) return 0;
        count *= one;
        if (count > transfer.limit - transfer.done) {
            transfer.problem = "the file is larger than " + std::to_string(transfer.limit) + " bytes";
            return 0;
        }
        if (!transfer.out.write(data, static_cast<std::streamsize>(count))) {
            transfer.problem = "cannot write " + transfer.part.string() + " (disk full?)";
            return 0;
        }
        transfer.done += count;
        return count;
    } catch (...) {
        return 0;
    }
}

inline std::size_t on_header(char* data, std::size_t one, std::size_t count, void* user) {
    auto& transfer = *static_cast<Transfer*>(user);
    try {
        std::string line(data, one * count);
        std::transform(line.begin(), line.end(), line.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
        if (line.starts_with("http/")) transfer.range.clear();  // a new answer, after a redirect
        if (line.starts_with("content-range:")) transfer.range = line;
        return one * count;
    } catch (...) {
        return 0;
    }
}

inline int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    auto& transfer = *static_cast<Transfer*>(user);
    try {
        if (!transfer.options->progress(transfer.file->name, transfer.done, transfer.file->size)) transfer.cancelled = true;
    } catch (...) {
        transfer.cancelled = true;
    }
    return transfer.cancelled ? 1 : 0;
}

/// One attempt to complete the part from one URL. Returns an empty text or what went wrong.
inline std::string transfer_once(CURL* curl, const RemoteFile& file, const std::filesystem::path& part, const std::string& url, const DownloadOptions& options,
                                 bool& cancelled) {
    Transfer transfer;
    transfer.curl = curl;
    transfer.file = &file;
    transfer.options = &options;
    transfer.part = part;
    transfer.limit = file.size > 0 ? file.size : std::uint64_t{1} << 31;
    std::error_code error;
    transfer.start = std::filesystem::exists(part, error) ? std::filesystem::file_size(part, error) : 0;
    if (error || transfer.start > transfer.limit) transfer.start = 0;
    if (file.size > 0 && transfer.start == file.size) return {};  // complete, only the check is left

    char message[CURL_ERROR_SIZE] = "";
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, file.sha256.empty() ? "https" : "https,http");
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, file.sha256.empty() ? "https" : "https,http");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 5L);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "dla");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, options.connect_timeout_s);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 100L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, options.stall_timeout_s);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, message);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &on_data);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, &on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
    if (options.progress) {
        curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, &on_progress);
        curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &transfer);
    }
    const std::string range = std::to_string(transfer.start) + "-";
    if (transfer.start > 0) curl_easy_setopt(curl, CURLOPT_RANGE, range.c_str());

    const CURLcode code = curl_easy_perform(curl);
    transfer.out.close();
    cancelled = transfer.cancelled;
    if (cancelled) return "stopped";
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (status == 416) std::filesystem::remove(part, error);  // the part is not a beginning of this file
    if (!transfer.problem.empty()) return transfer.problem;
    if (code != CURLE_OK) return message[0] != '\0' ? std::string(message) : std::string(curl_easy_strerror(code));
    if (transfer.opened && !transfer.out) return "cannot write " + part.string() + " (disk full?)";
    if (!transfer.opened) return "the server sent nothing";
    if (file.size > 0 && transfer.done != file.size)
        return "the server sent " + std::to_string(transfer.done) + " bytes; expected " + std::to_string(file.size);
    return {};
}

}  // namespace detail

/// Fetches one file into `folder` (made if need be) unless it is there with the right size. Bytes go to NAME.part, which a later call continues; it gets
/// its name only after size and SHA-256 were found right, and is removed if the hash is wrong.
/// Error: io, with what each mirror said and what to do; nothing under the final name was touched then.
inline void download_file(const RemoteFile& file, const std::filesystem::path& folder, const DownloadOptions& options = {}) {
    static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
    std::error_code error;
    std::vector<std::filesystem::path> made;  // folders that were not there, the innermost first
    for (auto missing = folder; !missing.empty() && !std::filesystem::exists(missing, error); missing = missing.parent_path()) made.push_back(missing);
    std::filesystem::create_directories(folder, error);
    if (error) fail(ErrorCode::io, folder.string(), "cannot make the folder (" + error.message() + ")");
    const std::filesystem::path target = folder / file.name, part = folder / (file.name + ".part");
    if (std::filesystem::is_regular_file(target, error) && (file.size == 0 || std::filesystem::file_size(target, error) == file.size)) return;

    const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(started == CURLE_OK ? curl_easy_init() : nullptr, &curl_easy_cleanup);
    if (!curl) fail(ErrorCode::io, file.name, "libcurl cannot start");
    std::vector<std::string> mirrors = options.mirrors;
    mirrors.insert(mirrors.end(), file.mirrors.begin(), file.mirrors.end());
    std::string said;
    for (const std::string& mirror : mirrors) {
        const std::string url = mirror + (mirror.ends_with('/') ? "" : "/") + file.name;
        std::string problem;
        for (int attempt = 0; attempt < options.attempts; ++attempt) {
            bool cancelled = false;
            problem = detail::transfer_once(curl.get(), file, part, url, options, cancelled);
            if (cancelled) fail(ErrorCode::io, file.name, "the download was stopped; what came is kept in " + part.string() + " and continued next time");
            if (!problem.empty()) continue;
            const std::string hash = file.sha256.empty() ? std::string() : sha256_of_file(part);
            if (hash == file.sha256) {
                std::filesystem::rename(part, target, error);
                if (error) fail(ErrorCode::io, target.string(), "cannot rename the finished download (" + error.message() + ")");
                return;
            }
            problem = "wrong SHA-256; expected " + file.sha256 + ", got " + hash;
            std::filesystem::remove(part, error);
        }
        said += (said.empty() ? "" : "; ") + url + ": " + problem;
    }
    for (const auto& empty : made)  // unless a part is kept in it
        if (!std::filesystem::remove(empty, error)) break;
    fail(ErrorCode::io, file.name,
         "the download failed from " + std::to_string(mirrors.size()) + " mirror(s): " + (said.empty() ? "none given" : said) +
             "; check the network and https_proxy, set another mirror, or fetch the file by hand and put it into " + folder.string());
}

/// What `download_dataset` fetches. Error: config for a name that is not published as files.
inline RemoteDataset remote_dataset(std::string_view name) {
    if (name == "mnist") {
        const std::vector<std::string> mirrors = {"https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"};
        return {"mnist",
                {{"train-images-idx3-ubyte.gz", 9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609", mirrors},
                 {"train-labels-idx1-ubyte.gz", 28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c", mirrors},
                 {"t10k-images-idx3-ubyte.gz", 1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6", mirrors},
                 {"t10k-labels-idx1-ubyte.gz", 4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6", mirrors}}};
    }
    if (name == "fashion_mnist") {
        const std::vector<std::string> mirrors = {"https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
                                                  "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
                                                  "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"};
        return {"fashion_mnist",
                {{"train-images-idx3-ubyte.gz", 26421880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84", mirrors},
                 {"train-labels-idx1-ubyte.gz", 29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845", mirrors},
                 {"t10k-images-idx3-ubyte.gz", 4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073", mirrors},
                 {"t10k-labels-idx1-ubyte.gz", 5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5", mirrors}}};
    }
    if (name == "cifar10")
        return {"",
                {{"cifar-10-binary.tar.gz",
                  170052171,
                  "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                  {"https://www.cs.toronto.edu/~kriz/"}}}};
    fail(ErrorCode::config, "dataset.name", "nothing to download for \"" + std::string(name) + "\"; expected mnist, fashion_mnist or cifar10");
}

/// Fetches a data set to where `load_dataset` finds it below `data_dir`. Errors: config for an unknown name, io if a file cannot be fetched.
inline void download_dataset(std::string_view name, const std::filesystem::path& data_dir, const DownloadOptions& options = {}) {
    const RemoteDataset remote = remote_dataset(name);
    for (const RemoteFile& file : remote.files) download_file(file, data_dir / remote.folder, options);
}

}  // namespace dla

#endif
