// SPDX-License-Identifier: MIT
// How a loader's batches are prepared, ahead and by threads of its own.
#pragma once

#include <dla/core/finite.hpp>

#include <condition_variable>
#include <exception>
#include <mutex>
#include <new>
#include <numeric>
#include <system_error>
#include <thread>

namespace dla {

namespace detail {

/// The images of a Dataset, with what a loader's options do to them.
class ImageSource final : public DataSource {
public:
    ImageSource(const Dataset& data, const Augmentation& augmentation, SampleTransform transform)
        : data_(data), augmentation_(augmentation), transform_(std::move(transform)), normalisation_(data) {}
    index_t size() const override { return data_.size(); }
    Shape input_shape() const override { return data_.shape; }
    index_t classes() const override { return data_.num_classes; }
    std::int32_t label(index_t sample) const override { return data_.labels[static_cast<std::size_t>(sample)]; }
    void read(const SamplePosition& at, std::span<float> input) const override {
        const std::span<const std::uint8_t> image = data_.image(index_t{at.sample});
        if (transform_) return transform_(at, image, input);
        write_augmented(image.data(), data_.shape, normalisation_, data_.std, augmentation_, Seed{at.seed}, at.epoch, at.sample, input);
    }
    void expect(index_t sample) const override {
        const std::uint8_t* next = data_.image(sample).data();
        for (std::size_t at = 0; at < std::min<std::size_t>(data_.sample_size(), 1024); at += 64) __builtin_prefetch(next + at);
    }

private:
    const Dataset& data_;
    Augmentation augmentation_;
    SampleTransform transform_;
    Normalisation normalisation_;
};

inline std::shared_ptr<const DataSource> checked_images(const Dataset& data, const Augmentation& augmentation, const SampleTransform& transform) {
    data.check();
    check_augmentation("loader", augmentation, data.shape);
    return std::make_shared<const ImageSource>(data, augmentation, transform);
}

}  // namespace detail

struct Loader::Workshop {
    struct Free {
        void operator()(float* p) const { ::operator delete(p, std::align_val_t{64}); }
    };
    struct Slot {
        std::unique_ptr<float, Free> inputs;
        std::vector<std::int32_t> labels;
        std::vector<float> values;
        std::vector<float> scratch;
        Batch batch;
        std::exception_ptr error;
        bool filled = false;
    };

    const DataSource& data;
    const LoaderOptions& options;
    std::size_t sample, target, labels;  // values of one; class numbers or values, and 0 of the other
    std::size_t mixed;                   // classes of which mixed samples have probabilities; 0: they are not mixed
    index_t batches = 0;
    std::vector<std::uint32_t> order;
    std::uint32_t epoch = 0;
    std::vector<double> chances;  // partial sums of the weights
    std::vector<Slot> slots;

    std::mutex mutex;                  // guards what follows
    std::condition_variable_any wake;  // workers wait for a ticket
    std::condition_variable ready;     // the consumer waits for a batch, or for idle workers
    index_t ticket = 0;                // next batch to prepare
    index_t position = 0;              // next batch to hand out
    index_t released = 0;              // batches before this one were given back
    int busy = 0;
    bool started = false;
    bool active = false;
    std::exception_ptr error;

    std::vector<std::jthread> threads;  // last: stopped and joined before anything above goes

    Workshop(const DataSource& d, const LoaderOptions& o, index_t count, index_t batch_count)
        : data(d),
          options(o),
          sample(static_cast<std::size_t>(d.input_shape().size())),
          target(d.classes() > 0 ? 0 : static_cast<std::size_t>(d.target_shape().size())),
          labels(d.classes() > 0 ? static_cast<std::size_t>(d.target_shape().size()) : 0),
          mixed(o.mixup > 0 ? static_cast<std::size_t>(d.classes()) : 0),
          batches(batch_count),
          order(static_cast<std::size_t>(count)) {
        const auto capacity = static_cast<std::size_t>(std::min(options.batch_size, count));
        slots = std::vector<Slot>(options.workers == 0 ? 1 : static_cast<std::size_t>(options.prefetch + options.workers));
        for (Slot& slot : slots) {
            slot.inputs.reset(static_cast<float*>(::operator new(capacity * sample * sizeof(float), std::align_val_t{64})));
            slot.labels.resize(capacity * labels);
            slot.values.resize(capacity * (target + mixed));
            slot.scratch.resize(mixed > 0 ? sample : 0);
        }
        try {
            for (int i = 0; i < options.workers; ++i) threads.emplace_back([this](std::stop_token stop) { work(stop); });
        } catch (const std::system_error& e) {
            fail(ErrorCode::io, "loader",
                 "cannot start " + std::to_string(options.workers) + " worker threads: " + e.code().message() + "; use fewer (workers = 0: none)");
        }
    }

    // A batch may be prepared when the batch that last used its slot has been given back.
    bool has_ticket() const { return active && ticket < batches && ticket < released + static_cast<index_t>(slots.size()); }

    void work(const std::stop_token& stop) {
        std::unique_lock lock(mutex);
        while (wake.wait(lock, stop, [this] { return has_ticket(); })) {
            if (stop.stop_requested()) return;
            const index_t index = ticket++;
            Slot& slot = slots[static_cast<std::size_t>(index) % slots.size()];
            ++busy;
            lock.unlock();
            fill_caught(slot, index);
            lock.lock();
            --busy;
            slot.filled = true;
            ready.notify_all();
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
        const index_t first = index * options.batch_size;
        const index_t count = std::min(options.batch_size, static_cast<index_t>(order.size()) - first);
        const std::span<const std::uint32_t> chosen(order.data() + first, static_cast<std::size_t>(count));
        for (std::size_t i = 0; i < chosen.size(); ++i) {
            if (i + 1 < chosen.size()) data.expect(index_t{chosen[i + 1]});  // samples come in any order, so no processor foresees the next
            const SamplePosition at{static_cast<std::uint64_t>(options.seed), epoch, chosen[i], options.training};
            const std::span<float> input(slot.inputs.get() + i * sample, sample);
            if (target > 0)
                data.read_both(at, input, std::span(slot.values).subspan(i * target, target));
            else
                data.read_labelled(at, input, std::span(slot.labels).subspan(i * labels, labels));
        }
        if (mixed > 0)
            mix_batch(draw_mixup(options.mixup, options.seed, epoch, static_cast<std::uint32_t>(index)), {slot.inputs.get(), chosen.size() * sample},
                      std::span(slot.labels).first(chosen.size()), std::span(slot.values).first(chosen.size() * mixed), slot.scratch);
        slot.batch = {{slot.inputs.get(), chosen.size() * sample},
                      std::span(slot.labels).first(chosen.size() * labels),
                      std::span(slot.values).first(chosen.size() * (target + mixed)),
                      chosen,
                      count,
                      index};
    }
};

DLA_ONCE Loader::Loader(const Dataset& data, std::vector<std::uint32_t> samples, LoaderOptions options)
    : Loader(detail::checked_images(data, options.augmentation, options.transform), &data, std::move(samples), std::move(options)) {}
DLA_ONCE Loader::Loader(const DataSource& data, std::vector<std::uint32_t> samples, LoaderOptions options)
    : Loader(std::shared_ptr<const DataSource>(&data, [](const DataSource*) {}), nullptr, std::move(samples), std::move(options)) {}

DLA_ONCE Loader::Loader(std::shared_ptr<const DataSource> source, const Dataset* images, std::vector<std::uint32_t>&& samples, LoaderOptions&& options)
    : source_(std::move(source)), images_(images), samples_(std::move(samples)), options_(std::move(options)) {
    const DataSource& data = *source_;
    const auto require = [](bool good, const std::string& what) {
        if (!good) fail(ErrorCode::config, "loader", what);
    };
    require(options_.batch_size >= 1, "the batch size must be at least 1, got " + std::to_string(options_.batch_size));
    require(options_.workers >= 0 && options_.workers <= 256, "the number of workers must be 0 to 256, got " + std::to_string(options_.workers));
    require(options_.prefetch >= 1 && options_.prefetch <= 1024, "the number of batches ahead must be 1 to 1024, got " + std::to_string(options_.prefetch));
    require(images_ || (options_.augmentation == Augmentation{} && !options_.transform),
            "augmentation and transform are for the images of a Dataset; a source of its own does in read(), or in read_both() where a target goes with it, "
            "what is to be done to its samples (ArrayData: transform, pair_transform)");
    require(options_.mixup >= 0 && options_.mixup <= 100, "mixup must be 0 to 100");
    require(options_.mixup == 0 || (data.classes() > 0 && data.target_shape().size() == 1), "mixup is for one class number for each sample");
    require(options_.weights.empty() || options_.weights.size() == samples_.size(),
            "got " + std::to_string(options_.weights.size()) + " weights; expected one for each of " + std::to_string(samples_.size()) + " samples");
    double sum = 0;
    for (const double w : options_.weights) {
        require(w >= 0 && is_finite(w), "weights must be finite and not negative");
        sum += w;
    }
    require(options_.weights.empty() || (sum > 0 && is_finite(sum)), "weights must not all be 0");
    const auto good = [](const Shape& s) { return s.is_known() && s.size() >= 1 && !s.is_too_large(); };
    if (!good(data.input_shape()) || !good(data.target_shape()))
        fail(ErrorCode::data, "loader",
             text("the shapes of a source must be known; its inputs are ", to_text(data.input_shape()), ", its targets ", to_text(data.target_shape())).view());
    for (std::uint32_t s : samples_)
        if (index_t{s} >= data.size())
            fail(ErrorCode::data, "loader", "sample " + std::to_string(s) + " is out of range; the data set holds " + std::to_string(data.size()));
    const auto count = static_cast<index_t>(samples_.size());
    const index_t rest = count % options_.batch_size;
    batches_ = count / options_.batch_size;
    if (rest > 0 && (options_.last_batch == LastBatch::keep || (options_.last_batch == LastBatch::drop_single && rest > 1))) ++batches_;
    if (batches_ == 0)
        fail(ErrorCode::data, "loader",
             std::to_string(count) + " samples give no batch of " + std::to_string(options_.batch_size) +
                 "; use more samples, a smaller batch, or keep the last batch");
    workshop_ = std::make_unique<Workshop>(data, options_, count, batches_);
    workshop_->chances.resize(options_.weights.size());
    std::partial_sum(options_.weights.begin(), options_.weights.end(), workshop_->chances.begin());
}

DLA_ONCE Loader::~Loader() = default;

DLA_ONCE void Loader::start_epoch(std::uint32_t epoch, index_t first_batch) {
    if (first_batch < 0 || first_batch > batches_)
        fail(ErrorCode::config, "loader", "cannot begin at batch " + std::to_string(first_batch) + " of an epoch of " + std::to_string(batches_));
    Workshop& w = *workshop_;
    std::unique_lock lock(w.mutex);
    w.active = false;
    w.ready.wait(lock, [&] { return w.busy == 0; });
    w.epoch = epoch;
    std::copy(samples_.begin(), samples_.end(), w.order.begin());
    if (!options_.weights.empty()) {
        RandomStream random({static_cast<std::uint64_t>(options_.seed), epoch, 0}, RandomUse::shuffle);
        for (std::uint32_t& chosen : w.order) {
            const double at = random.uniform_double() * w.chances.back();
            const auto found = std::upper_bound(w.chances.begin(), w.chances.end() - 1, at);
            chosen = samples_[static_cast<std::size_t>(found - w.chances.begin())];
        }
    } else if (options_.shuffle)
        shuffle(w.order, RandomStream({static_cast<std::uint64_t>(options_.seed), epoch, 0}, RandomUse::shuffle));
    for (Workshop::Slot& slot : w.slots) {
        slot.filled = false;
        slot.error = nullptr;
    }
    w.ticket = w.position = w.released = first_batch;
    w.error = nullptr;
    w.started = w.active = true;
    w.wake.notify_all();
}

DLA_ONCE const Batch* Loader::next() {
    Workshop& w = *workshop_;
    std::unique_lock lock(w.mutex);
    if (!w.started) fail(ErrorCode::usage, "loader", "next was called before start_epoch");
    if (w.error) std::rethrow_exception(w.error);
    w.released = w.position;
    if (w.position == batches_) {
        w.active = false;
        return nullptr;
    }
    Workshop::Slot& slot = w.slots[static_cast<std::size_t>(w.position) % w.slots.size()];
    if (options_.workers == 0) {
        w.fill_caught(slot, w.position);
    } else {
        w.wake.notify_all();
        w.ready.wait(lock, [&] { return slot.filled; });
    }
    slot.filled = false;
    if (slot.error) {
        w.active = false;
        w.error = slot.error;
        std::rethrow_exception(w.error);
    }
    ++w.position;
    return &slot.batch;
}

DLA_ONCE std::unique_ptr<Loader> Loader::in_order(index_t batch_size, std::size_t most, int workers, bool spread) const {
    LoaderOptions options = evaluation_options(batch_size, workers);
    options.seed = options_.seed;
    std::vector<std::uint32_t> samples = samples_;
    const std::size_t all = samples.size(), count = std::min(all, most);
    if (spread)
        for (std::size_t i = 0; i < count; ++i) samples[i] = samples_[i * all / count];
    samples.resize(count);
    if (!images_) return std::make_unique<Loader>(*source_, std::move(samples), std::move(options));
    options.transform = options_.transform;
    return std::make_unique<Loader>(*images_, std::move(samples), std::move(options));
}

}  // namespace dla
