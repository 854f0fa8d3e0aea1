// What users of a node see: who is connected to whom, what arrives, and how each refusal is told.
#include "postbus/postbus.hpp"
#include "postbus/tests/support/sending.hpp"

#include <doctest/doctest.h>

#include <map>
#include <thread>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

struct reading {
  std::string sensor;
  double value = 0;
  MSGPACK_DEFINE(sensor, value)
};

/// An id that sorts by `number`.
node_id numbered(unsigned char number) {
  node_id::bytes_type bytes{};
  bytes[0] = std::byte{number};
  return node_id{bytes};
}

/// Whether the very next thing an inbox is told of is a `What`: a message or one of the events.
template <class What>
bool is_next(inbox& from) {
  auto next = from.next(patience);
  if constexpr (std::is_same_v<What, message>)
    return next && std::holds_alternative<message>(*next);
  else
    return next && std::holds_alternative<node_event>(*next)
           && std::holds_alternative<What>(std::get<node_event>(*next));
}

} // namespace

TEST_CASE("a message that was sent arrives, with its sender, tag and value") {
  runtime bus;
  connected_pair pair(bus);
  auto inbox = pair.far.inbox();

  CHECK(pair.near.send(pair.far.id(), "hello") == send_outcome::accepted);
  CHECK(pair.near.send(pair.far.id(), reading{"door", 21.5}, {.tag = 7}) == send_outcome::accepted);
  CHECK(pair.near.send(pair.far.id(), std::map<std::string, int>{{"a", 1}})
        == send_outcome::accepted);
  const std::string bytes("\x00\xff\n", 3);
  CHECK(pair.near.send_bytes(pair.far.id(), std::as_bytes(std::span(bytes)))
        == send_outcome::accepted);

  auto text = inbox.next_message(patience);
  REQUIRE(text.has_value());
  CHECK(text->from() == pair.near.id());
  CHECK(text->tag() == 0);
  CHECK_FALSE(text->is_opaque());
  CHECK(text->as<std::string>().value_or("") == "hello");
  CHECK(text->as<int>().error() == errc::wrong_type);

  auto measured = inbox.next_message(patience);
  REQUIRE(measured.has_value());
  CHECK(measured->tag() == 7);
  const auto value = measured->as<reading>();
  REQUIRE(value.has_value());
  CHECK(value->sensor == "door");
  CHECK(value->value == 21.5);

  auto table = inbox.next_message(patience);
  REQUIRE(table.has_value());
  CHECK(table->as<std::map<std::string, int>>()->at("a") == 1);

  auto raw = inbox.next_message(patience);
  REQUIRE(raw.has_value());
  CHECK(raw->is_opaque());
  CHECK(raw->text() == bytes);
}

TEST_CASE("the events of a connection come once each and in order on both sides") {
  runtime bus;
  auto far = bus.spawn_node({.id = {}, .init = payload::copy_of("far's words"), .bounds = {}});
  auto near = bus.spawn_node({.id = {}, .init = payload::copy_of("near's words"), .bounds = {}});
  auto far_inbox = far.inbox();
  auto near_inbox = near.inbox();
  const auto at = far.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  REQUIRE(near.connect(*at).has_value());
  CHECK(near.send(far.id(), 1) == send_outcome::accepted);

  enum class until { disconnected, closed };
  const auto in_order = [](inbox& from, until last) {
    std::string seen;
    for (;;) {
      auto next = from.next(patience);
      if (!next)
        return seen + to_string(next.error().code).data();
      if (std::holds_alternative<message>(*next)) {
        seen += "message ";
        continue;
      }
      const auto& event = std::get<node_event>(*next);
      if (const auto* up = std::get_if<connected>(&event)) {
        seen += "connected(" + std::string(up->init.text()) + (up->dialed ? ", dialed) " : ") ");
      } else if (const auto* down = std::get_if<disconnected>(&event)) {
        seen += "disconnected(" + std::string(to_string(down->reason.code)) + ", "
                + std::string(to_string(down->reason.by)) + ") ";
        CHECK(down->account.complete());
        if (last == until::disconnected)
          return seen;
      } else if (std::holds_alternative<closing>(event)) {
        seen += "closing ";
      } else if (std::holds_alternative<closed>(event)) {
        seen += "closed ";
      }
    }
  };
  std::string far_story;
  std::jthread far_reads([&] { far_story = in_order(far_inbox, until::disconnected); });
  CHECK(near.close().has_value());
  far_reads.join();
  CHECK(far_story == "connected(near's words) message disconnected(closed, remote) ");
  CHECK(in_order(near_inbox, until::closed)
        == "connected(far's words, dialed) closing disconnected(closed, local) closed node_closed");
}

TEST_CASE("an endpoint that cannot be used is refused with the step that failed") {
  runtime bus;
  auto node = bus.spawn_node();
  CHECK(node.listen("nonsense").error() == errc::bad_endpoint);
  CHECK(node.connect("tcp://127.0.0.1").error() == errc::bad_endpoint);
  CHECK(node.connect("tcp://127.0.0.1:0").error() == errc::bad_endpoint);
  CHECK(node.connect("tls://127.0.0.1:4000").error() == errc::unsupported);
  CHECK(node.listen("toby+tcp://127.0.0.1:0").error() == errc::unsupported);
  CHECK(node.listen("tcp://192.0.2.1:0").error() == errc::listen_failed);

  auto other = bus.spawn_node();
  const auto at = other.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  CHECK(node.listen(*at).error() == errc::listen_failed);
  REQUIRE(other.close().has_value());
  const auto refused = node.connect(*at);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error() == errc::connect_failed);
  CHECK(refused.error().detail.find("127.0.0.1") != std::string::npos);
  CHECK(refused.error().detail.find("refused") != std::string::npos);
}

TEST_CASE("another node than the expected one is wrong_node for the dialer") {
  runtime bus;
  connected_pair pair(bus);
  auto third = bus.spawn_node();
  const auto stranger = to_string(node_id::random());
  auto with_id = pair.endpoint;
  with_id.insert(with_id.find("//") + 2, stranger + "@");
  const auto refused = third.connect(with_id);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error() == errc::wrong_node);

  auto right = pair.endpoint;
  right.insert(right.find("//") + 2, to_string(pair.far.id()) + "@");
  CHECK(third.connect(right).value_or(node_id{}) == pair.far.id());
}

TEST_CASE("a node does not connect to itself") {
  runtime bus;
  auto node = bus.spawn_node();
  const auto at = node.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  CHECK(node.connect(*at).error() == errc::self_connection);
}

TEST_CASE("connecting to a connected peer answers with the peer, and nobody is told of a second "
          "connection") {
  runtime bus;
  auto far = bus.spawn_node(), near = bus.spawn_node();
  auto events = far.inbox();
  const auto at = far.listen("tcp://127.0.0.1:0"), back = near.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  REQUIRE(back.has_value());
  for (int times = 0; times < 2; ++times)
    CHECK(near.connect(*at).value_or(node_id{}) == far.id());
  CHECK(far.connect(*back).value_or(node_id{}) == near.id());
  CHECK(near.send(far.id(), 1) == send_outcome::accepted);
  CHECK(is_next<connected>(events));
  CHECK(is_next<message>(events));
  CHECK(near.close().has_value());
  CHECK(is_next<disconnected>(events));
}

TEST_CASE("two nodes that dial each other at the same time end with one connection") {
  for (int round = 0; round < 20; ++round) {
    CAPTURE(round);
    runtime bus;
    auto small = bus.spawn_node({.id = numbered(1), .init = {}, .bounds = {}});
    auto large = bus.spawn_node({.id = numbered(2), .init = {}, .bounds = {}});
    auto small_events = small.inbox();
    auto large_events = large.inbox();
    const auto small_at = small.listen("tcp://127.0.0.1:0");
    const auto large_at = large.listen("tcp://127.0.0.1:0");
    REQUIRE(small_at.has_value());
    REQUIRE(large_at.has_value());
    result<node_id> answer = errc::unknown;
    std::jthread other([&] { answer = large.connect(*small_at); });
    const auto mine = small.connect(*large_at);
    other.join();
    CHECK(mine.value_or(node_id{}) == large.id());
    CHECK(answer.value_or(node_id{}) == small.id());
    CHECK(small.send(large.id(), 1) == send_outcome::accepted);
    CHECK(large.send(small.id(), 2) == send_outcome::accepted);
    for (auto* events : {&small_events, &large_events}) {
      CHECK(is_next<connected>(*events));
      CHECK(is_next<message>(*events));
    }
    CHECK(small.close().has_value());
    CHECK(is_next<disconnected>(large_events));
    CHECK(is_next<closing>(small_events));
    CHECK(is_next<disconnected>(small_events));
  }
}

TEST_CASE("a program that decides sees who asks, and its reason reaches the peer") {
  runtime bus;
  auto far = bus.spawn_node({.id = {}, .init = {}, .bounds = patient()});
  auto requests = far.deciding_inbox();
  const auto at = far.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  auto near =
    bus.spawn_node({.id = {}, .init = payload::copy_of("let me in"), .bounds = patient()});

  result<node_id> answer = errc::unknown;
  std::jthread first([&] { answer = near.connect(*at, patience); });
  auto request = next_event<connection_request>(requests);
  REQUIRE(request.has_value());
  CHECK(request->peer == near.id());
  CHECK(request->init.text() == "let me in");
  CHECK(request->address.starts_with("127.0.0.1:"));
  CHECK(far.reject(*request, "not today"));
  first.join();
  CHECK(answer.error() == error{errc::rejected, blame::remote, "not today"});
  CHECK_FALSE(far.accept(*request));

  std::jthread second([&] { answer = near.connect(*at, patience); });
  request = next_event<connection_request>(requests);
  REQUIRE(request.has_value());
  CHECK(far.accept(*request));
  second.join();
  CHECK(answer.value_or(node_id{}) == far.id());
}

TEST_CASE("a request that nobody decides is refused when its time is over") {
  runtime bus;
  auto quick = patient();
  quick.decision_time_max = 300ms;
  quick.probe_time_max = 100ms;
  auto far = bus.spawn_node({.id = {}, .init = {}, .bounds = quick});
  auto requests = far.deciding_inbox();
  const auto at = far.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  auto near = bus.spawn_node({.id = {}, .init = {}, .bounds = patient()});
  const auto refused = near.connect(*at, patience);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == errc::handshake_timeout);
  CHECK(refused.error().by == blame::remote);
}

TEST_CASE("messages between two nodes stay in order while both send") {
  runtime bus;
  connected_pair pair(bus);
  auto far_inbox = pair.far.inbox();
  auto near_inbox = pair.near.inbox();
  constexpr int count = 50'000;
  const auto send_all = [](const node& from, node_id to) { CHECK(send_numbers(from, to, count)); };
  const auto read_all = [](inbox& from) {
    for (int number = 0; number < count; ++number) {
      const auto next = from.next_message(patience);
      if (!next || next->as<int>().value_or(-1) != number)
        return number;
    }
    return count;
  };
  std::jthread far_sends(send_all, pair.far, pair.near.id());
  std::jthread near_sends(send_all, pair.near, pair.far.id());
  int near_read = 0;
  std::jthread near_reads([&] { near_read = read_all(near_inbox); });
  CHECK(read_all(far_inbox) == count);
  far_sends.join();
  near_sends.join();
  near_reads.join();
  CHECK(near_read == count);
}

TEST_CASE("what each of several threads sends to one peer arrives in that thread's order") {
  runtime bus;
  connected_pair pair(bus);
  auto inbox = pair.far.inbox();
  constexpr int threads = 4;
  constexpr int count = 20'000;
  std::vector<std::jthread> senders;
  for (int thread = 0; thread < threads; ++thread)
    senders.emplace_back([&, thread] {
      auto out = pair.near.to(pair.far.id());
      bool taken = true;
      for (int number = 0; taken && number < count; ++number)
        taken = out.send(number, {.tag = static_cast<std::uint16_t>(thread), .within = patience})
                == send_outcome::accepted;
      CHECK(taken);
    });
  std::array<int, threads> next{};
  for (int received = 0; received < threads * count; ++received) {
    const auto each = inbox.next_message(patience);
    REQUIRE(each.has_value());
    REQUIRE(each->as<int>().value_or(-1) == next[each->tag()]++);
  }
  for (auto& sender : senders)
    sender.join();
}

TEST_CASE("a connection over which nothing passes is closed as idle on both sides") {
  runtime bus;
  limits quick;
  quick.keepalive_time = 100ms;
  quick.idle_time_max = 400ms;
  auto far = bus.spawn_node({.id = {}, .init = {}, .bounds = quick});
  auto near = bus.spawn_node({.id = {}, .init = {}, .bounds = quick});
  auto far_events = far.inbox();
  auto near_events = near.inbox();
  const auto at = far.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  REQUIRE(near.connect(*at).has_value());
  const auto far_end = next_event<disconnected>(far_events);
  const auto near_end = next_event<disconnected>(near_events);
  REQUIRE(far_end.has_value());
  REQUIRE(near_end.has_value());
  CHECK(far_end->reason.code == errc::idle);
  CHECK(near_end->reason.code == errc::idle);
  CHECK(near.send(far.id(), 1) == send_outcome::closed);
  REQUIRE(near.idle_time(60s).has_value());
  REQUIRE(far.idle_time(60s).has_value());
  CHECK(near.connect(*at).has_value());
  CHECK(near.send(far.id(), 1) == send_outcome::accepted);
}

TEST_CASE("a sender that is kept finds the peer's next connection") {
  runtime bus;
  connected_pair pair(bus);
  auto out = pair.near.to(pair.far.id());
  auto near = pair.near.inbox();
  auto far = pair.far.inbox();
  CHECK(out.send(1) == send_outcome::accepted);
  CHECK(far.next_message(patience)->as<int>().value_or(0) == 1);
  REQUIRE(pair.near.disconnect(pair.far.id(), {}, 1s).has_value());
  REQUIRE(next_event<disconnected>(near).has_value());
  REQUIRE(next_event<disconnected>(far).has_value());
  CHECK(out.send(2) == send_outcome::closed);
  REQUIRE(pair.near.connect(pair.endpoint).has_value());
  CHECK(out.send(3) == send_outcome::accepted);
  CHECK(far.next_message(patience)->as<int>().value_or(0) == 3);
}

TEST_CASE("a message larger than the peer takes in one frame is refused and disturbs nothing") {
  runtime bus;
  limits small;
  small.frame_bytes_max = 64 << 10;
  connected_pair pair(bus, small);
  auto inbox = pair.far.inbox();
  const std::vector<std::byte> large((64 << 10) + 1, std::byte{1});
  CHECK(pair.near.send_bytes(pair.far.id(), large) == send_outcome::too_large);
  CHECK(pair.near.send_bytes(pair.far.id(), std::span(large).first(64 << 10))
        == send_outcome::accepted);
  const auto arrived = inbox.next_message(patience);
  REQUIRE(arrived.has_value());
  CHECK(arrived->bytes().size() == 64 << 10);
}

TEST_CASE("for ever may be asked for") {
  runtime bus;
  auto far = bus.spawn_node(), near = bus.spawn_node();
  auto inbox = far.inbox();
  const auto at = far.listen("tcp://127.0.0.1:0", duration::max());
  REQUIRE(at.has_value());
  REQUIRE(near.connect(*at, duration::max()).has_value());
  CHECK(near.send(far.id(), 1, {.within = duration::max()}) == send_outcome::accepted);
  CHECK(inbox.next_message(duration::max()).has_value());
  CHECK(near.close(duration::max()).has_value());
}

TEST_CASE("a node may dial many at once on one machine") {
  runtime bus;
  limits few;
  few.pending_handshakes_per_address_max = 4;
  auto near = bus.spawn_node({.id = {}, .init = {}, .bounds = few});
  std::vector<std::thread> dials;
  std::vector<node> peers;
  std::vector<std::string> endpoints;
  for (int count = 0; count < 20; ++count) {
    peers.push_back(bus.spawn_node());
    endpoints.push_back(peers.back().listen("tcp://127.0.0.1:0").value_or(""));
  }
  std::atomic<int> connected{0};
  for (const auto& at : endpoints)
    dials.emplace_back([&] { connected += near.connect(at).has_value() ? 1 : 0; });
  for (auto& each : dials)
    each.join();
  CHECK(connected == 20);
}

TEST_CASE("a node listens under its own id only") {
  runtime bus;
  auto node = bus.spawn_node();
  CHECK(node.listen("tcp://" + to_string(node_id::random()) + "@127.0.0.1:0").error()
        == errc::wrong_node);
  const auto at = node.listen("tcp://" + to_string(node.id()) + "@localhost:0");
  REQUIRE(at.has_value());
  CHECK(bus.spawn_node().connect(*at).value_or(node_id{}) == node.id());
}

TEST_CASE("an inbox that was moved away answers that it is over") {
  runtime bus;
  auto node = bus.spawn_node();
  auto first = node.inbox();
  auto second = std::move(first);
  // NOLINTNEXTLINE(bugprone-use-after-move): what a moved inbox answers is the point.
  CHECK(first.next(duration(0)).error() == errc::node_closed);
  CHECK(second.next_event(duration(0)).error() == errc::timeout);
}
