// requests and request_table: that no way of asking, answering, giving up and leaving makes more wait, here
// or in programs' hands, than the bounds say.
#include "postbus/bus/request_table.hpp"
#include "postbus/bus/requests.hpp"

#include <doctest/doctest.h>

using namespace postbus;
using namespace std::chrono_literals;

namespace {

constexpr time_point now{1h};

limits four() {
  limits bounds;
  bounds.requests_in_flight_max = 4;
  return bounds;
}

const bus::failure no{errc::no_handler, 0, {}};

} // namespace

TEST_CASE("an answer keeps its request's place until it is on the wire") {
  bus::requests books(four(), 1 << 20);
  bus::fifo<bus::outgoing> wire;
  bus::correlation_id next = 1;
  for (int round = 0; round < 3; ++round) {
    for (int count = 0; count < 4; ++count, ++next) {
      REQUIRE(books.take(next, 20, never) == errc::none);
      books.answer(next, no);
    }
    CHECK(books.unanswered() == 0);
    CHECK(books.take(next, 20, never) == errc::window_exceeded);
    books.pull(wire, 1 << 20);
    CHECK(books.queue_empty());
  }
}

TEST_CASE("each answer that leaves frees one place, whatever of ours waits before and behind it") {
  bus::requests books(four(), 1 << 20);
  bus::fifo<bus::outgoing> wire;
  const auto ask = [&](bus::correlation_id id) {
    books.ask({id, payload::copy_of(std::string(10'000, 'q')), 0, true, never}, now);
  };
  ask(1); // bodies of this size leave one by one
  for (bus::correlation_id id = 1; id <= 4; ++id) {
    REQUIRE(books.take(id, 20, never) == errc::none);
    books.answer(id, bus::response{payload::copy_of(std::string(10'000, 'a')), 0, true});
    ask(id + 1);
    books.cancel(id);
  }
  bus::correlation_id next = 5;
  std::size_t answers = 0;
  while (!books.queue_empty()) {
    CHECK(books.take(next, 20, never) == (answers < 1 ? errc::window_exceeded : errc::none));
    if (answers > 0)
      answers -= 1, ++next;
    const auto before = wire.size();
    books.pull(wire, 1);
    REQUIRE(wire.size() > before);
    for (auto index = before; index < wire.size(); ++index)
      answers += codecs::load_header(wire[index].head).kind == codecs::frame_kind::response ? 1 : 0;
  }
  CHECK(next + answers == 9);
}

TEST_CASE(
  "what was called off counts as long as its handler has it, over the end of the connection") {
  constexpr auto each = std::size_t{100};
  constexpr auto charge = each + bus::request_table::overhead_bytes;
  bus::request_table table(10 * charge);
  const auto serve = [&](bus::connection_id from, bus::correlation_id id) {
    return table.serve(from, id, 1, each, {4, 1000});
  };
  for (bus::correlation_id id = 1; id <= 4; ++id) {
    REQUIRE(serve(7, id));
    const auto off = table.called_off(7, id);
    REQUIRE(off.has_value());
    CHECK(off->by == 1);
    CHECK(off->bytes == each);
    CHECK_FALSE(table.called_off(7, id).has_value());
  }
  CHECK_FALSE(serve(7, 5)); // four of this connection
  table.let_go(7, each);
  CHECK(serve(7, 5));
  CHECK(table.answered(7, 5));
  CHECK_FALSE(table.answered(7, 5));
  for (bus::correlation_id id = 1; id <= 7; ++id)
    REQUIRE(serve(8, id));
  CHECK_FALSE(serve(8, 8)); // ten of all
  CHECK(table.drop(8).served.size() == 7);
  CHECK_FALSE(serve(9, 1)); // its programs have them still
  table.let_go(8, each);
  CHECK(serve(9, 1));
}

TEST_CASE("what one peer has called off leaves the node's memory to others") {
  bus::request_table table(1 << 20);
  const bus::request_table::called_off_bounds most{100, 3000};
  for (bus::correlation_id id = 1; id <= 3; ++id) {
    REQUIRE(table.serve(7, id, 1, 1000, most));
    REQUIRE(table.called_off(7, id).has_value());
  }
  CHECK_FALSE(table.serve(7, 4, 1, 1, most));
  CHECK(table.serve(8, 1, 1, 1000, most));
  table.let_go(7, 1000);
  CHECK(table.serve(7, 4, 1, 1, most));
}
