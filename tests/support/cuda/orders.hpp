// SPDX-License-Identifier: MIT
// Repeats what a test does on a CUDA device: in every order that the device might choose where it is emulated, some times where it is real.
#pragma once

#include <functional>

namespace support {

/// Whether the program is linked with the emulated device.
bool device_is_emulated();

/// f() where cuDNN has no engine for any convolution; on a real device, which has, nothing.
void with_no_engines_of_cudnn(const std::function<void()>& f);

void in_every_order(const std::function<void()>& f);

}  // namespace support
