// Thousands of connections, among them everything that holds a close up: it ends in its time all the same,
// by whoever is ended first, node, runtime or the user's actor system; and `closed` is told exactly once.
#include "postbus/postbus.hpp"
#include "postbus/tests/actors/child_program.hpp"
#include "postbus/tests/actors/many_dials.hpp"
#include "postbus/tests/support/expect.hpp"
#include "postbus/tests/support/raw_peer.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

constexpr auto drain = 500ms;
// What is promised: the drain time, the linger time and a second. The rest is for a machine that is busy.
constexpr auto busy = sanitized ? 60s : 20s;

/// How many there are of each kind.
struct sizes {
  std::size_t frozen = 0;  ///< Raw peers that are connected and stand still.
  std::size_t silent = 0;  ///< That dialed, and have not said a byte.
  std::size_t real = 0;    ///< Nodes whose programs take nothing.
  std::size_t dialing = 0; ///< Dials of the node to somebody who never answers.

  [[nodiscard]] std::size_t descriptors() const { return 2 * (frozen + silent + real) + dialing; }
};

sizes as_many_as_possible() {
  sizes how = sanitized ? sizes{400, 50, 20, 50} : sizes{3000, 300, 100, 300};
  const auto most = descriptors_possible();
  if (how.descriptors() + 300 > most) {
    how = {(most - std::min<std::size_t>(most, 400)) / 4, 10, 10, 10};
    MESSAGE("only ", most, " descriptors: ", how.frozen, " peers instead of thousands");
  }
  return how;
}

/// A node in the midst of all those.
class crowded_node {
public:
  crowded_node(runtime& bus, const sizes& how)
    : how_(how), hub(bus.spawn_node(quick())), events(hub.inbox(events_only())),
      unread_(hub.inbox(messages_only())), nobody_(0) {
    const auto at = hub.listen("tcp://127.0.0.1:0");
    REQUIRE(at.has_value());
    let_in_frozen(*at);
    let_in_real(bus, *at);
    for (std::size_t each = 0; each < how_.silent; ++each)
      silent_.emplace_back(*at);
    for (std::size_t each = 0; each < how_.dialing; ++each)
      dials.ask(hub, nobody_.endpoint(), patience);
  }

  /// Each that can says one thing more.
  void talk() {
    for (const auto& each : real_)
      CHECK(each.send(hub.id(), "more") == send_outcome::accepted);
  }

  /// What programs were told of everybody, once each, and of the end.
  void check_story() {
    std::map<node_id, int> gone;
    int closings = 0;
    for (;;) {
      auto event = events.next_event(patience);
      REQUIRE(event.has_value());
      if (const auto* end = std::get_if<disconnected>(&*event))
        ++gone[end->peer];
      else if (std::holds_alternative<closing>(*event))
        ++closings;
      else if (std::holds_alternative<closed>(*event))
        break;
    }
    CHECK(closings == 1);
    CHECK(gone.size() == up_.size());
    for (const auto& peer : up_)
      CHECK(gone[peer] == 1);
    CHECK(events.next_event(patience).error() == errc::node_closed); // no second `closed`
    REQUIRE(dials.wait_for_all(patience));
    CHECK(dials.each_once());
    CHECK(dials.said({errc::node_closed}) == how_.dialing);
    CHECK(hub.connection_count() == 0);
    CHECK(hub.send(*up_.begin(), 1) == send_outcome::closed);
  }

private:
  static node_options quick() {
    auto how = hospitable();
    how.bounds.window_bytes_min = how.bounds.window_bytes_max = 4096;
    return how;
  }
  static inbox_options events_only() {
    inbox_options how;
    how.messages = false;
    return how;
  }
  static inbox_options messages_only() {
    inbox_options how;
    how.events = false;
    return how;
  }
  void let_in_frozen(const std::string& at) {
    const std::vector<std::byte> body(1000);
    for (std::size_t each = 0; each < how_.frozen; ++each) {
      const auto id = node_id::random();
      REQUIRE(frozen_.emplace_back(at).open_as_dialer(id, patience));
      await(id);
      // Without credit from there, it never leaves.
      if (each % 2 == 0)
        CHECK(hub.send_bytes(id, body) == send_outcome::accepted);
    }
  }
  // Each has sent what ours does not take, and has from us what it does not take.
  void let_in_real(runtime& bus, const std::string& at) {
    for (std::size_t each = 0; each < how_.real; ++each) {
      real_.push_back(bus.spawn_node(quick()));
      real_unread_.push_back(real_.back().inbox());
      REQUIRE(real_.back().connect(at, patience).has_value());
      await(real_.back().id());
      CHECK(hub.send(real_.back().id(), each) == send_outcome::accepted);
      CHECK(real_.back().send(hub.id(), each) == send_outcome::accepted);
    }
  }
  void await(const node_id& peer) {
    const auto told = next_event<connected>(events);
    REQUIRE(told.has_value());
    CHECK(told->peer == peer);
    up_.insert(peer);
  }

  sizes how_;

public:
  node hub;
  inbox events;
  answers dials;

private:
  inbox unread_;
  raw_listener nobody_;
  std::vector<raw_peer> frozen_, silent_;
  std::vector<node> real_;
  std::vector<inbox> real_unread_;
  std::set<node_id> up_;
};

/// Checks that `end` is over in the time that a close of all those has.
template <class End>
void ends_in_time(End end) {
  const auto begin = std::chrono::steady_clock::now();
  end();
  const auto took = std::chrono::steady_clock::now() - begin;
  MESSAGE("ended after ", std::chrono::duration_cast<std::chrono::milliseconds>(took).count(),
          " ms");
  CHECK(took < drain + hospitable().bounds.linger_time_max + 1s + busy);
}

} // namespace

TEST_CASE("a node with thousands of connections closes in its time, however they stand") {
  const auto how = as_many_as_possible();
  const auto descriptors = open_descriptors();
  {
    runtime bus({.loops = 2, .close_time = 100ms});
    crowded_node crowd(bus, how);
    CHECK(crowd.hub.connection_count() == how.frozen + how.real);
    ends_in_time([&] { CHECK(crowd.hub.close(drain).has_value()); });
    crowd.check_story();
  }
  CHECK(open_descriptors() == descriptors);
}

TEST_CASE(
  "a runtime with a node of thousands of connections ends in its time, and the node with it") {
  const auto how = as_many_as_possible();
  const auto descriptors = open_descriptors();
  {
    auto bus = std::make_unique<runtime>(runtime_options{.loops = 2, .close_time = drain});
    crowded_node crowd(*bus, how);
    ends_in_time([&] { bus.reset(); });
    crowd.check_story();
  }
  CHECK(open_descriptors() == descriptors);
}

TEST_CASE("a user's actor system that is awaited goes down with the runtime in it, and nodes that "
          "are open") {
  system_config config;
  auto system = std::make_unique<caf::actor_system>(config);
  auto bus = std::make_unique<runtime>(*system, runtime_options{.loops = 2, .close_time = drain});
  {
    auto how = as_many_as_possible();
    how.frozen /= 4;
    crowded_node crowd(*bus, how);
    std::atomic<std::size_t> held = 0;
    std::atomic<int> told = 0;
    {
      // One that never answers what it holds, and one that goes when the node does; nobody holds either.
      const auto stuck = system->spawn([&held](caf::event_based_actor* self) -> caf::behavior {
        return {
          [&held, all = std::vector<batch>()](const batch& some) mutable {
            held += some.size();
            all.push_back(some);
          },
          [](const connected&) {},
          [](const disconnected&) {},
          [](const closing&) {},
          [self](const closed&) { self->quit(); },
        };
      });
      const auto leaving = system->spawn([&told](caf::event_based_actor* self) -> caf::behavior {
        return {
          [](const message&) {},
          [](const connected&) {},
          [](const disconnected&) {},
          [](const closing&) {},
          [&told, self](const closed&) {
            ++told;
            self->quit();
          },
        };
      });
      REQUIRE(crowd.hub.subscribe({.subscriber = stuck, .mode = delivery_mode::batch}).has_value());
      REQUIRE(crowd.hub.subscribe({.subscriber = leaving}).has_value());
    }
    crowd.talk();
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (held == 0 && std::chrono::steady_clock::now() < deadline)
      std::this_thread::yield();
    CHECK(held > 0);
    auto down = std::async(std::launch::async, [&] { system->await_all_actors_done(); });
    ends_in_time([&] { bus.reset(); });
    REQUIRE(down.wait_for(patience) == std::future_status::ready);
    CHECK(told == 1);
    crowd.check_story();
  }
  ends_in_time([&] { system.reset(); });
}
