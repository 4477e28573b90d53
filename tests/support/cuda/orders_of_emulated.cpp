// SPDX-License-Identifier: MIT
// What orders.hpp says, for the emulated device.
#include <support/cuda/emulated.hpp>
#include <support/cuda/orders.hpp>

namespace support {

bool device_is_emulated() { return true; }

void with_no_engines_of_cudnn(const std::function<void()>& f) {
    emulated::settings().no_engines = true;
    f();
    emulated::settings().no_engines = false;
}

void in_every_order(const std::function<void()>& f) {
    const emulated::Settings before = emulated::settings();
    for (const auto order : {emulated::Order::ascending, emulated::Order::descending, emulated::Order::shuffled})
        for (const auto pace : {emulated::Pace::eager, emulated::Pace::late}) {
            emulated::settings().order = order;
            emulated::settings().pace = pace;
            ++emulated::settings().seed;
            f();
        }
    emulated::settings().order = before.order;
    emulated::settings().pace = before.pace;
}

}  // namespace support
