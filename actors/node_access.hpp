// node_access: what a handle shares with its node actor, and what outlives the actor: the directory of
// links, and whom to ask. Once the node is closed everything answers so, without an actor or a system.
#pragma once

#include "postbus/actors/link.hpp"
#include "postbus/actors/messages.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>

namespace postbus::actors {

class node_access {
public:
  explicit node_access(node_id id) : id_(id) {}

  [[nodiscard]] const node_id& id() const noexcept { return id_; }
  [[nodiscard]] directory& peers() noexcept { return peers_; }
  /// Whom handles ask and releases wake; nobody once the node is closed.
  [[nodiscard]] const std::shared_ptr<waker>& shell() const noexcept { return shell_; }

  /// Names a request of a handle.
  [[nodiscard]] std::uint64_t next_key() noexcept { return ++last_key_; }

  /// The typed handle for users; empty once the node is closed.
  [[nodiscard]] node_actor actor() const {
    std::lock_guard guard(mutex_);
    return actor_;
  }
  void open(node_actor actor) {
    std::lock_guard guard(mutex_);
    actor_ = std::move(actor);
  }
  /// The node is closed.
  void close() {
    node_actor last;
    {
      std::lock_guard guard(mutex_);
      last = std::move(actor_);
      actor_ = nullptr;
      closed_ = true;
    }
    closing_done_.notify_all();
  }
  [[nodiscard]] bool wait_closed_until(time_point deadline) {
    std::unique_lock guard(mutex_);
    return closing_done_.wait_until(guard, deadline, [this] { return closed_; });
  }

private:
  const node_id id_;
  directory peers_;
  const std::shared_ptr<waker> shell_ = std::make_shared<waker>();
  std::atomic<std::uint64_t> last_key_{0};
  mutable std::mutex mutex_;
  std::condition_variable closing_done_;
  node_actor actor_;
  bool closed_ = false;
};

} // namespace postbus::actors
