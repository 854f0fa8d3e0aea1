// subscribing: what handles on plain threads ask of a node about subscriptions.
#pragma once

#include "postbus/actors/inbox.hpp"
#include "postbus/actors/node_access.hpp"

namespace postbus::actors {

/// What users say of a subscription, in a `subscribe` or an `inbox_options`, as the core takes it.
template <class Wants>
[[nodiscard]] bus::subscription_options options_of(const Wants& from) {
  return {.messages = from.messages,
          .events = from.events,
          .decides = from.decides,
          .filter = from.filter,
          .policy = from.policy,
          .queue_bytes_max = from.queue_bytes_max,
          .queue_messages_max = from.queue_messages_max};
}

/// Subscribes `who`, or answers why not; then it will not be subscribed later either.
[[nodiscard]] result<subscription> subscribe_at(node_access& at, bus::subscription_options wants,
                                                std::shared_ptr<recipient> who);

/// `bad_option` when there is no such subscription, or no more.
[[nodiscard]] result<subscription_counters> count_messages_of(node_access& at,
                                                              bus::subscription_id id);

} // namespace postbus::actors
