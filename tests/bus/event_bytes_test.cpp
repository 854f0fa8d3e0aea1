// Events that wait are bounded in bytes, too: what they bring along counts, one of any size may wait, and
// bounds that are changed hold at once.
#include "postbus/bus/subscriptions.hpp"
#include "postbus/tests/support/node_world.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace postbus;
using namespace postbus::test;

namespace {

connected up_with(std::size_t init_bytes) {
  return {id_of(2), payload::copy_of(std::string(init_bytes, 'i')), false};
}

/// A subscriber whose hands are full, so that events wait behind a message.
struct full_hands {
  explicit full_hands(const limits& bounds, bool decides = false) : tested(bounds) {
    bus::subscription_options wants;
    wants.decides = decides;
    id = tested.add(wants, slot);
    for (int count = 0; count < 2; ++count) {
      const std::byte body{};
      bus::outbox box(1000, 10);
      REQUIRE(box.push(bus::outbox::lane::data, {}, std::span(&body, 1)) == send_outcome::accepted);
      bus::loopback way({});
      tested.push(id_of(2), way.pull(box, 1000, 1000));
    }
    drain();
  }

  void drain() {
    while (auto what = tested.next()) {
      if (auto* messages = std::get_if<batch>(&what->what))
        kept.push_back(std::move(*messages));
      else if (const auto* over =
                 std::get_if<subscription_ended>(&std::get<node_event>(what->what)))
        ended = over->reason;
    }
  }
  void push(const node_event& event) {
    tested.push(event);
    drain();
  }

  bus::subscriptions tested;
  bus::shared<bus::receipt> slot = bus::shared<bus::receipt>::adopt(new bus::receipt);
  bus::subscription_id id = 0;
  std::vector<batch> kept;
  std::optional<error> ended;
};

limits bounds_with(std::size_t event_bytes_max) {
  limits bounds;
  bounds.batches_in_flight_max = 1;
  bounds.subscription_event_bytes_max = event_bytes_max;
  return bounds;
}

} // namespace

TEST_CASE("events that wait are bounded by what they bring along") {
  const auto each = bytes_of(up_with(1000));
  CHECK(each >= 1000);
  full_hands world(bounds_with(5 * each));
  for (int count = 0; count < 5; ++count)
    world.push(up_with(1000));
  CHECK_FALSE(world.ended.has_value());
  world.push(up_with(1000));
  REQUIRE(world.ended.has_value());
  CHECK(world.ended->code == errc::subscriber_too_slow);
}

TEST_CASE("one event of any size may wait") {
  full_hands world(bounds_with(1000));
  unsent back{id_of(2), {{1, true, payload::copy_of(std::string(100'000, 'u'))}}};
  CHECK(bytes_of(back) >= 100'000);
  world.push(back);
  CHECK_FALSE(world.ended.has_value());
  world.push(closing{});
  CHECK(world.ended.has_value());
}

TEST_CASE("what is taken makes room again") {
  const auto each = bytes_of(up_with(1000));
  full_hands world(bounds_with(2 * each));
  for (int round = 0; round < 10; ++round) {
    world.push(up_with(1000));
    world.push(up_with(1000));
    CHECK_FALSE(world.ended.has_value());
    world.kept.clear();
    world.tested.settle(world.id); // the message behind is in its hands, its events are out
    world.drain();
  }
}

TEST_CASE("changed bounds of events hold at once") {
  full_hands world(bounds_with(1 << 20));
  world.push(up_with(1000));
  world.tested.bounds(bounds_with(1000));
  world.push(up_with(1000));
  CHECK(world.ended.has_value());
}

TEST_CASE("whether a question waits for somebody is known") {
  full_hands world(bounds_with(1 << 20), true);
  connection_request question;
  question.connection = 7;
  CHECK_FALSE(world.tested.asks(7));
  world.push(question);
  CHECK(world.tested.asks(7));
  CHECK_FALSE(world.tested.asks(8));
  world.kept.clear();
  world.tested.settle(world.id);
  world.drain();
  CHECK_FALSE(world.tested.asks(7));
}
