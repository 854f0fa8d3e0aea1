// node_id: what may stand for an id, and how ids print, order and hash.
#include "postbus/bus/node_id.hpp"

#include <doctest/doctest.h>

#include <set>
#include <unordered_set>

using namespace postbus;

namespace {

node_id id_of(std::string_view text) {
  auto id = node_id::parse(text);
  REQUIRE(id.has_value());
  return *id;
}

} // namespace

TEST_CASE("no node is false and prints as zeros") {
  constexpr node_id nobody;
  static_assert(!nobody);
  CHECK(to_string(nobody) == "00000000000000000000000000000000");
  CHECK(id_of("00000000000000000000000000000000") == nobody);
}

TEST_CASE("a text of 32 digits of either case is the id with these bytes") {
  const auto id = id_of("00112233445566778899aAbBcCdDeEfF");
  for (std::size_t i = 0; i < node_id::size_bytes; ++i)
    CHECK(std::to_integer<unsigned>(id.bytes()[i]) == 0x11 * i);
  CHECK(static_cast<bool>(id));
  CHECK(to_string(id) == "00112233445566778899aabbccddeeff");
  CHECK(short_text(id) == "00112233");
}

TEST_CASE("any other text is refused with what is wrong") {
  struct {
    std::string text, detail;
  } const cases[] = {
    {"", "a node id has 32 hexadecimal digits, not 0 characters"},
    {"00112233445566778899aabbccddeef", "a node id has 32 hexadecimal digits, not 31 characters"},
    {"00112233445566778899aabbccddeeff0", "a node id has 32 hexadecimal digits, not 33 characters"},
    {"g0112233445566778899aabbccddeeff", "character 1 of the node id is no hexadecimal digit"},
    {"00112233445566778899aabbccddeef ", "character 32 of the node id is no hexadecimal digit"},
    {"0x112233445566778899aabbccddeeff", "character 2 of the node id is no hexadecimal digit"},
    {std::string("0011223344556677\0"
                 "899aabbccddeeff",
                 32),
     "character 17 of the node id is no hexadecimal digit"},
  };
  for (const auto& each : cases) {
    CAPTURE(each.text);
    const auto id = node_id::parse(each.text);
    REQUIRE(!id);
    CHECK(id.error() == error{errc::bad_option, blame::local, each.detail});
  }
}

TEST_CASE("every byte that is no digit is refused, in every place") {
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    const bool digit = std::string_view("0123456789abcdefABCDEF").find(c) != std::string_view::npos;
    for (std::size_t place = 0; place < 32; ++place) {
      std::string text(32, '7');
      text[place] = c;
      CHECK(node_id::parse(text).has_value() == digit);
    }
  }
}

TEST_CASE("random ids are never zero, never the same, and survive their text") {
  std::set<node_id> seen;
  std::unordered_set<node_id> hashed;
  for (int i = 0; i < 1000; ++i) {
    const auto id = node_id::random();
    CHECK(static_cast<bool>(id));
    CHECK(id_of(to_string(id)) == id);
    seen.insert(id);
    hashed.insert(id);
  }
  CHECK(seen.size() == 1000);
  CHECK(hashed.size() == 1000);
}

TEST_CASE("random numbers differ and use all their bits") {
  std::set<std::uint64_t> seen;
  std::uint64_t any = 0;
  std::uint64_t all = ~std::uint64_t{0};
  for (int i = 0; i < 200; ++i) {
    const auto value = random_u64();
    seen.insert(value);
    any |= value;
    all &= value;
  }
  CHECK(seen.size() == 200);
  CHECK(any == ~std::uint64_t{0});
  CHECK(all == 0);
}

TEST_CASE("ids order as their texts do") {
  const auto small = id_of("00000000000000000000000000000001");
  const auto middle = id_of("7f000000000000000000000000000000");
  const auto large = id_of("80000000000000000000000000000000");
  CHECK(node_id{} < small);
  CHECK(small < middle);
  CHECK(middle < large);
  for (int i = 0; i < 200; ++i) {
    const auto left = node_id::random();
    const auto right = node_id::random();
    CHECK((left < right) == (to_string(left) < to_string(right)));
  }
}

TEST_CASE("ids that people choose do not share their hashes, nor the low bits of them") {
  std::unordered_set<std::size_t> hashes;
  std::unordered_set<std::size_t> low_bits;
  for (unsigned number = 1; number <= 1000; ++number) {
    node_id::bytes_type bytes{};
    bytes[14] = static_cast<std::byte>(number >> 8);
    bytes[15] = static_cast<std::byte>(number & 0xff);
    hashes.insert(std::hash<node_id>{}(node_id(bytes)));
    low_bits.insert(std::hash<node_id>{}(node_id(bytes)) & 1023);
  }
  CHECK(hashes.size() == 1000);
  CHECK(low_bits.size() > 500); // 1024 cells, 1000 throws: about 639 by chance
}
