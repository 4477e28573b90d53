// SPDX-License-Identifier: MIT
// EXPECT: dla: fit, Trainer and AnyModel take losses of float, whatever the model computes in: BCEWithLogits<float>, not <double>
#include <dla/loss/any_loss.hpp>

#include <optional>

std::optional<dla::AnyLoss> loss = dla::BCEWithLogits<double>{};
