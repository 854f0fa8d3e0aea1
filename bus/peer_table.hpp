// peer_table: of several connections between a pair of nodes, which one lives. Knows who is open,
// who is on the way, and who must wait; decides by the rules of docs/DESIGN.md, "One connection per pair".
// Drive: tell it what happened to connections; then drain next(). Sends nothing, reads no clock.
#pragma once

#include "postbus/bus/fifo.hpp"
#include "postbus/bus/node_id.hpp"

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <variant>
#include <vector>

namespace postbus::bus {

/// Names a connection within its node; never used twice.
using connection_id = std::uint64_t;

class peer_table {
public:
  /// A connection whose peer has said who it is.
  struct candidate {
    connection_id connection = 0;
    node_id peer;
    std::uint64_t incarnation = 0;
    bool dialed = false; ///< By us; else by the peer.
  };

  // -- what to do ------------------------------------------------------------------

  /// Nothing stands against it so far: ask the application, then tell `agreed` or `gone`.
  struct ask {
    connection_id connection = 0;
  };
  /// Accept it on the wire. A dialed one is open with that.
  struct accept {
    connection_id connection = 0;
  };
  /// Refuse it: another connection lives.
  struct turn_away {
    connection_id connection = 0;
    errc reason = errc::already_connected;
  };
  /// Find out whether the peer of an open connection still answers; then `probed`.
  struct probe {
    connection_id connection = 0;
  };
  /// End an open connection at once, in favour of another; then `gone`.
  struct displace {
    connection_id connection = 0;
    errc reason = errc::peer_lost;
  };
  using action = std::variant<ask, accept, turn_away, probe, displace>;

  explicit peer_table(node_id self) noexcept : self_(self) {}

  // -- what happened -----------------------------------------------------------------

  /// A connection's hello passed all checks (and, when dialed, the peer's welcome is in).
  void arrived(const candidate& who);
  /// True while the application's answer is awaited.
  [[nodiscard]] bool is_asked(connection_id connection) const;
  /// The application takes it.
  void agreed(connection_id connection);
  /// Both sides have accepted. False when it must not live: then it was turned away.
  bool opened(connection_id connection);
  /// The peer answered a probe, or did not.
  void probed(connection_id connection, bool alive);
  /// The orderly end of an open connection has begun. It is no reason to refuse another any more:
  /// who comes now waits until it is gone.
  void leaving(connection_id connection);
  /// The connection is over, however far it came.
  void gone(connection_id connection);

  /// The oldest thing to do.
  [[nodiscard]] std::optional<action> next();

  // -- who is there ------------------------------------------------------------------

  /// The open connection to the node `id`.
  [[nodiscard]] std::optional<connection_id> find(const node_id& id) const;
  /// True while a connection to it is on the way that may still open.
  [[nodiscard]] bool pending(const node_id& id) const;
  /// Peers with an open connection.
  [[nodiscard]] std::size_t open_count() const noexcept { return open_count_; }

private:
  enum class standing : std::uint8_t {
    waiting, ///< Something stands against it; the application was not asked. Left when that is gone.
    asked,   ///< The application decides. Left by `agreed` or `gone`.
    blocked,  ///< Agreed, but the other side's dial goes first. Left when that is gone.
    accepted, ///< Accepted on the wire. Left by `opened` or `gone`.
  };
  struct entry {
    candidate who;
    standing state = standing::waiting;
  };
  struct peer {
    connection_id open = 0;        ///< 0: none.
    std::uint64_t incarnation = 0; ///< Of the open one.
    bool probing = false;
    bool leaving = false; ///< Its end is certain: by displacement, or in order.
    std::vector<entry> others;
  };

  void reconsider(peer& of);
  void reconsider_beside_open(peer& of);
  [[nodiscard]] static const entry* committed_beside(const peer& of, connection_id connection);
  [[nodiscard]] bool must_yield(const peer& of, const entry& which) const;
  [[nodiscard]] entry* find_entry(connection_id connection, peer*& of);

  node_id self_;
  std::unordered_map<node_id, peer> peers_;
  std::unordered_map<connection_id, node_id> owner_;
  std::size_t open_count_ = 0;
  fifo<action> actions_;
};

} // namespace postbus::bus
