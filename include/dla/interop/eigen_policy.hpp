// SPDX-License-Identifier: MIT
// A host policy for any floating-point type whose matrix products and convolutions run through Eigen: `Model<Net, Shape{...}, EigenCpu<double>>`.
// Needs Eigen 3.4; not included by any other header.
#pragma once

#include <dla/kernels/cpu/chunks.hpp>
#include <dla/kernels/reference.hpp>

#if !defined(EIGEN_CORE_H) && !defined(EIGEN_CORE_MODULE_H) && !defined(EIGEN_DONT_PARALLELIZE)
#define EIGEN_DONT_PARALLELIZE
#endif
#include <Eigen/Core>
#if defined(EIGEN_HAS_OPENMP)
#error "dla: Eigen's own threads change sums with their number; define EIGEN_DONT_PARALLELIZE, or include <dla/interop/eigen_policy.hpp> before Eigen"
#endif

#include <concepts>

namespace dla {
inline namespace DLA_ABI_TAG {

/// Reference<T> with products and convolutions by Eigen on several threads: for double many times as fast, for float slower than Cpu<float>. The same bits
/// at any number of threads, in memory aligned to 64 bytes, as a Model's is; other ones on processors with other caches, after which Eigen cuts its sums, and
/// with other compiler flags. Eigen takes memory of its own in each product, and the process ends where there is none. All files of a program that use Eigen
/// must define EIGEN_DONT_PARALLELIZE, or be compiled without -fopenmp.
template <std::floating_point T>
struct EigenCpu : Reference<T> {
    static constexpr const char* name = "eigen";
    int threads = 0;  ///< 0: OMP_NUM_THREADS, or as many as there are processors
};

/// The policy with its number of threads fixed.
template <class T>
EigenCpu<T> resolve(EigenCpu<T> policy) {
    policy.threads = thread_count(policy.threads);
    return policy;
}

}  // namespace DLA_ABI_TAG

namespace detail::inline DLA_ABI_TAG {

template <class T>
using EigenMatrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
/// Rows `stride` values apart.
template <class T>
auto eigen_rows(T* data, index_t rows, index_t columns, index_t stride) {
    using Matrix = std::conditional_t<std::is_const_v<T>, const EigenMatrix<std::remove_const_t<T>>, EigenMatrix<T>>;
    return Eigen::Map<Matrix, 0, Eigen::OuterStride<>>(data, rows, columns, Eigen::OuterStride<>(stride));
}
template <class T>
auto eigen_row(T* data, index_t columns) {
    using Row = Eigen::Matrix<std::remove_const_t<T>, 1, Eigen::Dynamic>;
    return Eigen::Map<std::conditional_t<std::is_const_v<T>, const Row, Row>>(data, columns);
}

/// Values that the patches of one task may take: they are read back from the cache.
inline constexpr index_t eigen_patch_values = 1 << 16;

/// A convolution as products of matrices: its output positions are rows [batch * out_height * out_width], cut into lines of one image's row each.
struct EigenConv {
    const Conv2dDims& d;
    index_t in_group = d.in_channels / d.groups, out_group = d.out_channels / d.groups;
    index_t taps = d.kernel_h * d.kernel_w * in_group;  // of one output value

    /// The patches are the input as it is.
    bool plain() const {
        return d.kernel_h == 1 && d.kernel_w == 1 && d.stride_h == 1 && d.stride_w == 1 && d.pad_top == 0 && d.pad_left == 0 && d.out_height == d.height &&
               d.out_width == d.width;
    }
    /// A product for each channel would be slower than the loops.
    bool narrow() const { return d.groups > 1 && (in_group < 4 || out_group < 4); }
    index_t lines() const { return d.batch * d.out_height; }
    /// Lines in one task whose patches take no more than `values`.
    index_t lines_of(index_t values) const { return std::max<index_t>(1, values / std::max<index_t>(1, d.out_width * taps)); }

    /// Inside of the image, the positions ow of a line that tap kw reads from.
    void range(index_t kw, index_t& begin, index_t& end) const {
        const index_t shift = kw * d.dilation_w - d.pad_left;  // iw = ow * stride_w + shift
        begin = shift >= 0 ? 0 : std::min(d.out_width, ceil_div(-shift, d.stride_w));
        end = shift >= d.width ? begin : std::clamp(ceil_div(d.width - shift, d.stride_w), begin, d.out_width);
    }
    /// The patches [out_width, taps] of a line.
    template <class T>
    void gather(const T* x, index_t group, index_t line, T* patches) const {
        const index_t n = line / d.out_height, oh = line % d.out_height;
        for (index_t kh = 0; kh < d.kernel_h; ++kh) {
            const index_t ih = oh * d.stride_h - d.pad_top + kh * d.dilation_h;
            const bool inside = ih >= 0 && ih < d.height;
            for (index_t kw = 0; kw < d.kernel_w; ++kw) {
                index_t begin = 0, end = 0;
                if (inside) range(kw, begin, end);
                T* to = patches + (kh * d.kernel_w + kw) * in_group;
                for (index_t ow = 0; ow < begin; ++ow) std::fill_n(to + ow * taps, in_group, T{0});
                const index_t first = ((n * d.height + ih) * d.width + kw * d.dilation_w - d.pad_left) * d.in_channels + group * in_group;
                for (index_t ow = begin; ow < end; ++ow) std::copy_n(x + (first + ow * d.stride_w * d.in_channels), in_group, to + ow * taps);
                for (index_t ow = end; ow < d.out_width; ++ow) std::fill_n(to + ow * taps, in_group, T{0});
            }
        }
    }
    /// Adds the gradients of a line's patches to that of the image.
    template <class T>
    void scatter(const T* patches, index_t group, index_t line, T* dx) const {
        const index_t n = line / d.out_height, oh = line % d.out_height;
        for (index_t kh = 0; kh < d.kernel_h; ++kh) {
            const index_t ih = oh * d.stride_h - d.pad_top + kh * d.dilation_h;
            if (ih < 0 || ih >= d.height) continue;
            for (index_t kw = 0; kw < d.kernel_w; ++kw) {
                index_t begin = 0, end = 0;
                range(kw, begin, end);
                const T* from = patches + (kh * d.kernel_w + kw) * in_group;
                const index_t first = ((n * d.height + ih) * d.width + kw * d.dilation_w - d.pad_left) * d.in_channels + group * in_group;
                for (index_t ow = begin; ow < end; ++ow) {
                    T* to = dx + (first + ow * d.stride_w * d.in_channels);
                    for (index_t c = 0; c < in_group; ++c) to[c] += from[ow * taps + c];
                }
            }
        }
    }
    template <class T>
    index_t scratch(int threads, index_t lines) const {
        return plain() || narrow() ? 0 : threads * bytes_of<T>(lines * d.out_width * taps);
    }
    /// Lines whose patches are there at once when the gradient of the weights is computed.
    index_t block_lines() const { return std::min(lines(), lines_of(16 * eigen_patch_values)); }
};

}  // namespace detail::inline DLA_ABI_TAG

template <class T>
index_t gemm_scratch(const EigenCpu<T>&, const GemmDims&) {
    return 0;
}
template <class T>
void gemm(const EigenCpu<T>& p, std::byte*, const GemmDims& d, const detail::Of<T>* a, const detail::Of<T>* b, const detail::Of<T>* bias, detail::Of<T> beta,
          detail::Of<T>* c) {
    // Pieces of the longer side of C; each packs the other operand anew.
    const bool by_rows = d.m >= d.n;
    const detail::Chunks pieces = detail::cut(by_rows ? d.m : d.n, (by_rows ? d.n : d.m) * std::max<index_t>(1, d.k / 16), 64, 16);
    detail::parallel_for(p.threads, pieces.count, [&](index_t piece, int) {
        const index_t first = pieces.begin(piece), count = pieces.length(piece);
        const index_t row = by_rows ? first : 0, column = by_rows ? 0 : first, rows = by_rows ? count : d.m, columns = by_rows ? d.n : count;
        auto to = detail::eigen_rows(c + row * d.n + column, rows, columns, d.n);
        if (beta == T{0})
            to.setZero();
        else if (beta != T{1})
            to *= beta;
        if (bias) to.rowwise() += detail::eigen_row(bias + column, columns);
        const auto left =
            detail::eigen_rows(d.transpose_a ? a + row : a + row * d.k, d.transpose_a ? d.k : rows, d.transpose_a ? rows : d.k, d.transpose_a ? d.m : d.k);
        const auto right = detail::eigen_rows(d.transpose_b ? b + column * d.k : b + column, d.transpose_b ? columns : d.k, d.transpose_b ? d.k : columns,
                                              d.transpose_b ? d.k : d.n);
        if (d.transpose_a && d.transpose_b)
            to.noalias() += left.transpose() * right.transpose();
        else if (d.transpose_a)
            to.noalias() += left.transpose() * right;
        else if (d.transpose_b)
            to.noalias() += left * right.transpose();
        else
            to.noalias() += left * right;
    });
}

template <class T>
index_t conv2d_forward_scratch(const EigenCpu<T>& p, const Conv2dDims& d) {
    const detail::EigenConv conv{d};
    return conv.template scratch<T>(thread_count(p.threads), conv.lines_of(detail::eigen_patch_values));
}
template <class T>
void conv2d_forward(const EigenCpu<T>& p, std::byte* scratch, const Conv2dDims& d, const detail::Of<T>* x, const detail::Of<T>* w, const detail::Of<T>* bias,
                    detail::Of<T>* y) {
    const detail::EigenConv conv{d};
    if (conv.narrow()) return conv2d_forward(static_cast<const Reference<T>&>(p), scratch, d, x, w, bias, y);
    const index_t most = conv.lines_of(detail::eigen_patch_values), tasks = detail::ceil_div(conv.lines(), most);
    const index_t bytes = detail::bytes_of<T>(most * d.out_width * conv.taps);
    detail::parallel_for(p.threads, tasks, [&](index_t task, int thread) {
        const index_t first = task * most, lines = std::min(most, conv.lines() - first), rows = lines * d.out_width, row = first * d.out_width;
        for (index_t g = 0; g < d.groups; ++g) {
            const T* patches = x + row * d.in_channels + g * conv.in_group;
            index_t stride = d.in_channels;
            if (!conv.plain()) {
                T* room = reinterpret_cast<T*>(scratch + thread * bytes);
                for (index_t l = 0; l < lines; ++l) conv.gather(x, g, first + l, room + l * d.out_width * conv.taps);
                patches = room;
                stride = conv.taps;
            }
            auto to = detail::eigen_rows(y + row * d.out_channels + g * conv.out_group, rows, conv.out_group, d.out_channels);
            to.setZero();
            if (bias) to.rowwise() = detail::eigen_row(bias + g * conv.out_group, conv.out_group);
            to.noalias() += detail::eigen_rows(patches, rows, conv.taps, stride) *
                            detail::eigen_rows(w + g * conv.out_group * conv.taps, conv.out_group, conv.taps, conv.taps).transpose();
        }
    });
}

template <class T>
index_t conv2d_backward_data_scratch(const EigenCpu<T>& p, const Conv2dDims& d) {
    return conv2d_forward_scratch(p, d);
}
/// A task for each image: patches of neighbouring positions add up in it.
template <class T>
void conv2d_backward_data(const EigenCpu<T>& p, std::byte* scratch, const Conv2dDims& d, const detail::Of<T>* dy, const detail::Of<T>* w, detail::Of<T>* dx) {
    const detail::EigenConv conv{d};
    if (conv.narrow()) return conv2d_backward_data(static_cast<const Reference<T>&>(p), scratch, d, dy, w, dx);
    const index_t most = conv.lines_of(detail::eigen_patch_values);
    const index_t bytes = detail::bytes_of<T>(most * d.out_width * conv.taps), image = d.height * d.width * d.in_channels;
    detail::parallel_for(p.threads, d.batch, [&](index_t n, int thread) {
        std::fill_n(dx + n * image, image, T{0});
        for (index_t first = n * d.out_height; first < (n + 1) * d.out_height; first += most) {
            const index_t lines = std::min(most, (n + 1) * d.out_height - first), rows = lines * d.out_width, row = first * d.out_width;
            for (index_t g = 0; g < d.groups; ++g) {
                const auto from = detail::eigen_rows(dy + row * d.out_channels + g * conv.out_group, rows, conv.out_group, d.out_channels);
                const auto weights = detail::eigen_rows(w + g * conv.out_group * conv.taps, conv.out_group, conv.taps, conv.taps);
                if (conv.plain()) {
                    detail::eigen_rows(dx + row * d.in_channels + g * conv.in_group, rows, conv.in_group, d.in_channels).noalias() += from * weights;
                    continue;
                }
                T* patches = reinterpret_cast<T*>(scratch + thread * bytes);
                detail::eigen_rows(patches, rows, conv.taps, conv.taps).noalias() = from * weights;
                for (index_t l = 0; l < lines; ++l) conv.scatter(patches + l * d.out_width * conv.taps, g, first + l, dx);
            }
        }
    });
}

template <class T>
index_t conv2d_backward_weights_scratch(const EigenCpu<T>&, const Conv2dDims& d) {
    const detail::EigenConv conv{d};
    return conv.template scratch<T>(1, conv.block_lines());
}
/// Block after block of patches, each added to dw by tasks that have rows of it for themselves.
template <class T>
void conv2d_backward_weights(const EigenCpu<T>& p, std::byte* scratch, const Conv2dDims& d, const detail::Of<T>* x, const detail::Of<T>* dy, detail::Of<T>* dw,
                             detail::Of<T>* dbias) {
    const detail::EigenConv conv{d};
    if (conv.narrow()) return conv2d_backward_weights(static_cast<const Reference<T>&>(p), scratch, d, x, dy, dw, dbias);
    const index_t most = conv.block_lines(), out_rows = std::max<index_t>(8, detail::ceil_div(conv.out_group, 8)),
                  slices = detail::ceil_div(conv.out_group, out_rows);
    T* patches = reinterpret_cast<T*>(scratch);
    for (index_t first = 0; first < conv.lines(); first += most) {
        const index_t lines = std::min(most, conv.lines() - first), rows = lines * d.out_width, row = first * d.out_width;
        for (index_t g = 0; g < d.groups; ++g) {
            if (!conv.plain())
                detail::parallel_for(p.threads, lines, [&](index_t l, int) { conv.gather(x, g, first + l, patches + l * d.out_width * conv.taps); });
            detail::parallel_for(p.threads, slices, [&](index_t slice, int) {
                const index_t o = g * conv.out_group + slice * out_rows, count = std::min(out_rows, conv.out_group - slice * out_rows);
                const auto gradients = detail::eigen_rows(dy + row * d.out_channels + o, rows, count, d.out_channels);
                auto to = detail::eigen_rows(dw + o * conv.taps, count, conv.taps, conv.taps);
                if (conv.plain())
                    to.noalias() += gradients.transpose() * detail::eigen_rows(x + row * d.in_channels + g * conv.in_group, rows, conv.taps, d.in_channels);
                else
                    to.noalias() += gradients.transpose() * detail::eigen_rows(static_cast<const T*>(patches), rows, conv.taps, conv.taps);
                if (dbias) detail::eigen_row(dbias + o, count) += gradients.colwise().sum();
            });
        }
    }
}

}  // namespace dla
