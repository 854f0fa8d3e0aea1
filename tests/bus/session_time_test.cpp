// session and time: keepalive, silence, idle, stall and probes, to the millisecond; and that a
// process that stood still does not take its peer for dead.
#include "postbus/tests/support/session_pair.hpp"

#include <doctest/doctest.h>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t ping_bytes = 16;
constexpr std::uint64_t credit_bytes = 36;

time_point after(duration time) {
  return time_point(1h) + time;
}

} // namespace

TEST_CASE("a side that was quiet for the keepalive time sends one ping, and hears one pong") {
  session_pair::settings how;
  how.keep_idle = true;
  session_pair pair(how);
  REQUIRE(pair.open());
  const auto there = pair.to_listener.bytes_pushed();
  const auto back = pair.to_dialer.bytes_pushed();
  pair.run(15s - 1ms);
  CHECK(pair.to_listener.bytes_pushed() == there);
  CHECK(pair.to_dialer.bytes_pushed() == back);
  pair.run(1ms);
  const auto traffic =
    pair.to_listener.bytes_pushed() - there + pair.to_dialer.bytes_pushed() - back;
  CHECK(traffic >= 2 * ping_bytes); // one asks, or both at once
  CHECK(traffic <= 4 * ping_bytes);
  pair.run(10min);
  CHECK(!pair.dialer.end);
  CHECK(!pair.listener.end);
  CHECK(pair.to_listener.bytes_pushed() - there <= 82 * ping_bytes);
}

TEST_CASE("who keeps sending needs no keepalive; who only receives still gives signs of life") {
  session_pair pair;
  REQUIRE(pair.open());
  for (int second = 0; second < 300; ++second) {
    pair.dialer.send(10);
    pair.run(1s);
  }
  CHECK(!pair.dialer.end);
  CHECK(pair.listener.messages == 300);
  CHECK(pair.dialer.session.account().unconfirmed() <= 16);
}

TEST_CASE("ends with different keepalive times keep each other content") {
  session_pair::settings how;
  how.keep_idle = true;
  how.listener_bounds = limits{};
  how.listener_bounds->keepalive_time = 200ms;
  session_pair pair(how);
  REQUIRE(pair.open());
  pair.run(2min);
  CHECK(!pair.dialer.end);
  CHECK(!pair.listener.end);
}

TEST_CASE("a peer of which nothing comes is lost after three keepalive times, to the millisecond") {
  session_pair::settings how;
  how.way.latency = 20ms;
  how.keep_idle = true;
  session_pair pair(how);
  REQUIRE(pair.open());
  pair.dialer.send(10); // arrives 20 ms from now, is the last that does
  const auto sent_at = pair.now();
  pair.settle();
  pair.cut(fault::silence);
  const auto heard_by_dialer = time_point(1h) + 80ms; // the listener's first credit
  REQUIRE(pair.run_to_end());
  CHECK(pair.listener.end->reason == error{errc::peer_lost, blame::remote, {}});
  CHECK(pair.dialer.end->reason == error{errc::peer_lost, blame::remote, {}});
  CHECK(pair.listener.ended_at == sent_at + 20ms + 45s);
  CHECK(pair.dialer.ended_at == heard_by_dialer + 45s);
  CHECK(pair.dialer.end->account == send_account{1, 0, 0});
}

TEST_CASE("nobody is silent who waits for a decision, however long that takes") {
  for (const auto taken : {290ms, 310ms, 350ms, 410ms, 2900ms}) {
    CAPTURE(taken.count());
    session_pair::settings how;
    how.keep_idle = true;
    how.bounds.keepalive_time = 100ms; // silence is 300 ms
    session_pair pair(how);
    pair.dialer.on_hello = session_end::decision::wait;
    pair.run(taken);
    REQUIRE(pair.dialer.hellos == 1);
    pair.dialer.session.accept(pair.now());
    pair.run(10s);
    CHECK(pair.dialer.opened == 1);
    CHECK(!pair.dialer.end);
    CHECK(!pair.listener.end);
  }
}

TEST_CASE("when one direction is dead, its reader notices and the writer is told") {
  session_pair::settings how;
  how.keep_idle = true;
  session_pair pair(how);
  REQUIRE(pair.open());
  pair.to_listener.fail_at(pair.to_listener.bytes_pushed(), fault::silence, pair.now());
  REQUIRE(pair.run_to_end(45s));
  CHECK(pair.listener.end->reason.code == errc::peer_lost);
  CHECK(pair.dialer.end->reason == error{errc::peer_lost, blame::remote, {}});
  CHECK(pair.dialer.goodbyes.size() == 1);
}

TEST_CASE("both ends become idle, each the idle time after its last message, to the millisecond") {
  session_pair::settings how;
  how.way.latency = 10ms;
  session_pair pair(how);
  REQUIRE(pair.open());
  pair.run(5s - 40ms);
  const auto sent_at = pair.now();
  pair.dialer.send(10);
  pair.run(70s);
  CHECK(pair.dialer.idle == 1);
  CHECK(pair.listener.idle == 1);
  CHECK(pair.dialer.idle_at == sent_at + 60s);
  CHECK(pair.listener.idle_at == sent_at + 10ms + 60s);
}

TEST_CASE("a connection that never carried a message becomes idle, too") {
  session_pair pair;
  REQUIRE(pair.open());
  pair.run(60s - 1ms);
  CHECK(pair.dialer.idle + pair.listener.idle == 0);
  pair.run(1ms);
  CHECK(pair.dialer.idle == 1);
  CHECK(pair.listener.idle == 1);
  pair.run(5min);
  CHECK(pair.dialer.idle == 1); // once per quiet
  pair.dialer.send(1);
  pair.run(5min);
  CHECK(pair.dialer.idle == 2);
  CHECK(pair.listener.idle == 2);
}

TEST_CASE("what waits, or is held, or is not confirmed keeps both ends from being idle") {
  session_pair pair;
  REQUIRE(pair.open());
  pair.listener.holds = true;
  SUBCASE("held by the receiver's program") {
    pair.dialer.send(10);
  }
  SUBCASE("waiting for credit") {
    for (int count = 0; count < 20; ++count)
      pair.dialer.send(6000);
  }
  pair.run(200s);
  CHECK(pair.dialer.idle + pair.listener.idle == 0);
  CHECK(!pair.dialer.end);
  pair.listener.holds = false;
  pair.listener.let_go_all();
  pair.run(60s + 2 * 15s);
  CHECK(pair.dialer.unseen.empty());
  CHECK(pair.dialer.idle == 1);
  CHECK(pair.listener.idle == 1);
}

TEST_CASE("a connection that is kept is never idle") {
  session_pair::settings how;
  how.keep_idle = true;
  session_pair pair(how);
  REQUIRE(pair.open());
  pair.run(1h);
  CHECK(pair.dialer.idle + pair.listener.idle == 0);
  CHECK(!pair.dialer.end);
}

TEST_CASE("a transport that takes nothing for the stall time is too slow, to the millisecond") {
  session_pair pair;
  REQUIRE(pair.open());
  pair.to_listener.how.room_bytes = 100;
  pair.listener.frozen(true);
  pair.run(1s);
  for (int count = 0; count < 100; ++count)
    pair.dialer.send(992);
  pair.run(30s - 1ms);
  CHECK(!pair.dialer.end);
  pair.run(1ms);
  REQUIRE(pair.dialer.end);
  CHECK(pair.dialer.end->reason == error{errc::peer_too_slow, blame::remote, {}});
  CHECK(pair.dialer.end->account == send_account{1, 0, 99}); // one was begun
}

TEST_CASE("a transport that takes a little now and then is not too slow") {
  session_pair::settings how;
  how.keep_idle = true;
  session_pair pair(how);
  REQUIRE(pair.open());
  pair.to_listener.how.room_bytes = 8;
  pair.to_listener.how.latency = 20s;
  pair.dialer.send(100);
  pair.run(20s * 14);
  CHECK(!pair.dialer.end);
  CHECK(pair.listener.messages == 1);
}

TEST_CASE("a probe is answered at once by a living peer, even by one that holds everything") {
  session_pair::settings how;
  how.way.latency = 100ms;
  session_pair pair(how);
  REQUIRE(pair.open());
  pair.listener.holds = true;
  for (int count = 0; count < 2000; ++count)
    pair.dialer.send(100);
  pair.run(1s);
  CHECK(pair.dialer.session.starved());
  pair.dialer.session.probe(pair.now());
  pair.dialer.session.probe(pair.now()); // one at a time
  pair.run(200ms - 1ms);
  CHECK(pair.dialer.probes.empty());
  pair.run(1ms);
  CHECK(pair.dialer.probes == std::vector<bool>{true});
  pair.run(1min);
  CHECK(!pair.dialer.end); // the keepalives are answered as well
  CHECK(pair.dialer.probes.size() == 1);
}

TEST_CASE("a probe that a dead peer does not answer says so after its time, to the millisecond") {
  session_pair pair;
  REQUIRE(pair.open());
  pair.run(1s);
  pair.cut(fault::silence);
  pair.dialer.session.probe(pair.now());
  pair.run(1s - 1ms);
  CHECK(pair.dialer.probes.empty());
  pair.run(1ms);
  CHECK(pair.dialer.probes == std::vector<bool>{false});
  CHECK(!pair.dialer.end);
}

TEST_CASE("a peer that is busy sending is alive although its pong is stuck") {
  session_pair pair;
  REQUIRE(pair.open());
  pair.to_listener.how.room_bytes = 0; // the ping does not leave
  pair.dialer.session.probe(pair.now());
  pair.settle();
  pair.run(500ms);
  pair.listener.send(10);
  pair.run(500ms);
  CHECK(pair.dialer.probes == std::vector<bool>{true});
}

TEST_CASE("a process that stood still for ten seconds loses nothing") {
  session_pair pair;
  REQUIRE(pair.open());
  for (int count = 0; count < 500; ++count)
    pair.dialer.send(1000);
  pair.listener.frozen(true);
  pair.run(10s);
  pair.listener.frozen(false);
  for (int count = 0; count < 500; ++count)
    pair.listener.send(10);
  pair.settle();
  CHECK(pair.listener.messages == 500);
  CHECK(pair.dialer.messages == 500);
}

TEST_CASE(
  "after two minutes of standing still both ends say what happened, and what is confirmed") {
  session_pair pair;
  REQUIRE(pair.open());
  pair.to_listener.how.room_bytes = 20000;
  pair.dialer.send(100);
  pair.run(20s);
  CHECK(pair.dialer.session.account() == send_account{1, 1, 0});
  for (int count = 0; count < 500; ++count)
    pair.dialer.send(992);
  pair.listener.frozen(true);
  pair.run(2min);
  REQUIRE(pair.dialer.end);
  CHECK(pair.dialer.end->reason.code == errc::peer_too_slow);
  CHECK(pair.dialer.ended_at == after(50s));
  pair.listener.frozen(false);
  REQUIRE(pair.run_to_end(1s));
  // What lay in the socket was delivered, before the end that lay behind it.
  CHECK(pair.listener.messages == 1 + 20);
  CHECK(pair.listener.end->reason.code == errc::connection_reset);
  CHECK(pair.dialer.end->account.confirmed == 1);
  CHECK(pair.dialer.end->account.sent + pair.dialer.end->account.unsent == 501);
}

// [forgive]
TEST_CASE("who stood still and finds nothing waiting gives the peer one more keepalive time") {
  session_pair::settings how;
  how.keep_idle = true;
  session_pair pair(how);
  REQUIRE(pair.open());
  pair.cut(fault::silence);
  pair.listener.frozen(true);
  pair.run(10min);
  pair.listener.frozen(false);
  pair.run(15s - 1ms);
  CHECK(!pair.listener.end);
  pair.run(1ms);
  REQUIRE(pair.listener.end);
  CHECK(pair.listener.end->reason.code == errc::peer_lost);
}
// [forgive]

TEST_CASE("an open connection that carries nothing has the wire of its keepalives only") {
  session_pair::settings how;
  how.keep_idle = true;
  session_pair pair(how);
  REQUIRE(pair.open());
  pair.dialer.send(10);
  pair.settle();
  const auto before = pair.to_dialer.bytes_pushed();
  pair.run(1h);
  CHECK(pair.to_dialer.bytes_pushed() - before <= 241 * 2 * ping_bytes + credit_bytes);
}
