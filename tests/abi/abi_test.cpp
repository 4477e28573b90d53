// SPDX-License-Identifier: MIT
// One program of translation units that were compiled with different flags: each must get the code of its own flags, and exact results.
#include "unit.hpp"

#include <dla/core/config.hpp>

#include <doctest/doctest.h>

#include <bit>
#include <cstdlib>
#include <fstream>
#include <sstream>

extern const Unit plain, fast, no_simd, no_threads, no_zlib, haswell;

TEST_CASE("-ffast-math changes no bit") {
    const std::vector<Outcome> exact = plain.outcomes(), got = fast.outcomes();
    REQUIRE(exact.size() == got.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
        CAPTURE(got[i].name);
        CHECK(got[i].name == exact[i].name);
        CHECK(got[i].bits == exact[i].bits);
        if (got[i].name.starts_with("NaN")) CHECK(got[i].bits == 1);
    }
}

TEST_CASE("each unit has the kernels and the threads of its own flags") {
    const char* wish = std::getenv("DLA_SIMD");
    if (wish == nullptr || std::string(wish) == "base") CHECK(no_simd.isa() == "base");
    if (wish != nullptr) CHECK(plain.isa() == wish);
    CHECK(no_threads.threads() == 1);
    CHECK(plain.threads() == (DLA_THREADS ? 4 : 1));
    CHECK(plain.active_isa == no_zlib.active_isa);  // no flag of kernels differs: one function is enough
    CHECK(plain.types() == no_zlib.types());
    const auto each_type = [](const Unit& unit) {
        std::vector<std::string> names;
        std::istringstream text(unit.types());
        for (std::string name; text >> name;) names.push_back(name);
        return names;
    };
    std::vector<const Unit*> others = {&fast, &no_simd, &haswell};
    if (DLA_THREADS) others.push_back(&no_threads);
    for (const Unit* other : others) {
        CHECK(plain.active_isa != other->active_isa);
        const std::vector<std::string> ours = each_type(plain), theirs = each_type(*other);
        REQUIRE(ours.size() == theirs.size());
        for (std::size_t i = 0; i < ours.size(); ++i) CHECK(ours[i] != theirs[i]);
    }
}

TEST_CASE("DLA_NO_SIMD and DLA_NO_THREADS leave the results of the same instruction set as they are") {
    const char* wish = std::getenv("DLA_SIMD");
    const std::vector<Outcome> exact = plain.outcomes();
    std::vector<const Unit*> same = {&no_threads};
    if (wish != nullptr && std::string(wish) == "base") same.push_back(&no_simd);
    for (const Unit* unit : same) {
        const std::vector<Outcome> got = unit->outcomes();
        REQUIRE(got.size() == exact.size());
        for (std::size_t i = 0; i < got.size(); ++i) {
            CAPTURE(got[i].name);
            CHECK(got[i].bits == exact[i].bits);
        }
    }
}

TEST_CASE("a unit built for a processor with multiply-adds does not lend its code to one that is not") {
    const float value = 1.0f, rate = 1.0f + 0x1p-12f, gradient = 1.0f + 0x1p-12f;  // the product has a digit too many for a float
    CHECK(plain.library(value, rate, gradient) == plain.by_hand(value, rate, gradient));
    CHECK(fast.library(value, rate, gradient) == fast.by_hand(value, rate, gradient));
    const double loss = 1.0 + 0x1p-30, weight = 1.0 + 0x1p-30;
    CHECK(plain.library_mean(loss, weight) == plain.mean_by_hand(loss, weight));
#if defined(__x86_64__)
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return;
    CHECK(haswell.library(value, rate, gradient) == haswell.by_hand(value, rate, gradient));
    CHECK(haswell.by_hand(value, rate, gradient) != plain.by_hand(value, rate, gradient));
    CHECK(haswell.library_mean(loss, weight) == haswell.mean_by_hand(loss, weight));
    CHECK(haswell.mean_by_hand(loss, weight) != plain.mean_by_hand(loss, weight));
#endif
}

TEST_CASE("a unit without zlib refuses what its neighbour reads") {
    // printf dla | gzip -n
    constexpr unsigned char content[] = {0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 0, 0x03, 0x4b, 0xc9, 0x49, 0x04, 0, 0x8b, 0xcf, 0x62, 0x43, 0x03, 0, 0, 0};
    const std::string path = "abi_test_" + std::to_string(reinterpret_cast<std::uintptr_t>(&path)) + ".gz";
    std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(content), sizeof content);
    CHECK(no_zlib.read(path).find("no zlib") != std::string::npos);
#if defined(DLA_HAVE_ZLIB)
    CHECK(plain.read(path) == "dla");
#endif
    std::remove(path.c_str());
}
