// session, from the first byte to `open`: who is taken, who is refused and what each side learns of
// it, and that every fault and every silence ends in exactly one named end.
#include "postbus/tests/support/session_pair.hpp"

#include <doctest/doctest.h>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

using bus::phase;

struct outcome {
  errc code;
  blame by;
};

void check_refused(const session_pair& pair, outcome dialer, outcome listener) {
  REQUIRE(pair.dialer.end);
  REQUIRE(pair.listener.end);
  CHECK(to_string(pair.dialer.end->reason.code) == to_string(dialer.code));
  CHECK(pair.dialer.end->reason.by == dialer.by);
  CHECK(to_string(pair.listener.end->reason.code) == to_string(listener.code));
  CHECK(pair.listener.end->reason.by == listener.by);
  CHECK(pair.dialer.opened == 0);
  CHECK(pair.listener.opened == 0);
}

} // namespace

TEST_CASE("two good nodes open, each knows the other, and nothing more happens") {
  session_pair::settings how;
  how.dialer_hello.init = payload::copy_of("I am the dialer");
  how.dialer_hello.expected = id_of(0x15);
  how.dialer_hello.features = {"one", "two"};
  how.listener_hello.init = payload::copy_of("and I the listener");
  session_pair pair(how);
  REQUIRE(pair.open());
  CHECK(pair.dialer.hellos == 1);
  CHECK(pair.listener.hellos == 1);
  CHECK(pair.listener.session.peer().id == id_of(0xd1));
  CHECK(pair.listener.session.peer().incarnation == 11);
  CHECK(pair.listener.peer_init.text() == "I am the dialer");
  CHECK(pair.listener.session.peer().features == std::vector<std::string>{"one", "two"});
  CHECK(pair.dialer.session.peer().id == id_of(0x15));
  CHECK(pair.dialer.peer_init.text() == "and I the listener");
  CHECK(pair.elapsed() == 0ns);
  CHECK(pair.next_moment() > pair.now() + 14s);
}

TEST_CASE("the frame bound towards the peer is the smaller of both ends'") {
  session_pair::settings how;
  how.bounds.frame_bytes_max = 1u << 20;
  how.listener_bounds = limits{};
  how.listener_bounds->frame_bytes_max = 1u << 18;
  session_pair pair(how);
  REQUIRE(pair.open());
  CHECK(pair.dialer.session.frame_bytes_max() == 1u << 18);
  CHECK(pair.listener.session.frame_bytes_max() == 1u << 18);
}

TEST_CASE("every refusal of a hello reaches both ends with its reason") {
  struct {
    const char* what;
    void (*change)(session_pair::settings&);
    outcome dialer, listener;
  } const cases[] = {
    {"the dialer wants another node",
     [](session_pair::settings& how) { how.dialer_hello.expected = id_of(0x77); },
     {errc::wrong_node, blame::remote},
     {errc::wrong_node, blame::remote}},
    {"the listener wants another node",
     [](session_pair::settings& how) { how.listener_hello.expected = id_of(0x77); },
     {errc::wrong_node, blame::remote},
     {errc::wrong_node, blame::remote}},
    {"a node dials itself",
     [](session_pair::settings& how) {
       how.listener_hello.id = id_of(0xd1);
       how.listener_hello.incarnation = 11;
     },
     {errc::self_connection, blame::remote},
     {errc::self_connection, blame::local}},
    {"two nodes have one id",
     [](session_pair::settings& how) { how.listener_hello.id = id_of(0xd1); },
     {errc::id_in_use, blame::remote},
     {errc::id_in_use, blame::remote}},
    {"no version is common",
     [](session_pair::settings& how) {
       how.dialer_hello.version_min = how.dialer_hello.version_max = 9;
     },
     {errc::version_unsupported, blame::remote},
     {errc::version_unsupported, blame::remote}},
  };
  for (const auto& one : cases) {
    CAPTURE(one.what);
    session_pair::settings how;
    one.change(how);
    session_pair pair(how);
    pair.settle();
    check_refused(pair, one.dialer, one.listener);
    CHECK(pair.listener.hellos == 0); // the program is not asked
    CHECK(pair.elapsed() == 0ns);
  }
}

TEST_CASE("the highest common version is chosen") {
  session_pair::settings how;
  how.listener_hello.version_max = 7;
  session_pair pair(how);
  CHECK(pair.open());
}

TEST_CASE("either program may refuse, and the other reads its words") {
  for (const bool by_listener : {true, false}) {
    CAPTURE(by_listener);
    session_pair pair;
    auto& no = by_listener ? pair.listener : pair.dialer;
    auto& told = by_listener ? pair.dialer : pair.listener;
    no.on_hello = session_end::decision::refuse;
    pair.settle();
    REQUIRE(told.end);
    REQUIRE(no.end);
    CHECK(told.end->reason == error{errc::rejected, blame::remote, "not today"});
    CHECK(no.end->reason == error{errc::rejected, blame::local, "not today"});
    CHECK(no.opened + told.opened == 0);
  }
}

TEST_CASE("closing before open is a refusal") {
  for (const bool by_listener : {true, false}) {
    CAPTURE(by_listener);
    session_pair pair;
    pair.listener.on_hello = session_end::decision::wait;
    pair.settle();
    REQUIRE(pair.listener.session.at() == phase::deciding);
    auto& closer = by_listener ? pair.listener : pair.dialer;
    auto& other = by_listener ? pair.dialer : pair.listener;
    closer.session.close({errc::shutting_down, blame::local, {}}, 5s, pair.now());
    pair.settle();
    REQUIRE(other.end);
    CHECK(other.end->reason == error{errc::shutting_down, blame::remote, {}});
    CHECK(closer.end);
    CHECK(other.opened == 0);
  }
}

TEST_CASE("a decision that does not come is a refusal at its deadline, to the millisecond") {
  for (const bool at_listener : {true, false}) {
    CAPTURE(at_listener);
    session_pair pair;
    auto& slow = at_listener ? pair.listener : pair.dialer;
    auto& other = at_listener ? pair.dialer : pair.listener;
    slow.on_hello = session_end::decision::wait;
    pair.run(3s - 1ms);
    CHECK(!slow.end);
    pair.run(1ms);
    REQUIRE(slow.end);
    REQUIRE(other.end);
    CHECK(slow.end->reason == error{errc::handshake_timeout, blame::local, "no decision in time"});
    CHECK(other.end->reason
          == error{errc::handshake_timeout, blame::remote, "no decision in time"});
    CHECK(other.opened + slow.opened == 0);
  }
}

TEST_CASE("decisions that come late but in time leave the whole its deadline") {
  session_pair::settings how;
  how.way.latency = 300ms;
  session_pair pair(how);
  pair.listener.on_hello = pair.dialer.on_hello = session_end::decision::wait;
  pair.run(3200ms); // the listener has the hello since 300 ms
  pair.listener.session.accept(pair.now());
  pair.run(1799ms); // the dialer's decision has what is left of five seconds
  CHECK(!pair.dialer.end);
  CHECK(pair.dialer.session.at() == phase::deciding);
  pair.run(1ms);
  CHECK(pair.dialer.session.at() == phase::lingering);
  REQUIRE(pair.run_to_end());
  CHECK(pair.dialer.end->reason.code == errc::handshake_timeout);
  CHECK(pair.listener.end->reason.code == errc::handshake_timeout);
  CHECK(pair.dialer.opened + pair.listener.opened == 0);
}

TEST_CASE("a decision may come after the peer has gone") {
  session_pair pair;
  pair.listener.on_hello = session_end::decision::wait;
  pair.settle();
  pair.to_listener.reset(pair.now());
  pair.settle();
  REQUIRE(pair.listener.end);
  pair.listener.session.accept(pair.now());
  pair.listener.session.refuse({errc::rejected, blame::local, {}}, pair.now());
  pair.settle();
  CHECK(pair.listener.end->reason.code == errc::connection_reset);
  CHECK(pair.listener.opened == 0);
}

TEST_CASE("a peer that says nothing is gone at the handshake deadline and learns nothing") {
  session_pair pair;
  pair.to_listener.fail_at(0, fault::silence, pair.now());
  pair.run(5s - 1ms);
  CHECK(!pair.listener.end);
  CHECK(!pair.dialer.end);
  CHECK(pair.to_dialer.bytes_pushed() == 0);
  pair.run(1ms);
  REQUIRE(pair.listener.end);
  CHECK(pair.listener.end->reason
        == error{errc::handshake_timeout, blame::remote, "no hello in time"});
  CHECK(pair.to_dialer.bytes_pushed() == 0);
}

TEST_CASE("a refusal that crosses the dialer's welcome is a lost handshake") {
  session_pair::settings how;
  how.way.latency = 10ms;
  for (const bool dialer_closes : {false, true}) {
    CAPTURE(dialer_closes);
    session_pair pair(how);
    pair.run(20ms);
    REQUIRE(pair.dialer.opened == 1);
    REQUIRE(pair.listener.opened == 0);
    pair.listener.session.refuse({errc::already_connected, blame::local, {}}, pair.now());
    pair.dialer.send(100);
    if (dialer_closes)
      pair.dialer.session.close({errc::closed, blame::local, {}}, 5s, pair.now());
    REQUIRE(pair.run_to_end());
    CHECK(pair.dialer.end->reason
          == error{errc::handshake_lost, blame::remote, "already_connected"});
    CHECK(pair.dialer.end->was_open);
    // It left on the strength of the listener's hello; nobody will say that it arrived.
    CHECK(pair.dialer.end->account == send_account{1, 0, 0});
    CHECK(!pair.listener.end->was_open);
    CHECK(pair.listener.end->reason.code == errc::already_connected);
  }
}

TEST_CASE("a fault after any byte of the handshake ends both sides once, with a name") {
  std::uint64_t bytes[2];
  {
    session_pair good;
    REQUIRE(good.open());
    bytes[0] = good.to_listener.bytes_pushed();
    bytes[1] = good.to_dialer.bytes_pushed();
  }
  for (const auto what : {fault::end_of_file, fault::error, fault::silence})
    for (const int direction : {0, 1})
      for (std::uint64_t at = 0; at <= bytes[direction]; ++at) {
        CAPTURE(static_cast<int>(what));
        CAPTURE(direction);
        CAPTURE(at);
        session_pair pair;
        (direction == 0 ? pair.to_listener : pair.to_dialer).fail_at(at, what, pair.now());
        REQUIRE(pair.run_to_end(90s));
        const auto& dialer = *pair.dialer.end;
        const auto& listener = *pair.listener.end;
        CHECK(!(listener.was_open && !dialer.was_open));
        for (const auto* end : {&dialer, &listener}) {
          const auto code = end->reason.code;
          const bool named = code == errc::connection_cut || code == errc::connection_reset
                             || code == errc::handshake_timeout || code == errc::handshake_lost
                             || code == errc::peer_lost;
          CAPTURE(to_string(end->reason));
          CHECK(named);
        }
        if (dialer.was_open && !listener.was_open && what != fault::silence)
          CHECK(dialer.reason.code == errc::handshake_lost);
        if (!dialer.was_open)
          CHECK(pair.dialer.ended_at - time_point(1h) <= 7s); // handshake and linger
      }
}

TEST_CASE("an answer after the deadline changes nothing any more") {
  session_pair::settings how;
  how.way.latency = 2600ms; // hello arrives, the listener's answer is too late for both
  session_pair pair(how);
  REQUIRE(pair.run_to_end());
  CHECK(pair.dialer.opened + pair.listener.opened == 0);
  CHECK(pair.dialer.end->reason.code == errc::handshake_timeout);
  CHECK(pair.listener.end->reason.code == errc::handshake_timeout);
}

TEST_CASE("the handshake does not mind how its bytes are cut") {
  for (std::size_t read_bytes = 1; read_bytes < 300; ++read_bytes) {
    CAPTURE(read_bytes);
    session_pair::settings how;
    how.way.read_bytes = read_bytes;
    session_pair pair(how);
    CHECK(pair.open());
  }
}
