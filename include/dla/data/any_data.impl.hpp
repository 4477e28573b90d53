// SPDX-License-Identifier: MIT
// What is asked of data of either kind.
#pragma once

#include <dla/core/hash.hpp>
#include <dla/data/fingerprint.hpp>
#include <dla/data/loader.hpp>
#include <dla/data/metadata.hpp>

#include <algorithm>

namespace dla {

DLA_ONCE std::vector<double> AnyData::balanced_weights(std::span<const std::uint32_t> samples) const {
    return images_ ? dla::balanced_weights(*images_, samples) : dla::balanced_weights(*source_, samples);
}
DLA_ONCE std::unique_ptr<Loader> AnyData::loader(std::vector<std::uint32_t> samples, const LoaderOptions& options) const& {
    if (images_ && transform_) {
        LoaderOptions own = options;
        own.transform = transform_;
        return std::make_unique<Loader>(*images_, std::move(samples), own);
    }
    if (images_) return std::make_unique<Loader>(*images_, std::move(samples), options);
    return std::make_unique<Loader>(*source_, std::move(samples), options);
}
DLA_ONCE std::map<std::string, std::string> AnyData::metadata() const {
    if (images_ == nullptr || transform_) return {};
    try {
        auto known = to_metadata(*images_);
        std::string& name = known["dla.data.name"];  // where it lies is nobody's business
        while (name.size() > 1 && name.ends_with('/')) name.pop_back();
        name.erase(0, name.find_last_of('/') + 1);
        return known;
    } catch (const Error&) {
        return {};  // it can be trained on all the same
    }
}
DLA_ONCE std::uint64_t AnyData::fingerprint() const {
    if (images_) return dla::fingerprint(*images_);
    Fnv1a hash;
    const index_t n = size(), size = input_shape().size(), target = target_size();
    for (const index_t word : {n, size, target, classes()}) hash.add(static_cast<std::uint64_t>(word));
    std::vector<float> input(static_cast<std::size_t>(size)), values(static_cast<std::size_t>(target));
    std::vector<std::int32_t> labels(values.size());
    const index_t step = std::max<index_t>(1, n / 256);
    for (index_t i = 0; i < n; ++i) {
        if (classes() > 0)
            for (source_->labels(i, labels); const std::int32_t label : labels) hash.add(static_cast<std::uint64_t>(label));
        else
            source_->target(i, values), hash.add_words(values.data(), values.size() * sizeof(float));
        if (i % step != 0) continue;
        source_->read({0, 0, static_cast<std::uint32_t>(i)}, input);
        hash.add_words(input.data(), input.size() * sizeof(float));
    }
    return hash.value();
}

DLA_ONCE AnyData AnyData::mirrored() const {
    if (!images_ || transform_) fail(ErrorCode::data, images_ ? images_->name : "data", "only images of a Dataset without a transform can be mirrored");
    detail::check_normalisation(*images_);
    AnyData other = *this;
    other.transform_ = [shape = images_->shape, table = std::make_shared<const Normalisation>(*images_)](
                           const SamplePosition&, std::span<const std::uint8_t> image, std::span<float> out) {
        write_image(image.data(), shape, *table, {.flip = true}, out.data());
    };
    return other;
}

}  // namespace dla
