#include "postbus/actors/inbox_queue.hpp"

#include "postbus/actors/loop.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace postbus::actors {

inbox_queue::inbox_queue(std::function<void()> on_ready) {
  if (on_ready)
    on_ready_ = std::make_shared<const std::function<void()>>(std::move(on_ready));
}

inbox_queue::~inbox_queue() {
  if (descriptor_ >= 0)
    ::close(descriptor_);
}

// -- the node's side ------------------------------------------------------------------

bool inbox_queue::put(item what) {
  std::unique_lock guard(mutex_);
  if (over_ || abandoned_ || is_full_)
    return true; // it was said before that nothing more is taken
  if (auto* event = std::get_if<node_event>(&what)) {
    if (is_too_much(*event)) {
      is_full_ = true;
      return false;
    }
    ++events_;
    event_bytes_ += bytes_of(*event);
    if (std::holds_alternative<closed>(*event))
      over_ = error{errc::node_closed, blame::local, {}};
    else if (const auto* ended = std::get_if<subscription_ended>(event))
      over_ = ended->reason;
    else if (auto* begun = std::get_if<closing>(event); begun != nullptr && readers_ == 0)
      begun->hold = nullptr; // who does not wait for it has no last words
  }
  push_back(std::move(what), guard);
  return true;
}

void inbox_queue::events_max(std::uint64_t most, std::size_t bytes_most) {
  std::lock_guard guard(mutex_);
  events_max_ = most;
  event_bytes_max_ = bytes_most;
}

// The end is told whatever waits, and counts for nothing.
void inbox_queue::cut_off(std::uint64_t messages_dropped) {
  std::unique_lock guard(mutex_);
  if (over_ || abandoned_)
    return;
  const subscription_ended last{
    {errc::subscriber_too_slow, blame::local, "more events wait in an inbox than may"},
    messages_dropped};
  over_ = last.reason;
  ++events_;
  event_bytes_ += bytes_of(last);
  push_back(node_event{last}, guard);
}

bool inbox_queue::is_too_much(const node_event& event) const noexcept {
  if (std::holds_alternative<closed>(event) || std::holds_alternative<subscription_ended>(event))
    return false; // nothing comes behind these
  return events_ >= events_max_
         || (events_ > 0 && event_bytes_ + bytes_of(event) > event_bytes_max_);
}

void inbox_queue::push_back(item what, std::unique_lock<std::mutex>& guard) {
  // An end makes it ready, too, so what was before is asked of what it holds.
  const auto was_empty = items_.empty() && reading_.empty();
  items_.push_back(std::move(what));
  if (was_empty)
    raise_descriptor();
  guard.unlock();
  arrived_.notify_all();
  if (was_empty)
    call_ready();
}

void inbox_queue::over() {
  {
    std::lock_guard guard(mutex_);
    if (over_)
      return;
    const auto was_empty = !has_something();
    over_ = error{errc::node_closed, blame::local, {}};
    arrived_.notify_all();
    if (!was_empty)
      return;
    raise_descriptor();
  }
  call_ready();
}

void inbox_queue::call_ready() {
  std::lock_guard guard(calling_);
  if (const auto call = on_ready_)
    (*call)();
}

void inbox_queue::abandon(error why) {
  {
    std::lock_guard guard(calling_);
    on_ready_ = nullptr;
  }
  std::deque<item> dropped;
  batch half_read;
  std::lock_guard guard(mutex_);
  over_ = std::move(why);
  abandoned_ = true;
  dropped = std::exchange(items_, {});
  half_read = std::exchange(reading_, {});
  if (descriptor_ >= 0)
    ::close(std::exchange(descriptor_, -1));
  arrived_.notify_all();
}

// -- the readers' side ----------------------------------------------------------------

result<int> inbox_queue::descriptor() {
  std::lock_guard guard(mutex_);
  if (abandoned_)
    return *over_;
  if (descriptor_ < 0) {
    descriptor_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (descriptor_ < 0)
      return error{errc::system_failed, blame::local,
                   std::string("eventfd: ") + std::strerror(errno)};
    if (has_something())
      raise_descriptor();
  }
  return descriptor_;
}

// A counter of 1 is readable, of 0 is not. Neither call can fail in between: one raise per lower.
void inbox_queue::raise_descriptor() const noexcept {
  if (descriptor_ >= 0)
    static_cast<void>(::eventfd_write(descriptor_, 1));
}

void inbox_queue::lower_descriptor() const noexcept {
  eventfd_t ignored = 0;
  if (descriptor_ >= 0)
    static_cast<void>(::eventfd_read(descriptor_, &ignored));
}

// Waits until `find`, called under the lock, has something.
template <class Reply, class Find>
result<Reply> inbox_queue::wait(duration within, Find find) {
  if (loop::on_any())
    return error{errc::would_deadlock, blame::local, "an inbox is read on a loop"};
  const auto deadline = later(steady_now(), within);
  std::unique_lock guard(mutex_);
  for (bool in_time = true;;) {
    const auto had_something = has_something();
    std::optional<Reply> found = find();
    if (had_something && !has_something())
      lower_descriptor();
    if (found)
      return std::move(*found);
    if (over_)
      return *over_;
    if (!in_time)
      return error{errc::timeout, blame::local, {}};
    ++readers_;
    in_time = arrived_.wait_until(guard, deadline) != std::cv_status::timeout;
    --readers_;
  }
}

void inbox_queue::pop_front() {
  if (const auto* event = std::get_if<node_event>(&items_.front())) {
    --events_;
    event_bytes_ -= bytes_of(*event);
  }
  items_.pop_front();
}

// What is left of the batch that is being read, or else the one at the front.
std::optional<batch> inbox_queue::take_batch() {
  if (!reading_.empty())
    return std::exchange(reading_, {});
  if (items_.empty() || !std::holds_alternative<batch>(items_.front()))
    return std::nullopt;
  auto found = std::move(std::get<batch>(items_.front()));
  pop_front();
  return found;
}

std::optional<message> inbox_queue::take_message() {
  auto from = take_batch();
  if (!from)
    return std::nullopt;
  reading_ = std::move(*from);
  return reading_.take_first();
}

std::optional<inbox_queue::either> inbox_queue::take_either() {
  if (auto message = take_message())
    return either{std::move(*message)};
  if (items_.empty())
    return std::nullopt;
  --events_;
  event_bytes_ -= bytes_of(std::get<node_event>(items_.front()));
  either event{std::get<node_event>(std::move(items_.front()))};
  items_.pop_front();
  return event;
}

void inbox_queue::pass_events() {
  while (reading_.empty() && !items_.empty() && std::holds_alternative<node_event>(items_.front()))
    pop_front();
}

result<inbox_queue::either> inbox_queue::next(duration within) {
  return wait<either>(within, [this] { return take_either(); });
}

result<std::optional<inbox_queue::either>> inbox_queue::try_next() {
  std::lock_guard guard(mutex_);
  const auto had_something = has_something();
  auto found = take_either();
  if (had_something && !has_something())
    lower_descriptor();
  if (!found && over_)
    return *over_;
  return found;
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
    --events_;
    event_bytes_ -= bytes_of(std::get<node_event>(*found));
    auto event = std::move(std::get<node_event>(*found));
    items_.erase(found);
    return event;
  });
}

} // namespace postbus::actors
