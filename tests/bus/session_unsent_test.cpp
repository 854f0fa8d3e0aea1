// What a session hands back at its end: exactly the messages of which the transport took nothing.
#include "postbus/bus/session.hpp"

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <vector>

using namespace postbus;
using bus::outbox;
using bus::session;

namespace {

constexpr std::size_t head = codecs::frame_header_bytes;

struct half {
  half(session::role role, unsigned char id) : box(limits{}), at(make(role, id), time_point{}) {}

  static session::options make(session::role role, unsigned char id) {
    session::options how;
    how.role = role;
    node_id::bytes_type bytes{};
    bytes[0] = std::byte{id};
    how.self.id = node_id{bytes};
    how.self.incarnation = id;
    return how;
  }
  /// Writes at most `count` bytes to nowhere, or to `to`. Says how many it was.
  std::size_t write(std::size_t count, half* to = nullptr) {
    std::size_t written = 0;
    std::array<std::span<const std::byte>, 1> piece;
    while (written < count && at.wire(piece) > 0) {
      const auto some = std::min(count - written, piece[0].size());
      if (to != nullptr)
        to->read(piece[0].first(some));
      at.written(some, {});
      written += some;
    }
    return written;
  }
  void read(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      std::size_t count = 0;
      for (const auto room : at.prepare(scratch)) {
        const auto part = std::min(room.size(), bytes.size() - count);
        std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(count), part, room.begin());
        count += part;
      }
      bytes = bytes.subspan(count);
      at.commit(count, {});
      at.park();
    }
  }
  void drive() {
    at.pull(box, {});
    while (auto event = at.next_event()) {
      if (std::holds_alternative<bus::hello_seen>(*event))
        at.accept({});
      else if (auto* over = std::get_if<bus::ended>(&*event))
        end = std::move(*over);
    }
    at.pull(box, {});
  }
  /// The bytes that would still be written.
  [[nodiscard]] std::string last_words() {
    std::string text;
    std::array<std::span<const std::byte>, 64> pieces;
    const auto count = at.wire(pieces);
    for (std::size_t index = 0; index < count; ++index)
      text.append(reinterpret_cast<const char*>(pieces[index].data()), pieces[index].size());
    return text;
  }

  outbox box;
  session at;
  codecs::read_scratch scratch;
  std::optional<bus::ended> end;
};

struct open_pair {
  open_pair() {
    for (int turn = 0; turn < 20; ++turn)
      for (auto [from, to] : {std::pair{&near, &far}, std::pair{&far, &near}}) {
        from->drive();
        from->write(SIZE_MAX, to);
        to->drive();
      }
    REQUIRE(near.at.at() == bus::phase::open);
    REQUIRE(far.at.at() == bus::phase::open);
    REQUIRE(near.at.wire_empty());
  }

  half near{session::role::dialer, 1};
  half far{session::role::listener, 2};
};

// Small ones in one run, a large one by itself, small ones again.
const std::vector<std::size_t> sizes = {5, 0, 100, 9000, 7, 1};

void send_all(half& from) {
  std::uint16_t tag = 0;
  for (const auto bytes : sizes)
    REQUIRE(from.box.push(outbox::lane::data, {.flags = codecs::frame_flag::opaque, .tag = ++tag},
                          payload::copy_of(std::string(bytes, 'x')))
            == send_outcome::accepted);
}

std::vector<std::uint16_t> tags_of(const bus::fifo<bus::outgoing>& frames) {
  std::vector<std::uint16_t> tags;
  for (std::size_t index = 0; index < frames.size(); ++index) {
    const auto& piece = frames[index];
    CHECK(piece.is_data);
    std::size_t at = 0;
    for (std::uint64_t count = 0; count < piece.frames; ++count) {
      const auto header = codecs::load_header(piece.head + at);
      CHECK(header.length == sizes[header.tag - 1u]);
      tags.push_back(header.tag);
      at += head + header.length;
    }
    CHECK(at == piece.bytes());
  }
  return tags;
}

} // namespace

TEST_CASE(
  "wherever a connection breaks, sent is what was begun and unsent is the rest, handed back") {
  std::size_t all = 0;
  for (const auto bytes : sizes)
    all += head + bytes;
  for (const auto pulled : {true, false})
    for (std::size_t cut = 0; cut <= (pulled ? all : 0); cut += cut < 200 || cut > 9000 ? 1 : 97) {
      CAPTURE(pulled);
      CAPTURE(cut);
      open_pair pair;
      send_all(pair.near);
      if (pulled)
        pair.near.drive();
      REQUIRE(pair.near.write(cut) == cut);
      pair.near.at.fail(errc::connection_reset, {});
      pair.near.drive();
      REQUIRE(pair.near.end.has_value());
      std::vector<std::uint16_t> expected;
      std::size_t begin = 0;
      std::size_t rest = 0; // of the message that was begun
      for (std::size_t index = 0; index < sizes.size(); ++index) {
        const auto end = begin + head + sizes[index];
        if (begin >= cut)
          expected.push_back(static_cast<std::uint16_t>(index + 1));
        else if (end > cut)
          rest = end - cut;
        begin = end;
      }
      CHECK(pair.near.end->account.sent == sizes.size() - expected.size());
      CHECK(pair.near.end->account.unsent == expected.size());
      CHECK(pair.near.end->account.confirmed == 0);
      CHECK(tags_of(pair.near.end->unsent) == expected);
      CHECK(pair.near.last_words().size() == rest);
    }
}

TEST_CASE("what is said at the end follows the message that was begun, and nothing else") {
  open_pair pair;
  send_all(pair.near);
  pair.near.drive();
  REQUIRE(pair.near.write(50) == 50); // in the third
  // Silence: the goodbye is said and tried once.
  pair.near.at.tick(time_point{} + limits{}.silence_time_max());
  pair.near.drive();
  REQUIRE(pair.near.end.has_value());
  CHECK(pair.near.end->reason == errc::peer_lost);
  CHECK(tags_of(pair.near.end->unsent) == std::vector<std::uint16_t>{4, 5, 6});
  const auto words = pair.near.last_words();
  const auto rest = 3 * head + 5 + 0 + 100 - 50;
  REQUIRE(words.size() > rest + head);
  const auto* goodbye = reinterpret_cast<const std::byte*>(words.data()) + rest;
  bool found = false; // among what else is said about the connection
  for (std::size_t at = 0; at < words.size() - rest;) {
    const auto header = codecs::load_header(goodbye + at);
    CHECK(header.kind <= codecs::frame_kind::credit);
    found = found || header.kind == codecs::frame_kind::goodbye;
    at += head + header.length;
  }
  CHECK(found);
}

TEST_CASE("a drain that runs out hands back what waited behind it") {
  open_pair pair;
  send_all(pair.near);
  pair.near.at.close({errc::closed, blame::local, {}}, {}, {});
  pair.near.at.tick(time_point{});
  pair.near.drive();
  pair.near.at.tick(time_point{} + limits{}.linger_time_max);
  pair.near.drive();
  REQUIRE(pair.near.end.has_value());
  CHECK(pair.near.end->account.sent + pair.near.end->account.unsent == sizes.size());
  CHECK(tags_of(pair.near.end->unsent).size() == pair.near.end->account.unsent);
}
