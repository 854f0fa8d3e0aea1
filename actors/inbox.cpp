#include "postbus/actors/inbox.hpp"

#include "postbus/actors/inbox_queue.hpp"
#include "postbus/actors/loop.hpp"
#include "postbus/actors/node_access.hpp"

#include <algorithm>

namespace postbus {

namespace actors {

void inbox_queue::put(item what) {
  {
    std::lock_guard guard(mutex_);
    if (std::holds_alternative<node_event>(what)
        && std::holds_alternative<closed>(std::get<node_event>(what)))
      closed_ = true;
    items_.push_back(std::move(what));
  }
  arrived_.notify_all();
}

void inbox_queue::close() {
  {
    std::lock_guard guard(mutex_);
    closed_ = true;
  }
  arrived_.notify_all();
}

// Waits until `find`, called under the lock, has something.
template <class Reply, class Find>
result<Reply> inbox_queue::wait(duration within, Find find) {
  if (loop::on_any())
    return error{errc::would_deadlock, blame::local, "an inbox is read on a loop"};
  const auto deadline = steady_now() + within;
  std::unique_lock guard(mutex_);
  for (;;) {
    if (std::optional<Reply> found = find())
      return std::move(*found);
    if (closed_)
      return error{errc::node_closed, blame::local, {}};
    if (arrived_.wait_until(guard, deadline) == std::cv_status::timeout) {
      if (std::optional<Reply> found = find())
        return std::move(*found);
      return error{errc::timeout, blame::local, {}};
    }
  }
}

// Makes the batch at the front the one that is read. False when there is none.
bool inbox_queue::open_batch() {
  if (items_.empty() || !std::holds_alternative<batch>(items_.front()))
    return false;
  reading_ = std::move(std::get<batch>(items_.front()));
  items_.pop_front();
  at_ = reading_.begin();
  return true;
}

message inbox_queue::take_message() {
  auto found = reading_.keep(*at_);
  if (++at_ == reading_.end())
    reading_ = {};
  return found;
}

result<std::variant<message, node_event>> inbox_queue::next(duration within) {
  using either = std::variant<message, node_event>;
  return wait<either>(within, [this]() -> std::optional<either> {
    if (!reading_.empty() || open_batch())
      return either{take_message()};
    if (items_.empty())
      return std::nullopt;
    either event{std::get<node_event>(std::move(items_.front()))};
    items_.pop_front();
    return event;
  });
}

result<message> inbox_queue::next_message(duration within) {
  return wait<message>(within, [this]() -> std::optional<message> {
    if (!reading_.empty())
      return take_message();
    while (!items_.empty() && std::holds_alternative<node_event>(items_.front()))
      items_.pop_front();
    return open_batch() ? std::optional(take_message()) : std::nullopt;
  });
}

result<batch> inbox_queue::next_batch(duration within) {
  return wait<batch>(within, [this]() -> std::optional<batch> {
    while (!items_.empty() && std::holds_alternative<node_event>(items_.front()))
      items_.pop_front();
    if (items_.empty())
      return std::nullopt;
    auto found = std::move(std::get<batch>(items_.front()));
    items_.pop_front();
    return found;
  });
}

result<node_event> inbox_queue::next_event(duration within) {
  return wait<node_event>(within, [this]() -> std::optional<node_event> {
    const auto found = std::find_if(items_.begin(), items_.end(), [](const item& each) {
      return std::holds_alternative<node_event>(each);
    });
    if (found == items_.end())
      return std::nullopt;
    auto event = std::move(std::get<node_event>(*found));
    items_.erase(found);
    return event;
  });
}

} // namespace actors

inbox::inbox(std::shared_ptr<actors::inbox_queue> queue, std::shared_ptr<actors::node_access> of,
             std::uint64_t id) noexcept
  : queue_(std::move(queue)), of_(std::move(of)), id_(id) {}

inbox::inbox(inbox&&) noexcept = default;

inbox& inbox::operator=(inbox&& other) noexcept {
  if (this != &other) {
    end();
    queue_ = std::move(other.queue_);
    of_ = std::move(other.of_);
    id_ = other.id_;
  }
  return *this;
}

inbox::~inbox() {
  end();
}

void inbox::end() noexcept {
  if (of_ && id_ != 0)
    of_->shell()->wake(actors::ask_unsubscribe{id_});
}

result<std::variant<message, node_event>> inbox::next(duration within) {
  return queue_->next(within);
}

result<message> inbox::next_message(duration within) {
  return queue_->next_message(within);
}

result<batch> inbox::next_batch(duration within) {
  return queue_->next_batch(within);
}

result<node_event> inbox::next_event(duration within) {
  return queue_->next_event(within);
}

} // namespace postbus
