// request_table: the open requests of a node, over all its connections: who asked which peer, what
// peers asked us, and how much of both there may be. Sends nothing, reads no clock.
// Drive: open before a request is sent, close when its answer is in; serve and answered for the
// peers' requests; drop when a connection ends.
#pragma once

#include "postbus/bus/limits.hpp"
#include "postbus/bus/peer_table.hpp"
#include "postbus/bus/request.hpp"
#include "postbus/bus/request_place.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

namespace postbus::bus {

/// Names a handler of requests within its node; never used twice.
using handler_id = std::uint64_t;

class request_table {
public:
  /// What one side takes of the other, as its hello says.
  struct bounds {
    std::uint32_t count_max = 0;
    std::uint32_t bytes_max = 0;
    std::uint32_t frame_bytes_max = 0;
  };

  // -- we ask -----------------------------------------------------------------------

  /// A place for a request of `body_bytes` over `over`; `congested` or `too_large` when the peer takes
  /// no more, or not as much.
  [[nodiscard]] result<correlation_id> open(connection_id over, const bounds& there,
                                            std::size_t body_bytes);
  /// Nobody waits for its answer any more. False if nobody did.
  bool give_up(correlation_id id);
  /// Its answer is in: the place is free. True if somebody waits for it.
  bool close(correlation_id id);
  /// The connection over which it was asked.
  [[nodiscard]] std::optional<connection_id> asked_over(correlation_id id) const;

  // -- peers ask ----------------------------------------------------------------------

  /// A request of a peer, for a handler, who holds what this returns for as long as the request. Null when there
  /// is no memory for it: handlers hold `node_received_bytes_max` of all peers' together, or as much of this
  /// one's as it may have open. What was called off counts until it is let go, so a peer that gives up and
  /// asks again fills no handler's mailbox.
  [[nodiscard]] std::shared_ptr<request_place> serve(connection_id from, const request& what,
                                                     handler_id by, const limits& most);
  /// Its handler has answered. The one that had it.
  std::optional<handler_id> answered(connection_id from, correlation_id id);
  /// Nobody waits for the answer any more. The handler that has it.
  std::optional<handler_id> called_off(connection_id from, correlation_id id);

  // -- the end --------------------------------------------------------------------------

  struct dropped {
    std::vector<correlation_id> awaited; ///< Asked over it, with somebody who waits.
    std::vector<std::pair<correlation_id, handler_id>> served; ///< Asked by the peer.
  };
  /// The connection is over.
  [[nodiscard]] dropped drop(connection_id over);

  /// Open requests over one connection: asked by us, and by the peer.
  [[nodiscard]] std::size_t asked_count(connection_id over) const;
  [[nodiscard]] std::size_t served_count(connection_id from) const;

private:
  struct asked {
    connection_id over = 0;
    std::size_t frame_bytes = 0;
    bool awaited = true;
  };
  struct service {
    handler_id by = 0;
    std::weak_ptr<request_place> place;
  };
  struct traffic {
    std::set<correlation_id> asked;
    std::uint64_t asked_bytes = 0;
    std::map<correlation_id, service> served;
    std::shared_ptr<requests_held> held; // by handlers, of the peer's; made with the first
  };

  [[nodiscard]] std::optional<service> take(connection_id from, correlation_id id);
  void forget_if_quiet(connection_id over);

  std::shared_ptr<requests_held> held_ = std::make_shared<requests_held>();
  correlation_id last_id_ = 0;
  std::unordered_map<correlation_id, asked> asked_;
  std::unordered_map<connection_id, traffic> connections_; // those with anything open
};

} // namespace postbus::bus
