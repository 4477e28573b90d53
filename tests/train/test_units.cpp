// SPDX-License-Identifier: MIT
// The small parts of training: means, early stopping, progress, and the log of a run that is resumed.
#include <doctest/doctest.h>

#include <dla/data.hpp>
#include <dla/io/json.hpp>
#include <dla/train.hpp>
#include <dla/zoo.hpp>

#include <support/error_of.hpp>
#include <support/temporary_folder.hpp>

#include <set>
#include <sstream>

using namespace dla;

namespace {

/// What `write` sends to a file that is no terminal.
template <class Write>
std::string printed(const Write& write) {
    const TemporaryFolder folder;
    const std::string path = folder / "out";
    std::FILE* out = std::fopen(path.c_str(), "w");
    REQUIRE(out != nullptr);
    write(out);
    std::fclose(out);
    return file_text(path);
}

std::unique_ptr<AnyModel> tiny() {
    ModelConfig config;
    config.name = "mlp";
    config.input_shape = {1, 2, 2};
    config.layer_sizes = {3, 2};
    return make_model(config, Seed{1}, 1);
}

/// All event files of a folder in the order in which TensorBoard reads them.
std::string events_in(const std::string& folder) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder))
        if (entry.path().filename().string().starts_with("events.")) names.push_back(entry.path().string());
    std::ranges::sort(names);
    std::string all;
    for (const std::string& name : names) all += file_text(name);
    return all;
}

}  // namespace

TEST_CASE("means weigh batches by their samples") {
    RunningMean mean;
    CHECK(std::isnan(mean.loss()));
    CHECK(mean.accuracy() == 0);
    mean.add({.loss = 1.0, .weight = 4, .correct = 3, .counted = 4});
    mean.add({.loss = 4.0, .weight = 2, .correct = 0, .counted = 2});
    CHECK(mean.loss() == doctest::Approx(2.0));
    CHECK(mean.accuracy() == doctest::Approx(50.0));
    CHECK(mean.count == 6);
}

TEST_CASE("with class weights, losses are weighed by the weights they were divided by, accuracies by samples") {
    RunningMean mean;
    mean.add({.loss = 1.0, .weight = 9, .correct = 3, .counted = 3});
    mean.add({.loss = 4.0, .weight = 1, .correct = 0, .counted = 3});
    CHECK(mean.loss() == doctest::Approx(1.3));
    CHECK(mean.accuracy() == doctest::Approx(50.0));
    // Every sample of this batch is of a class that weighs nothing: its mean loss is 0 / 0, its predictions count.
    mean.add({.loss = std::numeric_limits<double>::quiet_NaN(), .weight = 0, .correct = 2, .counted = 2});
    mean.add({.loss = std::numeric_limits<double>::quiet_NaN(), .weight = 0, .correct = 0, .counted = 0});  // every label is ignored
    CHECK(mean.loss() == doctest::Approx(1.3));
    CHECK(mean.accuracy() == doctest::Approx(62.5));
    mean.add({.loss = std::numeric_limits<double>::quiet_NaN(), .weight = 1, .correct = 0, .counted = 1});
    CHECK(std::isnan(mean.loss()));  // a loss that is not finite stays visible
}

TEST_CASE("a loader's loss does not depend on how it is cut into batches, also with class weights") {
    const Dataset digits = make_digits(90, Seed{1});
    ModelConfig config;
    config.name = "mlp";
    config.input_shape = {1, 28, 28};
    config.layer_sizes = {4, 10};
    const auto model = make_model(config, Seed{1}, 1);
    CrossEntropy loss;
    const auto mean = [&](int batch) {
        Loader loader(digits, all_samples(digits), evaluation_options(batch));
        return evaluate(*model, loss, loader);
    };
    for (const bool weighted : {false, true}) {
        CAPTURE(weighted);
        loss.class_weights = weighted ? std::vector<double>{0.1, 9, 1, 0, 3, 0.5, 1, 1, 20, 2} : std::vector<double>{};
        const Evaluation whole = mean(90);
        for (const int batch : {1, 7, 32}) {
            CAPTURE(batch);
            const Evaluation parts = mean(batch);
            CHECK(parts.loss == doctest::Approx(whole.loss).epsilon(1e-6));  // float logits may round otherwise in another batch size
            CHECK(parts.accuracy == whole.accuracy);
        }
    }
}

TEST_CASE("early stopping counts epochs without a better accuracy") {
    EarlyStopping s;
    CHECK(s.update(1, 0.0));  // any accuracy beats none
    CHECK_FALSE(s.update(2, 0.0));
    CHECK(s.update(3, 50.0));
    CHECK(s.epochs_without_improvement == 0);
    CHECK_FALSE(s.update(4, 50.0));  // equal is not better: the earlier weights are kept
    CHECK_FALSE(s.update(5, 49.0));
    CHECK(s.best_epoch == 3);
    CHECK(s.best == 50.0);
    CHECK_FALSE(s.should_stop(3));
    CHECK(s.should_stop(2));
    CHECK_FALSE(s.should_stop(0));  // 0: never
    CHECK_FALSE(s.update(6, std::numeric_limits<double>::quiet_NaN()));
    CHECK(s.should_stop(3));
}

TEST_CASE("durations read as a clock") {
    CHECK(duration_text(0) == "00:00");
    CHECK(duration_text(-3) == "00:00");
    CHECK(duration_text(59.6) == "01:00");
    CHECK(duration_text(3599) == "59:59");
    CHECK(duration_text(3661) == "1:01:01");
    CHECK(duration_text(360000) == "100:00:00");
}

TEST_CASE("without a terminal, progress writes no control characters and says little") {
    const auto epoch = [](Progress p) {
        p.start("epoch 1/2", 1000, 997);
        for (int i = 998; i <= 1000; ++i) p.update(i, 32, 0.5 / i);
        p.clear();
    };
    CHECK(printed([&](std::FILE* out) { epoch(Progress(false, out)); }).empty());  // a line every ten seconds, and this took less
    CHECK(printed([&](std::FILE* out) { epoch(Progress(true, out, 0)); }).empty());
    std::string text = printed([&](std::FILE* out) { epoch(Progress(false, out, 0)); });
    for (const int step : {998, 999, 1000}) {
        CAPTURE(text);
        const std::string begin = "epoch 1/2  " + std::to_string(step) + "/1000  loss 0.0005  ", line = text.substr(0, text.find('\n'));
        CHECK(line.starts_with(begin));
        CHECK(contains(line, " img/s  ETA 00:00"));
        CHECK(std::atof(line.c_str() + begin.size()) > 0);  // images a second
        CHECK(line.find_first_of("\r\033") == std::string::npos);
        text.erase(0, line.size() + 1);
    }
    CHECK(text.empty());
}

TEST_CASE("a trainer without a folder for checkpoints writes and removes no file") {
    const TemporaryFolder folder;
    // Where checkpoints would lie if "" were the root folder.
    const std::string name = folder.path.substr(1) + "/x", other = folder / "x_interrupted.safetensors";
    std::ofstream(other) << "somebody else's";
    const Dataset digits = make_digits(60, Seed{1});
    ModelConfig config;
    config.name = "mlp";
    config.input_shape = {1, 28, 28};
    config.layer_sizes = {4, 10};
    const auto model = make_model(config, Seed{1}, 1);
    Optimizer optimizer = make_optimizer("adam", {.learning_rate = 1e-3});
    AnySchedule schedule{AnyScheduleOptions{}};
    const CrossEntropy loss;
    Loader train(digits, all_samples(digits), {.batch_size = 20}), validation(digits, all_samples(digits), evaluation_options(20));
    Trainer trainer(*model, optimizer, schedule, loss, train, validation, {.name = name, .checkpoint_dir = "", .epochs = 1, .quiet = true});
    TrainingCallback nobody;
    const TrainingResult result = trainer.run(nobody);
    CHECK(result.checkpoint.empty());
    CHECK(trainer.save_final({.accuracy = 50}).empty());
    CHECK(file_text(other) == "somebody else's");
    CHECK(std::distance(std::filesystem::directory_iterator(folder.path), {}) == 1);
}

TEST_CASE("a last batch that normalisation cannot train on is refused before the first") {
    const Dataset digits = make_digits(60, Seed{1});
    ModelConfig config;
    config.name = "mlp";
    config.residual = true;
    config.input_shape = {1, 28, 28};
    config.layer_sizes = {4, 10};
    const auto error = [&](index_t batch_size, int parts, bool eval, LastBatch last = LastBatch::keep) {
        const auto model = make_model(config, Seed{1}, 1);
        if (eval) model->set_eval("*");
        Optimizer optimizer = make_optimizer("adam");
        AnySchedule schedule{AnyScheduleOptions{}};
        Loader train(digits, all_samples(digits), {.batch_size = batch_size, .last_batch = last}),
            validation(digits, all_samples(digits), evaluation_options(20));
        Trainer trainer(*model, optimizer, schedule, {}, train, validation, {.checkpoint_dir = "", .epochs = 1, .micro_batches = parts, .quiet = true});
        TrainingCallback nobody;
        std::string text = error_of([&] { trainer.run(nobody); });
        CHECK((text == "no error") == (trainer.state().step > 0));  // nothing was trained when it refuses
        return text;
    };
    CHECK(error(59, 1, false) ==
          "error[usage] trainer: the last batch of an epoch has 1 sample; 1 part of this network's training need at least 2; drop it "
          "(LastBatch::drop), or use another batch size or fewer parts");
    CHECK(contains(error(54, 4, false), "has 6 samples; 4 parts of this network's training need at least 8"));
    CHECK(error(52, 4, false) == "no error");
    CHECK(error(59, 1, true) == "no error");
    CHECK(error(54, 4, true) == "no error");
    CHECK(error(54, 4, false, LastBatch::drop) == "no error");
}

TEST_CASE("a trainer keeps the loss it was given") {
    const Dataset digits = make_digits(60, Seed{1});
    ModelConfig config;
    config.name = "mlp";
    config.input_shape = {1, 28, 28};
    config.layer_sizes = {4, 10};
    const auto trained = [&](bool temporary) {
        const auto model = make_model(config, Seed{1}, 1);
        Optimizer optimizer = make_optimizer("adam", {.learning_rate = 1e-3});
        AnySchedule schedule{AnyScheduleOptions{}};
        Loader train(digits, all_samples(digits), {.batch_size = 20}), validation(digits, all_samples(digits), evaluation_options(20));
        const TrainerOptions options{.checkpoint_dir = "", .epochs = 1, .quiet = true};
        const CrossEntropy loss{.label_smoothing = 0.1, .class_weights = std::vector<double>(10, 2.5), .reduction = Reduction::sum};
        std::optional<Trainer> trainer;
        if (temporary)
            trainer.emplace(*model, optimizer, schedule, CrossEntropy(loss), train, validation, options);
        else
            trainer.emplace(*model, optimizer, schedule, loss, train, validation, options);
        const std::vector<double> other(10, 7.5);  // into the memory that a destroyed loss has given back
        TrainingCallback nobody;
        return trainer->run(nobody).state.history.back().train_loss + 0 * other[0];
    };
    CHECK(trained(true) == trained(false));
}

namespace {

EpochMetrics metrics_of(int epoch) { return {.epoch = epoch, .train_loss = 1, .train_accuracy = 50, .val_loss = 1, .val_accuracy = 40, .learning_rate = 1e-3}; }
/// What a checkpoint says of a run with four steps in an epoch.
RunState at(std::int64_t step, int epochs, const std::string& id = "") {
    RunState state;
    state.run = id;
    state.step = step;
    state.epoch = epochs;
    state.batch = step - 4 * epochs;
    for (int e = 1; e <= epochs; ++e) state.history.push_back(metrics_of(e));
    return state;
}

}  // namespace

TEST_CASE("the log of a resumed run has every line once") {
    const TemporaryFolder folder;
    const std::string run = folder / "runs/x", lines = run + "/metrics.jsonl";
    const auto model = tiny();
    const auto epoch = [&](RunLog& log, int number) {
        for (int s = 1; s <= 4; ++s) log.step((number - 1) * 4 + s, number, 1.0 / s, 1e-3);
        const EpochMetrics m = metrics_of(number);
        log.epoch({.metrics = m, .best = true, .step = number * 4, .samples_per_second = 100, .seconds = 1, .model = *model});
    };
    std::string whole, first;
    {
        RunLog log(run, true);
        epoch(log, 1);
        first = file_text(lines);
        epoch(log, 2);
        whole = file_text(lines);
        log.test({.loss = 0.5, .accuracy = 50}, 2, 8);
    }
    SUBCASE("killed in epoch 2, resumed at its start") {
        RunLog log(run, true, at(4, 1));
        CHECK(file_text(lines) == first);
        epoch(log, 2);
        CHECK(file_text(lines) == whole);
    }
    SUBCASE("resumed inside epoch 2") {
        {
            RunLog log(run, true, at(6, 1));
        }
        CHECK(file_text(lines) == whole.substr(0, whole.find("{\"type\":\"step\",\"step\":7")));
    }
    SUBCASE("resumed after its end: the test comes again") {
        {
            RunLog log(run, true, at(8, 2));
        }
        CHECK(file_text(lines) == whole);
    }
    SUBCASE("begun anew") {
        {
            RunLog log(run, true);
        }
        CHECK(file_text(lines).empty());
    }
    SUBCASE("a damaged line is left out, what stands around it stays") {
        const std::string second = whole.substr(first.size());
        for (const std::string damage :
             {"{\"step\":2,\"ty\n", "[]\n", "{\"type\":\"step\"}\n", "{\"step\":\"1\",\"type\":\"step\"}\n", "{\"step\":1}\n", "\n", "\xff\n"}) {
            CAPTURE(damage);
            put_file(lines, first + damage + second);
            {
                RunLog log(run, true, at(8, 2));
            }
            CHECK(file_text(lines) == whole);
        }
        put_file(lines, first + second + "{\"step\":2,\"ty");  // half a line: the process was killed while it wrote
        {
            RunLog log(run, true, at(8, 2));
        }
        CHECK(file_text(lines) == whole);
    }
    SUBCASE("lines that say something else than the checkpoint are put right") {
        const auto changed = [&](const std::string& from, const std::string& to) {
            std::string text = whole;
            const auto at_place = text.rfind(from);
            REQUIRE(at_place != std::string::npos);
            return text.replace(at_place, from.size(), to);
        };
        for (const std::string& text : {changed("\"val_accuracy\":40", "\"val_accuracy\":98"), changed("\"epoch\":2,\"train", "\"epoch\":1,\"train"),
                                        changed("\"epoch\":2,\"train", "\"epoch\":77,\"train"), changed("\"type\":\"epoch\"", "\"type\":\"epocs\"")}) {
            CAPTURE(text);
            put_file(lines, text);
            {
                RunLog log(run, true, at(8, 2));
            }
            std::vector<int> epochs;
            std::istringstream in(file_text(lines));
            for (std::string line; std::getline(in, line);) {
                const Json j = Json::parse(line);
                if (j["type"] != "epoch") continue;
                epochs.push_back(j["epoch"].get<int>());
                CHECK(j["val_accuracy"] == 40);
            }
            CHECK(epochs == std::vector<int>{1, 2});
        }
    }
    SUBCASE("a log that does not say whose it is gets the run's name, and one of another run is refused") {
        RunState named = at(8, 2);
        named.run = "mine";
        for (int round = 0; round < 2; ++round) {
            {
                RunLog log(run, true, named);
            }
            CHECK(RunLog::run_of(run) == "mine");
            CHECK(file_text(lines) == "{\"type\":\"run\",\"step\":0,\"run\":\"mine\"}\n" + whole);
        }
        named.run = "other";
        CHECK(error_of([&] { RunLog log(run, true, named); }).find("is the log of another run") != std::string::npos);
    }
    SUBCASE("a line of very many values costs what it has characters, and is left out") {
        std::string keys = "{\"type\":\"step\",\"step\":1";
        for (int i = 0; i < 300000; ++i) keys += ",\"k" + std::to_string(i) + "\":0";
        put_file(lines, keys + "}\n" + whole);
        {
            RunLog log(run, true, at(8, 2));
        }
        CHECK(file_text(lines) == whole);
    }
    SUBCASE("epochs that the log lost are taken from the checkpoint") {
        const auto epochs_in = [&] {
            std::vector<int> epochs;
            std::istringstream in(file_text(lines));
            for (std::string line; std::getline(in, line);) {
                const Json j = Json::parse(line);
                if (j["type"] == "epoch") {
                    epochs.push_back(j["epoch"].get<int>());
                    CHECK(j["step"] == 4 * epochs.back());
                    CHECK(j["val_accuracy"] == 40);
                }
            }
            return epochs;
        };
        std::string without = whole;  // the line of epoch 1, with a bad byte in it
        without[first.size() - 10] = '\xff';
        for (const std::string& text : {without, whole.substr(first.size()), std::string("\n")}) {
            put_file(lines, text);
            {
                RunLog log(run, true, at(8, 2));
            }
            CHECK(epochs_in() == std::vector<int>{1, 2});
            {
                RunLog log(run, true, at(8, 2));
            }
            CHECK(epochs_in() == std::vector<int>{1, 2});  // it is whole again
        }
        std::filesystem::remove(lines);
        {
            RunLog log(run, true, at(10, 2));
        }
        CHECK(epochs_in() == std::vector<int>{1, 2});
    }
    SUBCASE("a log that is not the checkpoint's is refused, and stays") {
        const std::string id = "0123456789abcdef";
        {
            RunLog log(run, true, at(0, 0, id));
            epoch(log, 1);
        }
        CHECK(RunLog::run_of(run) == id);
        const std::string before = file_text(lines);
        CHECK(before.starts_with("{\"type\":\"run\",\"step\":0,\"run\":\"" + id + "\"}\n"));
        CHECK(contains(error_of([&] { RunLog(run, true, at(4, 1, "fedcba9876543210")); }), "is the log of another run than the checkpoint"));
        CHECK(file_text(lines) == before);
        {
            RunLog log(run, true, at(4, 1, id));
        }
        CHECK(file_text(lines) == before);
        CHECK(std::ranges::count_if(std::filesystem::directory_iterator(run),
                                    [&](const auto& e) { return e.path().filename().string().find("." + id) != std::string::npos; }) == 2);
        CHECK(RunLog::run_of(folder / "absent").empty());
    }
}

TEST_CASE("identities differ") {
    std::set<std::string> ids;
    for (int i = 0; i < 100; ++i) {
        const std::string id = new_run_id();
        CHECK(id.size() == 16);
        CHECK(id.find_first_not_of("0123456789abcdef") == id.npos);
        ids.insert(id);
    }
    CHECK(ids.size() == 100);
}

TEST_CASE("TensorBoard is told what a resumed run takes back, and the losses of single steps again") {
    const TemporaryFolder folder;
    const std::string run = folder / "runs/x";
    {
        RunLog log(run, true);
        for (int s = 1; s <= 6; ++s) log.step(s, 1, 0.5, 1e-3);
    }
    const std::string before = events_in(run);
    {
        RunLog log(run, true, at(4, 1));
    }
    const std::string after = events_in(run).substr(before.size());
    CHECK(contains(after, std::string("\x10\x02\x3a\x02\x08\x01", 6)));  // event.step 2, session_log { status START }
    std::size_t told = 0;
    for (std::size_t at = 0; (at = after.find("Loss/step", at)) != std::string::npos; ++at) ++told;
    CHECK(told == 3);  // steps 2, 3 and 4; 5 and 6 come again, and step 1 lies below the mark
    {
        RunLog log(run, true);
    }
    CHECK(contains(events_in(run).substr(before.size() + after.size()), std::string("\x10\x00\x3a\x02\x08\x01", 6)));
}

TEST_CASE("a folder that cannot be made is an io error") {
    const TemporaryFolder folder;
    put_file(folder / "file", "");
    CHECK(contains(error_of([&] { RunLog log(folder / "file/runs", true); }), "error[io] "));
}

TEST_CASE("the first difference of two configurations names the setting, in its section") {
    CHECK(first_difference("a = 1\nb = 2\n", "a = 1\nb = 2\n").empty());
    CHECK(first_difference("a = 1\nb = 2\n", "a = 1\nb = 3\n") == " it has `b = 2`, now `b = 3`");
    CHECK(first_difference("a = 1\nb = 2\n", "b = 2\n") == " it has `a = 1`, now there is no such setting");
    const std::string hash = "w = \"0123456789abcdef\"\n", other = "w = \"0123456789abcdee\"\n";
    CHECK(first_difference(hash, other) == " its `w` is another");
    CHECK(first_difference("[a_section]\n" + hash, "[a_section]\n" + other) == " its `w` is another");
    CHECK(first_difference("[a]\nk = 1\n[b]\nk = 2\n", "[a]\nk = 1\n[b]\nk = 3\n") == " it has `k = 2`, now `k = 3`");
    CHECK(first_difference(hash, "") == " now there is no `w`");
    CHECK(first_difference("", hash) == " it has no `w`, which there is now");
    CHECK(first_difference(hash, "w = \"a word\"\n") == " it has `w = \"0123456789abcdef\"`, now `w = \"a word\"`");
    CHECK(first_difference("b = 2\n", "a = 1\nb = 2\n") == " it has no such setting as `a = 1`, which there is now");
    CHECK(first_difference("[x]\nn = 1\n[y]\nn = 2\n", "[x]\nn = 1\n[y]\nn = 4\n") == " it has `n = 2`, now `n = 4`");
    CHECK(first_difference("a = 1\nb = 2", "b = 2\na = 1\n") == " its settings stand in another order");
}
