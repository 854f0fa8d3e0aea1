// requests: two sessions that ask each other, on a virtual clock: bounds, times, answers of every size,
// programs that take no messages, and closes in the middle.
#include "postbus/bus/request_frames.hpp"
#include "postbus/tests/support/session_pair.hpp"

#include <doctest/doctest.h>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

constexpr duration for_ever = duration::max();

bus::request question(bus::correlation_id id, std::size_t bytes, time_point deadline = never) {
  return {id, payload::copy_of(std::string(bytes, 'q')), 7, true, deadline};
}

bus::response answer(std::size_t bytes) {
  return {payload::copy_of(std::string(bytes, 'a')), 9, true};
}

const bus::response& good(const bus::answered& what) {
  REQUIRE(std::holds_alternative<bus::response>(what.what));
  return std::get<bus::response>(what.what);
}

errc reason(const bus::answered& what) {
  REQUIRE(std::holds_alternative<bus::failure>(what.what));
  return std::get<bus::failure>(what.what).reason;
}

error closed_here() {
  return {errc::closed, blame::local, {}};
}

/// A pair that is open; the dialer asks, the listener answers.
struct asking : session_pair {
  asking() : asking(settings{}) {}
  explicit asking(const settings& how) : session_pair(how) { REQUIRE(open()); }

  void ask(bus::correlation_id id, std::size_t bytes = 10, duration within = for_ever) {
    dialer.session.ask(question(id, bytes, within == for_ever ? never : later(now(), within)),
                       now());
    settle();
  }
  void respond(bus::correlation_id id, const bus::request_answer& what) {
    listener.session.answer(id, what, now());
    settle();
  }
};

} // namespace

TEST_CASE("a request arrives with its tag, its bytes and its time, and its answer comes back") {
  for (const std::size_t bytes : {0u, 1u, 100u, 8191u, 8192u, 100'000u, 3'000'000u}) {
    CAPTURE(bytes);
    asking pair;
    pair.ask(42, bytes, 3s);
    REQUIRE(pair.listener.asked.size() == 1);
    const auto& asked = pair.listener.asked.front();
    CHECK(asked.id == 42);
    CHECK(asked.tag == 7);
    CHECK(asked.opaque);
    CHECK(asked.body.text() == std::string(bytes, 'q'));
    CHECK(asked.deadline == pair.now() + 3s);
    CHECK(pair.dialer.session.open_requests() == 1);
    CHECK(pair.listener.session.open_requests() == 1);
    pair.respond(42, answer(bytes));
    REQUIRE(pair.dialer.answers.size() == 1);
    CHECK(pair.dialer.answers.front().id == 42);
    CHECK(good(pair.dialer.answers.front()).tag == 9);
    CHECK(good(pair.dialer.answers.front()).body.text() == std::string(bytes, 'a'));
    CHECK(pair.dialer.session.open_requests() == 0);
    CHECK(pair.listener.session.open_requests() == 0);
    CHECK(pair.dialer.session.account() == send_account{}); // no messages
  }
}

TEST_CASE("both sides may ask at the same time with the same numbers") {
  asking pair;
  pair.listener.session.ask(question(1, 5), pair.now());
  pair.ask(1);
  pair.dialer.session.answer(1, answer(3), pair.now());
  pair.respond(1, answer(4));
  REQUIRE(pair.dialer.answers.size() == 1);
  REQUIRE(pair.listener.answers.size() == 1);
  CHECK(good(pair.dialer.answers[0]).body.size() == 4);
  CHECK(good(pair.listener.answers[0]).body.size() == 3);
}

TEST_CASE("only the first answer counts") {
  asking pair;
  pair.ask(1);
  pair.listener.session.answer(1, bus::failure{errc::request_failed, 404, "first"}, pair.now());
  pair.respond(1, answer(1));
  REQUIRE(pair.dialer.answers.size() == 1);
  const auto& no = std::get<bus::failure>(pair.dialer.answers[0].what);
  CHECK(no.reason == errc::request_failed);
  CHECK(no.code == 404);
  CHECK(no.text == "first");
}

TEST_CASE("a program that takes no messages and holds all it has is asked, and answers") {
  asking pair;
  pair.listener.holds = true;
  for (int count = 0; count < 5000; ++count)
    (void)pair.dialer.send(1000);
  pair.settle();
  REQUIRE(pair.dialer.session.starved());
  for (bus::correlation_id id = 1; id <= 100; ++id) {
    pair.ask(id);
    pair.respond(id, answer(id));
  }
  CHECK(pair.dialer.answers.size() == 100);
  CHECK(pair.dialer.session.starved());
}

TEST_CASE("a session without a subscriber is asked, and answers") {
  session_pair::settings how;
  how.listener_takes_messages = false;
  how.dialer_takes_messages = false;
  asking pair(how);
  pair.ask(1);
  pair.respond(1, answer(2));
  CHECK(pair.dialer.answers.size() == 1);
}

TEST_CASE("who asks more than is taken breaks the protocol, in number and in bytes") {
  struct {
    const char* what;
    std::uint32_t count_max, bytes_max;
    std::size_t good; // so many requests of 92 bytes, frames of 108
  } const cases[] = {
    {"three", 3, 1 << 20, 3},
    {"none", 0, 1 << 20, 0},
    {"no bytes", 9, 0, 0},
    {"one byte takes one of any size", 9, 1, 1},
    {"bytes for two and a bit", 9, 217, 3},
    {"bytes for two", 9, 216, 2},
  };
  for (const auto& one : cases) {
    CAPTURE(one.what);
    session_pair::settings how;
    how.listener_bounds.emplace();
    how.listener_bounds->requests_in_flight_max = one.count_max;
    how.listener_bounds->request_bytes_in_flight_max = one.bytes_max;
    asking pair(how);
    CHECK(pair.dialer.session.peer().requests_max == one.count_max);
    CHECK(pair.dialer.session.peer().request_bytes_max == one.bytes_max);
    for (bus::correlation_id id = 1; id <= one.good; ++id)
      pair.ask(id, 92);
    CHECK(pair.listener.asked.size() == one.good);
    CHECK(!pair.listener.end);
    if (one.good > 0) { // an answer makes room for one
      pair.respond(1, answer(1));
      pair.ask(100, 92);
      CHECK(!pair.listener.end);
    }
    pair.ask(200, 92);
    pair.run(10s);
    REQUIRE(pair.listener.end);
    CHECK(pair.listener.end->reason.code == errc::window_exceeded);
    CHECK(pair.listener.end->reason.by == blame::remote);
    CHECK(pair.dialer.end->reason.code == errc::window_exceeded);
    CHECK(pair.dialer.end->reason.by == blame::local);
  }
}

TEST_CASE("a number that is open already breaks the protocol") {
  asking pair;
  pair.ask(1);
  const auto prefix = bus::encode_request_prefix(1, for_ever);
  std::vector<std::byte> frame(codecs::frame_header_bytes + prefix.size());
  codecs::store_header(frame.data(),
                       {static_cast<std::uint32_t>(prefix.size()), codecs::frame_kind::request,
                        codecs::frame_flag::correlated, 0});
  std::copy(prefix.begin(), prefix.end(), frame.begin() + codecs::frame_header_bytes);
  pair.to_listener.push(frame, pair.now());
  pair.run(10s);
  REQUIRE(pair.listener.end);
  CHECK(pair.listener.end->reason
        == error{errc::unexpected_frame, blame::remote, "a request that is open already"});
}

TEST_CASE("a request that is given up is called off at the other side, and stays open until then") {
  session_pair::settings how;
  how.way.latency = 10ms;
  asking pair(how);
  pair.ask(1);
  pair.run(10ms);
  REQUIRE(pair.listener.asked.size() == 1);
  pair.dialer.session.cancel(1);
  pair.settle();
  CHECK(pair.dialer.session.open_requests() == 0); // nobody waits for it
  CHECK(pair.listener.called_off.empty());
  pair.run(10ms);
  CHECK(pair.listener.called_off == std::vector<bus::correlation_id>{1});
  CHECK(pair.listener.session.open_requests() == 0);
  pair.respond(1, answer(5)); // too late: not sent
  pair.run(10ms);
  REQUIRE(pair.dialer.answers.size() == 1);
  CHECK(reason(pair.dialer.answers[0]) == errc::canceled);
  CHECK(!pair.dialer.end);
}

TEST_CASE("an answer that crosses the cancel counts, and the cancel is ignored") {
  session_pair::settings how;
  how.way.latency = 10ms;
  asking pair(how);
  pair.ask(1);
  pair.run(10ms);
  pair.dialer.session.cancel(1);
  pair.respond(1, answer(5));
  pair.run(20ms);
  REQUIRE(pair.dialer.answers.size() == 1);
  CHECK(good(pair.dialer.answers[0]).body.size() == 5);
  CHECK(pair.listener.called_off.empty());
  CHECK(!pair.dialer.end);
}

TEST_CASE("a request that is not answered in time expires at both sides, each by its own clock") {
  session_pair::settings how;
  how.way.latency = 10ms;
  asking pair(how);
  pair.ask(1, 10, 1s);
  pair.run(1s - 1ms);
  CHECK(pair.dialer.expired.empty());
  pair.run(1ms);
  CHECK(pair.dialer.expired == std::vector<bus::correlation_id>{1});
  CHECK(pair.listener.called_off.empty());
  pair.run(10ms); // the cancel and its own clock say the same at the same time
  CHECK(pair.listener.called_off == std::vector<bus::correlation_id>{1});
  pair.run(10ms);
  REQUIRE(pair.dialer.answers.size() == 1);
  const auto why = reason(pair.dialer.answers[0]);
  CHECK((why == errc::timeout || why == errc::canceled));
}

TEST_CASE("a peer that never answers holds a place, and no more") {
  session_pair::settings how;
  how.bounds.requests_in_flight_max = 2;
  asking pair(how);
  pair.listener.frozen(true);
  pair.ask(1, 10, 1s);
  pair.run(2s);
  CHECK(pair.dialer.expired.size() == 1);
  pair.listener.frozen(false);
  pair.settle();
  CHECK(pair.listener.asked.size() == 1);
  CHECK(pair.listener.called_off.size() == 1);
  CHECK(pair.dialer.answers.size() == 1);
}

TEST_CASE("a response that the peer does not take, or that finds too much waiting, is a failure") {
  session_pair::settings how;
  how.bounds.outbox_bytes_max = 100'000;
  how.bounds.node_outbox_bytes_max = 100'000;
  how.bounds.frame_bytes_max = 60'000;
  asking pair(how);
  pair.ask(1);
  pair.respond(1, answer(60'000 - bus::correlation_bytes + 1));
  CHECK(reason(pair.dialer.answers.at(0)) == errc::too_large);
  pair.ask(2);
  pair.respond(2, answer(60'000 - bus::correlation_bytes));
  CHECK(good(pair.dialer.answers.at(1)).body.size() == 60'000 - bus::correlation_bytes);
  for (bus::correlation_id id = 3; id <= 30; ++id)
    pair.ask(id);
  pair.dialer.frozen(true); // reads nothing
  pair.to_dialer.how.room_bytes = 1000;
  for (bus::correlation_id id = 3; id <= 30; ++id)
    pair.respond(id, answer(50'000));
  pair.dialer.frozen(false);
  pair.run(1s);
  REQUIRE(pair.dialer.answers.size() == 30);
  std::size_t congested = 0;
  for (std::size_t index = 2; index < 30; ++index)
    congested += std::holds_alternative<bus::failure>(pair.dialer.answers[index].what) ? 1 : 0;
  CHECK(congested > 0);
  CHECK(congested < 28);
}

TEST_CASE("a connection with an open request is not idle; afterwards it is, in its time") {
  session_pair::settings how;
  how.bounds.idle_time_max = 60s;
  asking pair(how);
  pair.ask(1);
  pair.run(150s);
  CHECK(pair.dialer.idle == 0);
  CHECK(pair.listener.idle == 0);
  pair.respond(1, answer(1));
  const auto answered_at = pair.now();
  pair.run(59s);
  CHECK(pair.listener.idle == 0);
  pair.run(31s);
  CHECK(pair.listener.idle == 1);
  CHECK(pair.dialer.idle == 1);
  CHECK(pair.listener.idle_at >= answered_at + 60s);
}

TEST_CASE("a close in order waits for open requests, and no longer than its drain time") {
  for (const bool asker_closes : {true, false})
    for (const bool answers : {true, false}) {
      CAPTURE(asker_closes);
      CAPTURE(answers);
      asking pair;
      pair.ask(1);
      auto& closer = asker_closes ? pair.dialer : pair.listener;
      closer.session.close(closed_here(), 5s, pair.now());
      pair.settle();
      pair.run(3s);
      CHECK(!pair.dialer.end);
      if (answers)
        pair.respond(1, answer(1));
      pair.run(5s); // drain and linger time
      REQUIRE(pair.dialer.end);
      REQUIRE(pair.listener.end);
      CHECK(pair.dialer.end->reason.code == errc::closed);
      CHECK(pair.listener.end->reason.code == errc::closed);
      CHECK(pair.dialer.answers.size() == (answers ? 1 : 0));
    }
}

TEST_CASE("a request behind a close is not sent") {
  asking pair;
  pair.dialer.session.close(closed_here(), 5s, pair.now());
  pair.dialer.session.ask(question(1, 5), pair.now());
  REQUIRE(pair.run_to_end());
  CHECK(pair.dialer.unasked == std::vector<bus::correlation_id>{1});
  CHECK(pair.listener.asked.empty());
}

TEST_CASE("requests in full flood both ways beside messages all end, whatever the wire does") {
  for (const std::size_t room : {std::size_t{500}, std::size_t{5000}, std::size_t{1} << 20}) {
    CAPTURE(room);
    session_pair::settings how;
    how.way.latency = 1ms;
    how.way.room_bytes = room;
    asking pair(how);
    for (bus::correlation_id id = 1; id <= 100; ++id) {
      pair.dialer.session.ask(question(id, id * 10), pair.now());
      pair.listener.session.ask(question(id, id * 7), pair.now());
      (void)pair.dialer.send(id);
      (void)pair.listener.send(id);
    }
    pair.settle();
    // Each answers one only when it has been asked all: as who asks back before it answers.
    pair.run(10s);
    REQUIRE(pair.dialer.asked.size() == 100);
    REQUIRE(pair.listener.asked.size() == 100);
    for (bus::correlation_id id = 1; id <= 100; ++id) {
      pair.dialer.session.answer(id, answer(id), pair.now());
      pair.listener.session.answer(id, answer(id), pair.now());
    }
    pair.settle();
    pair.run(10s);
    CHECK(pair.dialer.answers.size() == 100);
    CHECK(pair.listener.answers.size() == 100);
    CHECK(pair.listener.messages == 100);
  }
}
