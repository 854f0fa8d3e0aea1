// The time for last words: between `closing` and the goodbye sends work, until who hears it has done with
// it, and no longer than it may.
#include "postbus/tests/support/node_world.hpp"

#include <doctest/doctest.h>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

const error closed_by_us{errc::closed, blame::local, {}};

/// Two connected nodes; the first is closed with a hold on its `closing`.
struct closing_world {
  closing_world() : a(nodes.add(1)), b(nodes.add(2)) {
    hears = nodes.subscribe(a, {.messages = false});
    nodes.subscribe(b);
    nodes.dial(a, b);
    nodes.run(1s);
    REQUIRE(nodes.link(a, b) != nullptr);
  }

  void close(duration drain) {
    a.core.close(closed_by_us, drain, nodes.now, hold);
    nodes.run(0s);
  }
  [[nodiscard]] bool takes_more() { return nodes.send(a, b, 1) == send_outcome::accepted; }
  /// As the node actor does, once it is told that all have done with it.
  void say_goodbye() {
    a.core.say_goodbye(nodes.now);
    nodes.run(0s);
  }

  node_world nodes;
  node_world::host& a;
  node_world::host& b;
  bus::subscription_id hears = 0;
  std::shared_ptr<const void> hold = std::make_shared<int>(1);
};

} // namespace

TEST_CASE("sends work from closing until everybody has done with it, and arrive") {
  closing_world world;
  world.close(5s);
  CHECK(world.a.stories.at(world.hears).ends_with("closing "));
  for (int count = 0; count < 3; ++count) {
    CHECK(world.takes_more());
    world.nodes.run(10ms);
  }
  world.a.core.closing_heard();
  world.say_goodbye();
  CHECK_FALSE(world.takes_more());
  world.nodes.run(5s);
  CHECK(world.b.numbers.at(world.a.core.id()).size() == 3);
  CHECK(world.a.finished);
  CHECK(world.a.stories.at(world.hears).ends_with("closing disconnected(closed) closed "));
}

TEST_CASE("nothing new is begun meanwhile, and what was not open yet ends") {
  closing_world world;
  auto& c = world.nodes.add(3);
  const auto begun = world.nodes.dial(world.a, c); // nothing of it has moved yet
  world.close(5s);
  REQUIRE(world.a.dials.contains(begun));
  CHECK(world.a.dials.at(begun).error().code == errc::node_closed);
  CHECK(world.nodes.dial(world.a, c) == 0);
  CHECK(world.takes_more());
}

TEST_CASE("who does not finish with closing holds the goodbye back for a bounded time") {
  const struct {
    duration drain, grace;
  } cases[] = {{5s, limits{}.closing_time_max}, {40ms, 10ms}, {0s, 0s}};
  for (const auto& each : cases) {
    CAPTURE(each.drain.count());
    closing_world world;
    bool due = false;
    world.a.core.close(closed_by_us, each.drain, world.nodes.now, world.hold);
    const auto begun = world.nodes.now;
    // The wheel of a node is as coarse as it is: not earlier, and hardly later.
    while (!due && world.nodes.now <= begun + each.grace + 50ms) {
      world.a.core.tick(world.nodes.now);
      while (auto what = world.a.core.next())
        due = due || std::holds_alternative<bus::node::end_sending>(*what);
      if (!due)
        world.nodes.now += 1ms;
    }
    REQUIRE(due);
    CHECK(world.nodes.now >= begun + each.grace);
    world.say_goodbye();
    CHECK_FALSE(world.takes_more());
    world.nodes.run(10s);
    CHECK(world.a.finished);
    world.a.core.closing_heard(); // too late to matter
    CHECK_FALSE(world.a.core.next().has_value());
  }
}

TEST_CASE("a second close that has less time shortens the wait, one that has more does not") {
  closing_world world;
  world.close(5s);
  world.close(50s);
  CHECK(world.a.core.deadline() <= world.nodes.now + limits{}.closing_time_max + 10ms);
  world.close(0s);
  world.nodes.run(1ms);
  world.say_goodbye();
  world.nodes.run(10s);
  CHECK(world.a.finished);
}

TEST_CASE("a node that nobody listens to says goodbye at once") {
  node_world nodes;
  auto& a = nodes.add(1);
  auto hold = std::make_shared<int>(1);
  const std::weak_ptr<int> watched = hold;
  a.core.close(closed_by_us, 5s, nodes.now, std::move(hold));
  CHECK(watched.expired()); // so whoever made it knows
  a.core.closing_heard();
  bool due = false;
  while (auto what = a.core.next())
    due = due || std::holds_alternative<bus::node::end_sending>(*what);
  REQUIRE(due);
  a.core.say_goodbye(nodes.now);
  nodes.run(0s);
  CHECK(a.finished);
}

TEST_CASE(
  "a connection that ends while last words are said does not end the node before its time") {
  closing_world world;
  world.close(5s);
  world.b.core.close(closed_by_us, 1s, world.nodes.now);
  world.nodes.run(50ms);
  CHECK_FALSE(world.a.finished);
  world.say_goodbye();
  world.nodes.run(10s);
  CHECK(world.a.finished);
}
