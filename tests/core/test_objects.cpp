// SPDX-License-Identifier: MIT
// Objects in one block: made in order, moved, destroyed, each aligned; what fails on the way leaves nothing behind.
#include <doctest/doctest.h>

#include <dla/core/objects.hpp>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

using namespace dla;

namespace {

struct Empty {};
int alive = 0;
/// Empty, but with a life of its own.
struct Counted {
    Counted() { ++alive; }
    Counted(Counted&&) noexcept { ++alive; }
    ~Counted() { --alive; }
};
struct Tracked {
    Counted counted;
    std::vector<int> values{1, 2, 3};
};
bool fails = false;
struct Fails {
    Fails() {
        if (fails) throw std::runtime_error("no");
    }
    Fails(Fails&&) noexcept {}
};
struct alignas(64) Wide {
    char c = 'w';
};

template <class T, class... Ts>
T& at(Objects<Ts...>& objects, std::size_t i) {
    return *reinterpret_cast<T*>(objects.data() + objects.offsets[i]);
}

}  // namespace

TEST_CASE("objects of different types in one block") {
    using Block = Objects<char, Empty, Tracked, Counted, Wide, std::string, Counted>;
    {
        Block a;
        CHECK(alive == 3);
        for (std::size_t i = 1; i < Block::size; ++i) CHECK(Block::offsets[i] >= Block::offsets[i - 1]);
        CHECK(Block::offsets[6] < sizeof(Block));
        CHECK(reinterpret_cast<std::uintptr_t>(&at<Wide>(a, 4)) % 64 == 0);
        at<std::string>(a, 5) = "a text that is too long to lie within the string itself";
        at<Tracked>(a, 2).values.push_back(4);
        Block b(std::move(a));
        CHECK(alive == 6);
        CHECK(at<std::string>(b, 5).size() == 55);
        CHECK(at<Tracked>(b, 2).values == std::vector<int>{1, 2, 3, 4});
        CHECK(at<Wide>(b, 4).c == 'w');
        Block c;
        c = std::move(b);
        CHECK(alive == 9);
        CHECK(at<Tracked>(c, 2).values.size() == 4);
        Block& same = c;
        c = std::move(same);
        CHECK(at<Tracked>(c, 2).values.size() == 4);
    }
    CHECK(alive == 0);
}

TEST_CASE("an object that cannot be made takes those before it along") {
    fails = true;
    CHECK_THROWS_AS((Objects<Counted, Tracked, Fails, Counted>()), std::runtime_error);
    CHECK(alive == 0);
    fails = false;
    Objects<Counted, Tracked, Fails, Counted> made;
    CHECK(alive == 3);
}

TEST_CASE("blocks of nothing") {
    Objects<Empty, Empty> a, b;
    a = std::move(b);
    CHECK(sizeof(a) == 1);
}

TEST_CASE("an object made by its table alone") {
    {
        const std::shared_ptr<void> one = detail::object_type<Tracked>.make(), wide = detail::object_type<Wide>.make(), nothing = detail::object_type<Empty>.make();
        CHECK(alive == 1);
        CHECK(static_cast<Tracked*>(one.get())->values == std::vector<int>{1, 2, 3});
        CHECK(reinterpret_cast<std::uintptr_t>(wide.get()) % 64 == 0);
        CHECK(static_cast<Wide*>(wide.get())->c == 'w');
        CHECK(nothing);
    }
    CHECK(alive == 0);
    fails = true;
    CHECK_THROWS_AS(detail::object_type<Fails>.make(), std::runtime_error);
    fails = false;
}
