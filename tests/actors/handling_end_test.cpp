// the end of functions that handle requests: once a call says so nothing calls them and none runs, so that what
// they refer to may go; and nothing waits for itself.
#include "postbus/postbus.hpp"
#include "postbus/tests/support/expect.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <latch>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

// So long a call that must wait is given to come back too early.
constexpr auto moment = 200ms;

/// A function that stays in its first call until it is let go, and says whether it runs.
class slow_function {
public:
  std::function<void(const incoming_request&)> function() {
    return [this](const incoming_request& asked) {
      runs_ = true;
      if (calls_++ == 0) {
        entered_.count_down();
        go_.wait();
      }
      asked.respond(0);
      runs_ = false;
    };
  }
  void await_call() { entered_.wait(); }
  void let_go() { go_.count_down(); }
  [[nodiscard]] bool runs() const { return runs_; }
  [[nodiscard]] int calls() const { return calls_; }

private:
  std::latch entered_{1};
  std::latch go_{1};
  std::atomic<bool> runs_{false};
  std::atomic<int> calls_{0};
};

/// Calls `what` on another thread while the function is in its first call, and looks at it when that is back.
struct afterwards {
  template <class Call>
  afterwards(slow_function& slow, Call what) {
    auto back = std::async(std::launch::async, [&] {
      what();
      runs = slow.runs();
      calls = slow.calls();
    });
    static_cast<void>(back.wait_for(moment)); // it cannot be back: the function runs
    slow.let_go();
    REQUIRE(back.wait_for(patience) == std::future_status::ready);
  }
  bool runs = true;
  int calls = 0; // begun
};

errc code_of(const result<reply>& what) {
  return what ? errc::none : what.error().code;
}

} // namespace

TEST_CASE("close waits for a handling function that runs, and none is called behind it") {
  slow_function slow;
  int calls = 0;
  {
    runtime bus;
    const connected_pair pair(bus);
    REQUIRE(pair.far.handle(slow.function()).has_value());
    auto first = pair.near.start_request(pair.far.id(), 1);
    slow.await_call();
    auto second = pair.near.start_request(pair.far.id(), 2);
    const afterwards found(slow, [&] { (void)pair.far.close(0s); });
    CHECK(!found.runs);
    calls = found.calls;
    CHECK(code_of(first.wait(patience)) != errc::timeout);
    CHECK(code_of(second.wait(patience)) != errc::timeout);
  }
  CHECK(slow.calls() == calls);
}

TEST_CASE("a close that drains waits for the call that runs, which may still answer") {
  slow_function slow;
  runtime bus;
  const connected_pair pair(bus);
  REQUIRE(pair.far.handle(slow.function()).has_value());
  auto first = pair.near.start_request(pair.far.id(), 1);
  slow.await_call();
  const afterwards found(slow, [&] { CHECK(pair.far.close(patience).has_value()); });
  CHECK(!found.runs);
  CHECK(code_of(first.wait(patience)) == errc::none);
}

TEST_CASE(
  "stop_handling waits for the call that runs, and what waited for the function has failed") {
  slow_function slow;
  int calls = 0;
  {
    runtime bus;
    const connected_pair pair(bus);
    const auto registered = pair.far.handle(slow.function());
    REQUIRE(registered.has_value());
    auto first = pair.near.start_request(pair.far.id(), 1);
    slow.await_call();
    auto second = pair.near.start_request(pair.far.id(), 2);
    const afterwards found(slow, [&] { pair.far.stop_handling(*registered); });
    CHECK(!found.runs);
    calls = found.calls;
    CHECK(code_of(first.wait(patience)) == errc::none); // the call that ran has answered
    const auto told = code_of(second.wait(patience));
    if (calls == 1) // it may have come behind the end
      CHECK((told == errc::handler_lost || told == errc::no_handler));
    CHECK(code_of(pair.near.request(pair.far.id(), 3)) == errc::no_handler);
    pair.far.stop_handling(*registered); // again, and nothing happens
  }
  CHECK(slow.calls() == calls);
}

TEST_CASE("a runtime in the user's system waits for a handling function that runs") {
  slow_function slow;
  system_config config;
  caf::actor_system system(config);
  auto bus = std::make_unique<runtime>(system, runtime_options{.loops = 1, .close_time = 0s});
  const auto alone = bus->spawn_node();
  REQUIRE(alone.handle(slow.function()).has_value());
  auto first = alone.start_request(alone.id(), 1);
  slow.await_call();
  auto second = alone.start_request(alone.id(), 2);
  const afterwards found(slow, [&] { bus.reset(); });
  CHECK(!found.runs);
  system.await_all_actors_done();
  CHECK(slow.calls() == found.calls);
}

TEST_CASE("what a handling function holds is gone when the call that ended it is back") {
  runtime bus;
  const auto alone = bus.spawn_node();
  auto held = std::make_shared<int>(1);
  const auto registered = alone.handle([held](const incoming_request& asked) { asked.respond(0); });
  REQUIRE(registered.has_value());
  CHECK(code_of(alone.request(alone.id(), 1)) == errc::none);
  alone.stop_handling(*registered);
  CHECK(held.use_count() == 1);
}

TEST_CASE("a handling function may end itself, and close its node") {
  std::promise<handler> itself;
  std::promise<bool> closed_there;
  runtime bus;
  const connected_pair pair(bus);
  const auto registered =
    pair.far.handle([&, own = itself.get_future().share()](const auto& asked) {
      if (asked.template as<int>().value() == 1) {
        pair.far.stop_handling(own.get());
        asked.respond(1);
      }
    });
  REQUIRE(registered.has_value());
  itself.set_value(*registered);
  CHECK(code_of(pair.near.request(pair.far.id(), 1)) == errc::none);
  CHECK(code_of(pair.near.request(pair.far.id(), 2)) == errc::no_handler);
  REQUIRE(pair.far
            .handle([&](const incoming_request& asked) {
              asked.respond(2);
              closed_there.set_value(pair.far.close(0s).has_value());
            })
            .has_value());
  (void)pair.near.start_request(pair.far.id(), 3).wait(patience);
  CHECK(closed_there.get_future().get());
}

TEST_CASE("two functions that close their node at the same time do not wait for each other") {
  std::latch both(2);
  std::promise<bool> closed_by[2];
  runtime bus;
  const auto alone = bus.spawn_node();
  for (std::uint16_t tag = 0; tag < 2; ++tag)
    REQUIRE(alone
              .handle(
                [&, tag](const incoming_request&) {
                  both.arrive_and_wait();
                  closed_by[tag].set_value(alone.close(0s).has_value());
                },
                {tag_range::of(tag)})
              .has_value());
  auto first = alone.start_request(alone.id(), 1, {.tag = std::uint16_t{0}});
  auto second = alone.start_request(alone.id(), 1, {.tag = std::uint16_t{1}});
  for (auto& each : closed_by)
    CHECK(each.get_future().get());
}
