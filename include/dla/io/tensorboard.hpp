// SPDX-License-Identifier: MIT
// Writes TensorBoard event files: scalars and histograms, without protobuf.
// Format: records of u64 length, masked CRC-32C of it, the Event message, masked CRC-32C of that (tensorboard/compat/proto/event.proto).
#pragma once

#include <dla/core/finite.hpp>
#include <dla/io/folder_lock.hpp>
#include <dla/io/wire.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>

namespace dla {

namespace detail {

inline constexpr auto crc32c_table = [] {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < 256; ++i) {
        std::uint32_t c = i;
        for (int bit = 0; bit < 8; ++bit) c = (c >> 1) ^ (c & 1 ? 0x82f63b78u : 0u);
        table[i] = c;
    }
    return table;
}();

}  // namespace detail

/// CRC-32C (Castagnoli, reflected, as in iSCSI, RFC 3720): crc32c("123456789") = e3069283.
constexpr std::uint32_t crc32c(std::string_view bytes) {
    std::uint32_t c = ~0u;
    for (const char byte : bytes) c = detail::crc32c_table[(c ^ static_cast<unsigned char>(byte)) & 0xff] ^ (c >> 8);
    return ~c;
}

/// The form in which record files store a CRC, so that the CRC of data that contain CRCs stays good.
constexpr std::uint32_t masked_crc32c(std::string_view bytes) { return std::rotr(crc32c(bytes), 15) + 0xa282ead8u; }

/// A histogram as TensorBoard stores it: bucket i counts the values in (limit[i-1], limit[i]].
struct Histogram {
    double min = 0, max = 0, count = 0, sum = 0, sum_squares = 0;
    std::vector<double> limits, buckets;
};

/// `bucket_count` equal buckets between the smallest and the largest value; NaN and infinities are left out.
template <class T>
Histogram histogram(std::span<const T> values, std::size_t bucket_count = 64) {
    Histogram h;
    for (const T value : values) {
        const auto v = static_cast<double>(value);
        if (!is_finite(v)) continue;
        h.min = h.count > 0 ? std::min(h.min, v) : v;
        h.max = h.count > 0 ? std::max(h.max, v) : v;
        h.count += 1;
        h.sum += v;
        h.sum_squares += v * v;
    }
    if (h.count == 0) return h;
    // Halves first: the width of [-DBL_MAX, DBL_MAX] would overflow. A spread of zero still needs a bucket with two distinct ends.
    const double half_width = h.max / 2 - h.min / 2;
    if (!(half_width > 0)) bucket_count = 1;
    const auto n = static_cast<double>(bucket_count);
    for (std::size_t i = 1; i < bucket_count; ++i) {
        const double step = half_width * (static_cast<double>(i) / n);
        h.limits.push_back(h.min + step + step);
    }
    h.limits.push_back(h.max);
    h.buckets.assign(bucket_count, 0);
    for (const T value : values) {
        const auto v = static_cast<double>(value);
        if (!is_finite(v)) continue;
        const auto at = std::ranges::lower_bound(h.limits, v);  // first limit >= v
        h.buckets[static_cast<std::size_t>(at - h.limits.begin())] += 1;
    }
    return h;
}

/// Appends events to a new file `events.out.tfevents.<seconds>.<host>` in `folder`, which is created if need be.
/// Events are kept in memory until `flush`, or until 64 KiB have gathered. Throws Error(io).
class EventWriter {
public:
    /// `purge_step`: the step from which this run (a resumed one) replaces what older files in the folder say.
    /// `run`: the run's identity, which the file's name carries; empty: none.
    explicit EventWriter(const std::string& folder, std::optional<std::int64_t> purge_step = std::nullopt, const std::string& run = "") {
        make_folder(folder);
        char host[256] = "localhost";
        if (::gethostname(host, sizeof host - 1) != 0 || !*host) std::strcpy(host, "localhost");
        for (char* c = host; *c; ++c)
            if (*c == '/') *c = '_';
        std::string base = folder + "/events.out.tfevents." + std::to_string(static_cast<std::int64_t>(now())) + "." + host;
        if (!run.empty()) base += "." + run;
        // Two runs in the same second get different files. The suffix keeps names in the order of creation, in which TensorBoard reads them.
        for (int suffix = 0; suffix < 1000 && !file_; ++suffix) {
            path_ = suffix == 0 ? base : base + "." + std::to_string(suffix);
            file_ = detail::FileDescriptor(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
            if (!file_ && errno != EEXIST) break;
        }
        if (!file_) fail(ErrorCode::io, path_, detail::errno_sentence("cannot create", errno));
        WireMessage version;
        record(version.real(1, now()).text(3, "brain.Event:2"));
        if (purge_step) {
            WireMessage start, event;
            start.integer(1, 1);  // SessionLog.status = START: drop what older files have from this step on
            record(event.real(1, now()).integer(2, *purge_step).message(7, start));
        }
        flush();
    }
    EventWriter(EventWriter&&) noexcept = default;
    EventWriter(const EventWriter&) = delete;
    ~EventWriter() {
        if (file_) detail::write_all(file_.get(), pending_.data(), pending_.size());  // a destructor cannot report; flush does
    }

    void scalar(std::string_view tag, double value, std::int64_t step) {
        WireMessage v;
        summary(v.text(1, tag).real32(2, static_cast<float>(value)), step);
    }

    void histogram(std::string_view tag, const Histogram& h, std::int64_t step) {
        WireMessage v, proto;
        proto.real(1, h.min).real(2, h.max).real(3, h.count).real(4, h.sum).real(5, h.sum_squares);
        summary(v.text(1, tag).message(5, proto.reals(6, h.limits).reals(7, h.buckets)), step);
    }

    void flush() {
        const std::string bytes = std::exchange(pending_, {});  // not written twice if this throws
        if (const int error = detail::write_all(file_.get(), bytes.data(), bytes.size()))
            fail(ErrorCode::io, path_, detail::errno_sentence("cannot write", error));
    }

    const std::string& path() const { return path_; }

private:
    static double now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

    void summary(const WireMessage& value, std::int64_t step) {
        WireMessage list, event;
        list.message(1, value);
        record(event.real(1, now()).integer(2, step).message(5, list));
    }

    void record(const WireMessage& event) {
        WireMessage frame;
        frame.fixed(static_cast<std::uint64_t>(event.bytes.size()));
        frame.fixed(masked_crc32c(frame.bytes));
        frame.bytes += event.bytes;
        frame.fixed(masked_crc32c(event.bytes));
        pending_ += frame.bytes;
        if (pending_.size() >= 64u << 10) flush();
    }

    std::string path_;
    detail::FileDescriptor file_;
    std::string pending_;
};

}  // namespace dla
