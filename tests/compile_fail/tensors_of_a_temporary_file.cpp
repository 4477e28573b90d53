// SPDX-License-Identifier: MIT
// EXPECT: (use of|call to) deleted .*tensors
// The tensors would view a file that is gone.
#include <dla/io/safetensors.hpp>
std::size_t count() {
    std::size_t bytes = 0;
    for (const dla::StoredTensor& t : dla::SafetensorsFile::read("net.safetensors").tensors()) bytes += t.bytes.size();
    return bytes;
}
