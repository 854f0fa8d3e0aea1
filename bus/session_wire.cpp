// session_wire: what a session sends, in which order, and how it takes its leave. The rest of the class
// is in session.cpp and session_frames.cpp.
#include "postbus/bus/session.hpp"

#include <algorithm>
#include <cassert>

namespace postbus::bus {

namespace {

// Bytes moved from the outbox to the wire ahead of the transport. Small enough that a control
// frame does not wait long behind them, large enough for one full write.
constexpr std::size_t wire_bytes_max = std::size_t{256} << 10;

// Pieces of it. While the transport takes none, messages pack tightly in the outbox and a flood of
// pings is answered by one pong; on the wire each would hold a chunk of its own.
constexpr std::size_t wire_pieces_max = 64;

} // namespace

void session::pull(outbox& queue, time_point now) {
  if (phase_ >= phase::draining)
    queue.close();
  queue_control_frames(queue);
  if (is_live() && !goodbye_said_)
    pull_data(queue, now);
  else
    (void)queue.take(wire_, {});
  if (phase_ == phase::draining) {
    advance_drain(queue, now);
    queue_control_frames(queue);
    (void)queue.take(wire_, {});
  }
  count_wire();
  if (!wire_.empty() && stalled_since_ == never)
    stalled_since_ = now;
  check_shutdown();
  if (phase_ >= phase::lingering)
    abandon(queue);
}

void session::count_wire() noexcept {
  for (; wire_counted_ < wire_.size(); ++wire_counted_)
    wire_bytes_ += wire_[wire_counted_].bytes();
}

std::size_t session::wire_room() noexcept {
  count_wire();
  const auto has_room = wire_bytes_ < wire_bytes_max && wire_.size() < wire_pieces_max;
  return has_room ? wire_bytes_max - wire_bytes_ : 0;
}

// Handshake frames, goodbyes and refusals in the order they were said; credit, pong and ping are
// state, of which only the newest is worth sending, and only while the transport takes something.
void session::queue_control_frames(outbox& queue) {
  const auto push = [&](const payload& frame) {
    const auto header = codecs::load_header(frame.data());
    queue.push(outbox::lane::control, header,
               frame.slice(codecs::frame_header_bytes, frame.size() - codecs::frame_header_bytes));
  };
  while (!said_.empty()) {
    push(said_.front());
    said_.pop_front();
  }
  if (wire_.size() >= wire_pieces_max)
    return;
  // A ping asks for a sign of life, and gets all the news there is.
  if (is_live() && pong_due_ && granted_.frames_taken != frames_released_)
    credit_due_ = true;
  if (credit_is_due()) {
    credit_due_ = false;
    if (takes_messages_ && is_live()) {
      granted_.bytes_limit = std::max(granted_.bytes_limit, bytes_released_ + window_bytes_);
      granted_.frames_limit = std::max(granted_.frames_limit, frames_released_ + window_frames());
    }
    granted_.frames_taken = frames_released_;
    push(encode(granted_));
  }
  if (is_live() && pong_due_) {
    push(encode_pong({*pong_due_}));
    pong_due_.reset();
  }
  if (is_live() && ping_due_) {
    ping_due_ = false;
    push(encode_ping({probe_token_ != 0 ? probe_token_ : next_token_++}));
  }
}

void session::pull_data(outbox& queue, time_point now) {
  if (requests_ && !requests_->queue_empty()) {
    (void)queue.take(wire_, {}); // what is said about the connection goes first
    if (const auto room = wire_room(); room > 0)
      requests_->pull(wire_, room);
  }
  const auto credit_left = bytes_limit_ > bytes_sent_ ? bytes_limit_ - bytes_sent_ : 0;
  const auto frames_left = frames_limit_ > frames_sent_ ? frames_limit_ - frames_sent_ : 0;
  const auto room = wire_room();
  const auto taken = queue.take(wire_, {std::min<std::uint64_t>(credit_left, room), frames_left});
  bytes_sent_ += taken.bytes;
  frames_sent_ += taken.frames;
  queue_empty_ = queue.data_frames() == 0;
  starved_ = !queue_empty_ && (bytes_sent_ >= bytes_limit_ || frames_sent_ >= frames_limit_);
  if (taken.frames > 0) {
    last_useful_ = now;
    idle_told_ = false;
  }
}

// While draining: first everything queued leaves, then our goodbye; the answer to a peer's goodbye
// waits until its messages are taken, so that it can say so. Who has said goodbye first tells what
// it took since in a last credit, and the other waits for that.
void session::advance_drain(outbox& queue, time_point now) {
  if (drain_expired_ || (input_ended_ && starved_)) // no more credit can come
    abandon(queue);
  const auto may_say = queue.data_frames() == 0
                       && ((asks_nothing() && (!goodbye_heard_ || all_taken())) || drain_expired_);
  if (may_say)
    say_goodbye(reason_.code, {});
  if (goodbye_said_ && goodbye_heard_ && all_taken()) {
    credit_due_ = credit_due_ || granted_.frames_taken != frames_released_;
    if (frames_confirmed_ == frames_sent_ || input_ended_)
      return begin_linger(reason_, now);
  }
  if (drain_expired_)
    begin_linger(reason_, now);
}

void session::say_goodbye(errc code, std::string detail) {
  if (goodbye_said_)
    return;
  goodbye_said_ = true;
  granted_.frames_taken = frames_released_;
  say(encode(goodbye{code, frames_released_, std::move(detail)}));
}

// What is still queued will never be sent: count it and let go of it.
void session::abandon(outbox& queue) {
  queue.close();
  unsent_ += queue.data_frames();
  queue.clear();
  queue_empty_ = true;
  if (phase_ == phase::closed && !ended_told_) {
    ended_told_ = true;
    tell(ended{reason_, peer_.id, was_open_, {frames_sent_, frames_confirmed_, unsent_}});
  }
}

std::size_t session::wire(std::span<std::span<const std::byte>> room) const noexcept {
  std::size_t used = 0;
  auto skip = wire_offset_;
  for (std::size_t index = 0; index < wire_.size() && used < room.size(); ++index) {
    const auto& piece = wire_[index];
    if (skip < piece.head_bytes)
      room[used++] = {piece.head + skip, piece.head_bytes - skip};
    skip = skip > piece.head_bytes ? skip - piece.head_bytes : 0;
    if (!piece.body.empty() && used < room.size())
      room[used++] = piece.body.bytes().subspan(skip);
    skip = 0;
  }
  return used;
}

void session::written(std::size_t count, time_point now) {
  if (count == 0)
    return;
  assert(count <= wire_bytes_ - wire_offset_);
  last_sent_ = now;
  wire_offset_ += count;
  while (!wire_.empty() && wire_offset_ >= wire_.front().bytes()) {
    const auto bytes = wire_.front().bytes();
    wire_offset_ -= bytes;
    wire_bytes_ -= bytes;
    --wire_counted_;
    wire_.pop_front();
  }
  if (wire_.empty())
    wire_.shrink(); // a connection that waits owns nothing
  stalled_since_ = wire_.empty() ? never : now;
  check_shutdown();
}

void session::check_shutdown() noexcept {
  if (phase_ != phase::lingering || !all_written() || shut_)
    return;
  shut_ = true;
  shutdown_due_ = true;
  if (input_ended_)
    end(reason_);
}

bool session::take_shutdown() noexcept {
  return std::exchange(shutdown_due_, false);
}

} // namespace postbus::bus
