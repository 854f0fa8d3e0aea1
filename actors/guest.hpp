// guest: an actor of the user's that lives on a loop. What arrives on a socket and what its handler
// does about it then happen on one thread, with no other in between. The loop ends it when it ends.
#pragma once

#include "postbus/actors/loop.hpp"

#include <functional>
#include <utility>

namespace postbus::actors {

class guest final : public bound<caf::event_based_actor> {
public:
  guest(caf::actor_config& config, loop& home,
        std::function<caf::behavior(caf::event_based_actor*)> what)
    : bound(config, home), what_(std::move(what)) {}

  caf::behavior make_behavior() override {
    home().guest_came(caf::actor{this});
    return std::exchange(what_, nullptr)(this);
  }
  [[nodiscard]] const char* name() const override { return "postbus.guest"; }

private:
  void leave() override { home().guest_left(id()); }

  std::function<caf::behavior(caf::event_based_actor*)> what_;
};

} // namespace postbus::actors
