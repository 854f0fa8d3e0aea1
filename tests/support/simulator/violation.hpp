// violation: what the simulator found to be wrong, by kind and in words. Thrown out of a run; whoever
// drives the run adds the command that repeats it.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace postbus::testing {

/// The laws that hold in every run.
enum class law : std::uint8_t {
  order,    ///< Messages arrive in the order they were sent, each at most once.
  content,  ///< A message arrives with the bytes, the tag and the form it was sent with.
  events,   ///< Each event is told once, in order: connected, messages, disconnected; closed last.
  dials,    ///< Each dial is answered once, and a peer that asks is decided on at most once.
  requests, ///< Each request is handed over once and answered once, by its own answer.
  account,  ///< Sent = delivered + refused + dropped + unconfirmed, for each connection and in all.
  progress, ///< What can go on does: no credit, no wake-up and no letter is lost.
  deadline, ///< What has a time happens within it.
  bound,    ///< Nothing grows beyond its limit.
  protocol, ///< While the network is good, no side finds fault with the other.
  survivor, ///< Of several connections between two nodes one lives, and no honest peer is put out.
  ending,   ///< Every run ends: all nodes close, in bounded time and steps.
  leak,     ///< Nothing is held when all is over.
};

/// "order", "content" and so on.
[[nodiscard]] std::string_view to_string(law which) noexcept;

/// A law was broken: which, and how.
struct violation : std::runtime_error {
  violation(law which, const std::string& text) : std::runtime_error(text), broken(which) {}

  law broken;
};

/// Throws when `holds` is false. `text` is a string, or a callable that makes one only then.
template <class Text>
void require(bool holds, law which, const Text& text) {
  if (holds)
    return;
  if constexpr (std::is_invocable_v<Text>)
    throw violation(which, text());
  else
    throw violation(which, text);
}

} // namespace postbus::testing
