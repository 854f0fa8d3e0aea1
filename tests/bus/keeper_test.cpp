// Peers that shall stay: when they are dialed again, what is told of it, and what ends it.
#include "postbus/bus/keeper.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

using namespace postbus;
using namespace std::chrono_literals;
using bus::keeper;

namespace {

const error refused{errc::connect_failed, blame::remote, "refused"};

node_id numbered(unsigned char number) {
  node_id::bytes_type bytes{};
  bytes[0] = std::byte{number};
  return node_id{bytes};
}

struct kept_world {
  explicit kept_world(std::uint64_t seed = 1) : core(seed) {}

  /// Ticks until nothing is due any more, and says what was decided, in words.
  std::string settle() {
    std::string words;
    for (int turn = 0; turn < 100; ++turn) {
      while (auto what = core.next())
        words += word(*what);
      if (core.deadline() > now)
        return words;
      core.tick(now, bounds);
    }
    FAIL("the keeper never rests");
    return words;
  }
  /// The same after the next wait, whose length is put into `waited`.
  std::string wait() {
    REQUIRE(core.deadline() != never);
    waited = core.deadline() - now;
    now = core.deadline();
    return settle();
  }
  std::string word(const keeper::action& what) {
    if (const auto* dial = std::get_if<keeper::dial>(&what)) {
      id = dial->keep;
      return "dial ";
    }
    if (const auto* tell = std::get_if<keeper::tell>(&what)) {
      told = tell->what;
      return std::string(to_string(told.status)) + " ";
    }
    if (const auto* stay = std::get_if<keeper::stay>(&what))
      return stay->yes ? "stay " : "go ";
    return std::holds_alternative<keeper::hold>(what) ? "hold " : "release ";
  }
  void answer(const result<node_id>& peer) { core.dialed(id, peer); }

  limits bounds;
  keeper core;
  time_point now{1000s};
  duration waited{};
  keeper::keep_id id = 0;
  keep_state told;
};

limits steady() {
  limits bounds;
  bounds.reconnect_jitter_percent = 0;
  return bounds;
}

} // namespace

TEST_CASE("each wait is twice the last, up to the bound") {
  kept_world world;
  world.bounds = steady();
  REQUIRE(world.core.keep({"tcp://127.0.0.1:4000"}).has_value());
  CHECK(world.settle() == "dial ");
  std::vector<duration> expected;
  for (duration wait = 100ms; wait < 30s; wait *= 2)
    expected.push_back(wait);
  expected.insert(expected.end(), 3, 30s);
  bool first = true;
  for (const auto wait : expected) {
    CAPTURE(wait.count());
    world.answer(refused);
    CHECK(world.settle() == (std::exchange(first, false) ? "reconnecting " : ""));
    CHECK(world.wait() == "dial ");
    CHECK(world.waited == wait);
  }
  CHECK(world.told.reason == refused);
  CHECK(world.told.next_try_in == 100ms);
  CHECK_FALSE(world.told.peer);
}

TEST_CASE("a wait is shortened by chance, by half at most") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    kept_world world(seed);
    REQUIRE(world.core.keep({"tcp://127.0.0.1:4000"}).has_value());
    world.settle();
    duration whole = 100ms;
    for (int turn = 0; turn < 12; ++turn, whole = std::min<duration>(2 * whole, 30s)) {
      world.answer(refused);
      world.settle();
      world.wait();
      CHECK(world.waited <= whole);
      CHECK(world.waited >= whole / 2);
    }
  }
}

TEST_CASE("a thousand that lose one peer at the same moment do not come back at the same moment") {
  for (const int failures : {1, 4, 10}) {
    CAPTURE(failures);
    constexpr int nodes = 1000;
    constexpr int slices = 20;
    std::array<int, slices> at{};
    duration whole = 100ms;
    for (int turn = 1; turn < failures; ++turn)
      whole = std::min<duration>(2 * whole, 30s);
    for (int node = 0; node < nodes; ++node) {
      kept_world world(static_cast<std::uint64_t>(node) * 7919);
      REQUIRE(world.core.keep({"tcp://127.0.0.1:4000"}).has_value());
      world.settle();
      for (int turn = 0; turn < failures; ++turn) {
        world.answer(refused);
        world.settle();
        world.wait();
      }
      const auto place = (world.waited - whole / 2) * slices / (whole / 2);
      ++at[static_cast<std::size_t>(std::clamp<long>(place, 0, slices - 1))];
    }
    CHECK(*std::max_element(at.begin(), at.end()) < 2 * nodes / slices);
    CHECK(*std::min_element(at.begin(), at.end()) > nodes / slices / 2);
  }
}

TEST_CASE("each change is told once: connected, reconnecting, and who came back") {
  kept_world world;
  world.bounds = steady();
  REQUIRE(world.core.keep({"tcp://127.0.0.1:4000"}).has_value());
  CHECK(world.settle() == "dial ");
  world.answer(numbered(1));
  CHECK(world.settle() == "stay connected ");
  CHECK(world.told.peer == numbered(1));
  CHECK_FALSE(world.told.before);
  CHECK(world.core.keeps(numbered(1)));
  world.core.down(numbered(2), refused); // somebody else's
  CHECK(world.settle().empty());
  world.core.down(numbered(1), {errc::peer_lost, blame::remote, {}});
  CHECK(world.settle() == "reconnecting ");
  CHECK(world.told.reason == errc::peer_lost);
  CHECK(world.told.peer == numbered(1));
  for (int turn = 0; turn < 3; ++turn) {
    CHECK(world.wait() == "dial ");
    world.answer(refused);
    CHECK(world.settle().empty());
  }
  CHECK(world.wait() == "dial ");
  world.answer(numbered(1));
  CHECK(world.settle() == "stay connected ");
  CHECK_FALSE(world.told.before);
  world.core.down(numbered(1), refused);
  world.settle();
  world.wait();
  world.answer(numbered(9));
  CHECK(world.settle() == "go stay connected ");
  CHECK(world.told.peer == numbered(9));
  CHECK(world.told.before == numbered(1));
}

TEST_CASE("what is lost and found again at one moment has not changed") {
  kept_world world;
  REQUIRE(world.core.keep({"tcp://127.0.0.1:4000"}).has_value());
  world.settle();
  world.answer(numbered(1));
  world.settle();
  world.core.down(numbered(1), refused); // displaced by
  world.core.up(numbered(1));            // the peer's own dial
  CHECK(world.settle() == "stay ");
  CHECK(world.core.deadline() == never);
}

TEST_CASE(
  "a connection that lasts begins the waits anew, one that does not is no better than none") {
  kept_world world;
  world.bounds = steady();
  REQUIRE(world.core.keep({"tcp://127.0.0.1:4000"}).has_value());
  world.settle();
  duration expected = 100ms;
  for (int turn = 0; turn < 5; ++turn, expected *= 2) {
    world.answer(numbered(1));
    world.settle();
    world.now += 10ms;
    world.core.down(numbered(1), refused);
    world.settle();
    world.wait();
    CHECK(world.waited == expected);
  }
  world.answer(numbered(1));
  world.settle();
  world.now += 1700ms; // the wait before was 1.6 s
  world.core.down(numbered(1), refused);
  world.settle();
  world.wait();
  CHECK(world.waited == 100ms);
}

TEST_CASE("a peer that connects by itself counts, and ends the wait") {
  kept_world world;
  const auto text = "tcp://" + to_string(numbered(3)) + "@127.0.0.1:4000";
  REQUIRE(world.core.keep({text}).has_value());
  CHECK(world.settle() == "dial ");
  world.core.up(numbered(3)); // known by the endpoint, while the dial is under way
  CHECK(world.settle() == "stay connected ");
  world.answer(error{errc::already_connected, blame::remote, {}});
  CHECK(world.settle().empty());
  world.core.down(numbered(3), refused);
  CHECK(world.settle() == "reconnecting ");
  world.core.up(numbered(4));
  CHECK(world.settle().empty());
  world.core.up(numbered(3)); // during the wait
  CHECK(world.settle() == "stay connected ");
  CHECK(world.core.deadline() == never);
}

TEST_CASE("each error ends it, is tried again rarely, or as the waits say") {
  for (const auto code :
       {errc::connect_failed, errc::resolve_failed, errc::timeout, errc::handshake_timeout,
        errc::too_many_connections, errc::shutting_down, errc::idle, errc::closed, errc::wrong_node,
        errc::rejected, errc::id_in_use, errc::not_postbus, errc::version_unsupported,
        errc::self_connection, errc::unsupported}) {
    CAPTURE(to_string(code));
    kept_world world;
    world.bounds = steady();
    REQUIRE(world.core.keep({"tcp://127.0.0.1:4000"}).has_value());
    world.settle();
    const auto by = code == errc::unsupported ? blame::local : blame::remote;
    world.answer(error{code, by, {}});
    if (bus::is_final(code, by)) {
      CHECK(world.settle() == "ended ");
      CHECK(world.told.reason == code);
      CHECK(world.core.size() == 0);
      CHECK(world.core.deadline() == never);
    } else {
      CHECK(world.settle() == "reconnecting ");
      CHECK(world.wait() == "dial ");
      CHECK(world.waited
            == (bus::is_lasting(code) ? world.bounds.reconnect_time_max
                                      : world.bounds.reconnect_time_min));
    }
  }
}

TEST_CASE("a peer that speaks of bad endpoints does not end what this side keeps") {
  for (const auto code : {errc::bad_endpoint, errc::unsupported}) {
    CAPTURE(to_string(code));
    CHECK(bus::is_final(code, blame::local));
    kept_world world;
    world.bounds = steady();
    REQUIRE(world.core.keep({"tcp://127.0.0.1:4000"}).has_value());
    world.settle();
    world.answer(error{code, blame::remote, {}});
    CHECK(world.settle() == "reconnecting ");
    CHECK(world.core.size() == 1);
  }
}

TEST_CASE("an endpoint is kept once, and only one that can be dialed") {
  kept_world world;
  CHECK(world.core.keep({"nonsense"}).error() == errc::bad_endpoint);
  CHECK(world.core.keep({"tcp://127.0.0.1:0"}).error() == errc::bad_endpoint);
  CHECK(world.core.keep({.endpoint = "tcp://127.0.0.1:1", .within = 0s}).error()
        == errc::bad_option);
  CHECK(world.core.keep({"127.0.0.1:4000"}).has_value());
  CHECK(world.core.keep({"tcp://127.0.0.1:4000"}).error() == errc::bad_option);
  CHECK_FALSE(world.core.stop("tcp://127.0.0.1:4001"));
  CHECK(world.core.stop("tcp://127.0.0.1:4000"));
  CHECK_FALSE(world.core.stop("tcp://127.0.0.1:4000"));
  CHECK(world.settle().empty());
}

TEST_CASE("messages are held for a peer from its first connection until it is kept no more") {
  kept_world world;
  REQUIRE(world.core.keep({.endpoint = "tcp://127.0.0.1:1", .hold_bytes_max = 100}).has_value());
  world.settle();
  world.answer(numbered(1));
  CHECK(world.settle() == "stay hold connected ");
  CHECK(world.core.holds(numbered(1)));
  world.core.down(numbered(1), refused);
  CHECK(world.settle() == "reconnecting ");
  CHECK(world.core.holds(numbered(1)));
  world.wait();
  world.answer(numbered(1));
  CHECK(world.settle() == "stay hold connected ");
  world.core.down(numbered(1), refused);
  world.settle();
  world.wait();
  world.answer(numbered(2)); // what was held for another is not for this one
  CHECK(world.settle() == "go release stay hold connected ");
  CHECK_FALSE(world.core.holds(numbered(1)));
  CHECK(world.core.stop("tcp://127.0.0.1:1"));
  CHECK(world.settle() == "go release ");
  CHECK_FALSE(world.core.holds(numbered(2)));
}

TEST_CASE("two endpoints of one peer hold and keep it until neither does") {
  kept_world world;
  for (const auto* each : {"tcp://127.0.0.1:1", "tcp://127.0.0.1:2"}) {
    REQUIRE(world.core.keep({.endpoint = each, .hold_bytes_max = 100}).has_value());
    world.settle();
    world.answer(numbered(1));
    world.settle();
  }
  CHECK(world.core.stop("tcp://127.0.0.1:1"));
  CHECK(world.settle().empty());
  CHECK(world.core.stop("tcp://127.0.0.1:2"));
  CHECK(world.settle() == "go release ");
}
