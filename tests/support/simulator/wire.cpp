#include "postbus/tests/support/simulator/wire.hpp"

#include <algorithm>
#include <cstring>

namespace postbus::testing {

using codecs::frame_header_bytes;
using codecs::frame_kind;

void frame_track::feed(std::span<const std::byte> bytes) noexcept {
  while (!bytes.empty()) {
    if (have_ < frame_header_bytes) {
      const auto part = std::min(bytes.size(), frame_header_bytes - have_);
      std::memcpy(head_.data() + have_, bytes.data(), part);
      have_ += part;
      bytes = bytes.subspan(part);
      if (have_ < frame_header_bytes)
        return;
      const auto header = codecs::load_header(head_.data());
      left_ = header.length;
      messages_ += header.kind == frame_kind::message ? 1 : 0;
      correlated_ +=
        header.kind >= frame_kind::request && header.kind <= frame_kind::cancel ? 1 : 0;
    }
    const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), left_));
    left_ -= part;
    bytes = bytes.subspan(part);
    if (left_ == 0)
      have_ = 0;
  }
}

std::size_t wire::room() const noexcept {
  return how_.room_bytes > bytes_underway_ ? how_.room_bytes - bytes_underway_ : 0;
}

std::size_t wire::write(std::span<const std::byte> bytes, time_point now) {
  bytes = bytes.first(std::min(bytes.size(), room()));
  if (bytes.empty())
    return 0;
  if (mistake_ != mistake::none) {
    send_with_mistake(bytes, now);
  } else {
    std::vector<std::byte> copy(bytes.begin(), bytes.end());
    corrupt_in(bytes, copy);
    send(std::move(copy), now);
  }
  written_ += bytes.size();
  return bytes.size();
}

void wire::send(std::vector<std::byte> bytes, time_point now) {
  if (closed_)
    return;
  if (reader_gone_) {
    bounced_ = true;
    return;
  }
  bytes_underway_ += bytes.size();
  if (silent_)
    return; // taken, and never there
  auto at = std::max(now, busy_until_);
  if (how_.bytes_per_second > 0)
    at += std::chrono::microseconds(bytes.size() * 1'000'000 / how_.bytes_per_second);
  busy_until_ = at;
  underway_.push_back({at + how_.latency, item::bytes, std::move(bytes), 0});
}

// Content may change and nothing else happens; every other byte may mean anything to the reader.
void wire::corrupt_in(std::span<const std::byte> bytes, std::vector<std::byte>& copy) {
  if (corrupt_at_ < written_ || corrupt_at_ >= written_ + bytes.size())
    return track_.feed(bytes);
  const auto index = static_cast<std::size_t>(corrupt_at_ - written_);
  corrupt_at_ = UINT64_MAX;
  track_.feed(bytes.first(index));
  const auto in_body = track_.header_index() == frame_header_bytes;
  const auto in_tag = track_.header_index() == 6 || track_.header_index() == 7;
  const auto of_message = (in_body || in_tag) && track_.kind() == frame_kind::message;
  if (of_message)
    touched_.insert(in_body ? track_.messages() - 1 : track_.messages());
  else
    spoiled_ = true;
  copy[index] ^= corrupt_mask_;
  track_.feed(bytes.subspan(index));
}

bool wire::is_wrong(frame_kind kind) const noexcept {
  switch (mistake_) {
  case mistake::none:
    return false;
  case mistake::lose_message:
  case mistake::swap_messages:
  case mistake::repeat_message:
    return kind == frame_kind::message && !mistake_made_;
  case mistake::lose_credit:
    return kind == frame_kind::credit;
  }
  return false;
}

void wire::send_with_mistake(std::span<const std::byte> bytes, time_point now) {
  for (const auto byte : bytes) {
    frame_.push_back(byte);
    if (frame_.size() < frame_header_bytes
        || frame_.size() < frame_header_bytes + codecs::load<std::uint32_t>(frame_.data()))
      continue;
    auto whole = std::exchange(frame_, {});
    const auto kind = codecs::load_header(whole.data()).kind;
    track_.feed(whole);
    if (!held_.empty() && kind == frame_kind::message) {
      send(std::move(whole), now);
      send(std::exchange(held_, {}), now);
    } else if (!is_wrong(kind)) {
      send(std::move(whole), now);
    } else {
      mistake_made_ = true;
      if (mistake_ == mistake::swap_messages)
        held_ = std::move(whole);
      else if (mistake_ == mistake::repeat_message)
        send(whole, now), send(std::move(whole), now);
    }
  }
}

void wire::finish(time_point now) {
  close(item::end, std::max(now, busy_until_) + how_.latency);
}

void wire::close(item what, time_point at) {
  if (std::exchange(closed_, true) || silent_ || reader_gone_)
    return;
  underway_.push_back({at, what, {}, 0});
}

wire::item wire::next(time_point now) const noexcept {
  return next_arrival() <= now ? underway_.front().what : item::nothing;
}

std::size_t wire::read(std::span<std::byte> room, time_point now) {
  std::size_t count = 0;
  while (count < room.size() && next(now) == item::bytes) {
    auto& first = underway_.front();
    const auto part = std::min(room.size() - count, first.bytes.size() - first.used);
    std::memcpy(room.data() + count, first.bytes.data() + first.used, part);
    first.used += part;
    count += part;
    if (first.used == first.bytes.size())
      underway_.pop_front();
  }
  bytes_underway_ -= count;
  return count;
}

bool wire::close_reader(time_point now) {
  reader_gone_ = true;
  const auto destroys = next(now) == item::bytes;
  bounced_ = bounced_ || std::any_of(underway_.begin(), underway_.end(), [](const segment& each) {
               return each.what == item::bytes;
             });
  underway_.clear();
  bytes_underway_ = 0;
  return destroys;
}

void wire::reset(time_point now) {
  while (!underway_.empty()
         && (underway_.back().at > now || underway_.back().what != item::bytes)) {
    bytes_underway_ -= underway_.back().bytes.size() - underway_.back().used;
    underway_.pop_back();
  }
  closed_ = false;
  close(item::error, now + how_.latency);
}

std::uint64_t wire::digest() const noexcept {
  std::uint64_t sum = 0xcbf29ce484222325u;
  const auto mix = [&](std::uint64_t what) {
    sum = (sum ^ what) * 0x100000001b3u; // FNV-1a
  };
  mix((closed_ ? 1u : 0u) + (reader_gone_ ? 2u : 0u) + (bounced_ ? 4u : 0u) + (silent_ ? 8u : 0u));
  for (const auto& each : underway_) {
    // Where one write ends and the next begins is nothing that a reader sees.
    if (each.what != item::bytes)
      mix(256 + static_cast<std::uint64_t>(each.what));
    for (const auto byte : std::span(each.bytes).subspan(each.used))
      mix(std::to_integer<std::uint64_t>(byte));
  }
  return sum;
}

void wire::fall_silent() {
  silent_ = true;
  underway_.clear();
}

} // namespace postbus::testing
