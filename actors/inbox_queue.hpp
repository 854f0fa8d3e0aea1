// inbox_queue: what waits between a node's loop and the threads that read an inbox. Bounded by the
// node, which hands over the next batch only when an earlier one was let go.
#pragma once

#include "postbus/actors/recipient.hpp"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>

namespace postbus::actors {

class inbox_queue final : public recipient {
public:
  using item = std::variant<batch, node_event>;

  void take(batch messages) override { put(std::move(messages)); }
  void take(const node_event& event) override { put(event); }

  [[nodiscard]] result<std::variant<message, node_event>> next(duration within);
  [[nodiscard]] result<message> next_message(duration within);
  [[nodiscard]] result<batch> next_batch(duration within);
  [[nodiscard]] result<node_event> next_event(duration within);

  /// Nobody will read: what comes is let go at once.
  void abandon();

private:
  template <class Reply, class Find>
  [[nodiscard]] result<Reply> wait(duration within, Find find);
  void put(item what);
  void pass_events();
  [[nodiscard]] std::optional<batch> take_batch();
  [[nodiscard]] std::optional<message> take_message();

  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<item> items_;
  bool closed_ = false;
  bool abandoned_ = false;
  batch reading_; // what is left of the batch that is read message by message
};

} // namespace postbus::actors
