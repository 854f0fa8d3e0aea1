#include "postbus/bus/request_table.hpp"

#include "postbus/bus/request_frames.hpp"
#include "postbus/codecs/frame.hpp"

#include <string>

namespace postbus::bus {

// -- we ask -------------------------------------------------------------------------------

result<correlation_id> request_table::open(connection_id over, const bounds& there,
                                           std::size_t body_bytes) {
  const auto frame_bytes = codecs::frame_header_bytes + request_prefix_bytes + body_bytes;
  if (request_prefix_bytes + body_bytes > there.frame_bytes_max)
    return error{errc::too_large, blame::local,
                 "a request of " + std::to_string(body_bytes) + " bytes"};
  auto& with = connections_[over];
  if (with.asked.size() >= there.count_max || with.asked_bytes >= there.bytes_max) {
    forget_if_quiet(over);
    return error{errc::congested, blame::remote, "the peer takes no more requests for now"};
  }
  do
    ++last_id_;
  while (asked_.contains(last_id_));
  asked_.emplace(last_id_, asked{over, frame_bytes, true});
  with.asked.insert(last_id_);
  with.asked_bytes += frame_bytes;
  return last_id_;
}

bool request_table::give_up(correlation_id id) {
  const auto found = asked_.find(id);
  return found != asked_.end() && std::exchange(found->second.awaited, false);
}

bool request_table::close(correlation_id id) {
  const auto found = asked_.find(id);
  if (found == asked_.end())
    return false;
  const auto was = found->second;
  asked_.erase(found);
  auto& with = connections_[was.over];
  with.asked.erase(id);
  with.asked_bytes -= was.frame_bytes;
  forget_if_quiet(was.over);
  return was.awaited;
}

std::optional<connection_id> request_table::asked_over(correlation_id id) const {
  const auto found = asked_.find(id);
  return found == asked_.end() ? std::nullopt : std::optional(found->second.over);
}

// -- peers ask ----------------------------------------------------------------------------

std::shared_ptr<request_place> request_table::serve(connection_id from, const request& what,
                                                    handler_id by, const limits& most) {
  const auto bytes = what.body.size() + request_place::own_bytes;
  const auto held = held_->bytes.load();
  if (held > 0 && held + bytes > most.node_received_bytes_max)
    return nullptr;
  auto& with = connections_[from];
  if (!with.held)
    with.held = std::make_shared<requests_held>();
  if (with.held->count >= most.requests_in_flight_max
      || with.held->bytes >= most.request_bytes_in_flight_max)
    return nullptr;
  const auto frame_bytes = codecs::frame_header_bytes + request_prefix_bytes + what.body.size();
  auto place = std::make_shared<request_place>(with.held, frame_bytes, held_, what.body.size());
  with.served[what.id] = {by, place};
  return place;
}

std::optional<request_table::service> request_table::take(connection_id from, correlation_id id) {
  const auto with = connections_.find(from);
  if (with == connections_.end())
    return std::nullopt;
  const auto found = with->second.served.find(id);
  if (found == with->second.served.end())
    return std::nullopt;
  auto taken = std::move(found->second);
  with->second.served.erase(found);
  forget_if_quiet(from);
  return taken;
}

std::optional<handler_id> request_table::answered(connection_id from, correlation_id id) {
  const auto taken = take(from, id);
  if (!taken)
    return std::nullopt;
  if (const auto place = taken->place.lock())
    place->answered();
  return taken->by;
}

std::optional<handler_id> request_table::called_off(connection_id from, correlation_id id) {
  const auto taken = take(from, id);
  return taken ? std::optional(taken->by) : std::nullopt;
}

// -- the end ------------------------------------------------------------------------------

request_table::dropped request_table::drop(connection_id over) {
  dropped out;
  const auto with = connections_.find(over);
  if (with == connections_.end())
    return out;
  for (const auto id : with->second.asked) {
    const auto found = asked_.find(id);
    if (found->second.awaited)
      out.awaited.push_back(id);
    asked_.erase(found);
  }
  for (const auto& [id, each] : with->second.served)
    out.served.emplace_back(id, each.by);
  connections_.erase(with);
  return out;
}

void request_table::forget_if_quiet(connection_id over) {
  const auto found = connections_.find(over);
  if (found == connections_.end())
    return;
  const auto& with = found->second;
  if (with.asked.empty() && with.served.empty() && (!with.held || with.held->count == 0))
    connections_.erase(found);
}

std::size_t request_table::asked_count(connection_id over) const {
  const auto found = connections_.find(over);
  return found == connections_.end() ? 0 : found->second.asked.size();
}

std::size_t request_table::served_count(connection_id from) const {
  const auto found = connections_.find(from);
  return found == connections_.end() ? 0 : found->second.served.size();
}

} // namespace postbus::bus
