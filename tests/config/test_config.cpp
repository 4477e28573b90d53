// SPDX-License-Identifier: MIT
#include <dla/config.hpp>

#include <doctest/doctest.h>
#include <support/error_of.hpp>
#include <support/temporary_folder.hpp>

#include <set>

namespace {

dla::ExperimentConfig parse(const std::string& text, std::vector<std::string> overrides = {}) { return dla::parse_config(text, "m.toml", overrides); }

/// The lines of the error after its first.
std::vector<std::string> problems(const std::string& text, std::vector<std::string> overrides = {}) {
    const std::string error = error_of([&] { parse(text, overrides); });
    std::vector<std::string> lines;
    for (std::size_t at = error.find('\n'); at != std::string::npos;) {
        const std::size_t end = error.find('\n', at + 1);
        lines.push_back(error.substr(at + 1, end == std::string::npos ? end : end - at - 1));
        at = end;
    }
    return lines;
}

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("an empty file is the CNN on CIFAR-10, and the struct's own defaults are the table's") {
    CHECK(parse("") == dla::ExperimentConfig{});
    CHECK(parse("[model]\n[training]\n[dataset]\n") == dla::ExperimentConfig{});
    CHECK(dla::problems_of({}).empty());
}

TEST_CASE("defaults depend on the model and on the data set") {
    const auto mlp = dla::default_config("mlp", "mnist");
    CHECK(mlp.training.batch_size == 128);
    CHECK(mlp.training.num_epochs == 20);
    CHECK(mlp.training.early_stopping_patience == 5);
    CHECK(mlp.model.layer_sizes == dla::Integers{128, 64, 32, 32, 10});
    CHECK(mlp.model.input_shape == dla::Integers{1, 28, 28});
    CHECK_FALSE(mlp.dataset.augment);
    CHECK(dla::default_config("mlp", "cifar10").model.layer_sizes == dla::Integers{512, 256, 128, 10});
    const auto cnn = dla::default_config("cnn", "fashion_mnist");
    CHECK(cnn.model.filters == dla::Integers{16, 32, 64, 128});
    CHECK(cnn.training.batch_size == 256);
    CHECK(cnn.training.num_epochs == 50);
    CHECK(cnn.training.early_stopping_patience == 7);
    CHECK(dla::default_config("cnn", "digits").dataset.size == 60000);
    CHECK(parse("[model]\nname = \"mlp\"\n[training]\nbatch_size = 256\n").training.batch_size == 256);
}

TEST_CASE("all errors at once, in the order of the file, each with its place") {
    const Lines lines = problems(
        "batch_size = 3\n"
        "[model]\n"
        "filtres = [1]\n"
        "kernel_size = \"3\"\n"
        "dropout = 1\n"
        "filters = [32, 64.5]\n"
        "layer_sizes = [3]\n"
        "[training]\n"
        "learning_rate = -1\n"
        "optimiser = \"adam\"\n"
        "optimizer = \"adm\"\n"
        "input_shape = 3\n"
        "qqq = 3\n"
        "[dataste]\n",
        {"model.foo=3", "training.batch_size=x", "training.seed=-1", "nonsense"});
    REQUIRE(lines.size() == 16);
    CHECK(lines[0] ==
          "m.toml:1:1: unknown key batch_size; expected the tables [model], [training], [dataset] and [augmentation], got integer 3; "
          "did you mean training.batch_size?");
    CHECK(lines[1] == "m.toml:3:1: unknown key model.filtres; did you mean model.filters?");
    CHECK(lines[2] == "m.toml:4:15: model.kernel_size: wrong type; expected integer, got string \"3\"; remove the quotes");
    CHECK(lines[3] == "m.toml:5:11: model.dropout: out of range; expected 0.0 <= x < 1.0, got 1.0");
    CHECK(lines[4] == "m.toml:6:11: model.filters: wrong type of value 2; expected integer, got number 64.5");
    CHECK(lines[5] == "m.toml:7:15: model.layer_sizes is only for mlp, and this is cnn; remove it");
    CHECK(lines[6] == "m.toml:9:17: training.learning_rate: out of range; expected 0.0 < x <= 100.0, got -1.0");
    CHECK(lines[7] == "m.toml:10:1: unknown key training.optimiser; did you mean training.optimizer?");
    CHECK(lines[8] == "m.toml:11:13: training.optimizer: unknown value; expected adam | adamw | sgd | muon, got \"adm\"; did you mean \"adam\"?");
    CHECK(lines[9] == "m.toml:12:1: unknown key training.input_shape; did you mean model.input_shape?");
    CHECK(contains(lines[10], "m.toml:13:1: unknown key training.qqq; expected one of learning_rate, batch_size, "));
    CHECK(lines[11] == "m.toml:14:2: unknown table [dataste]; expected [model], [training], [dataset] or [augmentation]; did you mean [dataset]?");
    CHECK(contains(lines[12], "--set model.foo: unknown key; expected one of name, input_shape, "));
    CHECK(contains(lines[13], "--set training.batch_size: not a TOML value: x: "));
    CHECK(lines[14] == "--set nonsense: not an assignment; expected table.key=value, such as training.batch_size=64");
    CHECK(lines[15] == "--set training.seed: out of range; expected 0 <= x <= 9000000000000000, got -1");
    CHECK(contains(error_of([] { parse("[model]\nkernel_size = 2\n"); }),
                   "error[config] m.toml: 1 error\nm.toml:2:15: model.kernel_size: out of range; "
                   "expected 1 <= x <= 31, odd, got 2"));
}

TEST_CASE("keys as other libraries call them are answered by ours") {
    CHECK(problems("[training]\nepochs = 3\nlr = 0.1\n") == Lines{"m.toml:2:1: unknown key training.epochs; did you mean training.num_epochs?",
                                                                  "m.toml:3:1: unknown key training.lr; did you mean training.learning_rate?"});
}

TEST_CASE("values that contradict each other") {
    CHECK(problems("[model]\nnum_classes = 7\nlayer_sizes = [1, 2]\nname = \"mlp\"\n[dataset]\nval_size = 60000\nname = \"mnist\"\n",
                   {"training.batch_size=1", "training.warmup_epochs=30"}) ==
          Lines{"m.toml:2:15: model.num_classes: does not fit the data set mnist; expected 10, got 7",
                "m.toml:3:15: model.layer_sizes: the last layer gives one value for each class; expected 7, got 2",
                "m.toml:6:12: dataset.val_size: no images are left for training; expected less than 60000, got 60000",
                "--set training.batch_size: batch normalisation of an mlp needs more than one image a step; expected at least 2, got 1",
                "--set training.warmup_epochs: longer than the training; expected at most 20, got 30"});
    CHECK(problems("[model]\ninput_shape = [1, 28, 28]\n") ==
          Lines{"m.toml:2:15: model.input_shape: does not fit the data set cifar10; expected [3, 32, 32], got [1, 28, 28]"});
    CHECK(problems("[dataset]\nname = \"mnist\"\n[model]\nfilters = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n") ==
          Lines{"m.toml:4:11: model.filters: the image is halved after every second block and vanishes; expected at most 9 values, got 10"});
    CHECK(problems("[dataset]\nname = \"mnist\"\n[model]\nresidual = true\nfilters = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n").empty());
    CHECK(problems("[training]\nlearning_rate = 1e-7\n") == Lines{"m.toml:2:17: training.min_lr: above the learning rate; expected at most 1e-07, got 1e-06"});
    CHECK(problems("[training]\nlearning_rate = 1e-7\nscheduler = \"cosine\"\n").empty());
    CHECK(problems("[training]\nwarmup_epochs = 2\nscheduler = \"one_cycle\"\n") ==
          Lines{"m.toml:2:17: training.warmup_epochs: one_cycle has a warm-up of its own; expected 0, got 2"});
    CHECK(problems("[dataset]\nsize = 100\n") == Lines{"m.toml:2:8: dataset.size is only for digits, and this is cifar10; remove it"});
    CHECK(problems("[dataset]\nname = \"digits\"\nsize = 100\n") ==
          Lines{"m.toml:3:8: dataset.val_size: no images are left for training; expected less than 100, got 5000"});
    CHECK(problems("[model]\nname = \"mlp\"\ndropout = 0.5\nfilters = [3]\n").size() == 2);
    CHECK(problems("[dataset]\nname = \"digits\"\nsize = 100\nval_size = 99\n") ==
          Lines{"m.toml:4:12: dataset.val_size: one image is left for training, and batch normalisation needs two; expected at most 98, got 99"});
    CHECK(problems("[dataset]\nname = \"digits\"\nsize = 100\nval_size = 98\n").empty());
    const std::string one = "[training]\nbatch_size = 1\n[dataset]\nname = \"mnist\"\n[model]\nfilters = ";
    CHECK(problems(one + "[1, 1, 1, 1, 1, 1, 1, 1, 1]\n") ==
          Lines{"m.toml:2:14: training.batch_size: the last block sees one pixel of each image, and batch normalisation needs two values of a channel; "
                "expected at least 2, got 1"});
    CHECK(problems(one + "[1, 1, 1, 1, 1, 1, 1, 1]\n").empty());
    CHECK(problems("[training]\ncheckpoint_dir = \"a\\u0000b\"\n") ==
          Lines{"m.toml:2:18: training.checkpoint_dir: a path cannot hold the character NUL; remove \\u0000"});
}

TEST_CASE("types, one by one") {
    CHECK(parse("[training]\nlearning_rate = 1\n").training.learning_rate == 1.0);
    CHECK(problems("[training]\nbatch_size = 64.0\n") == Lines{"m.toml:2:14: training.batch_size: wrong type; expected integer, got number 64.0"});
    CHECK(problems("[training]\nlearning_rate = nan\n") == Lines{"m.toml:2:17: training.learning_rate: out of range; expected 0.0 < x <= 100.0, got nan"});
    CHECK(problems("[training]\nclip_grad_norm = inf\n") == Lines{"m.toml:2:18: training.clip_grad_norm: out of range; expected 0.0 <= x, got inf"});
    CHECK(problems("[model]\nresidual = 1\n") == Lines{"m.toml:2:12: model.residual: wrong type; expected boolean, got integer 1"});
    CHECK(problems("[model]\nname = 1979-05-27\n") == Lines{"m.toml:2:8: model.name: wrong type; expected string, got date or time"});
    CHECK(problems("[model]\nname = [1]\n") == Lines{"m.toml:2:8: model.name: wrong type; expected string, got array"});
    CHECK(problems("[model]\nfilters = []\n") ==
          Lines{"m.toml:2:11: model.filters: out of range; expected 1 to 1024 values, each 1 <= x <= 65536, got 0 values"});
    CHECK(problems("[model]\nfilters = [8, 0]\n") == Lines{"m.toml:2:11: model.filters: out of range; expected 1 to 1024 values, each 1 <= x <= 65536, got 0"});
    CHECK(contains(problems("[model]\ninput_shape = [32, 32]\n")[0], "expected 3 values, each 1 <= x <= 65536, got 2 values"));
    CHECK(problems("[dataset]\ndata_dir = \"\"\n") == Lines{"m.toml:2:12: dataset.data_dir: empty; expected a path"});
    CHECK(problems("[[model]]\nname = \"cnn\"\n").size() == 1);
    CHECK(
        problems("model = 3\n") ==
        Lines{"m.toml:1:1: wrong type of model; expected the tables [model], [training], [dataset] and [augmentation], got integer 3; did you mean [model]?"});
    // A wrong name does not make errors out of the keys that depend on it.
    CHECK(problems("[model]\nname = \"mpl\"\nlayer_sizes = [4]\n") ==
          Lines{"m.toml:2:8: model.name: unknown value; expected cnn | mlp | whitened_cnn, got \"mpl\"; did you mean \"mlp\"?"});
}

TEST_CASE("overrides win, also over a wrong value in the file") {
    CHECK(parse("[training]\nbatch_size = 8\n", {"training.batch_size=64"}).training.batch_size == 64);
    CHECK(parse("[training]\nbatch_size = \"x\"\n", {"training.batch_size = 64"}).training.batch_size == 64);
    CHECK(parse("", {"training.batch_size=64", "training.batch_size=65"}).training.batch_size == 65);
    CHECK(parse("", {"model.name=mlp", "dataset.name=\"mnist\""}) == dla::default_config("mlp", "mnist"));
    CHECK(parse("", {"model.filters=[8, 16]"}).model.filters == dla::Integers{8, 16});
    CHECK(parse("", {"training.checkpoint_dir=a=b.c/\"d\""}).training.checkpoint_dir == "a=b.c/\"d\"");
    CHECK(parse("", {"training.checkpoint_dir='3'"}).training.checkpoint_dir == "3");
    CHECK(problems("", {"training.seed=1\nx = 2"}) == Lines{"--set training.seed: not one TOML value: 1?x = 2"});
    CHECK(problems("", {"model=3"}) == Lines{"--set model=3: not an assignment; expected table.key=value, such as training.batch_size=64"});
    CHECK(problems("", {"modle.nmae=3"}) == Lines{"--set modle.nmae: unknown key; did you mean model.name?"});
}

TEST_CASE("canonical text reads back to the same experiment") {
    for (const char* model : {"cnn", "mlp", "whitened_cnn"})
        for (const char* dataset : {"mnist", "cifar10", "fashion_mnist", "digits"}) {
            auto config = dla::default_config(model, dataset);
            config.training.learning_rate = 1.0 / 3;
            config.training.clip_grad_norm = 1e300;
            config.training.seed = 9000000000000000;
            config.training.checkpoint_dir = "a \"b\" \\ \t\x7f\n\xc3\xa4 # c";
            CHECK(parse(dla::to_toml(config)) == config);
            CHECK(dla::to_toml(parse(dla::to_toml(config))) == dla::to_toml(config));
        }
}

TEST_CASE("the hash sees what changes the result and nothing else") {
    const dla::ExperimentConfig base;
    std::set<std::uint64_t> hashes{dla::config_hash(base)};
    for (const auto& k : dla::config_keys()) {
        if (!dla::applies(k, "cnn", "cifar10") || k.key == "name") continue;
        CAPTURE(k.key);
        auto changed = base;
        std::visit(
            [](auto* field) {
                using T = std::remove_pointer_t<decltype(field)>;
                if constexpr (std::is_same_v<T, std::string>)
                    *field += "x";
                else if constexpr (std::is_same_v<T, dla::Integers>)
                    field->push_back(1);
                else if constexpr (std::is_same_v<T, bool>)
                    *field = !*field;
                else
                    *field += 1;
            },
            k.field(changed));
        CHECK((dla::config_hash(changed) != dla::config_hash(base)) == k.changes_result);
        CHECK(hashes.insert(dla::config_hash(changed)).second == k.changes_result);
    }
    CHECK(dla::config_hash(dla::default_config("mlp", "mnist")) != dla::config_hash(dla::default_config("mlp", "digits")));
}

TEST_CASE("the table itself is sound") {
    std::set<std::string> names;
    for (const auto& k : dla::config_keys()) {
        CAPTURE(k.key);
        CHECK(names.insert(dla::detail::full_name(k)).second);
        CHECK(k.meaning.ends_with('.'));
        CHECK(dla::find_config_key(k.table, k.key) == &k);
        CHECK(contains(dla::config_help(), "  " + std::string(k.key) + ": "));
    }
    const std::string spec[] = {"model.name",          "model.input_shape",      "model.num_classes",
                                "model.filters",       "model.layer_sizes",      "model.kernel_size",
                                "model.residual",      "training.learning_rate", "training.batch_size",
                                "training.num_epochs", "training.weight_decay",  "training.checkpoint_dir",
                                "training.log_every",  "training.save_every",    "training.early_stopping_patience",
                                "training.optimizer",  "training.scheduler",     "dataset.name",
                                "dataset.data_dir",    "dataset.val_size"};
    for (const auto& name : spec) CHECK(names.contains(name));
}

TEST_CASE("edit distance") {
    CHECK(dla::detail::edit_distance("kitten", "sitting") == 3);
    CHECK(dla::detail::edit_distance("", "abc") == 3);
    CHECK(dla::detail::edit_distance("abc", "") == 3);
    CHECK(dla::detail::edit_distance("mpl", "mlp") == 1);
    CHECK(dla::detail::edit_distance("nmae", "name") == 1);
    CHECK(dla::detail::edit_distance("abc", "abc") == 0);
}

TEST_CASE("docs/config_reference.md is the schema's page") {
    const std::string page = file_text(DLA_SOURCE_DIR "/docs/config_reference.md");
    // Written anew on request: DLA_UPDATE_DOCS=1 config_test -tc="docs*"
    if (std::getenv("DLA_UPDATE_DOCS"))
        put_file(DLA_SOURCE_DIR "/docs/config_reference.md", dla::config_reference());
    else
        CHECK(page == dla::config_reference());
}

TEST_CASE("augmentation is a table of its own, which says nothing while dataset.augment is false") {
    const auto parsed = [](const std::string& text) { return dla::parse_config(text, "m.toml"); };
    const auto c = parsed(
        "[model]\nname = \"mlp\"\n[training]\nema = 0.99\nmixup = 0.2\n[dataset]\nname = \"mnist\"\naugment = true\n"
        "[augmentation]\ncrop = 2\nflip = false\ncutout = 3\nrotate = 10\nscale = 0.1\nbrightness = 0.2\ncontrast = 0.3\n");
    CHECK(c.augmentation == dla::AugmentationConfig{.crop = 2, .flip = false, .cutout = 3, .rotate = 10, .scale = 0.1, .brightness = 0.2, .contrast = 0.3});
    CHECK((c.training.ema == 0.99 && c.training.mixup == 0.2));
    CHECK(parsed(dla::to_toml(c)) == c);
    CHECK(contains(dla::to_toml(c, true), "[augmentation]\ncrop = 2\nflip = false\n"));
    // Checkpoints of before these keys were there still fit.
    CHECK(!contains(dla::to_toml(dla::ExperimentConfig{}), "augmentation"));
    CHECK(!contains(dla::to_toml(dla::ExperimentConfig{}), "ema"));
    const auto problem = [&](const std::string& text) {
        try {
            parsed(text);
        } catch (const dla::Error& e) {
            return std::string(e.what());
        }
        return std::string();
    };
    CHECK(
        contains(problem("[dataset]\nname = \"mnist\"\n[augmentation]\nrotate = 5\n"), "m.toml:4:10: augmentation.rotate: nothing is done to training images"));
    CHECK(contains(problem("[dataset]\naugment = false\n[augmentation]\nflip = false\n"), "augmentation.flip: nothing is done"));
    CHECK(problem("[dataset]\naugment = false\n").empty());
    CHECK(contains(problem("[dataset]\nname = \"mnist\"\naugment = true\n[augmentation]\nsaturation = 0.1\n"),
                   "augmentation.saturation: is of images in colour"));
    CHECK(contains(problem("[augmentation]\nrotat = 5\n"), "did you mean augmentation.rotate"));
    CHECK(contains(problem("[augmentation]\nscale = 1.0\n"), "out of range"));
    CHECK(contains(problem("[training]\nema = 1.0\n"), "out of range"));
    CHECK(contains(problem("[training]\nnesterov = true\n"), "training.nesterov: is of sgd with a momentum"));
    CHECK(problem("[training]\nnesterov = true\noptimizer = \"sgd\"\n").empty());
}

TEST_CASE("every file in configs/ is read, and says what its name says") {
    std::map<std::string, dla::ExperimentConfig> configs;
    for (const auto& entry : std::filesystem::directory_iterator(DLA_SOURCE_DIR "/configs")) {
        CAPTURE(entry.path().string());
        if (entry.is_directory()) continue;  // tuned/, lists/
        REQUIRE(entry.path().extension() == ".toml");
        const auto config = dla::load_config(entry.path().string());
        const std::string stem = entry.path().stem().string();
        if (stem == "cifar10_fast") {  // a network and a recipe of its own
            CHECK(config.model == dla::default_config("whitened_cnn", "cifar10").model);
            continue;
        }
        CHECK(contains(stem, config.model.name));
        CHECK(contains(stem, "residual") == config.model.residual);
        if (!stem.starts_with("m_")) CHECK(stem.starts_with(config.dataset.name.substr(0, config.dataset.name.find('_'))));
        auto expected = dla::default_config(config.model.name, config.dataset.name);  // the files spell out the defaults
        expected.model.residual = config.model.residual;
        CHECK(config == expected);
        configs.emplace(stem, config);
    }
    CHECK(configs.size() == 11);
    // Tuned ones train the same networks.
    for (const auto& entry : std::filesystem::directory_iterator(DLA_SOURCE_DIR "/configs/tuned")) {
        const std::string stem = entry.path().stem().string();
        CAPTURE(stem);
        const auto config = dla::load_config(entry.path().string());
        CHECK(config.model == configs
                                  .at(stem == "cifar10_cnn"            ? "m_cnn"
                                      : stem == "cifar10_cnn_residual" ? "m_cnn_residual"
                                      : stem == "mnist_mlp"            ? "m_mlp"
                                      : stem == "mnist_mlp_residual"   ? "m_mlp_residual"
                                                                       : stem)
                                  .model);
        CHECK(config.dataset.val_size == 5000);
    }
    CHECK(configs.at("m_cnn") == dla::ExperimentConfig{});
    CHECK(dla::run_name(configs.at("m_mlp")) == "mlp_mnist");
    CHECK(dla::run_name(configs.at("mnist_cnn_residual")) == "cnn_residual_mnist");
}
