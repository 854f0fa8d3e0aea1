// node: what subscribers are given, what waits for them, and what nobody had.
#include "postbus/tests/support/node_world.hpp"

#include <doctest/doctest.h>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

void send_ten(node_world& world, node_world::host& from, node_world::host& to) {
  for (int number = 0; number < 10; ++number) {
    CHECK(world.send(from, to, number) == send_outcome::accepted);
    world.run(1ms);
  }
}

void close_and_wait(node_world& world, node_world::host& who) {
  who.core.close({errc::closed, blame::local, {}}, 1s, world.now);
  world.run(5s);
}

} // namespace

TEST_CASE(
  "a subscriber that holds four batches gets the fifth when it lets one go, in order with events") {
  node_world world;
  auto& a = world.add(1);
  auto& b = world.add(2);
  const auto slow = world.subscribe(b, {}, true);
  const auto quick = world.subscribe(b);
  world.dial(a, b);
  world.run(100ms);
  send_ten(world, a, b);
  CHECK(b.held[slow].size() == limits{}.batches_in_flight_max);
  CHECK(b.stories[quick]
        == "connected(node 1) message message message message message message message message "
           "message message ");
  world.link(a, b)->session.fail(errc::connection_reset, "test");
  world.run(1s);
  CHECK(b.stories[slow] == "connected(node 1) message message message message ");
  world.let_go(b, slow);
  world.run(1ms);
  world.let_go(b, slow);
  world.run(1ms);
  world.let_go(b, slow);
  world.run(1ms);
  CHECK(b.stories[slow] == b.stories[quick]);
  CHECK(b.stories[slow].ends_with("message disconnected(connection_cut) "));
}

TEST_CASE("a node that closes hands on what waited for a slow subscriber, its end and all") {
  node_world world;
  auto& a = world.add(1);
  auto& b = world.add(2);
  const auto slow = world.subscribe(b, {}, true);
  world.dial(a, b);
  world.run(100ms);
  send_ten(world, a, b);
  CHECK(b.held[slow].size() == limits{}.batches_in_flight_max);
  b.core.close({errc::closed, blame::local, {}}, 1s, world.now);
  world.run(10s);
  CHECK(b.finished);
  CHECK(b.numbers[a.core.id()] == std::vector{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  CHECK(b.stories[slow].ends_with("disconnected(closed) closed "));
}

TEST_CASE("messages nobody subscribed to are counted, and a peer is given no credit for them") {
  node_world world;
  auto& a = world.add(1);
  auto& b = world.add(2);
  const auto id = world.subscribe(b);
  world.dial(a, b);
  world.run(1s);
  CHECK(b.core.unsubscribe(id));
  CHECK_FALSE(b.core.unsubscribe(id));
  CHECK(world.send(a, b, 1) == send_outcome::accepted);
  world.run(1s);
  const auto late = world.subscribe(b, {.messages = false});
  world.link(b, a)->session.fail(errc::connection_reset, "test"); // the drop is told with the end
  world.run(1s);
  CHECK(b.stories[late] == "disconnected(connection_reset, 1 of 1 unclaimed) ");
  auto& c = world.add(3);
  world.dial(c, b);
  world.run(1s);
  CHECK(world.send(c, b, 2) == send_outcome::accepted);
  world.run(1s);
  CHECK(world.link(c, b)->session.starved());
  world.subscribe(b);
  world.run(1s);
  CHECK(b.numbers[c.core.id()] == std::vector{2});
}

TEST_CASE("what waited for a subscription that ends is told as unclaimed, unless another had it") {
  for (const bool another : {false, true}) {
    CAPTURE(another);
    node_world world;
    auto& a = world.add(1);
    auto& b = world.add(2);
    const auto slow = world.subscribe(b, {.messages = true, .events = false}, true);
    const auto events = world.subscribe(b, {.messages = another});
    world.dial(a, b);
    world.run(100ms);
    send_ten(world, a, b);
    CHECK(b.core.unsubscribe(slow));
    b.held.clear();
    close_and_wait(world, a);
    CHECK(b.stories[events].ends_with(another ? "disconnected(closed) "
                                              : "disconnected(closed, 6 of 10 unclaimed) "));
  }
}

TEST_CASE("a subscriber that came later does not hide that nobody was given what waited") {
  node_world world;
  auto& a = world.add(1);
  auto& b = world.add(2);
  const auto slow = world.subscribe(b, {.messages = true, .events = false}, true);
  world.dial(a, b);
  world.run(100ms);
  send_ten(world, a, b);
  const auto late = world.subscribe(b);
  CHECK(b.core.unsubscribe(slow));
  b.held.clear();
  close_and_wait(world, a);
  CHECK(b.stories[late] == "disconnected(closed, 6 of 10 unclaimed) ");
}

TEST_CASE("what one subscriber had is not unclaimed when another one leaves it") {
  node_world world;
  auto& a = world.add(1);
  auto& b = world.add(2);
  const auto slow = world.subscribe(b, {.messages = true, .events = false}, true);
  const auto quick = world.subscribe(b, {.messages = true, .events = false});
  const auto events = world.subscribe(b, {.messages = false});
  world.dial(a, b);
  world.run(100ms);
  send_ten(world, a, b);
  CHECK(b.core.unsubscribe(quick)); // it had them all
  CHECK(b.core.unsubscribe(slow));
  b.held.clear();
  close_and_wait(world, a);
  CHECK(b.stories[events].ends_with("disconnected(closed) "));
}

TEST_CASE("what waited from a connection that is over is not charged to the next one") {
  node_world world;
  auto& a = world.add(1);
  auto& b = world.add(2);
  const auto slow = world.subscribe(b, {.messages = true, .events = false}, true);
  const auto events = world.subscribe(b, {.messages = false});
  world.dial(a, b);
  world.run(100ms);
  send_ten(world, a, b);
  world.link(b, a)->session.fail(errc::connection_reset, "test");
  world.run(1s);
  world.dial(a, b);
  world.run(1s);
  CHECK(b.core.unsubscribe(slow));
  b.held.clear();
  close_and_wait(world, a);
  CHECK(b.stories[events].ends_with("connected(node 1) disconnected(closed) "));
}
