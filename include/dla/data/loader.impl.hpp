// SPDX-License-Identifier: MIT
// How a loader's batches are prepared, ahead and by threads of its own.
#pragma once

#include <condition_variable>
#include <exception>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>

namespace dla {

struct Loader::Workshop {
    struct Free {
        void operator()(float* p) const { ::operator delete(p, std::align_val_t{64}); }
    };
    struct Slot {
        std::unique_ptr<float, Free> images;
        std::vector<std::int32_t> labels;
        Batch batch;
        std::exception_ptr error;
        bool filled = false;
    };

    const Dataset& data;
    const LoaderOptions& options;
    Normalisation normalisation;
    index_t batches = 0;
    std::vector<std::uint32_t> order;
    std::uint32_t epoch = 0;
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

    Workshop(const Dataset& d, const LoaderOptions& o, index_t count, index_t batch_count)
        : data(d), options(o), normalisation(d), batches(batch_count), order(static_cast<std::size_t>(count)) {
        const auto capacity = static_cast<std::size_t>(std::min(options.batch_size, count));
        slots = std::vector<Slot>(options.workers == 0 ? 1 : static_cast<std::size_t>(options.prefetch + options.workers));
        for (Slot& slot : slots) {
            slot.images.reset(static_cast<float*>(::operator new(capacity * data.sample_size() * sizeof(float), std::align_val_t{64})));
            slot.labels.resize(capacity);
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
        const std::size_t size = data.sample_size();
        const std::span<const std::uint32_t> chosen(order.data() + first, static_cast<std::size_t>(count));
        for (std::size_t i = 0; i < chosen.size(); ++i) {
            float* out = slot.images.get() + i * size;
            const std::span<const std::uint8_t> image = data.image(index_t{chosen[i]});
            if (i + 1 < chosen.size()) {  // samples come in any order, so no processor foresees the next
                const std::uint8_t* next = data.image(index_t{chosen[i + 1]}).data();
                for (std::size_t at = 0; at < std::min<std::size_t>(size, 1024); at += 64) __builtin_prefetch(next + at);
            }
            slot.labels[i] = data.labels[chosen[i]];
            if (options.transform)
                options.transform({static_cast<std::uint64_t>(options.seed), epoch, chosen[i]}, image, {out, size});
            else
                write_image(image.data(), data.shape, normalisation, draw_augmentation(options.augmentation, options.seed, epoch, chosen[i]), out);
        }
        slot.batch = {{slot.images.get(), chosen.size() * size}, {slot.labels.data(), chosen.size()}, chosen, count, index};
    }
};

DLA_ONCE Loader::Loader(const Dataset& data, std::vector<std::uint32_t> samples, LoaderOptions options)
    : data_(data), samples_(std::move(samples)), options_(std::move(options)) {
    data.check();
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
    const auto count = static_cast<index_t>(samples_.size());
    const index_t rest = count % options_.batch_size;
    batches_ = count / options_.batch_size;
    if (rest > 0 && (options_.last_batch == LastBatch::keep || (options_.last_batch == LastBatch::drop_single && rest > 1))) ++batches_;
    if (batches_ == 0)
        fail(ErrorCode::data, "loader",
             std::to_string(count) + " samples give no batch of " + std::to_string(options_.batch_size) +
                 "; use more samples, a smaller batch, or keep the last batch");
    workshop_ = std::make_unique<Workshop>(data_, options_, count, batches_);
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
    if (options_.shuffle) shuffle(w.order, RandomStream({static_cast<std::uint64_t>(options_.seed), epoch, 0}, RandomUse::shuffle));
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

}  // namespace dla
