#include "postbus/bus/subscriber_queue.hpp"

#include "postbus/bus/overloaded.hpp"
#include "postbus/codecs/chunk_pool.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

namespace postbus::bus {

namespace {

// Small copies share a chunk: of this size, or less where less may wait.
constexpr std::size_t room_bytes_min = std::size_t{4} << 10;
constexpr std::size_t room_bytes_max = std::size_t{64} << 10;

std::uint64_t frame_bytes(const std::byte* at) noexcept {
  return codecs::frame_header_bytes + std::uint64_t{codecs::load<std::uint32_t>(at)};
}

} // namespace

// -- in -----------------------------------------------------------------------------

void subscriber_queue::push(const node_event& event) {
  items_.emplace_back(event);
  ++events_;
  event_bytes_ += bytes_of(event);
}

void subscriber_queue::push(shared<delivery> messages) {
  messages_ += messages->frames().frames();
  bytes_ += messages->frames().bytes();
  items_.emplace_back(std::move(messages));
}

bool subscriber_queue::copy(const node_id& from, const received_frames& arrived) {
  switch (how_.policy) {
  case slow_policy::block:
    break; // it queues no copies
  case slow_policy::drop_oldest:
    copy_newest(from, arrived);
    break;
  case slow_policy::drop_newest:
    copy_what_fits(from, arrived);
    break;
  case slow_policy::disconnect:
    if (!fits(arrived.bytes(), arrived.frames()) && messages_ + arrived.frames() > 1)
      return false;
    append(from, arrived);
    break;
  }
  return true;
}

// What is left is what would be if they had come one by one, but nothing is copied to be dropped.
void subscriber_queue::copy_newest(const node_id& from, const received_frames& arrived) {
  received_frames kept{{}};
  messages_dropped skipped;
  each_frame(arrived, [&](codecs::chunk& owner, const std::byte* begin, const std::byte* end) {
    const auto left = arrived.frames() - skipped.messages;
    const auto left_bytes = arrived.bytes() - skipped.bytes;
    if (left == 1 || (left <= how_.messages_max && left_bytes <= how_.bytes_max))
      return kept.append(owner, begin, end);
    ++skipped.messages;
    skipped.bytes += static_cast<std::uint64_t>(end - begin);
  });
  while (messages_ > 0 && (skipped.messages > 0 || !fits(kept.bytes(), kept.frames())))
    drop_first();
  if (skipped.messages > 0)
    count_dropped(items_.end(), from, skipped.messages, skipped.bytes);
  append(from, kept);
}

void subscriber_queue::copy_what_fits(const node_id& from, const received_frames& arrived) {
  std::optional<received_frames> fitting(std::in_place, shared<receipt>{});
  each_frame(arrived, [&](codecs::chunk& owner, const std::byte* begin, const std::byte* end) {
    const auto alone = static_cast<std::uint64_t>(end - begin);
    if (messages_ + fitting->frames() == 0 || fits(fitting->bytes() + alone, fitting->frames() + 1))
      return fitting->append(owner, begin, end);
    append(from, *fitting);
    fitting.emplace(shared<receipt>{});
    count_dropped(items_.end(), from, 1, alone);
  });
  append(from, *fitting);
}

void subscriber_queue::append(const node_id& from, const received_frames& what) {
  if (what.frames() == 0)
    return;
  const auto bytes = static_cast<std::size_t>(what.bytes());
  auto* to = make_room(bytes);
  auto* at = to;
  for (const auto& each : what.runs()) {
    const auto size = static_cast<std::size_t>(each.end - each.begin);
    std::memcpy(at, each.begin, size);
    at += size;
  }
  bytes_ += bytes;
  messages_ += what.frames();
  if (!items_.empty())
    if (auto* last = std::get_if<copies>(&items_.back());
        last != nullptr && last->end == to && last->from == from) {
      last->end = at;
      last->messages += what.frames();
      return;
    }
  items_.emplace_back(copies{from, room_, to, at, what.frames()});
  if (oldest_ == items_.end())
    oldest_ = std::prev(items_.end());
}

// Room for `bytes` at the end of `room_`, a new one if need be.
std::byte* subscriber_queue::make_room(std::size_t bytes) {
  if (!room_ || static_cast<std::size_t>(room_end_ - room_begin_) < bytes) {
    const auto common = std::clamp(how_.bytes_max, room_bytes_min, room_bytes_max);
    room_ = codecs::chunk_pool::take(std::max(bytes, common));
    room_begin_ = room_->data();
    room_end_ = room_begin_ + room_->capacity();
  }
  return std::exchange(room_begin_, room_begin_ + bytes);
}

bool subscriber_queue::asks(std::uint64_t connection) const {
  return std::any_of(items_.begin(), items_.end(), [&](const item& each) {
    const auto* event = std::get_if<node_event>(&each);
    const auto* asked = event ? std::get_if<connection_request>(event) : nullptr;
    return asked != nullptr && asked->connection == connection;
  });
}

// -- out ----------------------------------------------------------------------------

subscriber_queue::item subscriber_queue::take_front() {
  auto first = std::move(items_.front());
  if (oldest_ == items_.begin())
    find_oldest(std::next(oldest_));
  items_.pop_front();
  std::visit(overloaded{
               [&](const node_event& event) {
                 --events_;
                 event_bytes_ -= bytes_of(event);
               },
               [&](const shared<delivery>& messages) {
                 no_longer_waiting(messages->frames().frames(), messages->frames().bytes());
               },
               [&](const copies& messages) {
                 no_longer_waiting(messages.messages,
                                   static_cast<std::uint64_t>(messages.end - messages.begin));
               },
               [](const gap&) {},
             },
             first);
  return first;
}

// -- what is dropped ----------------------------------------------------------------

// The oldest message. What is left of its copies stays where it is.
void subscriber_queue::drop_first() {
  auto& first = std::get<copies>(*oldest_);
  const auto bytes = frame_bytes(first.begin);
  count_dropped(oldest_, first.from, 1, bytes);
  no_longer_waiting(1, bytes);
  first.begin += bytes;
  if (--first.messages > 0)
    return;
  const auto over = oldest_;
  find_oldest(std::next(over));
  items_.erase(over);
}

// Two gaps never lie side by side: what is dropped between the same two things that are told is one gap.
void subscriber_queue::count_dropped(place before, const node_id& from, std::uint64_t messages,
                                     std::uint64_t bytes) {
  dropped_ += messages;
  dropped_bytes_ += bytes;
  if (!how_.marks_gaps)
    return;
  if (before == items_.begin() || !std::holds_alternative<gap>(*std::prev(before)))
    before = std::next(items_.insert(before, gap{}));
  auto& mark = std::get<gap>(*std::prev(before))[from];
  mark.peer = from;
  mark.messages += messages;
  mark.bytes += bytes;
}

void subscriber_queue::no_longer_waiting(std::uint64_t messages, std::uint64_t bytes) noexcept {
  messages_ -= messages;
  bytes_ -= bytes;
  if (messages_ == 0)
    room_ = {}; // whoever is quick again holds no memory
}

void subscriber_queue::find_oldest(place from) {
  oldest_ = std::find_if(from, items_.end(),
                         [](const item& each) { return std::holds_alternative<copies>(each); });
}

} // namespace postbus::bus
