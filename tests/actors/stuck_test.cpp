// A subscriber that stands still while its peer sends all it may: the connection lives, others notice
// nothing, and a goodbye passes. For ten keepalive times always; with POSTBUS_LONG_TESTS=1 for 90 seconds,
// too.
#include "postbus/codecs/chunk_pool.hpp"
#include "postbus/postbus.hpp"
#include "postbus/tests/actors/child_program.hpp"
#include "postbus/tests/support/expect.hpp"

#include <doctest/doctest.h>

#include <future>
#include <thread>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

// Ten keepalive times pass in a few seconds. One loop serves both ends, so that a machine that stands
// still for a while does so for both: neither is silent to the other.
limits quick() {
  auto bounds = patient();
  bounds.keepalive_time = 300ms;
  bounds.idle_time_max = 1500ms;
  bounds.drain_time_max = 500ms;
  bounds.linger_time_max = 300ms;
  return bounds;
}

/// Tells when a node says that somebody is gone, whatever its other subscribers do.
struct watcher {
  watcher(runtime& bus, const node& of) {
    auto told = std::make_shared<std::promise<disconnected>>();
    gone = told->get_future();
    auto who = bus.system().spawn([told](caf::event_based_actor* self) -> caf::behavior {
      return {
        [=](const connected&) {},
        [=](const disconnected& what) {
          told->set_value(what);
          self->quit();
        },
        [=](const closing&) {},
        [=](const closed&) { self->quit(); },
      };
    });
    REQUIRE(of.subscribe({.subscriber = who, .messages = false}).has_value());
  }
  bool is_told(duration within = patience) {
    return gone.wait_for(within) == std::future_status::ready;
  }

  std::future<disconnected> gone;
};

/// A pair with messages on the way from the beginning, so that it is never idle.
struct filled_pair : connected_pair {
  filled_pair(runtime& on, const limits& bounds) : connected_pair(on, bounds, bounds) { fill(); }

  send_outcome send_one() {
    std::vector<std::byte> body(1000);
    std::memcpy(body.data(), &accepted, sizeof accepted);
    const auto outcome = near.send_bytes(far.id(), body);
    accepted += outcome == send_outcome::accepted ? 1 : 0;
    return outcome;
  }
  void fill() {
    while (send_one() == send_outcome::accepted) {
    }
  }

  std::uint64_t accepted = 0;
};

/// `near` has sent `far` all that it may; `far`'s inbox is not read. `third` is connected to `near`.
struct stuck_world {
  explicit stuck_world(const limits& bounds)
    : pair(bus, bounds), watching(bus, pair.far), far(pair.far.inbox()), near(pair.near.inbox()),
      third_node(bus.spawn_node()), third(third_node.inbox()) {
    const auto at = pair.near.listen("tcp://127.0.0.1:0");
    REQUIRE(at.has_value());
    // Full is what stays full: sockets and the peer take some more at first.
    do
      pair.fill();
    while (near.next_event(100ms) || !all_is_there() || pair.send_one() == send_outcome::accepted);
    REQUIRE(pair.near.idle_time(60s).has_value()); // of the next connection, which may be quiet
    REQUIRE(third_node.connect(*at).has_value());
    REQUIRE(next_event<connected>(near).has_value());
    REQUIRE(next_event<connected>(third).has_value());
  }

  /// Nothing is between the two: what `near` has sent, `far` has received.
  bool all_is_there() {
    const auto sent = pair.near.statistics(patience);
    const auto received = pair.far.statistics(patience);
    REQUIRE(sent.has_value());
    REQUIRE(received.has_value());
    return sent->total.messages_sent == received->total.messages_received;
  }

  /// Time passes in which nobody is lost, and the third is answered.
  void stay_stuck(duration span, duration step) {
    const auto until = std::chrono::steady_clock::now() + span;
    int number = 0;
    while (std::chrono::steady_clock::now() < until) {
      REQUIRE(third_node.send(pair.near.id(), ++number) == send_outcome::accepted);
      REQUIRE(near.next_message(patience)->as<int>().value_or(0) == number);
      REQUIRE(pair.near.send(third_node.id(), -number) == send_outcome::accepted);
      REQUIRE(third.next_message(patience)->as<int>().value_or(0) == -number);
      REQUIRE(near.next_event(step).error() == errc::timeout);
    }
    CHECK_FALSE(watching.is_told(0s));
    CHECK(pair.send_one() == send_outcome::congested);
    // A second dial has the first connection pinged; it is answered, so both stay.
    CHECK(pair.near.connect(pair.endpoint).value_or(node_id{}) == pair.far.id());
    CHECK(near.next_event(0s).error() == errc::timeout);
  }

  /// Reads everything at `far`, in order; says how much that was.
  std::uint64_t read_all() {
    std::uint64_t next = 0;
    while (auto each = far.next_message(next < pair.accepted ? duration(patience) : duration(0s))) {
      std::uint64_t number = 0;
      std::memcpy(&number, each->bytes().data(), sizeof number);
      if (number != next)
        break;
      ++next;
    }
    return next;
  }

  runtime bus{{.loops = 1, .close_time = 1s}};
  filled_pair pair;
  watcher watching;
  inbox far, near;
  node third_node;
  inbox third;
};

void goes_on_after(const limits& bounds, duration span) {
  stuck_world world(bounds);
  world.stay_stuck(span, bounds.keepalive_time / 2);
  std::jthread closer([&] { CHECK(world.pair.near.close(patience).has_value()); });
  CHECK(world.read_all() == world.pair.accepted);
  closer.join();
  // The goodbye came behind the data.
  REQUIRE(world.watching.is_told());
  const auto seen = world.watching.gone.get();
  CHECK(seen.reason.code == errc::closed);
  CHECK(seen.reason.by == blame::remote);
  CHECK(seen.messages_received == world.pair.accepted);
  auto left = next_event<disconnected>(world.near);
  if (left && left->peer != world.pair.far.id())
    left = next_event<disconnected>(world.near);
  REQUIRE(left.has_value());
  CHECK(left->account == send_account{world.pair.accepted, world.pair.accepted, 0});
}

} // namespace

TEST_CASE("a subscriber that is stuck for ten keepalive times is held, and then gets everything") {
  goes_on_after(quick(), 10 * quick().keepalive_time);
}

TEST_CASE("a subscriber that is stuck for 90 seconds is held, and then gets everything") {
  if (long_tests())
    goes_on_after({}, 90s);
}

TEST_CASE("a goodbye passes a subscriber that stays stuck, and says what was not confirmed") {
  stuck_world world(quick());
  world.stay_stuck(600ms, 50ms);
  const auto begin = std::chrono::steady_clock::now();
  CHECK(world.pair.near.close(200ms).has_value());
  CHECK(std::chrono::steady_clock::now() - begin < 10s);
  REQUIRE(world.watching.is_told());
  const auto seen = world.watching.gone.get();
  CHECK(to_string(seen.reason) == to_string(error{errc::closed, blame::remote, {}}));
  auto left = next_event<disconnected>(world.near);
  if (left && left->peer != world.pair.far.id())
    left = next_event<disconnected>(world.near);
  REQUIRE(left.has_value());
  CHECK(left->account.confirmed == 0);
  CHECK(left->account.unsent > 0);
  CHECK(left->account.sent + left->account.unsent == world.pair.accepted);
}

TEST_CASE("a program that keeps one payload of 64 bytes of every batch for ever keeps receiving") {
  runtime bus;
  limits narrow; // so that there are many batches
  narrow.window_bytes_min = narrow.window_bytes_max = 4 << 10;
  connected_pair pair(bus, narrow);
  auto near = pair.near.inbox();
  auto inbox = pair.far.inbox();
  constexpr int count = 300'000;
  const auto held_before = codecs::chunk_pool::held_bytes();
  std::jthread sender([&] {
    auto out = pair.near.to(pair.far.id());
    std::vector<std::byte> body(64);
    auto outcome = send_outcome::accepted;
    for (int number = 0; number < count && outcome == send_outcome::accepted; ++number) {
      std::memcpy(body.data(), &number, sizeof number);
      outcome = out.send_bytes(body, {.within = patience});
    }
    CHECK(outcome == send_outcome::accepted);
    CHECK(pair.near.close(patience).has_value());
  });
  std::vector<payload> kept;
  std::vector<int> expected;
  for (int received = 0; received < count;) {
    const auto some = inbox.next_batch(patience);
    REQUIRE(some.has_value());
    kept.push_back((*some->begin()).body());
    expected.push_back(received);
    received += static_cast<int>(some->size());
  }
  sender.join();
  CHECK(kept.size() >= 3000);
  for (std::size_t index = 0; index < kept.size(); ++index) {
    REQUIRE(kept[index].size() == 64);
    REQUIRE(std::memcmp(kept[index].data(), &expected[index], sizeof(int)) == 0);
  }
  const auto left = next_event<disconnected>(near);
  REQUIRE(left.has_value());
  CHECK(left->account.complete());
  // What is kept is the program's, and no more than what was read: chunks are shared by batches.
  const auto held = codecs::chunk_pool::held_bytes() - held_before;
  MESSAGE(kept.size(), " payloads kept of as many batches hold ", held >> 10, " KiB");
  CHECK(held <= std::size_t{count} * 72 * 3 / 2 + (std::size_t{4} << 20));
  kept.clear();
  CHECK(codecs::chunk_pool::held_bytes() <= held_before + (std::size_t{1} << 20));
}
