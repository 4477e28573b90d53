// SPDX-License-Identifier: MIT
// Where threads of an emulated block meet: barriers, shuffles and votes, and what is said when they miss each other.
#include <algorithm>
#include <bit>
#include <cstring>

#include "machine.hpp"

namespace emulated {

void Machine::fail(const std::string& sentence) {
    fault_ = whereabouts() + " " + sentence;
    change(fibre_of_[current_]->context, scheduler_);  // for good
    __builtin_unreachable();
}

void Machine::wait_for_block(const char* file, int line) {
    const std::size_t me = current_;
    requests_[me].file = file, requests_[me].line = line;
    at_[me] = At::block;
    if (at_block_ == 0) first_at_block_ = me;
    const WarpRequest& first = requests_[first_at_block_];
    if (line != first.line || (file != first.file && std::strcmp(file, first.file) != 0))
        fail("waits at " + site(me) + ", and thread " + name(first_at_block_) + " at " + site(first_at_block_) +
             ": all threads of a block come to the same barrier");
    if (++at_block_ == n_) all_go_on(), at_block_ = 0, ++barriers_;
    leave();
}

std::uint64_t Machine::meet_warp(const WarpRequest& request) {
    const std::size_t me = current_, first = me / lanes * lanes, there = std::min(lanes, n_ - first);
    requests_[me] = request;
    at_[me] = At::warp;
    std::uint32_t& waiting = at_warp_[me / lanes];
    waiting |= 1u << me % lanes;
    if ((request.mask >> me % lanes & 1) == 0) fail("calls " + site(me) + " with a mask that it is not in");
    // Lanes that no thread stands for may be named, if nothing is read from them.
    const std::uint32_t members = there == lanes ? request.mask : request.mask & ((1u << there) - 1);
    if ((waiting & members) == members) {
        exchange(first, members);
        const std::uint32_t everybody = there == lanes ? ~0u : (1u << there) - 1;
        if (request.call == WarpCall::sync && members == everybody) ++meetings_[me / lanes];
        waiting &= ~members;
        for (std::size_t l = 0; l < lanes; ++l)
            if (members >> l & 1) go_on(first + l);
    }
    leave();
    return results_[me];
}

/// All members have come.
void Machine::exchange(std::size_t first, std::uint32_t members) {
    const WarpRequest& mine = requests_[current_];
    std::uint32_t votes = 0;
    for (std::size_t l = 0; l < lanes; ++l) {
        if ((members >> l & 1) == 0) continue;
        const WarpRequest& other = requests_[first + l];
        if (other.call != mine.call || other.mask != mine.mask || other.line != mine.line || std::strcmp(other.file, mine.file) != 0)
            fail("is at " + site(current_) + " with others, but thread " + name(first + l) + " is at " + site(first + l));
        votes |= static_cast<std::uint32_t>(other.value & 1) << l;
    }
    for (std::size_t l = 0; l < lanes; ++l) {
        if ((members >> l & 1) == 0) continue;
        std::uint64_t& result = results_[first + l];
        switch (mine.call) {
            case WarpCall::sync:  // the one that orders what its lanes read and write
                break;
            case WarpCall::ballot:
                result = votes;
                break;
            case WarpCall::any:
                result = votes != 0;
                break;
            case WarpCall::all:
                result = votes == members;
                break;
            default:
                result = received(first, l, members);
        }
    }
}

std::uint64_t Machine::received(std::size_t first, std::size_t lane, std::uint32_t members) {
    const WarpRequest& r = requests_[first + lane];
    const int width = r.width, me = static_cast<int>(lane);
    if (width < 1 || width > 32 || !std::has_single_bit(static_cast<unsigned>(width)))
        fail("calls " + site(first + lane) + " with a width that is no power of two up to 32");
    const int begin = me / width * width, end = begin + width;
    int from = me;
    if (r.call == WarpCall::shuffle) from = begin + (r.lane & (width - 1));
    if (r.call == WarpCall::shuffle_up) from = me - r.lane < begin ? me : me - r.lane;
    if (r.call == WarpCall::shuffle_down) from = r.lane >= end - me ? me : me + r.lane;
    if (r.call == WarpCall::shuffle_xor) from = (me ^ r.lane) >= end ? me : me ^ r.lane;
    if (from < 0 || from >= 32 || (members >> from & 1) == 0)
        fail("takes part in " + site(first + lane) + ", where lane " + std::to_string(lane) + " reads from lane " + std::to_string(from) + ", which does not");
    return requests_[first + static_cast<std::size_t>(from)].value;
}

std::string Machine::name(std::size_t thread) const {
    const Index at = thread == none ? blockIdx : index_[thread];
    return "(" + std::to_string(at.x) + "," + std::to_string(at.y) + "," + std::to_string(at.z) + ")";
}

std::string Machine::name_of(const Access& access) const {
    const std::string thread = name(access.thread);
    if (access.block == block_) return thread;
    return thread + " of block (" + std::to_string(access.block % gridDim.x) + "," + std::to_string(access.block / gridDim.x % gridDim.y) + "," +
           std::to_string(access.block / gridDim.x / gridDim.y) + ")";
}

std::string Machine::site(std::size_t thread) const {
    static constexpr const char* names[] = {"__syncwarp",      "__shfl_sync",   "__shfl_up_sync", "__shfl_down_sync",
                                            "__shfl_xor_sync", "__ballot_sync", "__any_sync",     "__all_sync"};
    const WarpRequest& r = requests_[thread];
    const char* slash = std::strrchr(r.file, '/');
    return std::string(at_[thread] == At::block ? "__syncthreads" : names[static_cast<int>(r.call)]) + " (" + (slash ? slash + 1 : r.file) + ":" +
           std::to_string(r.line) + ")";
}

/// Nobody can go on: who waits for whom.
std::string Machine::standstill() const {
    const auto begin = at_.begin(), end = at_.begin() + static_cast<std::ptrdiff_t>(n_);
    const auto first = [&](At what) {
        const auto found = std::find(begin, end, what);
        return found == end ? none : static_cast<std::size_t>(found - begin);
    };
    const std::size_t block = first(At::block), warp = first(At::warp), gone = first(At::returned);
    if (warp == none) return "thread " + name(gone) + " has returned while others wait at " + site(block);
    for (std::size_t i = warp; i < n_; ++i) {
        if (at_[i] != At::warp) continue;
        for (std::size_t l = 0; l < lanes && i / lanes * lanes + l < n_; ++l) {
            const std::size_t other = i / lanes * lanes + l;
            if ((requests_[i].mask >> l & 1) == 0 || (at_[other] == At::warp && requests_[other].mask == requests_[i].mask)) continue;
            const std::string waits = "thread " + name(i) + " waits at " + site(i) + " for thread " + name(other);
            if (at_[other] == At::returned) return waits + ", which has returned";
            return waits + ", which waits at " + site(other) + (at_[other] == At::warp ? " for other lanes" : "");
        }
    }
    return "no thread can go on";
}

}  // namespace emulated
