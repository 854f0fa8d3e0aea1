// requests for connection: looked at before they are agreed to, from both ends; dropped, late, compared
// and printed; and the guard that closes a node with its scope.
#include "postbus/postbus.hpp"
#include "postbus/tests/support/expect.hpp"

#include <doctest/doctest.h>

#include <future>
#include <sstream>
#include <thread>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

/// A node that listens, and its inbox.
struct listening {
  explicit listening(runtime& bus, bool decides = false)
    : node(
      bus.spawn_node({.id = {}, .init = payload::copy_of("who is here"), .bounds = patient()})),
      events(decides ? node.deciding_inbox() : node.inbox()),
      at(node.listen("tcp://127.0.0.1:0").value()) {}
  postbus::node node;
  inbox events;
  std::string at;
};

node patient_node(runtime& bus) {
  return bus.spawn_node({.id = {}, .init = {}, .bounds = patient()});
}

} // namespace

TEST_CASE("a dialer looks at the peer, and is connected when it agrees") {
  runtime bus;
  listening far(bus);
  const auto near = patient_node(bus);
  const auto seen = near.connect_request(far.at, patience);
  REQUIRE(seen.has_value());
  CHECK(seen->peer == far.node.id());
  CHECK(seen->init.text() == "who is here");
  CHECK(seen->dialed);
  CHECK("tcp://" + seen->address == far.at);
  CHECK(near.send(far.node.id(), 1) == send_outcome::closed);
  CHECK(near.connect(*seen, patience).value_or(node_id{}) == far.node.id());
  CHECK(near.send(far.node.id(), 1) == send_outcome::accepted);
  CHECK(far.events.next_message(patience).has_value());
  // It was answered; who is connected already is not looked at.
  CHECK(code_of(near.connect(*seen, patience)) == errc::not_connected);
  CHECK(near.connect_request(far.at, patience).error().code == errc::already_connected);
}

TEST_CASE("a dialer rejects the peer with words, and the peer never opens") {
  runtime bus;
  listening far(bus, true);
  const auto near = patient_node(bus);
  auto looking =
    std::async(std::launch::async, [&] { return near.connect_request(far.at, patience); });
  const auto asked = next_event<connection_request>(far.events);
  REQUIRE(asked.has_value());
  // It waits to see it open; that the other side looks first is not seen here.
  auto opening = std::async(std::launch::async, [&] { return far.node.connect(*asked, patience); });
  const auto seen = looking.get();
  REQUIRE(seen.has_value());
  CHECK(near.reject(*seen, "you are not the one"));
  CHECK_FALSE(near.reject(*seen, "again"));
  const auto told = opening.get();
  REQUIRE_FALSE(told.has_value());
  CHECK(told.error() == error{errc::rejected, blame::remote, "you are not the one"});
  CHECK(far.node.close().has_value());
  CHECK_FALSE(next_event<connected>(far.events).has_value());
}

TEST_CASE("a request that is dropped is a refusal, when the last copy goes") {
  runtime bus;
  SUBCASE("by the dialer") {
    listening far(bus, true);
    const auto near = patient_node(bus);
    auto looking =
      std::async(std::launch::async, [&] { return near.connect_request(far.at, patience); });
    const auto asked = next_event<connection_request>(far.events);
    REQUIRE(asked.has_value());
    auto opening =
      std::async(std::launch::async, [&] { return far.node.connect(*asked, patience); });
    {
      const auto seen = looking.get();
      REQUIRE(seen.has_value());
      auto copy = *seen;
      copy.init = {};
    }
    const auto told = opening.get();
    REQUIRE_FALSE(told.has_value());
    CHECK(told.error() == error{errc::rejected, blame::remote, "the request was dropped"});
  }
  SUBCASE("by the listener") {
    listening far(bus, true);
    const auto near = patient_node(bus);
    auto dialing = std::async(std::launch::async, [&] { return near.connect(far.at, patience); });
    {
      const auto asked = next_event<connection_request>(far.events);
      REQUIRE(asked.has_value());
    }
    const auto told = dialing.get();
    REQUIRE_FALSE(told.has_value());
    CHECK(told.error() == error{errc::rejected, blame::remote, "the request was dropped"});
  }
}

TEST_CASE("a peer that is looked at for too long is refused, and both sides learn why") {
  runtime bus;
  auto quick = patient();
  quick.decision_time_max = 300ms;
  quick.probe_time_max = 100ms;
  listening far(bus);
  const auto near = bus.spawn_node({.id = {}, .init = {}, .bounds = quick});
  const auto seen = near.connect_request(far.at, patience);
  REQUIRE(seen.has_value());
  const auto refused = [](const node& of) { return of.statistics(patience)->refusals; };
  const std::vector<reason_count> here{{errc::handshake_timeout, blame::local, 1}};
  const std::vector<reason_count> there{{errc::handshake_timeout, blame::remote, 1}};
  (void)eventually([&] { return refused(near) == here && refused(far.node) == there; });
  CHECK(refused(near) == here);
  CHECK(refused(far.node) == there);
  const auto late = near.connect(*seen, patience);
  CHECK(code_of(late) == errc::not_connected);
}

TEST_CASE("a listener that agrees is told when the peer is there") {
  runtime bus({.close_time = 10ms}); // what is sent is never taken
  listening far(bus, true);
  const auto near = patient_node(bus);
  auto dialing = std::async(std::launch::async, [&] { return near.connect(far.at, patience); });
  const auto asked = next_event<connection_request>(far.events);
  REQUIRE(asked.has_value());
  CHECK(far.node.connect(*asked, patience).value_or(node_id{}) == near.id());
  CHECK(far.node.send(near.id(), 1) == send_outcome::accepted);
  CHECK(dialing.get().has_value());
}

TEST_CASE("an actor looks, agrees and is answered by messages") {
  runtime bus;
  listening far(bus);
  const auto near = patient_node(bus);
  std::promise<node_id> told;
  bus.system().spawn([&](caf::event_based_actor* self) {
    ask(self, near.actor(), patience, look_at{far.at, patience})
      .then(
        [&, self](const connection_request& seen) {
          ask(self, near.actor(), patience, connect_to{seen.connection})
            .then([&, seen](const node_id& peer) { told.set_value(peer); },
                  [&](const caf::error&) { told.set_value({}); });
        },
        [&](const caf::error&) { told.set_value({}); });
  });
  CHECK(awaited(told.get_future()) == far.node.id());
}

TEST_CASE("a dial that looks fails as every dial does") {
  runtime bus;
  const auto near = patient_node(bus);
  CHECK(near.connect_request("tcp://127.0.0.1:1", patience).error().code == errc::connect_failed);
  CHECK(near.connect_request("nowhere", patience).error().code == errc::bad_endpoint);
  listening far(bus);
  CHECK(far.node.connect_request(far.at, patience).error().code == errc::self_connection);
  CHECK(near.close().has_value());
  CHECK(near.connect_request(far.at, patience).error().code == errc::node_closed);
}

TEST_CASE("questions are compared and printed") {
  const auto peer = node_id::random();
  const connection_request one{7, peer, payload::copy_of("init"), "127.0.0.1:5", false};
  auto same = one;
  same.init = {};
  CHECK(one == same);
  auto other = one;
  other.connection = 8;
  CHECK(one != other);
  std::ostringstream out;
  out << one;
  CHECK(out.str() == to_string(peer) + " at 127.0.0.1:5");
}

TEST_CASE("a close guard closes its node with the scope, unless it is released") {
  runtime bus;
  const auto kept = bus.spawn_node();
  const auto left = bus.spawn_node();
  {
    const close_guard guard(left);
    CHECK(guard->listen("tcp://127.0.0.1:0").has_value());
    CHECK(guard.node().id() == left.id());
    close_guard released(kept);
    CHECK(released.release().id() == kept.id());
  }
  CHECK(left.listen("tcp://127.0.0.1:0").error().code == errc::node_closed);
  CHECK(kept.listen("tcp://127.0.0.1:0").has_value());
}
