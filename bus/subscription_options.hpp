// subscription_options: what a subscriber wants to hear, what is done when it is slow, and what became
// of its messages. Plain values, the same for actors, inboxes and the core.
#pragma once

#include "postbus/bus/limits.hpp"
#include "postbus/bus/node_id.hpp"
#include "postbus/bus/tag_range.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace postbus {

/// What a subscription takes; the default is everything.
struct message_filter {
  /// Messages of these, and their `connected`, `disconnected` and `unsent`; of everybody when empty.
  std::vector<node_id> peers = {};
  /// Messages with one of these tags; with any when empty.
  std::vector<tag_range> tags = {};

  [[nodiscard]] bool takes(const node_id& peer) const noexcept {
    return peers.empty() || std::find(peers.begin(), peers.end(), peer) != peers.end();
  }
  [[nodiscard]] bool takes(std::uint16_t tag) const { return wants_tag(tags, tag); }
};

/// What is done when messages come faster than a subscriber takes them. Events are never dropped.
enum class slow_policy : std::uint8_t {
  block,       ///< They wait, and the peers that sent them are held back. Nothing is lost.
  drop_oldest, ///< They wait in a bounded queue; when it is full the oldest go.
  drop_newest, ///< They wait in a bounded queue; what does not fit goes.
  disconnect,  ///< They wait in a bounded queue; when it is full the subscription ends.
};

/// Its name as in the source: "drop_oldest".
[[nodiscard]] constexpr std::string_view to_string(slow_policy policy) noexcept {
  switch (policy) {
  case slow_policy::block:
    return "block";
  case slow_policy::drop_oldest:
    return "drop_oldest";
  case slow_policy::drop_newest:
    return "drop_newest";
  case slow_policy::disconnect:
    return "disconnect";
  }
  return "?";
}

/// What became of the messages that a subscription's filter took since it began.
/// taken = delivered + dropped + queued.
struct subscription_counters {
  std::uint64_t messages_taken = 0;     ///< That were for it.
  std::uint64_t messages_delivered = 0; ///< Given to the subscriber: to its mailbox or inbox.
  std::uint64_t messages_dropped = 0;   ///< By its policy.
  std::uint64_t bytes_dropped = 0;      ///< The same in bytes, frame headers included.
  std::uint64_t messages_queued = 0;    ///< Waiting at the node now.
  std::uint64_t bytes_queued = 0;       ///< The same in bytes.

  friend bool operator==(const subscription_counters&, const subscription_counters&) = default;
};

namespace bus {

/// What a subscriber wants to hear.
struct subscription_options {
  bool messages = true; ///< Those that the filter takes.
  bool events = true;   ///< All but `connection_request`: docs/SUBSCRIPTIONS.md, "Events".
  bool decides = false; ///< `connection_request` of anybody, which this subscriber then answers.
  message_filter filter = {};
  slow_policy policy = slow_policy::block;
  /// For the policies that drop: what waits at most, frame headers included; 0: as `limits` says. An
  /// empty queue takes one message of any legal size.
  std::size_t queue_bytes_max = 0;
  /// The same in messages.
  std::uint64_t queue_messages_max = 0;

  /// Ok, or `bad_option` with what is wrong: a range of tags whose last is before its first.
  [[nodiscard]] result<void> check() const {
    for (const auto& range : filter.tags)
      if (range.last < range.first)
        return error{errc::bad_option, blame::local, "a range of tags ends before it begins"};
    return {};
  }
};

} // namespace bus

} // namespace postbus
