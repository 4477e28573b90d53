// SPDX-License-Identifier: MIT
#include <dla/data/csv.hpp>
#include <dla/data/loader.hpp>

#include "files.hpp"

#include <cmath>
#include <limits>
#include <locale>

using namespace files;
using dla::CsvHeader;
using dla::CsvOptions;
using dla::CsvTarget;
using dla::ErrorCode;

namespace {

fs::path write_text(const fs::path& path, const std::string& text) { return write(path, Bytes(text.begin(), text.end())); }

struct Table {
    TempDir dir;
    dla::CsvData read(const std::string& text, const CsvOptions& options = {}) const { return dla::read_csv(write_text(dir / "t.csv", text), options); }
    std::string refused(const std::string& text, const CsvOptions& options = {}, ErrorCode code = ErrorCode::data) const {
        const std::string said = message_of([&] { read(text, options); }, code);
        CHECK(contains(said, "t.csv"));
        return said;
    }
};

std::vector<float> inputs_of(const dla::CsvData& csv) { return {csv.data.inputs().begin(), csv.data.inputs().end()}; }
std::vector<float> targets_of(const dla::CsvData& csv) { return {csv.data.targets().begin(), csv.data.targets().end()}; }
std::vector<std::int32_t> labels_of(const dla::CsvData& csv) { return {csv.data.labels().begin(), csv.data.labels().end()}; }

using Floats = std::vector<float>;
using Labels = std::vector<std::int32_t>;
using Names = std::vector<std::string>;

CsvOptions values(std::vector<dla::CsvColumn> targets = {-1}) {
    CsvOptions options;
    options.target = CsvTarget::values;
    options.targets = std::move(targets);
    return options;
}
CsvOptions names() {
    CsvOptions options;
    options.target = CsvTarget::names;
    return options;
}

const std::string iris = "length,width,species\n5.1,3.5,setosa\n7,3.2,versicolor\n6.3,3.3,virginica\n4.9,3,setosa\n";

}  // namespace

TEST_CASE("csv: classes, names of classes and values") {
    const Table table;
    const auto classes = table.read("1,2,0\n3,4,2\n");
    CHECK(classes.data.input_shape() == dla::Shape{2});
    CHECK(classes.data.classes() == 3);
    CHECK(inputs_of(classes) == Floats{1, 2, 3, 4});
    CHECK(labels_of(classes) == Labels{0, 2});
    CHECK(classes.columns == Names{"0", "1"});
    CHECK(classes.target_columns == Names{"2"});
    CHECK(classes.class_names.empty());

    const auto flowers = table.read(iris, names());
    CHECK(flowers.columns == Names{"length", "width"});
    CHECK(flowers.target_columns == Names{"species"});
    CHECK(flowers.class_names == Names{"setosa", "versicolor", "virginica"});
    CHECK(labels_of(flowers) == Labels{0, 1, 2, 0});
    CHECK(inputs_of(flowers)[2] == 7.0f);

    // The classes of the training set, for a test set that has not all of them.
    CsvOptions given = names();
    given.class_names = {"virginica", "setosa", "versicolor"};
    const auto test = table.read("length,width,species\n1,2,setosa\n3,4,virginica\n", given);
    CHECK(labels_of(test) == Labels{1, 0});
    CHECK(test.class_names == given.class_names);
    CHECK(contains(table.refused("1,2,setosa\n1,2,rose\n", given), "line 2: column 3: \"rose\" is none of the class names"));

    const auto houses = table.read("id,price,rooms,size,rent\nA1,100,3,80.5,7\nB2,200,4,120,8\n", [] {
        CsvOptions o = values({"rent", "price"});
        o.ignored = {"id"};
        return o;
    }());
    CHECK(houses.columns == Names{"rooms", "size"});
    CHECK(houses.target_columns == Names{"rent", "price"});
    CHECK(inputs_of(houses) == Floats{3, 80.5f, 4, 120});
    CHECK(targets_of(houses) == Floats{7, 100, 8, 200});
    CHECK(houses.data.target_shape() == dla::Shape{2});
    CHECK(houses.data.classes() == 0);
    CHECK(targets_of(table.read("1,2,3\n", values({0}))) == Floats{1});
    CHECK(targets_of(table.read("1,2,3\n", values({-2, 0}))) == Floats{2, 1});
}

TEST_CASE("csv: a header is found, asked for, or denied") {
    const Table table;
    CsvOptions options = values();
    CHECK(table.read("a,b\n1,2\n", options).columns == Names{"a"});
    CHECK(table.read("1,2\n3,4\n", options).data.size() == 2);
    CHECK(table.read(",b\n1,2\n", options).columns == Names{""});  // as pandas names its index
    options.header = CsvHeader::yes;
    const auto years = table.read("1990,1991\n3,4\n", options);
    CHECK(years.columns == Names{"1990"});
    CHECK(years.data.size() == 1);
    options.header = CsvHeader::no;
    CHECK(contains(table.refused("a,b\n1,2\n", options), "line 1: column 1: expected a number, got \"a\""));
    options.header = CsvHeader::automatic;
    // One bad cell in the first line is an error, not a header.
    CHECK(contains(table.refused("1,x\n1,2\n", options), "line 1: column 2: expected a number, got \"x\""));
    CHECK(contains(table.refused("nan,y\n1,2\n", options), "line 1: column 1: expected a finite number"));
    CHECK(contains(table.refused("a,b\n", options), "a header and no lines"));
    CHECK(contains(table.refused("a,b\n\n\n", options), "a header and no lines"));
    // A target asked for by name makes the first line a header even if it holds a number.
    CHECK(table.read("7,b\n1,2\n", values({"b"})).columns == Names{"7"});
}

TEST_CASE("csv: quotes, line ends, a byte order mark, other separators") {
    const Table table;
    const auto a = table.read("\xef\xbb\xbf\"a,\"\"1\"\"\",\"b\r\nc\",t\r\n\"1.5\",2,\"3\"\r\n4,5,6", values());
    CHECK(a.columns == Names{"a,\"1\"", "b\r\nc"});
    CHECK(inputs_of(a) == Floats{1.5f, 2, 4, 5});
    CHECK(targets_of(a) == Floats{3, 6});
    CHECK(inputs_of(table.read("1,2\n3,4\n\r\n\n", values())) == Floats{1, 3});
    CsvOptions options = values();
    options.separator = ';';
    CHECK(inputs_of(table.read("1;2\n", options)) == Floats{1});
    options.separator = '\t';
    CHECK(inputs_of(table.read(" 1 \t2\n", options)) == Floats{1});
    // Lines are counted through quoted line breaks.
    CHECK(contains(table.refused("a,\"b\nb\nb\"\n1,2\n1,x\n", values()), "line 5: column 2 \"b?b?b\": expected a number, got \"x\""));
    CHECK(table.read("1,\"a\n\"\"b\"\"\"\n2,c", names()).class_names == Names{"a\n\"b\"", "c"});
}

TEST_CASE("csv: numbers, whatever the locale") {
    struct Comma : std::numpunct<char> {
        char do_decimal_point() const override { return ','; }
    };
    const std::locale before = std::locale::global(std::locale(std::locale::classic(), new Comma));
    const Table table;
    const auto one = [&](const std::string& text) {
        return inputs_of(table.read(text + ",0\n", [] {
            CsvOptions o = values();
            o.header = CsvHeader::no;
            return o;
        }()))[0];
    };
    CHECK(one("0.1") == .1f);
    CHECK(one("-1.5e3") == -1500.0f);
    CHECK(one("+2") == 2.0f);
    CHECK(one(" 3\t") == 3.0f);
    CHECK(one(".5") == .5f);
    CHECK(one("5.") == 5.0f);
    CHECK(one("1E5") == 1e5f);
    CHECK(one("1e-45") == std::numeric_limits<float>::denorm_min());
    CHECK(one("1e-300") == 0.0f);
    CHECK(one("3.4028235e38") == std::numeric_limits<float>::max());
    CHECK(one("16777217.0000001") == 16777218.0f);  // rounded once: by way of a double it would be 16777216
    CHECK(one("0." + std::string(200, '0') + "1e201") == 1.0f);
    std::locale::global(before);
}

TEST_CASE("csv: every cell that is no finite number is named with its place") {
    const Table table;
    const auto bad = [&](const std::string& cell, const std::string& says) {
        CAPTURE(cell);
        CHECK(contains(table.refused("w,h,y\n1,2,3\n4," + cell + ",6\n", values()), "line 3: column 2 \"h\": " + says));
        CHECK(contains(table.refused("1,2,3\n4,5," + cell + "\n", values()), "line 2: column 3: " + says));
    };
    for (const char* cell : {"", " ", "\"\"", "\t"}) bad(cell, "the cell is empty");
    for (const char* cell : {"x", "1x", "1 2", "1.2.3", "--1", "+-1", "++1", "+", "-", ".", "e5", "0x10", "1e", "1'000", "NA", "1e999z", "\xff", "1_0"})
        bad(cell, "expected a number");
    for (const char* cell : {"nan", "NaN", "-nan", "inf", "-Infinity", "+inf", "1e39", "-1e400", "1e999999999999999999999"})
        bad(cell, "expected a finite number");
    CHECK(contains(table.refused("1,2\n3," + std::string(1000, 'z') + "\n", values()), "\"" + std::string(40, 'z') + "...\""));
}

TEST_CASE("csv: classes must be whole numbers from 0, and names must be there") {
    const Table table;
    CHECK(labels_of(table.read("1,3.0\n")) == Labels{3});
    for (const char* label : {"-1", "0.5", "16777216", "1e9"})
        CHECK(contains(table.refused("1,0\n2," + std::string(label) + "\n"), "line 2: column 2: expected a class number"));
    CHECK(contains(table.refused("1,0\n2,cat\n"), "expected a number, got \"cat\""));
    CHECK(contains(table.refused("1,a\n2,\n", names()), "line 2: column 2: the cell is empty; expected the name of a class"));
}

TEST_CASE("csv: a table with holes, or none") {
    const Table table;
    CHECK(contains(table.refused("1,2\n3,4,5\n", values()), "line 2: expected 2 cells as in the first line, got 3"));
    CHECK(contains(table.refused("1,2,3\n3,4\n", values()), "line 2: expected 3 cells as in the first line, got 2"));
    CHECK(contains(table.refused("1,2\n3,4,\n", values()), "line 2: expected 2 cells as in the first line, got 3"));
    CHECK(contains(table.refused("1,2\n\n3,4\n", values()), "line 2: the line is empty"));
    CHECK(contains(table.refused("\n1,2\n", values()), "line 1: the line is empty"));
    CHECK(contains(table.refused("", values()), "the file is empty"));
    CHECK(contains(table.refused("\xef\xbb\xbf", values()), "the file is empty"));
    CHECK(contains(table.refused("\n\n", values()), "the file is empty"));
    CHECK(contains(table.refused("1;2\n", values()), "no column is left for the features: the first line has 1 cells; is \",\" the separator?"));
    CHECK(contains(table.refused("1,2\r3,4\r", values()), "carriage return"));
    CHECK(contains(table.refused("1,2\n3,4\r", values()), "line 2: a carriage return"));
    CHECK(contains(table.refused("1,\"2\n3,4\n", values()), "line 1: a cell's opening quote has no closing one"));
    CHECK(contains(table.refused("1,2\n3,\"4\"5\n", values()), "line 2: text follows a cell's closing quote"));
    CHECK(contains(table.refused("1,2\n3,4\"5\n", values()), "line 2: a quote inside a cell"));
    CHECK(contains(table.refused(std::string("\xff\xfe\x31\0,\0", 6), values()), "zero bytes"));
    CHECK(contains(message_of([&] { dla::read_csv(table.dir / "absent"); }), "absent"));
    CHECK(contains(message_of([&] { dla::read_csv(table.dir.path()); }), "not a regular file"));
}

TEST_CASE("csv: options that do not fit") {
    const Table table;
    const auto refused = [&](const CsvOptions& options) { return table.refused("a,b,b\n1,2,3\n", options, ErrorCode::config); };
    CHECK(contains(refused(values({"c"})), "there is no column \"c\"; the table has \"a\", \"b\", \"b\""));
    CHECK(contains(refused(values({"b"})), "several columns \"b\""));
    CHECK(contains(refused(values({3})), "there is no column 3; the table has 3, numbered from 0"));
    CHECK(contains(refused(values({-4})), "there is no column -4"));
    CHECK(contains(refused(values({0, "a"})), "column 1 \"a\" is given twice"));
    CHECK(contains(refused(values({})), "no target column"));
    CsvOptions options = names();
    options.targets = {0, 1};
    CHECK(contains(refused(options), "classes take one target column"));
    options = values({"a"});
    options.header = CsvHeader::no;
    CHECK(contains(refused(options), "no header"));
    options = values();
    options.class_names = {"x"};
    CHECK(contains(refused(options), "class_names are for"));
    options = names();
    options.class_names = {"x", "y", "x"};
    CHECK(contains(refused(options), "given twice"));
    for (const char separator : {'"', '\n', '\r', '\0', '1', '.', '-', '+', 'e'}) {
        options = values();
        options.separator = separator;
        CHECK(contains(refused(options), "the separator"));
    }
    CHECK(contains(table.refused("1,2\n", values({0, 1})), "no column is left for the features"));
}

TEST_CASE("csv: what is cut, flipped or put together at random is a table or an error") {
    const Table table;
    const std::string whole = "\xef\xbb\xbfx,\"y \"\"1\"\"\",\"t\"\r\n1.25,-3e2,ab\r\n\" 7\",8,\"c,d\"\n";
    int read = 0;
    const auto attempt = [&](const std::string& text) {
        for (const CsvTarget target : {CsvTarget::names, CsvTarget::values}) {
            CsvOptions options;
            options.target = target;
            try {
                const auto csv = table.read(text, options);
                for (const float v : csv.data.inputs()) CHECK(std::isfinite(v));
                CHECK(csv.data.inputs().size() == csv.columns.size() * static_cast<std::size_t>(csv.data.size()));
                ++read;
            } catch (const dla::Error& error) {
                CHECK(error.code() == ErrorCode::data);
            }
        }
    };
    for (std::size_t n = 0; n <= whole.size(); ++n) attempt(whole.substr(0, n));
    for (std::size_t i = 0; i < whole.size(); ++i)
        for (int bit = 0; bit < 8; ++bit) {
            std::string bad = whole;
            bad[i] = static_cast<char>(bad[i] ^ (1 << bit));
            attempt(bad);
        }
    dla::RandomStream random({3, 0, 0}, dla::RandomUse::synthesis);
    const std::string alphabet = ",,,\n\n\r\"\"1234.e-+ a\t;";
    for (int round = 0; round < 2000; ++round) {
        std::string text;
        for (std::uint32_t k = random.below(30); k > 0; --k) text += alphabet[random.below(static_cast<std::uint32_t>(alphabet.size()))];
        attempt(text);
    }
    CHECK(read > 100);
}

TEST_CASE("csv: 200 tables that are damaged in one place are refused with the line of the damage") {
    const Table table;
    dla::RandomStream random({4, 0, 0}, dla::RandomUse::synthesis);
    const std::vector<std::string> damage = {"", "x", "nan", "inf", "1,2", "\"", "1\"", "\"1\"2", "1e99", "0x1", "1\r2"};
    for (int round = 0; round < 200; ++round) {
        const std::uint32_t rows = 2 + random.below(8), columns = 2 + random.below(4), row = random.below(rows), column = random.below(columns);
        const std::string& cell = damage[random.below(static_cast<std::uint32_t>(damage.size()))];
        std::string text = "c0";
        for (std::uint32_t c = 1; c < columns; ++c) text += ",c" + std::to_string(c);
        for (std::uint32_t r = 0; r < rows; ++r) {
            text += '\n';
            for (std::uint32_t c = 0; c < columns; ++c) text += (c ? "," : "") + (r == row && c == column ? cell : std::to_string(random.below(1000)));
        }
        CAPTURE(text);
        CHECK(contains(table.refused(text + "\n", values()), "line " + std::to_string(row + 2) + ": "));
    }
}

TEST_CASE("csv: a Loader reads what was read") {
    const Table table;
    const auto csv = table.read(iris, names());
    dla::Loader loader(csv.data, dla::evaluation_options(3, 0));
    loader.start_epoch(1);
    const dla::Batch* batch = loader.next();
    REQUIRE(batch);
    CHECK(batch->count == 3);
    CHECK(batch->inputs[5] == 3.3f);
    CHECK(batch->labels[2] == 2);
}
