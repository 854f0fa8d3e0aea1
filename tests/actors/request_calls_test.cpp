// calls about requests as they must not mislead: on a loop, with a node that stands still, with keys, tags and
// ranges; and what a stuck handler may hold of requests that nobody waits for.
#include "postbus/postbus.hpp"
#include "postbus/tests/support/expect.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <latch>
#include <thread>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

struct ball {
  int size = 0;
  POSTBUS_MESSAGE(ball, 77, size)
};

errc code_of(const result<reply>& what) {
  return what ? errc::none : what.error().code;
}

/// Calls `what` on a loop and gives what it answers.
template <class Call>
auto on_the_loop(const node& of, Call what) {
  std::promise<decltype(what())> said;
  auto answer = said.get_future();
  const auto guest = of.spawn_on_loop([&](caf::event_based_actor* self) -> caf::behavior {
    said.set_value(what());
    self->quit();
    return {};
  });
  REQUIRE(guest.has_value());
  return answer.get();
}

/// Asks until it is answered in another way than with `not_any_more`.
errc asked_until_no_longer(const node& from, const node_id& to, errc not_any_more) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  auto told = not_any_more;
  while (told == not_any_more && std::chrono::steady_clock::now() < deadline)
    told = code_of(from.request(to, 1, {.within = patience}));
  return told;
}

} // namespace

TEST_CASE("a request on a loop is not sent: it would not be waited for") {
  std::vector<int> seen;
  runtime bus;
  const connected_pair pair(bus);
  REQUIRE(pair.far
            .handle([&](const incoming_request& asked) {
              seen.push_back(asked.as<int>().value_or(-1));
              asked.respond(0);
            })
            .has_value());
  CHECK(on_the_loop(pair.near, [&] { return code_of(pair.near.request(pair.far.id(), 1)); })
        == errc::would_deadlock);
  CHECK(on_the_loop(
          pair.near,
          [&] { return code_of(pair.near.request_bytes(pair.far.id(), payload::copy_of("2"))); })
        == errc::would_deadlock);
  CHECK(code_of(pair.near.request(pair.far.id(), 3)) == errc::none); // behind them, were there any
  CHECK(seen == std::vector<int>{3});
}

TEST_CASE("a request to a node that stands still ends a little behind its time") {
  std::latch goes_on(1);
  std::latch stands(1);
  runtime bus;
  const auto alone = bus.spawn_node();
  REQUIRE(alone
            .spawn_on_loop([&](caf::event_based_actor* self) -> caf::behavior {
              post(caf::actor{self}, 1);
              return {[&, self](int) {
                stands.count_down();
                goes_on.wait();
                self->quit();
              }};
            })
            .has_value());
  stands.wait();
  auto told = std::async(std::launch::async,
                         [&] { return code_of(alone.request(alone.id(), 1, {.within = 1ms})); });
  const auto in_time = told.wait_for(patience) == std::future_status::ready;
  goes_on.count_down();
  CHECK(in_time);
  CHECK(told.get() == errc::timeout);
}

TEST_CASE("a reply is given up on one thread while another waits for it") { // TSan looks at both
  std::vector<incoming_request> kept;
  runtime bus;
  const auto alone = bus.spawn_node();
  REQUIRE(alone.handle([&](const incoming_request& asked) { kept.push_back(asked); }).has_value());
  for (int count = 0; count < 50; ++count) {
    auto waiting = alone.start_request(alone.id(), count);
    std::thread gives_up([&] { waiting.cancel(); });
    CHECK(code_of(waiting.wait(patience)) == errc::canceled);
    waiting.cancel();
    gives_up.join();
    CHECK(code_of(waiting.wait(patience)) == errc::bad_option); // given once
  }
}

TEST_CASE("a range of tags that ends before it begins is no handler's") {
  runtime bus;
  const auto alone = bus.spawn_node();
  const auto nothing = [](const incoming_request&) {};
  CHECK(alone.handle(nothing, {tag_range{20, 10}}).error().code == errc::bad_option);
  CHECK(alone.handle(nothing, {tag_range{1, 2}, tag_range{20, 10}}).error().code
        == errc::bad_option);
  const auto idle = bus.system().spawn(
    [](caf::event_based_actor*) -> caf::behavior { return {[](const incoming_request&) {}}; });
  CHECK(alone.handle({.by = idle, .tags = {tag_range{20, 10}}}).error().code == errc::bad_option);
  CHECK(code_of(alone.request(alone.id(), 1)) == errc::no_handler);
  caf::scoped_actor self{bus.system()};
  std::string told;
  ask(&*self, alone.actor(), patience, handle_requests{idle, {tag_range{20, 10}}})
    .receive([&](const handler&) { told = "a handler"; },
             [&](const caf::error& why) { told = render(why); });
  CHECK(told.find("ends before it begins") != std::string::npos);
}

TEST_CASE("keys of messages without a sender are not those of handles") {
  std::promise<incoming_request> first;
  std::promise<incoming_request> second;
  std::atomic<int> calls{0};
  runtime bus;
  const auto alone = bus.spawn_node();
  REQUIRE(alone
            .handle([&](const incoming_request& asked) {
              (calls++ == 0 ? first : second).set_value(asked);
            })
            .has_value());
  post(alone.actor(),
       send_request{.to = alone.id(), .body = {}, .key = 1}); // as the handle's first
  const auto anonymous = first.get_future().get();
  auto waiting = alone.start_request(alone.id(), 1);
  const auto asked = second.get_future().get();
  post(alone.actor(), cancel_request{1}); // the one without a sender
  while (!anonymous.is_called_off())
    std::this_thread::yield();
  CHECK(!asked.is_called_off());
  CHECK(asked.respond(5));
  CHECK(code_of(waiting.wait(patience)) == errc::none);
}

TEST_CASE("a request carries the tag of its type, unless another is named") {
  runtime bus;
  const auto alone = bus.spawn_node();
  REQUIRE(alone
            .handle(
              [](const incoming_request& asked) {
                if (const auto thrown = asked.as<ball>())
                  asked.respond(thrown->size);
              },
              {tag_range::of(tag_of<ball>())})
            .has_value());
  const auto told = alone.request(alone.id(), ball{5});
  REQUIRE(told.has_value());
  CHECK(told->as<int>().value() == 5);
  CHECK(code_of(alone.start_request(alone.id(), ball{5}).wait(patience)) == errc::none);
  CHECK(code_of(alone.request(alone.id(), ball{5}, {.tag = std::uint16_t{0}})) == errc::no_handler);
  CHECK(code_of(alone.request(alone.id(), 5)) == errc::no_handler);
  CHECK(code_of(alone.request(alone.id(), 5, {.tag = std::uint16_t{77}})) == errc::handler_lost);
  CHECK(send_request::of(alone.id(), ball{1})->tag == 77);
  CHECK(send_request::of(alone.id(), ball{1}, std::uint16_t{3})->tag == 3);
}

TEST_CASE("a program on the loop decides who may connect") {
  std::atomic<int> passed_on{0};
  runtime bus;
  const auto door = bus.spawn_node();
  const auto at = door.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  const auto welcome = bus.spawn_node();
  const auto unwelcome = bus.spawn_node();
  const auto porter = door.spawn_on_loop([&](caf::event_based_actor*) -> caf::behavior {
    return {[&](const connection_request& asks) {
      passed_on += asks.peer == welcome.id() ? door.accept(asks) : door.reject(asks, "not you");
    }};
  });
  REQUIRE(porter.has_value());
  REQUIRE(door.subscribe({.subscriber = *porter, .events = false, .decides = true}).has_value());
  CHECK(welcome.connect(*at, patience).has_value());
  const auto refused = unwelcome.connect(*at, patience);
  REQUIRE(!refused.has_value());
  CHECK(refused.error() == error{errc::rejected, blame::remote, "not you"});
  CHECK(passed_on == 2);
}

TEST_CASE(
  "on a loop it is not said that a node did not listen, or did not keep, when nobody looked") {
  runtime bus;
  const auto alone = bus.spawn_node();
  const auto at = alone.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  const auto told = on_the_loop(alone, [&] {
    return std::pair(alone.stop_listening(*at).error().code, alone.stop_keeping(*at).error().code);
  });
  CHECK(told.first == errc::would_deadlock);
  CHECK(told.second == errc::would_deadlock);
  CHECK(alone.stop_keeping(*at).error().code == errc::bad_option);
  CHECK(alone.stop_listening(*at).has_value());
  CHECK(alone.stop_listening(*at).error().code == errc::bad_option);
}

TEST_CASE("an actor that handles in several ways is forgotten in all of them when it ends") {
  runtime bus;
  const auto alone = bus.spawn_node();
  auto doomed = bus.system().spawn([](caf::event_based_actor* self) -> caf::behavior {
    return {[self](const incoming_request& asked) {
      if (asked.tag() == 9)
        self->quit();
      else
        asked.respond(0);
    }};
  });
  for (const auto tag : {std::uint16_t{1}, std::uint16_t{2}, std::uint16_t{9}})
    REQUIRE(alone.handle({.by = doomed, .tags = {tag_range::of(tag)}}).has_value());
  REQUIRE(alone.subscribe({.subscriber = doomed}).has_value());
  doomed = nullptr;
  const auto told = [&](std::uint16_t tag) {
    return code_of(alone.request(alone.id(), 1, {.tag = tag, .within = patience}));
  };
  CHECK(told(1) == errc::none);
  CHECK(told(2) == errc::none);
  CHECK(told(9) == errc::handler_lost);
  auto last = errc::none;
  while ((last = told(1)) == errc::handler_lost) { // its end is on its way to the node
  }
  CHECK(last == errc::no_handler);
  CHECK(told(2) == errc::no_handler);
  CHECK(told(9) == errc::no_handler);
}

TEST_CASE("functions that ask back through an actor do not lock, a hundred requests at a time") {
  runtime bus;
  const connected_pair pair(bus);
  // Asks back, with one less, and answers with one more than it is told. It never waits.
  const auto asking = [&](const node& of) {
    return bus.system().spawn([of](caf::event_based_actor* self) -> caf::behavior {
      return {[self, of](const incoming_request& order) {
        auto back = send_request::of(order.from(), order.as<int>().value() - 1);
        back->within = patience;
        ask(self, of.actor(), 5s, std::move(*back)) // its clock keeps the actor so long
          .then([order](const reply& told) { order.respond(told.as<int>().value() + 1); },
                [order](const caf::error& why) { order.fail(1, render(why)); });
      }};
    });
  };
  const auto asks_back = [](const caf::actor& through) {
    return [through](const incoming_request& order) {
      if (order.as<int>().value() == 0)
        order.respond(1);
      else
        post(through, order);
    };
  };
  REQUIRE(pair.near.handle(asks_back(asking(pair.near))).has_value());
  REQUIRE(pair.far.handle(asks_back(asking(pair.far))).has_value());
  while (!pair.far.is_connected(pair.near.id())) // the side that listens is open a little later
    std::this_thread::yield();
  std::vector<pending_reply> waiting;
  for (int count = 0; count < 100; ++count) {
    waiting.push_back(pair.near.start_request(pair.far.id(), 3, {.within = patience}));
    waiting.push_back(pair.far.start_request(pair.near.id(), 3, {.within = patience}));
  }
  for (auto& each : waiting)
    CHECK(each.wait(patience).value_or(reply{}).as<int>().value_or(0) == 4);
  CHECK(pair.near.close().has_value());
  CHECK(pair.far.close().has_value());
}

TEST_CASE("requests that nobody waits for fill no stuck handler's mailbox beyond the bounds") {
  std::latch goes_on(1);
  limits bounds;
  bounds.requests_in_flight_max = 10;
  runtime bus;
  const connected_pair pair(bus, bounds);
  REQUIRE(pair.far
            .handle([&](const incoming_request& asked) {
              goes_on.wait();
              asked.respond(0);
            })
            .has_value());
  const auto body = payload::copy_of(std::string(100'000, 'x'));
  // While the last one's end is not told there it is congested here, which says so in words.
  const auto is_turned_away_there = [](const result<reply>& told) {
    return code_of(told) == errc::congested && told.error().detail.empty();
  };
  const auto deadline = std::chrono::steady_clock::now() + patience;
  bool turned_away = false;
  while (!turned_away && std::chrono::steady_clock::now() < deadline)
    turned_away =
      is_turned_away_there(pair.near.request_bytes(pair.far.id(), body, {.within = 20ms}));
  CHECK(turned_away);
  CHECK(pair.far.statistics(patience)->connections.at(0).requests_open == 0);
  goes_on.count_down();
  CHECK(asked_until_no_longer(pair.near, pair.far.id(), errc::congested) == errc::none);
}
