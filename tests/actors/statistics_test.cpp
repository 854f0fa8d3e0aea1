// Statistics of real nodes: both forms of asking, what both ends say of one connection, and answers that
// come whatever happens to the connections meanwhile.
#include "postbus/tests/support/expect.hpp"

#include <atomic>
#include <thread>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

/// Asks `from` until its only connection is as `good` wants it.
template <class Good>
result<node_statistics> statistics_with(const node& from, Good good) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  for (;;) {
    auto told = from.statistics(patience);
    if (!told || std::chrono::steady_clock::now() > deadline)
      return told;
    if (told->connections.size() == 1 && good(told->connections[0]))
      return told;
    std::this_thread::yield();
  }
}

} // namespace

TEST_CASE("two nodes say the same of what went between them") {
  runtime bus;
  connected_pair pair(bus);
  auto inbox = pair.far.inbox();
  const std::string body(100, 'x');
  for (int number = 0; number < 50; ++number)
    REQUIRE(pair.near.send(pair.far.id(), body) == send_outcome::accepted);
  for (int number = 0; number < 50; ++number)
    REQUIRE(inbox.next_message(patience).has_value());

  // The bytes are counted before the messages are handed over, their end after the last was written.
  const auto far =
    statistics_with(pair.far, [](const auto& of) { return of.total.messages_received == 50; });
  REQUIRE(far.has_value());
  const auto near = statistics_with(pair.near, [&](const auto& of) {
    return of.total.messages_sent == 50 && of.total.bytes_sent > 5000;
  });
  REQUIRE(near.has_value());
  REQUIRE(near->connections.size() == 1);
  REQUIRE(far->connections.size() == 1);
  const auto& to = near->connections[0];
  const auto& from = far->connections[0];
  CHECK(near->id == pair.near.id());
  CHECK(to.peer == pair.far.id());
  CHECK(from.peer == pair.near.id());
  CHECK(to.dialed);
  CHECK_FALSE(from.dialed);
  CHECK("tcp://" + to.address == pair.endpoint);
  CHECK(from.total.bytes_received >= 50 * 110);
  CHECK(from.total.bytes_received <= to.total.bytes_sent);
  CHECK(to.total.messages_received == 0);
  CHECK(to.round_trip_time > 0s);
  CHECK(to.round_trip_time < patience);
  CHECK(to.open_time > 0s);
  CHECK(to.per_second.messages_sent > 0);
  CHECK(near->total.messages_sent == 50);
  CHECK(near->connections_opened == 1);
  CHECK(near->closed.empty());

  REQUIRE(pair.near.close().has_value());
  REQUIRE(next_event<disconnected>(inbox).has_value());
  const auto after = pair.far.statistics(patience);
  REQUIRE(after.has_value());
  CHECK(after->connections.empty());
  CHECK(after->total.messages_received == 50);
  CHECK(after->total.bytes_received >= from.total.bytes_received);
  REQUIRE(after->closed.size() == 1);
  CHECK(after->closed[0].peer == pair.near.id());
  CHECK(after->closed[0].reason == error{errc::closed, blame::remote, {}});
}

TEST_CASE("an actor asks by message") {
  runtime bus;
  connected_pair pair(bus);
  caf::scoped_actor self(bus.system());
  node_statistics told;
  ask(self.ptr(), pair.near.actor(), patience, get_statistics{})
    .receive([&](node_statistics& what) { told = std::move(what); },
             [](const caf::error& failed) { FAIL(render(failed)); });
  CHECK(told.id == pair.near.id());
  REQUIRE(told.connections.size() == 1);
  CHECK(told.connections[0].peer == pair.far.id());
}

TEST_CASE("a refused dial is counted at both ends, with its reason") {
  runtime bus;
  const node_options unhurried{.id = {}, .init = {}, .bounds = patient()};
  auto far = bus.spawn_node(unhurried);
  auto deciding = far.deciding_inbox();
  const auto at = far.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  auto near = bus.spawn_node(unhurried);
  std::thread refuser([&] {
    if (const auto request = next_event<connection_request>(deciding))
      far.reject(*request, "not today");
  });
  CHECK(near.connect(*at, patience).error() == errc::rejected);
  refuser.join();
  const std::vector<reason_count> here{{errc::rejected, blame::remote, 1}};
  const std::vector<reason_count> there{{errc::rejected, blame::local, 1}};
  CHECK(near.statistics(patience)->refusals == here);
  // The end of it comes when the other side has closed, too.
  (void)eventually([&] { return far.statistics(patience)->refusals == there; });
  CHECK(far.statistics(patience)->refusals == there);
}

TEST_CASE("what senders were refused is counted by the answer they got") {
  limits small;
  small.outbox_bytes_max = 10'000;
  small.frame_bytes_max = 20'000;
  runtime bus({.close_time = 10ms});      // what waits there is never taken
  connected_pair pair(bus, small, small); // nobody takes messages there: no credit
  const std::vector<std::byte> body(1000), huge(30'000);
  int congested = 0;
  while (congested < 3)
    congested += pair.near.send_bytes(pair.far.id(), body) == send_outcome::congested ? 1 : 0;
  CHECK(pair.near.send_bytes(pair.far.id(), huge) == send_outcome::too_large);
  CHECK(pair.near.send_bytes(node_id::random(), body) == send_outcome::closed);
  caf::scoped_actor self(bus.system());
  ask(self.ptr(), pair.near.actor(), patience, send_message{node_id::random(), {}})
    .receive([](send_outcome outcome) { CHECK(outcome == send_outcome::closed); },
             [](const caf::error& failed) { FAIL(render(failed)); });
  const auto told = pair.near.statistics(patience);
  REQUIRE(told.has_value());
  CHECK(told->refused
        == std::vector<refused_messages>{
          {send_outcome::congested, 3}, {send_outcome::closed, 2}, {send_outcome::too_large, 1}});
  CHECK(told->connections.at(0).messages_waiting > 0);
  CHECK(pair.far.statistics(patience)->refused.empty());
}

TEST_CASE("many ask at once while connections come and go, and all are answered") {
  runtime bus;
  auto hub = bus.spawn_node();
  const auto at = hub.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  std::atomic<bool> over = false, failed = false;
  std::atomic<int> answers = 0;
  std::vector<std::thread> askers;
  for (int number = 0; number < 3; ++number)
    askers.emplace_back([&] {
      std::uint64_t bytes = 0, opened = 0;
      while (!over) {
        const auto told = hub.statistics(patience);
        if (!told || told->total.bytes_received < bytes || told->connections_opened < opened) {
          failed = true;
          return;
        }
        bytes = told->total.bytes_received;
        opened = told->connections_opened;
        ++answers;
      }
    });
  for (int round = 0; round < 30; ++round) {
    auto visitor = bus.spawn_node();
    REQUIRE(visitor.connect(*at, patience).has_value());
    CHECK(visitor.send(hub.id(), round) == send_outcome::accepted);
    CHECK(visitor.close(0s).has_value());
  }
  const auto least = answers + 10;
  CHECK(eventually([&] { return answers >= least || failed; }));
  over = true;
  for (auto& each : askers)
    each.join();
  CHECK_FALSE(failed);
  CHECK(hub.statistics(patience)->connections_opened == 30);
}

TEST_CASE("who asks a closed node, or on a loop, is told so") {
  runtime bus;
  auto node = bus.spawn_node();
  std::promise<errc> asked;
  REQUIRE(node
            .spawn_on_loop([&](caf::event_based_actor*) -> caf::behavior {
              asked.set_value(node.statistics().error().code);
              return {};
            })
            .has_value());
  CHECK(awaited(asked.get_future()) == errc::would_deadlock);
  REQUIRE(node.close().has_value());
  CHECK(node.statistics(patience).error() == errc::node_closed);
}
