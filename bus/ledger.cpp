#include "postbus/bus/ledger.hpp"

#include <algorithm>

namespace postbus::bus {

void ledger::ended(connection_id connection, const bus::ended& end, std::string address,
                   bool dialed, bool was_linked) {
  const reason why{end.reason.code, end.reason.by};
  ended_total_ += end.total;
  if (was_linked) {
    ++disconnects_[why];
    count_drops(drop::unsent, why, end.account.unsent);
    count_drops(drop::unconfirmed, why, end.account.unconfirmed());
    closed_.push_back({{.peer = end.peer,
                        .address = std::move(address),
                        .dialed = dialed,
                        .reason = end.reason,
                        .account = end.account,
                        .total = end.total,
                        .open_time = end.open_time},
                       end.at});
    closed_connections_max(closed_connections_max_);
  } else {
    ++refusals_[why];
  }
  // What it was is in the sums from here on; a question that has its answer already forgets that.
  for (auto at = questions_.begin(); at != questions_.end();) {
    const auto which = at++;
    auto& asked = which->second;
    const auto found = asked.connections.find(connection);
    if (found == asked.connections.end())
      continue;
    const auto was_missing = !found->second;
    asked.connections.erase(found);
    if (was_missing && --asked.missing == 0)
      finish(which);
  }
}

void ledger::closed_connections_max(std::size_t most) {
  closed_connections_max_ = most;
  while (closed_.size() > most)
    closed_.pop_front();
}

collection_id ledger::collect(const std::vector<connection_id>& of, time_point now) {
  const auto which = questions_.emplace(++last_id_, question{now, {}, of.size()}).first;
  for (const auto connection : of)
    which->second.connections.emplace(connection, std::nullopt);
  if (of.empty())
    finish(which);
  return last_id_;
}

void ledger::report(collection_id which, connection_id connection, connection_statistics what) {
  const auto found = questions_.find(which);
  if (found == questions_.end())
    return;
  auto& asked = found->second;
  const auto at = asked.connections.find(connection);
  if (at == asked.connections.end() || at->second)
    return;
  at->second = std::move(what);
  if (--asked.missing == 0)
    finish(found);
}

// Each connection is in the sums once: as it said itself while it is open, from its end on among the
// ended ones. So no total is ever less than an earlier one.
void ledger::finish(std::map<collection_id, question>::iterator which) {
  auto out = std::make_shared<node_statistics>();
  out->total = ended_total_;
  out->connections_opened = opened_;
  for (auto& [id, each] : which->second.connections) {
    out->total += each->total;
    out->per_second += each->per_second;
    out->connections.push_back(std::move(*each));
  }
  for (const auto& [why, count] : refusals_)
    out->refusals.push_back({why.code, why.by, count});
  for (const auto& [why, count] : disconnects_)
    out->disconnects.push_back({why.code, why.by, count});
  for (const auto& [what, messages] : drops_)
    out->drops.push_back({what.first, what.second.code, what.second.by, messages});
  out->closed.reserve(closed_.size());
  for (std::size_t index = 0; index < closed_.size(); ++index) {
    auto& last = out->closed.emplace_back(closed_[index].what);
    last.closed_time = std::max(which->second.asked_at - closed_[index].at, duration::zero());
  }
  ready_.push_back({which->first, std::move(out)});
  questions_.erase(which);
}

} // namespace postbus::bus
