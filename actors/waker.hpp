// waker: how threads that let go of messages, or queue some, leave word for an actor. Holds the actor
// until it ends and says so; afterwards it wakes nobody. May outlive loops and actor systems.
#pragma once

#include "postbus/actors/internal_messages.hpp"
#include "postbus/bus/receipt.hpp"

#include <memory>
#include <mutex>

namespace postbus::actors {

class waker {
public:
  /// From now on `who` is woken.
  void attach(caf::actor who) {
    std::lock_guard guard(mutex_);
    who_ = std::move(who);
  }
  /// The actor ends: nobody is woken any more.
  void detach() {
    caf::actor last;
    std::lock_guard guard(mutex_);
    last = std::move(who_);
    who_ = nullptr;
  }
  /// Sends `what`, from any thread. False when nobody is there any more.
  template <class T>
  bool wake(T what) {
    std::lock_guard guard(mutex_);
    if (who_)
      post(who_, std::move(what));
    return static_cast<bool>(who_);
  }

private:
  std::mutex mutex_;
  caf::actor who_;
};

/// A receipt whose driver is an actor: asks it to `settle_receipts` when it wants to hear.
class waking_receipt final : public bus::receipt {
public:
  explicit waking_receipt(std::shared_ptr<waker> whom, std::uint64_t subscription = 0)
    : whom_(std::move(whom)), subscription_(subscription) {}

  /// Which subscription it is for, once that is known. Before anything is handed out.
  void subscription(std::uint64_t id) noexcept { subscription_ = id; }

protected:
  void wake() noexcept override { whom_->wake(settle_receipts{subscription_}); }

private:
  std::shared_ptr<waker> whom_;
  std::uint64_t subscription_;
};

} // namespace postbus::actors
