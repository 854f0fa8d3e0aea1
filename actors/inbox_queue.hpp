// inbox_queue: what waits between a node's loop and the threads that read an inbox. Bounded by the
// node, which hands over the next batch only when an earlier one was let go, and by the number of events.
// Tells a descriptor, or calls a function, when it turns from empty to not empty. Never blocks the loop.
#pragma once

#include "postbus/actors/recipient.hpp"

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>

namespace postbus::actors {

class inbox_queue final : public recipient {
public:
  using item = std::variant<batch, node_event>;
  using either = std::variant<message, node_event>;

  explicit inbox_queue(std::function<void()> on_ready = {});
  ~inbox_queue() override;

  bool take(batch messages) override { return put(std::move(messages)); }
  bool take(const node_event& event) override { return put(event); }
  void over() override;
  void events_max(std::uint64_t most, std::size_t bytes_most) override;
  void cut_off(std::uint64_t messages_dropped) override;

  [[nodiscard]] result<either> next(duration within);
  [[nodiscard]] result<message> next_message(duration within);
  [[nodiscard]] result<batch> next_batch(duration within);
  [[nodiscard]] result<node_event> next_event(duration within);
  [[nodiscard]] result<std::optional<either>> try_next();
  /// Readable while something waits; made when first asked for.
  [[nodiscard]] result<int> descriptor();

  /// Nobody will read, or there is nothing to: what comes is let go at once, reads answer `why`. No
  /// function is called afterwards, nor running when this returns, unless it is the one that called this.
  void abandon(error why);

private:
  template <class Reply, class Find>
  [[nodiscard]] result<Reply> wait(duration within, Find find);
  [[nodiscard]] bool put(item what);
  [[nodiscard]] bool is_too_much(const node_event& event) const noexcept;
  void push_back(item what, std::unique_lock<std::mutex>& guard);
  void call_ready();
  void raise_descriptor() const noexcept;
  void lower_descriptor() const noexcept;
  [[nodiscard]] bool has_something() const noexcept {
    return over_ || !items_.empty() || !reading_.empty();
  }
  void pass_events();
  void pop_front();
  [[nodiscard]] std::optional<either> take_either();
  [[nodiscard]] std::optional<batch> take_batch();
  [[nodiscard]] std::optional<message> take_message();

  // Held while the function runs, so that whoever abandons waits for it; it may itself abandon.
  std::recursive_mutex calling_;
  std::shared_ptr<const std::function<void()>> on_ready_;

  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<item> items_;
  std::uint64_t events_ = 0; // of the items
  std::size_t event_bytes_ = 0;
  std::uint64_t events_max_ = limits{}.subscription_events_max;
  std::size_t event_bytes_max_ = limits{}.subscription_event_bytes_max;
  int readers_ = 0;           // who wait
  bool is_full_ = false;      // and takes no more; that is to be said
  std::optional<error> over_; // what reads answer when nothing is left
  bool abandoned_ = false;
  int descriptor_ = -1;
  batch reading_; // what is left of the batch that is read message by message
};

} // namespace postbus::actors
