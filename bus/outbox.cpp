#include "postbus/bus/outbox.hpp"

#include "postbus/codecs/chunk_pool.hpp"

#include <algorithm>

namespace postbus {

std::string_view to_string(send_outcome outcome) noexcept {
  switch (outcome) {
  case send_outcome::accepted:
    return "accepted";
  case send_outcome::congested:
    return "congested";
  case send_outcome::closed:
    return "closed";
  case send_outcome::too_large:
    return "too_large";
  case send_outcome::invalid:
    return "invalid";
  }
  return "unknown";
}

namespace bus {

using codecs::frame_header;
using codecs::frame_header_bytes;

send_outcome outbox::push(lane which, frame_header header, std::span<const std::byte> body) {
  if (body.size() < refer_bytes_min)
    return push_copied(which, header, {}, body);
  if (const auto answer = admit(which, body.size()); answer != send_outcome::accepted)
    return answer;
  return push_referred(which, header, {}, payload::copy_of(body));
}

send_outcome outbox::push(lane which, frame_header header, const payload& body) {
  return push(which, header, {}, body);
}

send_outcome outbox::push(lane which, frame_header header, std::span<const std::byte> prefix,
                          const payload& rest) {
  return rest.size() < refer_bytes_min ? push_copied(which, header, prefix, rest.bytes())
                                       : push_referred(which, header, prefix, rest);
}

send_outcome outbox::push_copied(lane which, frame_header header, std::span<const std::byte> prefix,
                                 std::span<const std::byte> rest) {
  const auto body_bytes = prefix.size() + rest.size();
  if (const auto answer = admit(which, body_bytes); answer != send_outcome::accepted)
    return answer;
  auto& in = which == lane::control ? control_ : data_;
  const auto bytes = frame_header_bytes + body_bytes;
  auto* at = room_for(in, bytes);
  header.length = static_cast<std::uint32_t>(body_bytes);
  codecs::store_header(at, header);
  if (!prefix.empty())
    std::memcpy(at + frame_header_bytes, prefix.data(), prefix.size());
  if (!rest.empty())
    std::memcpy(at + frame_header_bytes + prefix.size(), rest.data(), rest.size());
  // With very many peers the next message finds this place cold; fetched early it costs nothing.
  // As a number: it may lie behind the chunk, where no pointer may point.
  __builtin_prefetch(
    reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(at) + bytes + 64), 1);
  auto& run = in.queue.back();
  run.head_bytes += bytes;
  ++run.frames;
  in.bytes += bytes;
  ++in.frames;
  return send_outcome::accepted;
}

send_outcome outbox::push_referred(lane which, frame_header header,
                                   std::span<const std::byte> prefix, const payload& rest) {
  if (const auto answer = admit(which, prefix.size() + rest.size());
      answer != send_outcome::accepted)
    return answer;
  auto& in = which == lane::control ? control_ : data_;
  const auto head_bytes = frame_header_bytes + prefix.size();
  auto* at = room_for(in, head_bytes);
  header.length = static_cast<std::uint32_t>(prefix.size() + rest.size());
  codecs::store_header(at, header);
  if (!prefix.empty())
    std::memcpy(at + frame_header_bytes, prefix.data(), prefix.size());
  // room_for() made or found a run at the back; a large frame stands alone behind it.
  auto& run = in.queue.back();
  outgoing large{run.owner, at, head_bytes, rest, 1};
  if (run.frames == 0)
    run = std::move(large);
  else
    in.queue.push_back(std::move(large));
  in.bytes += head_bytes + rest.size();
  ++in.frames;
  return send_outcome::accepted;
}

send_outcome outbox::admit(lane which, std::size_t body_bytes) const noexcept {
  if (which == lane::control)
    return send_outcome::accepted;
  if (closed_)
    return send_outcome::closed;
  if (body_bytes > frame_bytes_max_)
    return send_outcome::too_large;
  if (data_.frames == 0)
    return send_outcome::accepted;
  const bool fits =
    data_.bytes + frame_header_bytes + body_bytes <= bytes_max_ && data_.frames < frames_max_;
  return fits ? send_outcome::accepted : send_outcome::congested;
}

// Room for `bytes` at the end of a run at the back of `in`: the last run when it ends where the
// free room begins, else a new one.
std::byte* outbox::room_for(waiting& in, std::size_t bytes) {
  if (!tail_ || tail_->capacity() - used_ < bytes) {
    tail_ = codecs::chunk_pool::take(std::max(next_chunk_bytes_, bytes));
    used_ = 0;
    next_chunk_bytes_ = std::min(next_chunk_bytes_ * 2, chunk_bytes_last);
  }
  auto* at = tail_->data() + used_;
  used_ += bytes;
  const bool extends = !in.queue.empty() && in.queue.back().owner == tail_
                       && in.queue.back().body.empty()
                       && in.queue.back().head + in.queue.back().head_bytes == at;
  if (!extends)
    in.queue.push_back({tail_, at, 0, {}, 0});
  return at;
}

outbox::budget outbox::take(fifo<outgoing>& into, budget allowed) {
  while (!control_.queue.empty()) {
    into.push_back(std::move(control_.queue.front()));
    control_.queue.pop_front();
  }
  control_.bytes = 0;
  control_.frames = 0;
  budget taken;
  while (!data_.queue.empty() && taken.bytes < allowed.bytes && taken.frames < allowed.frames) {
    auto& first = data_.queue.front();
    const budget left{allowed.bytes - taken.bytes, allowed.frames - taken.frames};
    if (first.frames == 1 || (first.bytes() <= left.bytes && first.frames <= left.frames)) {
      into.push_back(std::move(first));
      data_.queue.pop_front();
    } else {
      split(first, into.push_back({}), left);
      if (first.frames == 0)
        data_.queue.pop_front();
    }
    taken.bytes += into.back().bytes();
    taken.frames += into.back().frames;
  }
  data_.bytes -= static_cast<std::size_t>(taken.bytes);
  data_.frames -= taken.frames;
  if (empty()) {
    // The last chunk leaves with its frames, so an outbox that waits for nothing owns nothing.
    tail_ = {};
    control_.queue.shrink();
    data_.queue.shrink();
    next_chunk_bytes_ = std::max(chunk_bytes_first, next_chunk_bytes_ / 2);
  }
  return taken;
}

// Moves frames from the front of `run` to `front` while the budget has any room.
void outbox::split(outgoing& run, outgoing& front, budget left) {
  front.owner = run.owner;
  front.head = run.head;
  while (run.frames > 0 && front.head_bytes < left.bytes && front.frames < left.frames) {
    const auto bytes = frame_header_bytes + codecs::load<std::uint32_t>(run.head);
    run.head += bytes;
    run.head_bytes -= bytes;
    --run.frames;
    front.head_bytes += bytes;
    ++front.frames;
  }
}

void outbox::clear() noexcept {
  control_ = {};
  data_ = {};
  tail_ = {};
}

} // namespace bus
} // namespace postbus
