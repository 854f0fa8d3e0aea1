// subscriptions: what each subscriber is told, in words: filters by peer and tag, what each policy does
// with what a slow one leaves, what that costs the connection, and that every message is counted once.
#include "postbus/codecs/chunk_pool.hpp"
#include "postbus/tests/support/subscribed.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

using world = subscriptions_world;

// -- filters ----------------------------------------------------------------------------

TEST_CASE("a subscriber gets what its filter takes, and nobody's is told apart") {
  const struct {
    const char* name;
    message_filter filter;
    const char* told;
    std::uint64_t unclaimed;
  } cases[] = {
    {"all", {}, "connected connected [1 1 2 3 2 9] [2 2] closing", 0},
    {"one peer", {.peers = {id_of(2)}}, "connected [2 2] closing", 5},
    {"both peers",
     {.peers = {id_of(2), id_of(1)}},
     "connected connected [1 1 2 3 2 9] [2 2] closing",
     0},
    {"a third peer", {.peers = {id_of(3)}}, "closing", 6},
    {"one tag", {.tags = {2}}, "connected connected [1 2 2] [2 2] closing", 3},
    {"tags", {.tags = {9, 1}}, "connected connected [1 1 9] closing", 4},
    {"a range", {.tags = {{2, 3}}}, "connected connected [1 2 3 2] [2 2] closing", 2},
    {"no such tag", {.tags = {{4, 8}, 0, 10}}, "connected connected closing", 6},
    {"a peer and a tag", {.peers = {id_of(1)}, .tags = {3}}, "connected [1 3] closing", 5},
    {"a range the wrong way round", {.tags = {{3, 2}}}, "connected connected closing", 6},
  };
  for (const auto& each : cases) {
    CAPTURE(each.name);
    world all(limits{});
    const auto id = all.add({.filter = each.filter});
    all.push(up(1));
    all.push(up(2));
    auto unclaimed = all.push(1, {1, 2, 3, 2, 9});
    unclaimed += all.push(2, {2});
    all.push(closing{});
    CHECK(all.take(id) == each.told);
    CHECK(unclaimed == each.unclaimed);
    CHECK(all.tested.anybody_takes_messages());
    CHECK(all.charged() == 6 - each.unclaimed);
    const auto counted = *all.tested.counters(id);
    CHECK(counted.messages_taken == 6 - each.unclaimed);
    CHECK(counted.messages_delivered == 6 - each.unclaimed);
  }
}

TEST_CASE("what comes back unsent is told to those who hear of its peer") {
  world all;
  const auto one = all.add({.filter = {.peers = {id_of(1)}}});
  const auto everybody = all.add({});
  all.push(back(1));
  all.push(back(2));
  CHECK(all.take(one) == "unsent");
  CHECK(all.take(everybody) == "unsent unsent");
}

TEST_CASE("each of several subscribers gets its own choice, charged for that and nothing else") {
  world all(limits{});
  const auto ones = all.add({.filter = {.tags = {1}}});
  const auto odd = all.add({.filter = {.tags = {1, 3}}});
  const auto any_of_two = all.add({.filter = {.peers = {id_of(2)}}});
  CHECK(all.push(1, {1, 2, 3, 1, 2, 2}) == 3);
  CHECK(all.take(ones) == "[1 1 1]");
  CHECK(all.take(odd) == "[1 1 3 1]");
  CHECK(all.take(any_of_two).empty());
  CHECK(all.charged() == 3);
  all.let_go(odd);
  CHECK(all.charged() == 2); // the one with tag 3 was for nobody else
  all.let_go(ones);
  CHECK(all.charged() == 0);
  CHECK(all.push(2, {1, 2, 3}) == 0);
  CHECK(all.take(any_of_two) == "[2 1 2 3]");
  all.let_go(ones);
  all.let_go(odd);
  CHECK(all.charged() == 3);
  all.let_go(any_of_two);
  CHECK(all.charged() == 0);
}

TEST_CASE(
  "what a filter took and nobody was given is told when its subscription ends, by message") {
  world all;
  const auto stuck = all.add({.filter = {.tags = {1, 2}}});
  const auto twos = all.add({.filter = {.tags = {2}}});
  CHECK(all.push(1, {1}) == 0);
  CHECK(all.push(1, {1, 2, 3, 1, 2}) == 1);
  CHECK(all.take(twos) == "[1 2 2]");
  CHECK(all.tested.remove(stuck));
  CHECK(all.tested.take_dropped() == std::map<std::uint64_t, std::uint64_t>{{1, 2}});
  CHECK(all.tested.take_dropped().empty());
}

TEST_CASE("a range of tags that ends before it begins is a bad option") {
  CHECK(bus::subscription_options{}.check().has_value());
  CHECK(bus::subscription_options{.filter = {.tags = {7, {3, 3}, {0, 65535}}}}.check().has_value());
  const auto checked = bus::subscription_options{.filter = {.tags = {{3, 2}}}}.check();
  REQUIRE(!checked);
  CHECK(checked.error().code == errc::bad_option);
}

// -- policies ---------------------------------------------------------------------------

TEST_CASE("what becomes of messages that a subscriber does not take is what its policy says") {
  // It holds a first batch; 16 bytes a message; 3 messages, or 50 bytes, may wait.
  const struct {
    const char* name;
    slow_policy policy;
    std::vector<std::vector<std::uint16_t>> reads;
    const char* told; // when it lets go, one by one
    std::uint64_t dropped;
  } cases[] = {
    {"block waits", slow_policy::block, {{1, 2}, {3, 4}, {5}}, "[1 1 2] [1 3 4] [1 5]", 0},
    {"what fits is kept", slow_policy::drop_oldest, {{1, 2}, {3}}, "[1 1 2 3]", 0},
    {"the oldest go", slow_policy::drop_oldest, {{1, 2}, {3, 4}, {5}}, "-2/32 [1 3 4 5]", 2},
    {"also of one read", slow_policy::drop_oldest, {{1, 2, 3, 4, 5}}, "-2/32 [1 3 4 5]", 2},
    {"and all before it", slow_policy::drop_oldest, {{1}, {2, 3, 4, 5}}, "-2/32 [1 3 4 5]", 2},
    {"what fits is kept", slow_policy::drop_newest, {{1, 2}, {3}}, "[1 1 2 3]", 0},
    {"the newest go", slow_policy::drop_newest, {{1, 2}, {3, 4}, {5}}, "[1 1 2 3] -2/32", 2},
    {"also of one read", slow_policy::drop_newest, {{1, 2, 3, 4, 5}}, "[1 1 2 3] -2/32", 2},
    {"what fits is kept", slow_policy::disconnect, {{1, 2}, {3}}, "[1 1 2 3]", 0},
    {"it is cut off",
     slow_policy::disconnect,
     {{1, 2}, {3, 4}, {5}},
     "ended(subscriber_too_slow, 4)",
     0},
    {"also within one read",
     slow_policy::disconnect,
     {{1, 2, 3, 4, 5}},
     "ended(subscriber_too_slow, 5)",
     0},
  };
  for (const auto& each : cases) {
    CAPTURE(each.name);
    CAPTURE(to_string(each.policy));
    world all;
    const auto id =
      all.add({.policy = each.policy, .queue_bytes_max = 50, .queue_messages_max = 3});
    CHECK(all.push(1, {0}) == 0);
    CHECK(all.take(id) == "[1 0]");
    for (const auto& read : each.reads) {
      const auto is_there = all.tested.anybody_takes_messages();
      CHECK(all.push(1, read) == (is_there ? 0 : read.size()));
    }
    const auto blocks = each.policy == slow_policy::block;
    CHECK(all.charged() == (blocks ? 6 : 0)); // what is copied is charged to nobody
    if (const auto counted = all.tested.counters(id)) {
      CHECK(counted->messages_dropped == each.dropped);
      CHECK(counted->bytes_dropped == 16 * each.dropped);
      CHECK(counted->messages_taken
            == counted->messages_delivered + counted->messages_dropped + counted->messages_queued);
      CHECK(counted->bytes_queued == 16 * counted->messages_queued);
    }
    for (int times = 0; times < 4; ++times)
      all.let_go(id);
    CHECK(all.take(id) == each.told);
    CHECK(all.charged() == 0);
    CHECK(all.tested.take_dropped().empty()); // what a policy drops was taken
    CHECK(all.tested.anybody_takes_messages() == all.tested.counters(id).has_value());
  }
}

TEST_CASE("an empty queue takes one message of any size") {
  for (const auto policy :
       {slow_policy::drop_oldest, slow_policy::drop_newest, slow_policy::disconnect}) {
    CAPTURE(to_string(policy));
    world all;
    const auto id = all.add({.policy = policy, .queue_bytes_max = 20});
    all.push(1, {0});
    all.push(1, {1}, 100'000);
    all.let_go(id);
    CHECK(all.take(id) == "[1 0] [1 1]");
  }
}

TEST_CASE(
  "a gap is told once, where it is, with the number of each peer, and events are never dropped") {
  world all;
  const auto id = all.add({.policy = slow_policy::drop_oldest, .queue_messages_max = 2});
  all.push(1, {0});
  all.push(1, {1, 2});
  all.push(up(2));
  all.push(2, {3});
  all.push(1, {4});
  all.push(2, {5});
  all.push(up(3));
  all.push(2, {6});
  all.push(1, {7});
  CHECK(all.take(id) == "[1 0]");
  all.let_go(id);
  // 1 and 2; 3, 4 and 5: of two peers, behind the event that came between
  CHECK(all.take(id) == "-2/32 connected -1/16 -2/32 connected [2 6]");
  all.let_go(id);
  CHECK(all.take(id) == "[1 7]");
  CHECK(all.tested.counters(id)->messages_dropped == 5);
}

TEST_CASE("who hears no events is told of no gap, and can still ask") {
  world all;
  const auto id =
    all.add({.events = false, .policy = slow_policy::drop_newest, .queue_messages_max = 1});
  all.push(1, {0});
  all.push(1, {1, 2, 3});
  all.let_go(id);
  CHECK(all.take(id) == "[1 0] [1 1]");
  CHECK(all.tested.counters(id)->messages_dropped == 2);
}

TEST_CASE(
  "who is cut off hears the events that waited, then that it has ended, whatever it wanted") {
  for (const bool events : {true, false}) {
    world all;
    const auto id =
      all.add({.events = events, .policy = slow_policy::disconnect, .queue_messages_max = 1});
    all.push(1, {0});
    all.push(1, {1});
    all.push(up(2));
    all.push(1, {2});
    all.push(up(3));
    CHECK(all.take(id)
          == (events ? "[1 0] connected ended(subscriber_too_slow, 2)"
                     : "[1 0] ended(subscriber_too_slow, 2)"));
    CHECK_FALSE(all.tested.remove(id));
  }
}

TEST_CASE(
  "a subscriber for which too many events wait is cut off, and its messages are unclaimed") {
  auto bounds = one_in_hand();
  bounds.subscription_events_max = 2;
  world all(bounds);
  const auto id = all.add({});
  for (unsigned peer = 1; peer < 9; ++peer)
    all.push(up(peer)); // none waits
  all.push(1, {0});
  all.push(1, {1, 2});
  all.push(up(9));
  all.push(up(9));
  CHECK(all.tested.counters(id).has_value());
  all.take(id);
  all.push(closing{});
  CHECK(all.take(id) == "connected connected ended(subscriber_too_slow, 2)");
  CHECK(all.tested.take_dropped() == std::map<std::uint64_t, std::uint64_t>{{1, 2}});
}

TEST_CASE("a stuck subscriber that drops holds nobody back: the connection, or one beside it") {
  world all;
  const auto good = all.add({});
  const auto stuck = all.add({.policy = slow_policy::drop_oldest, .queue_messages_max = 1});
  for (std::uint16_t number = 0; number < 100; ++number) {
    all.push(1, {number});
    CHECK(all.take(good) == "[1 " + std::to_string(number) + "]");
    CHECK(all.charged() == 1);
    all.let_go(good);
    CHECK(all.charged() == 0);
  }
  all.let_go(stuck);
  CHECK(all.take(stuck) == "[1 0] -98/1568 [1 99]");
}

TEST_CASE("copies of many small messages share chunks, and are gone when they were taken") {
  world all;
  const auto id = all.add({.policy = slow_policy::drop_oldest});
  all.push(1, {0});
  const auto before = codecs::chunk_pool::held_bytes();
  for (std::uint16_t number = 0; number < 10'000; ++number)
    all.push(1 + number % 2, {number}); // by turns, so that none can be joined
  CHECK(codecs::chunk_pool::held_bytes() - before < 10'000 * 16 * 2);
  while (all.tested.counters(id)->messages_queued > 0)
    all.let_go(id);
  all.let_go(id);
  CHECK(codecs::chunk_pool::held_bytes() <= before);
}

// -- in a node --------------------------------------------------------------------------

TEST_CASE(
  "a node that loses its last taker by a policy grants no more credit, and says what was lost") {
  node_world nodes;
  auto& a = nodes.add(1);
  auto& b = nodes.add(2);
  const auto slow =
    nodes.subscribe(b, {.policy = slow_policy::disconnect, .queue_messages_max = 2}, true);
  const auto events = nodes.subscribe(b, {.messages = false});
  nodes.dial(a, b);
  nodes.run(100ms);
  for (int number = 0; number < 10; ++number) {
    CHECK(nodes.send(a, b, number) == send_outcome::accepted);
    nodes.run(1ms);
  }
  // Four in its hands, two wait, the seventh is too much; the others find nobody.
  CHECK(b.stories[slow]
        == "connected(node 1) message message message message subscription_ended(3) ");
  CHECK_FALSE(b.core.counters(slow).has_value());
  nodes.link(b, a)->session.fail(errc::connection_reset, "test");
  nodes.run(1s);
  CHECK(b.stories[events]
        == "connected(node 1) disconnected(connection_reset, 3 of 10 unclaimed) ");
}

TEST_CASE("what a policy drops was taken: confirmed to its sender, and not unclaimed") {
  node_world nodes;
  auto& a = nodes.add(1);
  auto& b = nodes.add(2);
  const auto slow =
    nodes.subscribe(b, {.policy = slow_policy::drop_oldest, .queue_messages_max = 2}, true);
  nodes.dial(a, b);
  nodes.run(100ms);
  for (int number = 0; number < 10; ++number) {
    CHECK(nodes.send(a, b, number) == send_outcome::accepted);
    nodes.run(1ms);
  }
  const auto counted = *b.core.counters(slow);
  CHECK(counted.messages_taken == 10);
  CHECK(counted.messages_delivered == 4);
  CHECK(counted.messages_dropped == 4);
  CHECK(counted.messages_queued == 2);
  CHECK(nodes.link(b, a)->session.charged_bytes() == 0);
  a.core.close({errc::closed, blame::local, {}}, 1s, nodes.now);
  nodes.run(5s);
  b.held.clear();
  nodes.run(1ms);
  CHECK(b.stories[slow]
        == "connected(node 1) message message message message dropped(4) message message "
           "disconnected(closed) ");
}
