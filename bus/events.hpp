// events: what a node tells its subscribers, besides messages. Plain values; each is told exactly
// once, in this order per peer: connection_request, connected, messages, disconnected; and closed last of
// all, or subscription_ended in its place.
#pragma once

#include "postbus/bus/node_id.hpp"
#include "postbus/codecs/chunk.hpp"
#include "postbus/codecs/result.hpp"

#include <cstdint>
#include <iosfwd>
#include <memory>
#include <string>
#include <variant>

namespace postbus {

/// What happened to the messages one side sent over a connection. sent = confirmed + unconfirmed.
struct send_account {
  std::uint64_t sent = 0;      ///< Messages given to the connection for writing.
  std::uint64_t confirmed = 0; ///< Of these: taken by the peer's program, as the peer said.
  std::uint64_t unsent = 0;    ///< Messages accepted but never given to the connection.

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

/// The node has begun to close.
struct closing {};

/// The node is closed. The last event.
struct closed {};

using node_event = std::variant<connection_request, connected, disconnected, messages_dropped,
                                subscription_ended, closing, closed>;

} // namespace postbus
