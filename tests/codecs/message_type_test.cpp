// message_type: a type and its tag, and the form of its values on the wire.
#include "postbus/codecs/message_type.hpp"
#include "postbus/codecs/value.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace postbus;

namespace {

struct chat {
  std::string room;
  std::string text;
  POSTBUS_MESSAGE(chat, 7, room, text)
};

struct louder : chat { // no message of its own
  int volume = 0;
};

struct plain {
  int number = 0;
  MSGPACK_DEFINE(number)
};

struct last {
  int number = 0;
  POSTBUS_MESSAGE(last, 65535, number)
};

} // namespace

// A type that cannot be changed.
template <>
struct postbus::message_tag<std::vector<int>> {
  static constexpr std::uint16_t value = 12;
};

static_assert(tagged<chat> && tag_of<chat>() == 7);
static_assert(tagged<last> && tag_of<last>() == 65535);
static_assert(tagged<std::vector<int>> && tag_of<std::vector<int>>() == 12);
static_assert(!tagged<louder> && !tagged<plain> && !tagged<int> && !tagged<const char[6]>);
static_assert(tag_of<plain>() == 0 && tag_of<std::string>() == 0);

TEST_CASE(
  "a message is packed as the array of its fields, and one from an older sender keeps defaults") {
  codecs::byte_buffer packed;
  REQUIRE(codecs::pack_value(packed, chat{"kitchen", "hello"}).has_value());
  using fields = std::vector<std::string>;
  CHECK(codecs::unpack_value<fields>(packed.bytes()).value_or(fields{})
        == fields{"kitchen", "hello"});
  const auto read = codecs::unpack_value<chat>(packed.bytes());
  REQUIRE(read.has_value());
  CHECK(read->room == "kitchen");
  CHECK(read->text == "hello");

  codecs::byte_buffer older;
  REQUIRE(codecs::pack_value(older, fields{"attic"}).has_value());
  const auto short_one = codecs::unpack_value<chat>(older.bytes());
  REQUIRE(short_one.has_value());
  CHECK(short_one->room == "attic");
  CHECK(short_one->text.empty());

  codecs::byte_buffer other;
  REQUIRE(codecs::pack_value(other, 5).has_value());
  CHECK(codecs::unpack_value<chat>(other.bytes()).error().code == errc::wrong_type);
}
