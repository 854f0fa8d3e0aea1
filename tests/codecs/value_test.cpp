// value: what is packed is unpacked, for every type that the library adapts.
#include "postbus/codecs/value.hpp"

#include <doctest/doctest.h>

#include <array>
#include <chrono>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

using namespace postbus;
using namespace postbus::codecs;
using namespace std::string_literals;
using namespace std::string_view_literals;

namespace shop {

enum class colour { red, green = 7 };

struct item {
  std::string name;
  std::uint32_t count = 0;
  double price = 0;
  colour paint = colour::red;
  MSGPACK_DEFINE(name, count, price, paint)
  friend bool operator==(const item&, const item&) = default;
};

struct order {
  std::uint64_t number = 0;
  std::vector<item> items;
  std::map<std::string, std::optional<int>> notes;
  std::variant<std::monostate, std::string, item> gift;
  MSGPACK_DEFINE(number, items, notes, gift)
  friend bool operator==(const order&, const order&) = default;
};

struct labelled {
  int left = 0;
  std::string right;
  MSGPACK_DEFINE_MAP(left, right)
  friend bool operator==(const labelled&, const labelled&) = default;
};

/// A member that is itself a packed value, unpacked while the outer one is.
struct envelope {
  std::vector<int> inner;
  std::string behind;
  friend bool operator==(const envelope&, const envelope&) = default;
};

struct thrower {
  int what = 0;
};

} // namespace shop

MSGPACK_ADD_ENUM(shop::colour)

namespace msgpack {
MSGPACK_API_VERSION_NAMESPACE(MSGPACK_DEFAULT_API_NS) {
  namespace adaptor {

  template <>
  struct pack<shop::envelope> {
    template <class Stream>
    msgpack::packer<Stream>& operator()(msgpack::packer<Stream>& to,
                                        const shop::envelope& value) const {
      byte_buffer inner;
      if (!pack_value(inner, value.inner))
        throw std::runtime_error("inner");
      to.pack_array(2);
      to.pack_bin(static_cast<std::uint32_t>(inner.size()));
      to.pack_bin_body(reinterpret_cast<const char*>(inner.data()),
                       static_cast<std::uint32_t>(inner.size()));
      to.pack(value.behind);
      return to;
    }
  };

  template <>
  struct convert<shop::envelope> {
    const msgpack::object& operator()(const msgpack::object& from, shop::envelope& found) const {
      if (from.type != msgpack::type::ARRAY || from.via.array.size != 2)
        throw msgpack::type_error();
      const auto inner = from.via.array.ptr[0].as<std::vector<char>>();
      result<std::vector<int>> unpacked =
        unpack_value<std::vector<int>>(std::as_bytes(std::span(inner)));
      if (!unpacked)
        throw msgpack::type_error();
      found.inner = *std::move(unpacked);
      from.via.array.ptr[1].convert(found.behind); // the outer tree must still be there
      return from;
    }
  };

  template <>
  struct pack<shop::thrower> {
    template <class Stream>
    msgpack::packer<Stream>& operator()(msgpack::packer<Stream>& to,
                                        const shop::thrower& value) const {
      to.pack_array(3);
      if (value.what == 0)
        throw std::runtime_error("cannot be packed");
      if (value.what == 1)
        throw std::bad_alloc();
      throw 5;
    }
  };

  template <>
  struct convert<shop::thrower> {
    const msgpack::object& operator()(const msgpack::object& from, shop::thrower&) const {
      switch (from.as<int>()) {
      case 0:
        throw std::runtime_error("cannot be made");
      case 1:
        throw std::bad_alloc();
      default:
        throw 5;
      }
    }
  };

  } // namespace adaptor
} // MSGPACK_API_VERSION_NAMESPACE
} // namespace msgpack

namespace {

template <class T>
byte_buffer packed(const T& value) {
  byte_buffer out;
  const result<void> done = pack_value(out, value);
  REQUIRE(done);
  return out;
}

template <class T>
void goes_round(const T& value) {
  const byte_buffer bytes = packed(value);
  CHECK(check_value(bytes.bytes()));
  const result<T> back = unpack_value<T>(bytes.bytes());
  REQUIRE(back);
  CHECK((*back == value));
  for (std::size_t size = 0; size < bytes.size(); ++size)
    CHECK_FALSE(unpack_value<T>(bytes.bytes().first(size)));
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

template <class T>
errc refusal(std::string_view bytes) {
  const result<T> made = unpack_value<T>(bytes_of(bytes));
  return made ? errc::none : made.error().code;
}

} // namespace

TEST_CASE("values go to MessagePack and back") {
  goes_round(true);
  goes_round(0);
  goes_round('c');
  goes_round(3.25);
  goes_round(-2.5f);
  goes_round("text"s);
  goes_round(""s);
  goes_round(std::string(70'000, 'x'));
  goes_round(std::vector<int>{1, -1, 1000, -100'000});
  goes_round(std::vector<bool>{true, false});
  goes_round(std::vector<std::byte>{std::byte{1}, std::byte{255}});
  goes_round(std::vector<char>{'a', 'b'});
  goes_round(std::vector<unsigned char>{1, 2});
  goes_round(std::array<int, 3>{1, 2, 3});
  goes_round(std::deque<std::string>{"a", "b"});
  goes_round(std::list<int>{});
  goes_round(std::set<int>{3, 1});
  goes_round(std::map<std::string, std::vector<int>>{{"a", {1}}, {"b", {}}});
  goes_round(std::unordered_map<int, std::string>{{1, "one"}, {-7, "seven"}});
  goes_round(std::tuple<int, std::string, bool>{1, "two", true});
  goes_round(std::pair<int, double>{1, 0.5});
  goes_round(std::optional<std::string>{"there"});
  goes_round(std::optional<int>{});
  goes_round(std::chrono::system_clock::time_point{std::chrono::milliseconds{1'700'000'000'123}});
  goes_round(shop::colour::green);
}

TEST_CASE("structs go to MessagePack and back, one in another, as arrays or as maps") {
  const shop::item chair{"chair", 4, 49.5, shop::colour::green};
  goes_round(chair);
  goes_round(shop::labelled{-3, "right"});
  goes_round(std::vector<shop::item>{chair, {}});
  shop::order order{1u << 30, {chair, {}}, {{"wrap", 1}, {"none", std::nullopt}}, {}};
  goes_round(order);
  order.gift = "a card"s;
  goes_round(order);
  order.gift = chair;
  goes_round(order);
}

TEST_CASE("a variant is a tagged array") {
  using either = std::variant<int, std::string, std::monostate>;
  goes_round(either{5});
  goes_round(either{"five"});
  goes_round(either{std::monostate{}});
  CHECK(bytes_of("\x92\x01\xa1x").size() == packed(either{"x"}).size());
  CHECK(std::string_view(reinterpret_cast<const char*>(packed(either{"x"}).data()), 4)
        == "\x92\x01\xa1x");
  CHECK(refusal<either>("\x92\x03\xa1x") == errc::wrong_type);
  CHECK(refusal<either>("\x92\xff\xa1x") == errc::wrong_type);
  CHECK(refusal<either>("\x92\x01\x01") == errc::wrong_type);
  CHECK(refusal<either>("\x91\x01") == errc::wrong_type);
  CHECK(refusal<either>("\xa1x") == errc::wrong_type);
  CHECK(refusal<either>("\x92\x02\x01") == errc::wrong_type);
}

TEST_CASE("integers of every width are read into every type that can hold them") {
  const std::int64_t values[] = {0,          1,
                                 127,        128,
                                 255,        256,
                                 32767,      32768,
                                 65535,      65536,
                                 INT32_MAX,  INT64_C(1) << 31,
                                 UINT32_MAX, INT64_C(1) << 32,
                                 INT64_MAX,  -1,
                                 -32,        -33,
                                 -128,       -129,
                                 -32768,     -32769,
                                 INT32_MIN,  INT64_C(-2147483649),
                                 INT64_MIN};
  const auto try_as = [](std::int64_t value, auto sample) {
    using T = decltype(sample);
    const result<T> made = unpack_value<T>(packed(value).bytes());
    CAPTURE(value);
    CHECK(made.has_value() == std::in_range<T>(value));
    if (made)
      CHECK(std::cmp_equal(*made, value));
    else
      CHECK(made.error() == errc::wrong_type);
  };
  for (std::int64_t value : values) {
    try_as(value, std::int8_t{});
    try_as(value, std::uint8_t{});
    try_as(value, std::int16_t{});
    try_as(value, std::uint16_t{});
    try_as(value, std::int32_t{});
    try_as(value, std::uint32_t{});
    try_as(value, std::int64_t{});
    try_as(value, std::uint64_t{});
    CHECK(*unpack_value<double>(packed(value).bytes()) == static_cast<double>(value));
  }
  CHECK(*unpack_value<std::uint64_t>(packed(UINT64_MAX).bytes()) == UINT64_MAX);
  CHECK_FALSE(unpack_value<std::int64_t>(packed(UINT64_MAX).bytes()));
  // Wider than need be, as other libraries write.
  CHECK(*unpack_value<int>(bytes_of("\xd3\0\0\0\0\0\0\0\x05"sv)) == 5);
  CHECK(*unpack_value<std::uint8_t>(bytes_of("\xd1\0\x05"sv)) == 5);
  CHECK(*unpack_value<signed char>(bytes_of("\xd3\xff\xff\xff\xff\xff\xff\xff\x80"sv)) == -128);
}

TEST_CASE("text is read from str and bin, bytes from both, a span of bytes from bin only") {
  CHECK(*unpack_value<std::string>(bytes_of("\xa2hi")) == "hi");
  CHECK(*unpack_value<std::string>(bytes_of("\xd9\x02hi")) == "hi");
  CHECK(*unpack_value<std::string>(bytes_of("\xc4\x02hi")) == "hi");
  CHECK(unpack_value<std::vector<char>>(bytes_of("\xa2hi"))->size() == 2);
  CHECK(unpack_value<std::span<const std::byte>>(bytes_of("\xc4\x02hi"))->size() == 2);
  CHECK(refusal<std::span<const std::byte>>("\xa2hi") == errc::wrong_type);
  CHECK(*unpack_value<std::string>(packed("a literal").bytes()) == "a literal");
  CHECK(*unpack_value<std::string>(packed("a view"sv).bytes()) == "a view");
}

TEST_CASE("a string_view refers to the bytes it was read from, at the top and inside") {
  const byte_buffer one = packed("some text"s);
  const auto view = unpack_value<std::string_view>(one.bytes());
  REQUIRE(view);
  CHECK(static_cast<const void*>(view->data()) == one.bytes().data() + 1);
  const byte_buffer many = packed(std::vector<std::string>{"first", "second"});
  const auto views = unpack_value<std::vector<std::string_view>>(many.bytes());
  REQUIRE(views);
  CHECK(views->at(1) == "second");
  CHECK(static_cast<const void*>(views->at(0).data()) == many.bytes().data() + 2);
}

TEST_CASE("a value that can only be moved is unpacked") {
  const result<std::unique_ptr<int>> made = unpack_value<std::unique_ptr<int>>(bytes_of("\x05"));
  REQUIRE(made);
  REQUIRE(*made != nullptr);
  CHECK(**made == 5);
}

TEST_CASE("members that the sender did not know keep their initial values") {
  const auto made = unpack_value<shop::item>(bytes_of("\x92\xa3nut\x07"));
  REQUIRE(made);
  CHECK(*made == shop::item{"nut", 7, 0, shop::colour::red});
}

TEST_CASE("an adaptor may itself pack and unpack") {
  goes_round(shop::envelope{{1, 2, 3, 100'000}, std::string(100, 'b')});
  goes_round(std::vector<shop::envelope>(20, {{4, 5}, "end"}));
}

TEST_CASE("what an adaptor throws becomes an error, and the buffer is as before") {
  byte_buffer out = packed(std::string("before"));
  const std::size_t before = out.size();
  result<void> packing = pack_value(out, shop::thrower{0});
  REQUIRE_FALSE(packing);
  CHECK(packing.error() == error{errc::wrong_type, blame::local, "cannot be packed"});
  CHECK(pack_value(out, shop::thrower{1}).error() == errc::system_failed);
  CHECK(pack_value(out, shop::thrower{2}).error() == errc::wrong_type);
  CHECK(out.size() == before);
  CHECK(*unpack_value<std::string>(out.bytes()) == "before");

  const result<shop::thrower> unpacking = unpack_value<shop::thrower>(bytes_of("\0"sv));
  REQUIRE_FALSE(unpacking);
  CHECK(unpacking.error() == error{errc::wrong_type, blame::local, "cannot be made"});
  CHECK(refusal<shop::thrower>("\x01") == errc::system_failed);
  CHECK(refusal<shop::thrower>("\x02") == errc::wrong_type);
  CHECK(refusal<shop::thrower>("\xa0") == errc::wrong_type);
}

TEST_CASE("a value of another type is refused") {
  CHECK(refusal<int>("\xa1x") == errc::wrong_type);
  CHECK(refusal<int>("\xca\0\0\0\0"sv) == errc::wrong_type);
  CHECK(refusal<bool>("\x01") == errc::wrong_type);
  CHECK(refusal<bool>("\xc0") == errc::wrong_type);
  CHECK(refusal<std::string>("\x01") == errc::wrong_type);
  CHECK(refusal<std::string>("\xc0") == errc::wrong_type);
  CHECK(refusal<std::vector<int>>("\x91\xa1x") == errc::wrong_type);
  CHECK(refusal<std::vector<int>>("\x80") == errc::wrong_type);
  CHECK(refusal<shop::item>("\x01") == errc::wrong_type);
  CHECK(refusal<std::map<int, int>>("\x91\x01") == errc::wrong_type);
  CHECK(refusal<std::array<int, 2>>("\x93\x01\x02\x03") == errc::wrong_type);
  CHECK(refusal<std::chrono::system_clock::time_point>("\x01") == errc::wrong_type);
}

TEST_CASE("bytes behind a value are refused") {
  CHECK(refusal<int>("\x01\x02") == errc::trailing_bytes);
  CHECK(refusal<bool>("\xc3\xc3") == errc::trailing_bytes);
  CHECK(refusal<std::string>("\xa1xy") == errc::trailing_bytes);
  CHECK(refusal<std::vector<int>>("\x91\x01\xc0") == errc::trailing_bytes);
}

TEST_CASE("threads unpack at the same time, also while they end") {
  struct last_words {
    bool* good = nullptr;
    ~last_words() {
      const byte_buffer bytes = packed(std::vector<int>{1, 2, 3});
      *good = unpack_value<std::vector<int>>(bytes.bytes())->size() == 3;
    }
  };
  bool good[4] = {};
  std::vector<std::thread> threads;
  for (bool& each : good)
    threads.emplace_back([&each] {
      thread_local last_words last;
      last.good = &each;
      for (int i = 0; i < 200; ++i)
        CHECK(unpack_value<std::vector<int>>(packed(std::vector<int>(100, i)).bytes())->back()
              == i);
    });
  for (std::thread& each : threads)
    each.join();
  for (bool each : good)
    CHECK(each);
}

TEST_CASE("a buffer keeps its bytes while it grows, and becomes a payload without copying") {
  byte_buffer buffer(10);
  std::string expected;
  for (int i = 0; i < 100'000; ++i) {
    const std::string piece = std::to_string(i);
    buffer.write(piece.data(), piece.size());
    expected += piece;
  }
  const std::byte* at = buffer.data();
  const payload bytes = buffer.release();
  CHECK(bytes.data() == at);
  CHECK(bytes.text() == expected);
  CHECK(buffer.size() == 0);
  CHECK(buffer.capacity() == 0);
  buffer.write("again", 5);
  byte_buffer moved = std::move(buffer);
  CHECK(moved.bytes().size() == 5);
  moved.clear();
  CHECK(moved.release().empty());
}
