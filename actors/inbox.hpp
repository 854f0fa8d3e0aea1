// inbox: messages and events of one node for plain threads, in order. The node hands over a bounded
// number of batches; the rest waits at the node and holds the senders back. Calls may block up to the
// given time; on a loop they answer `would_deadlock` instead.
#pragma once

#include "postbus/bus/decode.hpp"
#include "postbus/bus/events.hpp"
#include "postbus/bus/time.hpp"

#include <memory>
#include <variant>

namespace postbus {

namespace actors {
class inbox_queue;
class node_access;
} // namespace actors

class inbox {
public:
  inbox(inbox&&) noexcept;
  inbox& operator=(inbox&&) noexcept;
  /// Ends the subscription.
  ~inbox();

  /// The next message or event. `timeout` when none comes within `within`; `node_closed` once the
  /// node is closed and everything was taken.
  [[nodiscard]] result<std::variant<message, node_event>> next(duration within);
  /// The next message; events before it are passed over.
  [[nodiscard]] result<message> next_message(duration within);
  /// The next messages, all that one read brought; events before it are passed over.
  [[nodiscard]] result<batch> next_batch(duration within);
  /// The next event; messages before it stay.
  [[nodiscard]] result<node_event> next_event(duration within);

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
