// time: the types in which time is told to the cores. Nobody in bus/ reads a clock.
#pragma once

#include <chrono>

namespace postbus {

/// A moment on the monotonic clock of whoever drives the core: real, or a simulator's.
using time_point = std::chrono::steady_clock::time_point;

/// A span of that clock.
using duration = std::chrono::steady_clock::duration;

/// "Never", as a deadline.
inline constexpr time_point never = time_point::max();

/// `span` after `now`; `never` when that is beyond all time, so that "for ever" may be asked for.
[[nodiscard]] constexpr time_point later(time_point now, duration span) noexcept {
  return span > never - now ? never : now + span;
}

} // namespace postbus
