// SPDX-License-Identifier: MIT
// Softmax and cross-entropy of rows of contiguous classes, on one thread. Included once per target, see softmax.hpp. No include guard on purpose.
// Work goes in groups of `lanes` rows. With few classes a group is transposed, one row in each lane; with many, a vector runs along its row.

/// A group of at most `lanes` rows of x [rows, classes] and what both passes over it share.
struct RowGroup {
    static constexpr index_t few = 64;
    index_t rows, classes;
    const float* x;
    float largest[lanes], sum[lanes];  // sum of exp(x - largest): NaN if a value is NaN or +infinity, or all are -infinity
    std::int32_t best[lanes];          // first of the largest
    float power[few * lanes];          // exp(x - largest), [classes, lanes]; few classes only

    RowGroup(index_t row_count, index_t class_count, const float* first) : rows(row_count), classes(class_count), x(first) {
        if (classes <= few)
            sum_transposed();
        else
            for (index_t r = 0; r < rows; ++r) sum_along(r);
    }

    void sum_transposed() {
        for (index_t r = 0; r < lanes; ++r) {
            const float* row = x + (r < rows ? r : 0) * classes;  // lanes without a row repeat the first
            for (index_t c = 0; c < classes; ++c) power[c * lanes + r] = row[c];
        }
        Vec most = load(power), total{};
        VecInt where{};
        for (index_t c = 1; c < classes; ++c) {
            const Vec v = load(power + c * lanes);
            where = v > most ? VecInt{} + static_cast<std::int32_t>(c) : where;
            most = v > most ? v : most;
        }
        for (index_t c = 0; c < classes; ++c) {
            const Vec e = exp_negative(load(power + c * lanes) - most);
            store(power + c * lanes, e);
            total += e;
        }
        store(largest, most);
        store(sum, total);
        __builtin_memcpy(best, &where, sizeof(where));
    }

    void sum_along(index_t r) {
        const float* row = x + r * classes;
        constexpr float lowest = -std::numeric_limits<float>::infinity();
        Vec most = splat(0.0f) + lowest, total{};
        for (index_t c = 0; c < classes; c += lanes) {
            const Vec v = load_within(row + c, classes - c, lowest);
            most = v > most ? v : most;
        }
        float top = lowest;
        for (index_t i = 0; i < lanes; ++i) top = most[i] > top ? most[i] : top;
        for (index_t c = 0; c < classes; c += lanes) total += exp_negative(load_within(row + c, classes - c, lowest) - top);
        largest[r] = top;
        sum[r] = horizontal_sum(total);
        best[r] = static_cast<std::int32_t>(detail::argmax(classes, row));
    }

    /// y [rows, classes] = exp(x - largest) * factor [lanes], y may be x.
    void write(const float* factor, float* y) {
        if (classes > few) {
            for (index_t r = 0; r < rows; ++r) {
                const float top = largest[r], scale = factor[r];
                map(
                    classes, y + r * classes, [=](Vec v) __attribute__((always_inline)) { return exp_negative(v - top) * scale; }, x + r * classes);
            }
            return;
        }
        for (index_t c = 0; c < classes; ++c) store(power + c * lanes, load(power + c * lanes) * load(factor));
        for (index_t r = 0; r < rows; ++r)
            for (index_t c = 0; c < classes; ++c) y[r * classes + c] = power[c * lanes + r];
    }
};

inline void softmax_forward(index_t rows, index_t classes, const float* x, float* y) {
    for (index_t r = 0; classes > 0 && r < rows; r += lanes) {
        RowGroup group(rows - r < lanes ? rows - r : lanes, classes, x + r * classes);
        float factor[lanes] = {};
        for (index_t i = 0; i < group.rows; ++i) factor[i] = 1.0f / group.sum[i];
        group.write(factor, y + r * classes);
    }
}

/// Softmax over values that lie `inner` apart, for one of the outer positions: a vector takes neighbouring inner positions. y may be x.
inline void softmax_across(index_t channels, index_t inner, const float* x, float* y) {
    for (index_t i = 0; channels > 0 && i < inner; i += lanes) {
        const index_t left = inner - i;
        Vec most = load_within(x + i, left), total{};
        for (index_t c = 1; c < channels; ++c) {
            const Vec v = load_within(x + c * inner + i, left);
            most = v > most ? v : most;
        }
        for (index_t c = 0; c < channels; ++c) {
            const Vec e = exp_negative(load_within(x + c * inner + i, left) - most);
            store_within(y + c * inner + i, e, left);
            total += e;
        }
        const Vec factor = 1.0f / total;
        for (index_t c = 0; c < channels; ++c) store_within(y + c * inner + i, load_within(y + c * inner + i, left) * factor, left);
    }
}

/// dx = y * (dy - sum over channels of y * dy), values of a position `inner` apart: a vector takes neighbouring positions. dx may be dy.
inline void softmax_across_backward(index_t channels, index_t inner, const float* y, const float* dy, float* dx) {
    for (index_t i = 0; i < inner; i += lanes) {
        const index_t left = inner - i;
        Vec sum{};
        for (index_t c = 0; c < channels; ++c) sum += load_within(y + c * inner + i, left) * load_within(dy + c * inner + i, left);
        for (index_t c = 0; c < channels; ++c) {
            const index_t at = c * inner + i;
            store_within(dx + at, load_within(y + at, left) * (load_within(dy + at, left) - sum), left);
        }
    }
}

inline void softmax_backward(index_t rows, index_t classes, const float* y, const float* dy, float* dx) {
    const index_t whole = classes / lanes * lanes;
    for (index_t r = 0; r < rows; ++r, y += classes, dy += classes, dx += classes) {
        Vec product{};
        for (index_t c = 0; c < whole; c += lanes) product += load(y + c) * load(dy + c);
        float sum = whole > 0 ? horizontal_sum(product) : 0.0f;
        for (index_t c = whole; c < classes; ++c) sum += y[c] * dy[c];
        for (index_t c = 0; c < whole; c += lanes) store(dx + c, load(y + c) * (load(dy + c) - sum));
        for (index_t c = whole; c < classes; ++c) dx[c] = y[c] * (dy[c] - sum);
    }
}

inline void log_softmax_forward(index_t rows, index_t classes, const float* x, float* y) {
    for (index_t r = 0; classes > 0 && r < rows; r += lanes) {
        const RowGroup group(rows - r < lanes ? rows - r : lanes, classes, x + r * classes);
        for (index_t i = 0; i < group.rows; ++i) {
            const float top = group.largest[i], log_sum = static_cast<float>(math::log(static_cast<double>(group.sum[i])));
            const index_t first = (r + i) * classes;
            map(classes, y + first, [=](Vec v) __attribute__((always_inline)) { return v - top - log_sum; }, x + first);
        }
    }
}

/// As softmax_across.
inline void log_softmax_across(index_t channels, index_t inner, const float* x, float* y) {
    for (index_t i = 0; channels > 0 && i < inner; i += lanes) {
        const index_t left = inner - i;
        Vec most = load_within(x + i, left), total{};
        for (index_t c = 1; c < channels; ++c) {
            const Vec v = load_within(x + c * inner + i, left);
            most = v > most ? v : most;
        }
        for (index_t c = 0; c < channels; ++c) total += exp_negative(load_within(x + c * inner + i, left) - most);
        Vec log_sum;
        for (index_t lane = 0; lane < lanes; ++lane) log_sum[lane] = static_cast<float>(math::log(static_cast<double>(total[lane])));
        for (index_t c = 0; c < channels; ++c) store_within(y + c * inner + i, load_within(x + c * inner + i, left) - most - log_sum, left);
    }
}

/// dx = dy - exp(y) * (sum over channels of dy), as softmax_across_backward.
inline void log_softmax_across_backward(index_t channels, index_t inner, const float* y, const float* dy, float* dx) {
    for (index_t i = 0; i < inner; i += lanes) {
        const index_t left = inner - i;
        Vec sum{};
        for (index_t c = 0; c < channels; ++c) sum += load_within(dy + c * inner + i, left);
        for (index_t c = 0; c < channels; ++c) {
            const index_t at = c * inner + i;
            store_within(dx + at, load_within(dy + at, left) - exp_negative(load_within(y + at, left)) * sum, left);
        }
    }
}

inline void log_softmax_backward(index_t rows, index_t classes, const float* y, const float* dy, float* dx) {
    for (index_t r = 0; r < rows; ++r, y += classes, dy += classes, dx += classes) {
        Vec total{};
        for (index_t c = 0; c < classes; c += lanes) total += load_within(dy + c, classes - c);
        const float sum = horizontal_sum(total);
        map(classes, dx, [sum](Vec v, Vec d) __attribute__((always_inline)) { return d - exp_negative(v) * sum; }, y, dy);
    }
}

/// Rows [first, first + rows): gradient = (softmax * (sum of the coefficients of nll) - coefficients) / divisor. `look(row, best class, log_sum, part)`
/// adds the row to `part` and returns the sum of its coefficients; `settle(row, gradient)` does the rest of its gradient.
template <class Look, class Settle>
inline LossPart loss_rows(index_t first, index_t rows, const LossTask& t, const Look& look, const Settle& settle) {
    LossPart part{};
    const index_t classes = t.d.classes;
    for (index_t r = first; r < first + rows; r += lanes) {
        RowGroup group(first + rows - r < lanes ? first + rows - r : lanes, classes, t.logits + r * classes);
        float factor[lanes] = {};
        for (index_t i = 0; i < group.rows; ++i) {
            const auto sum = static_cast<double>(group.sum[i]);
            const double total = look(r + i, group.best[i], static_cast<double>(group.largest[i]) + math::log(sum), part);
            factor[i] = static_cast<float>(total / (sum * t.divisor));
        }
        if (t.dlogits == nullptr) continue;
        group.write(factor, t.dlogits + r * classes);
        for (index_t i = 0; i < group.rows; ++i) settle(r + i, t.dlogits + (r + i) * classes);
    }
    return part;
}

/// One label for each row.
inline LossPart cross_entropy(index_t first, index_t rows, const LossTask& t) {
    const index_t classes = t.d.classes;
    const double smooth = t.d.label_smoothing, share = smooth / static_cast<double>(classes);
    const auto weight = [&t](index_t c) { return t.class_weights ? static_cast<double>(t.class_weights[c]) : 1.0; };
    const auto hard = [&](index_t label) { return smooth > 0 ? (1.0 - smooth) * weight(label) : weight(label); };
    double shares = 0;
    for (index_t c = 0; smooth > 0 && c < classes; ++c) shares += share * weight(c);
    const auto look = [&](index_t r, std::int32_t best, double log_sum, LossPart& part) {
        const float* x = t.logits + r * classes;
        const index_t label = t.labels[r];
        if (label == t.d.ignore_index) return 0.0;
        ++part.counted;
        part.correct += best == label ? 1 : 0;
        part.loss += hard(label) * (log_sum - static_cast<double>(x[label]));
        for (index_t c = 0; smooth > 0 && c < classes; ++c) part.loss += share * weight(c) * (log_sum - static_cast<double>(x[c]));
        return hard(label) + shares;
    };
    const auto settle = [&](index_t r, float* dx) {
        const index_t label = t.labels[r];
        if (label == t.d.ignore_index) {
            for (index_t c = 0; c < classes; ++c) dx[c] = 0.0f;
            return;
        }
        for (index_t c = 0; smooth > 0 && c < classes; ++c) dx[c] -= static_cast<float>(share * weight(c) / t.divisor);
        dx[label] -= static_cast<float>(hard(label) / t.divisor);
    };
    return loss_rows(first, rows, t, look, settle);
}

/// A distribution over the classes for each row.
inline LossPart cross_entropy_soft(index_t first, index_t rows, const LossTask& t) {
    const index_t classes = t.d.classes;
    const double smooth = t.d.label_smoothing, share = smooth / static_cast<double>(classes);
    const auto coefficient = [&](index_t r, index_t c) {
        const double value = static_cast<double>(t.targets[r * classes + c]) * (1.0 - smooth) + share;
        return t.class_weights ? value * static_cast<double>(t.class_weights[c]) : value;
    };
    const auto look = [&](index_t r, std::int32_t best, double log_sum, LossPart& part) {
        double total = 0;
        for (index_t c = 0; c < classes; ++c) {
            part.loss += coefficient(r, c) * (log_sum - static_cast<double>(t.logits[r * classes + c]));
            total += coefficient(r, c);
        }
        ++part.counted;
        part.correct += best == detail::argmax(classes, t.targets + r * classes) ? 1 : 0;
        return total;
    };
    const auto settle = [&](index_t r, float* dx) {
        for (index_t c = 0; c < classes; ++c) dx[c] -= static_cast<float>(coefficient(r, c) / t.divisor);
    };
    return loss_rows(first, rows, t, look, settle);
}
