#include "postbus/actors/loop.hpp"

#include "postbus/actors/asio.hpp"
#include "postbus/actors/internal_messages.hpp"

#include <cstdio>
#include <exception>

namespace postbus::actors {

namespace {

// Messages an actor handles before the next one's turn, and actors before the sockets' turn.
constexpr std::size_t messages_per_turn_max = 64;
constexpr std::size_t actors_per_turn_max = 256;

// How long actors that are over wait for others, and how many of them end together. CAF's clock takes
// 63 at a time before it makes the loop wait.
constexpr auto retirement_time = std::chrono::milliseconds(5);
constexpr std::size_t retired_max = 32;

thread_local loop* current_loop = nullptr;

} // namespace

struct loop::retirement {
  explicit retirement(asio::io_context& io) : due(io) {}

  timer due;
  std::vector<caf::actor> who;
};

loop::loop(caf::actor_system& system)
  : own_context(system), workers_of_(system), io_(std::make_unique<asio::io_context>(1)),
    retired_(std::make_unique<retirement>(*io_)) {
  thread_ = std::thread([this] { run(); });
}

loop::~loop() {
  (void)finish(duration::max());
}

bool loop::on_any() noexcept {
  return current_loop != nullptr;
}

bool loop::is_current() const noexcept {
  return current_loop == this;
}

void loop::run() {
  current_loop = this;
  const auto stay = asio::make_work_guard(*io_);
  for (;;) {
    try {
      io_->run();
      return;
    } catch (const std::exception& what) {
      // Callbacks and handlers let nothing out; whatever does come must not end everybody's loop.
      std::fprintf(stderr, "postbus: a loop callback failed: %s\n", what.what());
    }
  }
}

// Jobs come with a reference that belongs to the loop from now on.
void loop::take(caf::resumable* job) {
  if (job->subtype() != caf::resumable::io_actor)
    return give_to_workers(workers_of_, job); // somebody else's actor, woken by one of ours
  if (is_current()) {
    ready_.push_back(job);
    if (!running_)
      call_soon();
    return;
  }
  {
    std::lock_guard guard(mutex_);
    arriving_.push_back(job);
    if (std::exchange(bell_rung_, true))
      return;
  }
  asio::post(*io_, [this] { run_ready(); });
}

void loop::call_soon() {
  if (!std::exchange(called_, true))
    asio::post(*io_, [this] {
      called_ = false;
      run_ready();
    });
}

void loop::run_ready() {
  {
    std::lock_guard guard(mutex_);
    bell_rung_ = false;
    ready_.insert(ready_.end(), arriving_.begin(), arriving_.end());
    arriving_.clear();
  }
  running_ = true;
  while (next_ < ready_.size() && next_ < actors_per_turn_max) {
    auto* job = ready_[next_++];
    switch (job->resume(this, messages_per_turn_max)) {
    case caf::resumable::resume_later:
      ready_.push_back(job);
      break;
    case caf::resumable::awaiting_message:
    case caf::resumable::done:
      caf::intrusive_ptr_release(job);
      break;
    case caf::resumable::shutdown_execution_unit:
      break; // sent by CAF's own workers to each other only
    }
  }
  ready_.erase(ready_.begin(), ready_.begin() + static_cast<std::ptrdiff_t>(next_));
  next_ = 0;
  running_ = false;
  do_late_work();
  if (!ready_.empty())
    call_soon();
}

void loop::do_late_work() {
  for (const auto& each : std::exchange(late_, {}))
    each.what->do_late();
}

void loop::retire(caf::actor whom) {
  retired_->who.push_back(std::move(whom));
  if (retired_->who.size() >= retired_max)
    return dismiss_retired();
  if (retired_->who.size() > 1)
    return;
  retired_->due.expires_after(retirement_time);
  retired_->due.async_wait([this](asio::error_code failed) {
    if (!failed)
      dismiss_retired();
  });
}

void loop::dismiss_retired() {
  retired_->due.cancel();
  for (const auto& each : std::exchange(retired_->who, {}))
    post(each, postbus::actors::finish{});
}

void loop::count_actor(int change) {
  std::lock_guard guard(mutex_);
  actors_ += change;
  if (actors_ == 0)
    deserted_.notify_all();
}

void loop::send_away(const caf::actor& guest) {
  caf::anon_send_exit(guest, caf::exit_reason::user_shutdown);
  caf::anon_send_exit(guest, caf::exit_reason::kill); // for one that does not heed the first
}

void loop::guest_came(const caf::actor& who) {
  if (!takes_guests_)
    send_away(who);
  guests_.emplace(who.id(), who);
}

bool loop::finish(duration within) {
  if (!thread_.joinable())
    return true;
  asio::post(*io_, [this] {
    takes_guests_ = false;
    for (const auto& [id, guest] : guests_)
      send_away(guest);
    dismiss_retired();
  });
  {
    std::unique_lock guard(mutex_);
    if (!deserted_.wait_until(guard, later(steady_now(), within), [this] { return actors_ == 0; }))
      return false;
  }
  io_->stop();
  thread_.join();
  for (auto* job : arriving_)
    caf::intrusive_ptr_release(job);
  for (auto* job : ready_)
    caf::intrusive_ptr_release(job);
  arriving_.clear();
  ready_.clear();
  late_.clear();
  retired_->who.clear();
  return true;
}

} // namespace postbus::actors
