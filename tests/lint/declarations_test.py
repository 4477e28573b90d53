# SPDX-License-Identifier: MIT
"""What docs/api.md lists of a header that has every kind of declaration, and what must be refused. Usage: declarations_test.py SOURCE_ROOT"""
import pathlib
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(sys.argv[1]) / "scripts"))
import api_reference
import declarations

HEADER = r'''// A header; } and { in comments and in strings are no braces.
#if defined(A) || \
    defined(B)
#endif
namespace dla {
namespace detail {
struct Shared { int shared = 1; };  // {
inline void hidden() {}
}  // namespace detail
struct Later;
/// One.
DLA_ONCE int f(int a, const char* text = "} ;");
int f(int b);
/// Two. More.
template <class T>
    requires(sizeof(T) < 4) || requires { typename T::type; }
int f(T value) { return value ? 1 : '}'; }
template <class T, int N = (1 > 0)>
    requires std::is_integral_v<T>
int f(T) { static_assert(sizeof(T) == 0, "refused"); }
int f(double) = delete;
/// Class.
class A final : public detail::Shared {
    int secret = 0;
public:
    using Value = int;
    explicit A(int n) : A{n, {1}} {}
    A(int n, Range r) : n_{n}, r_(r) { static_assert(sizeof(Range) > 1); }
    template <class Number>
    A(Number) : A(1) {
        static_assert(sizeof(Number) == 0, "dla: say why");
    }
    A(const A&) = delete;
    A& operator=(A&&) noexcept;
    ~A();
    /// Value.
    int& at(int i) & { return v[i]; }
    const int& at(int i) const& { return v[i]; }
    void at(int i) && = delete;
    virtual void step() = 0;
    operator bool() const { return true; }
    void operator()(int) const {}
    friend bool operator==(const A&, const A&) = default;
    friend struct B;
    struct Row {
        int x = 1, y = 2;  ///< places
    };
    int (*call)(int) = nullptr;
    std::function<void(int)> back = [](int) { return; };

protected:
    int hidden = 0;
};
inline std::ostream& operator<<(std::ostream& out, const A& a) { return out; }
inline void A::step() {}
template <>
inline constexpr bool is_a<A> = true;
/// Kinds.
enum class Kind { a, b = 2 };
namespace kernel {
/// Concept.
template <class T>
concept Fits = requires(T t) { t.fits(); };
}  // namespace kernel
}  // namespace dla
'''

EXPECTED = r'''- `int f(int a, const char* text = "} ;")`: One
  - `int f(int b)`
  - `template <class T> requires(sizeof(T) < 4) || requires { typename T::type; } int f(T value)`: Two
- `class A`: Class
  - `int shared = 1`
  - `using Value = int`
  - `A(int n)`
  - `A(int n, Range r)`
  - `int& at(int i) &`: Value
  - `const int& at(int i) const&`
  - `void step() = 0`
  - `operator bool() const`
  - `void operator()(int) const`
  - `bool operator==(const A&, const A&)`
  - `struct Row`
    - `int x = 1, y = 2`: places
  - `int (*call)(int) = nullptr`
  - `std::function<void(int)> back = [](int) { return; }`
- `std::ostream& operator<<(std::ostream& out, const A& a)`
- `enum class Kind { a, b = 2 }`: Kinds

In `dla::kernel`:

- `template <class T> concept Fits = requires(T t) { t.fits(); }`: Concept'''

REFUSED = ["struct A { int x; } a;", "int f(int a", "struct A {", "int f() }", "a.b;"]

failed = 0
with tempfile.TemporaryDirectory() as folder:
    api_reference.HEADERS = pathlib.Path(folder)
    path = pathlib.Path(folder) / "core.hpp"
    path.write_text(HEADER)
    header, groups = api_reference.entries_of(path)
    got, expected = api_reference.listed([(header, g) for g in groups]).split("\n"), EXPECTED.split("\n")
    for line in [f"missing:  {e}" for e in expected if e not in got] + [f"too much: {g}" for g in got if g not in expected]:
        print(line)
        failed += 1
    if not failed and got != expected:
        print("not in order:", *got, sep="\n")
        failed += 1
    glance = set(api_reference.seen_at_a_glance(HEADER))
    if glance != {"f", "A", "Kind", "Fits", "operator<<"}:
        print("seen at a glance:", sorted(glance))
        failed += 1
for code in REFUSED:
    try:
        declarations.read(f"namespace dla {{\n{code}\n}}\n")
    except declarations.Unread:
        continue
    print("not refused:", code)
    failed += 1
sys.exit(1 if failed else 0)
