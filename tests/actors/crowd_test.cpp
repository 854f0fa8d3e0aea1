// More strangers than there are places, or descriptors: who has to go, what both ends are told, and that a
// good client neither loses a message nor is kept out.
#include "postbus/actors/sockets.hpp"
#include "postbus/tests/actors/child_program.hpp"
#include "postbus/tests/actors/good_client.hpp"
#include "postbus/tests/support/stranger.hpp"

#include <doctest/doctest.h>

#include <sys/resource.h>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

/// A raw peer that dials from 127.0.0.`host`.
raw_peer from_host(unsigned host, const std::string& endpoint) {
  const int made = socket_with_room(0);
  auto here = loopback(0);
  here.sin_addr.s_addr = htonl(0x7f000000u + host);
  const auto at =
    loopback(static_cast<std::uint16_t>(std::stoi(endpoint.substr(endpoint.rfind(':') + 1))));
  // A port is chosen for both ends at once, and is free again when the peer is gone: there may be many.
  const int on = 1;
  const linger at_once{1, 0};
  ::setsockopt(made, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  ::setsockopt(made, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  if (::bind(made, reinterpret_cast<const sockaddr*>(&here), sizeof here) == 0
      && ::connect(made, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0)
    return raw_peer(made);
  ::close(made);
  return raw_peer(-1);
}

/// Long enough for a test to push out whom it likes.
limits places(std::uint32_t in_all, std::uint32_t per_address) {
  limits bounds;
  bounds.handshake_time_max = 2 * patience;
  bounds.pending_handshakes_max = in_all;
  bounds.pending_handshakes_per_address_max = per_address;
  return bounds;
}

/// Says hello and gets no further.
raw_peer half_way(raw_peer peer) {
  peer.write(encode(raw_peer::hello_of(node_id::random())));
  REQUIRE(peer.read_frame(codecs::frame_kind::welcome, patience));
  return peer;
}

} // namespace

TEST_CASE("of an address's handshakes the oldest make room; who has said hello is told why") {
  good_client good(places(100, 8));
  std::vector<raw_peer> told;
  for (int count = 0; count < 4; ++count)
    told.push_back(half_way(raw_peer(good.endpoint())));
  std::vector<raw_peer> untold;
  for (int count = 0; count < 4; ++count)
    untold.emplace_back(good.endpoint());
  CHECK(good.refusals(errc::too_many_handshakes, 0) == 0);
  std::vector<raw_peer> newest;
  for (std::uint64_t count = 1; count <= 8; ++count) {
    newest.emplace_back(good.endpoint());
    CHECK(good.refusals(errc::too_many_handshakes, count) == count);
  }
  for (auto& each : told)
    CHECK(refusal_of(each) == errc::too_many_handshakes);
  for (auto& each : untold)
    CHECK(each.read_to_end(patience).value_or(std::vector<std::byte>(1)).empty());
  for (auto& each : newest) // they are in time still
    CHECK(each.open_as_dialer(node_id::random(), patience));
  CHECK(good.nobody_pending());
}

TEST_CASE("of all handshakes the address that has most loses its oldest") {
  good_client good(places(8, 8));
  auto few = half_way(from_host(2, good.endpoint()));
  std::vector<raw_peer> many;
  for (int count = 0; count < 7; ++count)
    many.push_back(half_way(from_host(3, good.endpoint())));
  std::vector<raw_peer> others;
  for (unsigned host = 4; host < 8; ++host)
    others.push_back(half_way(from_host(host, good.endpoint())));
  CHECK(good.refusals(errc::too_many_handshakes, 4) == 4);
  for (std::size_t index = 0; index < 4; ++index)
    CHECK(refusal_of(many[index]) == errc::too_many_handshakes);
  few.write(encode(bus::welcome{}));
  CHECK(few.read_frame(codecs::frame_kind::credit, patience).has_value()); // it is open
}

TEST_CASE("a new client gets in while an address floods the node with connections") {
  good_client good(places(64, 16));
  std::atomic<bool> over = false;
  std::jthread flood([&] {
    std::vector<raw_peer> held;
    while (!over) {
      held.push_back(from_host(9, good.endpoint()));
      if (held.size() == 200)
        held.clear();
    }
  });
  for (int count = 0; count < 20; ++count) {
    auto guest = from_host(10, good.endpoint());
    CHECK(guest.open_as_dialer(node_id::random(), patience));
  }
  over = true;
}

TEST_CASE("an address is an IPv4 address, however it is written, or an IPv6 network of 64 bits") {
  const struct {
    const char* address;
    const char* origin;
  } cases[] = {
    {"127.0.0.1", "127.0.0.1"},
    {"::ffff:10.1.2.3", "10.1.2.3"},
    {"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
    {"2001:db8:1:2::9", "2001:db8:1:2::/64"},
    {"2001:db8:1:3::9", "2001:db8:1:3::/64"},
    {"::1", "::/64"},
  };
  for (const auto& each : cases)
    CHECK(actors::origin_of({asio::ip::make_address(each.address), 5000}) == each.origin);
}

// -- descriptors --------------------------------------------------------------------------

TEST_CASE("role: a node that has ten more descriptors and counts" * doctest::skip()) {
  if (!parent_program::present())
    return;
  parent_program parent;
  limits bounds;
  bounds.handshake_time_max = 1s;
  bounds.decision_time_max = 500ms;
  bounds.probe_time_max = 100ms;
  runtime bus;
  auto node = bus.spawn_node({.id = {}, .init = {}, .bounds = bounds});
  auto inbox = node.inbox();
  const auto at = node.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  const int highest = ::dup(0); // what was inherited may leave holes, so there may be some more
  ::close(highest);
  rlimit bound{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &bound) == 0);
  bound.rlim_cur = static_cast<rlim_t>(highest) + 10;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &bound) == 0);
  parent.tell(*at);
  std::uint64_t next = 0;
  bool in_order = true;
  while (auto each = inbox.next_message(patience)) {
    if (each->as<std::string>().value_or("") == "late")
      parent.tell("late");
    else if (each->as<std::string>().value_or("") == "last")
      return parent.tell(std::to_string(in_order ? next : 0));
    else
      in_order = each->as<std::uint64_t>().value_or(UINT64_MAX) == next++ && in_order;
  }
}

TEST_CASE("strangers who take all descriptors keep a good client neither waiting nor out") {
  if (sanitized)
    return; // a sanitizer takes descriptors for itself, to look whether memory is readable
  child_program child("role: a node that has ten more descriptors and counts");
  const auto at = child.hear(patience);
  REQUIRE(at.has_value());
  runtime bus;
  auto first = bus.spawn_node(), late = bus.spawn_node();
  const auto there = first.connect(*at, patience);
  REQUIRE(there.has_value());
  std::vector<raw_peer> strangers;
  for (int count = 0; count < 18; ++count)
    strangers.emplace_back(*at);
  std::uint64_t sent = 0;
  std::jthread stream([&](const std::stop_token& enough) {
    auto to = first.to(*there);
    while (!enough.stop_requested() || sent < 1000)
      sent += to.send(sent, {.within = patience}) == send_outcome::accepted ? 1 : 0;
  });
  // Each of them is cut at its deadline; whoever waits in the system's queue is let in then.
  for (auto& each : strangers)
    CHECK(each.read_to_end(patience).has_value());
  CHECK(late.connect(*at, patience).has_value());
  CHECK(late.send(*there, "late") == send_outcome::accepted);
  CHECK(child.hear(patience).value_or("") == "late");
  stream.request_stop();
  stream.join();
  CHECK(first.send(*there, "last", {.within = patience}) == send_outcome::accepted);
  CHECK(child.hear(patience).value_or("") == std::to_string(sent));
}
