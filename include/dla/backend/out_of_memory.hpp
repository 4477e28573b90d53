// SPDX-License-Identifier: MIT
// The memory of a device is not enough.
#pragma once

#include <dla/core/error.hpp>
#include <dla/core/index.hpp>
#include <dla/core/table.hpp>

namespace dla {

/// Thrown by a policy's `allocate` when its device has not as many bytes. A model that is told so when it claims the memory of a training step says how large
/// a batch fits, in an Error(device).
class OutOfDeviceMemory : public Error {
public:
    OutOfDeviceMemory(index_t needed, index_t free, index_t total)
        : Error(ErrorCode::device, "memory",
                text("the device has not enough: ", byte_text(needed), " are asked for in one piece, ", byte_text(free), " of ", byte_text(total),
                     " are free; use a smaller network or batch, or end what else uses the device")
                    .view()),
          needed_(needed),
          free_(free) {}
    index_t needed() const { return needed_; }
    index_t free() const { return free_; }

private:
    index_t needed_, free_;
};

}  // namespace dla
