// session_statistics: what a session counts, and what it says when it is asked. The rest of the class is
// in session.cpp, session_frames.cpp and session_wire.cpp.
#include "postbus/bus/session.hpp"

#include <algorithm>

namespace postbus::bus {

// Called once for each read and write, not for each message.
void session::count(const traffic& more, time_point now) noexcept {
  if (was_open_)
    rates_.add({static_cast<double>(more.bytes_sent), static_cast<double>(more.bytes_received),
                static_cast<double>(more.messages_sent),
                static_cast<double>(more.messages_received)},
               now, bounds_->statistics_half_life);
}

traffic session::counted() const noexcept {
  if (!was_open_)
    return {};
  return {static_cast<std::uint64_t>(std::max<std::int64_t>(wire_bytes_sent_, 0)),
          wire_bytes_received_, frames_sent_, frames_received_};
}

connection_statistics session::statistics(time_point now) const {
  connection_statistics out;
  out.peer = peer_.id;
  out.dialed = role_ == role::dialer;
  out.round_trip_time = round_trip_time_;
  if (!was_open_)
    return out;
  out.open_time = now - rates_.start();
  out.total = counted();
  const auto rates = rates_.per_second(now, bounds_->statistics_half_life);
  out.per_second = {rates[0], rates[1], rates[2], rates[3]};
  out.sent_idle_time = now - useful_sent_at_;
  out.received_idle_time = now - useful_received_at_;
  out.messages_confirmed = frames_confirmed_;
  out.requests_open = open_requests();
  return out;
}

} // namespace postbus::bus
