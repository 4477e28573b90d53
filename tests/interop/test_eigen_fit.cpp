// SPDX-License-Identifier: MIT
// fit with a network that computes in double through Eigen: it takes the way of the plain loops, and its files hold doubles.
#include <doctest/doctest.h>

#include <dla/data.hpp>
#include <dla/interop/eigen_policy.hpp>
#include <dla/nn.hpp>
#include <dla/train.hpp>
#include <support/temporary_folder.hpp>

#include <filesystem>

using namespace dla;

TEST_CASE("fit on EigenCpu<double> takes the way of Cpu<double>, and resumes") {
    const Dataset digits = make_digits(120, Seed{1});
    using Net = Sequential<Conv2d<1, 4, 3>, BatchNorm2d<>, ReLU, MaxPool2d<4>, Flatten, Linear<Dyn, 10>>;
    const TemporaryFolder folder;
    FitOptions o;
    o.epochs = 2;
    o.batch_size = 30;
    o.quiet = true;
    Model<Net, Shape{1, 28, 28}, EigenCpu<double>> eigen(Seed{3}), resumed(Seed{3});
    Model<Net, Shape{1, 28, 28}, Cpu<double>> plain(Seed{3});
    const TrainingResult expected = fit(plain, digits, o);
    o.checkpoint_dir = folder / "c";
    const TrainingResult got = fit(eigen, digits, o);
    for (std::size_t i = 0; i < 2; ++i) CHECK(got.state.history[i].train_loss == doctest::Approx(expected.state.history[i].train_loss).epsilon(1e-9));
    CHECK(predict_classes(eigen, digits) == predict_classes(plain, digits));
    CHECK(Checkpoint(folder / "c/model_epoch_2.safetensors").state().epoch == 2);
    std::filesystem::remove(folder / "c/model_epoch_2.safetensors");
    o.resume = true;
    fit(resumed, digits, o);
    CHECK(take_weights(*any_model(resumed)) == take_weights(*any_model(eigen)));
}
