// Last words: what is sent while `closing` is handled arrives, at a peer and at the node itself; and a
// sender that never stops does not keep a node from closing.
#include "postbus/postbus.hpp"
#include "postbus/tests/support/expect.hpp"

#include <doctest/doctest.h>

#include <future>
#include <thread>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

constexpr int rounds = 10;

/// As long for last words as a slow machine may need.
limits unhurried() {
  limits bounds;
  bounds.closing_time_max = patience;
  return bounds;
}

/// What the program at `from` reads until its node is closed.
std::string words_until_closed(inbox& from) {
  std::string words;
  while (auto next = from.next_message(patience))
    words += next->as<std::string>().value_or("?") + " ";
  return words;
}

/// What comes next there, read beside what the test does; nothing when the node closes before.
std::future<std::string> heard_by(inbox& from) {
  return std::async(std::launch::async, [&from] {
    auto next = from.next_message(patience);
    return next ? next->as<std::string>().value_or("?") : std::string{};
  });
}

} // namespace

TEST_CASE(
  "what an actor sends while it handles closing arrives at the peer and at the node itself") {
  runtime bus({.loops = 2});
  for (int round = 0; round < rounds; ++round) {
    connected_pair of(bus, {}, unhurried());
    auto hears = of.far.inbox();
    auto own = of.near.inbox({.events = false});
    std::promise<std::pair<send_outcome, send_outcome>> said;
    const auto speaker = bus.system().spawn(
      [&said, near = of.near, far = of.far.id()](caf::event_based_actor* self) -> caf::behavior {
        return {[](const connected&) {}, [](const disconnected&) {},
                [&said, near, far](const closing&) {
                  const auto there = near.send(far, "goodbye");
                  const auto here = near.send(near.id(), "myself");
                  said.set_value({there, here});
                },
                [self](closed) { self->quit(); }};
      });
    REQUIRE(of.near.subscribe({.subscriber = speaker, .messages = false}).has_value());
    auto heard = heard_by(hears); // meanwhile: a close waits until the peer's program has it
    REQUIRE(of.near.close(4 * patience).has_value());
    const auto outcomes = said.get_future().get();
    CHECK(outcomes.first == send_outcome::accepted);
    CHECK(outcomes.second == send_outcome::accepted);
    CHECK(words_until_closed(own) == "myself ");
    CHECK(heard.get() == "goodbye");
  }
}

TEST_CASE("a thread that waits in an inbox has last words, too") {
  runtime bus;
  for (int round = 0; round < rounds; ++round) {
    connected_pair of(bus);
    auto hears = of.far.inbox();
    auto events = of.near.inbox({.messages = false});
    auto spoken = std::async(std::launch::async, [&] {
      auto outcome = send_outcome::invalid;
      while (auto event = events.next_event(patience))
        if (std::holds_alternative<closing>(*event))
          outcome = of.near.send(of.far.id(), "goodbye");
      return outcome;
    });
    // It waits again once it has read this one.
    REQUIRE(of.far.disconnect(of.near.id(), {}, patience).has_value());
    REQUIRE(of.near.connect(of.endpoint, patience).has_value());
    auto heard = heard_by(hears);
    REQUIRE(of.near.close(patience).has_value());
    // Whether it was back in time is the machine's affair; what was accepted arrives.
    const auto in_time = spoken.get() == send_outcome::accepted;
    REQUIRE(of.far.close(patience).has_value());
    CHECK(heard.get() == (in_time ? "goodbye" : ""));
  }
}

TEST_CASE("who sends for ever is answered closed in the end, and the node is") {
  runtime bus({.loops = 2});
  connected_pair of(bus);
  auto hears = of.far.inbox();
  std::jthread reader([&] {
    while (hears.next_batch(patience))
      ;
  });
  std::atomic<std::uint64_t> accepted{0};
  std::jthread endless([&] {
    for (;;) {
      const auto outcome = of.near.send(of.far.id(), "more");
      if (outcome == send_outcome::closed)
        return;
      accepted += outcome == send_outcome::accepted ? 1 : 0;
    }
  });
  while (accepted < 1000)
    std::this_thread::yield();
  CHECK(of.near.close(patience).has_value());
  endless.join();
  CHECK(of.far.close(patience).has_value());
}

TEST_CASE("a second close that comes before the node has ended is answered as the first is") {
  for (int round = 0; round < rounds; ++round) {
    runtime bus;
    auto node = bus.spawn_node();
    std::promise<std::string> answers;
    // On the node's loop: both are in its mailbox before it looks at one.
    const auto asks = node.spawn_on_loop([&](caf::event_based_actor* self) -> caf::behavior {
      const auto said = std::make_shared<std::string>();
      const auto add = [&answers, said, self](const std::string& word) {
        if (!std::exchange(*said, *said + word).empty()) {
          answers.set_value(*said);
          self->quit();
        }
      };
      for (int count = 0; count < 2; ++count)
        ask(self, node.actor(), patience, close_node{})
          .then([add](const closed&) { add("closed "); },
                [add](const caf::error& why) { add(render(why) + " "); });
      return {[](int) {}};
    });
    REQUIRE(asks.has_value());
    CHECK(answers.get_future().get() == "closed closed ");
  }
}
