// link: the way from any thread to the outbox of one peer, and from there to its connection actor.
// Appends under a lock, user code never runs under it; writes no socket. Ends with its connection.
#pragma once

#include "postbus/actors/waker.hpp"
#include "postbus/bus/node.hpp"
#include "postbus/bus/outbox.hpp"
#include "postbus/bus/session.hpp"
#include "postbus/bus/time.hpp"

#include <array>
#include <atomic>
#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <unordered_map>
#include <vector>

namespace postbus::actors {

/// What all outboxes of one node may hold together. May be overdrawn: an empty outbox always takes
/// one frame.
class outbox_budget {
public:
  explicit outbox_budget(std::size_t bytes_max) noexcept
    : left_(static_cast<std::int64_t>(bytes_max)) {}

  [[nodiscard]] bool take(std::size_t wanted) noexcept {
    const auto bytes = static_cast<std::int64_t>(wanted);
    auto left = left_.load(std::memory_order_relaxed);
    while (left >= bytes)
      if (left_.compare_exchange_weak(left, left - bytes, std::memory_order_relaxed))
        return true;
    return false;
  }
  void overdraw(std::size_t bytes) noexcept {
    left_.fetch_sub(static_cast<std::int64_t>(bytes), std::memory_order_relaxed);
  }
  void give_back(std::size_t bytes);
  [[nodiscard]] bool has(std::size_t bytes) const noexcept {
    return left_.load() >= static_cast<std::int64_t>(bytes);
  }
  /// Has `whom` woken by the next `give_back`. Look again afterwards: one in between is not told.
  void want(std::shared_ptr<waker> whom);

private:
  std::atomic<std::int64_t> left_;
  std::atomic<bool> wanted_{false};
  std::mutex mutex_;
  std::vector<std::shared_ptr<waker>> waiting_;
};

class link {
public:
  /// `whom` is woken when there is something to pull.
  link(const limits& bounds, std::shared_ptr<outbox_budget> budget,
       std::shared_ptr<waker> whom = std::make_shared<waker>());
  link(const link&) = delete;
  link& operator=(const link&) = delete;
  ~link();

  /// Known once it is open.
  [[nodiscard]] const node_id& peer() const noexcept { return peer_; }

  // -- senders, any thread ------------------------------------------------------------

  /// Queues a copy of `body`, or says why not. Waits for room, if told to; first come, first served.
  /// Leaves in `within` what is left of it.
  send_outcome send(codecs::frame_header header, std::span<const std::byte> body,
                    std::optional<duration>& within);
  /// Queues `body` itself, not copied when it is large.
  send_outcome send(codecs::frame_header header, const payload& body,
                    std::optional<duration>& within);

  /// Tells `whom` once, by `writable`, that there is room for a message of so many bytes: at once, or
  /// when there is. False if the connection is over; of an end that comes later nothing is told here.
  bool notify_writable(const caf::actor& whom, std::size_t bytes);

  // -- the connection actor -----------------------------------------------------------

  /// For a node's link to itself: other bounds from now on.
  void bounds(const limits& changed);
  /// The peer is known and the connection open. Before any sender has this link.
  void open(const node_id& peer, std::uint32_t frame_bytes_max);
  /// Lets the session take what it may; wakes who waits for room.
  void pull(bus::session& session, time_point now);
  [[nodiscard]] std::uint64_t frames_waiting();
  /// The same for a node's link to itself. True when more can be pulled at once.
  bool pull(bus::node& core);
  /// Hands on what there is, for a node that is about to close, and ends.
  void pull_all(bus::node& core);
  /// Nothing is taken any more, and what is queued is dropped.
  void shut();

  // -- messages that are held while a peer is not connected ------------------------------

  /// A link without a connection, for the peer of `like`: what is sent over it waits.
  link(const link& like, std::size_t bytes_max, std::uint64_t frames_max);
  /// What is sent over this link when its connection is over goes to `next`, which takes only what fits
  /// beside that which this one has not sent; null: nowhere.
  void successor(std::shared_ptr<link> next);
  /// Puts `frames` in front of what waits. They find room, whatever the bounds.
  void put_first(bus::fifo<bus::outgoing> frames);
  /// Hands what waits over to `to`, which is open and new, and ends. In between, `appear` is called:
  /// whoever looks for the peer must find `to` from then on. Frames that are too large for `to` are returned.
  template <class Appear>
  [[nodiscard]] bus::fifo<bus::outgoing> move_to(link& to, Appear appear) {
    std::lock_guard guard(mutex_);
    auto refused = hand_over(to);
    appear();
    end_hold();
    return refused;
  }
  /// Ends, and returns what waits; also of a link whose connection is over.
  [[nodiscard]] bus::fifo<bus::outgoing> take_all();
  [[nodiscard]] bool is_hold() const noexcept { return is_hold_; }
  /// Whom senders wake.
  [[nodiscard]] const std::shared_ptr<waker>& connection() const noexcept { return connection_; }

private:
  template <class Body>
  send_outcome queue(codecs::frame_header header, const Body& body,
                     std::optional<duration>& within);
  template <class Body>
  send_outcome push(codecs::frame_header header, const Body& body);
  template <class Body>
  send_outcome wait_and_push(codecs::frame_header header, const Body& body, duration within,
                             std::unique_lock<std::mutex>& guard);
  [[nodiscard]] bool reserve(std::size_t bytes);
  void settle_reserve();
  [[nodiscard]] bool fits_behind(std::size_t body_bytes) const noexcept;
  [[nodiscard]] bool has_room(std::size_t bytes) const;
  void serve_waiting();
  template <class Take>
  bool pull_by(Take take);
  [[nodiscard]] bus::fifo<bus::outgoing> hand_over(link& to);
  void end_hold();
  [[nodiscard]] std::vector<caf::actor> take_due();
  void tell_writable(const std::vector<caf::actor>& whom) const;

  node_id peer_;
  const bool is_hold_ = false;
  const std::size_t hold_bytes_max_ = 0;
  const std::uint64_t hold_frames_max_ = 0;
  // Of a hold: what the link before it may still leave unsent, and will then be put first here.
  std::atomic<std::size_t> before_bytes_{0};
  std::atomic<std::uint64_t> before_frames_{0};
  const std::shared_ptr<outbox_budget> budget_;
  const std::shared_ptr<waker> connection_;

  std::mutex mutex_;
  bus::outbox box_;
  bool awake_ = false; // the connection will pull without being told
  std::size_t reserved_bytes_ = 0;
  std::shared_ptr<link> successor_;
  bool has_left_ = false; // what was not sent is with the session, on its way to the successor
  struct waiting_sender {
    std::condition_variable room;
  };
  std::list<waiting_sender*> waiting_; // the first is served first
  struct asking_actor {
    caf::actor who;
    std::size_t bytes;
  };
  std::vector<asking_actor> asking_; // told when no thread waits any more
};

/// Who is reached over which link. Looked up by every send that names an id; changed when a
/// connection opens or ends.
class directory {
public:
  [[nodiscard]] std::shared_ptr<link> find(const node_id& peer) const;
  void add(std::shared_ptr<link> to);
  /// Removes `gone` unless another link has taken its place.
  void remove(const link& gone);
  [[nodiscard]] std::size_t size() const;
  /// Everybody, in no order.
  [[nodiscard]] std::vector<node_id> peers() const;

private:
  static constexpr std::size_t shards = 16;
  struct shard {
    mutable std::shared_mutex mutex;
    std::unordered_map<node_id, std::shared_ptr<link>> links;
  };
  [[nodiscard]] const shard& shard_of(const node_id& peer) const noexcept {
    return shards_[std::hash<node_id>{}(peer) >> 59 & (shards - 1)];
  }
  [[nodiscard]] shard& shard_of(const node_id& peer) noexcept {
    return const_cast<shard&>(std::as_const(*this).shard_of(peer));
  }

  std::array<shard, shards> shards_;
};

} // namespace postbus::actors
