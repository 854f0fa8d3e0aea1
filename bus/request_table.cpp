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

bool request_table::serve(connection_id from, correlation_id id, handler_id by, std::size_t bytes,
                          const called_off_bounds& most) {
  const auto charge = bytes + overhead_bytes;
  if (served_bytes_ > 0 && served_bytes_ + charge > served_bytes_max_)
    return false;
  auto& with = connections_[from];
  // Who asks and gives up in turns has no more in the handler's hands than who waits.
  if (with.called_off > 0
      && (with.called_off >= most.count_max || with.called_off_bytes >= most.bytes_max))
    return false;
  served_bytes_ += charge;
  with.served[id] = {by, bytes};
  return true;
}

bool request_table::answered(connection_id from, correlation_id id) {
  const auto with = connections_.find(from);
  if (with == connections_.end())
    return false;
  const auto found = with->second.served.find(id);
  if (found == with->second.served.end())
    return false;
  served_bytes_ -= found->second.bytes + overhead_bytes;
  with->second.served.erase(found);
  forget_if_quiet(from);
  return true;
}

std::optional<request_table::called_off_request> request_table::called_off(connection_id from,
                                                                           correlation_id id) {
  const auto with = connections_.find(from);
  if (with == connections_.end())
    return std::nullopt;
  const auto found = with->second.served.find(id);
  if (found == with->second.served.end())
    return std::nullopt;
  const auto what = found->second;
  with->second.served.erase(found);
  ++with->second.called_off;
  with->second.called_off_bytes += what.bytes;
  return what;
}

void request_table::let_go(connection_id from, std::size_t bytes) {
  served_bytes_ -= bytes + overhead_bytes;
  const auto with = connections_.find(from);
  if (with == connections_.end())
    return; // it is over
  --with->second.called_off;
  with->second.called_off_bytes -= bytes;
  forget_if_quiet(from);
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
  out.served.assign(with->second.served.begin(), with->second.served.end());
  connections_.erase(with);
  return out;
}

void request_table::forget_if_quiet(connection_id over) {
  const auto found = connections_.find(over);
  if (found != connections_.end() && found->second.asked.empty() && found->second.served.empty()
      && found->second.called_off == 0)
    connections_.erase(found);
}

} // namespace postbus::bus
