// keeper: peers that shall stay connected. Says when to dial whom again, with a wait that doubles and is
// drawn at random, so that those who lost one peer together do not come back together.
// Decides only: dials nothing, reads no clock, draws from the seed it was given.
// Drive: keep(); tell it up, down and dialed; then drain next(); call tick(now) at deadline().
//
//   dialing ──a peer──► connected ──it is gone──► waiting ──the wait is over──► dialing
//      └────────────an error────────────────────────┘        (it may connect by itself meanwhile)
#pragma once

#include "postbus/bus/endpoint.hpp"
#include "postbus/bus/events.hpp"
#include "postbus/bus/fifo.hpp"
#include "postbus/bus/limits.hpp"

#include <map>
#include <optional>
#include <variant>

namespace postbus {

/// A peer that shall stay connected: at once, again when its connection is lost, and also when nothing
/// is exchanged. Until `stop_keeping`, the end of the node, or an error that no time heals:
/// `self_connection`.
struct keep_connected {
  std::string endpoint; ///< Who listens there is kept; with an id in it, only that node.
  duration within = std::chrono::seconds(10); ///< For each try, as in `connect`.
  /// Framed bytes of messages that may be sent while a connection to the peer is missing: they wait for the
  /// next one, behind those that the last one left unsent. 0 holds none. Begins with its first connection.
  std::size_t hold_bytes_max = 0;
  std::uint64_t hold_messages_max = std::uint64_t{1} << 17; ///< The same in messages.
};

namespace bus {

class keeper {
public:
  /// Names a kept endpoint within its node; never used twice, never 0.
  using keep_id = std::uint64_t;

  // -- what to do ---------------------------------------------------------------------

  /// Dial; then `dialed`.
  struct dial {
    keep_id keep = 0;
    std::string endpoint;
    duration within{};
  };
  /// Tell subscribers.
  struct tell {
    keep_state what;
  };
  /// The connection to `peer` is not closed when idle; or is again, as every other.
  struct stay {
    node_id peer;
    bool yes = true;
  };
  /// What is sent to `peer`, which is connected, is held when its connection ends.
  struct hold {
    node_id peer;
    std::size_t bytes_max = 0;
    std::uint64_t messages_max = 0;
  };
  /// Nothing is held for `peer` any more: what is goes back to whoever sent it.
  struct release {
    node_id peer;
  };
  using action = std::variant<dial, tell, stay, hold, release>;

  explicit keeper(std::uint64_t seed) noexcept : random_(seed) {}

  // -- what is wanted -----------------------------------------------------------------

  /// Dials at the next tick, which is due at once. `bad_option` when the endpoint is kept already, or
  /// the time for a try is none; `bad_endpoint`.
  [[nodiscard]] result<void> keep(keep_connected what);
  /// Keeps it no more; a connection stays. False if it was not kept.
  bool stop(const std::string& text);
  /// The node closes: nothing is kept, and nothing is said about it.
  void stop_all();

  // -- what happened ------------------------------------------------------------------

  /// A dial has its answer: who is connected now, or why nobody is.
  void dialed(keep_id keep, const result<node_id>& peer);
  /// A connection to `peer` is open, whoever dialed it; or is over.
  void up(const node_id& peer);
  void down(const node_id& peer, const error& reason);

  // -- time ---------------------------------------------------------------------------

  void tick(time_point now, const limits& bounds);
  [[nodiscard]] time_point deadline() const noexcept { return deadline_; }

  [[nodiscard]] std::optional<action> next() { return actions_.take_front(); }

  // -- state --------------------------------------------------------------------------

  [[nodiscard]] bool keeps(const node_id& peer) const;
  /// What is sent to `peer` is to be held while it is not connected.
  [[nodiscard]] bool holds(const node_id& peer) const;
  [[nodiscard]] std::size_t size() const noexcept { return kept_.size(); }

private:
  // Long ago: the tick, which tells the time, is due.
  static constexpr time_point at_once{};

  enum class standing : std::uint8_t {
    due,       ///< To be dialed at `when`. Left then, or when the peer connects by itself.
    dialing,   ///< A dial is under way. Left by `dialed`, or when the peer connects by itself.
    connected, ///< Left by `down`.
    lost,      ///< A dial or the connection failed; the next tick decides on the wait.
  };
  struct entry {
    keep_connected how;
    node_id expected; ///< From the endpoint.
    node_id peer;     ///< Who is, or was last, connected.
    standing at = standing::due;
    bool was_connected = false;      ///< Before it was lost; else a dial failed.
    std::optional<keep_status> said; ///< The last that was told.
    error reason;                    ///< Why it was lost.
    duration wait{};                 ///< The last, before it was shortened by chance.
    time_point when = at_once;
    time_point since = never; ///< Connected; `never` until the tick that follows.
  };

  void connect(entry& of, const node_id& peer);
  void lose(entry& of, const error& reason, bool was_connected);
  void plan(entry& of, time_point now, const limits& bounds);
  void leave(entry& of);
  void plan_deadline() noexcept;
  [[nodiscard]] duration shortened(duration wait, std::uint32_t percent) noexcept;

  std::map<keep_id, entry> kept_;
  keep_id last_id_ = 0;
  std::uint64_t random_;
  time_point deadline_ = never;
  fifo<action> actions_;
};

/// An error that no time heals: dialing again would end the same.
[[nodiscard]] bool is_final(errc code, blame by) noexcept;
/// One that only people heal: dialed again, but rarely.
[[nodiscard]] bool is_lasting(errc code) noexcept;

} // namespace bus
} // namespace postbus
