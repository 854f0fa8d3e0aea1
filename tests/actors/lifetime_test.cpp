// Who outlives whom: runtimes inside and beside each other, systems of the user's, actors that go on, threads
// in the midst of a call, loops on which somebody stays. Where the wrong order would not end, a process of
// its own shows what happens.
#include "postbus/actors/loop.hpp"
#include "postbus/postbus.hpp"
#include "postbus/tests/actors/child_program.hpp"
#include "postbus/tests/support/expect.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <thread>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

bool is_over(const std::future<void>& what, duration within = patience) {
  return what.wait_for(within) == std::future_status::ready;
}

void end(const caf::actor& who) {
  caf::anon_send_exit(who, caf::exit_reason::user_shutdown);
}

} // namespace

TEST_CASE("a runtime may be destroyed on another thread than the one that made it") {
  auto bus = std::make_unique<runtime>(ends_soon);
  connected_pair pair(*bus, brief(), brief());
  auto inbox = pair.far.inbox();
  std::thread([gone = std::move(bus)]() mutable { gone.reset(); }).join();
  while (inbox.next_event(patience)) {
  }
  CHECK(inbox.next(patience).error() == errc::node_closed);
  CHECK(pair.near.send(pair.far.id(), 1) == send_outcome::closed);
}

TEST_CASE("a thread that has spawned a node may go on when the runtime is destroyed elsewhere") {
  auto bus = std::make_unique<runtime>(ends_soon);
  std::promise<node> spawned;
  std::promise<void> destroyed;
  std::thread goes_on([&, gone = destroyed.get_future()] {
    spawned.set_value(bus->spawn_node());
    CHECK(is_over(gone));
  });
  const auto node = spawned.get_future().get();
  bus.reset();
  destroyed.set_value();
  goes_on.join();
  CHECK(node.close().has_value());
}

TEST_CASE("threads in the midst of every call are answered when the runtime is destroyed") {
  for (int round = 0; round < (sanitized ? 3 : 10); ++round) {
    CAPTURE(round);
    std::optional<runtime> bus(std::in_place, ends_soon);
    std::optional<connected_pair> pair(std::in_place, *bus, brief(), brief());
    const auto near = pair->near, far = pair->far;
    const auto endpoint = pair->endpoint;
    pair.reset();
    const auto to = far.id();
    // Each does its call over and over, until it is answered that the node is closed.
    std::vector<std::function<bool()>> calls = {
      [=] { return near.send(to, "text") == send_outcome::closed; },
      [=] { return near.send(to, "text", {.within = patience}) == send_outcome::closed; },
      [=, out = near.to(to)]() mutable { return out.send(1) == send_outcome::closed; },
      [=, out = far.to(near.id())]() mutable {
        return out.send_bytes(payload::copy_of(std::string(20'000, 'x'))) == send_outcome::closed;
      },
      [=] {
        const auto peer = near.connect(endpoint);
        return !peer && peer.error() == errc::node_closed;
      },
      [=] {
        const auto at = near.listen("tcp://127.0.0.1:0");
        return !at && at.error() == errc::node_closed;
      },
      [from = std::make_shared<inbox>(far.inbox())] {
        const auto next = from->next(patience);
        return !next && next.error() == errc::node_closed;
      },
      [=] {
        const auto next = far.inbox().next_batch(1ms);
        return !next && next.error() == errc::node_closed;
      },
      [=] { return !near.actor() && !near.accept({}) && !near.reject({}, "no"); },
      [=] {
        near.unsubscribe(subscription{1'000});
        return !near.actor();
      },
    };
    std::atomic<std::size_t> begun{0};
    std::vector<std::thread> threads;
    for (auto& each : calls)
      threads.emplace_back([&begun, call = std::move(each)]() mutable {
        bool over = call();
        for (++begun; !over; over = call())
          std::this_thread::yield();
      });
    const auto deadline = std::chrono::steady_clock::now() + patience;
    const auto wanted = calls.size() - 1; // one waits for a message that may not have come
    while (begun < wanted && std::chrono::steady_clock::now() < deadline)
      std::this_thread::yield();
    CHECK(begun >= wanted);
    bus.reset();
    for (auto& each : threads)
      each.join();
  }
}

TEST_CASE("threads that close a node while its runtime is destroyed are answered, too") {
  for (int round = 0; round < 10; ++round) {
    std::optional<runtime> bus(std::in_place, ends_soon);
    std::vector<std::thread> threads;
    for (int each = 0; each < 4; ++each)
      threads.emplace_back([of = bus->spawn_node()] { CHECK(of.close(duration(0)).has_value()); });
    bus.reset();
    for (auto& each : threads)
      each.join();
  }
}

TEST_CASE("runtimes inside and beside each other end in any order, and their peers are told") {
  for (const bool inner_first : {true, false})
    for (const bool own_system : {true, false}) {
      CAPTURE(inner_first);
      CAPTURE(own_system);
      system_config config;
      caf::actor_system system{config};
      std::optional<runtime> outer(std::in_place, system, ends_soon);
      auto far = outer->spawn_node({.id = {}, .init = {}, .bounds = brief()});
      auto told_far = far.inbox();
      const auto at = far.listen("tcp://127.0.0.1:0");
      REQUIRE(at.has_value());
      std::optional<runtime> inner;
      own_system ? inner.emplace(ends_soon) : inner.emplace(system, ends_soon);
      auto near = inner->spawn_node({.id = {}, .init = {}, .bounds = brief()});
      auto told_near = near.inbox();
      REQUIRE(near.connect(*at).has_value());
      REQUIRE(next_event<connected>(told_far).has_value());
      (inner_first ? inner : outer).reset();
      const auto end = next_event<disconnected>(inner_first ? told_far : told_near);
      REQUIRE(end.has_value());
      CHECK(end->reason.code == errc::shutting_down);
      CHECK(end->reason.by == blame::remote);
      CHECK(next_event<closed>(inner_first ? told_near : told_far).has_value());
      // Who is left goes on.
      auto& left = inner_first ? outer : inner;
      CHECK(left->spawn_node().listen("tcp://127.0.0.1:0").has_value());
    }
}

TEST_CASE("an actor of the user's system may outlive the runtime, and its handles answer") {
  system_config config;
  caf::actor_system system{config};
  std::promise<send_outcome> answered;
  std::promise<void> told_closed;
  caf::actor stays;
  {
    runtime bus{system, ends_soon};
    const auto node = bus.spawn_node();
    stays = system.spawn([&, node](caf::event_based_actor*) -> caf::behavior {
      return {
        [](const closing&) {},
        [&](const closed&) { told_closed.set_value(); },
        [&, node](int) { answered.set_value(node.send(node_id::random(), 1)); },
      };
    });
    REQUIRE(node.subscribe({.subscriber = stays}).has_value());
  }
  CHECK(is_over(told_closed.get_future()));
  post(stays, 1);
  CHECK(answered.get_future().get() == send_outcome::closed);
  end(stays);
}

TEST_CASE(
  "a subscriber that nobody holds ends with its node, and its runtime's own system with it") {
  std::promise<void> ended;
  {
    runtime bus(ends_soon);
    auto node = bus.spawn_node();
    auto who = bus.system().spawn(
      [](caf::event_based_actor*) -> caf::behavior { return {[](const message&) {}}; });
    who->attach_functor([&] { ended.set_value(); });
    REQUIRE(node.subscribe({.subscriber = who, .events = false}).has_value());
  }
  CHECK(is_over(ended.get_future(), 0s));
}

TEST_CASE("a runtime with a system of its own waits for the actors that were spawned there") {
  auto bus = std::make_unique<runtime>(ends_soon);
  auto works =
    bus->system().spawn([](caf::event_based_actor*) -> caf::behavior { return {[](int) {}}; });
  std::promise<void> destroyed;
  std::thread ends_later([&, gone = destroyed.get_future()] {
    CHECK_FALSE(is_over(gone, 200ms));
    end(works);
  });
  bus.reset();
  destroyed.set_value();
  ends_later.join();
}

TEST_CASE("an actor of the user's system may destroy the runtime") {
  system_config config;
  caf::actor_system system{config};
  auto bus = std::make_shared<std::optional<runtime>>(std::in_place, system, ends_soon);
  auto kept = (*bus)->spawn_node();
  auto owner = system.spawn([&](caf::event_based_actor* self) -> caf::behavior {
    return {[self, bus](int) {
      bus->reset();
      self->quit();
    }};
  });
  std::promise<void> ended;
  owner->attach_functor([&] { ended.set_value(); });
  post(owner, 1);
  CHECK(is_over(ended.get_future()));
  CHECK(kept.listen("tcp://127.0.0.1:0").error() == errc::node_closed);
}

// -- loops on which somebody stays ----------------------------------------------------------

namespace {

class endless final : public actors::bound<caf::event_based_actor> {
public:
  endless(caf::actor_config& config, actors::loop& home, std::promise<int>& served)
    : bound(config, home), served_(served) {}
  caf::behavior make_behavior() override {
    return {[this](int number) { served_.set_value(number); }};
  }

private:
  void leave() override {}
  std::promise<int>& served_;
};

/// An actor on the loop of `of` that will not be told to end.
caf::actor stubborn_guest(const node& of) {
  auto made = of.spawn_on_loop([](caf::event_based_actor* self) -> caf::behavior {
    self->set_exit_handler([](caf::exit_msg&) {});
    return {[](int) {}, [](const message&) {}};
  });
  REQUIRE(made.has_value());
  return *made;
}

} // namespace

TEST_CASE("a loop on which an actor stays is not given up: it says so and goes on") {
  system_config config;
  caf::actor_system system{config};
  actors::loop home(system);
  std::promise<int> served;
  auto stays = actors::spawn_on<endless>(system, home, std::ref(served));
  CHECK_FALSE(home.finish(50ms));
  post(stays, 7);
  CHECK(awaited(served.get_future()) == 7);
  CHECK_FALSE(home.finish(50ms));
  end(stays);
  CHECK(home.finish(patience));
  CHECK(home.finish(0s));
  post(stays, 1); // and nobody is touched who is gone
}

TEST_CASE("an actor on a loop that does not want to end is ended, and its handle may stay") {
  caf::actor kept;
  {
    system_config config;
    caf::actor_system system{config};
    {
      runtime bus{system, ends_soon};
      connected_pair pair(bus, brief(), brief());
      kept = stubborn_guest(pair.far);
      REQUIRE(pair.far.subscribe({.subscriber = kept, .events = false}).has_value());
      CHECK(pair.near.send(pair.far.id(), 1) == send_outcome::accepted);
    }
    post(kept, 1);
  }
}

TEST_CASE("a runtime whose loop is blocked for ever ends, and leaves the loop as it is") {
  if (!long_tests())
    return; // takes as long as everything that is tried before
  system_config config;
  caf::actor_system system{config};
  std::promise<void> free;
  std::promise<void> blocked;
  auto gone = free.get_future().share();
  {
    runtime bus{system, ends_soon};
    auto node = bus.spawn_node();
    const auto guest = node.spawn_on_loop([&, gone](caf::event_based_actor*) -> caf::behavior {
      return {[&, gone](int) {
        blocked.set_value();
        gone.wait();
      }};
    });
    REQUIRE(guest.has_value());
    post(*guest, 1);
    REQUIRE(is_over(blocked.get_future()));
  }
  free.set_value(); // now it goes on, and ends, before the system does
}

// -- orders that need a process of their own ---------------------------------------------------

TEST_CASE("role: a system goes before its runtime" * doctest::skip()) {
  if (!parent_program::present())
    return;
  parent_program parent;
  system_config config;
  auto system = std::make_unique<caf::actor_system>(config);
  runtime bus{*system, ends_soon};
  std::optional<node> open;
  if (parent.hear(patience) == "with an open node")
    open = bus.spawn_node();
  parent.tell("begins");
  system.reset();
  parent.tell("the system is gone");
}

TEST_CASE("a system without an open node may go before its runtime") {
  child_program child("role: a system goes before its runtime");
  child.tell("without");
  REQUIRE(child.hear(patience).value_or("") == "begins");
  CHECK(child.hear(patience).value_or("") == "the system is gone");
  CHECK(child.wait() == 0);
}

// On the thread that would destroy the runtime next, that is for ever: the order is not allowed.
TEST_CASE("a system waits for the nodes in it, and so never goes before them") {
  child_program child("role: a system goes before its runtime");
  child.tell("with an open node");
  REQUIRE(child.hear(patience).value_or("") == "begins");
  CHECK(child.wait(300ms) == -SIGKILL); // was there still, and had to be ended
  CHECK_FALSE(child.hear(0s).has_value());
}

TEST_CASE("role: handles live as long as the process" * doctest::skip()) {
  if (!parent_program::present())
    return;
  static std::optional<node> of;
  static std::optional<inbox> from;
  static std::optional<message> kept;
  static payload body;
  static node_actor asked;
  runtime bus(ends_soon);
  connected_pair pair(bus, brief(), brief());
  of.emplace(pair.near);
  from.emplace(pair.far.inbox());
  CHECK(pair.near.send(pair.far.id(), "kept") == send_outcome::accepted);
  kept.emplace(*from->next_message(patience));
  body = kept->body();
}

TEST_CASE("handles may be left to the end of the process") {
  child_program child("role: handles live as long as the process");
  CHECK(child.wait() == 0);
}

TEST_CASE("role: a runtime is destroyed on its loop" * doctest::skip()) {
  if (!parent_program::present())
    return;
  auto bus = std::make_shared<std::optional<runtime>>(std::in_place, ends_soon);
  auto node = (*bus)->spawn_node();
  const auto guest = node.spawn_on_loop(
    [=](caf::event_based_actor*) -> caf::behavior { return {[=](int) { bus->reset(); }}; });
  post(*guest, 1);
  std::promise<void>().get_future().wait_for(patience);
}

TEST_CASE("a runtime that is destroyed on its loop says so and aborts, and does not hang") {
  child_program child("role: a runtime is destroyed on its loop", true);
  CHECK(child.wait() == -SIGABRT);
}
