// SPDX-License-Identifier: MIT
#include <dla/io/json.hpp>

#include <doctest/doctest.h>
#include <support/error_of.hpp>
#include <support/temporary_folder.hpp>

#include <cmath>
#include <limits>

using dla::Json;

TEST_CASE("keys keep their order and doubles their bits") {
    Json j;
    j["z"] = 0.1;
    j["a"] = 1.0 / 3;
    j["m"] = std::nextafter(1.0, 2.0);
    j["t"] = std::numeric_limits<double>::denorm_min();
    j["nan"] = std::nan("");
    const std::string text = dla::to_string(j);
    CHECK(text == R"({"z":0.1,"a":0.3333333333333333,"m":1.0000000000000002,"t":5e-324,"nan":null})");
    const Json back = dla::parse_json(text, "text");
    for (const char* key : {"z", "a", "m", "t"}) CHECK(back[key].get<double>() == j[key].get<double>());
}

TEST_CASE("strict parsing") {
    const auto error = [](const std::string& text) { return error_of([&] { dla::parse_json(text, "f.json", dla::ErrorCode::data); }); };
    CHECK(error(R"({"a":[1,2,{"b":null}],"c":{"b":1}})") == "no error");
    CHECK(error(R"({"a":1,"b":{"x":1},"a":2})") == "error[data] f.json: duplicate JSON key \"a\"");
    CHECK(contains(error(R"({"a":1} x)"), "error[data] f.json: not JSON: parse error at line 1, column 9"));
    CHECK(contains(error(std::string("{}\0{", 4)), "NUL byte"));
    CHECK(contains(error("{\"a\":\"\xff\"}"), "not JSON"));
    CHECK(contains(error(""), "not JSON"));
    CHECK(error(std::string(64, '[') + std::string(64, ']')) == "no error");
    CHECK(contains(error(std::string(65, '[') + std::string(65, ']')), "nested too deeply; expected at most 64"));
    CHECK(contains(error(std::string(1000000, '[')), "nested too deeply"));
}

TEST_CASE("files") {
    TemporaryFolder folder;
    dla::write_json(folder / "a.json", Json{{"a", 1}});
    CHECK(file_text(folder / "a.json") == "{\n  \"a\": 1\n}\n");
    CHECK(dla::read_json(folder / "a.json")["a"] == 1);
    CHECK(contains(error_of([&] { dla::read_json(folder / "a.json", dla::ErrorCode::io, 3); }), "file too large"));
    CHECK(dla::to_string(Json("\xff")) == "\"\xef\xbf\xbd\"");
}

TEST_CASE("JSON lines: each line is in the file at once; a resumed run cuts back") {
    TemporaryFolder folder;
    const std::string path = folder / "metrics.jsonl";
    std::uint64_t checkpoint = 0;
    {
        dla::JsonLines lines(path);
        lines.append({{"epoch", 1}});
        CHECK(file_text(path) == "{\"epoch\":1}\n");
        checkpoint = lines.size();
        lines.append({{"epoch", 2}});
        lines.sync();
    }
    {
        dla::JsonLines lines(path, checkpoint);
        CHECK(file_text(path) == "{\"epoch\":1}\n");
        lines.append({{"epoch", 3}});
        CHECK(file_text(path) == "{\"epoch\":1}\n{\"epoch\":3}\n");
    }
    put_file(path, "{\"epoch\":1}\n{\"epo");  // what a kill in the middle of a write leaves
    {
        dla::JsonLines lines(path);
        lines.append({{"epoch", 2}});
        CHECK(file_text(path) == "{\"epoch\":1}\n{\"epoch\":2}\n");
    }
    CHECK(contains(error_of([&] { dla::JsonLines(path, 1000); }), "shorter than when the checkpoint was written; expected at least 1000 bytes, got 24"));
    CHECK(contains(error_of([&] { dla::JsonLines(folder / "no/m.jsonl"); }), "cannot open for appending: No such file"));
}
