// statistics: what a node and its connections have done so far, as plain values, and the same as JSON
// and as Prometheus' text. Measures nothing: sessions and the node's core fill these.
// docs/STATISTICS.md says what each figure means and what it is called in each form.
#pragma once

#include "postbus/bus/events.hpp"
#include "postbus/bus/outbox.hpp"
#include "postbus/bus/time.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace postbus {

/// What went over a connection, or over many, since it was open. Bytes are those on the wire, headers
/// and keepalives included, the handshake's not.
struct traffic {
  std::uint64_t bytes_sent = 0;     ///< Taken by the socket.
  std::uint64_t bytes_received = 0; ///< Read from it.
  std::uint64_t messages_sent = 0;  ///< Given to the connection for writing.
  std::uint64_t messages_received = 0;

  traffic& operator+=(const traffic& more) noexcept {
    bytes_sent += more.bytes_sent;
    bytes_received += more.bytes_received;
    messages_sent += more.messages_sent;
    messages_received += more.messages_received;
    return *this;
  }
  friend bool operator==(const traffic&, const traffic&) = default;
};

/// The same per second: averages in which what is a half-life old counts half
/// (`limits::statistics_half_life`).
struct traffic_rates {
  double bytes_sent = 0;
  double bytes_received = 0;
  double messages_sent = 0;
  double messages_received = 0;

  traffic_rates& operator+=(const traffic_rates& more) noexcept {
    bytes_sent += more.bytes_sent;
    bytes_received += more.bytes_received;
    messages_sent += more.messages_sent;
    messages_received += more.messages_received;
    return *this;
  }
};

/// An open connection.
struct connection_statistics {
  node_id peer;
  std::string address; ///< Of the peer: "127.0.0.1:51234".
  bool dialed = false; ///< By this node; else by the peer.
  duration open_time{};
  traffic total;
  traffic_rates per_second;
  duration sent_idle_time{};     ///< Since a message, request or answer was sent, or it is open.
  duration received_idle_time{}; ///< The same for receiving. Keepalives count for neither.
  duration round_trip_time{};    ///< As last measured: by the handshake, or by a ping since.
  std::uint64_t messages_confirmed = 0; ///< Of the messages sent: taken by the peer's program.
  std::uint64_t messages_waiting = 0;   ///< Accepted, and not yet given to the connection.
  std::uint64_t requests_open = 0;      ///< Asked by either side, and not answered yet.
};

/// A connection that was open and is over.
struct closed_connection {
  node_id peer;
  std::string address;
  bool dialed = false;
  error reason;
  send_account account;
  traffic total;
  duration open_time{};   ///< How long it was open.
  duration closed_time{}; ///< How long ago it ended.
};

/// So many times for this reason.
struct reason_count {
  errc reason = errc::none;
  blame by = blame::local;
  std::uint64_t count = 0;

  friend bool operator==(const reason_count&, const reason_count&) = default;
};

/// How messages can come to nothing.
enum class drop : std::uint8_t {
  unclaimed,   ///< Received, and taken by no subscription, or by none that got it.
  unsent,      ///< Accepted, and never sent: the connection ended, or no other one came.
  unconfirmed, ///< Sent, and nobody can say whether they arrived, because the connection ended.
  too_slow,    ///< Received, and dropped by the policy of a subscription: once for each that did.
};

/// "unclaimed", "unsent", "unconfirmed", "too_slow".
[[nodiscard]] std::string_view to_string(drop what) noexcept;

struct drop_count {
  drop what = drop::unclaimed;
  errc reason = errc::none; ///< Why, as docs/STATISTICS.md says; `none` for unclaimed ones.
  blame by = blame::local;
  std::uint64_t messages = 0;

  friend bool operator==(const drop_count&, const drop_count&) = default;
};

/// So many messages were not taken from those who sent them, who were told so.
struct refused_messages {
  send_outcome outcome = send_outcome::congested; ///< `congested`, `closed` or `too_large`.
  std::uint64_t messages = 0;

  friend bool operator==(const refused_messages&, const refused_messages&) = default;
};

/// A node. Counts are of its whole life; a list has only what is not zero.
struct node_statistics {
  node_id id;
  traffic total;                        ///< Over all connections there ever were.
  traffic_rates per_second;             ///< The sum of those of the open connections.
  std::uint64_t connections_opened = 0; ///< So many were open at some time.
  std::uint64_t pending_handshakes = 0; ///< Connections that are not open yet, or never will be.
  std::vector<connection_statistics> connections; ///< Open now, oldest first.
  std::vector<reason_count> refusals;             ///< Connections that ended before they were open.
  std::vector<reason_count> disconnects;          ///< Connections that were open and ended.
  std::vector<drop_count> drops;
  std::vector<refused_messages> refused;
  std::vector<closed_connection>
    closed; ///< The last ones, oldest first: `limits::closed_connections_max`.
};

/// One JSON object, UTF-8, without line breaks. Times are in seconds.
[[nodiscard]] std::string to_json(const node_statistics& of);

struct prometheus_options {
  /// Connections with series of their own: of more, those that have been open for longest.
  std::size_t connections_max = 256;
};

/// The text exposition format 0.0.4 (content type "text/plain; version=0.0.4").
[[nodiscard]] std::string to_prometheus(const node_statistics& of, prometheus_options how = {});
/// The same for the nodes of a program together; their series differ by the label `node`.
[[nodiscard]] std::string to_prometheus(std::span<const node_statistics> of,
                                        prometheus_options how = {});

} // namespace postbus
