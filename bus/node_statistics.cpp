// node_statistics: the part of the node's core that asks its connections what they have done, and hands
// on what the ledger makes of it. The rest of the class is in node.cpp.
#include "postbus/bus/node.hpp"

#include <algorithm>

namespace postbus::bus {

result<collection_id> node::collect(time_point now) {
  if (finished_)
    return error{errc::node_closed, blame::local, {}};
  std::vector<connection_id> open;
  for (const auto& [id, at] : connections_)
    if (at.linked)
      open.push_back(id);
  const auto which = ledger_.collect(open, now);
  for (const auto id : open)
    outputs_.push_back(report_connection{id, which});
  return which;
}

void node::report(connection_id id, collection_id which, connection_statistics what) {
  if (const auto* at = find(id))
    what.address = at->address;
  ledger_.report(which, id, std::move(what));
}

void node::settle_ledger() {
  while (auto ready = ledger_.next()) {
    ready->what->id = options_.id;
    ready->what->pending_handshakes = static_cast<std::uint64_t>(
      std::count_if(connections_.begin(), connections_.end(),
                    [](const auto& each) { return each.second.pending; }));
    outputs_.push_back(statistics_ready{ready->collection, std::move(ready->what)});
  }
}

} // namespace postbus::bus
