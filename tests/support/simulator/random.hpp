// random: where all chance in a simulation comes from. One seed means the same on every machine, so
// no distribution of the standard library is used. Not for secrets.
#pragma once

#include "postbus/bus/time.hpp"

#include <cstddef>
#include <cstdint>

namespace postbus::testing {

class random {
public:
  explicit random(std::uint64_t seed) noexcept : state_(seed) {}

  /// The next of 2^64 numbers (SplitMix64).
  std::uint64_t next() noexcept {
    auto mixed = state_ += 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    return mixed ^ mixed >> 31;
  }
  /// One of 0 … `count` - 1; 0 when there is none.
  std::uint64_t below(std::uint64_t count) noexcept { return count == 0 ? 0 : next() % count; }
  /// One of `least` … `most`.
  std::uint64_t between(std::uint64_t least, std::uint64_t most) noexcept {
    return least + below(most - least + 1);
  }
  /// The same with times, to the microsecond.
  duration between(duration least, duration most) noexcept {
    using std::chrono::microseconds;
    const auto span = std::chrono::duration_cast<microseconds>(most - least).count();
    return least + microseconds(below(static_cast<std::uint64_t>(span) + 1));
  }
  /// True `times` out of `of`.
  bool chance(std::uint64_t times, std::uint64_t of) noexcept { return below(of) < times; }
  /// One of the elements, each as likely.
  template <class T, std::size_t N>
  const T& pick(const T (&from)[N]) noexcept {
    return from[below(N)];
  }

private:
  std::uint64_t state_;
};

} // namespace postbus::testing
