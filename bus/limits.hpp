// limits: every bound of the library in one struct, with its default. Nothing in Postbus grows,
// waits or repeats without one of these. Units come last in the names.
#pragma once

#include "postbus/bus/time.hpp"
#include "postbus/codecs/result.hpp"

#include <cstddef>
#include <cstdint>

namespace postbus {

/// The bounds of a node and its connections. Every value is an option; `check` says whether a
/// changed set still fits together.
struct limits {
  // -- opening a connection -----------------------------------------------------
  /// From the transport's first byte to `open`, absolute.
  duration handshake_time_max = std::chrono::seconds(5);
  /// What of it the application has for saying yes or no.
  duration decision_time_max = std::chrono::seconds(3);
  /// Body of a hello, welcome or refuse.
  std::uint32_t hello_bytes_max = 16u << 10;
  /// Connections that are not open yet, in all.
  std::uint32_t pending_handshakes_max = 1024;
  /// The same, from one address; of IPv6 from one network of 64 bits.
  std::uint32_t pending_handshakes_per_address_max = 128;
  /// Open connections of a node.
  std::uint32_t connections_max = 65536;

  // -- frames -------------------------------------------------------------------
  /// Body of any frame once a connection is open.
  std::uint32_t frame_bytes_max = 16u << 20;

  // -- sending ------------------------------------------------------------------
  /// Framed bytes that wait for one peer. An empty outbox takes one frame of any legal size.
  std::size_t outbox_bytes_max = std::size_t{8} << 20;
  /// Frames that wait for one peer.
  std::uint64_t outbox_frames_max = std::uint64_t{1} << 17;
  /// Bytes that wait for all peers of a node together.
  std::size_t node_outbox_bytes_max = std::size_t{256} << 20;
  /// Waiting bytes of which the socket took none for so long: `peer_too_slow`.
  duration stall_time_max = std::chrono::seconds(30);

  // -- receiving ----------------------------------------------------------------
  /// What a peer may send before anything was taken.
  std::size_t window_bytes_min = std::size_t{64} << 10;
  /// What the window grows to while the application keeps up.
  std::size_t window_bytes_max = std::size_t{4} << 20;
  /// Bytes received and not yet let go of, over all connections of a node. Shared out by their number:
  /// while that grows the sum may be above it, until what was granted before is used.
  std::size_t node_received_bytes_max = std::size_t{256} << 20;
  /// Batches in a subscriber's mailbox before the next must wait for one to die.
  std::uint32_t batches_in_flight_max = 4;
  /// Bytes that wait for a subscriber whose policy drops, unless its subscription says otherwise.
  std::size_t subscription_queue_bytes_max = std::size_t{8} << 20;
  /// The same in messages.
  std::uint64_t subscription_queue_messages_max = std::uint64_t{1} << 16;
  /// Events that wait for one subscriber: with one more its subscription ends.
  std::uint64_t subscription_events_max = std::uint64_t{1} << 18;
  /// The same in bytes, what they bring along included. One event waits whatever its size.
  std::size_t subscription_event_bytes_max = std::size_t{128} << 20;

  // -- requests -----------------------------------------------------------------
  /// Requests that one peer may have open here at a time; 0: none are taken.
  std::uint32_t requests_in_flight_max = 1024;
  /// Bytes of those together. A peer with none open is always taken one of any legal size.
  std::uint32_t request_bytes_in_flight_max = 4u << 20;

  // -- quiet and lost -----------------------------------------------------------
  /// A side that has sent nothing for so long sends a ping.
  duration keepalive_time = std::chrono::seconds(15);
  /// Neither side sent or received anything but keepalives for so long: `idle`.
  duration idle_time_max = std::chrono::seconds(60);
  /// A probe of an open connection must be answered within this.
  duration probe_time_max = std::chrono::seconds(1);

  // -- peers that stay ----------------------------------------------------------
  /// Before a kept peer is dialed again for the first time. Each wait is twice the last,
  duration reconnect_time_min = std::chrono::milliseconds(100);
  /// up to this; and shortened by chance,
  duration reconnect_time_max = std::chrono::seconds(30);
  /// by up to so many percent.
  std::uint32_t reconnect_jitter_percent = 50;

  // -- closing ------------------------------------------------------------------
  /// For last words when a node closes: until who hears `closing` has done with it. Part of the time
  /// for draining, and at most a quarter of that.
  duration closing_time_max = std::chrono::milliseconds(100);
  /// For what is queued to leave and be taken, once a close has begun.
  duration drain_time_max = std::chrono::seconds(5);
  /// For the peer's last bytes, once everything of ours has left.
  duration linger_time_max = std::chrono::seconds(2);

  // -- statistics ---------------------------------------------------------------
  /// In rates per second, what is this old counts half.
  duration statistics_half_life = std::chrono::seconds(60);
  /// Connections that are over and still told of.
  std::uint32_t closed_connections_max = 1000;

  /// Nothing at all arrived for so long: `peer_lost`.
  [[nodiscard]] constexpr duration silence_time_max() const noexcept { return 3 * keepalive_time; }

  /// Ok, or `bad_option` with the relation that does not hold.
  [[nodiscard]] result<void> check() const;
};

static_assert(limits{}.decision_time_max < limits{}.handshake_time_max);
static_assert(limits{}.silence_time_max() < limits{}.idle_time_max);
static_assert(limits{}.probe_time_max < limits{}.decision_time_max);
static_assert(limits{}.window_bytes_min <= limits{}.window_bytes_max);
static_assert(limits{}.window_bytes_max <= limits{}.node_received_bytes_max);
static_assert(limits{}.reconnect_time_min <= limits{}.reconnect_time_max);
static_assert(limits{}.outbox_bytes_max <= limits{}.node_outbox_bytes_max);
static_assert(limits{}.hello_bytes_max < limits{}.frame_bytes_max);
static_assert(limits{}.connections_max < limits{}.subscription_events_max);
static_assert(std::size_t{limits{}.connections_max} << 10 <= limits{}.subscription_event_bytes_max);

} // namespace postbus
