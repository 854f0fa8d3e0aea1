// wheel: deadlines come out in the tick they are due in, whatever is done to them before.
// POSTBUS_TEST_SEED=<seed> replays a random run.
#include "postbus/bus/wheel.hpp"
#include "postbus/tests/support/wheel_model.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>
#include <random>
#include <set>

using namespace postbus;
using bus::wheel;
using namespace std::chrono_literals;

namespace {

const time_point start = time_point(1234567890123ns);

std::uint64_t seed_of_run() {
  if (const char* given = std::getenv("POSTBUS_TEST_SEED"))
    return std::strtoull(given, nullptr, 10);
  return std::random_device{}();
}

} // namespace

TEST_CASE("an empty wheel has no deadline and gives nothing") {
  wheel w(start);
  CHECK(w.deadline() == never);
  CHECK(w.size() == 0);
  CHECK(!w.pop_due(start));
  CHECK(!w.pop_due(start + 24h));
  w.disarm(7);
  CHECK(w.size() == 0);
}

TEST_CASE("a key comes out once, when its deadline has come and not before") {
  wheel w(start);
  w.arm(7, start + 10ms);
  CHECK(w.size() == 1);
  CHECK(w.deadline() == start + 10ms);
  CHECK(!w.pop_due(start + 10ms - 1ns));
  CHECK(w.pop_due(start + 10ms) == wheel::key{7});
  CHECK(!w.pop_due(start + 10ms));
  CHECK(w.size() == 0);
  CHECK(w.deadline() == never);
}

TEST_CASE("a deadline inside a tick is rounded up") {
  wheel w(start);
  w.arm(1, start + 10ms + 1ns);
  CHECK(w.deadline() == start + 11ms);
  CHECK(!w.pop_due(start + 11ms - 1ns));
  CHECK(w.pop_due(start + 11ms) == wheel::key{1});
}

TEST_CASE("a deadline in the past is due at once") {
  wheel w(start);
  w.arm(1, start - 5s);
  CHECK(w.deadline() == start);
  CHECK(w.pop_due(start) == wheel::key{1});
  CHECK(!w.pop_due(start + 10s));
  w.arm(2, start + 3s);
  CHECK(w.deadline() <= start + 10s);
  CHECK(w.pop_due(start + 10s) == wheel::key{2});
}

TEST_CASE("nothing comes out while time stands before the start or goes back") {
  wheel w(start);
  w.arm(1, start - 1ms);
  CHECK(!w.pop_due(start - 1s));
  CHECK(w.pop_due(start) == wheel::key{1});
  CHECK(!w.pop_due(start + 1s));
  w.arm(2, start + 900ms);
  CHECK(!w.pop_due(start + 500ms));
  CHECK(w.pop_due(start + 1s) == wheel::key{2});
}

TEST_CASE("arming again moves a deadline in both directions, and never takes it away") {
  wheel w(start);
  w.arm(1, start + 100ms);
  w.arm(1, start + 5min);
  CHECK(w.size() == 1);
  CHECK(!w.pop_due(start + 200ms));
  w.arm(1, start + 300ms);
  CHECK(!w.pop_due(start + 299ms));
  CHECK(w.pop_due(start + 300ms) == wheel::key{1});
  w.arm(1, start + 400ms);
  w.arm(1, never);
  CHECK(w.size() == 0);
  CHECK(w.deadline() == never);
  CHECK(!w.pop_due(start + 24h));
}

TEST_CASE("keys of equal deadlines all come out, and those of the next tick not with them") {
  wheel w(start);
  for (wheel::key k = 0; k < 500; ++k)
    w.arm(k, start + 70s + (k % 2) * 1ms);
  std::set<wheel::key> seen;
  while (w.deadline() < start + 70s)
    CHECK(!w.pop_due(w.deadline()));
  while (const auto k = w.pop_due(start + 70s))
    CHECK(seen.insert(*k).second);
  CHECK(seen.size() == 250);
  CHECK(*seen.rbegin() == 498);
  CHECK(w.deadline() == start + 70s + 1ms);
  while (const auto k = w.pop_due(start + 70s + 1ms))
    CHECK(seen.insert(*k).second);
  CHECK(seen.size() == 500);
}

TEST_CASE("due keys come out in the order of their ticks after any jump of time") {
  wheel w(start);
  std::mt19937_64 random(1);
  std::multiset<time_point> deadlines;
  std::vector<time_point> of_key;
  for (wheel::key k = 0; k < 2000; ++k) {
    of_key.push_back(start + (random() >> (24 + random() % 30)) * 1ms);
    w.arm(k, of_key.back());
  }
  time_point last = start;
  while (const auto k = w.pop_due(start + 24h * 36500)) {
    CHECK(of_key[*k] >= last);
    last = of_key[*k];
  }
  CHECK(w.size() == 0);
}

TEST_CASE("the last moments of the clock have their place") {
  for (const auto from : {start, time_point(0ns), time_point::min(), time_point(-5ns)}) {
    wheel w(from);
    w.arm(1, never - 1ns);
    w.arm(2, never - 10ms);
    CHECK(w.size() == 2);
    CHECK(w.deadline() <= never - 1ns);
    CHECK(!w.pop_due(never - 1s));
    CHECK(w.pop_due(never - 2ms) == wheel::key{2});
    CHECK(!w.pop_due(never - 2ms));
    CHECK(w.deadline() < never);
  }
}

TEST_CASE("driven at its deadlines, every key comes out in the tick of its deadline") {
  for (const auto spread : {100ms, 5000ms, 300000ms, 40000000ms}) {
    CAPTURE(spread.count());
    std::mt19937_64 random(42);
    wheel w(start);
    std::vector<time_point> of_key;
    for (wheel::key k = 0; k < 1000; ++k) {
      of_key.push_back(start
                       + duration(random() % static_cast<std::uint64_t>(duration(spread).count())));
      w.arm(k, of_key.back());
    }
    std::size_t came = 0;
    std::size_t turns = 0;
    while (w.deadline() != never) {
      const auto now = w.deadline();
      ++turns;
      while (const auto k = w.pop_due(now)) {
        ++came;
        CHECK(now >= of_key[*k]);
        CHECK(now - of_key[*k] < wheel::tick);
      }
    }
    CHECK(came == 1000);
    CHECK(turns <= 1000 * 8); // a key moves down one level a turn, at most
  }
}

TEST_CASE("a long wait takes few turns") {
  wheel w(start);
  w.arm(1, start + 24h * 365);
  std::size_t turns = 0;
  for (; w.deadline() != never; ++turns)
    static_cast<void>(w.pop_due(w.deadline()));
  CHECK(turns <= 8);
}

TEST_CASE("tens of thousands of connections put their deadlines off again and again") {
  constexpr wheel::key keys = 50000;
  wheel w(start);
  time_point now = start;
  for (wheel::key k = 0; k < keys; ++k)
    w.arm(k * 0x1'0000'0001, now + 15s);
  for (int round = 0; round < 10; ++round) {
    now += 7s;
    CHECK(!w.pop_due(now));
    for (wheel::key k = 0; k < keys; ++k)
      w.arm(k * 0x1'0000'0001, now + 15s + (k % 1000) * 1ms);
    CHECK(w.size() == keys);
  }
  std::size_t came = 0;
  while (w.pop_due(now + 15s + 499ms))
    ++came;
  CHECK(came == keys / 2);
  for (wheel::key k = 0; k < keys; ++k)
    w.disarm(k * 0x1'0000'0001);
  CHECK(w.size() == 0);
  CHECK(w.deadline() == never);
}

TEST_CASE("after any operations a wheel agrees with a sorted map of deadlines") {
  const auto seed = seed_of_run();
  MESSAGE("POSTBUS_TEST_SEED=" << seed);
  for (std::uint64_t run = 0; run < 40; ++run) {
    CAPTURE(seed);
    CAPTURE(run);
    std::mt19937_64 random(seed + run);
    test::wheel_beside_model both(time_point(duration(random() >> 20)));
    const std::uint64_t keys = std::uint64_t{1} << (random() % 12);
    const auto some_time = [&] {
      return duration(random() % (std::uint64_t{1} << (random() % 56)));
    };
    for (int step = 0; step < 2000 && both.wrong() == nullptr; ++step) {
      const auto key = random() % keys * 0x9e3779b97f4a7c15u;
      switch (random() % 10) {
      case 0:
        both.disarm(key);
        break;
      case 1:
        both.arm(key, both.now() - std::min(some_time(), both.now().time_since_epoch()));
        break;
      case 2:
        if (both.now() < time_point(duration(std::int64_t{1} << 61)))
          both.drive(both.now() + some_time());
        break;
      case 3:
        both.drive_at_deadline();
        break;
      default:
        both.arm(key, both.now() + some_time());
      }
    }
    while (both.wrong() == nullptr && both.drive_at_deadline()) {
    }
    CHECK(both.wrong() == nullptr);
    CHECK(both.tested().size() == 0);
  }
}
