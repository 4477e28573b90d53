// SPDX-License-Identifier: MIT
// The settings of a layer, typed, as its `attributes` list them: what tables and pictures write, and what files of other formats will.
#pragma once

#include <dla/core/text.hpp>
#include <dla/layers/window.hpp>

#include <concepts>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

namespace dla {

/// Said of an attribute of a layer that its shapes, or those of its weights, show already.
struct InShapes {};
/// What `attributes` hands to a visitor for a setting that shapes show.
inline constexpr InShapes in_shapes;

/// One setting of a layer.
struct Attribute {
    /// Sizes of windows are a Size2 also where height and width are equal; a padding of Same is the number Same.
    using Value = std::variant<bool, index_t, double, Size2, std::string>;
    std::string name;
    Value value;
    bool shown = true;  ///< by tables and pictures; false: shapes say it, or it is as usual

    bool operator==(const Attribute&) const = default;
};

/// The value of the setting of this name, if there is one and it is of this type: `attribute<Size2>(row.attributes, "stride")`; else null.
template <class T>
const T* attribute(const std::vector<Attribute>& attributes, std::string_view name) {
    for (const Attribute& a : attributes)
        if (a.name == name) return std::get_if<T>(&a.value);
    return nullptr;
}
template <class T>
const T* attribute(const std::vector<Attribute>&&, std::string_view) = delete;

/// `stride=2, padding=(1, 2)`: those that are shown.
DLA_ONCE std::string to_text(const std::vector<Attribute>& attributes);

namespace detail {

/// Visits a layer's attributes and keeps them all.
struct AttributeList {
    std::vector<Attribute> all;

    template <class T>
    [[gnu::cold]] void operator()(const char* name, const T& value) {
        all.push_back({name, value_of(value), true});
    }
    template <class T>
    [[gnu::cold]] void operator()(const char* name, const T& value, const std::type_identity_t<T>& usual) {
        all.push_back({name, value_of(value), !(value == usual)});
    }
    template <class T>
    [[gnu::cold]] void operator()(const char* name, const T& value, InShapes) {
        all.push_back({name, value_of(value), false});
    }

private:
    static Attribute::Value value_of(bool v) { return v; }
    template <std::integral T>
    static Attribute::Value value_of(T v) {
        return static_cast<index_t>(v);
    }
    template <std::floating_point T>
    static Attribute::Value value_of(T v) {
        return static_cast<double>(v);
    }
    static Attribute::Value value_of(const Size2& v) { return v; }
    static Attribute::Value value_of(const Text& v) { return std::string(v.view()); }
    static Attribute::Value value_of(std::string_view v) { return std::string(v); }
    static Attribute::Value value_of(const char* v) { return std::string(v); }
};

}  // namespace detail

}  // namespace dla

#if DLA_BODIES
#include <dla/layers/attribute.impl.hpp>
#endif
