// peer_table: its rules one by one, and all orders in which small cases with two ends can happen.
#include "postbus/tests/support/peer_pair.hpp"

#include <doctest/doctest.h>

#include <unordered_set>

using namespace postbus;
using namespace postbus::test;

namespace {

using bus::peer_table;

peer_table::candidate from(const node_id& peer, bus::connection_id connection, bool dialed,
                           std::uint64_t incarnation = 1) {
  return {.connection = connection, .peer = peer, .incarnation = incarnation, .dialed = dialed};
}

/// The next action as text: "ask 1", "turn_away 2 already_connected", or "" for none.
std::string next(peer_table& table) {
  const auto action = table.next();
  if (!action)
    return {};
  struct {
    std::string operator()(const peer_table::ask& one) {
      return "ask " + std::to_string(one.connection);
    }
    std::string operator()(const peer_table::accept& one) {
      return "accept " + std::to_string(one.connection);
    }
    std::string operator()(const peer_table::turn_away& one) {
      return "turn_away " + std::to_string(one.connection) + ' '
             + std::string(to_string(one.reason));
    }
    std::string operator()(const peer_table::probe& one) {
      return "probe " + std::to_string(one.connection);
    }
    std::string operator()(const peer_table::displace& one) {
      return "displace " + std::to_string(one.connection) + ' '
             + std::string(to_string(one.reason));
    }
  } as_text;
  return std::visit(as_text, *action);
}

const node_id me = id_of(5);
const node_id smaller = id_of(1);
const node_id larger = id_of(9);

/// A table of `me` with the connection 1 open to `peer`.
peer_table with_open(const node_id& peer, std::uint64_t incarnation = 1) {
  peer_table table(me);
  table.arrived(from(peer, 1, false, incarnation));
  CHECK(next(table) == "ask 1");
  table.agreed(1);
  CHECK(next(table) == "accept 1");
  CHECK(table.opened(1));
  CHECK(next(table).empty());
  return table;
}

/// Tries every order of steps from `begin`; `at_rest` sees each state in which nothing can happen.
template <class F>
std::size_t explore(const peer_pair& begin, F at_rest) {
  std::unordered_set<std::string> seen{begin.key()};
  std::vector<std::pair<peer_pair, std::string>> front{{begin, ""}};
  while (!front.empty()) {
    const auto state = std::move(front.back().first);
    const auto path = std::move(front.back().second);
    front.pop_back();
    const auto steps = state.steps();
    if (steps.empty()) {
      CAPTURE(path);
      at_rest(state);
    }
    for (const auto& step : steps) {
      auto after = state;
      const auto name = path + ' ' + "sdapofx"[static_cast<int>(step.what)]
                        + std::to_string(step.connection) + (step.end == 0 ? 'A' : 'B');
      CAPTURE(name);
      try {
        after.take(step);
      } catch (const broken_law& broken) {
        FAIL_CHECK(broken.what());
        return seen.size();
      }
      if (seen.insert(after.key()).second)
        front.emplace_back(std::move(after), name);
    }
  }
  return seen.size();
}

void check_one_survivor(const peer_pair& pair) {
  CHECK(pair.open_at(0).size() == 1);
  CHECK(pair.open_at(0) == pair.open_at(1));
}

void check_nobody_waits(const peer_pair& pair) {
  for (const unsigned end : {0u, 1u})
    CHECK(!pair.table_of(end).pending(pair.id_of_end(1 - end)));
}

} // namespace

// -- rules ------------------------------------------------------------------------------------

TEST_CASE("a first connection is asked about, accepted, open, found, and gone") {
  peer_table table(me);
  CHECK(!table.find(larger));
  table.arrived(from(larger, 1, true));
  CHECK(table.pending(larger));
  CHECK(next(table) == "ask 1");
  CHECK(next(table).empty());
  table.agreed(1);
  table.agreed(1); // once is enough
  CHECK(next(table) == "accept 1");
  CHECK(!table.find(larger));
  CHECK(table.opened(1));
  CHECK(table.find(larger) == 1);
  CHECK(!table.pending(larger));
  CHECK(table.open_count() == 1);
  table.gone(1);
  table.gone(1);
  CHECK(!table.find(larger));
  CHECK(table.open_count() == 0);
  CHECK(next(table).empty());
}

TEST_CASE("peers do not concern each other") {
  auto table = with_open(larger);
  table.arrived(from(smaller, 2, false));
  CHECK(next(table) == "ask 2");
  table.gone(2);
  CHECK(table.find(larger) == 1);
}

TEST_CASE("a newcomer beside an open connection waits for its probe; an answer refuses it") {
  for (const bool dialed : {true, false}) {
    auto table = with_open(larger);
    table.arrived(from(larger, 2, dialed));
    CHECK(next(table) == "probe 1");
    table.arrived(from(larger, 3, dialed, 77));
    CHECK(next(table).empty()); // one probe answers for all
    table.probed(1, true);
    CHECK(next(table) == "turn_away 2 already_connected");
    CHECK(next(table) == "turn_away 3 id_in_use");
    CHECK(next(table).empty());
    table.gone(2);
    table.gone(3);
    CHECK(table.find(larger) == 1);
  }
}

TEST_CASE("silence ends the old connection, and the newcomer is asked about") {
  struct {
    std::uint64_t incarnation;
    const char* displaced;
  } const cases[] = {{1, "displace 1 peer_lost"}, {2, "displace 1 peer_restarted"}};
  for (const auto& one : cases) {
    auto table = with_open(larger);
    table.arrived(from(larger, 2, false, one.incarnation));
    CHECK(next(table) == "probe 1");
    table.probed(1, false);
    CHECK(next(table) == one.displaced);
    CHECK(next(table).empty());
    table.gone(1);
    CHECK(next(table) == "ask 2");
    table.agreed(2);
    CHECK(next(table) == "accept 2");
    CHECK(table.opened(2));
  }
}

TEST_CASE("a probe that nobody waits for any more ends nothing") {
  auto table = with_open(larger);
  table.arrived(from(larger, 2, false));
  CHECK(next(table) == "probe 1");
  table.gone(2);
  table.probed(1, false);
  CHECK(next(table).empty());
  CHECK(table.find(larger) == 1);
}

TEST_CASE("who comes while the open connection takes its leave waits for its end") {
  auto table = with_open(larger);
  table.leaving(1);
  table.arrived(from(larger, 2, true));
  CHECK(next(table).empty());
  CHECK(table.find(larger) == 1);
  table.gone(1);
  CHECK(next(table) == "ask 2");
}

TEST_CASE("a leave that begins during a probe makes its answer unimportant") {
  auto table = with_open(larger);
  table.arrived(from(larger, 2, true));
  CHECK(next(table) == "probe 1");
  table.leaving(1);
  table.probed(1, true);
  CHECK(next(table).empty());
  table.gone(1);
  CHECK(next(table) == "ask 2");
}

TEST_CASE(
  "nobody is asked about what was turned away, also when nothing else is left of its peer") {
  peer_table table(me);
  table.arrived(from(larger, 1, false));
  table.arrived(from(larger, 2, false));
  CHECK(next(table) == "ask 1");
  CHECK(next(table) == "ask 2");
  table.agreed(1);
  CHECK(next(table) == "accept 1");
  CHECK(table.opened(1));
  CHECK(next(table) == "turn_away 2 already_connected");
  table.gone(1);
  CHECK(!table.is_asked(2));
  table.gone(2);
  CHECK(next(table).empty());
}

TEST_CASE("the larger id holds its own dial back while it has accepted the other's") {
  peer_table table(me);
  table.arrived(from(smaller, 1, false));
  CHECK(next(table) == "ask 1");
  table.agreed(1);
  CHECK(next(table) == "accept 1");
  table.arrived(from(smaller, 2, true));
  CHECK(next(table) == "ask 2");
  table.agreed(2);
  CHECK(next(table).empty());
  SUBCASE("and refuses it when the other is open") {
    CHECK(table.opened(1));
    CHECK(next(table) == "turn_away 2 already_connected");
  }
  SUBCASE("and goes on with it when the other is gone") {
    table.gone(1);
    CHECK(next(table) == "accept 2");
    CHECK(table.opened(2));
  }
}

TEST_CASE("a claim with another incarnation holds nobody's dial back") {
  peer_table table(me);
  table.arrived(from(smaller, 1, false, 99));
  CHECK(next(table) == "ask 1");
  table.agreed(1);
  CHECK(next(table) == "accept 1");
  table.arrived(from(smaller, 2, true));
  CHECK(next(table) == "ask 2");
  table.agreed(2);
  CHECK(next(table) == "accept 2");
  CHECK(table.opened(2));
  CHECK(next(table) == "turn_away 1 id_in_use");
}

TEST_CASE("a claim that opens first does not put out a dial that was accepted") {
  peer_table table(me);
  table.arrived(from(larger, 1, false, 99)); // a forger, or another run of the peer
  CHECK(next(table) == "ask 1");
  table.agreed(1);
  CHECK(next(table) == "accept 1");
  table.arrived(from(larger, 2, true));
  CHECK(next(table) == "ask 2");
  table.agreed(2);
  CHECK(next(table) == "accept 2");
  CHECK(!table.opened(1));
  CHECK(next(table) == "turn_away 1 id_in_use");
  CHECK(table.opened(2));
  table.gone(1);
  CHECK(table.find(larger) == 2);
  CHECK(next(table).empty());
}

// -- all orders -------------------------------------------------------------------------------

TEST_CASE("in every order of any few dials, both ends keep the same one connection") {
  const std::vector<std::vector<peer_pair::dial>> cases = {
    {{.to = peer_pair::b}},
    {{.to = peer_pair::b}, {.to = peer_pair::a}},
    {{.to = peer_pair::b}, {.to = peer_pair::b}},
    {{.to = peer_pair::b}, {.to = peer_pair::b}, {.to = peer_pair::a}},
    {{.to = peer_pair::b, .open_at_start = true}, {.to = peer_pair::b}, {.to = peer_pair::a}},
  };
  for (const auto& dials : cases)
    for (const bool a_is_smaller : {true, false}) {
      CAPTURE(dials.size());
      CAPTURE(a_is_smaller);
      std::size_t rests = 0;
      const auto states = explore(peer_pair({.dials = dials, .a_is_smaller = a_is_smaller}),
                                  [&](const peer_pair& pair) {
                                    ++rests;
                                    check_one_survivor(pair);
                                    check_nobody_waits(pair);
                                    CHECK(!pair.turned_away_when_open());
                                    CHECK(!pair.kicked());
                                  });
      MESSAGE(dials.size() << " dials: " << states << " states, " << rests << " at rest");
      CHECK(rests > 0);
    }
}

TEST_CASE("an end that restarted is let in again, in every order") {
  for (const auto& dials :
       {std::vector<peer_pair::dial>{{.to = peer_pair::b, .open_at_start = true, .dead = true},
                                     {.to = peer_pair::b}},
        std::vector<peer_pair::dial>{{.to = peer_pair::b, .open_at_start = true, .dead = true},
                                     {.to = peer_pair::b},
                                     {.to = peer_pair::a}}})
    for (const bool a_is_smaller : {true, false}) {
      const auto states = explore(peer_pair({.dials = dials, .a_is_smaller = a_is_smaller}),
                                  [&](const peer_pair& pair) {
                                    check_one_survivor(pair);
                                    check_nobody_waits(pair);
                                    CHECK(!pair.turned_away_when_open());
                                  });
      CHECK(states > 10);
    }
}

TEST_CASE("in every order, a forger that comes to an open connection changes nothing") {
  for (const bool a_is_smaller : {true, false}) {
    const auto states = explore(peer_pair({.dials = {{.to = peer_pair::b, .open_at_start = true},
                                                     {.to = peer_pair::b, .forged = true},
                                                     {.to = peer_pair::a, .forged = true},
                                                     {.to = peer_pair::a}},
                                           .a_is_smaller = a_is_smaller}),
                                [&](const peer_pair& pair) {
                                  CHECK(pair.open_at(0) == std::vector<unsigned>{0});
                                  CHECK(pair.open_at(1) == std::vector<unsigned>{0});
                                  check_nobody_waits(pair);
                                  CHECK(!pair.kicked());
                                });
    CHECK(states > 100);
  }
}

TEST_CASE("in every order, a forger among dials leaves no end with two, and nobody waiting") {
  for (const bool a_is_smaller : {true, false}) {
    const auto states = explore(peer_pair({.dials = {{.to = peer_pair::b},
                                                     {.to = peer_pair::b, .forged = true},
                                                     {.to = peer_pair::a}},
                                           .a_is_smaller = a_is_smaller}),
                                [&](const peer_pair& pair) {
                                  check_nobody_waits(pair);
                                  CHECK(!pair.kicked());
                                  // Without identity a forger may be first; then nobody else gets in there.
                                  const auto at_b = pair.open_at(1);
                                  const bool forger_in = at_b.size() == 1 && pair.forged(at_b[0]);
                                  if (!forger_in)
                                    CHECK(pair.open_at(0) == at_b);
                                });
    CHECK(states > 100);
  }
}

TEST_CASE("in every order, connections that break leave nothing behind and nobody waiting") {
  const std::vector<std::vector<peer_pair::dial>> cases = {
    {{.to = peer_pair::b}, {.to = peer_pair::a}},
    {{.to = peer_pair::b}, {.to = peer_pair::b}, {.to = peer_pair::a}},
    {{.to = peer_pair::b, .open_at_start = true}, {.to = peer_pair::b}, {.to = peer_pair::a}},
  };
  for (const auto& dials : cases)
    for (const bool a_is_smaller : {true, false}) {
      const auto states =
        explore(peer_pair({.dials = dials, .failures_max = 1, .a_is_smaller = a_is_smaller}),
                [&](const peer_pair& pair) {
                  CHECK(pair.open_at(0) == pair.open_at(1));
                  check_nobody_waits(pair);
                });
      CHECK(states > 100);
    }
}
