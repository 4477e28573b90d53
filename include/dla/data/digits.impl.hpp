// SPDX-License-Identifier: MIT
// How digits are drawn: pen strokes through points, bent, moved and blurred at random.
#pragma once

#include <dla/core/math.hpp>

#include <array>
#include <cmath>
#include <numbers>
#include <system_error>
#include <thread>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::detail::inline DLA_ABI_TAG {

struct Point {
    float x = 0, y = 0;
};

/// A pen stroke: a smooth curve through the points, in a box of 1 x 1 with y downwards.
struct Stroke {
    int count = 0;
    Point points[9]{};
};

struct Glyph {
    int count = 0;
    Stroke strokes[3]{};
};

inline constexpr int max_glyphs = 3;

/// The ways to write each digit. Corners are where two strokes meet.
inline const std::array<std::array<Glyph, max_glyphs>, 10>& digit_glyphs() {
    static const std::array<std::array<Glyph, max_glyphs>, 10> glyphs = {{
        // clang-format off
        {{{1, {{8, {{.5f, 0}, {.12f, .2f}, {.04f, .55f}, {.25f, .93f}, {.6f, .98f}, {.92f, .7f}, {.9f, .25f}, {.5f, 0}}}}},
          {1, {{8, {{.7f, .05f}, {.35f, .03f}, {.1f, .35f}, {.15f, .8f}, {.5f, 1}, {.85f, .75f}, {.85f, .3f}, {.6f, 0}}}}},
          {1, {{8, {{.45f, .08f}, {.22f, .3f}, {.2f, .7f}, {.4f, 1}, {.68f, .9f}, {.78f, .5f}, {.7f, .12f}, {.4f, .03f}}}}}}},
        {{{1, {{2, {{.5f, 0}, {.5f, 1}}}}},
          {2, {{2, {{.22f, .25f}, {.55f, 0}}}, {2, {{.55f, 0}, {.55f, 1}}}}},
          {3, {{2, {{.25f, .2f}, {.52f, 0}}}, {2, {{.52f, 0}, {.52f, 1}}}, {2, {{.22f, 1}, {.82f, 1}}}}}}},
        {{{2, {{6, {{.08f, .25f}, {.3f, .02f}, {.72f, .05f}, {.85f, .3f}, {.6f, .6f}, {.08f, .97f}}}, {2, {{.08f, .97f}, {.95f, .97f}}}}},
          {1, {{8, {{.1f, .2f}, {.45f, 0}, {.85f, .2f}, {.7f, .55f}, {.3f, .9f}, {.08f, .85f}, {.3f, .74f}, {.95f, .98f}}}}},
          {2, {{5, {{.1f, .12f}, {.55f, 0}, {.82f, .22f}, {.55f, .6f}, {.12f, .9f}}}, {3, {{.12f, .9f}, {.5f, .86f}, {.95f, .93f}}}}}}},
        {{{2, {{4, {{.1f, .1f}, {.5f, 0}, {.85f, .2f}, {.38f, .46f}}}, {4, {{.38f, .46f}, {.9f, .7f}, {.55f, 1}, {.08f, .88f}}}}},
          {3, {{2, {{.1f, .02f}, {.85f, .02f}}}, {2, {{.85f, .02f}, {.42f, .42f}}}, {5, {{.42f, .42f}, {.9f, .62f}, {.75f, .95f}, {.35f, 1}, {.08f, .88f}}}}},
          {1, {{7, {{.12f, .15f}, {.5f, 0}, {.8f, .22f}, {.52f, .47f}, {.88f, .72f}, {.5f, 1}, {.05f, .85f}}}}}}},
        {{{3, {{2, {{.25f, 0}, {.08f, .6f}}}, {2, {{.08f, .6f}, {.95f, .6f}}}, {2, {{.72f, .2f}, {.72f, 1}}}}},
          {3, {{2, {{.7f, 0}, {.05f, .65f}}}, {2, {{.05f, .65f}, {.95f, .65f}}}, {2, {{.7f, 0}, {.7f, 1}}}}},
          {2, {{4, {{.12f, .02f}, {.14f, .48f}, {.5f, .56f}, {.85f, .42f}}}, {2, {{.88f, 0}, {.8f, 1}}}}}}},
        {{{3, {{2, {{.85f, .02f}, {.2f, .02f}}}, {2, {{.2f, .02f}, {.15f, .45f}}}, {5, {{.15f, .45f}, {.55f, .36f}, {.92f, .65f}, {.6f, .98f}, {.08f, .9f}}}}},
          {1, {{7, {{.9f, .05f}, {.3f, .02f}, {.18f, .38f}, {.65f, .42f}, {.9f, .7f}, {.5f, 1}, {.08f, .9f}}}}},
          {2, {{2, {{.9f, 0}, {.35f, .05f}}}, {6, {{.35f, .05f}, {.22f, .42f}, {.6f, .46f}, {.8f, .72f}, {.5f, .98f}, {.1f, .95f}}}}}}},
        {{{1, {{8, {{.75f, .02f}, {.3f, .25f}, {.08f, .68f}, {.35f, 1}, {.8f, .9f}, {.85f, .62f}, {.5f, .5f}, {.12f, .7f}}}}},
          {1, {{7, {{.42f, 0}, {.14f, .45f}, {.1f, .8f}, {.45f, 1}, {.85f, .8f}, {.6f, .52f}, {.15f, .66f}}}}},
          {1, {{7, {{.9f, .1f}, {.45f, .08f}, {.12f, .55f}, {.3f, .98f}, {.75f, .92f}, {.72f, .58f}, {.2f, .62f}}}}}}},
        {{{2, {{2, {{.08f, .03f}, {.92f, .03f}}}, {2, {{.92f, .03f}, {.4f, 1}}}}},
          {3, {{2, {{.08f, .03f}, {.92f, .03f}}}, {2, {{.92f, .03f}, {.4f, 1}}}, {2, {{.35f, .5f}, {.88f, .5f}}}}},
          {2, {{3, {{.06f, .18f}, {.15f, .03f}, {.9f, .05f}}}, {3, {{.9f, .05f}, {.56f, .45f}, {.46f, 1}}}}}}},
        {{{1, {{9, {{.8f, .15f}, {.45f, 0}, {.15f, .2f}, {.5f, .47f}, {.88f, .75f}, {.5f, 1}, {.1f, .78f}, {.45f, .5f}, {.82f, .17f}}}}},
          {2, {{7, {{.5f, 0}, {.18f, .12f}, {.25f, .4f}, {.5f, .47f}, {.78f, .35f}, {.8f, .1f}, {.5f, 0}}},
               {7, {{.5f, .47f}, {.1f, .65f}, {.2f, .95f}, {.5f, 1}, {.85f, .92f}, {.9f, .65f}, {.5f, .47f}}}}},
          {2, {{6, {{.78f, .06f}, {.3f, .06f}, {.3f, .38f}, {.72f, .62f}, {.66f, .97f}, {.4f, 1}}}, {4, {{.4f, 1}, {.2f, .8f}, {.42f, .5f}, {.78f, .06f}}}}}}},
        {{{2, {{6, {{.86f, .2f}, {.5f, 0}, {.12f, .22f}, {.3f, .5f}, {.7f, .45f}, {.86f, .2f}}}, {3, {{.86f, .15f}, {.84f, .6f}, {.7f, 1}}}}},
          {2, {{6, {{.86f, .2f}, {.5f, 0}, {.12f, .22f}, {.3f, .5f}, {.7f, .45f}, {.86f, .2f}}}, {4, {{.86f, .15f}, {.85f, .7f}, {.55f, 1}, {.15f, .9f}}}}},
          {1, {{8, {{.8f, .1f}, {.35f, .02f}, {.15f, .3f}, {.45f, .5f}, {.8f, .3f}, {.82f, .1f}, {.75f, .55f}, {.62f, 1}}}}}}},
        // clang-format on
    }};
    return glyphs;
}

/// Ink on a canvas of 28 x 28: full inside the pen's radius, falling off over one pixel.
class Canvas {
public:
    static constexpr int side = 28;

    void line(Point a, Point b, float radius, float ink) {
        const float reach = radius + .5f;
        const int left = std::max(0, static_cast<int>(std::floor(std::min(a.x, b.x) - reach)));
        const int right = std::min(side - 1, static_cast<int>(std::ceil(std::max(a.x, b.x) + reach)));
        const int top = std::max(0, static_cast<int>(std::floor(std::min(a.y, b.y) - reach)));
        const int bottom = std::min(side - 1, static_cast<int>(std::ceil(std::max(a.y, b.y) + reach)));
        const float dx = b.x - a.x, dy = b.y - a.y;
        const float inverse = 1.0f / std::max(dx * dx + dy * dy, 1e-12f);
        for (int y = top; y <= bottom; ++y)
            for (int x = left; x <= right; ++x) {
                const float px = static_cast<float>(x) - a.x, py = static_cast<float>(y) - a.y;
                const float along = std::clamp((px * dx + py * dy) * inverse, 0.0f, 1.0f);
                const float ex = px - along * dx, ey = py - along * dy;
                const float squared = ex * ex + ey * ey;
                if (squared >= reach * reach) continue;
                float& value = ink_[y * side + x];
                value = std::max(value, ink * std::min(1.0f, reach - std::sqrt(squared)));
            }
    }

    const float* data() const { return ink_; }

private:
    float ink_[side * side]{};
};

/// Catmull-Rom spline between p1 and p2 at t in [0, 1].
inline Point spline(Point p0, Point p1, Point p2, Point p3, float t) {
    const float a = ((-t + 2) * t - 1) * t * .5f, b = ((3 * t - 5) * t * t + 2) * .5f, c = ((-3 * t + 4) * t + 1) * t * .5f, d = (t - 1) * t * t * .5f;
    return {a * p0.x + b * p1.x + c * p2.x + d * p3.x, a * p0.y + b * p1.y + c * p2.y + d * p3.y};
}

inline float cosine_of(float radians) { return static_cast<float>(math::cos_pi(static_cast<double>(radians) / std::numbers::pi)); }
inline float sine_of(float radians) { return static_cast<float>(math::sin_pi(static_cast<double>(radians) / std::numbers::pi)); }

/// Draws digit `label` to `out` [28, 28] with all that varies taken from `random`.
inline void draw_digit(int label, RandomStream random, std::uint8_t* out) {
    const auto between = [&random](float low, float high) { return low + (high - low) * random.uniform(); };
    constexpr float pi = 3.14159265f;
    const Glyph& glyph = digit_glyphs()[static_cast<std::size_t>(label)][random.below(max_glyphs)];

    // Affine part: box of 13 x 19 pixels, scaled, sheared, turned and moved.
    const float width = 13.0f * between(.7f, 1.2f), height = 19.0f * between(.78f, 1.12f);
    const float shear = between(-.45f, .45f), angle = between(-.35f, .35f);
    const float cosine = cosine_of(angle), sine = sine_of(angle);
    const float cx = 13.5f + between(-2.5f, 2.5f), cy = 13.5f + between(-2.5f, 2.5f);
    // Elastic part: two slow waves bend the plane, and every point of the pen's path is a little off.
    const float bend_x = between(-.1f, .1f), bend_y = between(-.1f, .1f), phase_x = between(0, 2 * pi), phase_y = between(0, 2 * pi);
    const float wobble = .065f;
    const auto place = [&](Point p) {
        const float u = p.x - .5f + bend_x * sine_of(2 * pi * p.y * .8f + phase_x), v = p.y - .5f + bend_y * sine_of(2 * pi * p.x * .8f + phase_y);
        const float x = width * (u - shear * v), y = height * v;
        return Point{cx + cosine * x - sine * y, cy + sine * x + cosine * y};
    };

    Canvas canvas;
    const float radius = between(.55f, 1.7f), ink = between(170, 255);
    for (int s = 0; s < glyph.count; ++s) {
        const Stroke& stroke = glyph.strokes[s];
        Point path[9];
        for (int i = 0; i < stroke.count; ++i) path[i] = {stroke.points[i].x + between(-wobble, wobble), stroke.points[i].y + between(-wobble, wobble)};
        const int pieces = stroke.count == 2 ? 4 : 5;
        Point from = place(path[0]);
        for (int i = 0; i + 1 < stroke.count; ++i)
            for (int k = 1; k <= pieces; ++k) {
                const Point to = place(spline(path[std::max(i - 1, 0)], path[i], path[i + 1], path[std::min(i + 2, stroke.count - 1)],
                                              static_cast<float>(k) / static_cast<float>(pieces)));
                canvas.line(from, to, radius, ink);
                from = to;
            }
    }
    // A faint stray mark on some, and noise on all: the sum of two uniform bytes for each pixel.
    if (random.below(3) == 0) {
        const Point start{between(1, 26), between(1, 26)};
        canvas.line(start, {start.x + between(-7, 7), start.y + between(-7, 7)}, .6f, ink * between(.4f, .8f));
    }
    const float noise = between(0, .2f);
    std::uint32_t bits = 0;
    for (int p = 0; p < Canvas::side * Canvas::side; ++p, bits >>= 16) {
        if (p % 2 == 0) bits = random.bits();
        const float n = static_cast<float>(static_cast<int>(bits & 255u) + static_cast<int>(bits >> 8 & 255u) - 255);
        out[p] = static_cast<std::uint8_t>(std::clamp(canvas.data()[p] + noise * n + .5f, 0.0f, 255.0f));
    }
}

}  // namespace dla::detail::inline DLA_ABI_TAG

namespace dla::inline DLA_ABI_TAG {

DLA_ONCE Dataset make_digits(index_t count, Seed seed, DigitsPart part, int threads) {
    if (count < 1 || count > index_t{std::numeric_limits<std::uint32_t>::max()})
        fail(ErrorCode::config, "digits", "the number of images must be 1 to 4294967295, got " + std::to_string(count));
    Dataset data;
    data.name = "digits";
    data.shape = Shape{1, 28, 28};
    data.num_classes = 10;
    data.class_names = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
    data.mean = {.114f};
    data.std = {.245f};
    data.images.resize(static_cast<std::size_t>(count) * 784);
    data.labels.resize(static_cast<std::size_t>(count));
    const auto draw = [&](index_t begin, index_t end) {
        for (index_t i = begin; i < end; ++i) {
            RandomStream random({static_cast<std::uint64_t>(seed), static_cast<std::uint32_t>(part), static_cast<std::uint32_t>(i)}, RandomUse::synthesis);
            const auto label = static_cast<int>(random.below(10));
            data.labels[static_cast<std::size_t>(i)] = label;
            detail::draw_digit(label, random, data.images.data() + static_cast<std::size_t>(i) * 784);
        }
    };
    const index_t wanted = threads > 0 ? threads : static_cast<index_t>(std::max(1u, std::thread::hardware_concurrency()));
    const index_t workers = std::min(wanted, (count + 999) / 1000);
    std::vector<std::jthread> pool;
    index_t started = 1;
    try {
        for (; started < workers; ++started)
            pool.emplace_back([&draw, begin = count * started / workers, end = count * (started + 1) / workers] { draw(begin, end); });
    } catch (const std::system_error&) {  // the system gives no more threads: this one does the rest
    }
    draw(count * started / workers, count);
    draw(0, count / workers);
    pool.clear();
    return data;
}

}  // namespace dla::inline DLA_ABI_TAG

#include <dla/core/end_exact.inl.hpp>
