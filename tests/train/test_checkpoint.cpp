// SPDX-License-Identifier: MIT
// Checkpoints: a run that continues from one has the bits of a run that never stopped; damaged files are refused.
#include <doctest/doctest.h>

#include <dla/data.hpp>
#include <dla/io/json.hpp>
#include <dla/train.hpp>
#include <dla/zoo.hpp>

#include <set>

#include <support/error_of.hpp>
#include <support/temporary_folder.hpp>

using namespace dla;

namespace {

std::unique_ptr<AnyModel> small_model(std::uint64_t seed, Integers sizes = {7, 5, 3}) {
    ModelConfig config;
    config.name = "mlp";
    config.residual = true;
    config.input_shape = {1, 3, 3};
    config.layer_sizes = std::move(sizes);
    return make_model(config, Seed{seed}, 2);
}

constexpr int steps_per_epoch = 4, epochs = 3;

/// Trains from the place in `state` to step `end`, as the trainer does.
void run(AnyModel& model, Optimizer& optimizer, AnySchedule& schedule, RunState& state, std::int64_t end, const CrossEntropy& criterion = {}) {
    std::vector<float> images(6 * 9);
    std::vector<std::int32_t> labels(6);
    while (state.step < end) {
        RandomStream random({3, 0, static_cast<std::uint32_t>(state.step)}, RandomUse::synthesis);
        for (float& v : images) v = 2 * random.uniform() - 1;
        for (std::int32_t& l : labels) l = static_cast<std::int32_t>(random.below(3));
        schedule.apply(optimizer);
        const LossResult loss = model.train_step(optimizer, criterion, images, labels);
        schedule.after_step();
        state.running.add(loss);
        ++state.step;
        if (++state.batch < steps_per_epoch) continue;
        state.batch = 0;
        ++state.epoch;
        schedule.after_epoch(1.0);  // never better: reduce_lr reduces
        state.history.push_back({state.epoch, state.running.loss(), state.running.accuracy(), 1.0, 50, optimizer.learning_rate()});
        state.running = {};
        if (state.stopping.update(state.epoch, 50)) state.best = take_weights(model);
    }
}

Optimizer optimizer_named(const std::string& name) {
    OptimizerOptions options{.learning_rate = 0.01, .weight_decay = 0.01};
    if (name == "sgd momentum") options.momentum = 0.9, options.nesterov = true;
    return make_optimizer(name.substr(0, name.find(' ')), options);
}

AnySchedule schedule_named(const std::string& name) {
    AnyScheduleOptions o;
    o.learning_rate = 0.01;
    if (name == "reduce_lr") o.rule = ReduceOnPlateau({.factor = 0.5, .patience = 0});
    if (name == "cosine") o.rule = CosineSchedule({.length = epochs});
    if (name == "one_cycle") o.rule = OneCycle({.length = epochs * steps_per_epoch});
    if (name == "warm-up, cosine") {
        o.warmup = LinearWarmup({.start_factor = 1e-2, .length = 6, .unit = ScheduleUnit::step});
        o.rule = CosineSchedule({.length = epochs});
    }
    return AnySchedule(o);
}

/// A checkpoint in the middle of the second epoch, as bytes.
std::string checkpoint_bytes(const TemporaryFolder& folder) {
    const auto model = small_model(1);
    Optimizer optimizer = optimizer_named("adam");
    AnySchedule schedule = schedule_named("reduce_lr");
    RunState state;
    state.config = "c";
    run(*model, optimizer, schedule, state, 6);
    save_checkpoint(folder / "whole", *model, state, &optimizer, &schedule);
    return file_text(folder / "whole");
}

/// "ok", or the error of reading a checkpoint and loading it into a model as a run does.
std::string outcome(const std::string& path) {
    const auto model = small_model(2);
    const Weights before = take_weights(*model);
    Optimizer optimizer = optimizer_named("adam");
    AnySchedule schedule = schedule_named("reduce_lr");
    try {
        Checkpoint(path).load_run(*model, optimizer, schedule);
        return "ok";
    } catch (const Error& e) {
        CHECK(e.code() == ErrorCode::checkpoint);
        CHECK(take_weights(*model) == before);  // all or nothing
        return e.what();
    }
}

}  // namespace

TEST_CASE("a resumed run has the bits of an uninterrupted one, for every optimizer and schedule, at any step") {
    const TemporaryFolder folder;
    for (const std::string rule : {"sgd", "sgd momentum", "adam", "adamw"})
        for (const std::string plan : {"none", "reduce_lr", "cosine", "one_cycle", "warm-up, cosine"}) {
            if (rule == "sgd" && plan == "one_cycle") continue;  // it would switch momentum on
            CAPTURE(rule);
            CAPTURE(plan);
            const auto whole = small_model(1);
            Optimizer optimizer = optimizer_named(rule);
            AnySchedule schedule = schedule_named(plan);
            RunState state;
            run(*whole, optimizer, schedule, state, epochs * steps_per_epoch);
            save_checkpoint(folder / "whole", *whole, state, &optimizer, &schedule);
            for (const int stop : {0, 1, 4, 6, 11}) {
                CAPTURE(stop);
                {
                    const auto model = small_model(1);
                    Optimizer o = optimizer_named(rule);
                    AnySchedule s = schedule_named(plan);
                    RunState part;
                    run(*model, o, s, part, stop);
                    save_checkpoint(folder / "part", *model, part, &o, &s);
                }
                const auto model = small_model(77);  // other initial weights: all must come from the file
                Optimizer o = optimizer_named(rule);
                AnySchedule s = schedule_named(plan);
                const Checkpoint checkpoint(folder / "part");
                RunState part = checkpoint.load_run(*model, o, s);
                CHECK(part.step == stop);
                run(*model, o, s, part, epochs * steps_per_epoch);
                save_checkpoint(folder / "resumed", *model, part, &o, &s);
                CHECK(file_text(folder / "resumed") == file_text(folder / "whole"));
            }
        }
}

TEST_CASE("the loss of the epoch under way is resumed with its weights; a file without them was written without class weights") {
    const TemporaryFolder folder;
    for (const bool weighted : {false, true}) {
        CAPTURE(weighted);
        const CrossEntropy loss{.class_weights = weighted ? std::vector<double>{0.1, 5, 2.5} : std::vector<double>{}};
        const auto model = small_model(1);
        Optimizer optimizer = optimizer_named("adam");
        AnySchedule schedule = schedule_named("none");
        RunState state;
        run(*model, optimizer, schedule, state, 6, loss);
        save_checkpoint(folder / "part", *model, state, &optimizer, &schedule);
        const auto stored = Json::parse(SafetensorsFile::read(folder / "part").metadata().at("state")).at("running");
        CHECK(stored.contains("weight") == weighted);  // the state of a run without class weights is written as before they were known
        const RunState found = Checkpoint(folder / "part").state();
        CHECK(found.running.loss_sum == state.running.loss_sum);
        CHECK(found.running.weight == state.running.weight);
        CHECK(found.running.count == 12);
        CHECK((found.running.weight == 12) == !weighted);
        CHECK(found.running.loss() == state.running.loss());
    }
}

TEST_CASE("a checkpoint without optimizer holds PyTorch's names alone and cannot be resumed") {
    const TemporaryFolder folder;
    const auto model = small_model(1);
    RunState state;
    state.kind = "final";
    state.test_accuracy = 12.5;
    save_checkpoint(folder / "final", *model, state);
    const SafetensorsFile file = SafetensorsFile::read(folder / "final");
    CHECK(file.tensors().size() == model->index().parameters.size() + model->index().buffers.size() + model->index().counters.size());
    const Checkpoint checkpoint(folder / "final");
    CHECK(checkpoint.state().test_accuracy == 12.5);
    CHECK_FALSE(checkpoint.can_resume());
    CHECK(contains(outcome(folder / "final"), "holds weights only"));
    const auto other = small_model(9);
    checkpoint.load_weights(*other);
    CHECK(take_weights(*other) == take_weights(*model));
}

TEST_CASE("a checkpoint of another network, optimizer or schedule is refused and changes nothing") {
    const TemporaryFolder folder;
    checkpoint_bytes(folder);
    CHECK(outcome(folder / "whole") == "ok");
    const Checkpoint checkpoint(folder / "whole");
    const auto other = small_model(1, {7, 6, 3});
    const Weights before = take_weights(*other);
    CHECK(contains(error_of([&] { checkpoint.load_weights(*other); }), "does not fit"));
    const auto deeper = small_model(1, {7, 5, 5, 3});
    CHECK(contains(error_of([&] { checkpoint.load_weights(*deeper); }), "error[checkpoint] "));
    CHECK(take_weights(*other) == before);
    const auto model = small_model(2);
    Optimizer sgd = optimizer_named("sgd momentum"), adam = optimizer_named("adam");
    AnySchedule plateau = schedule_named("reduce_lr"), cosine = schedule_named("cosine");
    CHECK(contains(error_of([&] { checkpoint.load_run(*model, sgd, plateau); }), "was written with optimizer adam; this run has sgd"));
    CHECK(contains(error_of([&] { checkpoint.load_run(*model, adam, cosine); }), "does not belong to cosine"));
    CHECK(take_weights(*model) == take_weights(*small_model(2)));
}

TEST_CASE("a checkpoint cut anywhere is refused") {
    const TemporaryFolder folder;
    const std::string bytes = checkpoint_bytes(folder);
    for (std::size_t length = 0; length < bytes.size(); length += length < 64 ? 1 : 37) {
        CAPTURE(length);
        put_file(folder / "cut", bytes.substr(0, length));
        REQUIRE(outcome(folder / "cut") != "ok");
    }
    put_file(folder / "long", bytes + "x");
    CHECK(outcome(folder / "long") != "ok");
}

/// One bit of each byte in turn: of the first ones, which say where everything is, and from then on of each `step`-th.
void check_flipped_bits(std::size_t step) {
    const TemporaryFolder folder;
    const std::string bytes = checkpoint_bytes(folder);
    constexpr std::string_view key = "dla.checksum";  // a file whose entry has another name is one without
    const std::size_t entry = bytes.find(key);
    REQUIRE(entry != std::string::npos);
    for (std::size_t at = 0; at < bytes.size(); at += at < 64 ? 1 : step) {
        CAPTURE(at);
        std::string damaged = bytes;
        damaged[at] = static_cast<char>(damaged[at] ^ (at % 3 == 0 ? '\x01' : at % 3 == 1 ? '\x10' : '\x80'));
        put_file(folder / "damaged", damaged);
        CHECK((outcome(folder / "damaged") != "ok" || (at >= entry && at < entry + key.size())));
    }
}

TEST_CASE("a flipped bit is refused") { check_flipped_bits(7); }
TEST_CASE("a flipped bit is refused, wherever it is (nightly)" * doctest::skip()) { check_flipped_bits(1); }

TEST_CASE("a state that contradicts itself is refused") {
    const TemporaryFolder folder;
    checkpoint_bytes(folder);
    const SafetensorsFile whole = SafetensorsFile::read(folder / "whole");
    const auto with = [&](const std::string& pointer, const Json& value) {
        StoredMetadata metadata = whole.metadata();
        Json state = Json::parse(metadata.at("state"));
        state[Json::json_pointer(pointer)] = value;
        metadata["state"] = state.dump();
        write_safetensors(folder / "changed", whole.tensors(), metadata);
        return outcome(folder / "changed");
    };
    CHECK(with("/kind", "epoch") == "ok");
    CHECK(contains(with("/step", 7), "contradicts itself"));
    CHECK(contains(with("/optimizer/steps", 5), "contradicts itself"));
    CHECK(contains(with("/epoch", 2), "contradicts itself"));
    CHECK(contains(with("/best/epoch", 0), "contradicts itself"));
    CHECK(contains(with("/history/0/epoch", 3), "contradicts itself"));
    for (const Json& bad : {Json(-1), Json(1e300), Json(1.5), Json("6"), Json(nullptr), Json::array(), Json(std::uint64_t{1} << 63)})
        for (const char* key : {"/step", "/epoch", "/batch", "/running/count", "/optimizer/steps", "/best/epoch", "/history/0/epoch"}) {
            CAPTURE(key);
            CAPTURE(bad.dump());
            CHECK(contains(with(key, bad), "has no count"));
        }
    for (const Json& bad : {Json(-1.0), Json(nullptr)}) CHECK(contains(with("/running/weight", bad), "contradicts itself"));
    CHECK(with("/running/weight", 3.5) == "ok");
    CHECK(contains(with("/running/weight", "x"), "its state is incomplete"));
    for (const double bad : {-0.5, 1e9}) {
        CHECK(contains(with("/best/accuracy", bad), "contradicts itself"));
        CHECK(contains(with("/history/0/val_accuracy", bad), "contradicts itself"));
        CHECK(contains(with("/test_accuracy", bad), "contradicts itself"));
    }
    CHECK(contains(with("/running/correct", 1000000), "contradicts itself"));
    CHECK(contains(with("/running/loss_sum", Json(nullptr)), "contradicts itself"));
    CHECK(contains(with("/best/accuracy", 99.5), "contradicts itself"));
    CHECK(contains(with("/history/0/val_accuracy", 99.5), "contradicts itself"));
    CHECK(contains(with("/kind", 1), "its state is incomplete"));
    CHECK(contains(with("/history/0/val_loss", "x"), "its state is incomplete"));
    CHECK(contains(with("/schedule/ticks", nullptr), "error[checkpoint] schedule"));
    CHECK(contains(with("/schedule/bad_epochs", -1), "is no count"));
    CHECK(contains(with("/schedule/more", 1), "error[checkpoint] schedule"));
}

TEST_CASE("values that no training leaves are refused, and the model stays as it is") {
    const TemporaryFolder folder;
    checkpoint_bytes(folder);
    const SafetensorsFile whole = SafetensorsFile::read(folder / "whole");
    const auto with = [&](const std::string& name, float value) {
        std::vector<StoredTensor> tensors = whole.tensors();
        std::vector<float> changed;
        for (StoredTensor& t : tensors)
            if (t.name == name) {
                changed.resize(t.bytes.size() / sizeof(float));
                std::memcpy(changed.data(), t.bytes.data(), t.bytes.size());
                changed.back() = value;
                t.bytes = std::as_bytes(std::span(changed));
            }
        REQUIRE(!changed.empty());
        write_safetensors(folder / "changed", tensors, whole.metadata());
        return outcome(folder / "changed");
    };
    const auto model = small_model(1);
    const std::string weight = model->index().parameters[0].path, variance = [&] {
        for (const BufferRow& row : model->index().buffers)
            if (row.path.ends_with("running_var")) return row.path;
        return std::string("none");
    }();
    for (const std::string prefix : {"", "best."}) {
        CHECK(with(prefix + weight, 0.5f) == "ok");
        for (const float odd : {HUGE_VALF, -HUGE_VALF, std::numeric_limits<float>::quiet_NaN()})
            CHECK(contains(with(prefix + weight, odd), "tensor \"" + prefix + weight + "\" holds a value that is not finite"));
        CHECK(contains(with(prefix + variance, -1), "tensor \"" + prefix + variance + "\" holds a negative variance"));
    }
}

TEST_CASE("the furthest checkpoint of the same configuration is the one to resume") {
    const TemporaryFolder folder;
    std::string writer, wanted;  // runs
    const auto save = [&](const std::string& name, std::int64_t step, const std::string& config, bool whole = true) {
        const auto model = small_model(1);
        Optimizer optimizer = optimizer_named("adam");
        AnySchedule schedule = schedule_named("none");
        RunState state;
        run(*model, optimizer, schedule, state, step);
        state.config = config;
        state.run = writer;
        save_checkpoint(folder / name, *model, state, whole ? &optimizer : nullptr, whole ? &schedule : nullptr);
    };
    std::vector<std::string> skipped;
    const auto newest = [&] {
        skipped.clear();
        const auto found = resumable_checkpoints(folder.path, "mlp_digits", "c", wanted, skipped);
        return found.empty() ? std::string("none") : found[0];
    };
    CHECK(resumable_checkpoints(folder / "absent", "mlp_digits", "c", "", skipped).empty());
    CHECK(newest() == "none");
    save("mlp_digits_final.safetensors", 12, "c");
    save("mlp_digits_best.safetensors", 12, "c");
    save("cnn_digits_epoch_9.safetensors", 12, "c");
    save("mlp_digits_epoch_9.safetensors.tmp", 12, "c");
    CHECK(newest() == "none");
    CHECK(skipped.empty());
    save("mlp_digits_epoch_1.safetensors", 4, "c");
    save("mlp_digits_epoch_2.safetensors", 8, "c");
    CHECK(newest() == folder / "mlp_digits_epoch_2.safetensors");
    save("mlp_digits_interrupted.safetensors", 6, "c");  // left by an older run
    CHECK(newest() == folder / "mlp_digits_epoch_2.safetensors");
    save("mlp_digits_interrupted.safetensors", 10, "c");
    CHECK(newest() == folder / "mlp_digits_interrupted.safetensors");
    writer = "0123456789abcdef";
    save("mlp_digits_epoch_3.safetensors", 12, "c");
    CHECK(error_of(newest).find("has checkpoints of several runs (one without a name, " + writer + "), and no log says which is meant") != std::string::npos);
    wanted = "fedcba9876543210";
    CHECK(newest() == "none");
    CHECK(std::ranges::count_if(skipped, [](const std::string& s) { return s.ends_with(": written by another run"); }) == 4);
    wanted = writer;
    CHECK(newest() == folder / "mlp_digits_epoch_3.safetensors");
    CHECK(Checkpoint(folder / "mlp_digits_epoch_3.safetensors").state().run == writer);
    save("mlp_digits_best.safetensors", 12, "c", false);
    CHECK(Checkpoint(folder / "mlp_digits_best.safetensors").state().run.empty());
    std::filesystem::remove(folder / "mlp_digits_epoch_3.safetensors");
    writer = wanted = "";
    save("mlp_digits_interrupted.safetensors", 10, "other");
    CHECK(newest() == folder / "mlp_digits_epoch_2.safetensors");
    CHECK(skipped.size() == 1);
    put_file(folder / "mlp_digits_epoch_2.safetensors", file_text(folder / "mlp_digits_epoch_2.safetensors").substr(0, 500));
    CHECK(newest() == folder / "mlp_digits_epoch_1.safetensors");
    CHECK(skipped.size() == 2);
    save("mlp_digits_epoch_3.safetensors", 12, "c", false);
    CHECK(newest() == folder / "mlp_digits_epoch_1.safetensors");
}

TEST_CASE("a resumed run knows how many steps each parameter has taken") {
    for (const char* rule : {"adam", "sgd momentum"}) {
        CAPTURE(rule);
        const TemporaryFolder folder;
        const std::string file = folder / "run.safetensors";
        const auto begin = [&](AnyModel& model, Optimizer& optimizer, AnySchedule& schedule, RunState& state) {
            model.freeze("1");  // for the first steps
            run(model, optimizer, schedule, state, 5);
            model.freeze("1", false);
            run(model, optimizer, schedule, state, 7);
        };
        const auto through = small_model(1), resumed = small_model(2);
        Optimizer a = optimizer_named(rule), b = optimizer_named(rule);
        AnySchedule schedule_a = schedule_named("reduce_lr"), schedule_b = schedule_named("reduce_lr");
        RunState state;
        begin(*through, a, schedule_a, state);
        const auto steps = a.steps_of_parameters();
        CHECK(std::set<std::int64_t>(steps.begin(), steps.end()) == std::set<std::int64_t>{2, 7});
        save_checkpoint(file, *through, state, &a, &schedule_a);
        RunState again = Checkpoint(file).load_run(*resumed, b, schedule_b);
        CHECK(b.steps_of_parameters() == steps);
        run(*through, a, schedule_a, state, 12);
        run(*resumed, b, schedule_b, again, 12);
        CHECK(take_weights(*through) == take_weights(*resumed));
    }
}

TEST_CASE("a run in which no parameter took every step can be resumed") {
    const TemporaryFolder folder;
    const std::string file = folder / "run.safetensors";
    const auto through = small_model(1), resumed = small_model(2);
    Optimizer a = optimizer_named("adam"), b = optimizer_named("adam");
    AnySchedule schedule_a = schedule_named("reduce_lr"), schedule_b = schedule_named("reduce_lr");
    RunState state;
    const auto freeze = [](AnyModel& model, bool first, bool others) {
        for (std::size_t i = 0; i < model.index().parameters.size(); ++i) model.freeze(model.index().parameters[i].path, i == 0 ? first : others);
    };
    freeze(*through, true, false);
    run(*through, a, schedule_a, state, 3);
    freeze(*through, false, true);
    run(*through, a, schedule_a, state, 6);
    CHECK(a.steps() == 3);
    save_checkpoint(file, *through, state, &a, &schedule_a);
    RunState again = Checkpoint(file).load_run(*resumed, b, schedule_b);
    CHECK(again.step == 6);
    freeze(*resumed, false, true);
    run(*through, a, schedule_a, state, 9);
    run(*resumed, b, schedule_b, again, 9);
    CHECK(take_weights(*through) == take_weights(*resumed));
    CHECK(a.steps() == 6);
    CHECK(a.steps_of_parameters() == b.steps_of_parameters());
}

TEST_CASE("a run may go back to its own checkpoint") {
    for (const bool frozen : {false, true}) {
        CAPTURE(frozen);
        const TemporaryFolder folder;
        const std::string file = folder / "run.safetensors";
        const auto model = small_model(1);
        Optimizer optimizer = optimizer_named("adam");
        AnySchedule schedule = schedule_named("reduce_lr");
        RunState state;
        if (frozen) model->freeze("1");
        run(*model, optimizer, schedule, state, 3);
        model->freeze("1", false);
        run(*model, optimizer, schedule, state, 5);
        save_checkpoint(file, *model, state, &optimizer, &schedule);
        const auto steps = optimizer.steps_of_parameters();
        run(*model, optimizer, schedule, state, 9);
        const Weights expected = take_weights(*model);
        RunState again = Checkpoint(file).load_run(*model, optimizer, schedule);
        CHECK(optimizer.steps_of_parameters() == steps);
        CHECK(optimizer.steps() == 5);
        run(*model, optimizer, schedule, again, 9);
        CHECK(take_weights(*model) == expected);
    }
}
