// kept_peers: what must come of the endpoints that a node keeps connected, worked out beside the code under
// test: how each stands, what subscribers must be told of it, and when it may and must be dialed.
// Drive: tell it what the node was asked for and what happened; it says what must be told.
#pragma once

#include "postbus/bus/keeper.hpp"
#include "postbus/tests/support/simulator/violation.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace postbus::testing {

class kept_peers {
public:
  /// Something that every subscriber to events must be told.
  struct change {
    keep_state state;        ///< With the longest wait for the next try.
    duration next_try_min{}; ///< The shortest.
  };

  // -- what was asked for -------------------------------------------------------------

  void keep(const postbus::keep_connected& what, const node_id& expected, time_point now);
  void stop(const std::string& endpoint);
  void stop_all() { all_.clear(); }
  [[nodiscard]] bool knows(const std::string& endpoint) const;

  // -- what happened ------------------------------------------------------------------

  /// The node dials: it must be time for that.
  void dials(bus::keeper::keep_id keep, const std::string& endpoint, time_point now,
             time_point resumed);
  /// What came of it; of one that is kept no more, or came by itself, nothing.
  void dialed(bus::keeper::keep_id keep, const result<node_id>& peer);
  void up(const node_id& peer);
  void down(const node_id& peer, errc reason);
  void ticked(time_point now, const limits& bounds);
  /// What must be told since last asked, in order.
  [[nodiscard]] std::vector<change> take_changes() { return std::exchange(changes_, {}); }

  // -- what holds ---------------------------------------------------------------------

  /// When all rests: nobody is forgotten. Throws a violation.
  void check_rest(time_point now, time_point resumed, const limits& bounds) const;
  /// A connection to it is not closed when idle.
  [[nodiscard]] bool keeps(const node_id& peer) const;
  /// What is sent to it while it is away is held.
  [[nodiscard]] bool holds(const node_id& peer) const;
  [[nodiscard]] bool is_connected(const node_id& peer) const;
  [[nodiscard]] std::size_t size() const noexcept { return all_.size(); }
  [[nodiscard]] const std::string& name(std::size_t index) const { return all_[index].endpoint; }

private:
  enum class standing : std::uint8_t { due, dialing, connected, lost };
  struct entry {
    std::string endpoint;
    bus::keeper::keep_id id = 0; ///< As the node calls it; known once it was dialed.
    postbus::keep_connected how;
    node_id expected;
    node_id peer; ///< Who is, or was last, there.
    standing at = standing::due;
    std::optional<keep_status> said;
    bool was_connected = false;
    errc why = errc::none;
    duration wait{};
    time_point earliest, latest; ///< To be dialed.
    time_point since = never;    ///< Connected; as a tick saw it.
    time_point dialed_at;
  };

  [[nodiscard]] entry* find(const std::string& endpoint);
  void connect(entry& of, const node_id& peer);
  void plan(entry& of, time_point now, const limits& bounds);

  std::vector<entry> all_; // in the order in which they were asked for
  std::vector<change> changes_;
};

} // namespace postbus::testing
