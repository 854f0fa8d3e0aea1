// What the statistics of a node say of messages that are held for a peer that stays, and of those that it
// sends to itself: each that came to nothing is counted once, and none that is sent yet.
#include "postbus/bus/node.hpp"
#include "postbus/tests/support/session_end.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace postbus;
using namespace postbus::bus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

/// A core whose connections are made up: their sessions say what a test wants them to say.
struct core_alone {
  core_alone() : core(named(), now) {
    (void)core.subscribe({.messages = false}, shared<receipt>::adopt(new receipt));
  }

  static bus::node::options named() {
    bus::node::options how;
    how.id = id_of(1);
    how.incarnation = 1;
    return how;
  }
  /// Everything that the core wants; remembers what matters here.
  void drain() {
    while (auto what = core.next()) {
      if (auto* dial = std::get_if<node::dial_kept>(&*what))
        keep = dial->keep;
      if (auto* over = std::get_if<node::link_down>(&*what))
        down = std::move(*over);
      if (auto* ready = std::get_if<node::statistics_ready>(&*what))
        statistics = *ready->what;
      if (auto* told = std::get_if<node::tell_subscriber>(&*what)) {
        if (auto* some = std::get_if<batch>(&told->what.what))
          held.push_back(std::move(*some));
        if (auto* event = std::get_if<node_event>(&told->what.what))
          if (auto* back = std::get_if<unsent>(event))
            given_back += back->messages.size();
      }
    }
  }
  /// The kept peer is dialed, and is there.
  connection_id connect(unsigned peer) {
    core.tick(now);
    drain();
    const auto started = core.start(
      {.role = session::role::dialer, .address = "there:1", .expected = {}, .keep = keep});
    REQUIRE(started.has_value());
    hello said;
    said.id = id_of(peer);
    core.on(started->connection, hello_seen{said});
    core.on(started->connection, opened{});
    drain();
    return started->connection;
  }
  /// The connection breaks with so many messages unsent.
  void lose(connection_id which, unsigned peer, int messages) {
    outbox box(limits{});
    for (int number = 0; number < messages; ++number)
      REQUIRE(box.push(outbox::lane::data, {}, payload::copy_of("words"))
              == send_outcome::accepted);
    ended end;
    end.reason = {errc::connection_cut, blame::remote, {}};
    end.peer = id_of(peer);
    end.was_open = true;
    end.account = {10, 9, static_cast<std::uint64_t>(messages)};
    box.take_data(end.unsent);
    core.on(which, std::move(end));
    drain();
  }
  node_statistics ask() {
    REQUIRE(core.collect(now).has_value());
    drain();
    return statistics;
  }

  time_point now{1000s};
  bus::node core;
  keeper::keep_id keep = 0;
  node::link_down down;
  node_statistics statistics;
  std::uint64_t given_back = 0;
  std::vector<batch> held;
};

drop_count unsent_because(errc reason, blame by, std::uint64_t messages) {
  return {drop::unsent, reason, by, messages};
}

const drop_count one_unconfirmed{drop::unconfirmed, errc::connection_cut, blame::remote, 1};

} // namespace

TEST_CASE("messages that are held for a kept peer count as dropped only when they are given back") {
  core_alone world;
  REQUIRE(world.core.keep_connected({.endpoint = "there:1", .hold_bytes_max = 1000}).has_value());
  world.lose(world.connect(2), 2, 3);
  REQUIRE(world.down.held);
  CHECK(world.down.told.account == send_account{10, 9, 0});
  CHECK(world.given_back == 0);
  const auto away = world.ask();
  CHECK(away.drops == std::vector{one_unconfirmed});
  REQUIRE(away.closed.size() == 1);
  CHECK(away.closed[0].account == world.down.told.account);

  world.core.give_back(id_of(2), world.down.first);
  world.drain();
  CHECK(world.given_back == 3);
  CHECK(world.ask().drops
        == std::vector{unsent_because(errc::not_connected, blame::local, 3), one_unconfirmed});
}

TEST_CASE("without a hold what a kept peer's connection left unsent counts with its reason") {
  core_alone world;
  REQUIRE(world.core.keep_connected({.endpoint = "there:1"}).has_value());
  world.lose(world.connect(2), 2, 3);
  REQUIRE_FALSE(world.down.held);
  CHECK(world.down.told.account == send_account{10, 9, 3});
  CHECK(world.ask().drops
        == std::vector{unsent_because(errc::connection_cut, blame::remote, 3), one_unconfirmed});
}

TEST_CASE("a message to itself that nobody takes is counted, however that comes") {
  core_alone world;
  outbox own(limits{});
  const auto put = [&](std::uint16_t tag) {
    REQUIRE(own.push(outbox::lane::data, {.tag = tag}, payload::copy_of("words"))
            == send_outcome::accepted);
    (void)world.core.deliver_own(own);
    world.drain();
  };
  const auto unclaimed = [&] {
    const auto drops = world.ask().drops;
    return drops.empty() ? 0 : drops.at(0).messages;
  };
  const auto who = world.core.subscribe({.events = false, .filter = {.tags = {7}}},
                                        shared<receipt>::adopt(new receipt));
  put(8); // nobody's filter takes it
  CHECK(unclaimed() == 1);
  for (std::uint32_t batches = 0; batches < limits{}.batches_in_flight_max; ++batches)
    put(7);
  CHECK(world.held.size() == limits{}.batches_in_flight_max);
  put(7); // waits behind those
  CHECK(unclaimed() == 1);
  CHECK(world.core.unsubscribe(who));
  CHECK(unclaimed() == 2);
  CHECK(world.core.own().unclaimed == 2);
}
