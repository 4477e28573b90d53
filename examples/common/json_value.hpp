// SPDX-License-Identifier: MIT
// Reads the programs' own JSON files strictly: each value's kind and range, with the place of what is wrong.
#pragma once

#include <dla/io/json.hpp>

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <string>

namespace experiment {

/// One value of a file and the way to it. Every member function throws dla::Error(io) that names the file, the place, e.g. `runs[3].history[0].val_loss`, what
/// was expected and what is there.
class JsonValue {
public:
    static constexpr double largest = 1e100;  ///< beyond what a float gives; means and squares stay finite
    static constexpr std::int64_t largest_integer = 9'000'000'000'000'000;

    /// `meant` says what the file should be: "the results of a depth study". `json`, `file` and `meant` must outlive the object.
    JsonValue(const dla::Json& json, const std::string& file, const std::string& meant) : JsonValue(json, "", file, meant) {}

    /// The whole file is an object of this kind and of a schema up to `newest`.
    void require_kind(std::string_view kind, int newest) const {
        if (!json_.is_object() || !json_.contains("kind") || json_["kind"] != kind || !json_.contains("schema"))
            dla::fail(dla::ErrorCode::io, file_, "not " + meant_ + "; expected an object with \"kind\": \"" + std::string(kind) + "\" and \"schema\"");
        const std::int64_t schema = (*this)["schema"].integer(1, largest_integer);
        if (schema > newest)
            dla::fail(dla::ErrorCode::io, file_,
                      "written by a newer version of this program; expected schema " + std::to_string(newest) + ", got " + std::to_string(schema) +
                          "; use a newer version of dla");
    }
    /// An object with exactly these keys.
    const JsonValue& object(std::initializer_list<const char*> keys) const {
        if (!json_.is_object()) wrong("an object");
        for (const char* key : keys)
            if (!json_.contains(key)) dla::fail(dla::ErrorCode::io, file_, place() + " has no \"" + key + "\"; it is damaged or not " + meant_);
        for (const auto& [key, value] : json_.items())
            if (std::find(keys.begin(), keys.end(), key) == keys.end())
                dla::fail(dla::ErrorCode::io, file_, place() + " has the unknown key " + shown(dla::Json(key)) + "; it is damaged or not " + meant_);
        return *this;
    }
    JsonValue operator[](const char* key) const { return {json_.at(key), path_.empty() ? key : path_ + "." + key, file_, meant_}; }

    /// Calls `read` with each element of an array.
    template <class Read>
    void each(Read&& read) const {
        if (!json_.is_array()) wrong("an array");
        for (std::size_t i = 0; i < json_.size(); ++i) read(JsonValue(json_[i], path_ + "[" + std::to_string(i) + "]", file_, meant_));
    }
    std::int64_t integer(std::int64_t low, std::int64_t high) const {
        const bool fits = json_.is_number_integer() && !(json_.is_number_unsigned() && json_.get<std::uint64_t>() > std::uint64_t{1} << 62);
        const std::int64_t value = fits ? json_.get<std::int64_t>() : 0;
        if (!fits || value < low || value > high) wrong("an integer from " + std::to_string(low) + " to " + std::to_string(high));
        return value;
    }
    int small_integer(int low, int high) const { return static_cast<int>(integer(low, high)); }
    /// From 0 to `high`.
    double number(double high = largest) const {
        const double value = json_.is_number() ? json_.get<double>() : -1;
        if (!(value >= 0 && value <= high)) wrong("a number from 0 to " + dla::Json(high).dump());
        return value;
    }
    /// `null` stands for what was not measured or is not finite, and is given as NaN.
    double number_or_null(double high = largest) const { return json_.is_null() ? std::numeric_limits<double>::quiet_NaN() : number(high); }
    bool boolean() const {
        if (!json_.is_boolean()) wrong("true or false");
        return json_.get<bool>();
    }
    std::string text() const {
        if (!json_.is_string()) wrong("a string");
        return json_.get<std::string>();
    }
    [[noreturn]] void wrong(const std::string& expected) const {
        dla::fail(dla::ErrorCode::io, file_, place() + " is wrong; expected " + expected + ", got " + shown(json_));
    }

private:
    JsonValue(const dla::Json& json, std::string path, const std::string& file, const std::string& meant)
        : json_(json), path_(std::move(path)), file_(file), meant_(meant) {}

    std::string place() const { return path_.empty() ? "the file" : path_; }
    static std::string shown(const dla::Json& json) {
        if (json.is_structured()) return json.is_array() ? "an array" : "an object";
        const std::string text = dla::to_string(json);
        return text.size() <= 40 ? text : json.type_name() + (" of " + std::to_string(text.size())) + " characters";
    }

    const dla::Json& json_;
    std::string path_;
    const std::string& file_;
    const std::string& meant_;
};

}  // namespace experiment
