// SPDX-License-Identifier: MIT
#include <dla/io/atomic_file.hpp>
#include <dla/io/safetensors.hpp>

#include <doctest/doctest.h>
#include <support/error_of.hpp>
#include <support/temporary_folder.hpp>

#include <cmath>
#include <limits>
#include <random>

namespace {

std::vector<std::byte> to_bytes(const std::string& text) {
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
}

/// A file with this header and this many bytes of data.
std::vector<std::byte> file_of(const std::string& header, std::size_t data = 0) {
    const std::uint64_t n = header.size();
    std::string text(reinterpret_cast<const char*>(&n), sizeof n);
    return to_bytes(text + header + std::string(data, 'd'));
}

std::string parse_error(std::vector<std::byte> bytes) {
    return error_of([&] { dla::SafetensorsFile(std::move(bytes), "f"); });
}

std::string header_error(const std::string& header, std::size_t data = 0) { return parse_error(file_of(header, data)); }

const float weight[6] = {1, -2, 3.5f, 0, -0.0f, 1e-30f};
const double scale[1] = {0.1};
const std::int64_t steps[1] = {-7};
const std::uint8_t mask[3] = {0, 128, 255};
const std::int32_t classes[2] = {3, -4};

std::vector<dla::StoredTensor> sample() {
    return {dla::stored_tensor<float>("0.weight", {2, 3}, weight),
            dla::stored_tensor<double>("scale", {}, scale),
            dla::stored_tensor<std::int64_t>("num_batches_tracked", {1}, steps),
            dla::stored_tensor<std::uint8_t>("mask", {3}, mask),
            dla::stored_tensor<std::int32_t>("classes", {2, 1, 1}, classes),
            dla::stored_tensor<float>("none", {0, 4}, std::span<const float>())};
}

std::vector<std::byte> sample_file() {
    TemporaryFolder folder;
    dla::write_safetensors(folder / "a", sample(), {{"epoch", "3"}, {"config", "a = \"\xc3\xa4\"\n"}});
    return dla::read_file(folder / "a", 1000000);
}

}  // namespace

TEST_CASE("round trip") {
    TemporaryFolder folder;
    const dla::StoredMetadata metadata{{"epoch", "3"}, {"config", "[model]\nname = \"cnn\"\n"}};
    dla::write_safetensors(folder / "a", sample(), metadata);
    dla::SafetensorsFile moved_from = dla::SafetensorsFile::read(folder / "a");
    const dla::SafetensorsFile file = std::move(moved_from);
    CHECK(file.metadata() == metadata);
    const auto expected = sample();
    REQUIRE(file.tensors().size() == expected.size());
    for (const auto& e : expected) {
        const dla::StoredTensor* t = file.find(e.name);
        REQUIRE(t != nullptr);
        CHECK(t->type == e.type);
        CHECK(t->shape == e.shape);
        REQUIRE(t->bytes.size() == e.bytes.size());
        CHECK(std::ranges::equal(t->bytes, e.bytes));
    }
    float out[6];
    const std::int64_t shape[] = {2, 3}, other[] = {3, 2};
    file.copy_to<float>("0.weight", shape, out);
    CHECK(std::memcmp(out, weight, sizeof out) == 0);
    CHECK(contains(error_of([&] { file.copy_to<float>("0.weight", other, out); }), "tensor \"0.weight\" does not fit; expected F32 [3, 2], got F32 [2, 3]"));
    CHECK(contains(error_of([&] { file.copy_to<float>("mask", shape, out); }), "expected F32 [2, 3], got U8 [3]"));
    CHECK(contains(error_of([&] { file.copy_to<float>("bias", shape, out); }), "tensor \"bias\" is missing; expected F32 [2, 3]"));
}

TEST_CASE("a file carries a checksum of its content; one without is as good as before") {
    const TemporaryFolder folder;
    const dla::StoredMetadata metadata{{"epoch", "3"}};
    dla::write_safetensors(folder / "a", sample(), metadata);
    const std::string text = file_text(folder / "a");
    REQUIRE(text.find("\"dla.checksum\":\"") != std::string::npos);
    CHECK_FALSE(dla::SafetensorsFile::read(folder / "a").metadata().contains("dla.checksum"));
    // Each bit of the data, one at a time.
    std::uint64_t header = 0;
    std::memcpy(&header, text.data(), 8);
    for (std::size_t at = 8 + static_cast<std::size_t>(header); at < text.size(); ++at)
        for (int bit = 0; bit < 8; ++bit) {
            std::string damaged = text;
            damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
            put_file(folder / "b", damaged);
            CHECK(contains(error_of([&] { dla::SafetensorsFile::read(folder / "b"); }), "its content does not match its checksum"));
        }
    // Another entry of the metadata belongs to the content as well.
    std::string damaged = text;
    damaged.replace(damaged.find("\"3\""), 3, "\"4\"");
    put_file(folder / "b", damaged);
    CHECK(contains(error_of([&] { dla::SafetensorsFile::read(folder / "b"); }), "its content does not match its checksum"));
    // A file of somebody else: the same with an entry of another name.
    std::string other = text;
    other.replace(other.find("dla.checksum"), 12, "abc.checksum");
    other[other.size() - 1] = static_cast<char>(other[other.size() - 1] ^ 1);
    put_file(folder / "b", other);
    CHECK(dla::SafetensorsFile::read(folder / "b").metadata().contains("abc.checksum"));
}

TEST_CASE("the bytes of a file") {
    TemporaryFolder folder;
    const float values[] = {1.0f};
    const dla::StoredTensor tensors[] = {dla::stored_tensor<float>("w", {1}, values)};
    dla::write_safetensors(folder / "a", tensors, {{"k", "v"}});
    const std::string checksum = dla::detail::content_checksum(tensors, {{"k", "v"}});
    CHECK(checksum == "a565d6efb646ed4a");
    const std::string header =
        R"({"__metadata__":{"dla.checksum":")" + checksum + R"(","k":"v"},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
    REQUIRE(header.size() == 113);
    CHECK(file_text(folder / "a") == std::string("\x78\0\0\0\0\0\0\0", 8) + header + "       " + std::string("\0\0\x80\x3f", 4));
    dla::write_safetensors(folder / "b", {}, {});
    CHECK(file_text(folder / "b") == std::string("\x38\0\0\0\0\0\0\0", 8) + R"({"__metadata__":{"dla.checksum":"0000000000000000"}})" + "    ");
    const auto empty = dla::SafetensorsFile::read(folder / "b");
    CHECK(empty.tensors().empty());
}

namespace {

/// A tensor `a` of these 16-bit patterns, written by hand.
dla::SafetensorsFile halves(const std::string& type, const std::vector<std::uint16_t>& bits) {
    const std::string n = std::to_string(bits.size()), end = std::to_string(2 * bits.size());
    std::vector<std::byte> file = file_of(R"({"a":{"dtype":")" + type + R"(","shape":[)" + n + R"(],"data_offsets":[0,)" + end + "]}}");
    for (const std::uint16_t b : bits) file.push_back(static_cast<std::byte>(b & 255)), file.push_back(static_cast<std::byte>(b >> 8));
    return dla::SafetensorsFile(std::move(file), "f");
}

}  // namespace

TEST_CASE("16-bit numbers become wider ones when that is asked for, every one of them exactly") {
    std::vector<std::uint16_t> bits(65536);
    for (std::size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<std::uint16_t>(i);
    const std::int64_t shape[] = {65536};
    std::vector<float> out(65536);
    std::vector<double> wide(65536);
    for (const std::string type : {"F16", "BF16"}) {
        CAPTURE(type);
        const dla::SafetensorsFile file = halves(type, bits);
        file.copy_to<float>("a", shape, out, dla::Widening::allow);
        file.copy_to<double>("a", shape, wide, dla::Widening::allow);
        const int fraction = type == "F16" ? 10 : 7, bias = type == "F16" ? 15 : 127, top = 2 * bias + 1;
        std::size_t wrong = 0;
        for (std::size_t i = 0; i < bits.size(); ++i) {
            const int sign = (i >> 15) != 0 ? -1 : 1, exponent = static_cast<int>(i & 0x7fff) >> fraction, digits = static_cast<int>(i) & ((1 << fraction) - 1);
            if (exponent == top && digits != 0) {
                wrong += !std::isnan(out[i]) || !std::isnan(wide[i]) || std::signbit(out[i]) != (sign < 0);
                continue;
            }
            const double expected = exponent == top ? sign * std::numeric_limits<double>::infinity()
                                    : exponent == 0 ? sign * std::ldexp(digits, 1 - bias - fraction)
                                                    : sign * std::ldexp(digits + (1 << fraction), exponent - bias - fraction);
            wrong += !(static_cast<double>(out[i]) == expected) || wide[i] != expected || std::signbit(out[i]) != (sign < 0);
        }
        CHECK(wrong == 0);
        // Not unless asked, not into integers, not in another shape.
        CHECK(contains(error_of([&] { file.copy_to<float>("a", shape, out); }), "tensor \"a\" does not fit; expected F32 [65536], got " + type + " [65536]"));
        std::vector<std::int32_t> integers(65536);
        CHECK(contains(error_of([&] { file.copy_to<std::int32_t>("a", shape, integers, dla::Widening::allow); }), "expected I32 [65536], got " + type));
        const std::int64_t other[] = {256, 256};
        CHECK(contains(error_of([&] { file.copy_to<float>("a", other, out, dla::Widening::allow); }), "expected F32, F16 or BF16 [256, 256], got " + type));
        CHECK(contains(error_of([&] { file.copy_to<float>("a", shape, std::span(out).first(100), dla::Widening::allow); }), "does not fit"));
        // In their own type they come as they lie there.
        std::vector<dla::f16> f16(65536);
        std::vector<dla::bf16> bf16(65536);
        if (type == "F16") {
            file.copy_to<dla::f16>("a", shape, f16);
            CHECK(std::memcmp(f16.data(), bits.data(), 131072) == 0);
            CHECK(contains(error_of([&] { file.copy_to<dla::bf16>("a", shape, bf16, dla::Widening::allow); }), "expected BF16 [65536], got F16"));
        } else {
            file.copy_to<dla::bf16>("a", shape, bf16);
            CHECK(std::memcmp(bf16.data(), bits.data(), 131072) == 0);
        }
    }
    const std::int64_t six[] = {2, 3};
    TemporaryFolder folder;
    dla::write_safetensors(folder / "a", sample());
    const auto file = dla::SafetensorsFile::read(folder / "a");
    float same[6];
    file.copy_to<float>("0.weight", six, same, dla::Widening::allow);  // what needs no widening is copied
    CHECK(std::memcmp(same, weight, sizeof same) == 0);
    float value[1];
    CHECK(contains(error_of([&] { file.copy_to<float>("scale", {}, value, dla::Widening::allow); }), "got F64"));  // and nothing is rounded
}

TEST_CASE("values are rounded once to 16 bits, to nearest with ties to even") {
    const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
    const auto stored = []<class Half>(Half, const std::vector<float>& values) {
        TemporaryFolder folder;
        const std::vector<Half> half = dla::rounded<Half>(std::span<const float>(values));
        const dla::StoredTensor tensors[] = {dla::stored_tensor<Half>("a", {static_cast<std::int64_t>(values.size())}, half)};
        dla::write_safetensors(folder / "a", tensors);
        const std::string bytes = file_text(folder / "a");
        std::vector<std::uint16_t> bits(values.size());
        std::memcpy(bits.data(), bytes.data() + bytes.size() - 2 * bits.size(), 2 * bits.size());
        return bits;
    };
    using Bits = std::vector<std::uint16_t>;
    // 1 + 2^-8 lies between 1 and 1 + 2^-7, whose last digits are even and odd; 1 + 3 * 2^-8 between odd and even.
    CHECK(stored(dla::bf16{}, {1, -1, 1 + 0x1p-8f, 1 + 0x1.0002p-8f, 1 + 0x1.8p-7f, 1 + 0x1.7fffp-7f, 0.0f, -0.0f}) ==
          Bits{0x3f80, 0xbf80, 0x3f80, 0x3f81, 0x3f82, 0x3f81, 0x0000, 0x8000});
    CHECK(stored(dla::bf16{}, {infinity, -infinity, 0x1.fep127f, 0x1.fefffep127f, 0x1.ffp127f, -0x1.fffffep127f}) ==
          Bits{0x7f80, 0xff80, 0x7f7f, 0x7f7f, 0x7f80, 0xff80});
    CHECK(stored(dla::bf16{}, {0x1p-126f, 0x1p-133f, 0x1p-134f, 0x1.0002p-134f, 0x1.8p-133f, 0x1p-149f}) ==
          Bits{0x0080, 0x0001, 0x0000, 0x0001, 0x0002, 0x0000});
    CHECK(stored(dla::f16{}, {1, -1, 1 + 0x1p-11f, 1 + 0x1.002p-11f, 1 + 0x1.8p-10f, 1 + 0x1.7fep-10f, 0.0f, -0.0f}) ==
          Bits{0x3c00, 0xbc00, 0x3c00, 0x3c01, 0x3c02, 0x3c01, 0x0000, 0x8000});
    CHECK(stored(dla::f16{}, {infinity, -infinity, 65504, 65519.996f, 65520, -65520, 1e30f}) == Bits{0x7c00, 0xfc00, 0x7bff, 0x7bff, 0x7c00, 0xfc00, 0x7c00});
    CHECK(stored(dla::f16{}, {0x1p-14f, 0x1p-24f, 0x1p-25f, 0x1.000002p-25f, 0x1.8p-24f, 0x1p-149f}) == Bits{0x0400, 0x0001, 0x0000, 0x0001, 0x0002, 0x0000});
    CHECK((stored(dla::bf16{}, {nan})[0] & 0x7fff) > 0x7f80);
    CHECK((stored(dla::f16{}, {nan})[0] & 0x7fff) > 0x7c00);
    // A double is rounded once: by way of float, 1 + 2^-8 + 2^-40 would lie between two neighbours and go to the even one.
    const double above[] = {1 + 0x1p-8 + 0x1p-40};
    CHECK(dla::rounded<dla::bf16>(std::span<const double>(above))[0].bits() == 0x3f81);
    CHECK(dla::rounded<dla::f16>(std::span<const float>()).empty());
}

TEST_CASE("what cannot be stored is refused before anything is written") {
    TemporaryFolder folder;
    const float values[] = {1, 2};
    const auto error = [&](std::vector<dla::StoredTensor> tensors) { return error_of([&] { dla::write_safetensors(folder / "a", tensors); }); };
    const auto w = [&](std::string name, std::vector<std::int64_t> shape) { return dla::stored_tensor<float>(std::move(name), std::move(shape), values); };
    CHECK(contains(error({w("w", {2}), w("w", {2})}), "tensor name \"w\" is taken"));
    CHECK(contains(error({w("__metadata__", {2})}), "is taken"));
    CHECK(contains(error({w("w", {3})}), "tensor \"w\" has 8 bytes, which is not [3] of F32"));
    CHECK(contains(error({w("w", {-1, -2})}), "which is not"));
    CHECK(contains(error({dla::stored_tensor<float>("w", {0, -1}, std::span<const float>())}), "has 0 bytes, which is not [0, -1] of F32"));
    CHECK(contains(error({w("\xff", {2})}), "not UTF-8"));
    CHECK(std::filesystem::is_empty(folder.path));
}

TEST_CASE("headers out of shape") {
    const auto entry = [](const std::string& name, const std::string& type, const std::string& shape, const std::string& offsets) {
        return "\"" + name + "\":{\"dtype\":\"" + type + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
    };
    const std::string good = entry("a", "F32", "[2]", "[0,8]");
    CHECK(header_error("{" + good + "}", 8) == "no error");
    CHECK(header_error("{" + entry("b", "U8", "[3]", "[8,11]") + "," + good + "}", 11) == "no error");  // the order of the header is free
    CHECK(header_error("{" + entry("z", "U8", "[0]", "[0,0]") + "," + good + "}", 8) == "no error");

    CHECK(contains(header_error("{" + good + "}", 7), "truncated data: tensor \"a\" ends at 8; got 7 bytes"));
    CHECK(contains(header_error("{" + good + "}", 9), "trailing bytes; expected 8 bytes of data, got 9"));
    CHECK(contains(header_error("{" + entry("a", "F32", "[2]", "[1,9]") + "}", 9), "leaves a gap; expected it to begin at 0, got data_offsets [1, 9]"));
    CHECK(contains(header_error("{" + good + "," + entry("b", "U8", "[3]", "[9,12]") + "}", 12), "tensor \"b\" leaves a gap"));
    CHECK(contains(header_error("{" + good + "," + entry("b", "U8", "[3]", "[7,10]") + "}", 10), "tensor \"b\" overlaps another one"));
    CHECK(contains(header_error("{" + good + "," + entry("b", "F32", "[2]", "[0,8]") + "}", 8), "overlaps another one"));
    CHECK(contains(header_error("{" + entry("a", "F32", "[2]", "[8,0]") + "}", 8), "leaves a gap"));
    CHECK(contains(header_error("{" + entry("z", "U8", "[4]", "[0,4]") + "," + entry("a", "U8", "[2]", "[4,2]") + "}", 4), "has data_offsets [4, 2]"));
    CHECK(contains(header_error("{" + entry("a", "F32", "[3]", "[0,8]") + "}", 8), "expected 12 bytes for its dtype and shape"));
    CHECK(contains(header_error("{" + entry("a", "F32", "[4611686018427387904,4]", "[0,0]") + "}"), "a shape too large to exist"));
    CHECK(contains(header_error("{" + entry("a", "F64", "[2305843009213693952]", "[0,0]") + "}"), "a shape too large to exist"));
    CHECK(contains(header_error("{" + entry("a", "U8", "[9223372036854775808]", "[0,0]") + "}"), "has an axis of 9223372036854775808"));
    CHECK(contains(header_error("{" + entry("a", "U8", "[18446744073709551616]", "[0,0]") + "}"), "a number that is not a 64-bit integer"));
    CHECK(contains(header_error("{" + entry("a", "U8", "[-1]", "[0,0]") + "}"), "got a negative number"));
    CHECK(contains(header_error("{" + entry("a", "U8", "[1.0]", "[0,1]") + "}", 1), "not a 64-bit integer"));
    CHECK(contains(header_error("{" + entry("a", "F8_E4M3", "[2]", "[0,2]") + "}", 2), "dtype \"F8_E4M3\"; expected F32, F64, F16, BF16, I32, I64 or U8"));
    for (const std::string type : {"F16", "BF16"}) {
        CAPTURE(type);
        CHECK(header_error("{" + entry("a", type, "[2]", "[0,4]") + "}", 4) == "no error");
        CHECK(header_error("{" + entry("a", type, "[]", "[0,2]") + "}", 2) == "no error");
        for (const std::string end : {"0", "2", "3", "5", "8"})
            CHECK(contains(header_error("{" + entry("a", type, "[2]", "[0," + end + "]") + "}", 8), "expected 4 bytes for its dtype and shape"));
        CHECK(contains(header_error("{" + entry("a", type, "[2]", "[0,4]") + "}", 3), "truncated data"));
        CHECK(contains(header_error("{" + entry("a", type, "[9223372036854775807,2]", "[0,0]") + "}"), "a shape too large to exist"));
        CHECK(contains(header_error("{" + entry("a", type, "[4611686018427387904,4]", "[0,0]") + "}"), "a shape too large to exist"));
    }
    for (const char* type : {"f16", "bf16", "BF16 ", "F", ""})
        CHECK(contains(header_error("{" + entry("a", type, "[2]", "[0,4]") + "}", 4), "; expected F32, F64, F16"));
    CHECK(contains(header_error("{" + entry("a", "U8", "[[1]]", "[0,1]") + "}", 1), "expected a whole number >= 0, got an array"));
    CHECK(contains(header_error("{" + entry("a", "U8", "[1]", "[0]") + "}", 1), "needs two data_offsets"));
    CHECK(contains(header_error("{" + entry("a", "U8", "[1]", "[0,1,1]") + "}", 1), "got a number"));
    CHECK(contains(header_error("{" + good + "," + good + "}", 8), "header key \"a\" appears twice"));
    CHECK(contains(header_error("{\"__metadata__\":{},\"__metadata__\":{}}"), "header key \"__metadata__\" appears twice"));
    CHECK(contains(header_error("{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}"), "metadata key \"k\" appears twice"));
    CHECK(contains(header_error("{\"__metadata__\":{\"k\":1}}"), "expected a string, got a number"));
    CHECK(contains(header_error("{\"__metadata__\":{\"k\":{}}}"), "expected a string, got an object"));
    CHECK(contains(header_error("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}"), "unknown or repeated field \"dtype\""));
    CHECK(contains(header_error("{\"a\":{\"offsets\":[0,1]}}", 1), "unknown or repeated field \"offsets\""));
    CHECK(contains(header_error("{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1), "tensor \"a\" is incomplete"));
    CHECK(contains(header_error("{\"a\":null}"), "expected an object, got null"));
    CHECK(contains(header_error("[]"), "does not start with {"));
    CHECK(contains(header_error(""), "does not start with {"));
    CHECK(contains(header_error("{}x"), "header is not JSON"));
    CHECK(contains(header_error(std::string("{}\0x", 4)), "NUL byte"));
    CHECK(contains(header_error("{\"\xff\":1}"), "header is not JSON"));
    CHECK(contains(header_error("{\"a\":" + std::string(1000000, '[')), "expected an object, got an array"));
    std::string deep = "{\"a\":";
    for (int i = 0; i < 100000; ++i) deep += "{\"a\":";
    CHECK(contains(header_error(deep), "unknown or repeated field \"a\""));
}

TEST_CASE("header lengths out of range allocate nothing") {
    for (const std::uint64_t n : {UINT64_MAX, UINT64_MAX - 7, std::uint64_t{1} << 63, std::uint64_t{100000001}, std::uint64_t{16777217}}) {
        const std::string text(reinterpret_cast<const char*>(&n), sizeof n);
        CHECK(contains(parse_error(to_bytes(text + "{}")), "header too long; expected at most 16777216 bytes, got " + std::to_string(n)));
    }
    const std::uint64_t n = 3;
    CHECK(contains(parse_error(to_bytes(std::string(reinterpret_cast<const char*>(&n), 8) + "{}")), "truncated header; expected 3 bytes, got 2"));
}

TEST_CASE("a file cut at any byte is refused") {
    const auto bytes = sample_file();
    REQUIRE(parse_error(bytes) == "no error");
    for (std::size_t n = 0; n < bytes.size(); ++n) {
        CAPTURE(n);
        CHECK(contains(parse_error({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n)}), "error[checkpoint] f: "));
    }
}

TEST_CASE("mutated files are refused or read whole, never half") {
    const auto original = sample_file();
    std::uint64_t header = 0;
    std::memcpy(&header, original.data(), 8);
    std::mt19937 random(7);  // raw draws only: the same cases everywhere
    int refused = 0, read = 0;
    for (int i = 0; i < 20000; ++i) {
        auto bytes = original;
        for (unsigned k = 0; k <= random() % 4; ++k) {
            const std::size_t at = random() % (8 + header);
            switch (random() % 4) {
                case 0:
                    bytes[at] ^= static_cast<std::byte>(1u << (random() % 8));
                    break;
                case 1:
                    bytes[at] = static_cast<std::byte>(random());
                    break;
                case 2:
                    bytes[at] = static_cast<std::byte>("{}[]\",:0123456789-.eE "[random() % 22]);
                    break;
                default:
                    std::memcpy(bytes.data() + at, original.data() + 8 + random() % header, std::min<std::size_t>(4, bytes.size() - at));
            }
        }
        const std::size_t size = bytes.size();
        try {
            const dla::SafetensorsFile file(std::move(bytes), "f");
            std::size_t total = 8;
            for (const auto& t : file.tensors()) {
                total += t.bytes.size();
                std::uint64_t product = dla::size_of(t.type);
                for (const auto axis : t.shape) product *= static_cast<std::uint64_t>(axis);
                REQUIRE(product == t.bytes.size());
            }
            REQUIRE(total <= size);
            ++read;
        } catch (const dla::Error& e) {
            CHECK(e.code() == dla::ErrorCode::checkpoint);
            ++refused;
        }
    }
    CHECK(refused > 10000);
    CHECK(read > 100);  // harmless changes (a letter of a name): the cases are not all broken in the same way
}

TEST_CASE("missing file") {
    CHECK(error_of([] { dla::SafetensorsFile::read("/nonexistent.safetensors"); }) ==
          "error[checkpoint] /nonexistent.safetensors: cannot open: No such file or directory (errno 2)");
}
