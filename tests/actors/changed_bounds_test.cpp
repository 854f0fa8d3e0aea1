// Bounds that are changed while a node runs: what holds at once and what later; how they are read; what
// an inbox of which nobody reads the events is told; and what a node counts of messages to nobody.
#include "postbus/postbus.hpp"
#include "postbus/tests/support/asked.hpp"
#include "postbus/tests/support/expect.hpp"

#include <doctest/doctest.h>

#include <string>
#include <thread>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

/// Sends to itself until it is not taken, and says how often it was.
std::uint64_t fill_own(const node& at) {
  const std::string body(1000, 'x');
  std::uint64_t taken = 0;
  while (at.send(at.id(), body) == send_outcome::accepted)
    ++taken;
  return taken;
}

} // namespace

TEST_CASE("the bounds of a node are read, and the half-life alone is set, by call and by message") {
  runtime bus;
  limits first;
  first.outbox_frames_max = 77;
  auto node = bus.spawn_node({.id = {}, .init = {}, .bounds = first});
  REQUIRE(node.bounds().has_value());
  CHECK(node.bounds()->outbox_frames_max == 77);
  REQUIRE(node.statistics_half_life(5s).has_value());
  CHECK(node.bounds()->statistics_half_life == 5s);
  CHECK(node.bounds()->outbox_frames_max == 77);
  CHECK(node.statistics_half_life(0s).error() == errc::bad_option);
  caf::scoped_actor self{bus.system()};
  asked_to(self, node.actor(), set_statistics_half_life{7s});
  CHECK(asked<limits>(self, node.actor(), get_bounds{}).statistics_half_life == 7s);
  CHECK(refused_to(self, node.actor(), set_statistics_half_life{-1s}) == errc::bad_option);
  REQUIRE(node.close().has_value());
  CHECK(node.bounds().error() == errc::node_closed);
}

TEST_CASE("changed bounds hold at once for the queue of what a node sends itself") {
  runtime bus;
  limits narrow;
  narrow.outbox_bytes_max = 16 << 10;
  auto node = bus.spawn_node({.id = {}, .init = {}, .bounds = narrow});
  const auto before = fill_own(node); // nobody has subscribed
  CHECK(before > 0);
  CHECK(before < 20);
  auto wide = narrow;
  wide.outbox_bytes_max = 1 << 20;
  REQUIRE(node.bounds(wide).has_value());
  CHECK(fill_own(node) > 500);
}

TEST_CASE("changed bounds of queues hold for subscriptions that begin later") {
  runtime bus;
  limits bounds;
  bounds.batches_in_flight_max = 1;
  auto node = bus.spawn_node({.id = {}, .init = {}, .bounds = bounds});
  bounds.subscription_queue_messages_max = 2;
  REQUIRE(node.bounds(bounds).has_value());
  auto slow = node.inbox({.policy = slow_policy::drop_newest});
  for (std::uint64_t number = 1; number <= 10; ++number) {
    REQUIRE(node.send(node.id(), number) == send_outcome::accepted);
    while (slow.counters().value_or(subscription_counters{}).messages_taken < number)
      std::this_thread::yield();
  }
  const auto counted = slow.counters();
  REQUIRE(counted.has_value());
  CHECK(counted->messages_queued == 2);
  CHECK(counted->messages_dropped == 7);
  bounds.batches_in_flight_max = 2;
  CHECK(node.bounds(bounds).error() == errc::bad_option);
}

TEST_CASE(
  "an inbox whose events nobody reads is cut off, and told how many messages it has missed") {
  for (const auto by_bytes : {false, true}) {
    CAPTURE(by_bytes);
    runtime bus;
    limits bounds;
    bounds.connections_max = 4;
    bounds.batches_in_flight_max = 1;
    if (by_bytes)
      bounds.subscription_event_bytes_max = 16 << 10;
    else
      bounds.subscription_events_max = 5;
    auto node = bus.spawn_node({.id = {}, .init = {}, .bounds = bounds});
    auto tested = node.inbox({.policy = slow_policy::drop_newest, .queue_messages_max = 2});
    auto watched = node.inbox({.messages = false});
    for (std::uint64_t number = 1; number <= 10; ++number) {
      REQUIRE(node.send(node.id(), number) == send_outcome::accepted);
      while (tested.counters().value_or(subscription_counters{}).messages_taken < number)
        std::this_thread::yield();
    }
    std::uint64_t read = 0;
    while (read < 3 && tested.next_message(patience))
      ++read;
    REQUIRE(read == 3); // one was in hand and two waited

    const auto at = node.listen("tcp://127.0.0.1:0");
    REQUIRE(at.has_value());
    for (int count = 0; count < 3; ++count) { // two events each, the first with 7 KiB
      auto guest = bus.spawn_node({.id = {}, .init = payload::copy_of(std::string(7000, 'i'))});
      REQUIRE(guest.connect(*at, patience).has_value());
      REQUIRE(next_event<connected>(watched).has_value());
      REQUIRE(guest.close(patience).has_value());
      REQUIRE(next_event<disconnected>(watched).has_value());
    }
    const auto ended = next_event<subscription_ended>(tested);
    REQUIRE(ended.has_value());
    CHECK(ended->reason.code == errc::subscriber_too_slow);
    CHECK(ended->messages_dropped == 7);
    CHECK(tested.next(patience).error() == errc::subscriber_too_slow);
  }
}

TEST_CASE("what is refused is counted, whether it was for one peer or for many") {
  runtime bus;
  auto node = bus.spawn_node();
  caf::scoped_actor self{bus.system()};
  const auto nobody = node_id::random();
  const auto outcomes =
    asked<send_outcomes>(self, node.actor(), send_to_many{{nobody, nobody, nobody}, {}, 0, true});
  CHECK(outcomes.each == std::vector<send_outcome>(3, send_outcome::closed));
  const auto told = node.statistics();
  REQUIRE(told.has_value());
  CHECK(told->refused == std::vector<refused_messages>{{send_outcome::closed, 3}});
}

TEST_CASE("a listen that was given up does not listen later") {
  runtime bus;
  auto node = bus.spawn_node();
  // Whether it is open in no time at all is the machine's affair; that it answers the truth is not.
  for (int count = 0; count < 20; ++count)
    if (const auto at = node.listen("tcp://127.0.0.1:0", 0s); at)
      CHECK(node.stop_listening(*at));
    else
      CHECK(at.error() == errc::timeout);
  const auto last = node.listen("tcp://127.0.0.1:0", patience); // behind all of them
  REQUIRE(last.has_value());
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (node.addresses().size() > 1 && std::chrono::steady_clock::now() < deadline)
    std::this_thread::yield();
  CHECK(node.addresses() == std::vector<std::string>{*last});
}
