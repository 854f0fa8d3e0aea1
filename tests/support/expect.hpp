// expect: waits for what a test expects of an inbox, with a deadline instead of a guess.
#pragma once

#include "postbus/postbus.hpp"

#include <doctest/doctest.h>

namespace postbus::test {

/// How long anything may take before the test gives up; far more than it needs.
inline constexpr auto patience = std::chrono::seconds(30);

/// The next event of type `Event`; other events before it are passed over.
template <class Event>
std::optional<Event> next_event(inbox& from, duration within = patience) {
  const auto deadline = std::chrono::steady_clock::now() + within;
  for (;;) {
    auto event = from.next_event(deadline - std::chrono::steady_clock::now());
    if (!event)
      return std::nullopt;
    if (auto* found = std::get_if<Event>(&*event))
      return std::move(*found);
  }
}

/// Two connected nodes on one runtime; `far` listens, `near` has dialed it.
struct connected_pair {
  explicit connected_pair(runtime& on, limits far_bounds = {}, limits near_bounds = {})
    : far(on.spawn_node({.id = {}, .init = {}, .bounds = far_bounds})),
      near(on.spawn_node({.id = {}, .init = {}, .bounds = near_bounds})) {
    auto at = far.listen("tcp://127.0.0.1:0");
    REQUIRE_MESSAGE(at.has_value(), (at ? "" : to_string(at.error())));
    endpoint = *at;
    auto peer = near.connect(endpoint);
    REQUIRE_MESSAGE(peer.has_value(), (peer ? "" : to_string(peer.error())));
    REQUIRE(*peer == far.id());
  }

  node far;
  node near;
  std::string endpoint;
};

} // namespace postbus::test
