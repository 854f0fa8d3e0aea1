// A thousand connects at once: to a node that works, and to a socket that never answers; and the end of
// everything in the midst of them. Every dial is answered exactly once, and no descriptor stays behind.
#include "postbus/postbus.hpp"
#include "postbus/tests/actors/child_program.hpp"
#include "postbus/tests/actors/many_dials.hpp"
#include "postbus/tests/support/expect.hpp"
#include "postbus/tests/support/raw_peer.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

/// As many dials as the system has descriptors for, both ends of each in this process.
std::size_t dials_possible() {
  const auto fit = descriptors_possible() / 3;
  if (fit < 1000)
    MESSAGE("only ", descriptors_possible(), " descriptors: fewer dials than a thousand");
  return std::min<std::size_t>(1000, fit);
}

std::vector<node> spawn_many(runtime& bus, std::size_t count) {
  std::vector<node> all;
  for (std::size_t each = 0; each < count; ++each)
    all.push_back(bus.spawn_node(hospitable()));
  return all;
}

/// Checks that `body` leaves no descriptor behind and takes no longer than `within`.
template <class Body>
void leaves_nothing(duration within, Body body) {
  const auto descriptors = open_descriptors();
  const auto begin = std::chrono::steady_clock::now();
  body();
  CHECK(std::chrono::steady_clock::now() - begin < (sanitized ? 3 * within : within));
  CHECK(open_descriptors() == descriptors);
}

/// So many nodes, each of which has begun to connect to `hub`.
std::vector<node> all_ask(runtime& bus, std::size_t count, const node& hub, answers& told) {
  const auto at = hub.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  auto nodes = spawn_many(bus, count);
  for (const auto& each : nodes)
    told.ask(each, *at, patience);
  return nodes;
}

} // namespace

TEST_CASE("a thousand nodes connect to one at once, and each can be heard") {
  const auto count = dials_possible();
  leaves_nothing(60s, [&] {
    runtime bus({.loops = 2, .close_time = 2s});
    auto hub = bus.spawn_node(hospitable());
    auto inbox = hub.inbox();
    answers told;
    const auto nodes = all_ask(bus, count, hub, told);
    REQUIRE(told.wait_for_all(patience));
    CHECK(told.each_once());
    CHECK(told.said({errc::none}) == count);
    for (std::size_t each = 0; each < count; ++each)
      CHECK(nodes[each].send(hub.id(), each) == send_outcome::accepted);
    std::set<node_id> up, heard;
    while (up.size() < count || heard.size() < count) {
      auto next = inbox.next(patience);
      REQUIRE(next.has_value());
      if (const auto* each = std::get_if<message>(&*next))
        heard.insert(each->from());
      else if (const auto* event = std::get_if<connected>(&std::get<node_event>(*next)))
        CHECK(up.insert(event->peer).second);
    }
    CHECK(up == heard);
  });
}

TEST_CASE("a node that closes while a thousand are connecting to it answers all of them") {
  const auto count = dials_possible();
  leaves_nothing(60s, [&] {
    runtime bus({.loops = 2, .close_time = 2s});
    auto hub = bus.spawn_node(hospitable());
    answers told;
    const auto nodes = all_ask(bus, count, hub, told);
    CHECK(hub.close(1s).has_value());
    REQUIRE(told.wait_for_all(patience));
    CHECK(told.each_once());
  });
}

TEST_CASE("a runtime destroyed while a thousand are connecting within it answers all of them") {
  const auto count = dials_possible();
  answers told;
  leaves_nothing(20s, [&] {
    runtime bus({.loops = 2, .close_time = 1s});
    auto hub = bus.spawn_node(hospitable());
    const auto nodes = all_ask(bus, count, hub, told);
  });
  CHECK(told.each_once());
}

TEST_CASE("a thousand dials to a socket that never answers end with the node that dials") {
  const auto count = dials_possible();
  raw_listener silent(1);
  for (const auto dialers : {std::size_t{1}, count / 10}) {
    CAPTURE(dialers);
    answers told;
    leaves_nothing(20s, [&] {
      runtime bus({.loops = 2, .close_time = 1s});
      const auto nodes = spawn_many(bus, dialers);
      for (std::size_t each = 0; each < count; ++each)
        told.ask(nodes[each % dialers], silent.endpoint(), 10min);
      for (const auto& each : nodes) {
        const auto begin = std::chrono::steady_clock::now();
        CHECK(each.close(200ms).has_value());
        CHECK(std::chrono::steady_clock::now() - begin < 20s);
      }
      CHECK(told.each_once());
      CHECK(told.said({errc::node_closed}) == count);
    });
  }
}

TEST_CASE("a runtime destroyed with a thousand dials to a socket that never answers ends them") {
  const auto count = dials_possible();
  raw_listener silent(1);
  answers told;
  leaves_nothing(20s, [&] {
    runtime bus({.loops = 2, .close_time = 200ms});
    const auto nodes = spawn_many(bus, 10);
    for (std::size_t each = 0; each < count; ++each)
      told.ask(nodes[each % nodes.size()], silent.endpoint(), 10min);
  });
  CHECK(told.each_once());
  CHECK(told.said({errc::node_closed}) == count);
}

TEST_CASE("a thousand dials whose time is over are told so, and the node lives on") {
  const auto count = dials_possible();
  raw_listener silent(1);
  leaves_nothing(60s, [&] {
    runtime bus;
    auto node = bus.spawn_node(hospitable());
    answers told;
    for (std::size_t each = 0; each < count; ++each)
      told.ask(node, silent.endpoint(), 500ms);
    REQUIRE(told.wait_for_all(patience));
    CHECK(told.each_once());
    CHECK(told.said({errc::timeout, errc::handshake_timeout}) == count);
    auto other = bus.spawn_node();
    const auto at = other.listen("tcp://127.0.0.1:0");
    REQUIRE(at.has_value());
    CHECK(node.connect(*at).value_or(node_id{}) == other.id());
  });
}
