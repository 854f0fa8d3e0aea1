// Actors of the user's on a node's loop.
#include "postbus/actors/loop.hpp"
#include "postbus/postbus.hpp"
#include "postbus/tests/support/expect.hpp"

#include <doctest/doctest.h>

#include <future>
#include <thread>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

template <class T>
T value_of(std::future<T> promised) {
  REQUIRE(promised.wait_for(patience) == std::future_status::ready);
  return promised.get();
}

} // namespace

TEST_CASE("an actor on the loop hears and sends there, on one thread") {
  runtime bus;
  connected_pair pair(bus);
  std::promise<std::thread::id> first_message_on, asked_on;
  const auto echo = pair.far.spawn_on_loop([&](caf::event_based_actor*) -> caf::behavior {
    return {
      [&, heard = false](const message& what) mutable {
        if (!std::exchange(heard, true))
          first_message_on.set_value(std::this_thread::get_id());
        CHECK(actors::loop::on_any());
        pair.far.send(what.from(), what.as<int>().value_or(-1));
      },
      [&](int) { asked_on.set_value(std::this_thread::get_id()); },
    };
  });
  REQUIRE(echo.has_value());
  REQUIRE(pair.far.subscribe({.subscriber = *echo, .events = false}).has_value());
  auto inbox = pair.near.inbox();
  for (int number = 0; number < 100; ++number) {
    REQUIRE(pair.near.send(pair.far.id(), number) == send_outcome::accepted);
    const auto back = inbox.next_message(patience);
    REQUIRE(back.has_value());
    CHECK(back->as<int>().value_or(-1) == number);
  }
  post(*echo, 1);
  CHECK(value_of(asked_on.get_future()) == value_of(first_message_on.get_future()));
}

TEST_CASE("an actor on the loop outlives its node and ends with the runtime") {
  std::promise<void> ended;
  auto hears_closed = std::make_shared<std::promise<void>>();
  {
    runtime bus;
    auto node = bus.spawn_node();
    const auto guest = node.spawn_on_loop([=](caf::event_based_actor*) -> caf::behavior {
      return {[=](const closed&) { hears_closed->set_value(); }, [](const closing&) {}};
    });
    REQUIRE(guest.has_value());
    (*guest)->attach_functor([&] { ended.set_value(); });
    REQUIRE(node.subscribe({.subscriber = *guest, .messages = false}).has_value());
    REQUIRE(node.close().has_value());
    value_of(hears_closed->get_future());

    const auto late =
      node.spawn_on_loop([](caf::event_based_actor*) -> caf::behavior { return {[](int) {}}; });
    REQUIRE(!late.has_value());
    CHECK(late.error().code == errc::node_closed);
  }
  value_of(ended.get_future());
}

TEST_CASE("an actor on the loop that ends by itself is not waited for") {
  runtime bus;
  auto node = bus.spawn_node();
  std::promise<void> ended;
  const auto guest = node.spawn_on_loop(
    [](caf::event_based_actor* self) -> caf::behavior { return {[=](int) { self->quit(); }}; });
  REQUIRE(guest.has_value());
  (*guest)->attach_functor([&] { ended.set_value(); });
  post(*guest, 1);
  value_of(ended.get_future());
}

TEST_CASE("no actor is spawned on a loop without a function") {
  runtime bus;
  CHECK(bus.spawn_node().spawn_on_loop({}).error().code == errc::bad_option);
}

TEST_CASE("no actor is spawned on a loop from a loop") {
  runtime bus;
  auto node = bus.spawn_node();
  std::promise<errc> answered;
  const auto guest = node.spawn_on_loop([&](caf::event_based_actor*) -> caf::behavior {
    return {[&](int) {
      const auto made = node.spawn_on_loop([](caf::event_based_actor*) { return caf::behavior{}; });
      answered.set_value(made ? errc::closed : made.error().code);
    }};
  });
  REQUIRE(guest.has_value());
  post(*guest, 1);
  CHECK(value_of(answered.get_future()) == errc::would_deadlock);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations" // in CAF 1.x, where it still works
TEST_CASE("an actor on the loop that does not heed its exit ends with the runtime all the same") {
  runtime bus({.loops = 1, .close_time = 0s});
  auto node = bus.spawn_node();
  const auto guest = node.spawn_on_loop([](caf::event_based_actor* self) -> caf::behavior {
    self->set_exit_handler([](caf::exit_msg&) {});
    return {[](int) {}};
  });
  REQUIRE(guest.has_value());
}
#pragma GCC diagnostic pop

TEST_CASE("a runtime made on a thread that knows another system ends on any thread") {
  system_config other;
  caf::actor_system knows_this_thread{other};
  caf::scoped_actor self{knows_this_thread};
  auto bus = std::make_unique<runtime>();
  auto ended = std::async(std::launch::async, [&] { bus.reset(); });
  REQUIRE(ended.wait_for(patience) == std::future_status::ready);
}
