// node: what programs change while it runs, and the end of one connection that they ask for. The rest
// of the class is in node.cpp.
#include "postbus/bus/node.hpp"

namespace postbus::bus {

result<void> node::init_message(payload init) {
  if (init.size() > init_bytes_max)
    return error{errc::bad_option, blame::local, "an init message above 8 KiB"};
  options_.init = std::move(init);
  return {};
}

result<void> node::bounds(const limits& changed) {
  if (auto checked = changed.check(); !checked)
    return checked;
  if (changed.batches_in_flight_max != options_.bounds->batches_in_flight_max)
    return error{errc::bad_option, blame::local, "batches_in_flight_max is for the life of a node"};
  options_.bounds = std::make_shared<const limits>(changed);
  ledger_.closed_connections_max(changed.closed_connections_max);
  subscriptions_.bounds(changed);
  requests_.bytes_max(changed.node_received_bytes_max);
  share_memory();
  return {};
}

result<connection_id> node::disconnect(const node_id& peer, std::string words, duration drain) {
  const auto open = peers_.find(peer);
  if (!open)
    return error{errc::not_connected, blame::local, {}};
  peers_.leaving(*open);
  outputs_.push_back(
    close_connection{*open, {errc::closed, blame::local, std::move(words)}, drain});
  settle_peers();
  return *open;
}

} // namespace postbus::bus
