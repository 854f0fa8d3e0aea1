// value: foreign bytes that do their worst get an error, no exception and no memory they do not back.
#include "postbus/codecs/frame.hpp"
#include "postbus/codecs/value.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <list>
#include <map>
#include <new>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

using namespace postbus;
using namespace postbus::codecs;
using namespace std::string_view_literals;

namespace {

// The largest allocation of this thread since it was set to 0; filled by the operators new below.
thread_local std::size_t largest_allocation_bytes = 0;

void* allocate(std::size_t bytes) {
  largest_allocation_bytes = std::max(largest_allocation_bytes, bytes);
  void* made = std::malloc(bytes > 0 ? bytes : 1);
  if (made == nullptr)
    throw std::bad_alloc();
  return made;
}

} // namespace

// Not inlined, so that no compiler sees one of a pair without the other.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  return allocate(bytes);
}
[[gnu::noinline]] void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return std::malloc(bytes);
}
[[gnu::noinline]] void operator delete(void* made) noexcept {
  std::free(made);
}
[[gnu::noinline]] void operator delete(void* made, std::size_t) noexcept {
  std::free(made);
}

namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

errc verdict(std::string_view bytes, const value_limits& limits = {}) {
  const result<void> checked = check_value(bytes_of(bytes), limits);
  return checked ? errc::none : checked.error().code;
}

template <class T>
errc unpacking(std::string_view bytes) {
  const result<T> made = unpack_value<T>(bytes_of(bytes));
  return made ? errc::none : made.error().code;
}

std::string nested(std::size_t depth, char head = '\x91', std::string_view core = "\x01") {
  std::string made;
  for (std::size_t i = 0; i < depth; ++i) {
    made += head;
    if (head == '\x81')
      made += '\x01'; // the key
  }
  return made.append(core);
}

/// What msgpack-c itself makes of the bytes, when they are one value and nothing else; or nothing.
template <class T>
std::optional<T> by_msgpack(std::string_view bytes) {
  try {
    std::size_t offset = 0;
    const std::size_t most = bytes.size(); // or it would make room for what is not there
    const msgpack::unpack_limit limit(most, most, most, most, most);
    const msgpack::object_handle tree =
      msgpack::unpack(bytes.data(), bytes.size(), offset, nullptr, nullptr, limit);
    T made{};
    if (offset == bytes.size()) {
      tree->convert(made);
      return made;
    }
  } catch (const std::exception&) {
    // Not a value, or not a T.
  }
  return std::nullopt;
}

template <class T>
void agrees_with_msgpack(std::string_view bytes) {
  const std::optional<T> expected = by_msgpack<T>(bytes);
  const result<T> made = unpack_value<T>(bytes_of(bytes));
  REQUIRE(made.has_value() == expected.has_value());
  if constexpr (!std::is_floating_point_v<T>) // one of them may be no number
    REQUIRE((!made || *made == *expected));
}

} // namespace

TEST_CASE("bytes that are no value are refused for the right reason") {
  struct {
    std::string_view bytes;
    errc expected;
  } const table[] = {
    {""sv, errc::truncated_value},
    {"\xc1"sv, errc::malformed_value},
    {"\x91\xc1"sv, errc::malformed_value},
    {"\xdd\x0f\xff\xff\xff"sv, errc::too_many_elements},
    {"\xdd\xff\xff\xff\xff"sv, errc::too_many_elements},
    {"\xdf\xff\xff\xff\xff"sv, errc::too_many_elements},
    {"\xdf\x80\x00\x00\x00"sv, errc::too_many_elements},
    {"\xdc\x00\x02\x01"sv, errc::too_many_elements},
    {"\xde\x00\x02\x01\x01\x01"sv, errc::too_many_elements},
    {"\x92\x91\x01"sv, errc::too_many_elements},
    {"\x81\x01"sv, errc::too_many_elements},
    {"\x81\x01\xa2x"sv, errc::truncated_value},
    {"\xdb\xff\xff\xff\xffx"sv, errc::truncated_value},
    {"\xc6\xff\xff\xff\xffx"sv, errc::truncated_value},
    {"\xc9\xff\xff\xff\xff\x01x"sv, errc::truncated_value},
    {"\xc7\x00"sv, errc::truncated_value},
    {"\xd8\x01"sv, errc::truncated_value},
    {"\xdb\x00\x00"sv, errc::truncated_value},
    {"\xcf\x01"sv, errc::truncated_value},
    {"\xa3xy"sv, errc::truncated_value},
    {"\x01\x01"sv, errc::trailing_bytes},
    {"\x90\x90"sv, errc::trailing_bytes},
    {"\x80\xc1"sv, errc::trailing_bytes},
    {"\xc7\x00\x05"sv, errc::none},
    {"\xd4\x05x"sv, errc::none},
    {"\x82\x90\x80\x01\x91\xc0"sv, errc::none},
  };
  for (const auto& row : table) {
    const std::string_view bytes = row.bytes;
    const errc expected = row.expected;
    CAPTURE(bytes);
    CHECK(to_string(verdict(bytes)) == to_string(expected));
    if (expected != errc::none)
      CHECK(to_string(unpacking<std::vector<int>>(bytes)) == to_string(expected));
  }
}

TEST_CASE("the bound on depth is exact, and nesting without end costs nothing") {
  for (char head : {'\x91', '\x81'}) {
    CHECK(verdict(nested(64, head)) == errc::none);
    CHECK(verdict(nested(65, head)) == errc::too_deep);
    CHECK(verdict(nested(64, head, "\x90")) == errc::too_deep);
    CHECK(verdict(nested(0, head), {.depth_max = 0}) == errc::none);
    CHECK(verdict(nested(1, head), {.depth_max = 0}) == errc::too_deep);
    CHECK(verdict(nested(512, head), {.depth_max = 100'000}) == errc::none);
    CHECK(verdict(nested(513, head), {.depth_max = 100'000}) == errc::too_deep);
    CHECK(verdict(nested(100'000, head)) == errc::too_deep);
    CHECK(unpacking<std::vector<int>>(nested(100'000, head)) == errc::too_deep);
    CHECK(by_msgpack<msgpack::object>(nested(100'000, head)).has_value());
  }
}

TEST_CASE("the bound on elements counts those of all containers") {
  CHECK(verdict("\x93\x01\x92\x01\x02\x81\x01\x01", {.elements_max = 7}) == errc::none);
  CHECK(verdict("\x93\x01\x92\x01\x02\x81\x01\x01", {.elements_max = 6})
        == errc::too_many_elements);
  CHECK(verdict("\x05", {.elements_max = 0}) == errc::none);
}

TEST_CASE("a time that the clock cannot hold is refused, and the last that it can is not") {
  using time = std::chrono::system_clock::time_point;
  const auto at = [](std::uint32_t nanoseconds, std::int64_t seconds) {
    std::string bytes(15, '\0');
    auto* front = reinterpret_cast<std::byte*>(bytes.data());
    store(front, std::uint32_t{0xc70cff} << 8);
    store(front + 3, nanoseconds);
    store(front + 7, static_cast<std::uint64_t>(seconds));
    return bytes;
  };
  struct {
    std::uint32_t nanoseconds;
    std::int64_t seconds;
    errc expected;
  } const table[] = {
    {0, -9'223'372'035, errc::none},
    {1, -9'223'372'035, errc::none},
    {1, 0, errc::none},
    {999'999'999, 9'223'372'035, errc::none},
    {0, 9'223'372'036, errc::malformed_value},
    {1'000'000'000, 1, errc::malformed_value},
    {0, INT64_MAX, errc::malformed_value},
    {0, INT64_MIN, errc::malformed_value},
  };
  for (const auto& row : table) {
    const auto nanoseconds = row.nanoseconds;
    const auto seconds = row.seconds;
    const errc expected = row.expected;
    CAPTURE(nanoseconds);
    CAPTURE(seconds);
    CHECK(unpacking<time>(at(nanoseconds, seconds)) == expected);
    if (expected == errc::none)
      CHECK(*unpack_value<time>(bytes_of(at(nanoseconds, seconds)))
            == time(std::chrono::seconds(seconds) + std::chrono::nanoseconds(nanoseconds)));
  }
  CHECK(unpacking<time>("\xd7\xff\xff\xff\xff\xff\xff\xff\xff\xff") == errc::malformed_value);
  CHECK(unpacking<time>("\xd7\xff\x00\x00\x00\x03\xff\xff\xff\xff"sv) == errc::malformed_value);
  CHECK(verdict("\xd7\x01\xff\xff\xff\xff\xff\xff\xff\xff") == errc::none);
}

TEST_CASE("containers that claim the same bytes over and over are refused at once") {
  std::string bytes;
  for (int depth = 0; depth < 60; ++depth)
    bytes += "\xdd\x00\x0f\x00\x00"sv;
  bytes.append(1 << 20, '\x01');
  CHECK(verdict(bytes) == errc::too_many_elements);
}

TEST_CASE("no allocation is made that the bytes do not back") {
  const std::string many_nils = "\xdc\x03\xe8" + std::string(1000, '\xc0'); // 1,000 of them
  const std::string_view hostile[] = {
    "\xdd\x0f\xff\xff\xff"sv,          "\xdf\xff\xff\xff\xff"sv,
    "\xdb\xff\xff\xff\xffx"sv,         "\xc6\x7f\xff\xff\xffx"sv,
    "\xc9\xff\xff\xff\xffx"sv,         "\x91\xdd\xff\xff\xff\xff"sv,
    "\x81\xa1x\xdd\xff\xff\xff\xff"sv, many_nils};
  for (std::string_view bytes : hostile) {
    CAPTURE(bytes.size());
    largest_allocation_bytes = 0;
    static_cast<void>(unpack_value<std::string>(bytes_of(bytes)));
    static_cast<void>(unpack_value<std::vector<char>>(bytes_of(bytes)));
    static_cast<void>(unpack_value<std::vector<std::string>>(bytes_of(bytes)));
    static_cast<void>(unpack_value<std::vector<std::vector<int>>>(bytes_of(bytes)));
    static_cast<void>(unpack_value<std::list<int>>(bytes_of(bytes)));
    static_cast<void>(unpack_value<std::map<std::string, std::vector<int>>>(bytes_of(bytes)));
    static_cast<void>(unpack_value<std::unordered_map<int, int>>(bytes_of(bytes)));
    static_cast<void>(unpack_value<std::set<std::string>>(bytes_of(bytes)));
    const std::size_t largest = largest_allocation_bytes;
    CHECK(largest <= 1024 + sizeof(std::string) * bytes.size());
  }
  // A large element type is the program's choice, and so is its bound.
  largest_allocation_bytes = 0;
  using large = std::vector<std::array<char, 1024>>;
  CHECK(unpacking<large>(many_nils) == errc::wrong_type);
  CHECK(largest_allocation_bytes <= 1024 * many_nils.size());
  largest_allocation_bytes = 0;
  CHECK(unpack_value<large>(bytes_of(many_nils), {.elements_max = 100}).error()
        == errc::too_many_elements);
  CHECK(largest_allocation_bytes <= 1024);
}

TEST_CASE("every first byte, with every number of bytes behind it, is judged as msgpack-c does") {
  for (unsigned head = 0; head <= 0xff; ++head) {
    for (std::size_t behind = 0; behind <= 40; ++behind) {
      for (char filling : {'\0', '\x01', '\xc3', '\xff'}) {
        const std::string bytes = static_cast<char>(head) + std::string(behind, filling);
        CAPTURE(head);
        CAPTURE(behind);
        CAPTURE(static_cast<unsigned char>(filling));
        if (verdict(bytes) == errc::malformed_value && head != 0xc1)
          continue; // a timestamp that msgpack-c would take and overflow with
        REQUIRE((verdict(bytes) == errc::none) == by_msgpack<msgpack::object>(bytes).has_value());
        agrees_with_msgpack<bool>(bytes);
        agrees_with_msgpack<char>(bytes);
        agrees_with_msgpack<signed char>(bytes);
        agrees_with_msgpack<std::uint16_t>(bytes);
        agrees_with_msgpack<std::int32_t>(bytes);
        agrees_with_msgpack<std::int64_t>(bytes);
        agrees_with_msgpack<std::uint64_t>(bytes);
        agrees_with_msgpack<float>(bytes);
        agrees_with_msgpack<double>(bytes);
        agrees_with_msgpack<std::string>(bytes);
        agrees_with_msgpack<std::vector<char>>(bytes);
        agrees_with_msgpack<std::vector<unsigned char>>(bytes);
        agrees_with_msgpack<std::vector<std::byte>>(bytes);
        REQUIRE(unpack_value<std::string_view>(bytes_of(bytes)).has_value()
                == by_msgpack<std::string_view>(bytes).has_value());
        REQUIRE(unpack_value<std::span<const std::byte>>(bytes_of(bytes)).has_value()
                == by_msgpack<std::span<const std::byte>>(bytes).has_value());
      }
    }
  }
}
