// events: what a node tells its subscribers, besides messages. Plain values; each is told exactly
// once, in this order per peer: connection_request, connected, messages, disconnected, unsent; and closed
// last of all, or subscription_ended in its place.
#pragma once

#include "postbus/bus/node_id.hpp"
#include "postbus/bus/time.hpp"
#include "postbus/codecs/chunk.hpp"
#include "postbus/codecs/result.hpp"

#include <cstdint>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace postbus {

/// What happened to the messages one side sent over a connection. sent = confirmed + unconfirmed.
struct send_account {
  std::uint64_t sent = 0;      ///< Messages of which at least the first byte left this program.
  std::uint64_t confirmed = 0; ///< Of these: taken by the peer's program, as the peer said.
  std::uint64_t unsent = 0;    ///< Messages accepted of which nothing left this program.

  /// Messages of which nobody can say whether they arrived.
  [[nodiscard]] std::uint64_t unconfirmed() const noexcept { return sent - confirmed; }
  /// True when the peer's program took every message that was accepted.
  [[nodiscard]] bool complete() const noexcept { return unsent == 0 && sent == confirmed; }
  friend bool operator==(const send_account&, const send_account&) = default;
};

/// A node asks to be connected, or was dialed with `connect_request` and waits for what we say. Answer with
/// `node::accept`, `node::connect` or `node::reject` within the decision time, else it is refused; so it
/// is when the last copy goes without an answer.
struct connection_request {
  std::uint64_t connection = 0; ///< Names the question in the answer; unique within the node.
  node_id peer;                 ///< Who it says it is.
  payload init;                 ///< Its init message.
  std::string address;          ///< Where it is: "127.0.0.1:51234".
  bool dialed = false;          ///< By this node; else by the peer.
  /// The node's own: every copy holds it.
  std::shared_ptr<const void> hold = nullptr;

  /// The same question; equal ones come from the same node.
  friend bool operator==(const connection_request& left, const connection_request& right) noexcept {
    return left.connection == right.connection && left.peer == right.peer
           && left.address == right.address;
  }
};

/// For logs: "0f3a… at 127.0.0.1:51234".
[[nodiscard]] std::string to_string(const connection_request& what);
std::ostream& operator<<(std::ostream& out, const connection_request& what);

/// A connection is open: messages may be sent to `peer`.
struct connected {
  node_id peer;
  payload init;        ///< Its init message.
  bool dialed = false; ///< By this node; else by the peer.
};

/// A connection is over. Exactly one follows each `connected`.
struct disconnected {
  node_id peer;
  error reason;
  send_account account;                ///< Of what this node sent over it.
  std::uint64_t messages_received = 0; ///< What the peer sent over it and this node took.
  std::uint64_t messages_unclaimed =
    0; ///< Of these: dropped because no subscription took them, or it ended before it had them.
};

/// Here messages are missing, which this subscription's policy dropped. Told before the next message
/// that was not.
struct messages_dropped {
  node_id peer;               ///< Who had sent them.
  std::uint64_t messages = 0; ///< At least 1.
  std::uint64_t bytes = 0;    ///< Frame headers included.
};

/// This subscription is over though nobody ended it: nothing more comes of it. Told to whoever it
/// happens to, also without `events`.
struct subscription_ended {
  error reason;                       ///< `subscriber_too_slow`, with what was too much for it.
  std::uint64_t messages_dropped = 0; ///< In all, those that waited among them.
};

/// A message that was accepted, and of which nothing left this program.
struct unsent_message {
  std::uint16_t tag = 0;
  bool opaque = false; ///< The body is bytes, not MessagePack.
  payload body;
};

/// Right behind a `disconnected` whose account has unsent messages: these, in the order they were sent.
/// Told by nodes with `node_options::hand_back_unsent`.
struct unsent {
  node_id peer;
  std::vector<unsent_message> messages;
};

/// How a peer that shall stay connected stands.
enum class keep_status : std::uint8_t {
  connected,    ///< Behind `connected`, or at once when it was.
  reconnecting, ///< Not connected, and dialed again and again. Told once, not for each try.
  ended,        ///< Kept no more: dialing again would end the same.
};

/// "connected", "reconnecting", "ended".
[[nodiscard]] std::string_view to_string(keep_status status) noexcept;

/// Something has changed with an endpoint that is kept connected. One for each change.
struct keep_state {
  std::string endpoint; ///< As it was asked for.
  keep_status status = keep_status::connected;
  node_id peer;   ///< Who is, or was last, connected there; "no node" when nobody ever was.
  node_id before; ///< Who was there before, when `peer` is another; else "no node".
  error reason{errc::none, blame::local, {}}; ///< Why it is not connected.
  duration next_try_in{};                     ///< From now, when `reconnecting`.
};

/// The node has begun to close: now is the time for last words. What is sent until whoever is told has
/// done with this event leaves before the goodbye; docs/SENDING.md, "Closing", says for how long.
struct closing {
  /// The node's own: every copy holds it.
  std::shared_ptr<const void> hold = nullptr;
};

/// The node is closed. The last event.
struct closed {};

using node_event = std::variant<connection_request, connected, disconnected, unsent, keep_state,
                                messages_dropped, subscription_ended, closing, closed>;

/// The memory that an event takes while it waits: itself, and what it brings along.
[[nodiscard]] std::size_t bytes_of(const node_event& event) noexcept;

} // namespace postbus
