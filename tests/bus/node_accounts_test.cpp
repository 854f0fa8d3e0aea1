// What a node counts as dropped: messages that are held for a peer only once they are given up, its own
// that nobody takes, and those that policies drop; and that its rates are those of its connections.
#include "postbus/tests/support/node_world.hpp"

#include <doctest/doctest.h>

#include <algorithm>

using namespace postbus;
using namespace postbus::bus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

std::uint64_t dropped(const node_statistics& of, drop what) {
  std::uint64_t sum = 0;
  for (const auto& each : of.drops)
    sum += each.what == what ? each.messages : 0;
  return sum;
}

/// One end of a connection that is to be dialed for a kept peer; the orders that come of it.
struct kept_end {
  explicit kept_end(std::size_t hold_bytes_max)
    : core({.id = id_of(1), .incarnation = 1, .init = {}}, now) {
    REQUIRE(
      core.keep_connected({.endpoint = "tcp://127.0.0.1:4000", .hold_bytes_max = hold_bytes_max})
        .has_value());
  }

  /// Opens the kept connection to peer 2, and has it end with so many messages unsent.
  fifo<outgoing> lose(std::uint64_t messages) {
    fifo<outgoing> unsent;
    core.tick(core.deadline() == never ? now : now = std::max(now, core.deadline()));
    keeper::keep_id keep = 0;
    drain([&](node::output& what) {
      if (auto* dial = std::get_if<node::dial_kept>(&what))
        keep = dial->keep;
    });
    auto started = core.start({session::role::dialer, "127.0.0.1:4000", {}, false, keep});
    REQUIRE(started.has_value());
    hello_seen seen;
    seen.peer.id = id_of(2);
    core.on(started->connection, std::move(seen));
    core.on(started->connection, opened{});
    ended end;
    end.reason = {errc::connection_reset, blame::remote, {}};
    end.peer = id_of(2);
    end.was_open = true;
    end.account.unsent = messages;
    outbox box(1 << 20, 1 << 20);
    const std::byte body{};
    for (std::uint64_t count = 0; count < messages; ++count)
      REQUIRE(box.push(outbox::lane::data, {}, std::span(&body, 1)) == send_outcome::accepted);
    box.take_data(end.unsent);
    core.on(started->connection, std::move(end));
    drain([&](node::output& what) {
      if (auto* down = std::get_if<node::link_down>(&what)) {
        CHECK(down->told.account.unsent == (down->held ? 0 : messages));
        unsent = std::move(down->first);
      }
    });
    return unsent;
  }

  template <class See>
  void drain(See see) {
    while (auto what = core.next()) {
      see(*what);
      if (auto* ready = std::get_if<node::statistics_ready>(&*what))
        told = ready->what;
    }
  }

  const node_statistics& statistics() {
    REQUIRE(core.collect(now).has_value());
    drain([](auto&) {});
    REQUIRE(told);
    return *told;
  }

  time_point now{1000s};
  node core;
  std::shared_ptr<const node_statistics> told;
};

} // namespace

TEST_CASE("messages that are held for a peer are not counted as unsent, however often it goes") {
  kept_end at(1 << 20);
  for (int flap = 0; flap < 3; ++flap) {
    CHECK(at.lose(10).size() > 0);
    CHECK(dropped(at.statistics(), drop::unsent) == 0);
    CHECK(at.statistics().closed.back().account.unsent == 0);
  }
}

TEST_CASE("held messages that are given up are counted, with the reason") {
  kept_end at(1 << 20);
  const auto held = at.lose(10);
  at.core.give_back(id_of(2), held, {errc::node_closed, blame::local, {}});
  CHECK(at.statistics().drops
        == std::vector<drop_count>{{drop::unsent, errc::node_closed, blame::local, 10}});
}

TEST_CASE("what is not held is counted when its connection ends, and once") {
  kept_end at(0);
  CHECK(at.lose(10).empty());
  CHECK(at.statistics().drops
        == std::vector<drop_count>{{drop::unsent, errc::connection_reset, blame::remote, 10}});
}

TEST_CASE("messages to itself that no filter takes are counted as unclaimed") {
  node_world world;
  auto& a = world.add(1);
  world.subscribe(a, {.filter = {.tags = {tag_range(9)}}});
  outbox own(1 << 20, 1 << 20);
  const std::byte body{};
  for (std::uint16_t tag = 1; tag <= 9; ++tag)
    REQUIRE(own.push(outbox::lane::data, {.tag = tag}, std::span(&body, 1))
            == send_outcome::accepted);
  CHECK_FALSE(a.core.deliver_own(own));
  world.run(0s);
  CHECK(a.core.own().unclaimed == 8);
  CHECK(world.statistics_of(a).drops
        == std::vector<drop_count>{{drop::unclaimed, errc::none, blame::local, 8}});
}

TEST_CASE("what the policies of slow subscriptions drop is counted by the node, for each of them") {
  for (const auto policy : {slow_policy::block, slow_policy::drop_oldest, slow_policy::drop_newest,
                            slow_policy::disconnect}) {
    CAPTURE(static_cast<int>(policy));
    limits bounds;
    bounds.batches_in_flight_max = 1;
    node_world world;
    auto& a = world.add(1);
    auto& b = world.add(2, bounds);
    for (int count = 0; count < 2; ++count)
      world.subscribe(b, {.policy = policy, .queue_messages_max = 3}, true);
    world.dial(a, b);
    world.run(1s);
    for (int number = 0; number < 20; ++number) {
      CHECK(world.send(a, b, number) == send_outcome::accepted);
      world.run(10ms);
    }
    // One is in hand and three wait; who is cut off loses these, and the one that was too much.
    const std::uint64_t each = policy == slow_policy::block        ? 0
                               : policy == slow_policy::disconnect ? 4
                                                                   : 16;
    const auto what = world.statistics_of(b);
    CHECK(dropped(what, drop::too_slow) == 2 * each);
    for (const auto& drop : what.drops)
      if (drop.what == drop::too_slow)
        CHECK((drop.reason == errc::subscriber_too_slow && drop.by == blame::local));
  }
}

TEST_CASE("a node's rates are the sum of its open connections'") {
  node_world world;
  auto& a = world.add(1);
  for (unsigned number = 2; number <= 3; ++number) {
    auto& b = world.add(number);
    world.subscribe(b);
    world.dial(a, b);
    world.run(1s);
    for (int count = 0; count < 10; ++count)
      CHECK(world.send(a, b, count) == send_outcome::accepted);
  }
  world.run(1s);
  const auto what = world.statistics_of(a);
  REQUIRE(what.connections.size() == 2);
  const auto& [first, second] = std::pair{what.connections[0], what.connections[1]};
  CHECK(what.per_second.messages_sent > 0);
  CHECK(what.per_second.messages_sent
        == first.per_second.messages_sent + second.per_second.messages_sent);
  CHECK(what.per_second.bytes_sent == first.per_second.bytes_sent + second.per_second.bytes_sent);
  CHECK(what.per_second.bytes_received
        == first.per_second.bytes_received + second.per_second.bytes_received);
}

TEST_CASE("changed bounds hold at once for what the node counts, later for what begins later") {
  node_world world;
  auto& a = world.add(1);
  const auto early = world.subscribe(a, {.messages = false}, true);
  for (unsigned number = 2; number <= 5; ++number) {
    auto& b = world.add(number);
    world.dial(b, a);
    world.run(1s);
    b.core.close({errc::closed, blame::local, {}}, 1s, world.now);
    world.run(10s);
  }
  CHECK(world.statistics_of(a).closed.size() == 4);
  auto changed = a.core.bounds();
  changed.closed_connections_max = 1;
  REQUIRE(a.core.bounds(changed).has_value());
  CHECK(world.statistics_of(a).closed.size() == 1);
  CHECK(world.statistics_of(a).closed[0].peer == id_of(5));
  changed.batches_in_flight_max = 1;
  CHECK(a.core.bounds(changed).error().code == errc::bad_option);
  CHECK(a.stories.at(early).find("subscription_ended") == std::string::npos);
}
