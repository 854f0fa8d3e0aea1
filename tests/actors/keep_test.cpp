// Peers that shall stay connected, with real nodes that come, go and come back.
#include "postbus/postbus.hpp"
#include "postbus/tests/support/asked.hpp"
#include "postbus/tests/support/expect.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <thread>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

limits quick() {
  limits bounds;
  bounds.reconnect_time_min = 5ms;
  bounds.reconnect_time_max = 40ms;
  bounds.linger_time_max = 200ms;
  return bounds;
}

/// A node that goes and comes back at one endpoint, as itself or as another.
struct coming_and_going {
  explicit coming_and_going(runtime& on) : bus(on), id(node_id::random()) { come(); }

  void come() { come(id); }
  void come(const node_id& as) {
    node.emplace(bus.spawn_node({.id = as, .init = {}, .bounds = quick()}));
    inbox.emplace(node->inbox());
    auto made = node->listen(at.empty() ? "tcp://127.0.0.1:0" : at);
    REQUIRE_MESSAGE(made.has_value(), (made ? "" : to_string(made.error())));
    at = *made;
  }
  void go() { REQUIRE(node->close(patience).has_value()); }

  runtime& bus;
  node_id id;
  std::string at;
  std::optional<postbus::node> node;
  std::optional<postbus::inbox> inbox;
};

keep_state next_state(inbox& from) {
  auto state = next_event<keep_state>(from);
  REQUIRE(state.has_value());
  return *state;
}

} // namespace

TEST_CASE("a kept peer is connected again whenever it is back, and each change is told once") {
  runtime bus;
  coming_and_going far(bus);
  far.go();
  auto near = bus.spawn_node({.id = {}, .init = {}, .bounds = quick()});
  auto inbox = near.inbox();
  REQUIRE(near.keep_connected(far.at).has_value());
  auto state = next_state(inbox);
  CHECK(state.status == keep_status::reconnecting);
  CHECK(state.reason == errc::connect_failed);
  CHECK(state.endpoint == far.at);
  for (int round = 0; round < 3; ++round) {
    far.come();
    state = next_state(inbox);
    CHECK(state.status == keep_status::connected);
    CHECK(state.peer == far.id);
    CHECK_FALSE(state.before);
    CHECK(near.lookup(far.at).value_or(node_id{}) == far.id);
    CHECK(near.send(far.id, round) == send_outcome::accepted);
    CHECK(far.inbox->next_message(patience)->as<int>().value_or(-1) == round);
    far.go();
    state = next_state(inbox);
    CHECK(state.status == keep_status::reconnecting);
    CHECK(state.reason == errc::closed);
    CHECK(state.peer == far.id);
    CHECK_FALSE(near.is_connected(far.id));
  }
  const auto other = node_id::random();
  far.come(other);
  state = next_state(inbox);
  CHECK(state.status == keep_status::connected);
  CHECK(state.peer == other);
  CHECK(state.before == far.id);

  CHECK(near.stop_keeping(far.at));
  CHECK_FALSE(near.stop_keeping(far.at));
  CHECK(near.is_connected(other));
  far.go();
  REQUIRE(next_event<disconnected>(inbox).has_value());
  far.come(other);
  CHECK(inbox.next_event(200ms).error() == errc::timeout); // nobody dials any more
}

TEST_CASE("a kept peer is asked for and let go of by messages as well") {
  runtime bus;
  coming_and_going far(bus);
  auto near = bus.spawn_node({.id = {}, .init = {}, .bounds = quick()});
  auto inbox = near.inbox();
  caf::scoped_actor self{bus.system()};
  asked_to(self, near.actor(), keep_connected{far.at});
  CHECK(next_state(inbox).status == keep_status::connected);
  CHECK(refused_to(self, near.actor(), keep_connected{far.at}) == errc::bad_option);
  CHECK(asked<bool>(self, near.actor(), stop_keeping{far.at}));
  CHECK_FALSE(asked<bool>(self, near.actor(), stop_keeping{far.at}));
}

TEST_CASE(
  "a kept peer is not closed when idle by either end, and is again when it is kept no more") {
  runtime bus;
  auto lively = quick();
  lively.keepalive_time = 100ms;
  lively.idle_time_max = 350ms;
  auto far = bus.spawn_node({.id = {}, .init = {}, .bounds = lively});
  auto near = bus.spawn_node({.id = {}, .init = {}, .bounds = lively});
  auto inbox = near.inbox();
  const auto at = far.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  REQUIRE(near.keep_connected(*at).has_value());
  CHECK(next_state(inbox).status == keep_status::connected);
  CHECK(inbox.next_event(1200ms).error() == errc::timeout);
  CHECK(near.stop_keeping(*at));
  const auto gone = next_event<disconnected>(inbox);
  REQUIRE(gone.has_value());
  CHECK(gone->reason == errc::idle);
}

TEST_CASE("what cannot be kept is refused, ended, or tried again rarely") {
  runtime bus;
  auto bounds = patient();
  bounds.reconnect_time_max = 20s;
  auto node = bus.spawn_node({.id = {}, .init = {}, .bounds = bounds});
  auto inbox = node.inbox();
  CHECK(node.keep_connected("nonsense").error() == errc::bad_endpoint);
  CHECK(node.keep_connected("tcp://127.0.0.1:0").error() == errc::bad_endpoint);
  CHECK(node.keep_connected("tls://127.0.0.1:4000").error() == errc::unsupported);
  const auto own = node.listen("tcp://127.0.0.1:0");
  REQUIRE(own.has_value());
  REQUIRE(node.keep_connected(*own).has_value());
  auto state = next_state(inbox);
  CHECK(state.status == keep_status::ended);
  CHECK(state.reason == errc::self_connection);
  CHECK(node.keep_connected(*own).has_value()); // not kept any more, so it may be asked again
  CHECK(next_state(inbox).status == keep_status::ended);

  auto far = bus.spawn_node({.id = {}, .init = {}, .bounds = patient()});
  auto requests = far.deciding_inbox();
  const auto at = far.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  REQUIRE(node.keep_connected(*at).has_value());
  const auto request = next_event<connection_request>(requests);
  REQUIRE(request.has_value());
  CHECK(far.reject(*request, "not today"));
  state = next_state(inbox);
  CHECK(state.status == keep_status::reconnecting);
  CHECK(state.reason == error{errc::rejected, blame::remote, "not today"});
  CHECK(state.next_try_in >= bounds.reconnect_time_max / 2);
  CHECK(far.connect(*own).has_value()); // but who was rejected may be dialed by the other side
  REQUIRE(node.close().has_value());
  CHECK(node.keep_connected(*at).error() == errc::node_closed);
}

TEST_CASE("a peer that dials while it is kept counts as connected") {
  runtime bus;
  for (int round = 0; round < 20; ++round) {
    CAPTURE(round);
    auto one = bus.spawn_node({.id = {}, .init = {}, .bounds = quick()});
    auto other = bus.spawn_node({.id = {}, .init = {}, .bounds = quick()});
    auto one_inbox = one.inbox(), other_inbox = other.inbox();
    const auto one_at = one.listen("tcp://127.0.0.1:0");
    const auto other_at = other.listen("tcp://127.0.0.1:0");
    REQUIRE(one.keep_connected(*other_at).has_value());
    REQUIRE(other.keep_connected(*one_at).has_value());
    CHECK(next_state(one_inbox).status == keep_status::connected);
    CHECK(next_state(other_inbox).status == keep_status::connected);
    CHECK(one.connection_count() == 1);
    CHECK(other.connection_count() == 1);
    CHECK(one.send(other.id(), round) == send_outcome::accepted);
    CHECK(other_inbox.next_message(patience)->as<int>().value_or(-1) == round);
    REQUIRE(one.stop_keeping(*other_at));
    REQUIRE(other.stop_keeping(*one_at));
    REQUIRE(one.close().has_value());
    REQUIRE(other.close().has_value());
  }
}

// -- messages that are held -------------------------------------------------------------

TEST_CASE("what is sent while a kept peer is away waits for it, in order and within a bound") {
  runtime bus;
  coming_and_going far(bus);
  auto near = bus.spawn_node({.id = {}, .init = {}, .bounds = quick(), .hand_back_unsent = true});
  auto inbox = near.inbox();
  REQUIRE(near.keep_connected({.endpoint = far.at, .hold_bytes_max = 10'000}).has_value());
  CHECK(next_state(inbox).status == keep_status::connected);
  REQUIRE(near.send(far.id, "first") == send_outcome::accepted);
  CHECK(far.inbox->next_message(patience)->as<std::string>().value_or("") == "first");
  auto cached = near.to(far.id);
  far.go();
  CHECK(next_state(inbox).status == keep_status::reconnecting);

  CHECK_FALSE(near.is_connected(far.id));
  CHECK(near.connection_count() == 0);
  CHECK(near.peers().empty());
  int sent = 0;
  while (near.send(far.id, sent) == send_outcome::accepted)
    ++sent;
  CHECK(sent > 500); // of 9 to 11 bytes
  CHECK(cached.send(sent) == send_outcome::congested);
  // A thread that waits for room, and an actor that asks for it, get it when the peer is back.
  std::jthread waiting(
    [&] { CHECK(cached.send(sent, {.within = patience}) == send_outcome::accepted); });
  auto told = std::make_shared<std::promise<void>>();
  auto watch = bus.system().spawn([told](caf::event_based_actor* self) -> caf::behavior {
    return {[=](const writable&) {
      told->set_value();
      self->quit();
    }};
  });
  CHECK(near.notify_writable(far.id, watch).has_value());
  far.come();
  for (int number = 0; number <= sent; ++number) {
    auto next = far.inbox->next_message(patience);
    REQUIRE(next.has_value());
    REQUIRE(next->as<int>().value_or(-1) == number);
  }
  awaited(told->get_future());
  CHECK(near.is_connected(far.id));
}

TEST_CASE("a stream over a connection that breaks again and again arrives whole and in order") {
  runtime bus;
  coming_and_going far(bus);
  auto bounds = quick();
  bounds.outbox_frames_max = 500; // so that every round finds the sender at work
  auto near = bus.spawn_node({.id = {}, .init = {}, .bounds = bounds});
  auto inbox = near.inbox();
  REQUIRE(near.keep_connected({.endpoint = far.at, .hold_bytes_max = 10'000}).has_value());
  CHECK(next_state(inbox).status == keep_status::connected);
  std::atomic<int> sent{0};
  std::jthread sender([&](const std::stop_token& enough) {
    auto out = near.to(far.id);
    for (; !enough.stop_requested(); ++sent) {
      const auto outcome = out.send(sent.load(), {.within = patience});
      CHECK(outcome == send_outcome::accepted);
      if (outcome != send_outcome::accepted)
        return;
    }
  });
  int next = 0;
  bool in_order = true;
  const auto read_until_closed = [&] {
    for (;;) {
      auto got = far.inbox->next(patience);
      if (!got)
        return;
      if (const auto* each = std::get_if<message>(&*got))
        in_order = in_order && each->as<int>().value_or(-1) == next++;
    }
  };
  for (int round = 0; round < 8; ++round) {
    for (const int until = next + 2000; next < until && in_order;) {
      auto got = far.inbox->next_message(patience);
      REQUIRE(got.has_value());
      in_order = in_order && got->as<int>().value_or(-1) == next++;
    }
    std::jthread closing([&] { CHECK(far.node->close(patience).has_value()); });
    read_until_closed(); // what is under way still comes
    closing.join();
    far.come();
  }
  sender.request_stop();
  while ((next < sent || sender.joinable()) && in_order) {
    if (next >= sent) {
      sender.join(); // whatever it was about to send is counted now
      continue;
    }
    auto got = far.inbox->next_message(patience);
    REQUIRE(got.has_value());
    in_order = in_order && got->as<int>().value_or(-1) == next++;
  }
  CHECK(in_order);
  CHECK(next == sent);
  int breaks = 0;
  while (auto event = inbox.next_event(0s))
    if (const auto* state = std::get_if<keep_state>(&*event))
      breaks += state->status == keep_status::reconnecting ? 1 : 0;
  CHECK(breaks == 8);
}

TEST_CASE("what the connection left unsent goes first, then what was sent while it was missing") {
  runtime bus;
  auto bounds = quick();
  bounds.window_bytes_min = bounds.window_bytes_max = 1000;
  coming_and_going far(bus);
  far.go();
  far.node.emplace(bus.spawn_node({.id = far.id, .init = {}, .bounds = bounds}));
  REQUIRE(far.node->listen(far.at).has_value());
  auto near = bus.spawn_node({.id = {}, .init = {}, .bounds = quick(), .hand_back_unsent = true});
  auto inbox = near.inbox();
  REQUIRE(near.keep_connected({.endpoint = far.at, .hold_bytes_max = 100'000}).has_value());
  CHECK(next_state(inbox).status == keep_status::connected);
  for (int number = 0; number < 100; ++number) // nobody reads: no credit
    REQUIRE(near.send(far.id, number) == send_outcome::accepted);
  CHECK(near.disconnect(far.id, {}, {}).has_value());
  const auto gone = next_event<disconnected>(inbox);
  REQUIRE(gone.has_value());
  CHECK(gone->account.sent == 0);
  CHECK(gone->account.unsent == 0); // none is handed back: they are held
  for (int number = 100; number < 200; ++number)
    REQUIRE(near.send(far.id, number) == send_outcome::accepted);
  auto far_inbox = far.node->inbox();
  for (int number = 0; number < 200; ++number) {
    auto next = far_inbox.next_message(patience);
    REQUIRE(next.has_value());
    REQUIRE(next->as<int>().value_or(-1) == number);
  }
}

TEST_CASE(
  "what is held is told as unsent when the peer is kept no more, or comes back as another") {
  for (const auto how : {0, 1, 2}) {
    CAPTURE(how);
    runtime bus;
    coming_and_going far(bus);
    auto near = bus.spawn_node({.id = {}, .init = {}, .bounds = quick()});
    auto inbox = near.inbox();
    REQUIRE(near.keep_connected({.endpoint = far.at, .hold_bytes_max = 10'000}).has_value());
    CHECK(next_state(inbox).status == keep_status::connected);
    far.go();
    CHECK(next_state(inbox).status == keep_status::reconnecting);
    CHECK(near.send(far.id, "one", {.tag = 1}) == send_outcome::accepted);
    CHECK(near.send(far.id, "two", {.tag = 2}) == send_outcome::accepted);
    if (how == 0)
      CHECK(near.stop_keeping(far.at));
    else if (how == 1)
      far.come(node_id::random());
    else
      CHECK(near.close().has_value());
    const auto back = next_event<unsent>(inbox);
    REQUIRE(back.has_value());
    CHECK(back->peer == far.id);
    REQUIRE(back->messages.size() == 2);
    CHECK(back->messages[0].tag == 1);
    CHECK(back->messages[1].tag == 2);
    CHECK(codecs::unpack_value<std::string>(back->messages[1].body.bytes()).value_or("") == "two");
    CHECK(near.send(far.id, "three") == send_outcome::closed);
  }
}
