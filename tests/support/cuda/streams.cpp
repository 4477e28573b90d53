// SPDX-License-Identifier: MIT
// Streams of the emulated device: queues of commands that are carried out when somebody waits, in any order that the streams' own orders and events allow.
#include <algorithm>
#include <deque>

#include "internal.hpp"

namespace emulated {

struct Stream {
    std::deque<Command> waiting;
    std::uint64_t pushed = 0, done = 0;
    bool blocking = true;  // waits for the null stream, and the null stream for it
};

}  // namespace emulated

struct CUstream_st {
    std::shared_ptr<emulated::Stream> stream;
};

struct CUevent_st {
    emulated::Moment recorded;  // no stream: never
};

namespace emulated {
namespace {

struct Streams {
    std::shared_ptr<Stream> null = std::make_shared<Stream>();
    std::vector<std::shared_ptr<Stream>> all{null};  // those without a handle as well, while commands wait in them
    std::vector<cudaStream_t> handles;
    std::vector<cudaEvent_t> events;
    Random random;
};

Streams& streams() {
    static Streams& the_streams = *new Streams;
    return the_streams;
}

bool can_go_on(const Stream& s) { return !s.waiting.empty() && std::ranges::all_of(s.waiting.front().after, has_come); }

void carry_out_next(Stream& s) {
    const Command command = std::move(s.waiting.front());
    s.waiting.pop_front();
    ++s.done;  // before it runs: what throws is not tried again
    if (command.run) command.run();
}

template <class Handle>
bool known(const std::vector<Handle>& handles, Handle handle) {
    return std::ranges::find(handles, handle) != handles.end();
}

}  // namespace

std::shared_ptr<Stream> stream_of(cudaStream_t handle) {
    if (handle == nullptr) return streams().null;
    return known(streams().handles, handle) ? handle->stream : nullptr;
}

bool has_come(const Moment& moment) { return moment.stream == nullptr || moment.stream->done >= moment.position; }

Moment push(const std::shared_ptr<Stream>& stream, Command command) {
    if (stream == streams().null) {
        for (const auto& other : streams().all)
            if (other != stream && other->blocking && !other->waiting.empty()) command.after.push_back({other, other->pushed});
    } else if (stream->blocking && !streams().null->waiting.empty()) {
        command.after.push_back({streams().null, streams().null->pushed});
    }
    stream->waiting.push_back(std::move(command));
    const Moment moment{stream, ++stream->pushed};
    if (settings().pace == Pace::eager) wait_for(moment);
    return moment;
}

void wait_for(const Moment& moment) {
    std::vector<Stream*> able;
    streams().random.follow();
    while (!has_come(moment)) {
        able.clear();
        for (const auto& stream : streams().all)
            if (can_go_on(*stream)) able.push_back(stream.get());
        if (able.empty()) fault("no command of any stream can be carried out");
        carry_out_next(*able[streams().random.below(able.size())]);
    }
}

void wait_for_all() {
    const std::vector<std::shared_ptr<Stream>> all = streams().all;
    for (const auto& stream : all) wait_for({stream, stream->pushed});
}

bool will_touch(const void* host, std::size_t bytes) {
    const auto* begin = static_cast<const std::byte*>(host);
    for (const auto& stream : streams().all)
        for (const Command& command : stream->waiting)
            if (const auto* touched = static_cast<const std::byte*>(command.host); touched != nullptr && touched >= begin && touched < begin + bytes)
                return true;
    return false;
}

}  // namespace emulated

using emulated::Call, emulated::Moment, emulated::failed, emulated::streams;

extern "C" {

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* pStream, unsigned int flags) {
    const Call call;
    if (pStream == nullptr || flags > cudaStreamNonBlocking) return failed(cudaErrorInvalidValue);
    if (const cudaError_t state = emulated::device_state(); state != cudaSuccess) return failed(state);
    *pStream = new CUstream_st{std::make_shared<emulated::Stream>()};
    (*pStream)->stream->blocking = flags == cudaStreamDefault;
    streams().handles.push_back(*pStream);
    streams().all.push_back((*pStream)->stream);
    return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t* pStream) { return cudaStreamCreateWithFlags(pStream, cudaStreamDefault); }

// A real stream whose handle is destroyed carries out what is in it. Here that is done before it goes.
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    const Call call;
    if (stream == nullptr || !emulated::known(streams().handles, stream)) return failed(cudaErrorInvalidResourceHandle);
    emulated::wait_for({stream->stream, stream->stream->pushed});
    std::erase(streams().handles, stream);
    std::erase(streams().all, stream->stream);
    delete stream;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    const Call call;
    const auto waited = emulated::stream_of(stream);
    if (waited == nullptr) return failed(cudaErrorInvalidResourceHandle);
    ++emulated::counters().waits;
    emulated::wait_for({waited, waited->pushed});
    return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
    const Call call;
    const auto asked = emulated::stream_of(stream);
    if (asked == nullptr) return failed(cudaErrorInvalidResourceHandle);
    return asked->waiting.empty() ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaDeviceSynchronize() {
    const Call call;
    if (const cudaError_t state = emulated::device_state(); state != cudaSuccess) return failed(state);
    ++emulated::counters().waits;
    emulated::wait_for_all();
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned int flags) {
    const Call call;
    if (event == nullptr || (flags & ~static_cast<unsigned>(cudaEventBlockingSync | cudaEventDisableTiming)) != 0) return failed(cudaErrorInvalidValue);
    if (const cudaError_t state = emulated::device_state(); state != cudaSuccess) return failed(state);
    *event = new CUevent_st{};
    streams().events.push_back(*event);
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, cudaEventDefault); }

cudaError_t cudaEventDestroy(cudaEvent_t event) {
    const Call call;
    if (!emulated::known(streams().events, event)) return failed(cudaErrorInvalidResourceHandle);
    std::erase(streams().events, event);
    delete event;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    const Call call;
    const auto recorded = emulated::stream_of(stream);
    if (!emulated::known(streams().events, event) || recorded == nullptr) return failed(cudaErrorInvalidResourceHandle);
    event->recorded = emulated::push(recorded, {});
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    const Call call;
    if (!emulated::known(streams().events, event)) return failed(cudaErrorInvalidResourceHandle);
    ++emulated::counters().waits;
    const Moment moment = event->recorded;
    emulated::wait_for(moment);
    return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
    const Call call;
    if (!emulated::known(streams().events, event)) return failed(cudaErrorInvalidResourceHandle);
    return emulated::has_come(event->recorded) ? cudaSuccess : cudaErrorNotReady;
}

// Time does not pass on the emulated device.
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t start, cudaEvent_t end) {
    const Call call;
    if (ms == nullptr) return failed(cudaErrorInvalidValue);
    for (const cudaEvent_t event : {start, end}) {
        if (!emulated::known(streams().events, event) || event->recorded.stream == nullptr) return failed(cudaErrorInvalidResourceHandle);
        if (!emulated::has_come(event->recorded)) return cudaErrorNotReady;
    }
    *ms = 0;
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int flags) {
    const Call call;
    const auto waiting = emulated::stream_of(stream);
    if (!emulated::known(streams().events, event) || waiting == nullptr) return failed(cudaErrorInvalidResourceHandle);
    if (flags != 0) return failed(cudaErrorInvalidValue);
    emulated::Command command;
    command.after.push_back(event->recorded);
    emulated::push(waiting, std::move(command));
    return cudaSuccess;
}

}  // extern "C"
