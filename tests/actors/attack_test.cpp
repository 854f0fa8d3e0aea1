// Strangers who do their worst beside a good client, who loses nothing.
#include "postbus/tests/actors/good_client.hpp"
#include "postbus/tests/support/raw_peer.hpp"

#include <doctest/doctest.h>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

TEST_CASE("who says nothing learns nothing and is gone at the handshake deadline") {
  limits quick;
  quick.handshake_time_max = 500ms;
  quick.decision_time_max = 300ms;
  quick.probe_time_max = 100ms;
  beside_a_good_client(quick, [](const std::string& at) {
    std::vector<raw_peer> silent;
    for (int count = 0; count < 20; ++count)
      silent.emplace_back(at);
    for (auto& each : silent) {
      const auto told = each.read_to_end(patience);
      REQUIRE(told.has_value());
      CHECK(told->empty());
    }
  });
}

TEST_CASE("garbage, another protocol and hostile lengths end that connection only") {
  beside_a_good_client({}, [](const std::string& at) {
    const std::string huge("\xff\xff\xff\xff\x01\x00\x00\x00", 8);
    const std::string wrong_kind("\x00\x00\x00\x04\x10\x00\x00\x00"
                                 "abcd",
                                 12);
    const std::string bad_magic =
      std::string("\x00\x00\x00\x34\x01\x00\x00\x00", 8) + std::string(52, 'x');
    for (const auto& bytes : {std::string("GET / HTTP/1.1\r\n\r\n"), huge, wrong_kind, bad_magic,
                              std::string(100'000, '\xdd')}) {
      raw_peer stranger(at);
      stranger.write(bytes);
      CHECK(stranger.read_to_end(patience).has_value());
    }
  });
}

TEST_CASE("a flood of connections pushes out itself, not a good client") {
  limits few;
  few.pending_handshakes_max = 32;
  few.pending_handshakes_per_address_max = 16;
  beside_a_good_client(few, [](const std::string& at) {
    std::vector<raw_peer> flood;
    for (int count = 0; count < 200; ++count)
      flood.emplace_back(at);
    // All but the newest sixteen are pushed out.
    for (std::size_t index = 0; index < flood.size() - 16; ++index)
      CHECK(flood[index].read_to_end(patience).has_value());
  });
}

TEST_CASE("connecting and closing over and over disturbs nobody") {
  beside_a_good_client({}, [](const std::string& at) {
    for (int count = 0; count < 500; ++count)
      CHECK(raw_peer(at).is_connected());
  });
}

TEST_CASE("who claims the id of an open peer is refused and the peer stays") {
  runtime bus;
  connected_pair pair(bus);
  auto events = pair.far.inbox();
  raw_peer forger(pair.endpoint);
  bus::session session(raw_peer::dialer(pair.near.id(), 666), std::chrono::steady_clock::now());
  bus::outbox box{limits{}};
  std::optional<error> why;
  forger.pump(
    session, box, [] { return false; }, patience,
    [&](bus::session_event& event) {
      if (auto* end = std::get_if<bus::ended>(&event))
        why = end->reason;
    });
  REQUIRE(why.has_value());
  CHECK(why->code == errc::id_in_use);
  CHECK(why->by == blame::remote);
  CHECK(pair.near.send(pair.far.id(), "still here") == send_outcome::accepted);
  CHECK(events.next_message(patience).has_value());
}

TEST_CASE("a peer that sends beyond its credit is told so and cut off") {
  runtime bus;
  auto node = bus.spawn_node(); // nobody subscribes to messages, so no credit is granted
  const auto at = node.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  raw_peer rude(*at);
  bus::session session(raw_peer::dialer(node_id::random()), std::chrono::steady_clock::now());
  bus::outbox box{limits{}};
  REQUIRE(rude.pump(
    session, box, [&] { return session.at() == bus::phase::open; }, patience));
  const std::string message("\x00\x00\x00\x01\x10\x04\x00\x00x", 9);
  rude.write(message);
  std::optional<error> why;
  rude.pump(
    session, box, [&] { return why.has_value(); }, patience,
    [&](bus::session_event& event) {
      if (auto* end = std::get_if<bus::ended>(&event))
        why = end->reason;
    });
  REQUIRE(why.has_value());
  CHECK(why->code == errc::window_exceeded);
  CHECK(why->by == blame::local);
}
