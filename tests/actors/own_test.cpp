// What a node sends to itself, who is told that there is room, and who gets unsent messages back.
#include "postbus/postbus.hpp"
#include "postbus/tests/support/asked.hpp"
#include "postbus/tests/support/sending.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <thread>
#include <utility>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

limits narrow() {
  limits bounds;
  bounds.window_bytes_min = 4096;
  bounds.window_bytes_max = 4096;
  bounds.outbox_bytes_max = 64 << 10;
  bounds.linger_time_max = 100ms;
  return bounds;
}

/// An actor that says `writable` of a peer, once for each time it is told.
struct room_watch {
  explicit room_watch(caf::actor_system& in)
    : told(std::make_shared<std::atomic<int>>(0)),
      who(in.spawn([told = told](caf::event_based_actor*) -> caf::behavior {
        return {[told](const writable&) {
          ++*told;
          told->notify_all();
        }};
      })) {}
  ~room_watch() { caf::anon_send_exit(who, caf::exit_reason::user_shutdown); }

  bool await(int count) const {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (*told < count && std::chrono::steady_clock::now() < deadline)
      std::this_thread::yield();
    return *told >= count;
  }

  std::shared_ptr<std::atomic<int>> told;
  caf::actor who;
};

} // namespace

TEST_CASE("a node sends to itself without a connection, in order, values, bytes and tags") {
  runtime bus;
  auto node = bus.spawn_node();
  CHECK(node.send(node.id(), 0) == send_outcome::accepted); // waits for the first subscriber
  auto inbox = node.inbox();
  auto out = node.to(node.id());
  for (int number = 1; number < 10'000; ++number)
    REQUIRE(out.send(number, {.tag = 5, .within = patience}) == send_outcome::accepted);
  const std::string large(200'000, 'y');
  CHECK(node.send(node.id(), large, {.within = patience}) == send_outcome::accepted);
  for (int number = 0; number < 10'000; ++number) {
    auto next = inbox.next_message(patience);
    REQUIRE(next.has_value());
    REQUIRE(next->as<int>().value_or(-1) == number);
    CHECK(next->from() == node.id());
    CHECK(next->tag() == (number == 0 ? 0 : 5));
  }
  {
    auto next = inbox.next_message(patience);
    REQUIRE(next.has_value());
    CHECK(next->as<std::string>().value_or("") == large);
  }
  caf::scoped_actor self{bus.system()};
  CHECK(asked<send_outcome>(self, node.actor(), *send_message::of(node.id(), "by message"))
        == send_outcome::accepted);
  CHECK(inbox.next_message(patience)->as<std::string>().value_or("") == "by message");
  CHECK_FALSE(node.is_connected(node.id()));
  CHECK(node.connection_count() == 0);
  CHECK(node.send(node.id(), std::string(17 << 20, 'z')) == send_outcome::too_large);
  CHECK(node.send(node.id(), "last") == send_outcome::accepted);
  REQUIRE(node.close().has_value());
  CHECK(inbox.next_message(patience)->as<std::string>().value_or("") == "last");
  CHECK(node.send(node.id(), 1) == send_outcome::closed);
}

TEST_CASE(
  "a node that does not read what it sends to itself is congested, and goes on when it reads") {
  runtime bus;
  auto node = bus.spawn_node({.id = {}, .init = {}, .bounds = narrow()});
  auto inbox = node.inbox();
  const auto queued = fill(node, node.id());
  CHECK(queued > 0);
  room_watch watch(bus.system());
  CHECK(node.notify_writable(node.id(), watch.who).has_value());
  int read = 0;
  for (; *watch.told == 0 && read < queued; ++read)
    REQUIRE(inbox.next_message(patience).has_value());
  CHECK(watch.await(1)); // the actor may run later than all is read
  CHECK(node.send(node.id(), 1) == send_outcome::accepted);
  while (read++ < queued)
    REQUIRE(inbox.next_message(patience).has_value());
  CHECK(inbox.next_message(patience)->as<int>().value_or(0) == 1);
  CHECK(*watch.told == 1);
}

TEST_CASE("who asks is told once that there is room: at once, or when there is") {
  runtime bus;
  connected_pair pair(bus, narrow(), narrow());
  room_watch watch(bus.system());
  CHECK(pair.near.notify_writable(pair.far.id(), watch.who).has_value());
  CHECK(watch.await(1));
  CHECK(pair.near.notify_writable(node_id::random(), watch.who).error() == errc::not_connected);
  CHECK(pair.near.notify_writable(pair.far.id(), nullptr).error() == errc::bad_option);

  const auto queued = fill(pair.near, pair.far.id());
  caf::scoped_actor self{bus.system()};
  asked_to(self, pair.near.actor(), notify_writable{pair.far.id(), watch.who});
  CHECK(pair.near.notify_writable(pair.far.id(), watch.who).has_value()); // is one and the same
  CHECK(*watch.told == 1);
  auto inbox = pair.far.inbox();
  for (int count = 0; count < queued; ++count)
    REQUIRE(inbox.next_message(patience).has_value());
  CHECK(watch.await(2));
  CHECK(pair.near.send(pair.far.id(), 1) == send_outcome::accepted);
  CHECK(inbox.next_message(patience).has_value());
  CHECK(*watch.told == 2);

  CHECK(pair.near.disconnect(pair.far.id()).has_value());
  CHECK(refused_to(self, pair.near.actor(), notify_writable{pair.far.id(), watch.who})
        == errc::not_connected);
}

TEST_CASE("an actor that is congested again and again never misses that there is room") {
  runtime bus;
  connected_pair pair(bus, narrow(), narrow());
  constexpr int total = 20'000;
  std::promise<void> congested;
  auto once = congested.get_future();
  auto sender = bus.system().spawn([&congested, near = pair.near, to = pair.far.id()](
                                     caf::event_based_actor* self) -> caf::behavior {
    auto next = std::make_shared<int>(0);
    auto asked = std::make_shared<bool>(false);
    post(caf::actor{self}, writable{to});
    return {[=, &congested](const writable& room) {
      while (*next < total && near.send(room.peer, *next) == send_outcome::accepted)
        ++*next;
      if (*next == total) {
        self->quit();
        return;
      }
      CHECK(near.notify_writable(room.peer, caf::actor{self}).has_value());
      if (!std::exchange(*asked, true))
        congested.set_value();
    }};
  });
  REQUIRE(once.wait_for(patience) == std::future_status::ready); // nobody reads yet
  auto inbox = pair.far.inbox();
  for (int number = 0; number < total; ++number) {
    auto next = inbox.next_message(patience);
    REQUIRE(next.has_value());
    REQUIRE(next->as<int>().value_or(-1) == number);
  }
}

TEST_CASE("room that another peer's connection frees is told, too") {
  auto bounds = narrow();
  bounds.outbox_bytes_max = 1 << 20;
  bounds.node_outbox_bytes_max = 1 << 20;
  runtime bus;
  auto near = bus.spawn_node({.id = {}, .init = {}, .bounds = bounds});
  auto one = bus.spawn_node({.id = {}, .init = {}, .bounds = narrow()});
  auto other = bus.spawn_node({.id = {}, .init = {}, .bounds = narrow()});
  for (auto* each : {&one, &other})
    REQUIRE(near.connect(*each->listen("tcp://127.0.0.1:0")).has_value());
  REQUIRE(near.send(other.id(), std::string(1000, 'x')) == send_outcome::accepted);
  REQUIRE(near.send(other.id(), std::string(1000, 'x')) == send_outcome::accepted);
  fill(near, one.id()); // the node's memory is used up, by messages that nobody takes
  fill(near, other.id());
  room_watch watch(bus.system());
  CHECK(near.notify_writable(other.id(), watch.who).has_value());
  CHECK(near.disconnect(one.id(), {}, {}).has_value());
  CHECK(watch.await(1));
  CHECK(near.send(other.id(), std::string(1000, 'x')) == send_outcome::accepted);
  CHECK(near.close(0s).has_value()); // nobody will read the rest
}

TEST_CASE("a sender that asked to gets back what was not sent, in order, behind disconnected") {
  runtime bus;
  auto near = bus.spawn_node({.id = {}, .init = {}, .bounds = narrow(), .hand_back_unsent = true});
  auto far = bus.spawn_node({.id = {}, .init = {}, .bounds = narrow()});
  auto inbox = near.inbox();
  REQUIRE(near.connect(*far.listen("tcp://127.0.0.1:0")).has_value());
  const std::string padding(500, 'p'); // nobody reads: credit for some of them
  for (int number = 0; number < 50; ++number)
    REQUIRE(near.send(far.id(), std::to_string(number) + padding,
                      {.tag = static_cast<std::uint16_t>(number)})
            == send_outcome::accepted);
  const auto large = payload::copy_of(std::string(20'000, 'l'));
  REQUIRE(near.send_bytes(far.id(), large, {.tag = 50}) == send_outcome::accepted);
  CHECK(near.disconnect(far.id(), {}, {}).has_value());
  const auto down = next_event<disconnected>(inbox);
  REQUIRE(down.has_value());
  auto behind = inbox.next_event(patience);
  REQUIRE(behind.has_value());
  const auto* back = std::get_if<unsent>(&*behind);
  REQUIRE(back != nullptr);
  CHECK(back->peer == far.id());
  CHECK(down->account.unsent > 0);
  CHECK(down->account.sent + down->account.unsent == 51);
  REQUIRE(back->messages.size() == down->account.unsent);
  auto tag = static_cast<std::uint16_t>(down->account.sent);
  for (const auto& each : back->messages) {
    CHECK(each.tag == tag);
    if (tag < 50) {
      CHECK_FALSE(each.opaque);
      CHECK(codecs::unpack_value<std::string>(each.body.bytes()).value_or("")
            == std::to_string(tag) + padding);
    } else {
      CHECK(each.opaque);
      CHECK(each.body == large);
    }
    ++tag;
  }
}

TEST_CASE("who did not ask gets nothing back, and nothing is told when all was sent") {
  for (const bool asks : {false, true}) {
    CAPTURE(asks);
    runtime bus;
    auto near =
      bus.spawn_node({.id = {}, .init = {}, .bounds = narrow(), .hand_back_unsent = asks});
    auto far = bus.spawn_node();
    auto events = near.inbox();
    auto far_inbox = far.inbox();
    REQUIRE(near.connect(*far.listen("tcp://127.0.0.1:0")).has_value());
    CHECK(near.send(far.id(), 1) == send_outcome::accepted);
    REQUIRE(far_inbox.next_message(patience).has_value());
    REQUIRE(near.close().has_value());
    bool told = false;
    while (auto event = events.next_event(patience))
      told = told || std::holds_alternative<unsent>(*event);
    CHECK_FALSE(told);
  }
  runtime bus;
  auto near = bus.spawn_node({.id = {}, .init = {}, .bounds = narrow()});
  auto far = bus.spawn_node({.id = {}, .init = {}, .bounds = narrow()});
  auto events = near.inbox();
  REQUIRE(near.connect(*far.listen("tcp://127.0.0.1:0")).has_value());
  for (int number = 0; number < 50; ++number) // nobody reads: credit for some of them
    REQUIRE(near.send(far.id(), std::string(500, 'p')) == send_outcome::accepted);
  const auto gone = near.disconnect(far.id(), {}, {});
  REQUIRE(gone.has_value());
  CHECK(gone->account.unsent > 0);
  REQUIRE(near.close().has_value());
  while (auto event = events.next_event(patience))
    CHECK_FALSE(std::holds_alternative<unsent>(*event));
}
