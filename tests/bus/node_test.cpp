// node: the core of a node, with real sessions on a virtual clock: who is let in, who is told what,
// in which order, and that every close ends.
#include "postbus/tests/support/node_world.hpp"

#include <doctest/doctest.h>

#include <algorithm>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

TEST_CASE("a dial is answered with the peer, and both sides are told once") {
  node_world world;
  auto& a = world.add(1);
  auto& b = world.add(2);
  const auto at_a = world.subscribe(a);
  const auto at_b = world.subscribe(b);
  const auto id = world.dial(a, b);
  world.run(1s);
  CHECK(a.dials.at(id).value_or(node_id{}) == b.core.id());
  CHECK(a.stories[at_a] == "connected(node 2) ");
  CHECK(b.stories[at_b] == "connected(node 1) ");
  CHECK(world.send(a, b, 7) == send_outcome::accepted);
  world.run(1s);
  CHECK(b.numbers[a.core.id()] == std::vector{7});
  CHECK(a.core.open_count() == 1);
}

TEST_CASE("messages between connected and disconnected, and nothing after") {
  node_world world;
  world.wires.latency = 3ms;
  auto& a = world.add(1);
  auto& b = world.add(2);
  const auto at_b = world.subscribe(b);
  world.dial(a, b);
  world.run(1s);
  for (int number = 0; number < 3; ++number)
    CHECK(world.send(a, b, number) == send_outcome::accepted);
  a.core.close({errc::closed, blame::local, {}}, 5s, world.now);
  world.run(1s);
  CHECK(b.stories[at_b] == "connected(node 1) message message message disconnected(closed) ");
  CHECK(b.numbers[a.core.id()] == std::vector{0, 1, 2});
  CHECK(a.finished);
}

TEST_CASE("of two dials at the same time the smaller id's survives, on both sides the same") {
  for (const auto latency : {0ms, 1ms, 50ms}) {
    CAPTURE(latency.count());
    node_world world;
    world.wires.latency = latency;
    auto& a = world.add(1);
    auto& b = world.add(2);
    const auto at_a = world.subscribe(a);
    const auto at_b = world.subscribe(b);
    const auto from_a = world.dial(a, b);
    const auto from_b = world.dial(b, a);
    world.run(2s);
    CHECK(a.dials.at(from_a).value_or(node_id{}) == b.core.id());
    CHECK(b.dials.at(from_b).value_or(node_id{}) == a.core.id());
    CHECK(a.stories[at_a] == "connected(node 2) ");
    CHECK(b.stories[at_b] == "connected(node 1) ");
    REQUIRE(world.link(a, b) != nullptr);
    REQUIRE(world.link(b, a) != nullptr);
    CHECK(world.link(a, b)->in == world.link(b, a)->out);
    CHECK(a.core.connection_count() == 1);
    CHECK(b.core.connection_count() == 1);
    if (latency > 0ms)
      CHECK(world.link(a, b)->id == from_a);
  }
}

TEST_CASE("a second dial to an open peer is answered with it, whoever dials") {
  node_world world;
  world.wires.latency = 1ms;
  auto& a = world.add(1);
  auto& b = world.add(2);
  world.dial(a, b);
  world.run(1s);
  const auto again = world.dial(a, b);
  const auto back = world.dial(b, a);
  world.run(3s);
  CHECK(a.dials.at(again).value_or(node_id{}) == b.core.id());
  CHECK(b.dials.at(back).value_or(node_id{}) == a.core.id());
  CHECK(a.core.connection_count() == 1);
  CHECK(b.core.connection_count() == 1);
}

TEST_CASE("a dial while the old connection ends in order waits for its end, then opens") {
  node_world world;
  world.wires.latency = 20ms;
  auto& a = world.add(1);
  auto& b = world.add(2);
  const auto at_a = world.subscribe(a);
  const auto at_b = world.subscribe(b);
  world.dial(a, b);
  world.run(60s + 30ms); // idle by now, the goodbye is on its way
  const auto again = world.dial(a, b);
  world.run(5s);
  CHECK(a.dials.at(again).value_or(node_id{}) == b.core.id());
  CHECK(a.stories[at_a] == "connected(node 2) disconnected(idle) connected(node 2) ");
  CHECK(b.stories[at_b] == "connected(node 1) disconnected(idle) connected(node 1) ");
}

TEST_CASE("a peer that restarted replaces its dead connection after an unanswered probe") {
  node_world world;
  world.wires.latency = 1ms;
  auto& b = world.add(2);
  const auto at_b = world.subscribe(b);
  auto& first = world.add(1, {}, 111);
  world.dial(first, b);
  world.run(1s);
  // The first run dies without a word.
  auto* dead = world.link(b, first);
  REQUIRE(dead != nullptr);
  dead->out->fail_at(0, fault::silence, world.now);
  dead->in->fail_at(0, fault::silence, world.now);
  auto& second = world.add(1, {}, 222);
  const auto id = world.dial(second, b);
  world.run(500ms);
  CHECK(b.stories[at_b] == "connected(node 1) ");
  world.run(1s);
  CHECK(b.stories[at_b] == "connected(node 1) disconnected(peer_restarted) connected(node 1) ");
  CHECK(second.dials.at(id).value_or(node_id{}) == b.core.id());
}

TEST_CASE("a claim of an open peer's id is refused while that peer answers") {
  node_world world;
  world.wires.latency = 1ms;
  auto& b = world.add(2);
  const auto at_b = world.subscribe(b);
  auto& honest = world.add(1, {}, 111);
  world.dial(honest, b);
  world.run(1s);
  auto& forger = world.add(1, {}, 222);
  const auto id = world.dial(forger, b);
  world.run(2s);
  CHECK(forger.dials.at(id).error() == errc::id_in_use);
  CHECK(b.stories[at_b] == "connected(node 1) ");
  CHECK(world.send(honest, b, 1) == send_outcome::accepted);
}

TEST_CASE("who decides is asked, once, and the answer holds") {
  node_world world;
  auto& a = world.add(1);
  auto& b = world.add(2);
  world.subscribe(b, {.messages = false, .events = false, .decides = true});
  const auto first = world.dial(a, b);
  world.run(1s);
  REQUIRE(b.questions.size() == 1);
  CHECK(b.questions[0].peer == a.core.id());
  CHECK(b.questions[0].init.text() == "node 1");
  CHECK_FALSE(a.dials.contains(first));
  CHECK(b.core.decide(b.questions[0].connection, error{errc::rejected, blame::local, "full"}));
  world.run(1s);
  CHECK(a.dials.at(first).error() == error{errc::rejected, blame::remote, "full"});
  CHECK_FALSE(b.core.decide(b.questions[0].connection, {}));

  const auto second = world.dial(a, b);
  world.run(1s);
  REQUIRE(b.questions.size() == 2);
  CHECK(b.core.decide(b.questions[1].connection, {}));
  world.run(1s);
  CHECK(a.dials.at(second).has_value());

  auto& c = world.add(3);
  const auto third = world.dial(c, b);
  world.run(10s);
  CHECK(c.dials.at(third).error() == errc::handshake_timeout);
}

TEST_CASE("a close does not wait for credit from a peer that has said goodbye and gone") {
  node_world world;
  auto& a = world.add(1);
  auto& b = world.add(2); // nobody subscribes there, so it grants nothing
  const auto at_a = world.subscribe(a);
  world.dial(a, b);
  world.run(100ms);
  CHECK(world.send(a, b, 1) == send_outcome::accepted);
  b.core.close({errc::closed, blame::local, {}}, 0s, world.now);
  world.run(limits{}.linger_time_max + 100ms);
  CHECK(a.stories[at_a] == "connected(node 2) disconnected(closed) ");
  CHECK(a.core.connection_count() == 0);
}

TEST_CASE("a flood of silent connections pushes out its own oldest, not other addresses'") {
  limits few;
  few.pending_handshakes_max = 8;
  few.pending_handshakes_per_address_max = 6;
  node_world world;
  auto& b = world.add(2, few);
  const auto start = [&](const std::string& address) {
    return b.core.start({bus::session::role::listener, address, {}})->connection;
  };
  const auto victims = [&] {
    std::vector<bus::connection_id> ended;
    while (auto what = b.core.next())
      if (auto* end = std::get_if<bus::node::end_connection>(&*what)) {
        CHECK(end->reason.code == errc::too_many_handshakes);
        ended.push_back(end->connection);
      }
    return ended;
  };
  const auto good = start("10.0.0.1:1");
  std::vector<bus::connection_id> flood;
  for (int port = 0; port < 6; ++port)
    flood.push_back(start("10.0.0.2:" + std::to_string(port)));
  CHECK(victims().empty());
  flood.push_back(start("10.0.0.2:7"));
  CHECK(victims() == std::vector{flood[0]}); // the address's own bound
  start("10.0.0.3:1");
  CHECK(victims().empty());
  start("10.0.0.4:1");
  CHECK(victims() == std::vector{flood[1]}); // the bound for all: who holds most loses one
  CHECK(good != flood[1]);
}

TEST_CASE("who had to make room is not told as connected, even if its last welcome is in already") {
  limits one;
  one.pending_handshakes_max = 1;
  one.pending_handshakes_per_address_max = 1;
  bus::node core({id_of(2), 1, {}, std::make_shared<const limits>(one)}, time_point(1s));
  auto slot = bus::shared<bus::receipt>::adopt(new bus::receipt);
  (void)core.subscribe({}, slot);
  const auto drain = [&] {
    std::vector<std::size_t> kinds;
    while (auto what = core.next())
      kinds.push_back(what->index());
    return kinds;
  };
  const auto has = [](const std::vector<std::size_t>& kinds, const bus::node::output& what) {
    return std::find(kinds.begin(), kinds.end(), what.index()) != kinds.end();
  };
  const auto id = core.start({bus::session::role::listener, "10.0.0.1:1", {}})->connection;
  bus::hello peer;
  peer.id = id_of(1);
  core.on(id, bus::hello_seen{peer});
  CHECK(has(drain(), bus::node::accept_connection{}));
  CHECK(core.start({bus::session::role::listener, "10.0.0.1:2", {}}).has_value());
  CHECK(has(drain(), bus::node::end_connection{}));
  core.on(id, bus::opened{}); // it crossed that on its way
  CHECK(drain().empty());
  core.on(id, bus::ended{{errc::too_many_handshakes, blame::local, {}}, peer.id, true, {}, {}});
  CHECK(drain() == std::vector{bus::node::output(bus::node::connection_over{}).index()});
}

TEST_CASE("a full node refuses with its reason and keeps whom it has") {
  limits two;
  two.connections_max = 2;
  node_world world;
  auto& b = world.add(9, two);
  for (unsigned id = 1; id <= 2; ++id)
    world.dial(world.add(id), b);
  world.run(1s);
  auto& third = world.add(3);
  const auto id = world.dial(third, b);
  world.run(1s);
  CHECK(third.dials.at(id).error() == errc::too_many_connections);
  CHECK(b.core.open_count() == 2);
}

TEST_CASE("a node that asks about several peers takes no more than it has room for") {
  limits one;
  one.connections_max = 1;
  node_world world;
  auto& b = world.add(9, one);
  world.subscribe(b, {.messages = false, .events = false, .decides = true});
  auto& first = world.add(1);
  auto& second = world.add(2);
  const auto from_first = world.dial(first, b);
  const auto from_second = world.dial(second, b);
  world.run(1s);
  REQUIRE(b.questions.size() == 2); // there is room for each
  for (const auto& question : b.questions)
    CHECK(b.core.decide(question.connection, {}));
  world.run(1s);
  CHECK(b.core.open_count() == 1);
  CHECK(first.dials.at(from_first).has_value());
  CHECK(second.dials.at(from_second).error() == errc::too_many_connections);
}

TEST_CASE("a full node is no obstacle to whom it knows: not to a second dial, nor to a restart") {
  limits one;
  one.connections_max = 1;
  node_world world;
  auto& b = world.add(9, one);
  const auto at_b = world.subscribe(b);
  auto& first = world.add(1);
  world.dial(first, b);
  world.run(1s);
  const auto again = world.dial(first, b);
  world.run(2s);
  CHECK(first.dials.at(again).value_or(node_id{}) == b.core.id());

  for (auto* end : {world.link(b, first), world.link(first, b)}) // now half open
    end->out->fail_at(0, fault::silence, world.now);
  auto& restarted = world.add(1, {}, 2);
  const auto anew = world.dial(restarted, b);
  world.run(3s);
  CHECK(restarted.dials.at(anew).value_or(node_id{}) == b.core.id());
  CHECK(b.stories[at_b] == "connected(node 1) disconnected(peer_restarted) connected(node 1) ");
}

TEST_CASE("two dials at once between a pair take one place") {
  limits one;
  one.connections_max = 1;
  node_world world;
  auto& a = world.add(1, one);
  auto& b = world.add(2, one);
  const auto there = world.dial(a, b);
  const auto back = world.dial(b, a);
  world.run(3s);
  CHECK(a.dials.at(there).value_or(node_id{}) == b.core.id());
  CHECK(b.dials.at(back).value_or(node_id{}) == a.core.id());
}

TEST_CASE("the node's memory is shared between its connections") {
  limits tight;
  tight.window_bytes_min = 1024;
  tight.window_bytes_max = 4096;
  tight.node_received_bytes_max = 8192;
  node_world world;
  auto& b = world.add(99, tight);
  world.subscribe(b);
  std::vector<node_world::host*> peers;
  for (unsigned id = 1; id <= 8; ++id) {
    peers.push_back(&world.add(id));
    world.dial(*peers.back(), b);
  }
  world.run(1s);
  for (auto* each : peers) {
    for (int number = 0; number < 5000; ++number)
      (void)world.send(*each, b, 1);
    world.run(1s);
  }
  world.run(5s);
  for (const auto& [id, each] : b.ends)
    CHECK(each->session.window_bytes() <= 8192 / 8);
  for (auto* each : peers)
    CHECK(b.numbers[each->core.id()].size() == 5000);
}

TEST_CASE("closing a node ends with all: peers that answer, peers that do not, dials under way") {
  node_world world;
  world.wires.latency = 1ms;
  auto& b = world.add(2);
  const auto at_b = world.subscribe(b);
  auto& answers = world.add(1);
  auto& frozen = world.add(3);
  auto& late = world.add(4);
  world.dial(answers, b);
  world.dial(frozen, b);
  world.run(1s);
  auto* dead = world.link(b, frozen);
  dead->in->fail_at(0, fault::silence, world.now);
  dead->out->fail_at(0, fault::silence, world.now);
  const auto under_way = world.dial(b, late);
  b.core.close({errc::closed, blame::local, {}}, 2s, world.now);
  CHECK(b.core.start({bus::session::role::listener, "x:1", {}}).error() == errc::node_closed);
  world.run(20s);
  CHECK(b.finished);
  CHECK(b.dials.at(under_way).error() == errc::node_closed);
  CHECK(b.stories[at_b].ends_with("closed "));
  CHECK(b.stories[at_b].find("closing ") != std::string::npos);
  CHECK(answers.core.open_count() == 0);
}

TEST_CASE("a node without connections closes at once") {
  node_world world;
  auto& a = world.add(1);
  const auto id = world.subscribe(a);
  a.core.close({errc::closed, blame::local, {}}, 5s, world.now);
  world.run(0s);
  CHECK(a.finished);
  CHECK(a.stories[id] == "closing closed ");
}

TEST_CASE("idle connections end on both sides and only those") {
  node_world world;
  auto& a = world.add(1);
  auto& b = world.add(2);
  const auto at_a = world.subscribe(a);
  const auto at_b = world.subscribe(b);
  world.dial(a, b);
  world.run(59s);
  CHECK(world.send(a, b, 1) == send_outcome::accepted);
  world.run(59s);
  CHECK(a.core.open_count() == 1);
  world.run(10s);
  CHECK(a.stories[at_a].ends_with("disconnected(idle) "));
  CHECK(b.stories[at_b].ends_with("disconnected(idle) "));
}
