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

  /// False, once, when it takes nothing from now on.
  [[nodiscard]] virtual bool take(batch messages) = 0;
  [[nodiscard]] virtual bool take(const node_event& event) = 0;
  /// The node is closed and nothing more comes, whether that was told as an event or not.
  virtual void over() = 0;
  /// How many events it may hold, and how large they may be together. Said before the first comes.
  virtual void events_max(std::uint64_t most, std::size_t bytes_most) = 0;
  /// Behind a `take` that was false: it hears that it is over, and how many messages it will not get.
  virtual void cut_off(std::uint64_t messages_dropped) = 0;
  /// With whom it ends; nobody when it is no actor.
  [[nodiscard]] virtual caf::actor ends_with() const { return {}; }
};

/// Sends everything on to an actor.
class subscribed_actor final : public recipient {
public:
  subscribed_actor(caf::actor whom, delivery_mode mode) : whom_(std::move(whom)), mode_(mode) {}

  bool take(batch messages) override {
    if (mode_ == delivery_mode::batch)
      post(whom_, std::move(messages));
    else
      for (const auto& each : messages)
        post(whom_, messages.keep(each));
    return true;
  }
  bool take(const node_event& event) override {
    std::visit([&](const auto& what) { post(whom_, what); }, event);
    return true;
  }
  void over() override {}
  void events_max(std::uint64_t, std::size_t) override {} // nobody can count what is in a mailbox
  void cut_off(std::uint64_t) override {}                 // so this never happens
  [[nodiscard]] caf::actor ends_with() const override { return whom_; }

private:
  caf::actor whom_;
  delivery_mode mode_;
};

} // namespace postbus::actors
