// subscriptions: who is to be told what, and what waits for whom. A slow subscriber keeps a bounded
// number of batches in its hands; the rest waits here, in order with its events, holding credit.
// Drive: push what arrived; settle a subscription when its receipt says so; then drain next().
#pragma once

#include "postbus/bus/batch.hpp"
#include "postbus/bus/events.hpp"
#include "postbus/bus/fifo.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <variant>

namespace postbus::bus {

/// Names a subscription within its node; never used twice.
using subscription_id = std::uint64_t;

/// What a subscriber wants to hear.
struct subscription_options {
  bool messages = true; ///< Messages of all peers.
  bool events = true;   ///< connected, disconnected, closing, closed.
  bool decides = false; ///< `connection_request`, which this subscriber then answers.
};

class subscriptions {
public:
  /// Something for one subscriber.
  struct output {
    subscription_id to = 0;
    std::variant<batch, node_event> what;
  };

  explicit subscriptions(std::uint32_t batches_in_flight_max) noexcept
    : batches_in_flight_max_(batches_in_flight_max) {}

  /// A new subscription; `slot` is told when a batch handed to it is let go.
  subscription_id add(subscription_options wants, shared<receipt> slot);
  /// Forgets it. What waited for it is let go, and is dropped if nobody else had it or still waits
  /// for it. False if there is none.
  bool remove(subscription_id id);
  /// Messages that were dropped since last asked, by `received_frames::claim::connection`.
  [[nodiscard]] std::map<std::uint64_t, std::uint64_t> take_dropped() {
    return std::exchange(dropped_, {});
  }

  /// Messages from `from`, for everybody who wants messages. Says how many that are.
  std::size_t push(const node_id& from, const shared<received_frames>& frames);
  /// An event, for everybody who wants it: all for most, the deciding ones for `connection_request`.
  void push(const node_event& event);
  /// Reads the receipt of `id` and hands on what waited.
  void settle(subscription_id id);

  /// Hands on everything that waits, however many batches are out: for a node that ends, after which
  /// nobody would.
  void hand_on_all();

  [[nodiscard]] std::optional<output> next();

  [[nodiscard]] bool anybody_takes_messages() const noexcept { return takers_ > 0; }
  [[nodiscard]] bool anybody_decides() const noexcept { return deciders_ > 0; }

private:
  struct subscription {
    subscription_options wants;
    shared<receipt> slot;
    std::uint64_t handed_out = 0; ///< Batches, cumulative.
    std::uint64_t let_go = 0;     ///< Of these, as the receipt said last.
    fifo<std::variant<shared<delivery>, node_event>> waiting;
  };

  void pump(subscription_id id, subscription& to);

  std::uint32_t batches_in_flight_max_;
  std::map<subscription_id, subscription> all_;
  subscription_id last_id_ = 0;
  std::size_t takers_ = 0;
  std::size_t deciders_ = 0;
  std::map<std::uint64_t, std::uint64_t> dropped_;
  fifo<output> outputs_;
};

} // namespace postbus::bus
