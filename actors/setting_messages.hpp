// setting_messages: what a node actor takes about the node itself: its settings, where it listens, and
// who is connected. Each is also a call of the same meaning on the handle (actors/node.hpp).
#pragma once

#include "postbus/bus/events.hpp"
#include "postbus/bus/keeper.hpp"
#include "postbus/bus/limits.hpp"
#include "postbus/bus/outbox.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace postbus {

// -- settings ---------------------------------------------------------------------------

/// From now on peers are shown this before they decide. `bad_option` above 8 KiB.
struct set_init_message {
  payload init;
};

/// The idle time of connections that begin later: `limits::idle_time_max`. `bad_option` unless it is
/// above three keepalive times.
struct set_idle_time {
  duration idle_time_max{};
};

/// The half-life of the rates of connections that begin later: `limits::statistics_half_life`.
/// `bad_option` unless it is between 1 ms and a year.
struct set_statistics_half_life {
  duration half_life{};
};

/// All bounds, as they hold for connections and subscriptions that begin later. What is shared out between
/// connections, what counts them, the events that wait, and the queue of what the node sends itself hold at
/// once. `bad_option` with the relation that does not hold, or another `batches_in_flight_max`.
struct set_bounds {
  limits bounds;
};

/// Answered with the bounds as they are, `limits`.
struct get_bounds {};

// -- listening --------------------------------------------------------------------------

/// Endpoints, as `listen` answers them.
struct endpoint_list {
  std::vector<std::string> endpoints;
};

/// Listen on a free port of every address, over IPv4 and over IPv6. Answered with what works of the two;
/// `listen_failed` when neither does.
struct listen_defaults {};

/// Answered with where this node listens.
struct list_addresses {};

/// Listen there no more; connections that came in stay. Answered with whether it was listened on.
struct stop_listening {
  std::string endpoint; ///< As `listen` answered.
};

// -- peers ------------------------------------------------------------------------------

/// Peers, in no order.
struct peer_list {
  std::vector<node_id> peers;
};

/// Answered with everybody to whom there is an open connection.
struct list_peers {};

/// Answered with whether there is an open connection to this peer.
struct is_connected {
  node_id peer;
};

/// Answered with the peer that was dialed at this endpoint and is connected; `not_connected` when none is.
struct find_peer {
  std::string endpoint;
};

/// End the connection to one peer in order: what is queued leaves and is taken, within `drain`. The peer
/// is told `closed` and the words. Answered when it is over; `not_connected` when there is none.
struct disconnect {
  node_id peer;
  std::string words = {};
  duration drain = std::chrono::seconds(5);
};

/// Keep an endpoint no more (see `keep_connected`, bus/keeper.hpp). A connection stays as it is; what was
/// held for a missing one is told as `unsent`. Answered with whether it was kept.
struct stop_keeping {
  std::string endpoint;
};

// -- sending ----------------------------------------------------------------------------

/// What became of a message for several peers, in their order.
struct send_outcomes {
  std::vector<send_outcome> each;
};

/// Send one body to several peers. Answered with `send_outcomes`.
struct send_to_many {
  std::vector<node_id> to;
  payload body;
  std::uint16_t tag = 0;
  bool opaque = true; ///< The body is bytes, not MessagePack.
};

} // namespace postbus
