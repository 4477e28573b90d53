// SPDX-License-Identifier: MIT
// A pointer to memory that the host cannot read.
#pragma once

#include <dla/core/index.hpp>

#include <compare>
#include <type_traits>

namespace dla {

/// Behaves like a pointer, except that following it does not compile: only kernels may. `address()` is what they are given.
template <class T>
class DevicePtr {
public:
    constexpr DevicePtr() = default;
    constexpr explicit DevicePtr(T* address) : address_(address) {}
    template <class U>
        requires(std::is_same_v<const U, T> && !std::is_same_v<U, T>)
    constexpr DevicePtr(const DevicePtr<U>& other) : address_(other.address()) {}

    constexpr T* address() const { return address_; }

    constexpr explicit operator bool() const { return address_ != nullptr; }
    friend constexpr DevicePtr operator+(DevicePtr p, index_t n) { return DevicePtr(p.address_ + n); }
    friend constexpr DevicePtr operator-(DevicePtr p, index_t n) { return DevicePtr(p.address_ - n); }
    friend constexpr index_t operator-(DevicePtr a, DevicePtr b) { return a.address_ - b.address_; }
    constexpr DevicePtr& operator+=(index_t n) { return *this = *this + n; }
    constexpr DevicePtr& operator-=(index_t n) { return *this = *this - n; }
    template <class U>
        requires std::is_same_v<const U, const T>
    constexpr bool operator==(const DevicePtr<U>& other) const {
        return address_ == other.address();
    }
    template <class U>
        requires std::is_same_v<const U, const T>
    constexpr auto operator<=>(const DevicePtr<U>& other) const {
        return std::compare_three_way{}(static_cast<const void*>(address_), static_cast<const void*>(other.address()));
    }

    T& operator*() const = delete;
    T* operator->() const = delete;
    T& operator[](index_t) const = delete;

private:
    T* address_ = nullptr;
};

}  // namespace dla
