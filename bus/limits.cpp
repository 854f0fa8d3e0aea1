// limits: each relation between bounds, with the words that say which one does not hold.
#include "postbus/bus/limits.hpp"

#include "postbus/bus/control.hpp"

#include <string>
#include <string_view>
#include <utility>

namespace postbus {

namespace {

constexpr auto year = std::chrono::hours(24) * 366;

/// What is wrong with a set of limits: the first thing that is found.
class findings {
public:
  template <class T>
  void below(std::string_view smaller, T smaller_value, std::string_view larger, T larger_value) {
    if (!(smaller_value < larger_value))
      add(smaller, "must be below", larger);
  }

  template <class T>
  void at_most(std::string_view smaller, T smaller_value, std::string_view larger, T larger_value) {
    if (!(smaller_value <= larger_value))
      add(smaller, "must be at most", larger);
  }

  template <class T>
  void least(std::string_view name, T value, T least, std::string_view least_text) {
    if (value < least)
      add(name, "must be at least", least_text);
  }

  template <class T>
  void most(std::string_view name, T value, T most, std::string_view most_text) {
    if (value > most)
      add(name, "must be at most", most_text);
  }

  void positive(std::string_view name, duration value) {
    if (value <= duration::zero())
      add(name, "must be more than", "0");
  }

  void not_negative(std::string_view name, duration value) {
    if (value < duration::zero())
      add(name, "must not be less than", "0");
  }

  [[nodiscard]] result<void> take() && {
    if (first_.empty())
      return {};
    return error{errc::bad_option, blame::local, std::move(first_)};
  }

private:
  void add(std::string_view left, std::string_view relation, std::string_view right) {
    if (first_.empty())
      first_.append(left).append(" ").append(relation).append(" ").append(right);
  }

  std::string first_;
};

} // namespace

result<void> limits::check() const {
  findings found;

  found.positive("handshake_time_max", handshake_time_max);
  found.positive("decision_time_max", decision_time_max);
  found.positive("stall_time_max", stall_time_max);
  found.positive("idle_time_max", idle_time_max);
  found.positive("probe_time_max", probe_time_max);
  found.least("statistics_half_life", statistics_half_life, duration(std::chrono::milliseconds(1)),
              "1 ms");
  found.most("statistics_half_life", statistics_half_life, duration(year), "1 year");
  found.not_negative("closing_time_max", closing_time_max);
  found.not_negative("drain_time_max", drain_time_max);
  found.not_negative("linger_time_max", linger_time_max);
  // Added to a moment, it must still be one.
  for (const auto& [name, span] : {std::pair{"handshake_time_max", handshake_time_max},
                                   {"stall_time_max", stall_time_max},
                                   {"idle_time_max", idle_time_max},
                                   {"closing_time_max", closing_time_max},
                                   {"drain_time_max", drain_time_max},
                                   {"linger_time_max", linger_time_max}})
    found.most(name, span, duration(year), "1 year");
  // Before anything is multiplied by it.
  found.least("keepalive_time", keepalive_time,
              duration(std::chrono::milliseconds(bus::keepalive_ms_min)), "100 ms");
  found.most("keepalive_time", keepalive_time,
             duration(std::chrono::milliseconds(bus::keepalive_ms_max)), "1 h");

  found.least("reconnect_time_min", reconnect_time_min, duration(std::chrono::milliseconds(1)),
              "1 ms");
  found.most("reconnect_time_max", reconnect_time_max, duration(year), "1 year");
  found.at_most("reconnect_time_min", reconnect_time_min, "reconnect_time_max", reconnect_time_max);
  found.most("reconnect_jitter_percent", reconnect_jitter_percent, 100u, "100");
  found.least("pending_handshakes_max", pending_handshakes_max, 1u, "1");
  found.least("pending_handshakes_per_address_max", pending_handshakes_per_address_max, 1u, "1");
  found.least("connections_max", connections_max, 1u, "1");
  found.least<std::size_t>("outbox_bytes_max", outbox_bytes_max, 1, "1");
  found.least<std::uint64_t>("outbox_frames_max", outbox_frames_max, 1, "1");
  found.least<std::size_t>("window_bytes_min", window_bytes_min, 1, "1");
  found.least("batches_in_flight_max", batches_in_flight_max, 1u, "1");
  found.least<std::size_t>("subscription_queue_bytes_max", subscription_queue_bytes_max, 1, "1");
  found.least<std::uint64_t>("subscription_queue_messages_max", subscription_queue_messages_max, 1,
                             "1");
  found.least<std::size_t>("subscription_event_bytes_max", subscription_event_bytes_max, 1, "1");
  // A refuse with its text must fit.
  found.least("hello_bytes_max", hello_bytes_max,
              static_cast<std::uint32_t>(bus::farewell_bytes_max), "1024");
  found.least("frame_bytes_max", frame_bytes_max, bus::frame_bytes_max_min, "1024");

  found.below("decision_time_max", decision_time_max, "handshake_time_max", handshake_time_max);
  found.below("probe_time_max", probe_time_max, "decision_time_max", decision_time_max);
  if (keepalive_time <= std::chrono::milliseconds(bus::keepalive_ms_max)) // else found already
    found.below("three times keepalive_time", silence_time_max(), "idle_time_max", idle_time_max);
  found.at_most("pending_handshakes_per_address_max", pending_handshakes_per_address_max,
                "pending_handshakes_max", pending_handshakes_max);
  found.below("hello_bytes_max", hello_bytes_max, "frame_bytes_max", frame_bytes_max);
  found.at_most("outbox_bytes_max", outbox_bytes_max, "node_outbox_bytes_max",
                node_outbox_bytes_max);
  found.at_most("window_bytes_min", window_bytes_min, "window_bytes_max", window_bytes_max);
  found.at_most("window_bytes_max", window_bytes_max, "node_received_bytes_max",
                node_received_bytes_max);
  // All connections may end at once, and their ends are to be told.
  found.below<std::uint64_t>("connections_max", connections_max, "subscription_events_max",
                             subscription_events_max);
  found.at_most("connections_max in KiB", std::size_t{connections_max} << 10,
                "subscription_event_bytes_max", subscription_event_bytes_max);

  return std::move(found).take();
}

} // namespace postbus
