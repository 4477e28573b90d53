// SPDX-License-Identifier: MIT
#include <dla/io/tensorboard.hpp>

#include <doctest/doctest.h>
#include <support/error_of.hpp>
#include <support/temporary_folder.hpp>

#include <cmath>
#include <cstring>
#include <limits>
#include <map>

namespace {

/// A decoder written from the format's documents, independent of the writer.
struct Decoder {
    std::string_view bytes;

    std::uint64_t varint() {
        std::uint64_t value = 0;
        for (int shift = 0;; shift += 7) {
            REQUIRE(!bytes.empty());
            const auto byte = static_cast<unsigned char>(bytes[0]);
            bytes.remove_prefix(1);
            value |= std::uint64_t{byte & 0x7fu} << shift;
            if (byte < 0x80) return value;
        }
    }
    std::string_view take(std::size_t n) {
        REQUIRE(bytes.size() >= n);
        const auto part = bytes.substr(0, n);
        bytes.remove_prefix(n);
        return part;
    }
    template <class T>
    static T number(std::string_view s) {
        T value;
        REQUIRE(s.size() == sizeof value);
        std::memcpy(&value, s.data(), sizeof value);
        return value;
    }
};

/// The fields of a message: number -> raw bytes (varints as 8 bytes).
std::multimap<std::uint64_t, std::string> fields(std::string_view message) {
    std::multimap<std::uint64_t, std::string> result;
    Decoder d{message};
    while (!d.bytes.empty()) {
        const std::uint64_t tag = d.varint();
        std::string value;
        switch (tag & 7) {
            case 0: {
                const std::uint64_t v = d.varint();
                value.assign(reinterpret_cast<const char*>(&v), sizeof v);
                break;
            }
            case 1:
                value = d.take(8);
                break;
            case 2:
                value = d.take(d.varint());
                break;
            case 5:
                value = d.take(4);
                break;
            default:
                FAIL("wire type " << (tag & 7));
        }
        result.emplace(tag >> 3, value);
    }
    return result;
}

const std::string& only(const std::multimap<std::uint64_t, std::string>& f, std::uint64_t number) {
    REQUIRE(f.count(number) == 1);
    return f.find(number)->second;
}

std::uint32_t slow_masked_crc(std::string_view s) {  // bit by bit
    std::uint32_t c = 0xffffffffu;
    for (const char byte : s) {
        c ^= static_cast<unsigned char>(byte);
        for (int i = 0; i < 8; ++i) c = c & 1 ? c >> 1 ^ 0x82f63b78u : c >> 1;
    }
    c = ~c;
    return ((c >> 15) | (c << 17)) + 0xa282ead8u;
}

std::vector<std::string> events(const std::string& path) {
    const std::string text = file_text(path);
    std::vector<std::string> result;
    Decoder d{text};
    while (!d.bytes.empty()) {
        const auto length = d.take(8);
        CHECK(Decoder::number<std::uint32_t>(d.take(4)) == slow_masked_crc(length));
        const auto data = d.take(Decoder::number<std::uint64_t>(length));
        CHECK(Decoder::number<std::uint32_t>(d.take(4)) == slow_masked_crc(data));
        result.emplace_back(data);
    }
    return result;
}

std::vector<double> doubles(const std::string& packed) {
    std::vector<double> values(packed.size() / 8);
    std::memcpy(values.data(), packed.data(), packed.size());
    return values;
}

}  // namespace

TEST_CASE("CRC-32C known answers") {
    static_assert(dla::crc32c("123456789") == 0xe3069283u);
    CHECK(dla::crc32c("") == 0);
    CHECK(dla::crc32c(std::string(32, '\0')) == 0x8a9136aau);    // RFC 3720, B.4
    CHECK(dla::crc32c(std::string(32, '\xff')) == 0x62a8ab43u);  // RFC 3720, B.4
    CHECK(dla::masked_crc32c("123456789") == slow_masked_crc("123456789"));
}

TEST_CASE("varints of every length") {
    for (int bits = 0; bits < 64; ++bits) {
        const std::uint64_t value = (std::uint64_t{1} << bits) | 1;
        dla::WireMessage m;
        m.varint(value);
        Decoder d{m.bytes};
        CHECK(d.varint() == value);
        CHECK(d.bytes.empty());
    }
}

TEST_CASE("scalars and histograms decode to what was written") {
    TemporaryFolder folder;
    std::string path;
    const std::vector<float> values{-1, 0, 0, 0.5f, 3, std::numeric_limits<float>::quiet_NaN()};
    {
        dla::EventWriter writer(folder / "runs/name");
        path = writer.path();
        CHECK(std::filesystem::path(path).filename().string().starts_with("events.out.tfevents."));
        CHECK(events(path).size() == 1);  // a reader that looks now finds a valid file
        writer.scalar("Loss/train", 0.25, 3);
        writer.histogram("weights/0.weight", dla::histogram<float>(values, 4), 300);
        CHECK(events(path).size() == 1);
        writer.flush();
        CHECK(events(path).size() == 3);
        writer.scalar("Loss/train", 0.125, 1ll << 40);
    }
    const auto list = events(path);
    REQUIRE(list.size() == 4);
    CHECK(only(fields(list[0]), 3) == "brain.Event:2");
    CHECK(Decoder::number<double>(only(fields(list[0]), 1)) > 1.6e9);

    const auto scalar = fields(list[1]);
    CHECK(Decoder::number<std::int64_t>(only(scalar, 2)) == 3);
    const auto value = fields(only(fields(only(scalar, 5)), 1));
    CHECK(only(value, 1) == "Loss/train");
    CHECK(Decoder::number<float>(only(value, 2)) == 0.25f);

    const auto histogram = fields(list[2]);
    CHECK(Decoder::number<std::int64_t>(only(histogram, 2)) == 300);
    const auto tagged = fields(only(fields(only(histogram, 5)), 1));
    CHECK(only(tagged, 1) == "weights/0.weight");
    const auto h = fields(only(tagged, 5));
    CHECK(Decoder::number<double>(only(h, 1)) == -1);
    CHECK(Decoder::number<double>(only(h, 2)) == 3);
    CHECK(Decoder::number<double>(only(h, 3)) == 5);
    CHECK(Decoder::number<double>(only(h, 4)) == 2.5);
    CHECK(Decoder::number<double>(only(h, 5)) == 10.25);
    CHECK(doubles(only(h, 6)) == std::vector<double>{0, 1, 2, 3});
    CHECK(doubles(only(h, 7)) == std::vector<double>{3, 1, 0, 1});

    CHECK(Decoder::number<std::int64_t>(only(fields(list[3]), 2)) == 1ll << 40);
}

TEST_CASE("a resumed run writes a file of its own and says what it replaces") {
    TemporaryFolder folder;
    const dla::EventWriter first(folder.path), second(folder.path, 700);
    CHECK(first.path() != second.path());
    const auto list = events(second.path());
    REQUIRE(list.size() == 2);
    const auto start = fields(list[1]);
    CHECK(Decoder::number<std::int64_t>(only(start, 2)) == 700);
    CHECK(Decoder::number<std::int64_t>(only(fields(only(start, 7)), 1)) == 1);
}

TEST_CASE("histograms of awkward values") {
    const auto check = [](std::vector<double> values, double count) {
        const auto h = dla::histogram<double>(values, 8);
        REQUIRE(h.limits.size() == h.buckets.size());
        double total = 0;
        for (const double b : h.buckets) total += b;
        CHECK(total == count);
        CHECK(h.count == count);
        CHECK(std::ranges::is_sorted(h.limits));
        for (const double limit : h.limits) CHECK(std::isfinite(limit));
    };
    constexpr double inf = std::numeric_limits<double>::infinity(), big = std::numeric_limits<double>::max();
    check({}, 0);
    check({std::nan(""), inf, -inf}, 0);
    check({2, 2, 2}, 3);
    check({-big, big, 0}, 3);
    check({0, std::numeric_limits<double>::denorm_min()}, 2);
    check({1, std::nextafter(1.0, 2.0)}, 2);
    check({0.1, 0.2, 0.3, 0.7, 0.9}, 5);
}

TEST_CASE("a folder that cannot be made") {
    TemporaryFolder folder;
    put_file(folder / "file", "x");
    CHECK(contains(error_of([&] { dla::EventWriter(folder / "file/runs"); }), "error[io] " + (folder / "file/runs") + ": cannot create the folder: "));
}
