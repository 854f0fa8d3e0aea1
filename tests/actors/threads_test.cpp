// Many threads on the same handles while nodes close and the runtime ends: each call is answered, each
// close succeeds, and all end. ThreadSanitizer sees in it what the orderly tests do not bring together.
#include "postbus/postbus.hpp"
#include "postbus/tests/support/expect.hpp"
#include "postbus/tests/support/raw_peer.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

/// Does `step` until it answers false, on a thread of its own.
void keep_doing(std::vector<std::thread>& all, std::function<bool()> step) {
  all.emplace_back([step = std::move(step)] {
    while (step())
      std::this_thread::yield();
  });
}

template <class Reply>
bool is_alive(const result<Reply>& reply) {
  return reply || reply.error() != errc::node_closed;
}

/// An actor that reads a few messages and then is gone, with its subscription.
caf::actor short_lived_reader(caf::actor_system& system) {
  return system.spawn([](caf::event_based_actor* self) -> caf::behavior {
    return {
      [self, left = 3](const batch&) mutable {
        if (--left == 0)
          self->quit();
      },
    };
  });
}

} // namespace

TEST_CASE("many threads share nodes, inboxes and messages, whichever of them ends first") {
  for (int round = 0; round < 4; ++round) {
    CAPTURE(round);
    system_config config;
    caf::actor_system system{config};
    std::vector<std::thread> threads;
    std::atomic<int> read{0};
    std::optional<runtime> bus;
    bus.emplace(system, runtime_options{.loops = 3, .close_time = 200ms});
    connected_pair pair(*bus);
    const auto other = bus->spawn_node();
    REQUIRE(other.connect(pair.endpoint).has_value());
    const auto hub = pair.far;
    const auto left = pair.near;

    // Two threads and a kept sender towards the hub, and one back.
    for (int count = 0; count < 2; ++count)
      keep_doing(threads, [left, to = hub.id()] {
        return left.send(to, "a word", {.within = 1s}) != send_outcome::closed;
      });
    keep_doing(threads, [kept = std::make_shared<sender>(other.to(hub.id()))] {
      return kept->send_bytes(std::vector<std::byte>(20'000)) != send_outcome::closed;
    });
    keep_doing(threads, [hub, to = left.id()] {
      return hub.send(to, "an answer", {.within = 10ms}) != send_outcome::closed;
    });
    // One reads and lets another thread let go; one subscribes and leaves over and over.
    const auto queue = std::make_shared<inbox>(hub.inbox());
    keep_doing(threads, [queue, &read] {
      auto next = queue->next_message(10ms);
      if (next && ++read % 64 == 0)
        std::thread([kept = std::move(*next)] {}).join();
      return is_alive(next);
    });
    keep_doing(threads, [left] {
      auto passing = left.inbox();
      return is_alive(passing.next_message(5ms));
    });
    keep_doing(threads, [hub, &system] {
      return is_alive(hub.subscribe(
        {.subscriber = short_lived_reader(system), .mode = delivery_mode::batch, .events = false}));
    });
    // One dials what is connected already, and nobody.
    keep_doing(threads, [other, at = pair.endpoint, nobody = raw_listener().endpoint()] {
      (void)other.connect(nobody, 1s);
      return is_alive(other.connect(at, 1s));
    });

    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (read < 100 && std::chrono::steady_clock::now() < deadline)
      std::this_thread::yield();
    CHECK(read >= 100);
    if (round == 1)
      CHECK(hub.close(100ms).has_value());
    if (round == 2)
      CHECK(left.close(100ms).has_value());
    bus.reset();
    for (auto& each : threads)
      each.join();
  }
}
