// SPDX-License-Identifier: MIT
// Turns the bytes of an image into normalised floats, with random crop and flip for training.
#pragma once

#include <dla/data/dataset.hpp>
#include <dla/data/source.hpp>

#include <algorithm>

#include <dla/core/begin_exact.inl.hpp>

namespace dla {

/// What is done at random to a training image. The default does nothing.
struct Augmentation {
    int padding = 0;    ///< crop at a random place of the image padded with this many zero pixels on each side; at most 127
    bool flip = false;  ///< mirror left-right with probability 1/2
    int cutout = 0;     ///< a square of this many pixels a side becomes the mean, around a random pixel, cut at the borders (DeVries and Taylor 2017)
    /// pixel = (pixel - mean) * (1 + c) + mean + b, of pixels from 0 to 1 and each channel's mean over the data set, with c and b drawn for each image
    /// uniformly between minus and plus these; not clipped.
    double contrast = 0, brightness = 0;
    /// pixel = grey + (pixel - grey) * (1 + s), of pixels less their channel's mean over the data set, grey the mean of the three channels, with s drawn
    /// likewise. Of images of 3 channels.
    double saturation = 0;
    /// Turned about its middle by up to this many degrees to either side, and made 1 - scale to 1 + scale times as large, both drawn uniformly; between
    /// pixels their values are interpolated (bilinear), beyond the image they are 0. With the crop in one step, so that nothing is interpolated twice.
    double rotate = 0, scale = 0;
    bool operator==(const Augmentation&) const = default;
};

/// Padding 4 and flip: what the experiments use on CIFAR-10.
inline constexpr Augmentation cifar10_augmentation{.padding = 4, .flip = true};

/// One draw: output pixel (y, x) comes from input pixel (y + down, x + right), turned and scaled about the middle of the image, mirrored afterwards if
/// `flip`; then `change_image`.
struct AugmentationDraw {
    int down = 0;
    int right = 0;
    bool flip = false;
    float cut_y = 0, cut_x = 0;  ///< of the pixel in the middle of what is cut out, as shares of height and width
    float gain = 1, shift = 0;   ///< of contrast and brightness
    float colour = 1;            ///< of saturation
    float cosine = 1, sine = 0;  ///< of the way back to the input, from the image's middle, divided by the scale
    bool is_turned() const { return cosine != 1 || sine != 0; }
};

/// The draw for a sample in an epoch. It depends on these numbers only, not on batch, order or thread.
inline AugmentationDraw draw_augmentation(const Augmentation& augmentation, Seed seed, std::uint32_t epoch, std::uint32_t sample) {
    AugmentationDraw draw;
    if (augmentation == Augmentation{}) return draw;
    RandomStream random({static_cast<std::uint64_t>(seed), epoch, sample}, RandomUse::augmentation);
    const auto places = static_cast<std::uint32_t>(2 * augmentation.padding + 1);
    draw.down = static_cast<int>(random.below(places)) - augmentation.padding;
    draw.right = static_cast<int>(random.below(places)) - augmentation.padding;
    draw.flip = augmentation.flip && (random.bits() >> 31) != 0;
    if (augmentation.cutout > 0) draw.cut_y = random.uniform(), draw.cut_x = random.uniform();
    if (augmentation.contrast > 0) draw.gain = 1 + static_cast<float>(augmentation.contrast) * (2 * random.uniform() - 1);
    if (augmentation.brightness > 0) draw.shift = static_cast<float>(augmentation.brightness) * (2 * random.uniform() - 1);
    if (augmentation.saturation > 0) draw.colour = 1 + static_cast<float>(augmentation.saturation) * (2 * random.uniform() - 1);
    const double half_turns = augmentation.rotate > 0 ? augmentation.rotate / 180 * (2 * random.uniform_double() - 1) : 0;
    const double scale = augmentation.scale > 0 ? 1 + augmentation.scale * (2 * random.uniform_double() - 1) : 1;
    if (augmentation.rotate > 0 || augmentation.scale > 0) {
        draw.cosine = static_cast<float>(math::cos_pi(half_turns) / scale);
        draw.sine = static_cast<float>(math::sin_pi(half_turns) / scale);
    }
    return draw;
}

/// (byte / 255 - mean[c]) / std[c] for every channel and byte. A table makes the result the same at every ISA level.
class Normalisation {
public:
    explicit Normalisation(const Dataset& data) : table_(data.mean.size() * 256) {
        for (std::size_t c = 0; c < data.mean.size(); ++c)
            for (std::size_t byte = 0; byte < 256; ++byte) table_[c * 256 + byte] = (static_cast<float>(byte) / 255.0f - data.mean[c]) / data.std[c];
    }
    /// The 256 values of a channel.
    const float* channel(std::size_t c) const { return table_.data() + c * 256; }

private:
    std::vector<float> table_;
};

namespace detail {

/// Throws Error(data) unless the set says how its images become inputs: their shape, and mean and std of each channel.
inline void check_normalisation(const Dataset& data) {
    const Shape& s = data.shape;
    if (!s.is_image() || s.d[0] < 1 || s.d[1] < 1 || s.d[2] < 1 || s.is_too_large())
        fail(ErrorCode::data, data.name, text("its images are ", to_text(s), "; expected [channels, height, width], with channels last in memory").view());
    bool good = std::ssize(data.mean) == s.d[0] && std::ssize(data.std) == s.d[0];
    for (const float d : data.std) good = good && d > 0;
    if (!good) fail(ErrorCode::data, data.name, "mean and std must have a value for each channel, std a positive one; see compute_statistics");
}

}  // namespace detail

/// Images [N, H, W, C] of the data set's shape, its own or others, as a network gets them that is trained on it: (byte / 255 - mean) / std for each channel.
/// An autoencoder's data are `ArrayData(data.shape, x, data.shape, x)` of `x = normalised(data, data.images)`. Error: data, if the
/// set has no such shape, mean or std; shape, if they are no whole images.
inline std::vector<float> normalised(const Dataset& data, std::span<const std::uint8_t> images) {
    detail::check_normalisation(data);
    if (images.size() % data.sample_size() != 0) fail(ErrorCode::shape, data.name, text(images.size(), " bytes are not images ", to_text(data.shape)).view());
    const Normalisation table(data);
    std::vector<float> values(images.size());
    const auto channels = static_cast<std::size_t>(data.shape.d[0]);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = table.channel(i % channels)[images[i]];
    return values;
}

namespace detail {

// Writes one row; Channels is 0 when it is known at run time only.
template <std::size_t Channels>
void write_row(const std::uint8_t* in, const Normalisation& table, std::size_t channels_, index_t width, const AugmentationDraw& draw, float* out) {
    const std::size_t channels = Channels ? Channels : channels_;
    const index_t step = draw.flip ? -1 : 1, from = (draw.flip ? width - 1 : 0) + draw.right;  // of x = 0
    // Where the source lies inside of the image: 0 <= from + step * x < width.
    const index_t first = draw.flip ? from - width + 1 : -from, last = draw.flip ? from + 1 : width - from;
    const index_t begin = in == nullptr ? width : std::clamp<index_t>(first, 0, width), end = in == nullptr ? width : std::clamp<index_t>(last, begin, width);
    const auto pad = [&](index_t x, index_t until) {
        for (; x < until; ++x)
            for (std::size_t c = 0; c < channels; ++c) out[static_cast<std::size_t>(x) * channels + c] = table.channel(c)[0];
    };
    pad(0, begin);
    if (begin < end) {
        const std::uint8_t* pixel = in + (from + step * begin) * static_cast<index_t>(channels);
        float* to = out + static_cast<std::size_t>(begin) * channels;
        const auto copy = [&](auto by) {
            for (index_t x = begin; x < end; ++x, to += channels) {
                const std::uint8_t* at = pixel + by * (x - begin) * static_cast<index_t>(channels);
                for (std::size_t c = 0; c < channels; ++c) to[c] = table.channel(c)[at[c]];
            }
        };
        if (draw.flip)
            copy(std::integral_constant<index_t, -1>{});
        else
            copy(std::integral_constant<index_t, 1>{});
    }
    pad(end, width);
}

/// Where an output pixel of a turned image comes from: between four pixels, with their weights.
struct Between {
    index_t top, left;
    float down, right;  ///< share of the lower row and of the right column

    Between(const AugmentationDraw& draw, index_t height, index_t width, index_t y, index_t x) {
        const float middle_y = static_cast<float>(height - 1) / 2, middle_x = static_cast<float>(width - 1) / 2;
        const float v = static_cast<float>(y + draw.down) - middle_y, u = static_cast<float>((draw.flip ? width - 1 - x : x) + draw.right) - middle_x;
        const float from_y = draw.cosine * v + draw.sine * u + middle_y, from_x = draw.cosine * u - draw.sine * v + middle_x;
        const float floor_y = std::floor(from_y), floor_x = std::floor(from_x);
        top = static_cast<index_t>(floor_y);
        left = static_cast<index_t>(floor_x);
        down = from_y - floor_y;
        right = from_x - floor_x;
    }
    /// The nearest of the four alone, for what has no values in between.
    void to_nearest() {
        top += down >= 0.5f;
        left += right >= 0.5f;
        down = right = 0;
    }
    /// Of one channel; `at(y, x)` gives a pixel inside, beyond them is `outside`.
    template <class At>
    float value(index_t height, index_t width, float outside, const At& at) const {
        const auto pixel = [&](index_t y, index_t x) { return y >= 0 && y < height && x >= 0 && x < width ? at(y, x) : outside; };
        const float above = pixel(top, left) + right * (pixel(top, left + 1) - pixel(top, left));
        const float below = pixel(top + 1, left) + right * (pixel(top + 1, left + 1) - pixel(top + 1, left));
        return above + down * (below - above);
    }
};

inline void write_turned(const std::uint8_t* in, const Shape& shape, const Normalisation& table, const AugmentationDraw& draw, float* out) {
    const auto channels = static_cast<std::size_t>(shape.d[0]);
    const index_t height = shape.d[1], width = shape.d[2];
    for (index_t y = 0; y < height; ++y)
        for (index_t x = 0; x < width; ++x) {
            const Between from(draw, height, width, y, x);
            for (std::size_t c = 0; c < channels; ++c) {
                const float* value = table.channel(c);
                *out++ = from.value(height, width, value[0],
                                    [&](index_t row, index_t column) { return value[in[static_cast<std::size_t>(row * width + column) * channels + c]]; });
            }
        }
}

}  // namespace detail

/// Writes the image `in` [H, W, C] to `out` [H, W, C] under a draw, normalised. Padding is the pixel value 0 before normalisation.
inline void write_image(const std::uint8_t* in, const Shape& shape, const Normalisation& table, const AugmentationDraw& draw, float* out) {
    const auto channels = static_cast<std::size_t>(shape.d[0]);
    const index_t height = shape.d[1], width = shape.d[2];
    const std::size_t row = static_cast<std::size_t>(width) * channels;
    if (draw.is_turned()) return detail::write_turned(in, shape, table, draw, out);
    for (index_t y = 0; y < height; ++y, out += row) {
        const index_t from = y + draw.down;
        const std::uint8_t* source = from >= 0 && from < height ? in + static_cast<std::size_t>(from) * row : nullptr;
        if (channels == 1)
            detail::write_row<1>(source, table, 1, width, draw, out);
        else if (channels == 3)
            detail::write_row<3>(source, table, 3, width, draw, out);
        else
            detail::write_row<0>(source, table, channels, width, draw, out);
    }
}

/// What a draw does to the normalised values [H, W, C] of an image: contrast and brightness, saturation, then what is cut out.
inline void change_image(const Augmentation& augmentation, const AugmentationDraw& draw, const Shape& shape, std::span<const float> std,
                         std::span<float> values) {
    const auto channels = static_cast<std::size_t>(shape.d[0]);
    if (augmentation.contrast > 0 || augmentation.brightness > 0)
        for (std::size_t i = 0; i < values.size(); ++i) values[i] = values[i] * draw.gain + draw.shift / std[i % channels];
    if (augmentation.saturation > 0 && channels == 3)
        for (std::size_t i = 0; i + 2 < values.size(); i += 3) {
            const float grey = (values[i] * std[0] + values[i + 1] * std[1] + values[i + 2] * std[2]) / 3;
            for (std::size_t c = 0; c < 3; ++c) values[i + c] = grey / std[c] + (values[i + c] - grey / std[c]) * draw.colour;
        }
    if (augmentation.cutout == 0) return;
    const index_t height = shape.d[1], width = shape.d[2], side = augmentation.cutout;
    const index_t top = static_cast<index_t>(draw.cut_y * static_cast<float>(height)) - side / 2;
    const index_t left = static_cast<index_t>(draw.cut_x * static_cast<float>(width)) - side / 2;
    for (index_t y = std::max<index_t>(top, 0); y < std::min(top + side, height); ++y)
        for (index_t x = std::max<index_t>(left, 0); x < std::min(left + side, width); ++x)
            std::fill_n(values.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(y * width + x) * channels), channels, 0.0f);
}

/// Throws Error(config), said to be of `who`, for numbers out of range, and for saturation of images `shape` [C, H, W] that are not of 3 channels.
inline void check_augmentation(const char* who, const Augmentation& a, const Shape& shape) {
    const auto require = [&](bool good, Text what) {
        if (!good) fail(ErrorCode::config, who, what.view());
    };
    require(a.padding >= 0 && a.padding <= 127, text("the padding must be 0 to 127, got ", a.padding));
    require(a.cutout >= 0, text("cutout must be 0 or more, got ", a.cutout));
    for (const double range : {a.contrast, a.brightness, a.saturation}) require(range >= 0 && range <= 1, "contrast, brightness and saturation must be 0 to 1");
    require(a.rotate >= 0 && a.rotate <= 180, "rotate must be 0 to 180 degrees");
    require(a.scale >= 0 && a.scale < 1, "scale must be at least 0 and less than 1");
    require(a.saturation == 0 || shape.d[0] == 3, text("saturation is for images of 3 channels; these are ", to_text(shape)));
}

/// All of it: an image as it comes in this epoch.
inline void write_augmented(const std::uint8_t* in, const Shape& shape, const Normalisation& table, std::span<const float> std,
                            const Augmentation& augmentation, Seed seed, std::uint32_t epoch, std::uint32_t sample, std::span<float> out) {
    const AugmentationDraw draw = draw_augmentation(augmentation, seed, epoch, sample);
    write_image(in, shape, table, draw, out.data());
    change_image(augmentation, draw, shape, std, out);
}

/// What is done to an image in memory and to the image that is its target, such as a mask, for ArrayData::pair_transform: both are moved, turned and mirrored
/// alike, the target without interpolation; contrast, brightness (in the input's unit), saturation and cutout are the input's alone. Only of samples that are
/// trained on; what comes from beyond the border is 0, and of the target `beyond`: give `uncounted` where targets are class numbers. Throws Error(data) unless
/// both are images of one height and width, Error(config) as check_augmentation.
inline PairTransform augment_both(const Augmentation& augmentation, const Shape& input, const Shape& target, float beyond = 0) {
    if (!input.is_image() || !target.is_image() || input.d[1] != target.d[1] || input.d[2] != target.d[2])
        fail(ErrorCode::data, "augment_both",
             text("got inputs ", to_text(input), " and targets ", to_text(target), "; expected two images of one height and width, channels last").view());
    check_augmentation("augment_both", augmentation, input);
    return [=](const SamplePosition& at, std::span<float> x, std::span<float> t) {
        if (!at.training) return;
        const AugmentationDraw draw = draw_augmentation(augmentation, Seed{at.seed}, at.epoch, at.sample);
        const auto move = [&](const Shape& shape, std::span<float> values, float outside, bool between) {
            const std::vector<float> from(values.begin(), values.end());
            const index_t channels = shape.d[0], height = shape.d[1], width = shape.d[2];
            if (draw.is_turned()) {
                float* to = values.data();
                for (index_t row = 0; row < height; ++row)
                    for (index_t column = 0; column < width; ++column) {
                        detail::Between place(draw, height, width, row, column);
                        if (!between) place.to_nearest();
                        for (index_t c = 0; c < channels; ++c)
                            *to++ = place.value(height, width, outside,
                                                [&](index_t y, index_t x0) { return from[static_cast<std::size_t>((y * width + x0) * channels + c)]; });
                    }
                return;
            }
            for (index_t row = 0; row < height; ++row)
                for (index_t column = 0; column < width; ++column) {
                    const index_t y = row + draw.down, x0 = (draw.flip ? width - 1 - column : column) + draw.right;
                    const bool inside = y >= 0 && y < height && x0 >= 0 && x0 < width;
                    float* to = values.data() + (row * width + column) * channels;
                    for (index_t c = 0; c < channels; ++c) to[c] = inside ? from[static_cast<std::size_t>((y * width + x0) * channels + c)] : outside;
                }
        };
        move(input, x, 0, true);
        move(target, t, beyond, false);
        change_image(augmentation, draw, input, std::vector<float>(static_cast<std::size_t>(input.d[0]), 1.0f), x);
    };
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
