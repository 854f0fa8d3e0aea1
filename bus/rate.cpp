#include "postbus/bus/rate.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace postbus::bus {

namespace {

constexpr duration age_min = std::chrono::milliseconds(10);

double seconds(duration span) noexcept {
  return std::chrono::duration<double>(span).count();
}

} // namespace

double decay(duration age, duration half_life) noexcept {
  return std::exp2(-seconds(age) / seconds(half_life));
}

// The integral of the decay over the age. expm1, because for a young stream the two parts of the
// difference are nearly equal.
double weight_of_one_per_second(duration age, duration half_life) noexcept {
  const auto per_second = std::numbers::ln2 / seconds(half_life);
  return -std::expm1(-per_second * seconds(std::max(age, age_min))) / per_second;
}

} // namespace postbus::bus
