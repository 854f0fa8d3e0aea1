// wheel: many deadlines, one timer. A hierarchical timing wheel of 64 slots a level, one
// millisecond a tick. Keeps keys, calls nobody, reads no clock.
// Drive: arm(key, when); at deadline(), pop_due(now) until it is empty.
#pragma once

#include "postbus/bus/time.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace postbus::bus {

/// One deadline per key. Arming, moving and disarming cost O(1) and allocate only while the number
/// of keys reaches a new height; a deadline never fires early and, driven at `deadline()`, at most
/// one tick (1 ms) late.
class wheel {
public:
  using key = std::uint64_t;
  static constexpr duration tick = std::chrono::milliseconds(1);

  /// Ticks are counted from `start`; a deadline before it is due at `start`.
  explicit wheel(time_point start);

  /// Sets the deadline of `k`, or moves it. `never` disarms. One in the past is due at once.
  void arm(key k, time_point when);
  /// Takes the deadline of `k` away; nothing happens if it has none.
  void disarm(key k);

  /// A moment no later than the earliest deadline rounded up to its tick; `never` when there is none.
  /// May be earlier than the deadline (the wheel must turn), never later. Of a deadline that was in
  /// the past when it was armed: a moment no later than the last `now`.
  [[nodiscard]] time_point deadline() const noexcept;
  /// One key whose deadline has come, disarmed by this call; in order of their ticks. Turns the
  /// wheel, so calling it at `deadline()` always moves `deadline()` on or gives a key.
  [[nodiscard]] std::optional<key> pop_due(time_point now);

  [[nodiscard]] std::size_t size() const noexcept { return size_; }

private:
  // A tick count has `levels` digits of 6 bits, more than any two time points are apart, so no
  // deadline lies beyond the horizon. An entry lies at the level of the highest digit in which its
  // tick differs from `now_`, in the slot of that digit. Hence all entries of a level come before
  // all entries of the next, and an entry's place follows from its tick at any time.
  static constexpr unsigned digit_bits = 6;
  static constexpr unsigned levels = 8;
  static constexpr unsigned slots = 1u << digit_bits;
  static constexpr std::uint32_t none = UINT32_MAX;

  struct entry {
    key k = 0;
    std::uint64_t due = 0;     // tick
    std::uint32_t next = none; // in the ring of its slot, or the next free entry
    std::uint32_t previous = none;
  };
  struct place {
    unsigned level;
    unsigned slot;
  };

  [[nodiscard]] place place_of(std::uint64_t due) const noexcept;
  [[nodiscard]] place first_place() const noexcept;
  [[nodiscard]] std::uint64_t first_tick_of(place at) const noexcept;
  void link(std::uint32_t number) noexcept;
  void unlink(std::uint32_t number) noexcept;
  void spread(place from) noexcept;

  [[nodiscard]] std::size_t home_of(key k) const noexcept;
  [[nodiscard]] std::size_t find(key k) const noexcept;
  std::uint32_t insert(key k);
  void erase(std::size_t position) noexcept;
  void grow_index();

  time_point start_;
  std::uint64_t now_ = 0; // the tick up to which the wheel has turned
  std::size_t size_ = 0;

  unsigned used_levels_ = 0;                                   // a bit per level
  std::array<std::uint64_t, levels> used_slots_{};             // a bit per slot
  std::array<std::array<std::uint32_t, slots>, levels> heads_; // first of each ring

  std::vector<entry> entries_;
  std::uint32_t free_ = none;
  std::vector<std::uint32_t> index_; // key to entry: open addressing, at most half full
};

} // namespace postbus::bus
