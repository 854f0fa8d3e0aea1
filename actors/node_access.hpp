// node_access: what a handle shares with its node actor, and what outlives the actor: the directory of
// links, and whom to ask. Once the node is closed everything answers so, without an actor or a system.
#pragma once

#include "postbus/actors/handling_function.hpp"
#include "postbus/actors/link.hpp"
#include "postbus/actors/messages.hpp"
#include "postbus/actors/refusal_counts.hpp"

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace postbus::actors {

class node_access {
public:
  explicit node_access(node_id id) : id_(id) {}

  [[nodiscard]] const node_id& id() const noexcept { return id_; }
  [[nodiscard]] directory& peers() noexcept { return peers_; }
  [[nodiscard]] bool is_connected(const node_id& peer) const {
    const auto way = peers_.find(peer);
    return way && !way->is_hold();
  }
  /// Over what messages for `to` go: to a peer, or to the node itself. Null when there is no way.
  [[nodiscard]] std::shared_ptr<link> way_to(const node_id& to) const {
    return to == id_ ? own_ : peers_.find(to);
  }
  /// The node's link to itself. Before anybody has a handle.
  void own(std::shared_ptr<link> way) { own_ = std::move(way); }
  /// Where it listens.
  [[nodiscard]] std::vector<std::string> addresses() const;
  void listening(const std::string& endpoint);
  /// False if it was not listening there.
  bool not_listening(const std::string& endpoint);
  /// `peer`, which is connected, was dialed at this endpoint.
  void dialed(const std::string& endpoint, const node_id& peer);
  /// The connected peer that was dialed at this endpoint; "no node" when none was.
  [[nodiscard]] node_id peer_at(std::string_view endpoint) const;
  /// `peer` is not connected any more.
  void forget(const node_id& peer);

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
  /// A function handles requests from now on, until its actor has made its last call.
  void function_began(std::uint64_t handler, std::shared_ptr<handling_function> what) {
    std::lock_guard guard(mutex_);
    functions_.emplace(handler, std::move(what));
  }
  void function_ended(std::uint64_t handler) {
    std::lock_guard guard(mutex_);
    functions_.erase(handler);
  }
  /// Null when there is none, or no more.
  [[nodiscard]] std::shared_ptr<handling_function> function(std::uint64_t handler) const {
    std::lock_guard guard(mutex_);
    const auto found = functions_.find(handler);
    return found == functions_.end() ? nullptr : found->second;
  }
  /// Ends all of them, and waits for those that run.
  void end_functions();

  /// What senders were refused.
  [[nodiscard]] refusal_counts& refused() noexcept { return refused_; }
  [[nodiscard]] bool wait_closed_until(time_point deadline) {
    std::unique_lock guard(mutex_);
    return closing_done_.wait_until(guard, deadline, [this] { return closed_; });
  }

private:
  const node_id id_;
  refusal_counts refused_;
  directory peers_;
  std::shared_ptr<link> own_;
  const std::shared_ptr<waker> shell_ = std::make_shared<waker>();
  std::atomic<std::uint64_t> last_key_{0};
  mutable std::mutex mutex_;
  std::condition_variable closing_done_;
  node_actor actor_;
  bool closed_ = false;
  std::map<std::uint64_t, std::shared_ptr<handling_function>> functions_; // that may be called
  std::vector<std::string> addresses_;
  std::unordered_map<std::string, node_id> dialed_; // by transport, host and port
};

} // namespace postbus::actors
