// SPDX-License-Identifier: MIT
// Objects of different types in one block of memory. What a Pack does by code for each of its types, this does by loops over tables: 200 objects cost the
// compiler little more than 2.
#pragma once

#include <dla/core/config.hpp>

#include <array>
#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace dla {

namespace detail {

/// How objects of one type begin and end; null functions where there is nothing to do.
struct ObjectLife {
    void (*make)(void* at);
    void (*move)(void* from, void* to);  ///< makes one at `to`; the one at `from` still has to be destroyed
    void (*destroy)(void* at);
};
/// Nothing, in no place: an array of bytes holds as many of these as are asked for.
template <class T>
inline constexpr bool is_nothing = std::is_empty_v<T> && std::is_trivially_copyable_v<T>;
template <class T>
struct ObjectLifeOf {
    static void make(void* at) { ::new (at) T(); }
    static void move(void* from, void* to) { ::new (to) T(static_cast<T&&>(*static_cast<T*>(from))); }
    static void destroy(void* at) { static_cast<T*>(at)->~T(); }
};
template <class T>
inline constexpr ObjectLife object_life{ObjectLifeOf<T>::make, ObjectLifeOf<T>::move, ObjectLifeOf<T>::destroy};
template <class T>
    requires is_nothing<T>
inline constexpr ObjectLife object_life<T>{nullptr, nullptr, nullptr};

/// What it takes to make an object of a type that its maker does not know.
struct ObjectType {
    std::size_t bytes, alignment;
    const ObjectLife* life;

    std::shared_ptr<void> make() const {
        const auto free = [wide = alignment > __STDCPP_DEFAULT_NEW_ALIGNMENT__, a = std::align_val_t(alignment)](void* at) {
            if (wide)
                ::operator delete(at, a);
            else
                ::operator delete(at);
        };
        void* const memory = alignment > __STDCPP_DEFAULT_NEW_ALIGNMENT__ ? ::operator new(bytes, std::align_val_t(alignment)) : ::operator new(bytes);
        std::unique_ptr<void, decltype(free)> owner(memory, free);
        if (life->make) life->make(memory);
        return {owner.release(), [l = life, free](void* at) {
                    if (l->destroy) l->destroy(at);
                    free(at);
                }};
    }
};
template <class T>
inline constexpr ObjectType object_type{sizeof(T), alignof(T), &object_life<T>};

struct ObjectTable {
    std::size_t count;
    const std::size_t* offsets;
    const ObjectLife* const* lives;

    void destroy(std::byte* base, std::size_t made) const {
        while (made-- > 0)
            if (lives[made]->destroy) lives[made]->destroy(base + offsets[made]);
    }
    void make(std::byte* base) const {
        std::size_t made = 0;
        try {
            for (; made < count; ++made)
                if (lives[made]->make) lives[made]->make(base + offsets[made]);
        } catch (...) {
            destroy(base, made);
            throw;
        }
    }
    void move(std::byte* from, std::byte* to) const {
        for (std::size_t i = 0; i < count; ++i)
            if (lives[i]->move) lives[i]->move(from + offsets[i], to + offsets[i]);
    }
};

}  // namespace detail

/// One object of each type, in order. Object number i lies at data() + offsets[i].
template <class... Ts>
class Objects {
    static_assert((std::is_nothrow_move_constructible_v<Ts> && ...), "dla: what a layer keeps (State, Tape) must have a move constructor that does not throw");

public:
    static constexpr std::size_t size = sizeof...(Ts);

private:
    struct Places {
        std::array<std::size_t, size> offset{};
        std::size_t bytes = 0;
    };
    static constexpr Places places = [] {
        constexpr std::array<std::size_t, size> bytes{(detail::is_nothing<Ts> ? 0 : sizeof(Ts))...}, align{alignof(Ts)...};
        Places p;
        for (std::size_t i = 0; i < size; ++i) {
            p.offset[i] = (p.bytes + align[i] - 1) / align[i] * align[i];
            p.bytes = p.offset[i] + bytes[i];
        }
        if (p.bytes == 0) p.bytes = 1;
        return p;
    }();
    static constexpr std::array<const detail::ObjectLife*, size> lives{&detail::object_life<Ts>...};
    static constexpr detail::ObjectTable table{size, places.offset.data(), lives.data()};

    alignas(Ts...) std::byte memory_[places.bytes];

public:
    static constexpr const std::array<std::size_t, size>& offsets = places.offset;

    Objects() { table.make(memory_); }
    Objects(Objects&& other) noexcept { table.move(other.memory_, memory_); }
    Objects& operator=(Objects&& other) noexcept {
        if (this != &other) {
            table.destroy(memory_, size);
            table.move(other.memory_, memory_);
        }
        return *this;
    }
    ~Objects() { table.destroy(memory_, size); }

    std::byte* data() { return memory_; }
    const std::byte* data() const { return memory_; }
};

}  // namespace dla
