// ledger: what a node counts over its whole life, and the questions for its statistics, which wait for
// its connections. Any number of questions may be open; a connection that ends holds none of them up.
// Drive: tell it what happened; collect(), report() what each connection says; then drain next().
#pragma once

#include "postbus/bus/fifo.hpp"
#include "postbus/bus/peer_table.hpp"
#include "postbus/bus/session.hpp"
#include "postbus/bus/statistics.hpp"

#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace postbus::bus {

/// Names a question for statistics within its node; never used twice.
using collection_id = std::uint64_t;

class ledger {
public:
  explicit ledger(std::size_t closed_connections_max) noexcept
    : closed_connections_max_(closed_connections_max) {}

  // -- what happened -----------------------------------------------------------------

  void opened() noexcept { ++opened_; }
  /// Messages came that nobody had subscribed to.
  void unclaimed(std::uint64_t messages) noexcept { count_drops(drop::unclaimed, {}, messages); }
  /// Accepted messages will not be sent, for this reason; beside those of the account of a connection.
  void unsent(std::uint64_t messages, const error& why) noexcept {
    count_drops(drop::unsent, {why.code, why.by}, messages);
  }
  /// Messages that the policies of slow subscriptions dropped.
  void too_slow(std::uint64_t messages) noexcept {
    count_drops(drop::too_slow, {errc::subscriber_too_slow, blame::local}, messages);
  }
  /// So many connections that are over are told of from now on.
  void closed_connections_max(std::size_t most);
  /// A connection is over. `was_linked`: it was told as connected.
  void ended(connection_id connection, const bus::ended& end, std::string address, bool dialed,
             bool was_linked);

  // -- questions ---------------------------------------------------------------------

  /// Begins one; every connection of `of` must be asked.
  collection_id collect(const std::vector<connection_id>& of, time_point now);
  /// What a connection answered. Whoever was not asked, or has ended, is passed over.
  void report(collection_id which, connection_id connection, connection_statistics what);

  struct ready {
    collection_id collection = 0;
    std::shared_ptr<node_statistics>
      what; ///< Its id and its pending handshakes are the node's to fill in.
  };
  /// The oldest question that waits for nobody any more.
  [[nodiscard]] std::optional<ready> next() { return ready_.take_front(); }

private:
  struct reason {
    errc code = errc::none;
    blame by = blame::local;
    friend auto operator<=>(const reason&, const reason&) = default;
  };
  struct over {
    closed_connection what;
    time_point at;
  };
  struct question {
    time_point asked_at;
    std::map<connection_id, std::optional<connection_statistics>> connections; // oldest first
    std::size_t missing = 0;
  };

  void count_drops(drop what, const reason& why, std::uint64_t messages) {
    if (messages > 0)
      drops_[{what, why}] += messages;
  }
  void finish(std::map<collection_id, question>::iterator which);

  std::size_t closed_connections_max_;
  traffic ended_total_;
  std::uint64_t opened_ = 0;
  std::map<reason, std::uint64_t> refusals_;
  std::map<reason, std::uint64_t> disconnects_;
  std::map<std::pair<drop, reason>, std::uint64_t> drops_;
  fifo<over> closed_;
  collection_id last_id_ = 0;
  std::map<collection_id, question> questions_;
  fifo<ready> ready_;
};

} // namespace postbus::bus
