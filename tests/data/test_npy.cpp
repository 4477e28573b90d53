// SPDX-License-Identifier: MIT
#include <dla/data/npy.hpp>
#include <dla/io/npy.hpp>

#include "files.hpp"

#include <cmath>
#include <cstring>
#include <limits>

using namespace files;
using dla::ErrorCode;

namespace {

using Floats = std::vector<float>;
using Sizes = std::vector<dla::index_t>;

/// A .npy file put together by hand; the header is padded as NumPy does.
Bytes npy(std::string header, const Bytes& values, std::uint8_t version = 1) {
    const std::size_t before = version == 1 ? 10 : 12;
    while ((before + header.size() + 1) % 64 != 0) header += ' ';
    header += '\n';
    Bytes out = {0x93, 'N', 'U', 'M', 'P', 'Y', version, 0, static_cast<std::uint8_t>(header.size()), static_cast<std::uint8_t>(header.size() >> 8)};
    if (version > 1) out.insert(out.end(), {0, 0});
    out.insert(out.end(), header.begin(), header.end());
    out.insert(out.end(), values.begin(), values.end());
    return out;
}
std::string header(const std::string& descr, const std::string& shape, const std::string& order = "False") {
    return "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }";
}
template <class T>
Bytes bytes_of(const std::vector<T>& values) {
    Bytes out(values.size() * sizeof(T));
    if (!out.empty()) std::memcpy(out.data(), values.data(), out.size());
    return out;
}

struct Folder {
    TempDir dir;
    dla::NpyArray read(const Bytes& bytes) const { return dla::read_npy(write(dir / "a.npy", bytes)); }
    std::string refused(const Bytes& bytes) const {
        const std::string said = message_of([&] { read(bytes); });
        CHECK(contains(said, "a.npy"));
        return said;
    }
    template <class T>
    std::string put(const std::string& name, const std::string& descr, const std::string& shape, const std::vector<T>& values) const {
        return write(dir / name, npy(header(descr, shape), bytes_of(values)));
    }
};

template <class T>
void check_type(const std::string& descr, const std::vector<T>& values, const Floats& expected) {
    CAPTURE(descr);
    const Folder folder;
    const auto array = folder.read(npy(header(descr, "(" + std::to_string(values.size()) + ",)"), bytes_of(values)));
    CHECK(array.shape == Sizes{std::ssize(values)});
    CHECK(array.values == expected);
    CHECK(array.type == descr.substr(1));
    CHECK(array.are_integers() == (descr[1] != 'f'));
}

/// A Python that has NumPy, or nothing.
std::string numpy_python() {
    for (const std::string python : {"python3", "/usr/bin/python3"})
        if (std::system((python + " -c 'import numpy' 2>/dev/null").c_str()) == 0) return python;
    return {};
}

}  // namespace

TEST_CASE("npy: every type of number") {
    check_type<std::uint8_t>("|u1", {0, 7, 255}, {0, 7, 255});
    check_type<std::uint8_t>("<u1", {200}, {200});
    check_type<std::uint8_t>("|b1", {1, 0}, {1, 0});
    check_type<std::int8_t>("|i1", {-128, 127}, {-128, 127});
    check_type<std::int16_t>("<i2", {-32768, 300}, {-32768, 300});
    check_type<std::uint16_t>("<u2", {65535}, {65535});
    check_type<std::int32_t>("<i4", {-2147483647 - 1, 16777217}, {-2147483648.0f, 16777216});  // to the nearest float
    check_type<std::uint32_t>("<u4", {4294967295u}, {4294967296.0f});
    check_type<std::int64_t>("<i8", {-5, std::numeric_limits<std::int64_t>::min()}, {-5, -9223372036854775808.0f});
    check_type<std::uint64_t>("<u8", {std::numeric_limits<std::uint64_t>::max()}, {18446744073709551616.0f});
    check_type<std::uint16_t>("<f2", {0x3c00, 0xc100, 0x0001, 0x7bff}, {1, -2.5f, 0x1p-24f, 65504});
    check_type<float>("<f4", {1.5f, std::numeric_limits<float>::infinity()}, {1.5f, std::numeric_limits<float>::infinity()});
    check_type<double>("<f8", {.1, -std::numeric_limits<double>::infinity(), 1e-300}, {.1f, -std::numeric_limits<float>::infinity(), 0});
    const Folder folder;
    CHECK(std::isnan(folder.read(npy(header("<f8", "(1,)"), bytes_of(std::vector<double>{std::nan("")}))).values[0]));
    CHECK(contains(folder.refused(npy(header("<f8", "(1,)"), bytes_of(std::vector<double>{1e39}))), "too large for a float"));
    CHECK(contains(folder.refused(npy(header("|b1", "(1,)"), {2})), "neither 0 nor 1"));
    for (const char* descr : {">f4", "<c8", "|O", "<U3", "<f16", "=f4", "f4", "<M8", "|f4", ">u1", "", "<f", "<b1x"})
        CHECK(contains(folder.refused(npy(header(descr, "(1,)"), Bytes(4))), "the type '" + std::string(descr) + "'"));
    CHECK(contains(folder.refused(npy("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (1,), }", Bytes(4))), "records of several fields"));
}

TEST_CASE("npy: shapes, orders, versions, and how a header may be written") {
    const Folder folder;
    const Bytes six = bytes_of(Floats{1, 2, 3, 4, 5, 6});
    CHECK(folder.read(npy(header("<f4", "(2, 3)"), six)).values == Floats{1, 2, 3, 4, 5, 6});
    const auto fortran = folder.read(npy(header("<f4", "(2, 3)", "True"), six));
    CHECK(fortran.shape == Sizes{2, 3});
    CHECK(fortran.values == Floats{1, 3, 5, 2, 4, 6});
    CHECK(folder.read(npy(header("<f4", "(3, 1, 2)", "True"), six)).values == Floats{1, 4, 2, 5, 3, 6});
    CHECK(folder.read(npy(header("<f4", "()", "True"), bytes_of(Floats{7}))).values == Floats{7});
    CHECK(folder.read(npy(header("<f4", "(2, 0, 3)", "True"), {})).values.empty());
    CHECK(folder.read(npy(header("<f4", "(6,)"), six, 2)).shape == Sizes{6});
    CHECK(folder.read(npy(header("<f4", "(6,)"), six, 3)).shape == Sizes{6});
    CHECK(folder.read(npy("{\"shape\":(6,),\"fortran_order\":False,\"descr\":\"<f4\"}", six)).shape == Sizes{6});
    // More than one piece of a megabyte, against the indices themselves.
    std::vector<double> many(300 * 1000);
    for (std::size_t i = 0; i < many.size(); ++i) many[i] = static_cast<double>(i);
    const auto large = folder.read(npy(header("<f8", "(300, 1000)", "True"), bytes_of(many)));
    bool all = true;
    for (std::size_t r = 0; r < 300; ++r)
        for (std::size_t c = 0; c < 1000; ++c) all = all && large.values[r * 1000 + c] == static_cast<float>(r + 300 * c);
    CHECK(all);
}

TEST_CASE("npy: hostile headers") {
    const Folder folder;
    const Bytes four(4);
    const auto bad = [&](const std::string& text, const std::string& says) {
        CAPTURE(text);
        CHECK(contains(folder.refused(npy(text, four)), says));
    };
    for (const char* shape : {"(9223372036854775807,)", "(99999999999999999999999999,)", "(4294967296, 4294967296)", "(2305843009213693952, 8)",
                              "(1099511627776,)", "(2,)", "(0,)", "(0, 9223372036854775807)"})
        bad(header("<f4", shape), "cut short or damaged");
    for (const char* shape : {"(-1,)", "(1.0,)", "(0x1,)", "(,)", "(1", "(1 1)", "(1,,)", "(1L,)", "(a,)", "[1]", "1", "((1,),)", "(1)", "('1',)"})
        bad(header("<f4", shape), "the header of the .npy file");
    bad(header("<f4", "(" + std::string(33 * 2, '1') + ",)"), "cut short or damaged");
    std::string axes;
    for (int i = 0; i < 33; ++i) axes += "1,";
    bad(header("<f4", "(" + axes + ")"), "more than 32 axes");
    bad(header("<f4", "(1,)", "true"), "neither True nor False");
    bad(header("<f4", "(1,)", "__import__('os')"), "neither True nor False");
    bad("{'descr': '<f4', 'fortran_order': False}", "lacks one of");
    bad("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", "'descr' twice");
    bad("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}", "'x'");
    bad("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } x", "goes on behind");
    bad("{'descr': '<f4' 'fortran_order': False, 'shape': (1,), }", "no '}'");
    bad("{'descr' '<f4'}", "no ':'");
    bad("{'descr': '" + std::string(100, 'x') + "'}", "a text without an end, or a long one");
    bad("", "no '{'");
    bad("{", "no '''");
    bad("{'descr': 'a\\", "without an end");
    bad("{'descr': 'a\\'", "not plain ASCII");
    CHECK(contains(folder.refused(npy(header("<f4", "(1,)"), four, 4)), "the version 4.0; expected 1.0, 2.0 or 3.0"));
    CHECK(contains(folder.refused(npy(header("<f4", "(1,)"), four, 0)), "the version 0.0"));
    Bytes bytes = npy(header("<f4", "(1,)"), four, 2);
    bytes[11] = 255;
    CHECK(contains(folder.refused(bytes), "at most 65536"));
    bytes[11] = 0;
    bytes[9] = 255;
    CHECK(contains(folder.refused(bytes), "cut short in its header"));
    CHECK(contains(folder.refused({'P', 'K', 3, 4, 0, 0, 0, 0, 0, 0, 0, 0}), "does not begin with"));
    CHECK(contains(folder.refused({}), "it has 0 bytes"));
    CHECK(contains(message_of([&] { dla::read_npy(folder.dir / "absent"); }), "cannot open"));
    CHECK(contains(message_of([&] { dla::read_npy(folder.dir.path()); }), "not a regular file"));
    CHECK(contains(message_of([&] { dla::read_npy("/dev/zero"); }), "not a regular file"));
}

TEST_CASE("npy: cut anywhere is refused, and any flipped bit gives an array that fits its shape, or an error") {
    const Folder folder;
    for (const char* order : {"False", "True"})
        for (const std::uint8_t version : {std::uint8_t{1}, std::uint8_t{2}}) {
            const Bytes whole = npy(header("<f8", "(2, 3)", order), bytes_of(std::vector<double>{1, 2, 3, 4, 5, 6}), version);
            for (std::size_t n = 0; n < whole.size(); ++n) folder.refused(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n)));
            Bytes longer = whole;
            longer.push_back(0);
            CHECK(contains(folder.refused(longer), "takes 48 bytes, and 49 are there"));
            for (std::size_t i = 0; i < whole.size(); ++i)
                for (int bit = 0; bit < 8; ++bit) {
                    Bytes bad = whole;
                    bad[i] = static_cast<std::uint8_t>(bad[i] ^ 1 << bit);
                    try {
                        const auto array = folder.read(bad);
                        std::size_t count = 1;
                        for (const dla::index_t size : array.shape) count *= static_cast<std::size_t>(size);
                        CHECK(array.values.size() == count);
                    } catch (const dla::Error& error) {
                        CHECK(error.code() == ErrorCode::data);
                    }
                }
        }
}

TEST_CASE("npy: what is written is read again, and begins its values at a multiple of 64 bytes") {
    const Folder folder;
    const std::string path = folder.dir / "w.npy";
    for (const Sizes& shape : {Sizes{}, Sizes{1}, Sizes{12}, Sizes{3, 4}, Sizes{1, 2, 3, 2}, Sizes{5, 0}, Sizes(32, 1)}) {
        std::size_t count = 1;
        for (const dla::index_t size : shape) count *= static_cast<std::size_t>(size);
        Floats values(count);
        for (std::size_t i = 0; i < count; ++i) values[i] = 1.0f / static_cast<float>(i + 1);
        dla::write_npy(path, shape, values);
        const auto back = dla::read_npy(path);
        CHECK(back.shape == shape);
        CHECK(back.values == values);
        CHECK(back.type == "f4");
        CHECK((fs::file_size(path) - 4 * count) % 64 == 0);
    }
    const Floats six(6);
    dla::write_npy(path, {2, 3}, six);
    CHECK(contains(message_of([&] { dla::write_npy(path, {2, 4}, six); }, ErrorCode::io), "[2, 4] cannot be made of 6 values"));
    CHECK(contains(message_of([&] { dla::write_npy(path, {-2, -3}, six); }, ErrorCode::io), "cannot be made"));
    CHECK(contains(message_of([&] { dla::write_npy(path, Sizes(33, 1), Floats(1)); }, ErrorCode::io), "cannot be made"));
    CHECK(contains(message_of([&] { dla::write_npy(folder.dir / "no" / "w.npy", {6}, six); }, ErrorCode::io), "cannot create"));
    CHECK(dla::read_npy(path).shape == Sizes{2, 3});
}

TEST_CASE("npy: NumPy's own files, and NumPy reads what is written") {
    const std::string python = numpy_python();
    if (python.empty()) {
        MESSAGE("skipped: no NumPy");
        return;
    }
    const Folder folder;
    const std::string path = folder.dir / "n.npy";
    const auto run = [&](const std::string& program) {
        write(folder.dir / "p.py", Bytes(program.begin(), program.end()));
        return std::system((python + " " + (folder.dir / "p.py").string() + " " + path).c_str());
    };
    for (const char* type : {"f2", "f4", "f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "bool"})
        for (const char* order : {"C", "F"}) {
            CAPTURE(type);
            REQUIRE(run("import sys, numpy as np\na = (np.arange(24).reshape(2, 3, 4) % 2 if '" + std::string(type) +
                        "' == 'bool' else np.arange(24).reshape(2, 3, 4))\n"
                        "np.save(sys.argv[1], np.array(a, dtype='" +
                        type + "', order='" + order + "'))\n") == 0);
            const auto array = dla::read_npy(path);
            CHECK(array.shape == Sizes{2, 3, 4});
            REQUIRE(array.values.size() == 24);
            for (std::size_t i = 0; i < 24; ++i) CHECK(array.values[i] == static_cast<float>(std::string(type) == "bool" ? i % 2 : i));
        }
    for (const char* version : {"(2, 0)", "(3, 0)"}) {
        REQUIRE(run("import sys, numpy as np\nwith open(sys.argv[1], 'wb') as f: np.lib.format.write_array(f, np.float32(2.5).reshape(()), version=" +
                    std::string(version) + ")\n") == 0);
        CHECK(dla::read_npy(path).values == Floats{2.5f});
    }
    dla::write_npy(path, {2, 3}, Floats{.1f, 2, 3, 4, 5, 1e-40f});
    CHECK(run("import sys, numpy as np\na = np.load(sys.argv[1])\nassert a.dtype == np.float32 and a.shape == (2, 3)\n"
              "assert (a == np.float32([[.1, 2, 3], [4, 5, 1e-40]])).all()\n") == 0);
    dla::write_npy(path, std::initializer_list<dla::index_t>{}, Floats{4});
    CHECK(run("import sys, numpy as np\na = np.load(sys.argv[1])\nassert a.shape == () and a == 4\n") == 0);
}

TEST_CASE("load_npy: a class number for each pixel") {
    const Folder f;
    const std::vector<float> twelve{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    const std::vector<std::uint8_t> classes{0, 2, 1, 1, 0, 3};
    const auto x = f.put("x.npy", "<f4", "(2, 1, 3, 2)", twelve), channels_first = f.put("z.npy", "<f4", "(2, 2, 1, 3)", twelve);
    for (const char* shape : {"(2, 1, 3)", "(2, 1, 3, 1)"}) {
        const auto data = dla::load_npy(x, f.put("y.npy", "|u1", shape, classes));
        CHECK(data.classes() == 4);
        CHECK(data.target_shape() == dla::Shape{1, 1, 3});
        CHECK(std::ranges::equal(data.labels(), std::vector<std::int32_t>{0, 2, 1, 1, 0, 3}));
    }
    CHECK(dla::load_npy(channels_first, f.put("y.npy", "|u1", "(2, 1, 1, 3)", classes), {.channels_first = true}).target_shape() == dla::Shape{1, 1, 3});
    const auto some = dla::load_npy(x, f.put<std::int16_t>("y.npy", "<i2", "(2, 1, 3)", {0, -100, 1, 1, 0, -100}));
    CHECK(some.classes() == 2);
    CHECK(some.labels()[1] == dla::uncounted);
    const auto voc = dla::load_npy(x, f.put<std::uint8_t>("y.npy", "|u1", "(2, 1, 3)", {0, 255, 1, 1, 0, 2}), {.ignore = 255});
    CHECK(voc.classes() == 3);
    CHECK(voc.labels()[1] == dla::uncounted);
    const auto refused = [&](const std::string& y) { return message_of([&] { dla::load_npy(x, y); }); };
    CHECK(contains(refused(f.put<std::int16_t>("y.npy", "<i2", "(2, 1, 3)", {0, 1, 2, 0, -1, 0})), "that of sample 1; class numbers begin with 0, and -100"));
    CHECK(contains(refused(f.put<std::int16_t>("y.npy", "<i2", "(2, 1, 3)", {-100, -100, -100, -100, -100, -100})), "no label counts"));
    CHECK(contains(refused(f.put("y.npy", "|u1", "(2, 1, 1, 3)", classes)), "several class numbers for a pixel"));
}

TEST_CASE("load_npy: features, rows, images in both orders; labels and values") {
    const Folder f;
    Floats twelve(12);
    for (std::size_t i = 0; i < 12; ++i) twelve[i] = static_cast<float>(i);
    const auto labels = f.put<std::int64_t>("y.npy", "<i8", "(2,)", {3, 0});
    const auto features = dla::load_npy(f.put("x.npy", "<f4", "(2, 6)", twelve), labels);
    CHECK(features.input_shape() == dla::Shape{6});
    CHECK(features.classes() == 4);
    CHECK(features.label(0) == 3);
    CHECK(dla::load_npy(f.put("x.npy", "<f4", "(2, 2, 3)", twelve), labels).input_shape() == dla::Shape{2, 3});
    const auto last = dla::load_npy(f.put("x.npy", "<f4", "(2, 1, 3, 2)", twelve), labels);
    CHECK(last.input_shape() == dla::Shape{2, 1, 3});
    CHECK(std::equal(twelve.begin(), twelve.end(), last.inputs().begin()));
    const auto first = dla::load_npy(f.put("x.npy", "<f4", "(2, 2, 1, 3)", twelve), labels, {.channels_first = true});
    CHECK(first.input_shape() == dla::Shape{2, 1, 3});
    CHECK(Floats(first.inputs().begin(), first.inputs().end()) == Floats{0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11});

    const std::string x = f.put("x.npy", "<f4", "(2, 6)", twelve);
    const auto values = dla::load_npy(x, f.put<double>("y.npy", "<f8", "(2,)", {.5, -1}));
    CHECK(values.target_shape() == dla::Shape{1});
    CHECK(values.targets()[1] == -1.0f);
    CHECK(dla::load_npy(x, f.put("y.npy", "<f4", "(2, 6)", twelve)).target_shape() == dla::Shape{6});

    const auto refused = [&](const std::string& inputs, const std::string& targets, bool first_channels = false) {
        return message_of([&] { dla::load_npy(inputs, targets, {.channels_first = first_channels}); });
    };
    CHECK(contains(refused(x, f.put<std::int64_t>("y.npy", "<i8", "(2, 1)", {3, 0})), "y.npy: the array [2, 1] of i8 is not one of labels"));
    CHECK(contains(refused(x, f.put<std::int64_t>("y.npy", "<i8", "(2, 1, 1)", {3, 0})), "is not one of labels; expected [N], [N, height, width] of images"));
    CHECK(contains(refused(x, f.put<std::int64_t>("y.npy", "<i8", "(3,)", {3, 0, 1})), "does not fit the 2 samples"));
    CHECK(contains(refused(x, f.put<std::int64_t>("y.npy", "<i8", "(2,)", {3, -1})), "that of sample 1"));
    CHECK(contains(refused(x, f.put<std::int64_t>("y.npy", "<i8", "(2,)", {std::int64_t{1} << 32, 1})), "that of sample 0"));
    CHECK(contains(refused(x, f.put<float>("y.npy", "<f4", "()", {1})), "does not fit"));
    CHECK(contains(refused(x, f.put<float>("y.npy", "<f4", "(2, 0)", {})), "does not fit"));
    CHECK(contains(refused(x, f.put<float>("y.npy", "<f4", "(2, 1, 1, 1, 1)", {1, 2})), "not one of targets"));
    // Masks and images as targets, laid out as inputs are.
    CHECK(dla::load_npy(x, f.put("y.npy", "<f4", "(2, 3, 2)", twelve)).target_shape() == dla::Shape{3, 2});
    const dla::ArrayData masks = dla::load_npy(x, f.put("y.npy", "<f4", "(2, 1, 3, 2)", twelve));
    CHECK(masks.target_shape() == dla::Shape{2, 1, 3});
    CHECK(std::ranges::equal(masks.targets(), twelve));
    const std::string images = f.put("i.npy", "<f4", "(2, 2, 1, 3)", twelve);
    const dla::ArrayData disk = dla::load_npy(images, images, {.channels_first = true});
    CHECK(disk.target_shape() == dla::Shape{2, 1, 3});
    CHECK(std::ranges::equal(disk.targets(), disk.inputs()));
    CHECK(!std::ranges::equal(disk.targets(), twelve));
    CHECK(
        contains(refused(x, f.put<float>("y.npy", "<f4", "(2,)", {1, std::nanf("")})), "y.npy: the array [2] of f4 has a value that is not finite, number 1"));
    const auto good = f.put<std::int64_t>("y.npy", "<i8", "(2,)", {3, 0});
    CHECK(contains(refused(x, good, true), "holds no images"));
    CHECK(contains(refused(f.put("x.npy", "<f4", "(12,)", twelve), good), "not one of samples"));
    CHECK(contains(refused(f.put<float>("x.npy", "<f4", "(2, 0)", {}), good), "holds no values"));
    CHECK(contains(refused(f.put("x.npy", "<f4", "(2, 1, 1, 6, 1)", twelve), good), "not one of samples"));
}
