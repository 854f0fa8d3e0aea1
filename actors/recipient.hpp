// recipient: whoever a node hands messages and events to: an actor, or an inbox that threads read.
// Called on the node's loop; must not block.
#pragma once

#include "postbus/actors/waker.hpp"

namespace postbus::actors {

class recipient {
public:
  recipient() = default;
  recipient(const recipient&) = delete;
  recipient& operator=(const recipient&) = delete;
  virtual ~recipient() = default;

  virtual void take(batch messages) = 0;
  virtual void take(const node_event& event) = 0;
};

/// Sends everything on to an actor.
class subscribed_actor final : public recipient {
public:
  subscribed_actor(caf::actor whom, delivery_mode mode) : whom_(std::move(whom)), mode_(mode) {}

  void take(batch messages) override {
    if (mode_ == delivery_mode::batch)
      return post(whom_, std::move(messages));
    for (const auto& each : messages)
      post(whom_, messages.keep(each));
  }
  void take(const node_event& event) override {
    std::visit([&](const auto& what) { post(whom_, what); }, event);
  }

private:
  caf::actor whom_;
  delivery_mode mode_;
};

/// Has a subscription end with its subscriber, who holds no more of the node than whom to tell.
inline void forget_when_over(const caf::actor& whom, std::shared_ptr<waker> shell,
                             subscription which) {
  whom->attach_functor(
    [shell = std::move(shell), which] { shell->wake(ask_unsubscribe{which.id}); });
}

} // namespace postbus::actors
