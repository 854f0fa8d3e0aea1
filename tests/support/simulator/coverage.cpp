#include "postbus/tests/support/simulator/coverage.hpp"

#include <algorithm>
#include <iomanip>
#include <ostream>

namespace postbus::testing {

void coverage::count(std::string_view what, std::uint64_t times) {
  if (const auto found = counts_.find(what); found != counts_.end())
    found->second += times;
  else
    counts_.emplace(what, times);
}

void coverage::most(std::string_view what, std::uint64_t value) {
  auto& most = most_[std::string(what)];
  most = std::max(most, value);
}

void coverage::count_end(errc reason, bool was_open) {
  count((was_open ? "ended, open, " : "ended, opening, ") + std::string(to_string(reason)));
}

void coverage::add(const coverage& other) {
  for (const auto& [what, times] : other.counts_)
    count(what, times);
  for (const auto& [what, value] : other.most_)
    most(what, value);
}

std::uint64_t coverage::times(std::string_view what) const {
  const auto found = counts_.find(what);
  return found == counts_.end() ? 0 : found->second;
}

void coverage::print(std::ostream& out) const {
  for (const auto& [what, times] : counts_)
    out << std::setw(12) << times << "  " << what << '\n';
  for (const auto& [what, value] : most_)
    out << std::setw(12) << value << "  at most: " << what << '\n';
}

std::vector<std::string> coverage::missing() const {
  static constexpr std::string_view must_happen[] = {
    "answers too late",
    "answers with statistics",
    "batches told",
    "bytes to be changed",
    "connected",
    "connections cut",
    "connections ended by a program",
    "connections in statistics",
    "connections reset",
    "connections to a node that closes",
    "connections whose unsent messages come back",
    "dials",
    "dials answered with a peer",
    "dials answered with an error",
    "dials at the same time",
    "dials never heard",
    "dials of kept peers",
    "dials of kept peers that nobody answers",
    "dials reset",
    "dials to nobody",
    "directions fallen silent",
    "disconnected",
    "ended, open, closed",
    "ended, open, connection_cut",
    "ended, open, connection_reset",
    "ended, open, frame_too_large",
    "ended, open, handshake_lost",
    "ended, open, idle",
    "ended, open, malformed_frame",
    "ended, open, peer_lost",
    "ended, open, peer_restarted",
    "ended, open, peer_too_slow",
    "ended, open, unknown_flag",
    "ended, open, unknown_kind",
    "ended, opening, already_connected",
    "ended, opening, closed",
    "ended, opening, connection_cut",
    "ended, opening, connection_reset",
    "ended, opening, handshake_timeout",
    "ended, opening, id_in_use",
    "ended, opening, malformed_frame",
    "ended, opening, not_postbus",
    "ended, opening, rejected",
    "ended, opening, self_connection",
    "ended, opening, too_many_connections",
    "ended, opening, too_many_handshakes",
    "ended, opening, wrong_node",
    "gaps told",
    "init messages changed",
    "init messages that are too long",
    "keep_state connected",
    "keep_state ended",
    "keep_state reconnecting",
    "listeners started again",
    "listeners stopped",
    "messages a hold had no room for",
    "messages accepted",
    "messages confirmed",
    "messages delivered",
    "messages dropped by a policy",
    "messages given back",
    "messages held for a connection that was over at once",
    "messages held over a gap, and sent",
    "messages held, and given back",
    "messages left behind by who unsubscribed",
    "messages lost on the way",
    "messages lost with their node",
    "messages never sent",
    "messages sent",
    "messages sent into a gap",
    "messages that no filter takes",
    "messages to itself",
    "messages to itself unclaimed",
    "messages told",
    "messages unclaimed",
    "messages unsent, and held",
    "nodes closed",
    "nodes killed",
    "nodes lost",
    "nodes started",
    "nodes started again",
    "nodes stopped for a while",
    "peers accepted",
    "peers kept",
    "peers kept already",
    "peers kept no more",
    "peers looked at",
    "peers rejected",
    "probes",
    "programs stuck",
    "replies",
    "replies: no",
    "replies: no_handler",
    "replies: not_connected",
    "replies: timeout",
    "requests",
    "requests answered",
    "requests called off",
    "requests canceled",
    "requests handed over",
    "requests refused: congested",
    "requests refused: not_connected",
    "requests refused: too_large",
    "runs",
    "runs that fall quiet",
    "sends accepted",
    "sends closed",
    "sends congested",
    "sends too_large",
    "settings changed",
    "subscriptions",
    "subscriptions cut off",
    "subscriptions ended",
    "subscriptions ended with something waiting",
    "subscriptions that block",
    "subscriptions that disconnect",
    "subscriptions that drop_newest",
    "subscriptions that drop_oldest",
    "subscriptions with a filter",
  };
  static constexpr std::string_view must_be_measured[] = {"bytes held by a node"};
  std::vector<std::string> out;
  for (const auto what : must_happen)
    if (times(what) == 0)
      out.emplace_back(what);
  for (const auto what : must_be_measured)
    if (const auto found = most_.find(what); found == most_.end() || found->second == 0)
      out.emplace_back(what);
  return out;
}

} // namespace postbus::testing
