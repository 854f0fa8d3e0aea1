// wheel_model: a wheel beside what it must agree with, a multimap of deadlines. Does the same to both
// and remembers the first thing that differs. For the property test and the fuzz target.
#pragma once

#include "postbus/bus/wheel.hpp"

#include <algorithm>
#include <map>

namespace postbus::test {

/// Deadlines must be less than 2^62 ns behind `start`, `start` not before the clock's own.
class wheel_beside_model {
public:
  explicit wheel_beside_model(time_point start) : start_(start), now_(start), wheel_(start) {}

  [[nodiscard]] time_point now() const { return now_; }
  [[nodiscard]] const bus::wheel& tested() const { return wheel_; }
  [[nodiscard]] std::size_t fired() const { return fired_; }
  /// The first difference, or null.
  [[nodiscard]] const char* wrong() const { return wrong_; }

  void arm(bus::wheel::key k, time_point when) {
    wheel_.arm(k, when);
    forget(k);
    if (when != never)
      places_.emplace(k, place{model_.emplace(due(when), k), when});
    compare();
  }

  void disarm(bus::wheel::key k) {
    wheel_.disarm(k);
    forget(k);
    compare();
  }

  /// Time passes to `now`, which is not in the past, and what is due comes out.
  void drive(time_point now) {
    now_ = now;
    while (const auto k = wheel_.pop_due(now)) {
      const auto found = places_.find(*k);
      if (found == places_.end())
        return differ("a key without a deadline came out");
      if (found->second.when > now)
        return differ("a key came out early");
      if (found->second.at->first != model_.begin()->first)
        return differ("a key came out before one of an earlier tick");
      model_.erase(found->second.at);
      places_.erase(found);
      ++fired_;
    }
    if (!model_.empty() && model_.begin()->first <= now)
      differ("a key that is due did not come out");
    compare();
  }

  /// As whoever drives a wheel does: only at its own deadlines. Says whether there was one.
  bool drive_at_deadline() {
    const auto at = wheel_.deadline();
    if (at == never)
      return false;
    const auto fired = fired_;
    drive(std::max(at, now_));
    if (fired_ == fired && wheel_.deadline() <= at)
      differ("driven at its deadline, the wheel neither turned nor gave a key");
    return true;
  }

private:
  using deadlines = std::multimap<time_point, bus::wheel::key>;
  struct place {
    deadlines::iterator at;
    time_point when;
  };

  void forget(bus::wheel::key k) {
    if (const auto found = places_.find(k); found != places_.end()) {
      model_.erase(found->second.at);
      places_.erase(found);
    }
  }

  /// `when` rounded up to its tick, at the earliest the tick to which time has passed.
  [[nodiscard]] time_point due(time_point when) const {
    const auto turned = (now_ - start_) / bus::wheel::tick;
    auto ticks = when <= start_ ? 0 : (when - start_) / bus::wheel::tick;
    if (when > start_ + ticks * bus::wheel::tick)
      ++ticks;
    return start_ + std::max(ticks, turned) * bus::wheel::tick;
  }

  void compare() {
    if (wheel_.size() != model_.size())
      return differ("the sizes differ");
    if (model_.empty() != (wheel_.deadline() == never))
      return differ("a deadline without a key, or a key without a deadline");
    if (!model_.empty() && wheel_.deadline() > model_.begin()->first)
      differ("deadline() is too late");
  }

  void differ(const char* what) {
    if (wrong_ == nullptr)
      wrong_ = what;
  }

  time_point start_;
  time_point now_;
  bus::wheel wheel_;
  deadlines model_;
  std::map<bus::wheel::key, place> places_;
  std::size_t fired_ = 0;
  const char* wrong_ = nullptr;
};

} // namespace postbus::test
