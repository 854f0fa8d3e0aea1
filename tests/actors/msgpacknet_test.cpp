// The tests of msgpacknet 0.1 and its documented example, each under its own name, in this library's words:
// what its users relied on holds here. Where more is promised here, more is looked at, and a comment says so.
#include "postbus/tests/support/expect.hpp"

#include <chrono>
#include <future>
#include <string>
#include <thread>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

/// An id as short as those of the originals.
node_id number(unsigned byte) {
  node_id::bytes_type bytes{};
  bytes.back() = static_cast<std::byte>(byte);
  return node_id(bytes);
}

node_options numbered(unsigned byte) {
  node_options how;
  how.id = number(byte);
  return how;
}

/// Two nodes: `server`, which decides who may come in, and `client`. Ids 1 and 2: that of all zeros is nobody's.
struct server_and_client {
  runtime bus;
  close_guard server{bus.spawn_node(numbered(1))};
  close_guard client{bus.spawn_node(numbered(2))};
  inbox at_server = server->deciding_inbox();
  inbox at_client = client->inbox();

  std::string listen() {
    auto at = server->listen("tcp://localhost:0");
    REQUIRE_MESSAGE(at.has_value(), (at ? "" : to_string(at.error())));
    return *at;
  }
  /// The client connects, the server agrees to it, and both have been told.
  void connect() {
    const auto at = listen();
    auto connecting = std::async(std::launch::async, [&] { return client->connect(at, patience); });
    const auto asked = next_event<connection_request>(at_server);
    REQUIRE(asked.has_value());
    CHECK(asked->peer == client->id());
    CHECK(server->connect(*asked, patience).value_or(node_id{}) == client->id());
    CHECK(connecting.get().value_or(node_id{}) == server->id());
    CHECK(next_event<connected>(at_server)->peer == client->id());
    CHECK(next_event<connected>(at_client)->peer == server->id());
  }
};

/// The one connection of a node, as its statistics have it.
connection_statistics connection_of(const node& of) {
  auto told = of.statistics(patience);
  REQUIRE(told.has_value());
  REQUIRE(told->connections.size() == 1);
  return told->connections[0];
}

/// The same, as soon as that many messages went each way: both are counted on the node's loop.
connection_statistics connection_with(const node& of, std::uint64_t sent, std::uint64_t received) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  auto found = connection_of(of);
  while (found.total.messages_sent < sent || found.total.messages_received < received) {
    REQUIRE(std::chrono::steady_clock::now() < deadline);
    std::this_thread::yield();
    found = connection_of(of);
  }
  return found;
}

} // namespace

// There this one failed: its clock was too coarse. Its rate was of bytes per write, ours is per second:
// tests/bus/rate_test.cpp has that a steady stream has its true rate.
TEST_CASE("msgpacknet: stats: nothing at first, then totals, a rate, and an idle time that grows") {
  server_and_client pair;
  pair.connect();
  const auto fresh = connection_of(pair.client.node());
  CHECK(fresh.total.messages_sent == 0);
  CHECK(fresh.per_second.messages_sent == 0);
  CHECK(fresh.total.messages_received == 0);
  CHECK(fresh.per_second.messages_received == 0);

  const auto begin = std::chrono::steady_clock::now();
  const std::string body(100, 'x');
  REQUIRE(pair.client->send(pair.server->id(), body) == send_outcome::accepted);
  REQUIRE(pair.at_server.next_message(patience).has_value());
  const auto used = connection_with(pair.client.node(), 1, 0);
  CHECK(used.total.messages_sent == 1);
  CHECK(used.per_second.messages_sent > 0);
  CHECK(used.total.bytes_sent >= 100 + fresh.total.bytes_sent);
  CHECK(used.per_second.bytes_sent > 0);
  CHECK(used.sent_idle_time > 0ns);
  CHECK(used.sent_idle_time < std::chrono::steady_clock::now() - begin);
  CHECK(connection_of(pair.client.node()).sent_idle_time > used.sent_idle_time);
  // The other end says the same of it.
  const auto there = connection_with(pair.server.node(), 0, 1);
  CHECK(there.total.messages_received == 1);
  CHECK(there.total.messages_sent == 0);
}

TEST_CASE("msgpacknet: node_create: a node is there without any settings") {
  runtime bus;
  const auto node = bus.spawn_node();
  CHECK(node.id() != node_id{});
  CHECK(node.addresses().empty());
  CHECK(node.connection_count() == 0);
}

TEST_CASE("msgpacknet: node_open: a node that listens has one address") {
  runtime bus;
  const auto node = bus.spawn_node(numbered(1));
  const auto at = node.listen("tcp://localhost:0");
  REQUIRE(at.has_value());
  CHECK(node.addresses() == std::vector<std::string>{*at});
}

// There the client was connected before the server had agreed, and could be turned away afterwards.
// Here `connect` answers when both have agreed, so both are connected then.
TEST_CASE("msgpacknet: node_connect: the server is asked, agrees, and both are connected") {
  server_and_client pair;
  const auto at = pair.listen();
  auto connecting =
    std::async(std::launch::async, [&] { return pair.client->connect(at, patience); });
  const auto asked = next_event<connection_request>(pair.at_server);
  REQUIRE(asked.has_value());
  CHECK(asked->peer == pair.client->id());
  CHECK_FALSE(pair.server->is_connected(pair.client->id()));
  CHECK_FALSE(pair.client->is_connected(pair.server->id()));
  CHECK(pair.server->connect(*asked, patience).has_value());
  CHECK(pair.server->is_connected(pair.client->id()));
  CHECK(connecting.get().value_or(node_id{}) == pair.server->id());
  CHECK(pair.client->is_connected(pair.server->id()));
  CHECK(next_event<connected>(pair.at_client)->peer == pair.server->id());
  CHECK(next_event<connected>(pair.at_server)->peer == pair.client->id());
  CHECK(pair.client->connection_count() == 1);
  CHECK(pair.server->connection_count() == 1);
}

TEST_CASE("msgpacknet: node_send_self: a message to the own id comes without a connection") {
  runtime bus;
  const auto node = bus.spawn_node(numbered(1));
  auto events = node.inbox();
  CHECK(node.send(node.id(), 42) == send_outcome::accepted);
  const auto got = events.next_message(patience);
  REQUIRE(got.has_value());
  CHECK(got->from() == node.id());
  CHECK(got->as<int>().value_or(0) == 42);
  // There a node sent to itself after it was closed, too.
  CHECK(node.close().has_value());
  CHECK(node.send(node.id(), 42) == send_outcome::closed);
}

TEST_CASE("msgpacknet: node_send_remote: a message arrives with its sender, either way") {
  server_and_client pair;
  pair.connect();
  CHECK(pair.client->send(pair.server->id(), std::uint64_t{42}) == send_outcome::accepted);
  const auto got = pair.at_server.next_message(patience);
  REQUIRE(got.has_value());
  CHECK(got->from() == pair.client->id());
  CHECK(got->as<std::uint64_t>().value_or(0) == 42);
  CHECK(pair.server->send(pair.client->id(), std::uint64_t{43}) == send_outcome::accepted);
  const auto answered = pair.at_client.next_message(patience);
  REQUIRE(answered.has_value());
  CHECK(answered->from() == pair.server->id());
  CHECK(answered->as<std::uint64_t>().value_or(0) == 43);
}

TEST_CASE("msgpacknet: node_lookup_connection: nobody at first, then who was dialed there") {
  server_and_client pair;
  CHECK(pair.client->lookup("tcp://127.0.0.1:9").error() == errc::not_connected);
  pair.connect();
  const auto at = pair.server->addresses().at(0);
  CHECK(pair.client->lookup(at).value_or(node_id{}) == pair.server->id());
  // There a look-up panicked once the peer was gone.
  CHECK(pair.server->close().has_value());
  REQUIRE(next_event<disconnected>(pair.at_client).has_value());
  CHECK(pair.client->lookup(at).error() == errc::not_connected);
}

TEST_CASE("msgpacknet: node_send_unconnected: a message to a stranger is not taken") {
  runtime bus;
  const auto node = bus.spawn_node(numbered(1));
  CHECK(node.send(number(2), 42) == send_outcome::closed);
  // The reason by name, where an error is answered; and such messages are counted.
  CHECK(node.request(number(2), 42, {.within = patience}).error() == errc::not_connected);
  CHECK(node.statistics(patience)->refused
        == std::vector<refused_messages>{{send_outcome::closed, 1}});
}

TEST_CASE("msgpacknet: node_listen_fail: what is no endpoint cannot be listened on") {
  runtime bus;
  const auto node = bus.spawn_node();
  // `bad_endpoint` of a text, `listen_failed` of an address that is not ours (RFC 5737).
  CHECK(node.listen("").error() == errc::bad_endpoint);
  CHECK(node.listen("tcp://192.0.2.1:4000", patience).error() == errc::listen_failed);
  CHECK(node.addresses().empty());
}

TEST_CASE("msgpacknet: node_connect_fail: what is no endpoint cannot be connected to") {
  runtime bus;
  const auto node = bus.spawn_node();
  CHECK(node.connect("").error() == errc::bad_endpoint);
  CHECK(node.connect_request("").error() == errc::bad_endpoint);
  CHECK(node.connection_count() == 0);
}

TEST_CASE(
  "msgpacknet: node_closed_fail: a handle that outlives its guard answers that it is closed") {
  runtime bus;
  std::optional<node> kept;
  {
    const close_guard guard(bus.spawn_node());
    kept = guard.node();
  }
  CHECK(kept->connect("tcp://127.0.0.1:9").error() == errc::node_closed);
  CHECK(kept->listen("tcp://127.0.0.1:0").error() == errc::node_closed);
  CHECK(kept->send(number(2), 42) == send_outcome::closed);
}

// Its documentation's example: a server that answers everybody, a client that greets it, and events
// until both have closed.
TEST_CASE("msgpacknet: the documented example: connect, accept, greet, answer, close") {
  runtime bus;
  const auto server = bus.spawn_node();
  auto at_server = server.deciding_inbox();
  const auto at = server.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  std::string story;
  std::thread serving([&] {
    while (auto next = at_server.next(patience)) {
      if (const auto* said = std::get_if<message>(&*next)) {
        story += "message " + said->as<std::string>().value_or("?") + "; ";
        (void)server.send(said->from(), "Hello, too");
        continue;
      }
      const auto& event = std::get<node_event>(*next);
      if (const auto* asked = std::get_if<connection_request>(&event)) {
        story += "request; ";
        (void)server.accept(*asked);
      } else if (std::holds_alternative<connected>(event)) {
        story += "connected; ";
      } else if (const auto* gone = std::get_if<disconnected>(&event)) {
        story += "disconnected " + std::string(to_string(gone->reason.code)) + "; ";
        (void)server.close();
      } else if (std::holds_alternative<closing>(event)) {
        story += "closing; ";
      } else if (std::holds_alternative<closed>(event)) {
        story += "closed; ";
      }
    }
  });
  {
    const close_guard client(bus.spawn_node());
    auto at_client = client->inbox();
    const auto peer = client->connect(*at, patience);
    CHECK(peer.value_or(node_id{}) == server.id());
    CHECK(client->send(server.id(), "Hello world") == send_outcome::accepted);
    const auto answered = at_client.next_message(patience);
    CHECK((answered ? answered->as<std::string>().value_or("?") : "nothing") == "Hello, too");
  }
  serving.join();
  CHECK(story == "request; connected; message Hello world; disconnected closed; closing; closed; ");
}
