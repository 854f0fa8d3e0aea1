// What a node says of itself: totals that survive their connections, refusals and drops by reason, the last
// connections that are over; and that a question is always answered, whatever ends meanwhile.
#include "postbus/tests/support/node_world.hpp"

#include <doctest/doctest.h>

using namespace postbus;
using namespace postbus::bus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

ended end_of(const node_id& peer, errc reason, blame by, send_account account = {}) {
  ended out;
  out.reason = {reason, by, "words"};
  out.peer = peer;
  out.was_open = true;
  out.account = account;
  out.total.messages_sent = account.sent;
  return out;
}

} // namespace

TEST_CASE("a node that did nothing has statistics, too") {
  node_world world;
  auto& a = world.add(1);
  const auto idle = world.statistics_of(a);
  CHECK(idle.id == id_of(1));
  CHECK(idle.total == traffic{});
  CHECK(idle.connections.empty());
  CHECK(idle.closed.empty());
  CHECK(idle.refusals.empty());
  CHECK(idle.pending_handshakes == 0);
}

TEST_CASE("both ends of a connection say the same of it") {
  node_world world;
  world.wires.latency = 3ms;
  auto& a = world.add(1);
  auto& b = world.add(2);
  world.subscribe(b);
  world.dial(a, b, {}, "b.example:4000");
  world.run(10s);
  for (int number = 0; number < 10; ++number)
    CHECK(world.send(a, b, number) == send_outcome::accepted);
  world.run(10s);

  const auto near = world.statistics_of(a);
  const auto far = world.statistics_of(b);
  REQUIRE(near.connections.size() == 1);
  REQUIRE(far.connections.size() == 1);
  const auto& to = near.connections[0];
  const auto& from = far.connections[0];
  CHECK(to.peer == b.core.id());
  CHECK(to.address == "b.example:4000");
  CHECK(to.dialed);
  CHECK_FALSE(from.dialed);
  CHECK(to.total.messages_sent == 10);
  CHECK(to.messages_confirmed == 10);
  CHECK(to.messages_waiting == 0);
  CHECK(from.total.messages_received == 10);
  CHECK(from.total.bytes_received == to.total.bytes_sent);
  CHECK(from.total.bytes_sent == to.total.bytes_received);
  CHECK(to.round_trip_time == 6ms);
  CHECK(to.sent_idle_time == 10s);
  CHECK(near.total == to.total);
  CHECK(far.total == from.total);
  CHECK(near.connections_opened == 1);
}

TEST_CASE("messages that wait for credit are told as waiting") {
  node_world world;
  limits narrow;
  narrow.window_bytes_min = narrow.window_bytes_max = 64;
  auto& a = world.add(1);
  auto& b = world.add(2, narrow);
  const auto holder = world.subscribe(b, {}, true);
  world.dial(a, b);
  world.run(1s);
  for (int number = 0; number < 100; ++number)
    CHECK(world.send(a, b, number) == send_outcome::accepted);
  world.run(1s);
  const auto to = world.statistics_of(a).connections.at(0);
  CHECK(to.total.messages_sent + to.messages_waiting == 100);
  CHECK(to.messages_waiting > 50);
  world.let_go(b, holder);
}

TEST_CASE("totals never fall, and what is over is told with its reason") {
  node_world world;
  auto& a = world.add(1);
  auto& b = world.add(2);
  world.subscribe(a);
  world.subscribe(b);
  world.dial(a, b);
  world.run(1s);
  world.send(a, b, 1);
  world.send(b, a, 2);
  world.run(20s);
  const auto before = world.statistics_of(a);
  world.link(b, a)->session.close({errc::closed, blame::local, {}}, 5s, world.now);
  world.run(30s);
  const auto after = world.statistics_of(a);
  CHECK(after.connections.empty());
  CHECK(after.total.messages_sent == 1);
  CHECK(after.total.messages_received == 1);
  CHECK(after.total.bytes_sent > before.total.bytes_sent); // the goodbye
  REQUIRE(after.closed.size() == 1);
  const auto& over = after.closed[0];
  CHECK(over.peer == id_of(2));
  CHECK(over.reason == errc::closed);
  CHECK(over.reason.by == blame::remote);
  CHECK(over.account.complete());
  CHECK(over.total == after.total);
  CHECK(over.open_time >= 20s);
  CHECK(over.open_time < 21s + 5s);
  CHECK(over.closed_time > 20s);
  CHECK(after.disconnects == std::vector<reason_count>{{errc::closed, blame::remote, 1}});
  CHECK(world.statistics_of(b).disconnects
        == std::vector<reason_count>{{errc::closed, blame::local, 1}});
  CHECK(after.connections_opened == 1);
}

TEST_CASE("refusals are counted by reason at both ends") {
  node_world world;
  limits two;
  two.connections_max = 2;
  auto& b = world.add(9, two);
  std::vector<node_world::host*> others;
  for (unsigned id = 1; id <= 5; ++id)
    world.dial(*others.emplace_back(&world.add(id)), b);
  world.run(1s);
  auto& wrong = world.add(20);
  world.dial(wrong, b, id_of(77));
  world.run(5s);
  const auto told = world.statistics_of(b);
  CHECK(told.connections.size() == 2);
  CHECK(told.refusals
        == std::vector<reason_count>{{errc::wrong_node, blame::remote, 1},
                                     {errc::too_many_connections, blame::local, 3}});
  CHECK(world.statistics_of(*others[4]).refusals
        == std::vector<reason_count>{{errc::too_many_connections, blame::remote, 1}});
  CHECK(world.statistics_of(wrong).refusals
        == std::vector<reason_count>{{errc::wrong_node, blame::remote, 1}});
}

TEST_CASE("handshakes on their way are counted, and are no connections") {
  node_world world;
  auto& a = world.add(1);
  auto& b = world.add(2);
  world.subscribe(b, {.decides = true});
  world.dial(a, b);
  world.run(1s);
  CHECK(world.statistics_of(b).pending_handshakes == 1);
  CHECK(world.statistics_of(a).pending_handshakes == 1);
  CHECK(world.statistics_of(b).connections.empty());
  REQUIRE(b.questions.size() == 1);
  b.core.decide(b.questions[0].connection, {});
  world.run(1s);
  CHECK(world.statistics_of(b).pending_handshakes == 0);
  CHECK(world.statistics_of(b).connections.size() == 1);
}

TEST_CASE("messages that came to nothing are counted by what became of them") {
  node_world world;
  auto& a = world.add(1);
  auto& b = world.add(2);
  const auto slow = world.subscribe(b, {}, true);
  world.dial(a, b);
  world.run(1s);
  for (int number = 0; number < 30; ++number) {
    world.send(a, b, number);
    world.run(1ms);
  }
  // Four batches are in its hands; nobody else will take the rest.
  b.core.unsubscribe(slow);
  world.run(1s);
  CHECK(world.statistics_of(b).drops
        == std::vector<drop_count>{{drop::unclaimed, errc::none, blame::local, 26}});

  world.send(a, b, 100);
  world.link(a, b)->session.fail(errc::connection_reset, "cut");
  world.send(a, b, 101);
  world.run(1s);
  const auto lost = world.statistics_of(a);
  REQUIRE(lost.closed.size() == 1);
  const auto& account = lost.closed[0].account;
  std::uint64_t unsent = 0, unconfirmed = 0;
  for (const auto& each : lost.drops) {
    CHECK(each.reason == errc::connection_reset);
    CHECK(each.by == blame::remote);
    (each.what == drop::unsent ? unsent : unconfirmed) += each.messages;
  }
  CHECK(unsent == account.unsent);
  CHECK(unconfirmed == account.unconfirmed());
  CHECK(unsent + account.sent == 32);
}

TEST_CASE("of the connections that are over only the last are told, the oldest first") {
  limits few;
  few.closed_connections_max = 3;
  ledger book(few.closed_connections_max);
  for (unsigned number = 1; number <= 10; ++number) {
    auto end = end_of(id_of(number), errc::idle, blame::local, {2, 1, 0});
    end.at = time_point(std::chrono::seconds(number));
    end.open_time = std::chrono::seconds(number) / 2;
    book.ended(number, end, "host:" + std::to_string(number), true, true);
  }
  book.collect({}, time_point(100s));
  const auto told = book.next();
  REQUIRE(told.has_value());
  const auto& what = *told->what;
  REQUIRE(what.closed.size() == 3);
  CHECK(what.closed[0].peer == id_of(8));
  CHECK(what.closed[2].peer == id_of(10));
  CHECK(what.closed[2].address == "host:10");
  CHECK(what.closed[2].closed_time == 90s);
  CHECK(what.closed[2].open_time == 5s);
  CHECK(what.disconnects == std::vector<reason_count>{{errc::idle, blame::local, 10}});
  CHECK(what.drops == std::vector<drop_count>{{drop::unconfirmed, errc::idle, blame::local, 10}});
  CHECK(what.total.messages_sent == 20);
}

TEST_CASE("a question is answered when all have answered or ended, each counted once") {
  ledger book(10);
  const auto said = [](std::uint64_t messages) {
    connection_statistics out;
    out.total.messages_sent = messages;
    return out;
  };
  const auto first = book.collect({1, 2, 3}, time_point(1s));
  const auto second = book.collect({1, 2, 3}, time_point(2s));
  CHECK(first != second);
  book.report(first, 1, said(10));
  book.report(first, 1, said(1000)); // twice: passed over
  book.report(first, 77, said(1000));
  book.report(99, 1, said(1000));
  book.report(first, 2, said(20));
  CHECK_FALSE(book.next().has_value());
  // It has answered the first question, and ends; the last end answers that question.
  book.ended(2, end_of(id_of(2), errc::closed, blame::local, {25, 25, 0}), {}, false, true);
  CHECK_FALSE(book.next().has_value());
  book.ended(3, end_of(id_of(3), errc::closed, blame::local, {30, 30, 0}), {}, false, true);
  auto told = book.next();
  REQUIRE(told.has_value());
  CHECK(told->collection == first);
  CHECK(told->what->connections.size() == 1);
  CHECK(told->what->total.messages_sent == 10 + 25 + 30);
  book.report(second, 2, said(26)); // too late
  book.report(second, 1, said(11));
  told = book.next();
  REQUIRE(told.has_value());
  CHECK(told->collection == second);
  CHECK(told->what->total.messages_sent == 11 + 25 + 30);
  CHECK_FALSE(book.next().has_value());
}

TEST_CASE("a node that closes answers who has asked, and nobody afterwards") {
  node_world world;
  auto& a = world.add(1);
  auto& b = world.add(2);
  world.dial(a, b);
  world.run(1s);
  const auto asked = a.core.collect(world.now);
  REQUIRE(asked.has_value());
  // The question is on its way to the connection when that ends.
  world.link(a, b)->session.fail(errc::connection_reset, "cut");
  a.core.close({errc::closed, blame::local, {}}, 1s, world.now);
  world.run(10s);
  CHECK(a.finished);
  REQUIRE(a.statistics.contains(*asked));
  CHECK(a.core.collect(world.now).error() == errc::node_closed);
}
