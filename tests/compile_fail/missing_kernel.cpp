// SPDX-License-Identifier: MIT
// EXPECT: conv2d_forward
// A policy of one's own without a convolution: the compiler names what is missing.
#include <dla/nn.hpp>
namespace mine {
struct Policy : dla::HostMemory {
    using scalar = float;
    using activation = float;
    using weight = float;
    using master = float;
    using statistic = float;
};
inline dla::index_t gemm_scratch(const Policy&, const dla::GemmDims&) { return 0; }
inline void fill(const Policy&, dla::index_t, float, float*) {}
inline dla::index_t sum_of_squares_scratch(const Policy&, dla::index_t) { return 0; }
}  // namespace mine
using Net = dla::Sequential<dla::Conv2d<1, 2, 3>>;
dla::Model<Net, dla::Shape{1, 4, 4}, mine::Policy> model(dla::Seed{1});
