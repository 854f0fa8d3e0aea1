// expect: waits for what a test expects of an inbox, with a deadline instead of a guess.
#pragma once

#include "postbus/postbus.hpp"

#include <doctest/doctest.h>

#include <future>
#include <thread>

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

/// Whether `holds` comes true before the test gives up. For what nobody is told of.
template <class Condition>
bool eventually(Condition holds) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline)
      return false;
    std::this_thread::yield();
  }
  return true;
}

/// What somebody else finds out, once it is there.
template <class T>
T awaited(std::future<T> what) {
  REQUIRE(what.wait_for(patience) == std::future_status::ready);
  return what.get();
}

/// Limits of nodes that nobody hurries while a test, late as it may run, decides who comes in.
inline limits patient() {
  limits bounds;
  bounds.handshake_time_max = std::chrono::seconds(60);
  bounds.decision_time_max = patience;
  bounds.probe_time_max = std::chrono::seconds(10);
  return bounds;
}

/// Limits of nodes whose peers may be gone when they close.
inline limits brief() {
  limits bounds;
  bounds.linger_time_max = std::chrono::milliseconds(10);
  return bounds;
}

/// A runtime that waits for nobody at its end.
inline constexpr runtime_options ends_soon{.loops = 2, .close_time = std::chrono::milliseconds(10)};

/// Why it failed; `none` when it did not.
template <class T>
errc code_of(const result<T>& what) {
  return what ? errc::none : what.error().code;
}

/// Two connected nodes on one runtime, open at both ends; `far` listens, `near` has dialed it.
struct connected_pair {
  explicit connected_pair(runtime& on, limits far_bounds = {}, limits near_bounds = {})
    : far(on.spawn_node({.id = {}, .init = {}, .bounds = far_bounds})),
      near(on.spawn_node({.id = {}, .init = {}, .bounds = near_bounds})) {
    auto at = far.listen("tcp://127.0.0.1:0");
    REQUIRE_MESSAGE(at.has_value(), (at ? "" : to_string(at.error())));
    endpoint = *at;
    auto events = far.inbox({.messages = false}); // so nothing is granted on its account
    auto peer = near.connect(endpoint);
    REQUIRE_MESSAGE(peer.has_value(), (peer ? "" : to_string(peer.error())));
    REQUIRE(*peer == far.id());
    REQUIRE(next_event<connected>(events).has_value()); // a little later than at our end
  }

  node far;
  node near;
  std::string endpoint;
};

} // namespace postbus::test
