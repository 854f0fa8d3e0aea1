// subscriptions: who is to be told what, and what waits for whom. A slow subscriber keeps a bounded
// number of batches in its hands; the rest waits here, in order with its events: holding credit, or
// copied into a bounded queue, as its policy says. Filters decide what is for whom.
// Drive: push what arrived; settle a subscription when its receipt says so; then drain next().
#pragma once

#include "postbus/bus/batch.hpp"
#include "postbus/bus/events.hpp"
#include "postbus/bus/fifo.hpp"
#include "postbus/bus/shares.hpp"
#include "postbus/bus/subscriber_queue.hpp"
#include "postbus/bus/subscription_options.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

namespace postbus::bus {

/// Names a subscription within its node; never used twice.
using subscription_id = std::uint64_t;

class subscriptions {
public:
  /// Something for one subscriber. Behind a `subscription_ended` nothing follows.
  struct output {
    subscription_id to = 0;
    std::variant<batch, node_event> what;
  };

  explicit subscriptions(const limits& bounds) noexcept;
  /// The bounds of events hold at once, those of queues for subscriptions that begin later. How many
  /// batches may be out stays as it is.
  void bounds(const limits& changed) noexcept;

  /// A new subscription; `slot` is told when a batch handed to it is let go.
  subscription_id add(subscription_options wants, shared<receipt> slot);
  /// Forgets it. What waited for it is let go, and is dropped if nobody else had it or still waits
  /// for it. False if there is none.
  bool remove(subscription_id id);
  /// Messages that were dropped since last asked, by `received_frames::claim::connection`: those that
  /// waited for subscriptions that ended. What a policy drops is not among them.
  [[nodiscard]] std::map<std::uint64_t, std::uint64_t> take_dropped() {
    return dropped_.empty() ? decltype(dropped_){} : std::exchange(dropped_, {});
  }

  /// Messages that policies dropped since last asked: a message once for each subscription that did.
  [[nodiscard]] std::uint64_t take_too_slow() noexcept { return std::exchange(too_slow_, 0); }

  /// Messages from `from`, for everybody whose filter takes them. Says how many nobody's did; those are
  /// let go of.
  std::uint64_t push(const node_id& from, const shared<received_frames>& frames);
  /// An event, for everybody who wants it: the deciding ones for `connection_request`; all who want
  /// events for the others, but those about a peer that their filter leaves out.
  void push(const node_event& event);
  /// Reads the receipt of `id` and hands on what waited.
  void settle(subscription_id id);

  /// Hands on everything that waits, however many batches are out: for a node that ends, after which
  /// nobody would.
  void hand_on_all();

  [[nodiscard]] std::optional<output> next();

  [[nodiscard]] bool anybody_takes_messages() const noexcept { return takers_ > 0; }
  [[nodiscard]] bool anybody_decides() const noexcept { return deciders_ > 0; }
  /// Whether the question about this connection waits for anybody who decides.
  [[nodiscard]] bool asks(std::uint64_t connection) const;
  /// What became of its messages; nothing when there is no such subscription.
  [[nodiscard]] std::optional<subscription_counters> counters(subscription_id id) const;

private:
  struct subscription {
    subscription(subscription_options what, shared<receipt> told, subscriber_queue::options how)
      : wants(std::move(what)), slot(std::move(told)), waiting(how) {}

    subscription_options wants;
    shared<receipt> slot;
    std::uint64_t handed_out = 0; ///< Batches, cumulative.
    std::uint64_t taken = 0;      ///< Messages, cumulative.
    std::uint64_t delivered = 0;  ///< Of these.
    subscriber_queue waiting;
  };
  using known = std::map<subscription_id, subscription>::iterator;

  std::uint64_t push_divided(const node_id& from, const shared<received_frames>& frames);
  void give(known at, const node_id& from, const shared<received_frames>& frames,
            std::vector<shared<received_frames>> holds);
  [[nodiscard]] bool has_room(const subscription& of) const;
  [[nodiscard]] bool takes_at_once(const subscription& of) const {
    return of.waiting.empty() && has_room(of);
  }
  void hand_on(known at, shared<delivery> messages);
  void pump(known at);
  void let_go(const shared<delivery>& messages);
  void cut_off(known at, const char* why);
  void forget(known at);

  std::uint64_t batches_in_flight_max_;
  std::size_t queue_bytes_max_;
  std::uint64_t queue_messages_max_;
  std::uint64_t events_max_;
  std::size_t event_bytes_max_;
  std::uint64_t too_slow_ = 0;
  std::map<subscription_id, subscription> all_;
  subscription_id last_id_ = 0;
  std::size_t takers_ = 0;
  std::size_t deciders_ = 0;
  std::vector<known> concerned_; // by what is being pushed
  std::map<std::uint64_t, std::uint64_t> dropped_;
  fifo<output> outputs_;
};

} // namespace postbus::bus
