#include "postbus/actors/loop.hpp"

#include "postbus/actors/asio.hpp"

#include <cstdio>
#include <exception>

namespace postbus::actors {

namespace {

// Messages an actor handles before the next one's turn, and actors before the sockets' turn.
constexpr std::size_t messages_per_turn_max = 64;
constexpr std::size_t actors_per_turn_max = 256;

thread_local loop* current_loop = nullptr;

} // namespace

loop::loop(caf::actor_system& system)
  : own_context(system), workers_of_(system), io_(std::make_unique<asio::io_context>(1)) {
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
  std::size_t next = 0;
  for (; next < ready_.size() && next < actors_per_turn_max; ++next) {
    auto* job = ready_[next];
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
  ready_.erase(ready_.begin(), ready_.begin() + static_cast<std::ptrdiff_t>(next));
  running_ = false;
  if (!ready_.empty())
    call_soon();
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
  return true;
}

} // namespace postbus::actors
