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
  bool goes_on = true;
  {
    std::lock_guard guard(mutex_);
    if (over_ || abandoned_)
      return true; // it was said before that nothing more is taken
    const auto was_empty = !has_something();
    if (std::holds_alternative<node_event>(what) && ++events_ > events_max_) {
      what = node_event{subscription_ended{
        {errc::subscriber_too_slow, blame::local, "more events wait in an inbox than may"}, 0}};
      goes_on = false;
    }
    if (const auto* event = std::get_if<node_event>(&what)) {
      if (std::holds_alternative<closed>(*event))
        over_ = error{errc::node_closed, blame::local, {}};
      else if (const auto* ended = std::get_if<subscription_ended>(event))
        over_ = ended->reason;
    }
    items_.push_back(std::move(what));
    if (!was_empty) {
      arrived_.notify_all();
      return goes_on;
    }
    raise_descriptor();
  }
  arrived_.notify_all();
  call_ready();
  return goes_on;
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
    in_time = arrived_.wait_until(guard, deadline) != std::cv_status::timeout;
  }
}

void inbox_queue::pop_front() {
  if (std::holds_alternative<node_event>(items_.front()))
    --events_;
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
  either event{std::get<node_event>(std::move(items_.front()))};
  pop_front();
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
    auto event = std::move(std::get<node_event>(*found));
    items_.erase(found);
    --events_;
    return event;
  });
}

} // namespace postbus::actors
