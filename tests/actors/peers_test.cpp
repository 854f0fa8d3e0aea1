// Who is connected, at which endpoint, and how one peer of several is let go: by calls and by messages.
#include "postbus/postbus.hpp"
#include "postbus/tests/support/asked.hpp"
#include "postbus/tests/support/expect.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <thread>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

std::string with_port_of(const std::string& endpoint, const std::string& host) {
  return "tcp://" + host + endpoint.substr(endpoint.rfind(':'));
}

} // namespace

TEST_CASE("a node says who is connected") {
  runtime bus;
  auto hub = bus.spawn_node(), one = bus.spawn_node(), two = bus.spawn_node();
  auto events = hub.inbox();
  const auto at = hub.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  CHECK(hub.peers().empty());
  REQUIRE(one.connect(*at).has_value());
  REQUIRE(two.connect(*at).has_value());
  REQUIRE(next_event<connected>(events).has_value());
  REQUIRE(next_event<connected>(events).has_value());
  CHECK(hub.is_connected(one.id()));
  CHECK(hub.is_connected(two.id()));
  CHECK_FALSE(hub.is_connected(hub.id()));
  CHECK_FALSE(hub.is_connected(node_id::random()));
  CHECK(hub.connection_count() == 2);
  const auto all = hub.peers();
  CHECK(std::set(all.begin(), all.end()) == std::set{one.id(), two.id()});

  caf::scoped_actor self{bus.system()};
  CHECK(asked<peer_list>(self, hub.actor(), list_peers{}).peers == hub.peers());
  CHECK(asked<bool>(self, hub.actor(), is_connected{one.id()}));
  CHECK_FALSE(asked<bool>(self, hub.actor(), is_connected{hub.id()}));

  REQUIRE(one.close().has_value());
  REQUIRE(next_event<disconnected>(events).has_value());
  CHECK_FALSE(hub.is_connected(one.id()));
  CHECK(hub.connection_count() == 1);
  REQUIRE(hub.close().has_value());
  CHECK(hub.peers().empty());
}

TEST_CASE("a peer is found by the words it was dialed with and by the address they led to") {
  runtime bus;
  auto far = bus.spawn_node(), near = bus.spawn_node();
  const auto at = far.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  const auto by_name = with_port_of(*at, "localhost");
  const auto bare = at->substr(at->find("//") + 2);
  CHECK(near.lookup(*at).error() == errc::not_connected);
  CHECK(near.lookup("nonsense").error() == errc::bad_endpoint);
  REQUIRE(near.connect(by_name).has_value());
  for (const auto& text : {by_name, with_port_of(*at, "LOCALHOST"), *at, bare,
                           "tcp://" + to_string(far.id()) + "@" + bare}) {
    CAPTURE(text);
    CHECK(near.lookup(text).value_or(node_id{}) == far.id());
  }
  CHECK(near.lookup("tcp://" + to_string(near.id()) + "@" + bare).error() == errc::not_connected);
  CHECK(near.lookup("tcp://127.0.0.1:1").error() == errc::not_connected);

  caf::scoped_actor self{bus.system()};
  CHECK(asked<node_id>(self, near.actor(), find_peer{by_name}) == far.id());
  CHECK(refused<node_id>(self, near.actor(), find_peer{"tcp://127.0.0.1:1"})
        == errc::not_connected);

  // Who dialed in has no endpoint here, until it is dialed as well: then it is the same connection.
  const auto back = near.listen("tcp://127.0.0.1:0");
  REQUIRE(back.has_value());
  CHECK(far.lookup(*back).error() == errc::not_connected);
  CHECK(far.connect(*back).value_or(node_id{}) == near.id());
  CHECK(far.lookup(*back).value_or(node_id{}) == near.id());
  CHECK(far.connection_count() == 1);

  CHECK(near.disconnect(far.id()).has_value());
  CHECK(near.lookup(by_name).error() == errc::not_connected);
}

TEST_CASE("one peer is disconnected in order: nothing is lost, and it hears why") {
  runtime bus;
  auto far = bus.spawn_node(), near = bus.spawn_node(), third = bus.spawn_node();
  const auto at = far.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  REQUIRE(near.connect(*at).has_value());
  REQUIRE(third.connect(*at).has_value());
  auto far_inbox = far.inbox();
  auto near_inbox = near.inbox();
  for (int number = 0; number < 1000; ++number)
    REQUIRE(near.send(far.id(), number, {.within = patience}) == send_outcome::accepted);
  std::jthread reader([&] {
    for (int number = 0; number < 1000; ++number) {
      auto next = far_inbox.next_message(patience);
      CHECK((next && next->as<int>().value_or(-1) == number));
    }
  });
  const auto over = near.disconnect(far.id(), "enough for today", patience);
  reader.join();
  REQUIRE(over.has_value());
  CHECK(over->peer == far.id());
  CHECK(over->reason == error{errc::closed, blame::local, "enough for today"});
  CHECK(over->account.sent == 1000);
  CHECK(over->account.complete());
  const auto told = next_event<disconnected>(near_inbox);
  REQUIRE(told.has_value());
  CHECK(told->account == over->account);
  const auto heard = next_event<disconnected>(far_inbox);
  REQUIRE(heard.has_value());
  CHECK(heard->peer == near.id());
  CHECK(heard->reason == error{errc::closed, blame::remote, "enough for today"});
  CHECK_FALSE(near.is_connected(far.id()));
  CHECK(far.is_connected(third.id()));

  CHECK(near.disconnect(far.id()).error() == errc::not_connected);
  CHECK(near.disconnect(near.id()).error() == errc::not_connected);
  REQUIRE(near.connect(*at).has_value()); // and back
  caf::scoped_actor self{bus.system()};
  CHECK(asked<disconnected>(self, near.actor(), disconnect{far.id(), "bye"}).reason.detail
        == "bye");
  CHECK(refused<disconnected>(self, near.actor(), disconnect{far.id(), "bye"})
        == errc::not_connected);
}

TEST_CASE("a disconnect that does not drain is over when its time is, and says what is unsent") {
  runtime bus;
  limits quick;
  quick.linger_time_max = 100ms;
  connected_pair pair(bus, {}, quick); // nobody reads at the far end: no credit
  for (int number = 0; number < 10; ++number)
    CHECK(pair.near.send(pair.far.id(), number) == send_outcome::accepted);
  const auto over = pair.near.disconnect(pair.far.id(), {}, 100ms);
  REQUIRE(over.has_value());
  CHECK(over->account.unsent + over->account.sent == 10);
  CHECK_FALSE(over->account.complete());
}

TEST_CASE("a message for several peers is packed once, and has an outcome for each") {
  runtime bus;
  auto hub = bus.spawn_node();
  const auto at = hub.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  auto events = hub.inbox();
  std::vector<node> nodes;
  std::vector<inbox> inboxes;
  std::vector<node_id> ids;
  for (int count = 0; count < 5; ++count) {
    nodes.push_back(bus.spawn_node());
    inboxes.push_back(nodes.back().inbox());
    REQUIRE(nodes.back().connect(*at).has_value());
    REQUIRE(next_event<connected>(events).has_value());
    ids.push_back(nodes.back().id());
  }
  ids.insert(ids.begin() + 2, node_id::random());
  auto expected = std::vector<send_outcome>(6, send_outcome::accepted);
  expected[2] = send_outcome::closed;
  const std::string large(100'000, 'x');
  CHECK(hub.send_to(ids, "all", {.tag = 3}) == expected);
  CHECK(hub.send_to(ids, large, {.within = patience}) == expected);
  CHECK(hub.send_bytes_to(ids, payload::copy_of("bytes")) == expected);
  caf::scoped_actor self{bus.system()};
  CHECK(asked<send_outcomes>(self, hub.actor(), send_to_many{ids, payload::copy_of("more"), 9}).each
        == expected);
  CHECK(hub.send_to({}, 1).empty());
  for (auto& each : inboxes) {
    std::vector<std::pair<std::uint16_t, std::string>> got;
    while (got.size() < 4) { // none is kept: each holds credit for the next
      auto next = each.next_message(patience);
      REQUIRE(next.has_value());
      got.emplace_back(next->tag(), next->is_opaque() ? std::string(next->text())
                                                      : next->as<std::string>().value_or(""));
    }
    CHECK(got[0] == std::pair<std::uint16_t, std::string>(3, "all"));
    CHECK(got[1].second == large);
    CHECK(got[2].second == "bytes");
    CHECK(got[3] == std::pair<std::uint16_t, std::string>(9, "more"));
  }
}
