// Ends: everything queued leaves and is told of, every close ends, and handles outlive what they name.
#include "postbus/postbus.hpp"
#include "postbus/tests/support/expect.hpp"
#include "postbus/tests/support/raw_peer.hpp"

#include <doctest/doctest.h>

#include <future>
#include <thread>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

TEST_CASE("closing a node sends what is queued, and the peer's program takes all of it") {
  runtime bus;
  connected_pair pair(bus);
  auto far = pair.far.inbox();
  auto near = pair.near.inbox();
  constexpr std::uint64_t count = 20'000;
  std::uint64_t received = 0;
  std::jthread reader([&] {
    while (far.next_message(received < count ? duration(patience) : duration(0s)))
      ++received;
  });
  auto out = pair.near.to(pair.far.id());
  for (std::uint64_t number = 0; number < count; ++number)
    REQUIRE(out.send(number, {.within = patience}) == send_outcome::accepted);
  REQUIRE(pair.near.close(patience).has_value());
  reader.join();
  CHECK(received == count);
  const auto end = next_event<disconnected>(near);
  REQUIRE(end.has_value());
  CHECK(end->account == send_account{.sent = count, .confirmed = count, .unsent = 0});
  CHECK(next_event<closed>(near).has_value());
}

TEST_CASE("closing with a peer whose program takes nothing ends, and says what was not confirmed") {
  runtime bus;
  connected_pair pair(bus);
  auto near = pair.near.inbox();
  for (int number = 0; number < 100; ++number)
    REQUIRE(pair.near.send(pair.far.id(), number) == send_outcome::accepted);
  REQUIRE(pair.near.close(200ms).has_value());
  const auto end = next_event<disconnected>(near);
  REQUIRE(end.has_value());
  CHECK(end->account.confirmed == 0);
  CHECK(end->account.sent + end->account.unsent == 100);
}

TEST_CASE("closing with frozen peers, half-open handshakes and dials in flight ends in time") {
  runtime bus;
  auto node = bus.spawn_node();
  const auto at = node.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  std::vector<raw_peer> silent;
  for (int count = 0; count < 50; ++count)
    silent.emplace_back(*at);
  auto events = node.inbox();
  raw_peer frozen(*at);
  bus::session session(raw_peer::dialer(node_id::random()), std::chrono::steady_clock::now());
  bus::outbox box{limits{}};
  REQUIRE(frozen.pump(
    session, box, [&] { return session.at() == bus::phase::open; }, patience));
  REQUIRE(next_event<connected>(events).has_value());
  raw_listener mute;
  auto dial = std::async(std::launch::async, [&] { return node.connect(mute.endpoint(), 1h); });
  auto dialed = mute.accept(patience);
  REQUIRE(dialed.read_frame(codecs::frame_kind::hello, patience).has_value());
  for (int number = 0; number < 1000; ++number)
    (void)node.send_bytes(session.peer().id, std::vector<std::byte>(1000));
  const auto start = std::chrono::steady_clock::now();
  CHECK(node.close(300ms).has_value());
  CHECK(std::chrono::steady_clock::now() - start < 20s);
  const auto answer = awaited(std::move(dial));
  REQUIRE_FALSE(answer.has_value());
  CHECK((answer.error() == errc::closed || answer.error() == errc::node_closed));
  CHECK(answer.error().by == blame::local);
  CHECK(next_event<disconnected>(events).has_value());
  CHECK(next_event<closed>(events).has_value());
}

TEST_CASE("a peer that vanishes without a goodbye is told as cut") {
  runtime bus;
  auto node = bus.spawn_node();
  auto events = node.inbox();
  const auto at = node.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  {
    raw_peer short_lived(*at);
    bus::session session(raw_peer::dialer(node_id::random()), std::chrono::steady_clock::now());
    bus::outbox box{limits{}};
    REQUIRE(short_lived.pump(
      session, box, [&] { return session.at() == bus::phase::open; }, patience));
    REQUIRE(next_event<connected>(events).has_value());
  }
  const auto end = next_event<disconnected>(events);
  REQUIRE(end.has_value());
  CHECK((end->reason.code == errc::connection_cut || end->reason.code == errc::connection_reset));
  CHECK(end->reason.by == blame::remote);
}

TEST_CASE("a peer that goes silent is lost after three keepalive times") {
  runtime bus;
  limits quick;
  quick.keepalive_time = 100ms;
  quick.idle_time_max = 10s;
  auto node = bus.spawn_node({.id = {}, .init = {}, .bounds = quick});
  auto events = node.inbox();
  const auto at = node.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  raw_peer frozen(*at);
  const auto begun = std::chrono::steady_clock::now();
  bus::session session(raw_peer::dialer(node_id::random()), begun);
  bus::outbox box{limits{}};
  REQUIRE(frozen.pump(
    session, box, [&] { return session.at() == bus::phase::open; }, patience));
  const auto end = next_event<disconnected>(events);
  REQUIRE(end.has_value());
  CHECK(end->reason.code == errc::peer_lost);
  CHECK(std::chrono::steady_clock::now() - begun >= 3 * quick.keepalive_time);
}

TEST_CASE("handles answer closed once their node is, and once their runtime is gone") {
  std::optional<node> kept;
  std::optional<inbox> read;
  std::optional<sender> out;
  std::optional<message> last;
  {
    runtime bus({.loops = 1, .close_time = 200ms}); // a message that is kept is waited for so long
    connected_pair pair(bus);
    kept.emplace(pair.near);
    read.emplace(pair.far.inbox());
    out.emplace(pair.near.to(pair.far.id()));
    CHECK(out->send("kept") == send_outcome::accepted);
    auto arrived = read->next_message(patience);
    REQUIRE(arrived.has_value());
    last.emplace(std::move(*arrived));
    auto other = bus.spawn_node();
    REQUIRE(other.close().has_value());
    CHECK(other.listen("tcp://127.0.0.1:0").error() == errc::node_closed);
    CHECK(other.inbox().next_message(0s).error() == errc::node_closed);
    CHECK_FALSE(static_cast<bool>(other.actor()));
    CHECK(other.close().has_value());
  }
  CHECK(kept->send(kept->id(), 1) == send_outcome::closed);
  CHECK(out->send(1) == send_outcome::closed);
  CHECK(kept->listen("tcp://127.0.0.1:0").error() == errc::node_closed);
  CHECK(kept->connect("tcp://127.0.0.1:4000").error() == errc::node_closed);
  CHECK_FALSE(static_cast<bool>(kept->actor()));
  CHECK(read->next_message(patience).error() == errc::node_closed);
  CHECK(last->as<std::string>().value_or("") == "kept");
}

TEST_CASE("a runtime can be destroyed at any moment: idle, connecting, sending, receiving") {
  for (int round = 0; round < 10; ++round) {
    CAPTURE(round);
    std::jthread busy;
    {
      runtime bus({.loops = 2, .close_time = 100ms});
      connected_pair pair(bus);
      auto inbox = pair.far.inbox();
      busy = std::jthread([near = pair.near, to = pair.far.id()] {
        while (near.send(to, "more") != send_outcome::closed)
          std::this_thread::yield();
      });
      if (round % 2 == 0)
        CHECK(inbox.next_message(patience).has_value());
    }
    busy.join();
  }
}

TEST_CASE("a runtime in a user's actor system ends before the system does, and the system ends") {
  caf::actor_system_config config;
  init_message_types();
  caf::actor_system system{config}; // CAF's own default scheduler
  {
    runtime bus{system};
    connected_pair pair(bus);
    auto inbox = pair.far.inbox();
    CHECK(pair.near.send(pair.far.id(), "hello") == send_outcome::accepted);
    CHECK(inbox.next_message(patience).has_value());
  }
  runtime again{system};
  connected_pair pair(again);
}

TEST_CASE("options out of range make no node, and the reason is told") {
  runtime bus;
  node_options wrong;
  wrong.bounds.keepalive_time = 1h;
  const auto refused = bus.try_spawn_node(wrong);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error() == errc::bad_option);
  CHECK(bus.spawn_node(wrong).listen("tcp://127.0.0.1:0").error() == errc::node_closed);
  node_options wordy;
  wordy.init = payload::copy_of(std::string(9000, 'x'));
  CHECK(bus.try_spawn_node(wordy).error() == errc::bad_option);
}
