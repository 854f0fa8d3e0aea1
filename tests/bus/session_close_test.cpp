// session and its end: goodbye behind the data, both ways; deadlines of a close that gets no answer;
// and the account, which says of every accepted message what became of it.
#include "postbus/tests/support/session_pair.hpp"

#include <doctest/doctest.h>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

const error bye{errc::closed, blame::local, {}};

void send_many(session_end& from, int count, std::size_t bytes) {
  for (; count > 0; --count)
    REQUIRE(from.send(bytes) == send_outcome::accepted);
}

void check_all_confirmed(const session_end& at) {
  REQUIRE(at.end);
  CHECK(at.end->was_open);
  CHECK(at.end->account == send_account{at.accepted, at.accepted, 0});
}

} // namespace

TEST_CASE("goodbye goes behind the data: everything is delivered and confirmed, both ways") {
  for (const auto latency : {0ms, 1ms, 30ms})
    for (const bool dialer_closes : {true, false})
      for (const int count : {0, 1, 3000}) {
        CAPTURE(latency.count());
        CAPTURE(dialer_closes);
        CAPTURE(count);
        session_pair::settings how;
        how.way.latency = latency;
        session_pair pair(how);
        REQUIRE(pair.open());
        send_many(pair.dialer, count, 70);
        send_many(pair.listener, count / 2, 50);
        auto& closer = dialer_closes ? pair.dialer : pair.listener;
        auto& other = dialer_closes ? pair.listener : pair.dialer;
        const auto began = pair.now();
        closer.session.close(bye, 5s, began);
        REQUIRE(pair.run_to_end(10s));
        CHECK(closer.end->reason == bye);
        CHECK(other.end->reason == error{errc::closed, blame::remote, {}});
        REQUIRE(other.goodbyes.size() == 1);
        check_all_confirmed(closer);
        check_all_confirmed(other);
        CHECK(pair.now() - began <= 20 * latency); // no deadline was waited for
      }
}

TEST_CASE("whoever is told goodbye can send no more, but what it had accepted goes") {
  session_pair::settings how;
  how.way.latency = 10ms;
  session_pair pair(how);
  REQUIRE(pair.open());
  pair.dialer.session.close(bye, 5s, pair.now());
  pair.drive(pair.dialer);
  CHECK(pair.dialer.send(1) == send_outcome::closed);
  CHECK(pair.listener.send(1) == send_outcome::accepted);
  pair.run(10ms);
  CHECK(pair.listener.send(1) == send_outcome::closed);
  REQUIRE(pair.run_to_end(1s));
  CHECK(pair.dialer.messages == 1);
  check_all_confirmed(pair.listener);
}

TEST_CASE("both close at once") {
  for (const auto latency : {0ms, 10ms}) {
    session_pair::settings how;
    how.way.latency = latency;
    session_pair pair(how);
    REQUIRE(pair.open());
    send_many(pair.dialer, 2000, 100);
    send_many(pair.listener, 3000, 100);
    pair.dialer.session.close(bye, 5s, pair.now());
    pair.listener.session.close({errc::idle, blame::local, {}}, 5s, pair.now());
    REQUIRE(pair.run_to_end(2s));
    check_all_confirmed(pair.dialer);
    check_all_confirmed(pair.listener);
    CHECK(pair.dialer.end->reason.code == errc::closed);
    CHECK(pair.listener.end->reason.code == errc::idle);
  }
}

TEST_CASE("a receiver that lets go during the drain ends it at once, by its wake") {
  session_pair pair;
  REQUIRE(pair.open());
  pair.listener.holds = true;
  send_many(pair.dialer, 100, 100);
  pair.dialer.session.close(bye, 5s, pair.now());
  pair.run(3s);
  CHECK(!pair.dialer.end);
  CHECK(!pair.listener.end);
  pair.listener.let_go_all();
  pair.rest();
  check_all_confirmed(pair.dialer);
  CHECK(pair.listener.end);
}

TEST_CASE("a closer that holds what came lets the other wait for the last confirmation") {
  session_pair pair;
  REQUIRE(pair.open());
  pair.dialer.holds = true;
  send_many(pair.listener, 100, 100);
  pair.settle();
  pair.dialer.session.close(bye, 5s, pair.now());
  pair.run(4s);
  CHECK(!pair.listener.end);
  pair.dialer.let_go_all();
  pair.rest();
  check_all_confirmed(pair.listener);
  CHECK(pair.dialer.end);
}

TEST_CASE("a program that never lets go ends the close at its deadlines, unconfirmed") {
  session_pair pair;
  REQUIRE(pair.open());
  pair.listener.holds = true;
  send_many(pair.dialer, 100, 100);
  pair.dialer.session.close(bye, 5s, pair.now());
  REQUIRE(pair.run_to_end(7s));
  CHECK(pair.dialer.end->account == send_account{100, 0, 0});
  CHECK(pair.listener.messages == 100);
}

TEST_CASE("a close towards a frozen peer ends at drain and linger, and knows what never left") {
  session_pair pair;
  REQUIRE(pair.open());
  pair.to_listener.how.room_bytes = 10000;
  pair.listener.frozen(true);
  send_many(pair.dialer, 500, 992);
  pair.dialer.session.close(bye, 3s, pair.now());
  pair.run(3s - 1ms);
  CHECK(pair.dialer.session.at() == bus::phase::draining);
  pair.run(1ms);
  CHECK(pair.dialer.session.at() == bus::phase::lingering);
  pair.run(2s - 1ms);
  CHECK(!pair.dialer.end);
  pair.run(1ms);
  REQUIRE(pair.dialer.end);
  CHECK(pair.dialer.end->reason == bye);
  CHECK(pair.dialer.end->account == send_account{10, 0, 490});
  pair.listener.frozen(false);
  REQUIRE(pair.run_to_end(10s));
  CHECK(pair.listener.messages == 10); // what the system had taken
}

TEST_CASE("a frozen peer that wakes in time gets everything") {
  session_pair pair;
  REQUIRE(pair.open());
  pair.listener.frozen(true);
  send_many(pair.dialer, 5000, 992);
  pair.dialer.session.close(bye, 5s, pair.now());
  pair.run(4s);
  pair.listener.frozen(false);
  REQUIRE(pair.run_to_end(1s));
  check_all_confirmed(pair.dialer);
  CHECK(pair.listener.messages == 5000);
}

TEST_CASE("without credit nothing leaves, and the close says so") {
  session_pair::settings how;
  how.listener_takes_messages = false;
  session_pair pair(how);
  REQUIRE(pair.open());
  send_many(pair.dialer, 10, 10);
  pair.dialer.session.close(bye, 2s, pair.now());
  REQUIRE(pair.run_to_end(10s));
  CHECK(pair.dialer.ended_at == time_point(1h) + 2s);
  CHECK(pair.dialer.end->account == send_account{0, 0, 10});
}

TEST_CASE("a second close may only shorten the first") {
  session_pair pair;
  REQUIRE(pair.open());
  pair.listener.frozen(true);
  pair.dialer.session.close(bye, 5s, pair.now());
  pair.settle();
  pair.dialer.session.close(bye, 60s, pair.now());
  pair.run(1s);
  pair.dialer.session.close(bye, 0s, pair.now());
  pair.run(2s);
  REQUIRE(pair.dialer.end);
  CHECK(pair.dialer.ended_at == time_point(1h) + 3s);
}

TEST_CASE("messages that were taken before the stream was cut are on the account of both") {
  for (const auto what : {fault::end_of_file, fault::error}) {
    session_pair pair;
    REQUIRE(pair.open());
    send_many(pair.dialer, 1000, 300);
    pair.settle();
    send_many(pair.listener, 10, 10);
    pair.cut(what);
    REQUIRE(pair.run_to_end(3s));
    const auto code = what == fault::error ? errc::connection_reset : errc::connection_cut;
    CHECK(pair.dialer.end->reason.code == code);
    CHECK(pair.listener.end->reason.code == code);
    CHECK(pair.dialer.end->account.sent == 1000);
    CHECK(pair.dialer.end->account.confirmed > 500);
    CHECK(pair.listener.end->account.confirmed == 0);
  }
}

TEST_CASE("a fault after any byte of a close ends both sides once, and the accounts hold") {
  const auto begin = [](session_pair& pair) {
    REQUIRE(pair.open());
    send_many(pair.dialer, 3, 5);
    send_many(pair.listener, 2, 3);
    pair.dialer.session.close(bye, 5s, pair.now());
  };
  session_pair good;
  begin(good);
  const std::uint64_t from[] = {good.to_listener.bytes_pushed(), good.to_dialer.bytes_pushed()};
  REQUIRE(good.run_to_end(1s));
  const std::uint64_t to[] = {good.to_listener.bytes_pushed(), good.to_dialer.bytes_pushed()};
  for (const auto what : {fault::end_of_file, fault::error, fault::silence})
    for (const int direction : {0, 1})
      for (auto at = from[direction]; at <= to[direction]; ++at) {
        CAPTURE(static_cast<int>(what));
        CAPTURE(direction);
        CAPTURE(at);
        session_pair pair;
        begin(pair);
        (direction == 0 ? pair.to_listener : pair.to_dialer).fail_at(at, what, pair.now());
        REQUIRE(pair.run_to_end(60s));
        for (const auto* end : {&pair.dialer, &pair.listener}) {
          const auto code = end->end->reason.code;
          CAPTURE(to_string(code));
          const bool named = code == errc::closed || code == errc::connection_cut
                             || code == errc::connection_reset || code == errc::peer_lost;
          CHECK(named);
          CHECK(end->end->was_open);
        }
        // Confirmed is never more than was delivered: the pair checks it at every step.
        CHECK(pair.dialer.end->account.confirmed <= pair.listener.messages);
      }
}

TEST_CASE("a close that finds the peer gone without a word ends as cut") {
  session_pair pair;
  REQUIRE(pair.open());
  pair.to_dialer.finish(pair.now());
  pair.dialer.session.close(bye, 5s, pair.now());
  pair.settle();
  REQUIRE(pair.dialer.end);
  CHECK(pair.dialer.end->reason.code == errc::connection_cut);
}

TEST_CASE("commands after the end do nothing") {
  session_pair pair;
  REQUIRE(pair.open());
  pair.dialer.session.close(bye, 5s, pair.now());
  REQUIRE(pair.run_to_end(1s));
  for (auto* at : {&pair.dialer, &pair.listener}) {
    at->session.close(bye, 5s, pair.now());
    at->session.accept(pair.now());
    at->session.refuse(bye, pair.now());
    at->session.probe(pair.now());
    at->session.takes_messages(true);
    at->session.fail(errc::connection_reset, {});
    at->session.end_of_input();
    at->session.settle();
    CHECK(at->session.deadline() == never);
  }
  pair.run(10min); // an event behind `ended` breaks the law
  CHECK(pair.dialer.end->reason == bye);
}
