// SPDX-License-Identifier: MIT
// Sums on one thread. Included once per target, see reduce.hpp. No include guard on purpose.

/// Sums over rows, [padded columns].
inline void column_sums(index_t rows, index_t columns, const float* x, index_t available, float* work, double* sums) {
    const index_t padded = padded_channels(columns);
    for (index_t c = 0; c < padded; c += half_lanes) store(sums + c, VecDouble{});
    for (index_t done = 0; done < rows; done += norm_block) {
        const index_t count = rows - done < norm_block ? rows - done : norm_block, left = available - done * columns;
        const index_t whole = whole_rows(count, columns, left) / 8 * 8;
        const float* block = x + done * columns;
        for (index_t c = 0; c < padded; c += lanes) store(work + c, Vec{});
        for (index_t r = 0; r < whole; r += 8)
            for (index_t c = 0; c < columns; c += lanes) {
                const float* at = block + r * columns + c;
                const Vec low = (load(at) + load(at + columns)) + (load(at + 2 * columns) + load(at + 3 * columns));
                const Vec high = (load(at + 4 * columns) + load(at + 5 * columns)) + (load(at + 6 * columns) + load(at + 7 * columns));
                store(work + c, load(work + c) + (low + high));
            }
        for (index_t r = whole; r < count; ++r)
            for (index_t c = 0; c < columns; c += lanes) store(work + c, load(work + c) + load_within(block + r * columns + c, left - r * columns - c));
        for (index_t c = 0; c < padded; c += half_lanes) store(sums + c, load(sums + c) + load_wide(work + c));
    }
}

/// Sum of term(x...) in double; f is called in the order of the elements, and may store.
template <class F>
inline double sum_of(index_t n, const F& term) {
    VecDouble even{}, odd{};
    index_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        even += term(i, half_lanes);
        odd += term(i + half_lanes, half_lanes);
    }
    for (; i < n; i += half_lanes) even += term(i, n - i);
    return horizontal_sum(even + odd);
}

[[gnu::always_inline]] inline VecDouble load_wide_within(const float* p, index_t n) { return n >= half_lanes ? load_wide(p) : load_wide(Padded(p, n).values); }

inline double squares(index_t n, const float* x) {
    return sum_of(
        n, [=](index_t i, index_t left) __attribute__((always_inline)) {
            const VecDouble v = load_wide_within(x + i, left);
            return v * v;
        });
}

/// Losses of single values, and their derivatives times `factor`; see detail::difference_loss and detail::logistic_loss.
struct WideLoss {
    VecDouble loss, gradient;
};
template <ElementLoss Kind>
[[gnu::always_inline]] inline WideLoss difference_loss(VecDouble d, double bend, double factor) {
    if constexpr (Kind == ElementLoss::squared) return {d * d, d * (2.0 * factor)};
    const VecDouble size = absolute(d), zero{}, sign = d > 0.0 ? splat_wide(1.0) : d < 0.0 ? splat_wide(-1.0) : zero;
    if constexpr (Kind == ElementLoss::absolute) return {size, sign * factor};
    if constexpr (Kind == ElementLoss::huber)
        return {size < bend ? d * d * 0.5 : bend * (size - 0.5 * bend), (size < bend ? d : sign * bend) * factor};
    return {size < bend ? d * d * (0.5 / bend) : size - 0.5 * bend, (size < bend ? d * (1.0 / bend) : sign) * factor};
}
[[gnu::always_inline]] inline WideLoss logistic_loss(VecDouble weight, VecDouble x, VecDouble t, double factor) {
    const VecDouble w = 1.0 + (weight - 1.0) * t, e = exp_negative(-absolute(x)), share = w * (e / (1.0 + e)), zero{};
    return {(1.0 - t) * x + w * (log_one_plus(e) + (x < 0.0 ? -x : zero)), (x < 0.0 ? share - weight * t : (1.0 - t) - share) * factor};
}

/// Sum of the losses of values [first, first + n); gradient (or null, may be x).
template <ElementLoss Kind>
double element_loss(index_t first, index_t n, const ElementLossTask& task) {
    const float *x = task.x + first, *target = task.targets + first, *pos_weight = task.pos_weight;
    float* gradient = task.gradient ? task.gradient + first : nullptr;
    const double factor = task.factor, bend = task.d.bend;
    const index_t outputs = task.d.outputs, weights = task.d.weights;
    return sum_of(
        n, [=](index_t i, index_t left) __attribute__((always_inline)) {
            const VecDouble value = load_wide_within(x + i, left), wanted = load_wide_within(target + i, left);
            WideLoss term;
            if constexpr (Kind == ElementLoss::bce_with_logits) {
                float weight[half_lanes];
                for (index_t j = 0; j < half_lanes; ++j) weight[j] = pos_weight ? pos_weight[(first + i + j) % outputs % weights] : 1.0f;
                term = logistic_loss(load_wide(weight), value, wanted, factor);
            } else {
                term = difference_loss<Kind>(value - wanted, bend, factor);
            }
            if (gradient != nullptr && left >= half_lanes) store_wide(gradient + i, term.gradient);
            if (left < half_lanes) {
                float local[half_lanes];
                store_wide(local, term.gradient);
                for (index_t j = 0; gradient != nullptr && j < left; ++j) gradient[i + j] = local[j];
                if constexpr (Kind == ElementLoss::bce_with_logits)  // the zeros that stand for values that are not there have a loss too
                    for (index_t j = left; j < half_lanes; ++j) term.loss[j] = 0;
            }
            return term.loss;
        });
}
