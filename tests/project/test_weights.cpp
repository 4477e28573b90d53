// SPDX-License-Identifier: MIT
// Weights go to a file under PyTorch's names and come back; a file that does not fit changes nothing.
#include <dla/inspect/summary.hpp>
#include <dla/nn.hpp>
#include <dla/train/run_state.hpp>
#include <dla/train/weights.hpp>

#include <doctest/doctest.h>
#include <support/error_of.hpp>
#include <support/temporary_folder.hpp>

#include <fstream>
#include <iterator>
#include <sstream>

using namespace dla;

namespace {

// A convolution behind which Flatten permutes columns, and BatchNorm with buffers and a counter.
using Net = Sequential<Conv2d<2, 3, 3>, BatchNorm2d<3>, ReLU, Flatten, Linear<3 * 4 * 4, 5>>;
constexpr Shape image{2, 4, 4};
using Trained = Model<Net, image>;

std::vector<float> some_images(std::size_t count) {
    std::vector<float> x(count * 32);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * 37 % 101) / 50.0f - 1.0f;
    return x;
}

Trained trained_model() {
    Trained model(Seed{3});
    Adam adam;
    train_step(model, adam, CrossEntropy{}, some_images(4), std::vector<std::int32_t>{0, 1, 2, 3});  // moves running means and counter
    return model;
}

}  // namespace

TEST_CASE("weights come back bit for bit, under PyTorch's names") {
    const TemporaryFolder folder;
    const std::string file = folder / "net.safetensors";
    const Trained model = trained_model();
    save_weights(file, model.parameters(), {{"made by", "a test"}});

    const SafetensorsFile read = SafetensorsFile::read(file);
    CHECK(read.metadata().at("made by") == "a test");
    std::vector<std::string> names;
    for (const StoredTensor& t : read.tensors()) names.push_back(t.name);
    CHECK(names == std::vector<std::string>{"0.weight", "0.bias", "1.weight", "1.bias", "4.weight", "4.bias", "1.running_mean", "1.running_var",
                                            "1.num_batches_tracked"});
    CHECK(read.find("4.weight")->shape == std::vector<std::int64_t>{5, 48});

    Trained other(Seed{4});
    REQUIRE(other.predict(some_images(3)) != model.predict(some_images(3)));
    CHECK(load_weights(file, other.parameters()).unused.empty());
    CHECK(other.predict(some_images(3)) == model.predict(some_images(3)));
    CHECK(other.parameters().read(other.parameters().counters[0]) == 1);
}

TEST_CASE("weights are written in 16 bits, and read into a float model when that is asked for") {
    const TemporaryFolder folder;
    const std::string file = folder / "net.safetensors";
    const Trained model = trained_model();
    const auto check = [&]<class Half>(Half, StoredType type) {
        save_weights<Half>(file, model.parameters());
        const SafetensorsFile read = SafetensorsFile::read(file);
        const auto type_of = [&](const char* name) { return read.find(name)->type; };
        CHECK(type_of("0.weight") == type);
        CHECK(type_of("1.num_batches_tracked") == StoredType::i64);
        Trained other(Seed{4});
        const auto before = other.predict(some_images(3));
        CHECK(contains(error_of([&] { load_weights(file, other.parameters()); }), "tensor \"0.weight\" does not fit; expected F32 "));
        CHECK(other.predict(some_images(3)) == before);
        CHECK(load_weights(file, other.parameters(), {.widening = Widening::allow}).unused.empty());
        std::size_t moved = 0;
        const auto same = [&](const auto& to, const auto& from) {
            for (std::size_t i = 0; i < to.size(); ++i) {
                CHECK(to[i] == float{Half(from[i])});
                moved += to[i] != from[i];
            }
        };
        for (const ParamRow& row : model.parameters().parameters) {
            std::vector<float> from(static_cast<std::size_t>(row.count)), to(from.size());
            model.parameters().read(ParamPart::value, row, from);
            other.parameters().read(ParamPart::value, row, to);
            same(to, from);
        }
        for (const BufferRow& row : model.parameters().buffers) {
            std::vector<float> from(static_cast<std::size_t>(row.count)), to(from.size());
            model.parameters().read(row, from);
            other.parameters().read(row, to);
            same(to, from);
        }
        CHECK(moved > 100);  // they were rounded
        CHECK(other.parameters().read(other.parameters().counters[0]) == 1);
    };
    check(bf16{}, StoredType::bf16);
    check(f16{}, StoredType::f16);
}

TEST_CASE("a file that does not fit is refused and changes nothing; what it has beyond the model is named") {
    const TemporaryFolder folder;
    const std::string file = folder / "net.safetensors";
    save_weights(file, trained_model().parameters());

    Model<Sequential<Conv2d<2, 3, 3>, BatchNorm2d<3>, ReLU, Flatten, Linear<3 * 4 * 4, 6>>, image> wider(Seed{5});
    const std::vector<float> before = wider.predict(some_images(2));
    CHECK(contains(error_of([&] { load_weights(file, wider.parameters()); }), "tensor \"4.weight\" does not fit; expected F32 [6, 48], got F32 [5, 48]"));
    CHECK(wider.predict(some_images(2)) == before);

    Model<Sequential<Conv2d<2, 3, 3>, BatchNorm2d<3>, ReLU, Flatten, Linear<3 * 4 * 4, 5>, Linear<5, 5>>, image> longer(Seed{5});
    CHECK(contains(error_of([&] { load_weights(file, longer.parameters()); }), "tensor \"5.weight\" is missing; expected F32 [5, 5]"));

    Model<Net, image, Reference<double>> precise(Seed{5});
    CHECK(error_of([&] { load_weights(file, precise.parameters()); }).ends_with("expected F64 [3, 2, 3, 3], got F32 [3, 2, 3, 3]; {.widening = dla::Widening::allow} takes it"));
    Model<Sequential<Conv2d<2, 4, 3>>, image, Reference<double>> wide(Seed{5});  // widening would not help
    CHECK(error_of([&] { load_weights(file, wide.parameters()); }).ends_with("got F32 [3, 2, 3, 3]"));
    // Every float is a double: where that is allowed nothing changes.
    CHECK(load_weights(file, precise, {.widening = Widening::allow}).unused.empty());
    const auto floats = trained_model();
    for (const ParamRow& row : floats.parameters().parameters) {
        std::vector<float> from(static_cast<std::size_t>(row.count));
        std::vector<double> to(from.size());
        floats.parameters().read(ParamPart::value, row, from);
        precise.parameters().read(ParamPart::value, precise.parameters().parameter(row.path), to);
        CHECK(to == std::vector<double>(from.begin(), from.end()));
    }

    Model<Sequential<Conv2d<2, 3, 3>, BatchNorm2d<3>, ReLU>, image> shorter(Seed{5});
    CHECK(load_weights(file, shorter).unused == std::vector<std::string>{"4.weight", "4.bias"});
}

TEST_CASE("a part of a file is loaded, under other names, and what became of it is told") {
    const TemporaryFolder folder;
    const std::string file = folder / "net.safetensors";
    const auto source = trained_model();
    save_weights(file, source);
    const auto values = [](const auto& model, const char* path) {
        const ParamRow& row = model.parameters().parameter(path);
        std::vector<float> v(static_cast<std::size_t>(row.count));
        model.parameters().read(ParamPart::value, row, v);
        return v;
    };

    // The body of a network that has another head, one level down.
    using Body = Sequential<Conv2d<2, 3, 3>, BatchNorm2d<3>, ReLU>;
    using Other = Sequential<Body, Flatten, Linear<3 * 4 * 4, 6>>;
    Model<Other, image> other(Seed{5});
    const std::vector<float> head = values(other, "2.weight");
    const std::vector<std::pair<std::string, std::string>> down{{"4.", "2."}, {"", "0."}};
    const LoadWeightsReport body = load_weights(file, other, {.only = {"0"}, .rename = down});
    CHECK(body.loaded == std::vector<std::string>{"0.0.weight", "0.0.bias", "0.1.weight", "0.1.bias", "0.1.running_mean", "0.1.running_var", "0.1.num_batches_tracked"});
    CHECK(body.missing.empty());
    CHECK(body.mismatched.empty());
    CHECK(body.unused == std::vector<std::string>{"4.weight", "4.bias"});
    CHECK(body.text() == "7 arrays loaded, 2 of the file not used (4.weight, 4.bias)");
    CHECK(values(other, "0.0.weight") == values(source, "0.weight"));
    CHECK(values(other, "2.weight") == head);

    // All that fits.
    const LoadWeightsReport partial = load_weights(file, other, {.rename = down, .partial = true});
    CHECK(partial.loaded.size() == 7);
    CHECK(partial.mismatched == std::vector<std::string>{"2.weight", "2.bias"});
    CHECK(values(other, "2.weight") == head);
    const LoadWeightsReport nothing = load_weights(file, other, {.only = {"2", "0.0.bias"}, .partial = true});
    CHECK(nothing.missing == std::vector<std::string>{"0.0.bias", "2.weight", "2.bias"});
    CHECK(nothing.unused.size() == 9);

    CHECK(contains(error_of([&] { load_weights(file, other, {.only = {"0"}}); }), "tensor \"0.0.weight\" is missing"));
    // A name that was moved away is not read where it was.
    Model<Sequential<Sequential<Conv2d<2, 3, 3>>, Conv2d<3, 3, 3>>, image> moved(Seed{5});
    CHECK(contains(error_of([&] { load_weights(file, moved, {.rename = {{"1.", "7."}, {"0.", "0.0."}}}); }),
                   "tensor \"1.weight\" is missing, as names are after renaming"));
    CHECK(contains(error_of([&] { load_weights(file, other, {.only = {"head"}}); }), "LoadWeightsOptions::only matches nothing in the model; paths look like 0.0.weight"));
    CHECK(contains(error_of([&] { load_weights(file, other, {.rename = {{"0.", "x."}, {"4.", "x."}}}); }), "are both to be \"x.weight\"; rename less"));
}

TEST_CASE("a model whose type is forgotten has the files of its own, and is written to streams") {
    const TemporaryFolder folder;
    const auto source = trained_model();
    save_weights(folder / "typed.safetensors", source);
    const auto any = any_model(source.clone());
    save_weights(folder / "any.safetensors", *any);
    save_weights<bf16>(folder / "half.safetensors", *any);
    const auto bytes = [](const std::string& path) {
        std::ifstream in(path, std::ios::binary);
        return std::string(std::istreambuf_iterator<char>(in), {});
    };
    CHECK(bytes(folder / "any.safetensors") == bytes(folder / "typed.safetensors"));
    const auto fresh = any_model(std::remove_cvref_t<decltype(source)>(Seed{77}));
    CHECK_FALSE(take_weights(*fresh) == take_weights(*any));
    CHECK(load_weights(folder / "any.safetensors", *fresh).unused.empty());
    CHECK(take_weights(*fresh) == take_weights(*any));
    CHECK(contains(error_of([&] { load_weights(folder / "half.safetensors", *fresh); }), "does not fit"));
    CHECK(load_weights(folder / "half.safetensors", *fresh, {.widening = Widening::allow}).loaded.size() == 9);

    // In double nothing is rounded on the way to the file and back; half of it is.
    Model<Sequential<Conv2d<2, 3, 3>, BatchNorm2d<3>, ReLU>, image, Cpu<double>> precise(Seed{5}), other(Seed{6});
    std::vector<double> thirds(54, 1.0 / 3), got(54);
    precise.parameters().write(ParamPart::value, precise.parameters().parameter("0.weight"), thirds);
    save_weights(folder / "f64.safetensors", *any_model(precise));
    load_weights(folder / "f64.safetensors", *any_model(other));
    other.parameters().read(ParamPart::value, other.parameters().parameter("0.weight"), got);
    CHECK(got == thirds);
    save_weights<f16>(folder / "f16.safetensors", precise);
    load_weights(folder / "f16.safetensors", other, {.widening = Widening::allow});
    other.parameters().read(ParamPart::value, other.parameters().parameter("0.weight"), got);
    CHECK(got[0] == static_cast<double>(float{f16(1.0f / 3)}));
    CHECK(contains(error_of([&] { put_weights(*any_model(other), take_weights(*any)); }), "are of another type"));
    Weights cut = take_weights(*any);
    cut.arrays.pop_back();
    CHECK(contains(error_of([&] { put_weights(*fresh, cut); }), "are of another network"));
    cut = take_weights(*any);
    cut.arrays[0].resize(8);
    CHECK(contains(error_of([&] { put_weights(*fresh, cut); }), "are of another network"));
    cut = take_weights(*any);
    cut.counters.clear();
    CHECK(contains(error_of([&] { put_weights(*fresh, cut); }), "are of another network"));
    // From one to the other, rounded once.
    save_weights<float>(folder / "f32.safetensors", precise);
    Model<Sequential<Conv2d<2, 3, 3>, BatchNorm2d<3>, ReLU>, image> floats(Seed{6});
    CHECK(load_weights(folder / "f32.safetensors", floats).unused.empty());
    std::vector<float> rounded_thirds(54);
    floats.parameters().read(ParamPart::value, floats.parameters().parameter("0.weight"), rounded_thirds);
    CHECK(rounded_thirds == std::vector<float>(54, static_cast<float>(1.0 / 3)));
    save_weights<double>(folder / "wide.safetensors", floats);
    load_weights(folder / "wide.safetensors", other);
    other.parameters().read(ParamPart::value, other.parameters().parameter("0.weight"), got);
    CHECK(got == std::vector<double>(54, static_cast<double>(static_cast<float>(1.0 / 3))));

    std::ostringstream table, typed, report;
    table << *any;
    typed << source;
    CHECK(table.str().substr(0, table.str().find("memory")) == typed.str().substr(0, typed.str().find("memory")));
    report << copy_weights(source.parameters(), other.parameters());
    CHECK(report.str() == "6 arrays copied, 2 of the source not used (4.weight, 4.bias)");
}
