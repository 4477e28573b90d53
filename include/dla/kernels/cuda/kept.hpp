// SPDX-License-Identifier: MIT
// What a library answered, for the next time.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>

namespace dla::cuda {

/// Answers by what was asked; of more than `most`, as requests of ever new sizes bring them, those are forgotten that were not asked for the longest.
template <class Key, class Answer>
class Kept {
public:
    static constexpr std::size_t most = 512;
    /// Null where it is not known.
    const Answer* find(const Key& key) {
        const auto found = answers_.find(key);
        if (found == answers_.end()) return nullptr;
        found->second.used = ++clock_;
        return &found->second.answer;
    }
    /// Calls `before_forgetting` if another answer makes room for this one.
    template <class F>
    const Answer& keep(const Key& key, Answer answer, const F& before_forgetting) {
        if (answers_.size() >= most) {
            before_forgetting();
            answers_.erase(std::min_element(answers_.begin(), answers_.end(), [](const auto& a, const auto& b) { return a.second.used < b.second.used; }));
        }
        return answers_.emplace(key, Entry{std::move(answer), ++clock_}).first->second.answer;
    }
    std::size_t size() const { return answers_.size(); }

private:
    struct Entry {
        Answer answer;
        std::uint64_t used;
    };
    std::map<Key, Entry> answers_;
    std::uint64_t clock_ = 0;
};

}  // namespace dla::cuda
