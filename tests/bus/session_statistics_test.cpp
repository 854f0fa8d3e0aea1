// What a session says of itself: bytes as they are on the wire, messages, rates, idle times of each way and
// the time of a round trip, on a virtual clock.
#include "postbus/tests/support/session_pair.hpp"

#include <doctest/doctest.h>

using namespace postbus;
using namespace postbus::bus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

session_pair::settings with_latency(duration latency) {
  session_pair::settings how;
  how.way.latency = latency;
  how.keep_idle = true;
  return how;
}

/// What went over the wire until now, as the pipes saw it.
std::array<std::uint64_t, 2> pushed(const session_pair& pair) {
  return {pair.to_listener.bytes_pushed(), pair.to_dialer.bytes_pushed()};
}

} // namespace

TEST_CASE("bytes and messages are counted both ways since it is open, the handshake is not") {
  session_pair pair(with_latency(10ms));
  REQUIRE(pair.open());
  pair.run(1s);
  // The first credit is all that both said since.
  const auto credit_bytes = encode(credit{}).size();
  auto dialer = pair.dialer.session.statistics(pair.now());
  auto listener = pair.listener.session.statistics(pair.now());
  CHECK(dialer.total == traffic{credit_bytes, credit_bytes, 0, 0});
  CHECK(listener.total == dialer.total);

  const auto before = pushed(pair);
  for (int number = 0; number < 20; ++number)
    pair.dialer.send(100);
  for (int number = 0; number < 7; ++number)
    pair.listener.send(5000);
  pair.run(1s);
  const auto after = pushed(pair);
  dialer = pair.dialer.session.statistics(pair.now());
  listener = pair.listener.session.statistics(pair.now());
  CHECK(dialer.total.messages_sent == 20);
  CHECK(dialer.total.messages_received == 7);
  CHECK(dialer.total.bytes_sent == after[0] - before[0] + credit_bytes);
  CHECK(dialer.total.bytes_received == after[1] - before[1] + credit_bytes);
  CHECK(listener.total.messages_sent == 7);
  CHECK(listener.total.messages_received == 20);
  CHECK(listener.total.bytes_sent == dialer.total.bytes_received);
  CHECK(listener.total.bytes_received == dialer.total.bytes_sent);
  CHECK(dialer.peer == id_of(0x15));
  CHECK(dialer.dialed);
  CHECK_FALSE(listener.dialed);
}

TEST_CASE("before it is open there is nothing to say, and the end says what was") {
  session_pair pair(with_latency(10ms));
  CHECK(pair.dialer.session.statistics(pair.now()).total == traffic{});
  CHECK(pair.dialer.session.statistics(pair.now()).open_time == 0s);
  REQUIRE(pair.open());
  const auto opened = pair.now() - pair.dialer.session.statistics(pair.now()).open_time;
  pair.dialer.send(100);
  pair.run(10s);
  pair.dialer.session.close({errc::closed, blame::local, {}}, 5s, pair.now());
  REQUIRE(pair.run_to_end());
  const auto& end = *pair.dialer.end;
  CHECK(end.total == pair.dialer.session.statistics(pair.now()).total);
  CHECK(end.total.bytes_sent == pair.listener.end->total.bytes_received);
  CHECK(end.total.messages_sent == 1);
  CHECK(end.at == pair.dialer.ended_at);
  CHECK(end.open_time == end.at - opened);

  session_pair refused(with_latency(10ms));
  refused.listener.on_hello = session_end::decision::refuse;
  REQUIRE(refused.run_to_end());
  CHECK(refused.dialer.end->total == traffic{});
  CHECK(refused.listener.end->total == traffic{});
  CHECK(refused.listener.end->open_time == 0s);
}

TEST_CASE("the rates of a steady stream are true at both ends") {
  auto how = with_latency(10ms);
  how.bounds.statistics_half_life = 10s;
  session_pair pair(how);
  REQUIRE(pair.open());
  const auto before = pushed(pair);
  for (int tenth = 0; tenth < 1000; ++tenth) {
    for (int number = 0; number < 5; ++number)
      pair.dialer.send(1000);
    pair.run(100ms);
  }
  const auto after = pushed(pair);
  const auto bytes = static_cast<double>(after[0] - before[0]) / 100;
  const auto dialer = pair.dialer.session.statistics(pair.now());
  const auto listener = pair.listener.session.statistics(pair.now());
  CHECK(dialer.per_second.messages_sent == doctest::Approx(50).epsilon(0.01));
  CHECK(dialer.per_second.bytes_sent == doctest::Approx(bytes).epsilon(0.01));
  CHECK(dialer.per_second.messages_received == 0);
  CHECK(listener.per_second.messages_received == doctest::Approx(50).epsilon(0.01));
  CHECK(listener.per_second.bytes_received == doctest::Approx(bytes).epsilon(0.01));
  // Quiet for a half-life, but for a keepalive or two.
  pair.run(10s);
  CHECK(pair.dialer.session.statistics(pair.now()).per_second.messages_sent
        == doctest::Approx(25).epsilon(0.01));
}

TEST_CASE("idle times of each way count from the last message, keepalives count for nothing") {
  session_pair pair(with_latency(10ms));
  REQUIRE(pair.open());
  const auto opened = pair.now() - pair.dialer.session.statistics(pair.now()).open_time;
  pair.run(100s);
  auto dialer = pair.dialer.session.statistics(pair.now());
  CHECK(dialer.sent_idle_time == pair.now() - opened);
  CHECK(dialer.received_idle_time == pair.now() - opened);
  pair.dialer.send(1);
  pair.run(40s);
  dialer = pair.dialer.session.statistics(pair.now());
  const auto listener = pair.listener.session.statistics(pair.now());
  CHECK(dialer.sent_idle_time == 40s);
  CHECK(dialer.received_idle_time == pair.now() - opened);
  CHECK(listener.received_idle_time == 40s - 10ms);
  CHECK(listener.sent_idle_time == listener.open_time);
}

TEST_CASE("the handshake measures a round trip, and pings measure it again") {
  for (const auto latency : {0ms, 5ms, 70ms}) {
    CAPTURE(latency.count());
    session_pair pair(with_latency(latency));
    REQUIRE(pair.open());
    CHECK(pair.dialer.session.statistics(pair.now()).round_trip_time == 2 * latency);
    CHECK(pair.listener.session.statistics(pair.now()).round_trip_time == 2 * latency);
    // The way becomes longer; both ping when they have been quiet.
    pair.to_dialer.how.latency += 30ms;
    pair.run(1min);
    CHECK(pair.dialer.session.statistics(pair.now()).round_trip_time == 2 * latency + 30ms);
    CHECK(pair.listener.session.statistics(pair.now()).round_trip_time == 2 * latency + 30ms);
    // And so does a probe.
    pair.to_dialer.how.latency += 100ms;
    pair.listener.session.probe(pair.now());
    pair.settle();
    pair.run(1s);
    CHECK(pair.listener.probes == std::vector<bool>{true});
    CHECK(pair.listener.session.statistics(pair.now()).round_trip_time == 2 * latency + 130ms);
  }
}

TEST_CASE("what is confirmed is known from the peer's credit") {
  session_pair pair(with_latency(1ms));
  REQUIRE(pair.open());
  pair.listener.holds = true;
  pair.dialer.send(10);
  pair.run(1min);
  CHECK(pair.dialer.session.statistics(pair.now()).messages_confirmed == 0);
  pair.listener.let_go_all();
  pair.run(1min);
  CHECK(pair.dialer.session.statistics(pair.now()).messages_confirmed == 1);
}

TEST_CASE("open requests are counted at both ends, and are no idleness") {
  session_pair pair(with_latency(1ms));
  REQUIRE(pair.open());
  pair.run(40s);
  bus::request question;
  question.id = 1;
  pair.dialer.session.ask(question, pair.now());
  pair.settle();
  pair.run(10s);
  for (const auto* at : {&pair.dialer, &pair.listener}) {
    const auto told = at->session.statistics(pair.now());
    CHECK(told.requests_open == 1);
    CHECK(told.total.messages_sent + told.total.messages_received == 0);
  }
  CHECK(pair.dialer.session.statistics(pair.now()).sent_idle_time == 10s);
  CHECK(pair.dialer.session.statistics(pair.now()).received_idle_time >= 50s);
  CHECK(pair.listener.session.statistics(pair.now()).received_idle_time == 10s - 1ms);
  pair.listener.session.answer(1, bus::response{}, pair.now());
  pair.settle();
  pair.run(10s);
  for (const auto* at : {&pair.dialer, &pair.listener}) {
    CHECK(at->session.statistics(pair.now()).requests_open == 0);
    CHECK(at->session.statistics(pair.now()).sent_idle_time <= 20s);
    CHECK(at->session.statistics(pair.now()).received_idle_time <= 20s);
  }
}
