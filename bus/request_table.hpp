// request_table: the open requests of a node, over all its connections: who asked which peer, what
// peers asked us, and how much of both there may be. Sends nothing, reads no clock.
// Drive: open before a request is sent, close when its answer is in; serve, then answered or called_off
// and let_go, for the peers' requests; drop when a connection ends.
#pragma once

#include "postbus/bus/peer_table.hpp"
#include "postbus/bus/request.hpp"

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

  /// `bytes_max`: of the peers' requests together, beyond which new ones are turned away.
  explicit request_table(std::size_t bytes_max) noexcept : served_bytes_max_(bytes_max) {}
  /// From now on.
  void bytes_max(std::size_t most) noexcept { served_bytes_max_ = most; }

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

  /// What a request in a program's hands is charged beside its bytes.
  static constexpr std::size_t overhead_bytes = 256;

  /// A request that was called off: who has it, and its bytes.
  struct called_off_request {
    handler_id by = 0;
    std::size_t bytes = 0;
  };

  /// What handlers may have of one connection that was called off.
  struct called_off_bounds {
    std::uint32_t count_max = 0;
    std::size_t bytes_max = 0;
  };

  /// A request of a peer, for a handler. False when there is no memory for it, or when handlers have too
  /// much of this connection already that was called off.
  [[nodiscard]] bool serve(connection_id from, correlation_id id, handler_id by, std::size_t bytes,
                           const called_off_bounds& most);
  /// It is answered. False if nobody has it.
  bool answered(connection_id from, correlation_id id);
  /// Nobody waits for its answer any more. Its bytes stay charged until it is let go.
  std::optional<called_off_request> called_off(connection_id from, correlation_id id);
  /// The handler has let go of one that was called off, or whose connection is over.
  void let_go(connection_id from, std::size_t bytes);

  // -- the end --------------------------------------------------------------------------

  struct dropped {
    std::vector<correlation_id> awaited; ///< Asked over it, with somebody who waits.
    std::vector<std::pair<correlation_id, called_off_request>> served; ///< Asked by the peer.
  };
  /// The connection is over.
  [[nodiscard]] dropped drop(connection_id over);

private:
  struct asked {
    connection_id over = 0;
    std::size_t frame_bytes = 0;
    bool awaited = true;
  };
  using service = called_off_request; // as it will be
  struct traffic {
    std::set<correlation_id> asked;
    std::uint64_t asked_bytes = 0;
    std::map<correlation_id, service> served;
    std::uint32_t called_off = 0; ///< And not let go of.
    std::size_t called_off_bytes = 0;
  };

  void forget_if_quiet(connection_id over);

  std::size_t served_bytes_max_;
  std::size_t served_bytes_ = 0;
  correlation_id last_id_ = 0;
  std::unordered_map<correlation_id, asked> asked_;
  std::unordered_map<connection_id, traffic> connections_; // those with anything open
};

} // namespace postbus::bus
