// rate: how much per second, of several counts that move together, as an average in which what is a
// half-life old counts half. Does no more than add, mostly: it is told of every read and write.
// Drive: construct when counting begins; add(amounts, now); ask per_second(now) whenever.
#pragma once

#include "postbus/bus/time.hpp"

#include <array>
#include <cstddef>

namespace postbus::bus {

/// What is left of a weight of one after `age`: one half after each `half_life`, which is more than 0.
[[nodiscard]] double decay(duration age, duration half_life) noexcept;

/// The weight of a stream of one per second that began `age` ago. Who is younger than a hundredth of a
/// second is taken to be that old: one message at the very beginning makes no endless rate.
[[nodiscard]] double weight_of_one_per_second(duration age, duration half_life) noexcept;

/// Weighs every amount by its age, and divides by what a stream of one per second would weigh that
/// began when counting did. So the average of a steady stream is its true rate, from its first moment,
/// however its amounts are cut into calls; and what has stopped is half as much after each half-life.
template <std::size_t Count>
class half_life_average {
public:
  using amounts = std::array<double, Count>;

  explicit half_life_average(time_point start) noexcept : start_(start), at_(start) {}

  void add(const amounts& more, time_point now, duration half_life) noexcept {
    // Within so small a part of the half-life nothing decays that anybody could see: a thousandth.
    if (now - at_ > half_life / 1024)
      move_to(now, half_life);
    for (std::size_t index = 0; index < Count; ++index)
      sums_[index] += more[index];
  }

  [[nodiscard]] amounts per_second(time_point now, duration half_life) const noexcept {
    auto moved = *this;
    moved.move_to(now, half_life);
    const auto weight = weight_of_one_per_second(now - start_, half_life);
    for (auto& sum : moved.sums_)
      sum /= weight;
    return moved.sums_;
  }

  [[nodiscard]] time_point start() const noexcept { return start_; }

private:
  void move_to(time_point now, duration half_life) noexcept {
    if (now <= at_)
      return;
    const auto left = decay(now - at_, half_life);
    for (auto& sum : sums_)
      sum *= left;
    at_ = now;
  }

  amounts sums_{};
  time_point start_;
  time_point at_; // the sums are as of then
};

} // namespace postbus::bus
