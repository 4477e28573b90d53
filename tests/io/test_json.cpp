// SPDX-License-Identifier: MIT
#include <dla/io/json.hpp>

#include <doctest/doctest.h>
#include <support/error_of.hpp>
#include <support/temporary_folder.hpp>

#include <sys/stat.h>

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

TEST_CASE("time and memory grow with the text") {
    // Each of these took a minute and more when every closing brace looked through all that was there, and every key through all keys.
    std::string array = "[", object = "{";
    for (int i = 0; i < 900'000; ++i) array += i ? ",{}" : "{}";
    for (int i = 0; i < 200'000; ++i) object += (i ? ",\"key" : "\"key") + std::to_string(i) + "\":{}";
    CHECK(dla::parse_json(array + "]", "a").size() == 900'000);
    const Json many = dla::parse_json(object + "}", "o");
    CHECK(many.size() == 200'000);
    CHECK(many.back().is_object());
    CHECK(contains(error_of([&] { dla::parse_json(object + ",\"key7\":1}", "o"); }), "duplicate JSON key \"key7\""));
    for (int i = 0; i < 100'001; ++i) array += ",{}";
    CHECK(error_of([&] { dla::parse_json(array + "]", "a"); }) == "error[io] a: JSON with more than 1000000 values");
    CHECK(error_of([&] { dla::parse_json("[1,2,3]", "a", dla::ErrorCode::io, 64, 3); }) == "error[io] a: JSON with more than 3 values");
    CHECK(dla::parse_json("[1,2,3]", "a", dla::ErrorCode::io, 64, 4).size() == 3);
}

TEST_CASE("what is parsed is what nlohmann parses") {
    const std::string text = R"({"a":[1,-2,3.5e10,18446744073709551615,true,false,null,"x\u00e4\n",[],{}],"b":{"c":{"d":[[[0]]]}},"":0})";
    CHECK(dla::parse_json(text, "t") == Json::parse(text));
    CHECK(dla::to_string(dla::parse_json(text, "t")) == Json::parse(text).dump());
    for (const char* plain : {"1", "\"s\"", "null", "[]", "{}", " [ ] "}) CHECK(dla::parse_json(plain, "t") == Json::parse(plain));
}

TEST_CASE("lines are appended to regular files only, without waiting for anybody") {
    TemporaryFolder folder;
    REQUIRE(mkfifo((folder / "pipe").c_str(), 0600) == 0);
    std::filesystem::create_symlink("/dev/zero", folder / "endless");
    for (const char* name : {"pipe", "endless"}) CHECK(contains(error_of([&] { dla::JsonLines lines(folder / name); }), "not a regular file"));
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
