// SPDX-License-Identifier: MIT
// What is kept of the data in a file of weights, and images that are prepared with it.
#include <doctest/doctest.h>

#include <dla/data.hpp>
#include <dla/data/image_folder.hpp>
#include <dla/data/metadata.hpp>
#include <dla/io/png.hpp>
#include <dla/nn.hpp>
#include <dla/train/weights.hpp>

#include <support/error_of.hpp>
#include <support/temporary_folder.hpp>

using namespace dla;

namespace {

/// Three images of 4 x 5 pixels with different numbers in all places.
Dataset small() {
    Dataset data;
    data.name = "small set";
    data.shape = Shape{3, 4, 5};
    data.num_classes = 2;
    data.class_names = {"a cat, grey", "ein Hund"};
    data.labels = {0, 1, 1};
    for (int i = 0; i < 180; ++i) data.images.push_back(static_cast<std::uint8_t>(i * 37 % 251));
    data.mean = {0.1f, 0.4f, 0.3333333f};
    data.std = {0.25f, 1e-3f, 0.7f};
    return data;
}

}  // namespace

TEST_CASE("a data set is described in a file of weights") {
    const Dataset data = small();
    const Dataset back = from_metadata(to_metadata(data));
    CHECK(back.name == data.name);
    CHECK(back.shape == data.shape);
    CHECK(back.mean == data.mean);
    CHECK(back.std == data.std);
    CHECK(back.num_classes == 2);
    CHECK(back.class_names == data.class_names);
    CHECK(back.images.empty());

    const TemporaryFolder folder;
    Model<Sequential<Flatten, Linear<60, 2>>, Shape{3, 4, 5}> model(Seed{1});
    save_weights(folder / "w.safetensors", model, to_metadata(data));
    CHECK(from_metadata(SafetensorsFile::read(folder / "w.safetensors").metadata()).class_names == data.class_names);

    Dataset nameless = data;
    nameless.class_names.clear();
    CHECK(from_metadata(to_metadata(nameless)).class_names.empty());
}

TEST_CASE("a description that is none is refused") {
    const auto refused = [](const char* key, const char* value) {
        auto metadata = to_metadata(small());
        metadata[key] = value;
        return error_of([&] { from_metadata(metadata, "w.safetensors"); });
    };
    CHECK(contains(error_of([] { from_metadata({}, "w.safetensors"); }), "error[data] w.safetensors: has no 'dla.data.name'"));
    for (const char* bad :
         {"", "3,4", "3,4,5,6", "3,4,-5", "0,4,5", "3,4,5x", "3,4,", ",3,4", "99999999999999999999,1,1", "1073741824,1073741824,1073741824", "3;4;5"})
        CHECK(contains(refused("dla.data.shape", bad), "'dla.data.shape' is not"));
    for (const char* bad : {"", "0.1,0.2", "0.1,0.2,nan", "0.1,inf,0.3", "0.1,0.2,0.3,0.4", "0.1,0.2,x"})
        CHECK(contains(refused("dla.data.mean", bad), "'dla.data.mean' is not"));
    for (const char* bad : {"1,0,1", "1,-1,1", "1,1"}) CHECK(contains(refused("dla.data.std", bad), "'dla.data.std' is not"));
    for (const char* bad : {"", "0", "-2", "2,2", "two"}) CHECK(contains(refused("dla.data.classes", bad), "'dla.data.classes' is not"));
    CHECK(contains(refused("dla.data.class_names", "one\n"), "'dla.data.class_names' is not a name for each class"));
    Dataset odd = small();
    odd.class_names[0] = "two\nlines";
    CHECK(contains(error_of([&] { to_metadata(odd); }), "a class name has a line break"));
}

TEST_CASE("images as a network gets them") {
    const Dataset data = small();
    Loader loader(data, all_samples(data), evaluation_options(3));
    loader.start_epoch(0);
    const Batch& batch = *loader.next();
    CHECK(normalised(data, data.images) == std::vector<float>(batch.inputs.begin(), batch.inputs.end()));
    CHECK(normalised(data, data.image(1)) == std::vector<float>(batch.inputs.begin() + 60, batch.inputs.begin() + 120));
    CHECK(normalised(data, {}).empty());
    CHECK(contains(error_of([&] { normalised(data, std::span(data.images).first(61)); }), "61 bytes are not images [3, 4, 5]"));
    const auto refused = [&](const auto& change) {
        Dataset changed = small();
        change(changed);
        const std::string said = error_of([&] { normalised(changed, changed.images); });
        CHECK(error_of([&] { to_metadata(changed); }) == said);
        return said;
    };
    CHECK(contains(refused([](Dataset& d) { d.shape = Shape{3, 0, 4}; }), "its images are [3, 0, 4]"));
    CHECK(contains(refused([](Dataset& d) { d.shape = Shape{}; }), "its images are [unknown]"));
    CHECK(contains(refused([](Dataset& d) { d.shape = d.shape.contiguous(); }), "with channels last in memory"));
    CHECK(contains(refused([](Dataset& d) { d.mean.clear(); }), "mean and std must have a value for each channel"));
    CHECK(contains(refused([](Dataset& d) { d.std.pop_back(); }), "mean and std must have a value for each channel"));
    CHECK(contains(refused([](Dataset& d) { d.std[1] = 0; }), "std a positive one"));
    Dataset classless = data;
    classless.num_classes = 3;
    CHECK(contains(error_of([&] { to_metadata(classless); }), "has 3 classes and 2 names for them"));
}

#if defined(DLA_HAVE_PNG)
TEST_CASE("a file as a network gets it") {
    const Dataset data = small();
    const TemporaryFolder folder;
    const std::string path = folder / "image.png";
    write_png(path, data.image(2), 5, 4, 3);
    CHECK(read_input(path, data) == normalised(data, data.image(2)));
    Dataset larger = data;  // resized as a folder's images are
    larger.shape = Shape{3, 7, 9};
    std::vector<std::uint8_t> resized(3 * 7 * 9);
    resize_image(data.image(2), 4, 5, 3, resized, 7, 9);
    CHECK(read_input(path, larger) == normalised(larger, resized));
    CHECK(error_of([&] { read_input(folder / "none.png", data); }).starts_with("error[data]"));
    CHECK(contains(error_of([&] { read_input(path, Dataset{}); }), "its images are [unknown]"));
}
#endif
