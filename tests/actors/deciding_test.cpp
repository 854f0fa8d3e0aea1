// Who decides about a peer: one of several who lets the question fall leaves it to the others, and an
// answer is for the node that asked.
#include "postbus/postbus.hpp"
#include "postbus/tests/support/asked.hpp"
#include "postbus/tests/support/expect.hpp"

#include <doctest/doctest.h>

#include <future>
#include <optional>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

limits one_at_a_time() {
  auto bounds = patient();
  bounds.batches_in_flight_max = 1;
  return bounds;
}

/// A node whose second decider is busy: a message is in its hands, and another waits for it.
struct two_deciders {
  explicit two_deciders(runtime& on)
    : node(on.spawn_node({.id = {}, .init = {}, .bounds = one_at_a_time()})),
      quick(node.inbox({.messages = false, .events = false, .decides = true})) {
    slow.emplace(node.inbox({.decides = true}));
    REQUIRE(node.send(node.id(), 0) == send_outcome::accepted);
    in_hand.emplace(*slow->next_message(patience));
    REQUIRE(node.send(node.id(), 1) == send_outcome::accepted);
    while (slow->counters().value_or(subscription_counters{}).messages_queued < 1)
      std::this_thread::yield();
    at = *node.listen("tcp://127.0.0.1:0");
  }

  postbus::node node;
  inbox quick;
  std::optional<inbox> slow;
  std::optional<message> in_hand;
  std::string at;
};

/// Takes the question and lets it fall.
void let_fall(inbox& decider) {
  auto asked = next_event<connection_request>(decider);
  REQUIRE(asked.has_value());
}

} // namespace

TEST_CASE("a question that one lets fall stands while it waits for another") {
  runtime bus;
  two_deciders of(bus);
  auto guest = bus.spawn_node({.id = {}, .init = {}, .bounds = patient()});
  auto dialing = std::async(std::launch::async, [&] { return guest.connect(of.at, patience); });
  let_fall(of.quick);
  CHECK(of.node.statistics().has_value()); // behind whatever came of that
  of.in_hand.reset();
  auto asked = next_event<connection_request>(*of.slow);
  REQUIRE(asked.has_value());
  CHECK(of.node.accept(*asked));
  CHECK(dialing.get().value_or(node_id{}) == of.node.id());
}

TEST_CASE("a question that all let fall, or leave, is a refusal") {
  for (const auto leaves : {false, true}) {
    CAPTURE(leaves);
    runtime bus;
    two_deciders of(bus);
    auto guest = bus.spawn_node({.id = {}, .init = {}, .bounds = patient()});
    auto dialing = std::async(std::launch::async, [&] { return guest.connect(of.at, patience); });
    let_fall(of.quick);
    CHECK(of.node.statistics().has_value());
    if (leaves) {
      of.slow.reset();
    } else {
      of.in_hand.reset();
      let_fall(*of.slow);
    }
    const auto refused = dialing.get();
    CHECK(refused.error() == error{errc::rejected, blame::remote, "the request was dropped"});
  }
}

TEST_CASE("an answer to one node's question lets nobody in at another node") {
  runtime bus;
  auto a = bus.spawn_node({.id = {}, .init = {}, .bounds = patient()});
  auto b = bus.spawn_node({.id = {}, .init = {}, .bounds = patient()});
  auto asks_a = a.deciding_inbox(), asks_b = b.deciding_inbox();
  auto friendly = bus.spawn_node({.id = {}, .init = {}, .bounds = patient()});
  auto stranger = bus.spawn_node({.id = {}, .init = {}, .bounds = patient()});
  const auto at_a = *a.listen("tcp://127.0.0.1:0"), at_b = *b.listen("tcp://127.0.0.1:0");
  auto to_a = std::async(std::launch::async, [&] { return friendly.connect(at_a, patience); });
  auto to_b = std::async(std::launch::async, [&] { return stranger.connect(at_b, patience); });
  const auto for_a = next_event<connection_request>(asks_a);
  const auto for_b = next_event<connection_request>(asks_b);
  REQUIRE(for_a.has_value());
  REQUIRE(for_b.has_value());
  CHECK(for_a->connection == for_b->connection); // each node counts its own

  CHECK_FALSE(b.accept(*for_a));
  CHECK(b.connect(*for_a, patience).error() == errc::not_connected);
  CHECK_FALSE(b.reject(*for_a, "not you"));
  caf::scoped_actor self{bus.system()};
  CHECK_FALSE(asked<bool>(self, b.actor(), decide{for_a->connection, true, {}, for_a->peer}));
  CHECK(refused<node_id>(self, b.actor(), connect_to{for_a->connection, for_a->peer})
        == errc::not_connected);

  CHECK(a.accept(*for_a));
  CHECK(asked<bool>(self, b.actor(), decide{for_b->connection, false, "not you", for_b->peer}));
  CHECK(to_a.get().value_or(node_id{}) == a.id());
  CHECK(to_b.get().error() == error{errc::rejected, blame::remote, "not you"});
}

TEST_CASE("the side to blame is the same by message as by call") {
  runtime bus;
  auto node = bus.spawn_node({.id = {}, .init = {}, .bounds = patient()});
  auto guest = bus.spawn_node({.id = {}, .init = {}, .bounds = patient()});
  auto decides = node.deciding_inbox();
  const auto at = *node.listen("tcp://127.0.0.1:0");
  auto told = std::async(std::launch::async, [&] {
    caf::scoped_actor self{bus.system()};
    return from_caf(refused<node_id>(self, guest.actor(), postbus::connect{at, patience}));
  });
  const auto question = next_event<connection_request>(decides);
  REQUIRE(question.has_value());
  CHECK(node.reject(*question, "not today"));
  CHECK(told.get() == error{errc::rejected, blame::remote, "not today"});
  for (const auto by : {blame::local, blame::remote}) {
    const error what{errc::congested, by, "words"};
    CHECK(from_caf(to_caf(what)) == what);
  }
}
