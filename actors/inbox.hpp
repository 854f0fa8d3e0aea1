// inbox: messages and events of one node for plain threads, in order. The node hands over a bounded
// number of batches; the rest waits at the node, as the inbox's policy says. Calls may block up to the
// given time, which on a loop they answer with `would_deadlock`; try_next() never blocks, and descriptor()
// says when to call it.
#pragma once

#include "postbus/bus/decode.hpp"
#include "postbus/bus/events.hpp"
#include "postbus/bus/subscription_options.hpp"
#include "postbus/bus/time.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <variant>

namespace postbus {

namespace actors {
class inbox_queue;
class node_access;
} // namespace actors

/// What an inbox is to hear, and what happens when it is not read.
struct inbox_options {
  bool messages = true; ///< Those that the filter takes.
  bool events = true;   ///< All but `connection_request`: docs/SUBSCRIPTIONS.md, "Events".
  bool decides =
    false; ///< `connection_request` of anybody, for a program that decides who may connect.
  message_filter filter = {};
  slow_policy policy = slow_policy::block;
  std::size_t queue_bytes_max = 0;      ///< For the policies that drop; 0: as `limits` says.
  std::uint64_t queue_messages_max = 0; ///< The same in messages.
  /// Called when something comes and nothing waited, on the node's loop: it must neither block nor throw,
  /// only leave word for whoever calls try_next() until that answers nothing. Never called after the
  /// inbox is gone.
  std::function<void()> on_ready = {};
};

/// Reads of an inbox that has come to its end answer why, once everything was taken: `node_closed`, or
/// `subscriber_too_slow` when it was cut off.
class inbox {
public:
  using either = std::variant<message, node_event>;

  inbox(inbox&&) noexcept;
  inbox& operator=(inbox&&) noexcept;
  /// Ends the subscription. Waits for an `on_ready` that is running.
  ~inbox();

  /// The next message or event. `timeout` when none comes within `within`.
  [[nodiscard]] result<either> next(duration within);
  /// The next message; events before it are passed over.
  [[nodiscard]] result<message> next_message(duration within);
  /// The next messages, all that one read brought; events before it are passed over.
  [[nodiscard]] result<batch> next_batch(duration within);
  /// The next event; messages before it stay.
  [[nodiscard]] result<node_event> next_event(duration within);

  /// The next message or event if one waits, else nothing. Never blocks; may be called on a loop.
  [[nodiscard]] result<std::optional<either>> try_next();
  /// For poll and the like: readable while there is something to read, the end among it. Not to be read,
  /// written or closed; it lives as long as the inbox. `system_failed` when there is none to be had.
  [[nodiscard]] result<int> descriptor();

  /// What became of its messages. `bad_option` once it has ended, `would_deadlock` on a loop.
  [[nodiscard]] result<subscription_counters> counters() const;

private:
  friend class node;
  inbox(std::shared_ptr<actors::inbox_queue> queue, std::shared_ptr<actors::node_access> of,
        std::uint64_t id) noexcept;
  void end() noexcept;

  std::shared_ptr<actors::inbox_queue> queue_;
  std::shared_ptr<actors::node_access> of_;
  std::uint64_t id_ = 0;
};

} // namespace postbus
