// The other form of every operation: typed messages between users' actors and a node actor.
#include "postbus/actors/answer.hpp"
#include "postbus/actors/loop.hpp"
#include "postbus/postbus.hpp"
#include "postbus/tests/support/asked.hpp"
#include "postbus/tests/support/sending.hpp"

#include <doctest/doctest.h>

#include <future>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

TEST_CASE("an actor listens, connects, sends, subscribes and closes by messages") {
  runtime bus;
  auto far = bus.spawn_node(), near = bus.spawn_node();
  caf::scoped_actor self{bus.system()};
  const auto at = asked<std::string>(self, far.actor(), postbus::listen{"tcp://127.0.0.1:0"});

  auto heard = std::make_shared<std::promise<std::string>>();
  auto reader = bus.system().spawn([heard](caf::event_based_actor*) -> caf::behavior {
    auto seen = std::make_shared<std::string>();
    return {
      [=](const connected& up) { *seen += up.dialed ? "dialed " : "connected "; },
      [=](const message& each) { *seen += each.as<std::string>().value_or("?") + " "; },
      [=](const disconnected& down) { *seen += std::string(to_string(down.reason.code)) + " "; },
      [=](const closing&) { *seen += "closing "; },
      [=](const closed&) { heard->set_value(*seen + "closed"); },
    };
  });
  const auto which = asked<subscription>(self, far.actor(), subscribe{reader});
  CHECK(which.id != 0);

  const auto peer = asked<node_id>(self, near.actor(), postbus::connect{at});
  CHECK(peer == far.id());
  CHECK(asked<send_outcome>(self, near.actor(), *send_message::of(peer, "one"))
        == send_outcome::accepted);
  CHECK(asked<send_outcome>(self, near.actor(), *send_message::of(peer, std::string("two")))
        == send_outcome::accepted);
  CHECK(asked<send_outcome>(self, near.actor(), *send_message::of(node_id::random(), 3))
        == send_outcome::closed);
  (void)asked<closed>(self, near.actor(), close_node{});
  (void)asked<closed>(self, far.actor(), close_node{});
  auto story = heard->get_future();
  REQUIRE(story.wait_for(patience) == std::future_status::ready);
  CHECK(story.get() == "connected one two closed closing closed");
}

TEST_CASE("an operation that fails answers an actor with the error and its words") {
  runtime bus;
  auto node = bus.spawn_node();
  caf::scoped_actor self{bus.system()};
  const auto why = refused<node_id>(self, node.actor(), postbus::connect{"nonsense"});
  CHECK(why == errc::bad_endpoint);
  CHECK(render(why).find(describe(errc::bad_endpoint)) != std::string::npos);
  CHECK(refused<std::string>(self, node.actor(), postbus::listen{"tls://127.0.0.1:0"})
        == errc::unsupported);
  CHECK(refused<node_id>(self, node.actor(), postbus::connect{"tcp://127.0.0.1:1"})
        == errc::connect_failed);
}

TEST_CASE("a subscription without a subscriber is refused, and the node lives on") {
  runtime bus;
  auto node = bus.spawn_node();
  caf::scoped_actor self{bus.system()};
  CHECK(refused<subscription>(self, node.actor(), subscribe{}) == errc::bad_option);
  CHECK(node.listen("tcp://127.0.0.1:0").has_value());
}

TEST_CASE("a thread subscribes an actor, and ends that again") {
  runtime bus;
  connected_pair pair(bus);
  CHECK(pair.far.subscribe({}).error() == errc::bad_option);
  auto heard = std::make_shared<std::promise<int>>();
  auto reader = bus.system().spawn([heard](caf::event_based_actor*) -> caf::behavior {
    return {[=](const message& each) { heard->set_value(each.as<int>().value_or(0)); }};
  });
  const auto made = pair.far.subscribe({.subscriber = reader, .events = false});
  REQUIRE(made.has_value());
  CHECK(pair.near.send(pair.far.id(), 7) == send_outcome::accepted);
  auto number = heard->get_future();
  REQUIRE(number.wait_for(patience) == std::future_status::ready);
  CHECK(number.get() == 7);
  pair.far.unsubscribe(*made);
  CHECK(pair.far.counters(*made).error() == errc::bad_option);
  auto inbox = pair.far.inbox(); // asked for after that, so what comes now comes to it alone
  CHECK(pair.near.send(pair.far.id(), 8) == send_outcome::accepted);
  CHECK(inbox.next_message(patience).has_value());
  post(reader, caf::exit_msg{reader.address(), caf::exit_reason::user_shutdown});
}

TEST_CASE("a node whose actor is ended from outside tells its inboxes and its peers") {
  runtime bus;
  connected_pair pair(bus);
  auto near = pair.near.inbox();
  auto far = pair.far.inbox();
  caf::anon_send_exit(pair.far.actor(), caf::exit_reason::user_shutdown);
  CHECK(next_event<disconnected>(near).has_value());
  CHECK(next_event<closed>(far).has_value());
  CHECK(far.next(patience).error() == errc::node_closed);
  CHECK(pair.far.close().has_value());
}

TEST_CASE("an actor's handle of a node outlives the runtime, and asking it fails") {
  system_config config;
  caf::actor_system system{config};
  node_actor kept;
  {
    runtime bus{system};
    kept = bus.spawn_node().actor();
  }
  caf::scoped_actor self{system};
  const auto why = refused<std::string>(self, kept, postbus::listen{"tcp://127.0.0.1:0"});
  CHECK(from_caf(why) == errc::node_closed);
}

TEST_CASE("an actor that subscribes to batches gets all messages of a read in one") {
  runtime bus;
  connected_pair pair(bus);
  auto all = std::make_shared<std::promise<int>>();
  constexpr int count = 5000;
  auto reader = bus.system().spawn([all](caf::event_based_actor*) -> caf::behavior {
    auto next = std::make_shared<int>(0);
    return {
      [=](const batch& some) {
        for (const auto& each : some)
          if (each.as<int>().value_or(-1) == *next)
            ++*next;
        if (*next == count)
          all->set_value(*next);
      },
    };
  });
  caf::scoped_actor self{bus.system()};
  (void)asked<subscription>(
    self, pair.far.actor(),
    subscribe{.subscriber = reader, .mode = delivery_mode::batch, .events = false});
  for (int number = 0; number < count; ++number)
    REQUIRE(pair.near.send(pair.far.id(), number) == send_outcome::accepted);
  auto done = all->get_future();
  CHECK(done.wait_for(patience) == std::future_status::ready);
  post(reader, caf::exit_msg{reader.address(), caf::exit_reason::user_shutdown});
}

TEST_CASE("a subscriber that dies is forgotten and holds nobody back") {
  runtime bus;
  connected_pair pair(bus);
  auto dying = bus.system().spawn([](caf::event_based_actor* self) -> caf::behavior {
    return {[=](const message&) { self->quit(); }};
  });
  caf::scoped_actor self{bus.system()};
  (void)asked<subscription>(self, pair.far.actor(),
                            subscribe{.subscriber = dying, .events = false});
  auto inbox = pair.far.inbox();
  std::jthread sender([&] { CHECK(send_numbers(pair.near, pair.far.id(), 50'000)); });
  for (int number = 0; number < 50'000; ++number)
    REQUIRE(inbox.next_message(patience).has_value());
  sender.join();
}

TEST_CASE("an actor that decides answers who asks") {
  runtime bus;
  const node_options unhurried{.id = {}, .init = {}, .bounds = patient()};
  auto far = bus.spawn_node(unhurried), near = bus.spawn_node(unhurried);
  caf::scoped_actor self{bus.system()};
  const auto at = asked<std::string>(self, far.actor(), postbus::listen{"tcp://127.0.0.1:0"});
  auto guard = bus.system().spawn(
    [to = far.actor(), friend_id = near.id()](caf::event_based_actor* guarding) -> caf::behavior {
      return {
        [=](const connection_request& request) {
          ask(guarding, to, patience,
              decide{request.connection, request.peer == friend_id, "members only"})
            .then([](bool) {});
        },
      };
    });
  (void)asked<subscription>(
    self, far.actor(),
    subscribe{.subscriber = guard, .messages = false, .events = false, .decides = true});
  CHECK(asked<node_id>(self, near.actor(), postbus::connect{at}) == far.id());
  auto stranger = bus.spawn_node(unhurried);
  const auto no = stranger.connect(at, patience);
  REQUIRE_FALSE(no.has_value());
  CHECK(no.error() == error{errc::rejected, blame::remote, "members only"});
  post(guard, caf::exit_msg{guard.address(), caf::exit_reason::user_shutdown});
}

namespace {

struct probe_calls {
  node of;
  std::shared_ptr<std::promise<std::vector<errc>>> seen;
};

// Calls a handle from where no call may block.
class on_the_loop final : public actors::bound<caf::event_based_actor> {
public:
  on_the_loop(caf::actor_config& config, actors::loop& home, probe_calls what)
    : bound(config, home), what_(std::move(what)) {}
  caf::behavior make_behavior() override {
    auto inbox = what_.of.inbox();
    what_.seen->set_value({what_.of.listen("tcp://127.0.0.1:0").error().code,
                           what_.of.connect("tcp://127.0.0.1:1").error().code,
                           what_.of.close().error().code,
                           inbox.next_message(duration(5s)).error().code});
    quit();
    return {};
  }

private:
  void leave() override {}
  probe_calls what_;
};

} // namespace

TEST_CASE("a call that would block a loop answers would_deadlock at once") {
  runtime bus;
  auto node = bus.spawn_node();
  actors::loop home(bus.system());
  auto seen = std::make_shared<std::promise<std::vector<errc>>>();
  auto answers = seen->get_future();
  (void)actors::spawn_on<on_the_loop>(bus.system(), home, probe_calls{node, seen});
  REQUIRE(answers.wait_for(patience) == std::future_status::ready);
  CHECK(answers.get() == std::vector<errc>(4, errc::would_deadlock));
  CHECK(home.finish(patience));
}

TEST_CASE("a question nobody answers is answered by its end") {
  const actors::waiting_thread<int> here;
  { auto dropped = here.make_answer(); }
  CHECK(here.wait(patience).error() == errc::node_closed);
  const actors::waiting_thread<int> late;
  auto kept = late.make_answer();
  CHECK(late.wait(1ms).error() == errc::timeout);
  kept(3);
  CHECK(late.wait(patience).value_or(0) == 3);
}
