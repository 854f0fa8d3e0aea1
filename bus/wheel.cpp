// wheel: deadlines in rings by place, keys in a table of open addressing; see wheel.hpp for both.
#include "postbus/bus/wheel.hpp"

#include <bit>
#include <limits>

namespace postbus::bus {

namespace {

constexpr auto tick_length = static_cast<std::uint64_t>(wheel::tick.count());

/// From `start` to `when`, which must not be earlier. Unsigned, because two time points may lie
/// further apart than a `duration` can say.
std::uint64_t distance(time_point start, time_point when) noexcept {
  return static_cast<std::uint64_t>(when.time_since_epoch().count())
         - static_cast<std::uint64_t>(start.time_since_epoch().count());
}

} // namespace

wheel::wheel(time_point start) : start_(start), index_(16, none) {
  static_assert(std::numeric_limits<std::uint64_t>::max() / tick_length
                  < std::uint64_t{1} << (digit_bits * levels),
                "every deadline has a place");
  for (auto& ring : heads_)
    ring.fill(none);
}

// -- deadlines --------------------------------------------------------------------

void wheel::arm(key k, time_point when) {
  if (when == never)
    return disarm(k);
  std::uint64_t due = 0;
  if (when > start_) {
    const auto apart = distance(start_, when);
    due = apart / tick_length + (apart % tick_length != 0 ? 1 : 0);
  }
  if (due < now_)
    due = now_;
  auto number = index_[find(k)];
  if (number == none)
    number = insert(k);
  else if (entries_[number].due == due)
    return;
  else
    unlink(number);
  entries_[number].due = due;
  link(number);
}

void wheel::disarm(key k) {
  const auto position = find(k);
  if (index_[position] == none)
    return;
  unlink(index_[position]);
  erase(position);
}

time_point wheel::deadline() const noexcept {
  if (size_ == 0)
    return never;
  const auto first = first_tick_of(first_place());
  // The last moments before the end of time round up to beyond it.
  constexpr auto last = never - duration(1);
  if (first > distance(start_, last) / tick_length)
    return last;
  return time_point(duration(static_cast<duration::rep>(
    static_cast<std::uint64_t>(start_.time_since_epoch().count()) + first * tick_length)));
}

std::optional<wheel::key> wheel::pop_due(time_point now) {
  if (now < start_)
    return std::nullopt;
  const auto target = distance(start_, now) / tick_length;
  while (size_ != 0) {
    const auto at = first_place();
    const auto first = first_tick_of(at);
    if (first > target)
      break;
    now_ = first;
    if (at.level != 0) {
      spread(at); // Each round moves entries down at least one level, so this ends.
      continue;
    }
    const auto number = heads_[0][at.slot];
    const auto found = entries_[number].k;
    disarm(found);
    return found;
  }
  // Nothing lies between `now_` and `target`: every entry keeps its place.
  if (target > now_)
    now_ = target;
  return std::nullopt;
}

// -- places -----------------------------------------------------------------------

wheel::place wheel::place_of(std::uint64_t due) const noexcept {
  const auto differing = due ^ now_;
  const unsigned level =
    differing == 0 ? 0 : (static_cast<unsigned>(std::bit_width(differing)) - 1) / digit_bits;
  return {level, static_cast<unsigned>((due >> (level * digit_bits)) % slots)};
}

wheel::place wheel::first_place() const noexcept {
  const auto level = static_cast<unsigned>(std::countr_zero(used_levels_));
  return {level, static_cast<unsigned>(std::countr_zero(used_slots_[level]))};
}

std::uint64_t wheel::first_tick_of(place at) const noexcept {
  const auto shift = at.level * digit_bits;
  const auto above = now_ >> (shift + digit_bits) << digit_bits;
  return (above | at.slot) << shift;
}

void wheel::link(std::uint32_t number) noexcept {
  auto& added = entries_[number];
  const auto at = place_of(added.due);
  auto& head = heads_[at.level][at.slot];
  if (head == none) {
    head = added.next = added.previous = number;
    used_slots_[at.level] |= std::uint64_t{1} << at.slot;
    used_levels_ |= 1u << at.level;
    return;
  }
  auto& front = entries_[head];
  added.next = head;
  added.previous = front.previous;
  entries_[front.previous].next = number;
  front.previous = number;
}

void wheel::unlink(std::uint32_t number) noexcept {
  const auto& removed = entries_[number];
  const auto at = place_of(removed.due);
  auto& head = heads_[at.level][at.slot];
  if (removed.next == number) {
    head = none;
    used_slots_[at.level] &= ~(std::uint64_t{1} << at.slot);
    if (used_slots_[at.level] == 0)
      used_levels_ &= ~(1u << at.level);
    return;
  }
  entries_[removed.next].previous = removed.previous;
  entries_[removed.previous].next = removed.next;
  if (head == number)
    head = removed.next;
}

/// Puts the entries of a slot whose first tick is `now_` where they belong now: lower.
void wheel::spread(place from) noexcept {
  auto number = heads_[from.level][from.slot];
  const auto last = entries_[number].previous;
  heads_[from.level][from.slot] = none;
  used_slots_[from.level] &= ~(std::uint64_t{1} << from.slot);
  if (used_slots_[from.level] == 0)
    used_levels_ &= ~(1u << from.level);
  for (;;) {
    const auto next = entries_[number].next;
    const bool done = number == last;
    link(number);
    if (done)
      return;
    number = next;
  }
}

// -- index ------------------------------------------------------------------------

std::size_t wheel::home_of(key k) const noexcept {
  k = (k ^ (k >> 32)) * 0x9e3779b97f4a7c15u;
  return static_cast<std::size_t>(k >> 32) & (index_.size() - 1);
}

/// The position of `k` in the index, or the free position where it would go.
std::size_t wheel::find(key k) const noexcept {
  auto position = home_of(k);
  while (index_[position] != none && entries_[index_[position]].k != k)
    position = (position + 1) & (index_.size() - 1);
  return position;
}

std::uint32_t wheel::insert(key k) {
  if (2 * (size_ + 1) > index_.size())
    grow_index();
  auto number = free_;
  if (number == none) {
    number = static_cast<std::uint32_t>(entries_.size());
    entries_.emplace_back();
  } else {
    free_ = entries_[number].next;
  }
  entries_[number].k = k;
  index_[find(k)] = number;
  ++size_;
  return number;
}

/// Frees the entry at `position` and closes the gap, so that no search ends there too early.
void wheel::erase(std::size_t position) noexcept {
  const auto mask = index_.size() - 1;
  entries_[index_[position]].next = free_;
  free_ = index_[position];
  --size_;
  auto gap = position;
  for (auto at = (gap + 1) & mask; index_[at] != none; at = (at + 1) & mask) {
    const auto home = home_of(entries_[index_[at]].k);
    if (((at - home) & mask) >= ((at - gap) & mask)) {
      index_[gap] = index_[at];
      gap = at;
    }
  }
  index_[gap] = none;
}

void wheel::grow_index() {
  std::vector<std::uint32_t> old(2 * index_.size(), none);
  old.swap(index_);
  for (const auto number : old)
    if (number != none)
      index_[find(entries_[number].k)] = number;
}

} // namespace postbus::bus
