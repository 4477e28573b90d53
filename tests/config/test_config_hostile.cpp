// SPDX-License-Identifier: MIT
// Files that are no configuration at all: each ends in Error(config), never in a crash.
#include <dla/config.hpp>

#include <doctest/doctest.h>
#include <support/error_of.hpp>
#include <support/temporary_folder.hpp>

#include <random>

namespace {

std::string error(const std::string& text) {
    return error_of([&] { dla::parse_config(text, "f"); });
}

std::string repeat(const std::string& text, int times) {
    std::string out;
    for (int i = 0; i < times; ++i) out += text;
    return out;
}

}  // namespace

TEST_CASE("syntax errors carry their place") {
    CHECK(contains(error("[model"), "error[config] f: 1 error\nf:1:7: not TOML: "));
    CHECK(contains(error("[model]\nname = \n"), "f:2:8: not TOML: "));
    for (const char* header : {"[;", "[&", "[[[1]]]", "[]", "[a.]", "[[", "[\"", "[\n]"}) {
        CAPTURE(header);
        CHECK(contains(error(header), "not TOML"));
    }
    CHECK(contains(error("[model]\nresidual = true\nresidual = true\n"), "f:3:12: not TOML"));
    CHECK(contains(error("[model]\n[model]\n"), "not TOML"));
    CHECK(contains(error("[training]\nseed = 99999999999999999999\n"), "not TOML"));
}

TEST_CASE("binary, deep and long files") {
    CHECK(contains(error(std::string("[model]\0name=1", 14)), "f:1:8: not TOML"));
    CHECK(contains(error("\xff\xfe[\0m"), "not TOML"));
    CHECK(contains(error("a = " + std::string(500000, '[')), "not TOML"));
    CHECK(contains(error(repeat("a = {", 100000)), "not TOML"));
    CHECK(contains(error("[model]\n" + repeat("a.", 200000) + "a = 1\n"), "f:2: too many dots in a line; expected at most 32"));
    CHECK(contains(error("[" + repeat("a.", 200000) + "a]\n"), "too many dots"));
    CHECK(contains(error("[\"#\"." + repeat("a.", 200000) + "a]\n"), "too many dots"));
    CHECK(contains(error("a = " + repeat("[\n{" + repeat("a.", 31) + "a = ", 120) + "1" + repeat("}]", 120)), "unknown key a; "));  // deep, but within bounds
    CHECK(error("# " + std::string(1000, '.') + "\n[dataset]\ndata_dir = \"../../../../../../data\"\n") == "no error");
    CHECK(contains(error(repeat("x\n", 1000)), "not TOML"));
    std::string many;
    for (int i = 0; i < 1000; ++i) many.append("k").append(std::to_string(i)).append(" = 1\n");
    CHECK(contains(error(many), "error[config] f: 1000 errors\nf:1:1: "));
    CHECK(contains(error(many), "\n... and 900 more"));
    CHECK(error("[model]\n\"" + std::string(100000, 'k') + "\" = 1\n").size() < 1000);
    CHECK(error("[model]\nname = \"" + std::string(100000, 'k') + "\"\n").size() < 1000);
    CHECK(contains(error("[model]\n\"a\\u001b[31m\\n\" = 1\n"), "unknown key model.a?[31m?;"));
}

TEST_CASE("files that cannot be read") {
    TemporaryFolder folder;
    CHECK(contains(error_of([&] { dla::load_config(folder / "no.toml"); }), "error[config] " + (folder / "no.toml") + ": cannot open: No such file"));
    CHECK(contains(error_of([&] { dla::load_config(folder.path); }), "not a regular file"));
    put_file(folder / "big.toml", std::string((1 << 20) + 1, '#'));
    CHECK(contains(error_of([&] { dla::load_config(folder / "big.toml"); }), "file too large; expected at most 1048576 bytes, got 1048577"));
}

TEST_CASE("mutated files") {
    const std::string original = dla::to_toml(dla::default_config("cnn", "digits")) + "# [dataset.x] 'a' {b = [1.5, 2e3]}\n";
    std::mt19937 random(11);
    int refused = 0;
    for (int i = 0; i < 3000; ++i) {
        std::string text = original;
        for (unsigned k = 0; k <= random() % 3; ++k) {
            const std::size_t at = random() % text.size();
            switch (random() % 4) {
                case 0:
                    text[at] = static_cast<char>(random());
                    break;
                case 1:
                    text[at] = "[]{}.=\"'#\n\\,1ae-_ "[random() % 18];
                    break;
                case 2:
                    text.erase(at, random() % 8);
                    break;
                default:
                    text.insert(at, original.substr(random() % original.size(), random() % 12));
            }
        }
        try {
            const auto config = dla::parse_config(text, "f");
            CHECK(dla::problems_of(config).empty());
        } catch (const dla::Error& e) {
            CHECK(e.code() == dla::ErrorCode::config);
            ++refused;
        }
    }
    CHECK(refused > 1500);
    CHECK(refused < 3000);
}
