// requests whose answers nobody reads: they keep their places, so that a peer that asks and gives up, again and
// again, and reads nothing, fills no memory; an honest asker never comes near that bound.
#include "postbus/bus/request_frames.hpp"
#include "postbus/tests/support/session_pair.hpp"

#include <doctest/doctest.h>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

bus::request question(bus::correlation_id id, std::size_t bytes = 10) {
  return {id, payload::copy_of(std::string(bytes, 'q')), 0, true, never};
}

void append(std::vector<std::byte>& wire, codecs::frame_kind kind,
            std::span<const std::byte> body) {
  const auto at = wire.size();
  wire.resize(at + codecs::frame_header_bytes + body.size());
  codecs::store_header(wire.data() + at, {static_cast<std::uint32_t>(body.size()), kind,
                                          codecs::frame_flag::correlated, 0});
  std::copy(body.begin(), body.end(),
            wire.begin() + static_cast<std::ptrdiff_t>(at + codecs::frame_header_bytes));
}

/// Requests that are given up at once, as a peer writes them that counts nothing.
std::vector<std::byte> given_up(bus::correlation_id first, std::size_t count,
                                duration time_left = duration::max()) {
  std::vector<std::byte> wire;
  for (auto id = first; id < first + count; ++id) {
    append(wire, codecs::frame_kind::request, bus::encode_request_prefix(id, time_left));
    append(wire, codecs::frame_kind::cancel, bus::encode_correlation(id));
  }
  return wire;
}

/// A pair that is open, whose dialer reads nothing from now on.
struct unread : session_pair {
  explicit unread(const settings& how) : session_pair(how) {
    REQUIRE(open());
    run(1s);
    dialer.frozen(true);
    to_dialer.how.room_bytes = 0;
  }
};

session_pair::settings taking(std::uint32_t count) {
  session_pair::settings how;
  how.bounds.requests_in_flight_max = count;
  return how;
}

} // namespace

TEST_CASE("a request holds its place until its answer has left, not until it was given") {
  constexpr std::size_t large = 300'000; // more than waits on the wire
  unread pair(taking(4));
  pair.dialer.frozen(false);
  for (bus::correlation_id id = 1; id <= 4; ++id)
    pair.dialer.session.ask(question(id), pair.now());
  pair.settle();
  pair.dialer.frozen(true);
  REQUIRE(pair.listener.asked.size() == 4);
  for (bus::correlation_id id = 1; id <= 4; ++id) {
    pair.listener.session.answer(
      id, bus::response{payload::copy_of(std::string(large, 'a')), 0, true}, pair.now());
    pair.drive(pair.listener);
  }
  CHECK(pair.listener.session.open_requests() == 0);
  pair.to_listener.push(given_up(5, 1), pair.now()); // the place of the one that has left
  pair.settle();
  CHECK(pair.listener.asked.size() == 5);
  CHECK(!pair.listener.end);
  pair.to_listener.push(given_up(6, 1), pair.now());
  pair.run(10s);
  CHECK(pair.listener.asked.size() == 5);
  REQUIRE(pair.listener.end);
  CHECK(pair.listener.end->reason
        == error{errc::window_exceeded, blame::remote, "more requests than are taken"});
}

TEST_CASE("who asks and gives up, and reads no answer, is cut off at what was granted") {
  constexpr std::uint32_t granted = 100;
  unread pair(taking(granted));
  bus::correlation_id next = 1;
  while (!pair.listener.end && next < 200'000) {
    pair.to_listener.push(given_up(next, 100), pair.now());
    next += 100;
    pair.run(10ms);
  }
  pair.run(10s);
  REQUIRE(pair.listener.end);
  CHECK(pair.listener.end->reason.code == errc::window_exceeded);
  CHECK(pair.listener.end->reason.by == blame::remote);
  // What has left waits on the wire, which is bounded by itself.
  constexpr std::size_t on_the_wire = (std::size_t{256} << 10) / 18;
  CHECK(pair.listener.asked.size() <= granted + on_the_wire + 1);
}

TEST_CASE("one read brings no more requests than are granted, however many are given up in it") {
  unread pair(taking(100));
  pair.to_listener.push(given_up(1, 5000), pair.now());
  pair.run(10s);
  CHECK(pair.listener.asked.size() <= 100);
  CHECK(pair.listener.called_off.size() <= 100);
  REQUIRE(pair.listener.end);
  CHECK(pair.listener.end->reason.code == errc::window_exceeded);
}

TEST_CASE("requests whose time is over at once keep their places in the same way") {
  constexpr std::uint32_t granted = 100;
  unread pair(taking(granted));
  std::vector<std::byte> wire;
  bus::correlation_id next = 1;
  while (!pair.listener.end && next < 200'000) {
    wire.clear();
    for (int count = 0; count < 100; ++count)
      append(wire, codecs::frame_kind::request, bus::encode_request_prefix(next++, 0ms));
    pair.to_listener.push(wire, pair.now());
    pair.run(10ms);
  }
  REQUIRE(pair.listener.end);
  CHECK(pair.listener.end->reason.code == errc::window_exceeded);
}

TEST_CASE(
  "who counts what it has not got an answer to may give up for ever, on the narrowest wire") {
  for (const std::size_t room : {std::size_t{1}, std::size_t{30}, std::size_t{1000}}) {
    CAPTURE(room);
    auto how = taking(2);
    how.way.latency = 1ms;
    how.way.room_bytes = room;
    session_pair narrow(how);
    narrow.run(30s);
    REQUIRE(narrow.dialer.opened == 1);
    bus::correlation_id next = 1;
    const std::size_t rounds = room == 1 ? 50 : 500;
    while (next < rounds && !narrow.listener.end) {
      while (next - 1 - narrow.dialer.answers.size() < 2) {
        narrow.dialer.session.ask(question(next), narrow.now());
        narrow.dialer.session.cancel(next++);
      }
      narrow.run(1ms);
    }
    narrow.run(30s);
    CHECK(!narrow.listener.end);
    CHECK(narrow.dialer.answers.size() == next - 1);
  }
}

// -- time ---------------------------------------------------------------------------------------

TEST_CASE("a session without any deadline may be ticked") { // UBSan looks at the sum
  session_pair::settings how;
  how.keep_idle = true;
  session_pair pair(how);
  REQUIRE(pair.open());
  pair.dialer.holds = true;
  REQUIRE(pair.listener.send(10) == send_outcome::accepted);
  pair.settle();
  pair.listener.session.close({errc::closed, blame::local, {}}, 1s, pair.now());
  pair.dialer.session.close({errc::closed, blame::local, {}}, duration::max(), pair.now());
  pair.run(10s); // the listener's drain time is over, and the stream ended behind its goodbye
  REQUIRE(pair.listener.end);
  REQUIRE(!pair.dialer.end);
  CHECK(pair.dialer.session.deadline() == never);
  pair.dialer.session.tick(pair.now());
  pair.dialer.let_go_all();
  pair.run(10s);
  CHECK(pair.dialer.end);
}
