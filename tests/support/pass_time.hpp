// pass_time: turns the clock of one session on, with a tick at every deadline. Knows no other end.
#pragma once

#include "postbus/bus/session.hpp"

#include <algorithm>
#include <cstddef>

namespace postbus::test {

/// Moves `now` on by `time`; `drive` is called after each tick. False when a deadline stays in the past.
template <class Drive>
[[nodiscard]] bool pass_time(bus::session& session, time_point& now, duration time, Drive drive) {
  const auto until = now + time;
  for (std::size_t ticks = 0; session.deadline() <= until; ++ticks) {
    if (ticks == 10'000)
      return false;
    now = std::max(now, session.deadline());
    session.tick(now);
    drive();
  }
  now = until;
  return true;
}

} // namespace postbus::test
