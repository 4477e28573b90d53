// SPDX-License-Identifier: MIT
// Hands out data batch by batch, prepared ahead by worker threads; what comes depends on nothing but seed and epoch.
#pragma once

#include <dla/data/augment.hpp>
#include <dla/data/mixup.hpp>
#include <dla/data/source.hpp>

#include <functional>
#include <memory>

namespace dla {

/// What happens to samples that do not fill the last batch of an epoch.
enum class LastBatch {
    keep,         ///< a smaller batch (evaluation)
    drop,         ///< left out, so that every batch has the same size
    drop_single,  ///< kept unless it is one sample, whose batch statistics BatchNorm cannot take (training)
};

/// Writes the floats of one image, [H, W, C], from its bytes. Called from worker threads at once; must depend on its arguments only.
using SampleTransform = std::function<void(const SamplePosition&, std::span<const std::uint8_t> image, std::span<float> out)>;

/// What a Loader makes batches of, in which order, and how far ahead.
struct LoaderOptions {
    index_t batch_size = 128;
    bool training = true;  ///< samples are trained on, see SamplePosition::training
    bool shuffle = true;   ///< a new order every epoch; otherwise the order of the index list
    LastBatch last_batch = LastBatch::drop_single;
    Augmentation augmentation{};  ///< of a Dataset's images
    /// Above 0: each sample of a batch is mixed with the one before it, x = m x + (1 - m) x', with one m for the batch drawn from the distribution Beta(mixup,
    /// mixup), and so are its classes, which come as `values`: the probabilities of all classes (Zhang et al. 2018); see mix_batch. For one class number for
    /// each sample.
    double mixup = 0;
    Seed seed{42};
    int workers = 1;              ///< threads; 0 prepares a batch inside `next`
    int prefetch = 2;             ///< batches prepared ahead
    SampleTransform transform{};  ///< of a Dataset's images: if set, used instead of augmentation and normalisation
    /// One for each sample, not negative: an epoch draws as many samples as there are, with replacement and chances in proportion to these
    /// (torch.utils.data.WeightedRandomSampler), instead of shuffling. Empty: each once. See `balanced_weights`.
    std::vector<double> weights{};
};

/// Options for validation, test and prediction: every sample once, in order, with nothing random done to it.
inline LoaderOptions evaluation_options(index_t batch_size, int workers = 1) {
    LoaderOptions options;
    options.batch_size = batch_size;
    options.training = false;
    options.shuffle = false;
    options.last_batch = LastBatch::keep;
    options.workers = workers;
    return options;
}

/// One batch, valid until the next call of the loader that gave it.
struct Batch {
    std::span<const float> inputs;           ///< [count, sample], images [count, H, W, C], 64-byte aligned
    std::span<const std::int32_t> labels;    ///< [count, target], where targets are class numbers
    std::span<const float> values;           ///< [count, target], where they are not; [count, classes] where the batch is mixed
    std::span<const std::uint32_t> samples;  ///< [count], indices into the data set
    index_t count = 0;
    index_t index = 0;  ///< number of the batch in its epoch

    Targets targets() const { return values.empty() ? Targets(labels) : Targets(values); }
};

/// Prefetching loader over chosen samples of a data set or another source, which must outlive it. Use from one thread at a time.
///
///     loader.start_epoch(epoch);
///     while (const Batch* batch = loader.next()) step(*batch);
///
/// The order of epoch e is the index list shuffled at (seed, e), so `start_epoch(e, k)` continues a run that stopped before batch k.
/// No memory is allocated after construction. What a worker throws comes out of `next`.
class Loader {
public:
    /// Errors: data, for an inconsistent data set, an index out of range or options that leave no batch; config, for options out of range.
    Loader(const Dataset& data, std::vector<std::uint32_t> samples, LoaderOptions options);
    /// Of any source, which does itself what is to be done to its samples: augmentation and transform must be empty.
    Loader(const DataSource& data, std::vector<std::uint32_t> samples, LoaderOptions options);
    Loader(const DataSource& data, LoaderOptions options) : Loader(data, all_samples(data), std::move(options)) {}
    Loader(const Dataset& data, LoaderOptions options) : Loader(data, all_samples(data), std::move(options)) {}
    /// Refused: a temporary data set, e.g. `load_dataset(...).train`, would be gone before the first batch.
    Loader(const Dataset&&, std::vector<std::uint32_t>, LoaderOptions) = delete;
    Loader(const DataSource&&, std::vector<std::uint32_t>, LoaderOptions) = delete;
    Loader(const Dataset&&, LoaderOptions) = delete;
    Loader(const DataSource&&, LoaderOptions) = delete;
    Loader(const Loader&) = delete;
    Loader& operator=(const Loader&) = delete;
    ~Loader();

    /// Batches of an epoch.
    index_t batches() const { return batches_; }
    /// Samples of an epoch, without those that are dropped.
    index_t samples() const { return std::min(batches_ * options_.batch_size, static_cast<index_t>(samples_.size())); }
    const DataSource& source() const { return *source_; }
    /// The samples it was made with, in their order before any shuffling.
    const std::vector<std::uint32_t>& sample_indices() const { return samples_; }
    const LoaderOptions& options() const { return options_; }

    /// The same samples in their order, once each and unchanged but for normalisation, in batches of `batch_size`: for evaluation. It reads this loader's data.
    /// `most` of them: the first ones, or `spread` evenly over all.
    std::unique_ptr<Loader> in_order(index_t batch_size, std::size_t most = std::numeric_limits<std::size_t>::max(), int workers = 0,
                                     bool spread = false) const;

    /// Begins an epoch at batch `first_batch`, abandoning one that is under way. Error: config, unless 0 <= first_batch <= batches().
    void start_epoch(std::uint32_t epoch, index_t first_batch = 0);

    /// The next batch, or null at the end of the epoch. Throws what preparing this batch threw, again at each call until an epoch is started.
    const Batch* next();

private:
    struct Workshop;  // the threads, and what they share

    Loader(std::shared_ptr<const DataSource> source, const Dataset* images, std::vector<std::uint32_t>&& samples, LoaderOptions&& options);

    std::shared_ptr<const DataSource> source_;
    const Dataset* images_;  // what the source is made of, or null
    std::vector<std::uint32_t> samples_;
    LoaderOptions options_;
    index_t batches_ = 0;
    std::unique_ptr<Workshop> workshop_;
};

}  // namespace dla

#if DLA_BODIES
#include <dla/data/loader.impl.hpp>
#endif
