// What is held for a peer that stays, when the connection that should take it is over as soon as it is open.
#include "postbus/postbus.hpp"
#include "postbus/tests/support/asked.hpp"
#include "postbus/tests/support/expect.hpp"
#include "postbus/tests/support/raw_peer.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

/// The peer is gone at once, and its system answers for it.
void break_off(raw_peer gone) {
  const linger at_once{1, 0};
  ::setsockopt(gone.socket(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

} // namespace

TEST_CASE("what is held survives connections that are over before the node hears of them") {
  limits bounds;
  bounds.reconnect_time_min = 1ms;
  bounds.reconnect_time_max = 10ms;
  runtime bus;
  auto node = bus.spawn_node({.id = {}, .init = {}, .bounds = bounds, .hand_back_unsent = true});
  auto inbox = node.inbox();
  const auto peer = node_id::random();
  raw_listener listener;
  REQUIRE(
    node.keep_connected({.endpoint = listener.endpoint(), .hold_bytes_max = 10'000}).has_value());
  {
    auto first = listener.accept(patience);
    REQUIRE(first.open_as_listener(peer, patience));
    REQUIRE(next_event<connected>(inbox).has_value());
    break_off(std::move(first));
  }
  REQUIRE(next_event<disconnected>(inbox).has_value());
  for (std::uint16_t tag = 1; tag <= 3; ++tag)
    REQUIRE(node.send(peer, "words", {.tag = tag}) == send_outcome::accepted);
  // Its welcome is the last thing that it says; it grants no credit, so nothing can leave.
  for (int round = 0; round < 50; ++round) {
    auto next = listener.accept(patience);
    REQUIRE(next.is_connected());
    REQUIRE(next.read_frame(codecs::frame_kind::hello, patience).has_value());
    next.write(encode(raw_peer::hello_of(peer)));
    next.write(encode(bus::welcome{}));
    break_off(std::move(next));
  }
  REQUIRE(node.stop_keeping(listener.endpoint()));
  std::string back;
  while (back != "1 2 3 ") {
    const auto some = next_event<unsent>(inbox);
    REQUIRE_MESSAGE(some.has_value(), back);
    for (const auto& each : some->messages)
      back += std::to_string(each.tag) + ' ';
  }
}
