// half_life_average: the true rate of a steady stream, however it is cut into updates and from its first
// moment; half of it after each half-life without.
#include "postbus/bus/rate.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <utility>

using namespace postbus;
using namespace postbus::bus;
using namespace std::chrono_literals;

namespace {

constexpr time_point start{1h};

double seconds(duration span) {
  return std::chrono::duration<double>(span).count();
}

/// A steady stream of `rate` a second in updates of `piece`, for `span`; what is due at the end is in.
half_life_average<1> stream(double rate, double piece, duration span, duration half_life) {
  half_life_average<1> average(start);
  const auto period = piece / rate;
  for (std::uint64_t number = 1; static_cast<double>(number) * period <= seconds(span); ++number) {
    const std::chrono::duration<double> at(static_cast<double>(number) * period);
    average.add({piece}, start + std::chrono::duration_cast<duration>(at), half_life);
  }
  return average;
}

} // namespace

TEST_CASE("the average of a steady stream is its rate, whatever the updates are") {
  struct row {
    const char* name;
    double rate;  // a second
    double piece; // an update
    duration half_life;
  };
  constexpr row rows[] = {
    {"one byte at a time", 1000, 1, 60s},
    {"a message a second", 64, 64, 60s},
    {"full reads", 1e9, 65536, 1s},
    {"large writes", 1e8, 1 << 20, 60s},
    {"thirty in a half-life", 1000, 2000, 60s},
    {"slow and small", 0.5, 1, 60s},
    {"odd sizes", 12345.678, 997, 10s},
    {"a short half-life", 1000, 10, 1s},
    {"a long half-life", 1000, 1000, 1h},
  };
  for (const auto& each : rows) {
    CAPTURE(each.name);
    // A piece is counted when it comes, so between two the average moves by the part of the
    // half-life that a period is.
    const auto period = each.piece / each.rate;
    const auto tolerance = 0.001 + 0.7 * period / seconds(each.half_life);
    for (const auto part : {0.1, 0.5, 1.0, 3.0, 8.0}) {
      const auto span = std::chrono::duration_cast<duration>(each.half_life * part);
      if (seconds(span) < 10 * period || seconds(span) / period > 2e6)
        continue;
      CAPTURE(part);
      const auto average = stream(each.rate, each.piece, span, each.half_life);
      // At the beginning one piece more or less is the tenth part of all.
      const auto first = period / seconds(span);
      CHECK(average.per_second(start + span, each.half_life)[0]
            == doctest::Approx(each.rate).epsilon(tolerance + first));
    }
  }
}

TEST_CASE("one stream cut in two ways has one average") {
  std::mt19937_64 random(7);
  constexpr duration half_life = 10s;
  half_life_average<1> even(start), uneven(start), bursts(start);
  double waiting = 0, saved = 0;
  for (int millisecond = 1; millisecond <= 60'000; ++millisecond) {
    const auto now = start + std::chrono::milliseconds(millisecond);
    even.add({5}, now, half_life);
    waiting += 5;
    if (random() % 20 == 0)
      uneven.add({std::exchange(waiting, 0.0)}, now, half_life);
    saved += 5;
    if (millisecond % 250 == 0)
      for (int part = 0; part < 50; ++part)
        bursts.add({saved / 50}, now, half_life);
    if (millisecond % 250 == 0)
      saved = 0;
  }
  const auto now = start + 60s;
  CHECK(even.per_second(now, half_life)[0] == doctest::Approx(5000).epsilon(0.001));
  CHECK(uneven.per_second(now, half_life)[0] == doctest::Approx(5000).epsilon(0.005));
  CHECK(bursts.per_second(now, half_life)[0] == doctest::Approx(5000).epsilon(0.01));
}

TEST_CASE("what has stopped is half after each half-life") {
  constexpr duration half_life = 60s;
  const auto average = stream(1000, 100, 20 * half_life, half_life);
  const auto stopped = start + 20 * half_life;
  const auto full = average.per_second(stopped, half_life)[0];
  CHECK(full == doctest::Approx(1000).epsilon(0.01));
  for (int lives = 1; lives <= 6; ++lives)
    CHECK(average.per_second(stopped + lives * half_life, half_life)[0]
          == doctest::Approx(full / std::exp2(lives)).epsilon(0.001));
  CHECK(average.per_second(stopped + 200 * half_life, half_life)[0] < 1e-6);
}

TEST_CASE("a new rate is halfway there after one half-life") {
  constexpr duration half_life = 10s;
  auto average = stream(100, 1, 20 * half_life, half_life);
  auto now = start + 20 * half_life;
  for (int tenth = 0; tenth < 100; ++tenth)
    average.add({90}, now += 100ms, half_life); // 900 a second
  CHECK(average.per_second(now, half_life)[0] == doctest::Approx(500).epsilon(0.01));
}

TEST_CASE("a young stream has its true rate, and one amount at the very beginning no endless one") {
  constexpr duration half_life = 60s;
  for (const auto span : {20ms, 100ms, 1000ms, 10'000ms}) {
    CAPTURE(span.count());
    const auto average = stream(10'000, 1, span, half_life);
    CHECK(average.per_second(start + span, half_life)[0] == doctest::Approx(10'000).epsilon(0.01));
  }
  half_life_average<1> single(start);
  single.add({1000}, start, half_life);
  CHECK(single.per_second(start, half_life)[0] == doctest::Approx(100'000).epsilon(0.01));
  CHECK(half_life_average<1>(start).per_second(start, half_life)[0] == 0);
}

TEST_CASE("counts that move together are kept apart, and a clock that stands still harms nothing") {
  constexpr duration half_life = 1s;
  half_life_average<2> average(start);
  for (int second = 1; second <= 60; ++second)
    for (int part = 0; part < 1000; ++part)
      average.add({3, 1}, start + std::chrono::seconds(second - 1) + part * 1ms, half_life);
  const auto rates = average.per_second(start + 60s, half_life);
  CHECK(rates[0] == doctest::Approx(3000).epsilon(0.01));
  CHECK(rates[1] == doctest::Approx(1000).epsilon(0.01));
  CHECK(average.per_second(start + 59s, half_life)[0] > 0); // earlier than the last: not less
  CHECK(average.start() == start);
}
