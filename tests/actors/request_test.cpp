// requests between real nodes: threads, actors and functions that ask and handle, answers now and later,
// cancellation, ends of every kind; and what must not lock.
#include "postbus/postbus.hpp"
#include "postbus/tests/support/expect.hpp"

#include <doctest/doctest.h>

#include <future>
#include <mutex>
#include <thread>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

/// Keeps requests until it is told to answer.
class keeper {
public:
  explicit keeper(const node& of) {
    REQUIRE(of.handle([this](const incoming_request& asked) {
                std::lock_guard guard(mutex_);
                kept_.push_back(asked);
                arrived_.notify_all();
              })
              .has_value());
  }
  /// The request number `index`, once it is there.
  incoming_request operator[](std::size_t index) {
    std::unique_lock guard(mutex_);
    REQUIRE(arrived_.wait_for(guard, patience, [&] { return kept_.size() > index; }));
    return kept_[index];
  }
  void drop() {
    std::vector<incoming_request> gone;
    std::lock_guard guard(mutex_);
    gone.swap(kept_);
  }

private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<incoming_request> kept_;
};

/// Waits until it is called off.
bool is_called_off(const incoming_request& asked) {
  return eventually([&] { return asked.is_called_off(); });
}

} // namespace

TEST_CASE("a thread asks a function: values both ways, tags, and a no with its code and words") {
  runtime bus;
  connected_pair of(bus);
  REQUIRE(of.far
            .handle([&](const incoming_request& asked) {
              CHECK(asked.from() == of.near.id());
              const auto number = asked.as<int>();
              if (!number)
                asked.fail(400, "not a number");
              else
                asked.respond(*number + 1, {.tag = 5});
            })
            .has_value());
  const auto good = of.near.request(of.far.id(), 41, {.tag = 3});
  REQUIRE(good.has_value());
  CHECK(good->as<int>().value() == 42);
  CHECK(good->tag == 5);
  CHECK(!good->opaque);
  const auto bad = of.near.request(of.far.id(), "text");
  REQUIRE(bad.has_value());
  REQUIRE(bad->failure.has_value());
  CHECK(*bad->failure == request_failure{400, "not a number"});
  CHECK(bad->as<int>().error() == error{errc::request_failed, blame::remote, "not a number"});
}

TEST_CASE("bytes of every size come and go") {
  runtime bus;
  connected_pair of(bus);
  REQUIRE(of.far
            .handle([](const incoming_request& asked) {
              CHECK(asked.is_opaque());
              asked.respond_bytes(asked.body());
            })
            .has_value());
  for (const std::size_t size : {0u, 1u, 1000u, 100'000u, 5'000'000u}) {
    CAPTURE(size);
    const auto bytes = payload::copy_of(std::string(size, 'x'));
    const auto told = of.near.request_bytes(of.far.id(), bytes, {.tag = 0, .within = patience});
    REQUIRE(told.has_value());
    CHECK(told->opaque);
    CHECK(told->body == bytes);
  }
}

TEST_CASE(
  "the handler that was registered first for a tag has it; without one it is told at once") {
  runtime bus;
  connected_pair of(bus);
  const auto says = [](std::string_view words) {
    return [words](const incoming_request& asked) { asked.respond(words); };
  };
  const auto first = of.far.handle(says("first"), {tag_range{10, 20}});
  REQUIRE(of.far.handle(says("second"), {tag_range{15, 30}, tag_range::of(40)}).has_value());
  const auto said = [&](std::uint16_t tag) {
    const auto told = of.near.request(of.far.id(), 0, {.tag = tag, .within = patience});
    return told ? std::string(told->as<std::string>().value())
                : std::string(to_string(told.error().code));
  };
  CHECK(said(9) == "no_handler");
  CHECK(said(10) == "first");
  CHECK(said(20) == "first");
  CHECK(said(21) == "second");
  CHECK(said(40) == "second");
  CHECK(said(41) == "no_handler");
  of.far.stop_handling(*first);
  CHECK(said(12) == "no_handler");
  CHECK(said(17) == "second");
}

TEST_CASE("an actor asks an actor, which answers later and from elsewhere") {
  runtime bus;
  connected_pair of(bus);
  auto& system = bus.system();
  std::promise<incoming_request> passed_on;
  const auto handling = system.spawn([&](caf::event_based_actor*) -> caf::behavior {
    return {[&](const incoming_request& asked) { passed_on.set_value(asked); }};
  });
  REQUIRE(of.far.handle({.by = handling}).has_value());
  std::promise<int> told;
  system.spawn([&](caf::event_based_actor* self) {
    auto what = send_request::of(of.far.id(), 20);
    ask(self, of.near.actor(), patience, std::move(*what))
      .then([&](const reply& good) { told.set_value(good.as<int>().value()); },
            [&](const caf::error&) { told.set_value(-1); });
  });
  const auto asked = awaited(passed_on.get_future());
  std::thread([asked] { asked.respond(asked.as<int>().value() * 2); }).join();
  CHECK(awaited(told.get_future()) == 40);
}

TEST_CASE("a node asks itself without any connection") {
  runtime bus;
  const auto alone = bus.spawn_node();
  CHECK(code_of(alone.request(alone.id(), 1)) == errc::no_handler);
  keeper kept(alone);
  auto waiting = alone.start_request(alone.id(), "me");
  CHECK(kept[0].from() == alone.id());
  CHECK(kept[0].respond("myself"));
  CHECK(waiting.wait(patience)->as<std::string>().value() == "myself");
  CHECK(code_of(alone.request(alone.id(), 1, {.tag = 0, .within = 20ms})) == errc::timeout);
  CHECK(is_called_off(kept[1]));
  auto another = alone.start_request(alone.id(), 2);
  CHECK(!kept[2].is_called_off());
  CHECK(alone.close().has_value());
  CHECK(code_of(another.wait(patience)) == errc::node_closed);
  CHECK(kept[2].is_called_off());
}

TEST_CASE("who is not there is told at once; what is too large, and too late, too") {
  limits bounds;
  bounds.frame_bytes_max = 20'000;
  runtime bus;
  connected_pair of(bus, bounds, bounds);
  CHECK(code_of(of.near.request(node_id::random(), 1)) == errc::not_connected);
  const auto large = payload::copy_of(std::string(20'000, 'x'));
  CHECK(code_of(of.near.request_bytes(of.far.id(), large)) == errc::too_large);
  CHECK(code_of(of.near.request(of.far.id(), 1, {.tag = 0, .within = 0s})) == errc::timeout);
}

TEST_CASE("a handler that throws, or lets the request fall, has failed, and is asked again") {
  runtime bus;
  connected_pair of(bus);
  int calls = 0;
  REQUIRE(of.far
            .handle([&](const incoming_request& asked) {
              if (++calls == 1)
                throw std::runtime_error("out of paper");
              if (calls == 2)
                throw 7; // NOLINT(hicpp-exception-baseclass): as bad as it gets
              if (calls == 4)
                asked.respond("here");
            })
            .has_value());
  const auto first = of.near.request(of.far.id(), 1);
  REQUIRE(!first.has_value());
  CHECK(first.error() == error{errc::handler_lost, blame::remote, "out of paper"});
  CHECK(code_of(of.near.request(of.far.id(), 2)) == errc::handler_lost);
  CHECK(code_of(of.near.request(of.far.id(), 3)) == errc::handler_lost);
  CHECK(of.near.request(of.far.id(), 4).value().as<std::string>().value() == "here");
}

TEST_CASE("an actor that dies has failed what it had, and has no more requests") {
  runtime bus;
  connected_pair of(bus);
  auto doomed = bus.system().spawn([](caf::event_based_actor* self) -> caf::behavior {
    return {[self](const incoming_request& asked) {
      if (asked.text() == "die")
        self->quit();
    }};
  });
  REQUIRE(of.far.handle({.by = doomed}).has_value());
  doomed = nullptr;
  CHECK(code_of(of.near.request_bytes(of.far.id(), payload::copy_of(std::string_view("die"))))
        == errc::handler_lost);
  // Its end is told to the node behind the answer: at some time there is no handler any more.
  errc told = errc::none;
  (void)eventually([&] {
    told = code_of(of.near.request(of.far.id(), 1));
    return told != errc::handler_lost;
  });
  CHECK(told == errc::no_handler);
}

TEST_CASE("a request that is given up is called off there, and the thread hears so") {
  runtime bus;
  connected_pair of(bus);
  keeper kept(of.far);
  auto waiting = of.near.start_request(of.far.id(), 1);
  const auto asked = kept[0];
  CHECK(waiting.wait(1ms).error().code == errc::timeout); // not there yet
  waiting.cancel();
  CHECK(code_of(waiting.wait(patience)) == errc::canceled);
  CHECK(is_called_off(asked));
  CHECK(!asked.respond(5));
  {
    auto dropped = of.near.start_request(of.far.id(), 2);
    (void)kept[1];
  }
  CHECK(is_called_off(kept[1]));
  CHECK(code_of(of.near.request(of.far.id(), 3, {.tag = 0, .within = 20ms})) == errc::timeout);
  CHECK(is_called_off(kept[2]));
}

TEST_CASE("an actor gives its request up by its key, and the handling actor hears of it") {
  runtime bus;
  connected_pair of(bus);
  auto& system = bus.system();
  std::promise<std::uint64_t> asked;
  std::promise<std::uint64_t> called_off;
  incoming_request kept;
  const auto handling = system.spawn([&](caf::event_based_actor*) -> caf::behavior {
    return {[&](const incoming_request& one) {
              kept = one;
              asked.set_value(one.number());
            },
            [&](const request_called_off& off) { called_off.set_value(off.number); }};
  });
  REQUIRE(of.far.handle({.by = handling, .tags = {}, .tell_called_off = true}).has_value());
  std::promise<std::string> told;
  const auto asking = system.spawn([&](caf::event_based_actor* self) -> caf::behavior {
    send_request what{.to = of.far.id(), .body = {}, .key = 7};
    ask(self, of.near.actor(), patience, what)
      .then([&](const reply&) { told.set_value("a reply"); },
            [&](const caf::error& why) { told.set_value(render(why)); });
    return {[&, self](int) {
      ask(self, of.near.actor(), patience, cancel_request{7})
        .then([](bool was_open) { CHECK(was_open); }, [](const caf::error&) { CHECK(false); });
    }};
  });
  const auto number = awaited(asked.get_future());
  post(asking, 1);
  CHECK(awaited(told.get_future()).find("canceled") != std::string::npos);
  CHECK(awaited(called_off.get_future()) == number);
  for (const auto& each : {asking, handling}) // else they stay as long as the request might have
    caf::anon_send_exit(each, caf::exit_reason::user_shutdown);
}

TEST_CASE("a connection that ends fails what is open on it, and calls off what the peer asked") {
  runtime bus;
  connected_pair of(bus);
  keeper there(of.far);
  keeper here(of.near);
  auto asked = of.near.start_request(of.far.id(), 1);
  auto asked_back = of.far.start_request(of.near.id(), 2);
  const auto theirs = here[0];
  (void)there[0];
  CHECK(of.far.close(0s).has_value());
  CHECK(code_of(asked.wait(patience)) == errc::closed);
  CHECK(code_of(asked_back.wait(patience)) == errc::closed);
  CHECK(is_called_off(theirs));
  CHECK(code_of(of.near.request(of.far.id(), 3)) == errc::not_connected);
}

TEST_CASE("beyond the bound that the peer told it is congested, and an answer makes room") {
  limits bounds;
  bounds.requests_in_flight_max = 3;
  runtime bus;
  connected_pair of(bus, bounds, bounds);
  keeper kept(of.far);
  std::vector<pending_reply> waiting;
  for (int count = 0; count < 3; ++count)
    waiting.push_back(of.near.start_request(of.far.id(), count));
  const auto more = of.near.request(of.far.id(), 4);
  CHECK(code_of(more) == errc::congested);
  CHECK(more.error().by == blame::remote);
  CHECK(kept[0].respond(0));
  CHECK(waiting[0].wait(patience).has_value());
  waiting.push_back(of.near.start_request(of.far.id(), 5));
  (void)kept[3];
  kept.drop();
  for (std::size_t index = 1; index < waiting.size(); ++index)
    CHECK(code_of(waiting[index].wait(patience)) == errc::handler_lost);
}

TEST_CASE("with every subscriber of a connection stuck its requests are still answered") {
  limits bounds;
  bounds.window_bytes_min = bounds.window_bytes_max = 64 << 10;
  runtime bus({.close_time = 10ms}); // the messages are never taken
  connected_pair of(bus, bounds, bounds);
  const auto stuck = of.far.inbox(); // nobody reads it
  const std::vector<std::byte> body(10'000);
  while (of.near.send_bytes(of.far.id(), body, {.tag = 0, .within = 50ms})
         == send_outcome::accepted) {
  }
  REQUIRE(
    of.far.handle([](const incoming_request& asked) { asked.respond(asked.as<int>().value()); })
      .has_value());
  for (int count = 0; count < 200; ++count)
    CHECK(of.near.request(of.far.id(), count).value().as<int>().value() == count);
}

TEST_CASE("two nodes whose handlers ask back while each holds a hundred requests do not lock") {
  runtime bus;
  connected_pair of(bus);
  // Whoever is asked with a number above 0 asks back with one less, and answers with what it is told.
  const auto asks_back = [](const node& self) {
    return [self](const incoming_request& asked) {
      const auto left = asked.as<int>().value();
      if (left == 0) {
        asked.respond(1);
        return;
      }
      std::thread([self, asked, left] {
        const auto told = self.request(asked.from(), left - 1, {.tag = 0, .within = patience});
        asked.respond(told ? told->as<int>().value() + 1 : -1000);
      }).detach();
    };
  };
  REQUIRE(of.near.handle(asks_back(of.near)).has_value());
  REQUIRE(of.far.handle(asks_back(of.far)).has_value());
  std::vector<pending_reply> waiting;
  for (int count = 0; count < 100; ++count) {
    waiting.push_back(of.near.start_request(of.far.id(), 3, {.tag = 0, .within = patience}));
    waiting.push_back(of.far.start_request(of.near.id(), 3, {.tag = 0, .within = patience}));
  }
  for (auto& each : waiting) {
    const auto told = each.wait(patience);
    CHECK(code_of(told) == errc::none);
    CHECK(told.value_or(reply{}).as<int>().value_or(0) == 4);
  }
}

TEST_CASE("a call on a loop that would wait says so") {
  runtime bus;
  connected_pair of(bus);
  std::promise<std::pair<errc, errc>> said;
  const auto guest = of.near.spawn_on_loop([&](caf::event_based_actor* self) -> caf::behavior {
    auto waiting = of.near.start_request(of.far.id(), 1);
    said.set_value({code_of(of.near.request(of.far.id(), 1)), code_of(waiting.wait(1s))});
    self->quit();
    return {};
  });
  REQUIRE(guest.has_value());
  const auto told = awaited(said.get_future());
  CHECK(told.first == errc::would_deadlock);
  CHECK(told.second == errc::would_deadlock);
}

TEST_CASE("handles used after the end answer that the node is closed") {
  std::optional<node> left;
  incoming_request kept_request;
  {
    runtime bus;
    connected_pair of(bus);
    keeper kept(of.far);
    auto waiting = of.near.start_request(of.far.id(), 1);
    kept_request = kept[0];
    left = of.near;
  }
  CHECK(code_of(left->request(left->id(), 1)) == errc::node_closed);
  CHECK(left->handle([](const incoming_request&) {}).error().code == errc::node_closed);
  CHECK(kept_request.is_called_off());
  CHECK(!kept_request.respond(1));
  CHECK(!incoming_request().respond(1));
}
