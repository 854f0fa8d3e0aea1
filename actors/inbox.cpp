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
    if (abandoned_)
      return;
    if (std::holds_alternative<node_event>(what)
        && std::holds_alternative<closed>(std::get<node_event>(what)))
      closed_ = true;
    items_.push_back(std::move(what));
  }
  arrived_.notify_all();
}

void inbox_queue::abandon() {
  std::lock_guard guard(mutex_);
  closed_ = abandoned_ = true;
  items_.clear();
}

// Waits until `find`, called under the lock, has something.
template <class Reply, class Find>
result<Reply> inbox_queue::wait(duration within, Find find) {
  if (loop::on_any())
    return error{errc::would_deadlock, blame::local, "an inbox is read on a loop"};
  const auto deadline = later(steady_now(), within);
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

// What is left of the batch that is being read, or else the one at the front.
std::optional<batch> inbox_queue::take_batch() {
  if (!reading_.empty())
    return std::exchange(reading_, {});
  if (items_.empty() || !std::holds_alternative<batch>(items_.front()))
    return std::nullopt;
  auto found = std::move(std::get<batch>(items_.front()));
  items_.pop_front();
  return found;
}

std::optional<message> inbox_queue::take_message() {
  auto from = take_batch();
  if (!from)
    return std::nullopt;
  reading_ = std::move(*from);
  return reading_.take_first();
}

void inbox_queue::pass_events() {
  while (reading_.empty() && !items_.empty() && std::holds_alternative<node_event>(items_.front()))
    items_.pop_front();
}

result<std::variant<message, node_event>> inbox_queue::next(duration within) {
  using either = std::variant<message, node_event>;
  return wait<either>(within, [this]() -> std::optional<either> {
    if (auto message = take_message())
      return either{std::move(*message)};
    if (items_.empty())
      return std::nullopt;
    either event{std::get<node_event>(std::move(items_.front()))};
    items_.pop_front();
    return event;
  });
}

result<message> inbox_queue::next_message(duration within) {
  return wait<message>(within, [this] {
    pass_events();
    return take_message();
  });
}

result<batch> inbox_queue::next_batch(duration within) {
  return wait<batch>(within, [this] {
    pass_events();
    return take_batch();
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

// What an inbox answers that was moved away.
static error moved_from() {
  return {errc::node_closed, blame::local, "this inbox was moved away"};
}

void inbox::end() noexcept {
  if (of_ && id_ != 0)
    of_->shell()->wake(actors::ask_unsubscribe{id_});
}

result<std::variant<message, node_event>> inbox::next(duration within) {
  return queue_ ? queue_->next(within) : moved_from();
}

result<message> inbox::next_message(duration within) {
  return queue_ ? queue_->next_message(within) : moved_from();
}

result<batch> inbox::next_batch(duration within) {
  return queue_ ? queue_->next_batch(within) : moved_from();
}

result<node_event> inbox::next_event(duration within) {
  return queue_ ? queue_->next_event(within) : moved_from();
}

} // namespace postbus
