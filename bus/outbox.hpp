// outbox: what waits to be sent to one peer, framed. Bounded in bytes and frames, closed once.
// Locks nothing and writes nowhere; who shares one between threads puts it behind a lock.
// Drive: push from senders; take, under credit, by the session that writes.
#pragma once

#include "postbus/bus/fifo.hpp"
#include "postbus/bus/limits.hpp"
#include "postbus/codecs/chunk.hpp"
#include "postbus/codecs/frame.hpp"

#include <cstdint>
#include <span>
#include <string_view>

namespace postbus {

/// What became of a message that was to be sent.
enum class send_outcome : std::uint8_t {
  accepted,  ///< Taken: it is sent in order, unless the connection ends before.
  congested, ///< Not taken: the queue is full. Send it again once there is room.
  closed,    ///< Not taken: there is no open connection, or no node any more.
  too_large, ///< Not taken, and never will be: larger than the peer takes in one frame.
  invalid,   ///< Not taken, and never will be: the value cannot be packed.
};

/// "accepted", "congested", "closed", "too_large", "invalid".
[[nodiscard]] std::string_view to_string(send_outcome outcome) noexcept;

namespace bus {

/// Framed bytes on their way out: a run of whole small frames, or one frame whose body lies elsewhere.
struct outgoing {
  codecs::chunk_ptr owner;
  const std::byte* head = nullptr; ///< Frames back to back, or the header of the one frame.
  std::size_t head_bytes = 0;
  payload body; ///< Of a large frame; empty for a run.
  std::uint64_t frames = 0;
  bool is_data = false; ///< Of the data lane: messages.

  [[nodiscard]] std::size_t bytes() const noexcept { return head_bytes + body.size(); }
};

class outbox {
public:
  /// Order of leaving: everything in `control` goes before anything in `data`.
  enum class lane : std::uint8_t {
    control, ///< What is said about the connection, and answers, bounded by what was asked. Needs no credit.
    data, ///< Messages, bounded by bytes and frames. Needs credit.
  };

  /// Bodies of this size and more are referred to, smaller ones copied: measured, below it the
  /// copy is cheaper than one more piece to write.
  static constexpr std::size_t refer_bytes_min = std::size_t{8} << 10;

  explicit outbox(const limits& bounds) noexcept
    : outbox(bounds.outbox_bytes_max, bounds.outbox_frames_max) {}
  outbox(std::size_t bytes_max, std::uint64_t frames_max) noexcept
    : bytes_max_(bytes_max), frames_max_(frames_max) {}

  /// From now on; what waits stays.
  void bounds(const limits& changed) noexcept {
    bytes_max_ = changed.outbox_bytes_max;
    frames_max_ = changed.outbox_frames_max;
  }

  /// Bodies above this are `too_large`: the smaller of both ends' bounds.
  void frame_bytes_max(std::uint32_t bytes) noexcept { frame_bytes_max_ = bytes; }
  [[nodiscard]] std::uint32_t frame_bytes_max() const noexcept { return frame_bytes_max_; }

  /// Frames a copy of `body`.
  send_outcome push(lane which, codecs::frame_header header, std::span<const std::byte> body);
  /// Frames `body`, which must not change any more; a large one is not copied.
  send_outcome push(lane which, codecs::frame_header header, const payload& body);
  /// A body that begins with a copy of `prefix`, at most 64 bytes, and goes on with `rest`.
  send_outcome push(lane which, codecs::frame_header header, std::span<const std::byte> prefix,
                    const payload& rest);

  /// No data is accepted any more. What is queued stays; control frames still pass.
  void close() noexcept { closed_ = true; }
  [[nodiscard]] bool is_closed() const noexcept { return closed_; }

  struct budget {
    std::uint64_t bytes = 0;  ///< A frame may begin while fewer data bytes than this were taken.
    std::uint64_t frames = 0; ///< The same for data frames.
  };
  /// Moves whole frames to the back of `into`: the control lane, then data within `allowed`.
  /// Says how much of the data lane it was.
  budget take(fifo<outgoing>& into, budget allowed);

  /// Moves all data to the back of `into`, closed or not.
  void take_data(fifo<outgoing>& into);

  /// Puts data in front of what waits, whatever the bounds. Returns what has a body above
  /// `frame_bytes_max`.
  fifo<outgoing> put_first(fifo<outgoing> frames);

  /// Waiting in the data lane.
  [[nodiscard]] std::size_t data_bytes() const noexcept { return data_.bytes; }
  [[nodiscard]] std::uint64_t data_frames() const noexcept { return data_.frames; }
  [[nodiscard]] bool empty() const noexcept {
    return data_.queue.empty() && control_.queue.empty();
  }
  /// True when no data waits, or less than half of each bound is used: who was told `congested` may
  /// try again.
  [[nodiscard]] bool has_room() const noexcept {
    return data_.frames == 0 || (data_.bytes < bytes_max_ / 2 && data_.frames < frames_max_ / 2);
  }
  /// The same for somebody with a frame whose body has `body_bytes`.
  [[nodiscard]] bool has_room(std::size_t body_bytes) const noexcept {
    return data_.frames == 0
           || (has_room() && data_.bytes + codecs::frame_header_bytes + body_bytes <= bytes_max_);
  }
  /// Takes everything away, for a connection that is lost; what was taken out before is the session's.
  void clear() noexcept;

private:
  struct waiting {
    fifo<outgoing> queue;
    std::size_t bytes = 0;
    std::uint64_t frames = 0;
  };

  [[nodiscard]] send_outcome admit(lane which, std::size_t body_bytes) const noexcept;
  send_outcome push_copied(lane which, codecs::frame_header header,
                           std::span<const std::byte> prefix, std::span<const std::byte> rest);
  send_outcome push_referred(lane which, codecs::frame_header header,
                             std::span<const std::byte> prefix, const payload& rest);
  [[nodiscard]] std::byte* room_for(waiting& in, std::size_t bytes);
  static void split(outgoing& run, outgoing& front, budget left);

  std::size_t bytes_max_;
  std::uint64_t frames_max_;
  std::uint32_t frame_bytes_max_ = UINT32_MAX;
  bool closed_ = false;
  waiting control_;
  waiting data_;
  // The chunk that small frames of either lane are written into, from `used_` on.
  codecs::chunk_ptr tail_;
  std::size_t used_ = 0;
  std::size_t next_chunk_bytes_ = chunk_bytes_first;

  static constexpr std::size_t chunk_bytes_first = std::size_t{4} << 10;
  static constexpr std::size_t chunk_bytes_last = std::size_t{64} << 10;
};

} // namespace bus
} // namespace postbus
