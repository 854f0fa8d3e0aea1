// Back-pressure on a virtual clock: a program that takes nothing for 90 seconds stops the messages to
// itself and nothing else. The connection lives, pings and goodbyes pass, and others notice nothing.
#include "postbus/codecs/chunk_pool.hpp"
#include "postbus/tests/support/node_world.hpp"
#include "postbus/tests/support/session_pair.hpp"

#include <doctest/doctest.h>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

constexpr auto stuck_time = 90s;

/// A link as there are many: some milliseconds long, with room for a few writes.
pipe::settings ordinary_way() {
  pipe::settings way;
  way.latency = 5ms;
  way.room_bytes = 256 << 10;
  return way;
}

/// The dialer has sent all that it may to a listener whose program holds everything it gets.
struct stuck_pair : session_pair {
  stuck_pair() : session_pair(how()) {
    listener.holds = true;
    REQUIRE(open());
    fill();
    run(1s);
    fill();
  }

  static settings how() {
    settings all;
    all.way = ordinary_way();
    return all;
  }
  void fill() {
    while (dialer.send(1000) == send_outcome::accepted) {
    }
  }
  void nobody_has_ended() const {
    CHECK(!dialer.end);
    CHECK(!listener.end);
    CHECK(dialer.session.at() == bus::phase::open);
    CHECK(listener.session.at() == bus::phase::open);
  }
};

constexpr std::uint64_t ping_bytes = 16;

} // namespace

TEST_CASE("a program that takes nothing for 90 seconds is held to its window and stays connected") {
  stuck_pair pair;
  const auto accepted = pair.dialer.accepted;
  const auto arrived = pair.listener.messages;
  CHECK(accepted * 1008 > limits{}.outbox_bytes_max);
  // The window was never used up in time, so it has not grown.
  CHECK(arrived * 1008 >= limits{}.window_bytes_min);
  CHECK(arrived * 1008 < limits{}.window_bytes_min + 1008);

  const auto to_listener = pair.to_listener.bytes_pushed();
  const auto to_dialer = pair.to_dialer.bytes_pushed();
  for (auto passed = 0s; passed < stuck_time; passed += 10s) {
    pair.run(10s);
    pair.nobody_has_ended();
    CHECK(pair.dialer.send(1000) == send_outcome::congested);
  }
  CHECK(pair.listener.messages == arrived);
  CHECK(pair.dialer.idle + pair.listener.idle == 0);
  // What passed is one ping in a keepalive time from whoever was quiet, and its pong.
  const auto pings = std::uint64_t(stuck_time / limits{}.keepalive_time);
  const auto there = pair.to_listener.bytes_pushed() - to_listener;
  const auto back = pair.to_dialer.bytes_pushed() - to_dialer;
  CHECK(there >= (pings - 1) * ping_bytes);
  CHECK(back >= (pings - 1) * ping_bytes);
  CHECK(there <= 2 * (pings + 1) * ping_bytes);
  CHECK(back <= 2 * (pings + 1) * ping_bytes);
}

TEST_CASE("either side of a connection whose program is stuck answers a probe at once") {
  stuck_pair pair;
  pair.run(stuck_time);
  pair.dialer.session.probe(pair.now());
  pair.listener.session.probe(pair.now());
  pair.run(2 * ordinary_way().latency);
  CHECK(pair.dialer.probes == std::vector<bool>{true});
  CHECK(pair.listener.probes == std::vector<bool>{true});
  pair.nobody_has_ended();
}

TEST_CASE("a goodbye waits behind the data of a stuck program, and arrives when that goes on") {
  stuck_pair pair;
  pair.run(stuck_time);
  const auto accepted = pair.dialer.accepted;
  pair.dialer.session.close({errc::closed, blame::local, {}}, 5s, pair.now());
  pair.run(4s);
  CHECK(pair.listener.goodbyes.empty());
  CHECK(!pair.listener.end);
  pair.listener.holds = false;
  pair.listener.let_go_all();
  REQUIRE(pair.run_to_end());
  CHECK(pair.listener.messages == accepted);
  REQUIRE(pair.listener.goodbyes.size() == 1);
  CHECK(pair.listener.goodbyes[0].code == errc::closed);
  CHECK(pair.dialer.end->reason.code == errc::closed);
  CHECK(pair.listener.end->reason.code == errc::closed);
  CHECK(pair.dialer.end->account == send_account{accepted, accepted, 0});
}

TEST_CASE("a goodbye passes a program that stays stuck when the drain is over, with its counts") {
  stuck_pair pair;
  pair.run(stuck_time);
  const auto accepted = pair.dialer.accepted;
  const auto arrived = pair.listener.messages;
  const auto begin = pair.now();
  pair.dialer.session.close({errc::closed, blame::local, {}}, 5s, begin);
  pair.run(5s + 2 * ordinary_way().latency);
  REQUIRE(pair.listener.goodbyes.size() == 1);
  CHECK(pair.listener.goodbyes[0].code == errc::closed);
  REQUIRE(pair.run_to_end());
  CHECK(pair.dialer.ended_at - begin <= 5s + limits{}.linger_time_max + 1s);
  CHECK(pair.dialer.end->reason.code == errc::closed);
  CHECK(pair.dialer.end->account == send_account{arrived, 0, accepted - arrived});
  // The other waits as long for its program as it would for anything else.
  CHECK(pair.listener.ended_at - begin
        <= 5s + limits{}.drain_time_max + limits{}.linger_time_max + 1s);
}

TEST_CASE("who has said goodbye and ended its stream is not lost for being silent") {
  session_pair::settings how;
  how.way = ordinary_way();
  how.bounds.keepalive_time = 1s; // three of them are less than the drain
  session_pair pair(how);
  REQUIRE(pair.open());
  pair.listener.holds = true;
  REQUIRE(pair.dialer.send(1000) == send_outcome::accepted);
  pair.run(1s);
  const auto begin = pair.now();
  pair.dialer.session.close({errc::closed, blame::local, {}}, 0s, begin);
  REQUIRE(pair.run_to_end());
  CHECK(pair.listener.end->reason == error{errc::closed, blame::remote, {}});
  CHECK(pair.listener.ended_at - begin >= how.bounds.drain_time_max);
}

TEST_CASE("the goodbye of the side whose program is stuck leaves at once") {
  stuck_pair pair;
  pair.run(stuck_time);
  pair.listener.session.close({errc::shutting_down, blame::local, {}}, 5s, pair.now());
  pair.run(2 * ordinary_way().latency);
  REQUIRE(pair.dialer.goodbyes.size() == 1);
  CHECK(pair.dialer.goodbyes[0].code == errc::shutting_down);
  pair.listener.let_go_all();
  pair.listener.holds = false;
  const auto accepted = pair.dialer.accepted;
  REQUIRE(pair.run_to_end());
  CHECK(pair.dialer.end->account == send_account{accepted, accepted, 0});
}

TEST_CASE("a stuck subscriber holds up neither its node's events nor the peers' other peers") {
  node_world world;
  world.wires = ordinary_way();
  auto& sender = world.add(1);
  auto& stuck = world.add(2);
  auto& third = world.add(3);
  const auto at_sender = world.subscribe(sender);
  const auto holder = world.subscribe(stuck, {}, true);
  const auto watcher = world.subscribe(stuck, {.messages = false, .events = true});
  const auto at_third = world.subscribe(third);
  world.dial(sender, stuck);
  world.dial(sender, third);
  world.dial(third, stuck);
  world.run(1s);
  REQUIRE(sender.links.size() == 2);
  REQUIRE(stuck.links.size() == 2);

  std::vector<std::byte> body(1000, std::byte{1});
  const auto fill = [&] {
    std::uint64_t count = 0;
    while (world.link(sender, stuck)
             ->box.push(bus::outbox::lane::data, {.flags = codecs::frame_flag::opaque}, body)
           == send_outcome::accepted)
      ++count;
    return count;
  };
  auto accepted = fill();
  world.run(1s);
  accepted += fill();
  const auto reached = stuck.numbers[sender.core.id()].size();
  CHECK(reached <= limits{}.batches_in_flight_max * limits{}.window_bytes_min / 1008 + 1);

  // What waits for the stuck program keeps this one from being idle, too.
  CHECK(world.send(third, stuck, 1) == send_outcome::accepted);
  int number = 0;
  for (auto passed = 0s; passed < stuck_time; passed += 1s) {
    CHECK(world.send(sender, third, number) == send_outcome::accepted);
    CHECK(world.send(third, sender, number) == send_outcome::accepted);
    world.run(1s);
    number = (number + 1) % 100;
    // The third node is told everything at once, by whomever.
    REQUIRE(third.numbers[sender.core.id()].size() == sender.numbers[third.core.id()].size());
    REQUIRE(third.numbers[sender.core.id()].back() == (number + 99) % 100);
  }
  CHECK(third.numbers[sender.core.id()].size() == 90);
  CHECK(stuck.numbers[sender.core.id()].size() == reached);
  for (const auto* story : {&sender.stories[at_sender], &stuck.stories[holder],
                            &stuck.stories[watcher], &third.stories[at_third]})
    CHECK(story->find("disconnected") == std::string::npos);

  // The third node leaves: a watcher of events hears it, though the other is still stuck, as soon as
  // that had its time for taking the last message.
  third.core.close({errc::closed, blame::local, {}}, 1s, world.now);
  world.run(limits{}.drain_time_max + limits{}.linger_time_max + 1s);
  CHECK(third.finished);
  CHECK(stuck.stories[watcher].ends_with("disconnected(closed) "));
  CHECK(stuck.core.open_count() == 1);
  CHECK(sender.core.open_count() == 1);

  // And then the stuck one goes on, and gets it all.
  world.run(1s);
  stuck.keeps[holder] = false;
  world.let_go(stuck, holder);
  world.run(10s);
  CHECK(stuck.numbers[sender.core.id()].size() == accepted);
  CHECK(stuck.numbers[third.core.id()].size() == 1);
}

TEST_CASE("a program that keeps one payload of 64 bytes of every batch keeps receiving") {
  session_pair pair;
  REQUIRE(pair.open());
  pair.listener.holds = true;
  const auto held_before = codecs::chunk_pool::held_bytes();
  constexpr std::uint64_t batches = 20'000;
  std::vector<payload> kept;
  for (std::uint64_t count = 0; count < batches; ++count) {
    for (int each = 0; each < 3; ++each)
      REQUIRE(pair.dialer.send(64) == send_outcome::accepted);
    pair.settle();
    for (const auto& frames : pair.listener.held) {
      const auto& first = frames->runs().front();
      kept.emplace_back(first.owner, first.begin + codecs::frame_header_bytes, 64);
    }
    pair.listener.let_go_all();
  }
  pair.run(limits{}.keepalive_time);
  CHECK(kept.size() >= batches / 2);
  CHECK(pair.listener.messages == 3 * batches);
  CHECK(pair.dialer.session.account().confirmed == 3 * batches);
  // Each chunk is kept once, and is nearly full of what was read.
  CHECK(codecs::chunk_pool::held_bytes() - held_before
        <= 3 * batches * 72 * 5 / 4 + 2 * codecs::read_scratch::chunk_bytes_default);
  std::uint64_t number = 0;
  for (const auto& each : kept) {
    REQUIRE(each.bytes()[0] == content(number, 0));
    REQUIRE(each.bytes()[63] == content(number, 63));
    number += 3 * batches / kept.size();
  }
}
