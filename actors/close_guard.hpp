// close_guard: closes a node at the end of a scope. Not on a loop, where nothing may wait.
#pragma once

#include "postbus/actors/node.hpp"

#include <optional>
#include <utility>

namespace postbus {

/// Closes its node when it goes: what is queued leaves and is taken, within the drain time.
class close_guard {
public:
  explicit close_guard(postbus::node which, duration drain = std::chrono::seconds(5))
    : node_(std::move(which)), drain_(drain) {}
  close_guard(const close_guard&) = delete;
  close_guard& operator=(const close_guard&) = delete;
  ~close_guard() {
    if (node_)
      (void)node_->close(drain_);
  }

  [[nodiscard]] const postbus::node& node() const noexcept { return *node_; }
  [[nodiscard]] const postbus::node* operator->() const noexcept { return &*node_; }
  /// The node stays open.
  postbus::node release() { return *std::exchange(node_, std::nullopt); }

private:
  std::optional<postbus::node> node_;
  duration drain_;
};

} // namespace postbus
