// SPDX-License-Identifier: MIT
// Hands out a data set batch by batch, prepared ahead by worker threads; what comes depends on nothing but seed and epoch.
#pragma once

#include <dla/data/augment.hpp>

#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <thread>

namespace dla {

/// What happens to samples that do not fill the last batch of an epoch.
enum class LastBatch {
    keep,         ///< a smaller batch (evaluation)
    drop,         ///< left out, so that every batch has the same size
    drop_single,  ///< kept unless it is one sample, whose batch statistics BatchNorm cannot take (training)
};

/// Where a sample stands, for a transform of the user's own.
struct SamplePosition {
    std::uint64_t seed = 0;
    std::uint32_t epoch = 0;
    std::uint32_t sample = 0;  ///< index into the data set
};

/// Writes the floats of one sample, [H, W, C], from its bytes. Called from worker threads at once; must depend on its arguments only.
using SampleTransform = std::function<void(const SamplePosition&, std::span<const std::uint8_t> image, std::span<float> out)>;

struct LoaderOptions {
    index_t batch_size = 128;
    bool shuffle = true;  ///< a new order every epoch; otherwise the order of the index list
    LastBatch last_batch = LastBatch::drop_single;
    Augmentation augmentation{};
    Seed seed{42};
    int workers = 1;              ///< threads; 0 prepares a batch inside `next`
    int prefetch = 2;             ///< batches prepared ahead
    SampleTransform transform{};  ///< if set, used instead of augmentation and normalisation
};

/// Options for validation and test: every sample once, in order, unchanged but for normalisation.
inline LoaderOptions evaluation_options(index_t batch_size, int workers = 1) {
    LoaderOptions options;
    options.batch_size = batch_size;
    options.shuffle = false;
    options.last_batch = LastBatch::keep;
    options.workers = workers;
    return options;
}

/// One batch, valid until the next call of the loader that gave it.
struct Batch {
    std::span<const float> images;           ///< [count, H, W, C], 64-byte aligned
    std::span<const std::int32_t> labels;    ///< [count]
    std::span<const std::uint32_t> samples;  ///< [count], indices into the data set
    index_t count = 0;
    index_t index = 0;  ///< number of the batch in its epoch
};

/// Prefetching loader over chosen samples of a data set, which must outlive it. Use from one thread at a time.
///
///     loader.start_epoch(epoch);
///     while (const Batch* batch = loader.next()) step(*batch);
///
/// The order of epoch e is the index list shuffled at (seed, e), so `start_epoch(e, k)` continues a run that stopped before batch k.
/// No memory is allocated after construction. What a worker throws comes out of `next`.
class Loader {
public:
    /// Errors: data, for an inconsistent data set, an index out of range or options that leave no batch; config, for options out of range.
    Loader(const Dataset& data, std::vector<std::uint32_t> samples, LoaderOptions options)
        : data_(data), samples_(std::move(samples)), options_(std::move(options)), normalisation_((data.check(), data)) {
        const auto require = [](bool good, const std::string& what) {
            if (!good) fail(ErrorCode::config, "loader", what);
        };
        require(options_.batch_size >= 1, "the batch size must be at least 1, got " + std::to_string(options_.batch_size));
        require(options_.workers >= 0 && options_.workers <= 256, "the number of workers must be 0 to 256, got " + std::to_string(options_.workers));
        require(options_.prefetch >= 1 && options_.prefetch <= 1024, "the number of batches ahead must be 1 to 1024, got " + std::to_string(options_.prefetch));
        require(options_.augmentation.padding >= 0 && options_.augmentation.padding <= 127,
                "the padding must be 0 to 127, got " + std::to_string(options_.augmentation.padding));
        for (std::uint32_t s : samples_)
            if (index_t{s} >= data.size())
                fail(ErrorCode::data, "loader", "sample " + std::to_string(s) + " is out of range; the data set holds " + std::to_string(data.size()));
        const index_t count = static_cast<index_t>(samples_.size());
        const index_t rest = count % options_.batch_size;
        batches_ = count / options_.batch_size;
        if (rest > 0 && (options_.last_batch == LastBatch::keep || (options_.last_batch == LastBatch::drop_single && rest > 1))) ++batches_;
        if (batches_ == 0)
            fail(ErrorCode::data, "loader",
                 std::to_string(count) + " samples give no batch of " + std::to_string(options_.batch_size) +
                     "; use more samples, a smaller batch, or keep the last batch");

        order_ = samples_;
        const index_t capacity = std::min(options_.batch_size, count);
        slots_ = std::vector<Slot>(options_.workers == 0 ? 1 : static_cast<std::size_t>(options_.prefetch + options_.workers));
        for (Slot& slot : slots_) {
            slot.images.reset(allocate(static_cast<std::size_t>(capacity) * data.sample_size()));
            slot.labels.resize(static_cast<std::size_t>(capacity));
        }
        for (int i = 0; i < options_.workers; ++i) threads_.emplace_back([this](std::stop_token stop) { work(stop); });
    }
    /// Refused: a temporary data set, e.g. `load_dataset(...).train`, would be gone before the first batch.
    Loader(const Dataset&&, std::vector<std::uint32_t>, LoaderOptions) = delete;
    Loader(const Loader&) = delete;
    Loader& operator=(const Loader&) = delete;

    /// Batches of an epoch.
    index_t batches() const { return batches_; }
    /// Samples of an epoch, without those that are dropped.
    index_t samples() const { return std::min(batches_ * options_.batch_size, static_cast<index_t>(samples_.size())); }
    const Dataset& data() const { return data_; }
    /// The samples it was made with, in their order before any shuffling.
    const std::vector<std::uint32_t>& sample_indices() const { return samples_; }
    const LoaderOptions& options() const { return options_; }

    /// Begins an epoch at batch `first_batch`, abandoning one that is under way. Error: config, unless 0 <= first_batch <= batches().
    void start_epoch(std::uint32_t epoch, index_t first_batch = 0) {
        if (first_batch < 0 || first_batch > batches_)
            fail(ErrorCode::config, "loader", "cannot begin at batch " + std::to_string(first_batch) + " of an epoch of " + std::to_string(batches_));
        std::unique_lock lock(mutex_);
        active_ = false;
        ready_.wait(lock, [this] { return busy_ == 0; });
        epoch_ = epoch;
        std::copy(samples_.begin(), samples_.end(), order_.begin());
        if (options_.shuffle) shuffle(order_, RandomStream({static_cast<std::uint64_t>(options_.seed), epoch, 0}, RandomUse::shuffle));
        for (Slot& slot : slots_) {
            slot.filled = false;
            slot.error = nullptr;
        }
        ticket_ = position_ = released_ = first_batch;
        error_ = nullptr;
        started_ = active_ = true;
        wake_.notify_all();
    }

    /// The next batch, or null at the end of the epoch. Throws what preparing this batch threw, again at each call until an epoch is started.
    const Batch* next() {
        std::unique_lock lock(mutex_);
        if (!started_) fail(ErrorCode::usage, "loader", "next was called before start_epoch");
        if (error_) std::rethrow_exception(error_);
        released_ = position_;
        if (position_ == batches_) {
            active_ = false;
            return nullptr;
        }
        Slot& slot = slots_[static_cast<std::size_t>(position_) % slots_.size()];
        if (options_.workers == 0) {
            fill_caught(slot, position_);
        } else {
            wake_.notify_all();
            ready_.wait(lock, [&] { return slot.filled; });
        }
        slot.filled = false;
        if (slot.error) {
            active_ = false;
            error_ = slot.error;
            std::rethrow_exception(error_);
        }
        ++position_;
        return &slot.batch;
    }

private:
    struct Free {
        void operator()(float* p) const { ::operator delete (p, std::align_val_t{64}); }
    };
    struct Slot {
        std::unique_ptr<float, Free> images;
        std::vector<std::int32_t> labels;
        Batch batch;
        std::exception_ptr error;
        bool filled = false;
    };

    static float* allocate(std::size_t count) { return static_cast<float*>(::operator new (count * sizeof(float), std::align_val_t{64})); }

    // A batch may be prepared when the batch that last used its slot has been given back.
    bool has_ticket() const { return active_ && ticket_ < batches_ && ticket_ < released_ + static_cast<index_t>(slots_.size()); }

    void work(const std::stop_token& stop) {
        std::unique_lock lock(mutex_);
        while (wake_.wait(lock, stop, [this] { return has_ticket(); })) {
            if (stop.stop_requested()) return;
            const index_t index = ticket_++;
            Slot& slot = slots_[static_cast<std::size_t>(index) % slots_.size()];
            ++busy_;
            lock.unlock();
            fill_caught(slot, index);
            lock.lock();
            --busy_;
            slot.filled = true;
            ready_.notify_all();
        }
    }

    void fill_caught(Slot& slot, index_t index) noexcept {
        try {
            fill(slot, index);
        } catch (...) {
            slot.error = std::current_exception();
        }
    }

    void fill(Slot& slot, index_t index) {
        const index_t first = index * options_.batch_size;
        const index_t count = std::min(options_.batch_size, static_cast<index_t>(order_.size()) - first);
        const std::size_t size = data_.sample_size();
        const std::span<const std::uint32_t> chosen(order_.data() + first, static_cast<std::size_t>(count));
        for (std::size_t i = 0; i < chosen.size(); ++i) {
            float* out = slot.images.get() + i * size;
            const std::span<const std::uint8_t> image = data_.image(index_t{chosen[i]});
            slot.labels[i] = data_.labels[chosen[i]];
            if (options_.transform)
                options_.transform({static_cast<std::uint64_t>(options_.seed), epoch_, chosen[i]}, image, {out, size});
            else
                write_image(image.data(), data_.shape, normalisation_, draw_augmentation(options_.augmentation, options_.seed, epoch_, chosen[i]), out);
        }
        slot.batch = {{slot.images.get(), chosen.size() * size}, {slot.labels.data(), chosen.size()}, chosen, count, index};
    }

    const Dataset& data_;
    std::vector<std::uint32_t> samples_;
    LoaderOptions options_;
    Normalisation normalisation_;
    index_t batches_ = 0;
    std::vector<std::uint32_t> order_;
    std::uint32_t epoch_ = 0;
    std::vector<Slot> slots_;

    std::mutex mutex_;                  // guards what follows
    std::condition_variable_any wake_;  // workers wait for a ticket
    std::condition_variable ready_;     // the consumer waits for a batch, or for idle workers
    index_t ticket_ = 0;                // next batch to prepare
    index_t position_ = 0;              // next batch to hand out
    index_t released_ = 0;              // batches before this one were given back
    int busy_ = 0;
    bool started_ = false;
    bool active_ = false;
    std::exception_ptr error_;

    std::vector<std::jthread> threads_;  // last: stopped and joined before anything above goes
};

}  // namespace dla
