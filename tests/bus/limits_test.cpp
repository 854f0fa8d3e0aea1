// limits: the defaults fit together, and each relation is told by the names of its two sides.
#include "postbus/bus/limits.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <limits>
#include <string>

using namespace postbus;
using namespace std::chrono_literals;

TEST_CASE("the defaults fit together") {
  CHECK(limits{}.check().has_value());
}

TEST_CASE("sets at the edge of every relation fit together") {
  limits edge;
  edge.keepalive_time = 100ms;
  edge.idle_time_max = 300ms + 1ns;
  edge.handshake_time_max = 3ns;
  edge.decision_time_max = 2ns;
  edge.probe_time_max = 1ns;
  edge.drain_time_max = edge.linger_time_max = 0s;
  edge.stall_time_max = 1ns;
  edge.hello_bytes_max = 1024;
  edge.frame_bytes_max = 1025;
  edge.pending_handshakes_max = edge.pending_handshakes_per_address_max = edge.connections_max = 1;
  edge.outbox_bytes_max = edge.node_outbox_bytes_max = 1;
  edge.outbox_frames_max = 1;
  edge.window_bytes_min = edge.window_bytes_max = edge.node_received_bytes_max = 1;
  edge.batches_in_flight_max = 1;
  edge.statistics_half_life = 1ms;
  edge.closed_connections_max = 0;
  edge.reconnect_time_min = edge.reconnect_time_max = 1ms;
  edge.reconnect_jitter_percent = 100;
  edge.subscription_queue_bytes_max = 1;
  edge.subscription_queue_messages_max = 1;
  edge.subscription_events_max = 2;
  edge.subscription_event_bytes_max = 1024;
  edge.closing_time_max = 0s;
  CHECK(edge.check().has_value());

  limits wide;
  wide.keepalive_time = 1h;
  constexpr auto year = std::chrono::hours(24) * 366;
  wide.idle_time_max = wide.handshake_time_max = year;
  wide.drain_time_max = wide.linger_time_max = wide.stall_time_max = year;
  wide.statistics_half_life = year;
  wide.reconnect_time_max = year;
  wide.frame_bytes_max = std::numeric_limits<std::uint32_t>::max();
  CHECK(wide.check().has_value());
}

TEST_CASE("each relation that does not hold is told by its names") {
  const struct {
    const char* detail;
    std::function<void(limits&)> spoil;
  } cases[] = {
    {"handshake_time_max must be more than 0", [](limits& l) { l.handshake_time_max = 0s; }},
    {"decision_time_max must be more than 0", [](limits& l) { l.decision_time_max = -1s; }},
    {"stall_time_max must be more than 0", [](limits& l) { l.stall_time_max = 0s; }},
    {"idle_time_max must be more than 0", [](limits& l) { l.idle_time_max = 0s; }},
    {"probe_time_max must be more than 0", [](limits& l) { l.probe_time_max = 0s; }},
    {"statistics_half_life must be at least 1 ms",
     [](limits& l) { l.statistics_half_life = 1ms - 1ns; }},
    {"statistics_half_life must be at most 1 year",
     [](limits& l) { l.statistics_half_life = duration::max(); }},
    {"drain_time_max must not be less than 0", [](limits& l) { l.drain_time_max = -1ns; }},
    {"linger_time_max must not be less than 0", [](limits& l) { l.linger_time_max = -1ns; }},
    {"handshake_time_max must be at most 1 year",
     [](limits& l) { l.handshake_time_max = duration::max(); }},
    {"stall_time_max must be at most 1 year",
     [](limits& l) { l.stall_time_max = duration::max(); }},
    {"idle_time_max must be at most 1 year", [](limits& l) { l.idle_time_max = duration::max(); }},
    {"drain_time_max must be at most 1 year",
     [](limits& l) { l.drain_time_max = duration::max(); }},
    {"linger_time_max must be at most 1 year",
     [](limits& l) { l.linger_time_max = duration::max(); }},
    {"keepalive_time must be at least 100 ms", [](limits& l) { l.keepalive_time = 100ms - 1ns; }},
    {"keepalive_time must be at least 100 ms", [](limits& l) { l.keepalive_time = -1s; }},
    {"keepalive_time must be at most 1 h", [](limits& l) { l.keepalive_time = 1h + 1ns; }},
    {"keepalive_time must be at most 1 h", [](limits& l) { l.keepalive_time = duration::max(); }},
    {"pending_handshakes_max must be at least 1", [](limits& l) { l.pending_handshakes_max = 0; }},
    {"pending_handshakes_per_address_max must be at least 1",
     [](limits& l) { l.pending_handshakes_per_address_max = 0; }},
    {"connections_max must be at least 1", [](limits& l) { l.connections_max = 0; }},
    {"outbox_bytes_max must be at least 1", [](limits& l) { l.outbox_bytes_max = 0; }},
    {"outbox_frames_max must be at least 1", [](limits& l) { l.outbox_frames_max = 0; }},
    {"window_bytes_min must be at least 1", [](limits& l) { l.window_bytes_min = 0; }},
    {"batches_in_flight_max must be at least 1", [](limits& l) { l.batches_in_flight_max = 0; }},
    {"reconnect_time_min must be at least 1 ms", [](limits& l) { l.reconnect_time_min = 0s; }},
    {"reconnect_time_max must be at most 1 year",
     [](limits& l) { l.reconnect_time_max = duration::max(); }},
    {"reconnect_time_min must be at most reconnect_time_max",
     [](limits& l) { l.reconnect_time_max = 99ms; }},
    {"reconnect_jitter_percent must be at most 100",
     [](limits& l) { l.reconnect_jitter_percent = 101; }},
    {"subscription_queue_bytes_max must be at least 1",
     [](limits& l) { l.subscription_queue_bytes_max = 0; }},
    {"subscription_queue_messages_max must be at least 1",
     [](limits& l) { l.subscription_queue_messages_max = 0; }},
    {"subscription_event_bytes_max must be at least 1",
     [](limits& l) { l.subscription_event_bytes_max = 0; }},
    {"connections_max in KiB must be at most subscription_event_bytes_max",
     [](limits& l) { l.subscription_event_bytes_max = std::size_t{1} << 20; }},
    {"closing_time_max must not be less than 0", [](limits& l) { l.closing_time_max = -1ns; }},
    {"connections_max must be below subscription_events_max",
     [](limits& l) { l.subscription_events_max = l.connections_max; }},
    {"hello_bytes_max must be at least 1024", [](limits& l) { l.hello_bytes_max = 1023; }},
    {"frame_bytes_max must be at least 1024", [](limits& l) { l.frame_bytes_max = 1023; }},
    {"decision_time_max must be below handshake_time_max",
     [](limits& l) { l.handshake_time_max = l.decision_time_max; }},
    {"probe_time_max must be below decision_time_max",
     [](limits& l) { l.decision_time_max = l.probe_time_max; }},
    {"three times keepalive_time must be below idle_time_max",
     [](limits& l) { l.idle_time_max = 3 * l.keepalive_time; }},
    {"three times keepalive_time must be below idle_time_max",
     [](limits& l) { l.keepalive_time = 1h; }},
    {"pending_handshakes_per_address_max must be at most pending_handshakes_max",
     [](limits& l) { l.pending_handshakes_per_address_max = l.pending_handshakes_max + 1; }},
    {"hello_bytes_max must be below frame_bytes_max",
     [](limits& l) { l.hello_bytes_max = l.frame_bytes_max; }},
    {"outbox_bytes_max must be at most node_outbox_bytes_max",
     [](limits& l) { l.node_outbox_bytes_max = l.outbox_bytes_max - 1; }},
    {"window_bytes_min must be at most window_bytes_max",
     [](limits& l) { l.window_bytes_min = l.window_bytes_max + 1; }},
    {"window_bytes_max must be at most node_received_bytes_max",
     [](limits& l) { l.node_received_bytes_max = l.window_bytes_max - 1; }},
  };
  for (const auto& each : cases) {
    CAPTURE(each.detail);
    limits spoiled;
    each.spoil(spoiled);
    const auto checked = spoiled.check();
    REQUIRE(!checked);
    CHECK(checked.error() == error{errc::bad_option, blame::local, each.detail});
  }
}
