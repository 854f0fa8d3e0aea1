// frame_reader: finds frames in bytes as they arrive, in place. Never copies a body that arrived
// whole, never allocates for a length it has not checked, does no I/O.
// Drive: prepare(scratch), read into the spans, commit(count); next() until it says need_more; when
// the connection stops reading for now, park(), so that it keeps nothing of the shared scratch.
#pragma once

#include "postbus/codecs/chunk.hpp"
#include "postbus/codecs/frame.hpp"

#include <array>
#include <cstddef>
#include <span>

namespace postbus::codecs {

/// Where bytes from all connections of one loop are read to, one connection at a time. Hands out
/// the room behind what was read before, and moves on to a fresh chunk when little is left.
class read_scratch {
public:
  static constexpr std::size_t chunk_bytes_default = std::size_t{128} << 10;
  /// Less room than this is not worth a read.
  static constexpr std::size_t room_bytes_min = std::size_t{16} << 10;

  /// `chunk_bytes` are at least four times `room_bytes_min`; fewer count as that many.
  explicit read_scratch(std::size_t chunk_bytes = chunk_bytes_default) noexcept
    : chunk_bytes_(chunk_bytes < 4 * room_bytes_min ? 4 * room_bytes_min : chunk_bytes) {}

  /// The chunk that `room()` lies in.
  [[nodiscard]] const chunk_ptr& current() const noexcept { return chunk_; }
  /// Free bytes, at least `room_bytes_min`. Starts over at the front when nobody else holds the chunk.
  [[nodiscard]] std::span<std::byte> room() { return room_behind({}, room_bytes_min); }
  /// The first `count` bytes of `room()` are used now.
  void use(std::size_t count) noexcept { used_ += count; }

private:
  friend class frame_reader;

  // At least `bytes` of room right behind the bytes `begun`, which lie in this scratch or elsewhere
  // and are moved when the room is not.
  std::span<std::byte> room_behind(std::span<const std::byte> begun, std::size_t bytes);

  std::size_t chunk_bytes_;
  chunk_ptr chunk_;
  std::size_t used_ = 0;
};

/// One frame, in place. `begin` points to its header; header and body are contiguous in `owner`.
/// Valid until the next `prepare` or `park`, longer for who takes a `chunk_ptr::share(*owner)`.
struct frame_view {
  frame_header header;
  const std::byte* begin = nullptr;
  chunk* owner = nullptr;

  [[nodiscard]] std::span<const std::byte> body() const noexcept {
    return {begin + frame_header_bytes, header.length};
  }
  [[nodiscard]] const std::byte* end() const noexcept {
    return begin + frame_header_bytes + header.length;
  }
};

class frame_reader {
public:
  enum class status : std::uint8_t {
    frame,     ///< `next` found one.
    need_more, ///< The bytes so far end inside a frame, or between two.
    too_large, ///< A length above the bound. Terminal: every later `next` says so again.
  };

  /// A frame with its header, of which the end is missing, is received into a chunk of its own when it is larger.
  static constexpr std::size_t shared_bytes_max = std::size_t{32} << 10;

  /// Bodies above `frame_bytes_max` are refused as soon as their length is read.
  explicit frame_reader(std::uint32_t frame_bytes_max) noexcept
    : frame_bytes_max_(frame_bytes_max) {}

  /// Another bound for frames whose length has not been read yet.
  void frame_bytes_max(std::uint32_t bytes) noexcept { frame_bytes_max_ = bytes; }

  /// Where the next bytes belong, in this order: the rest of a frame in its own chunk, then room in
  /// `scratch`. The first may be empty, the second never is. Throws std::bad_alloc as `new` does.
  [[nodiscard]] std::array<std::span<std::byte>, 2> prepare(read_scratch& scratch);

  /// `count` bytes were put into the spans of the last `prepare`.
  void commit(std::size_t count) noexcept;

  /// For drivers that have the bytes already: prepares, copies as many as fit, commits, and says how
  /// many that were. Call `next` until it says need_more, then again with the rest.
  [[nodiscard]] std::size_t fill(std::span<const std::byte> bytes, read_scratch& scratch);

  /// The next whole frame. The commit before it is exhausted once this says anything but `frame`.
  /// Throws std::bad_alloc as `new` does.
  [[nodiscard]] status next(frame_view& found);

  /// Moves an unfinished frame out of the scratch, into a chunk of fitting size. Call it when `next`
  /// has said need_more, before another reader uses the scratch. Throws std::bad_alloc as `new` does.
  void park();

  /// No more frames are wanted. Lets go of what has begun; what is committed from now on counts for
  /// nothing, and `next` says too_large. The frame that `next` gave last stays valid.
  void stop() noexcept;

  /// Bytes of the frame that has begun but not ended; 0 between frames.
  [[nodiscard]] std::size_t pending_bytes() const noexcept { return own_bytes_ + begun().size(); }

private:
  [[nodiscard]] std::span<const std::byte> begun() const noexcept { return {begin_, end_}; }
  void move_to_own_chunk(std::size_t chunk_bytes);
  void complete_own_chunk();

  // Bytes that arrived lie, in this order, in own_ (the beginning of the frame at hand, when it
  // is large or was parked) and in the scratch, as [begin_, end_).
  std::uint32_t frame_bytes_max_;
  bool stopped_ = false;
  std::size_t frame_bytes_ = 0; // of the frame at hand with its header; 0 until its length is read
  std::size_t own_bytes_ = 0;
  chunk_ptr own_;
  chunk_ptr delivered_; // keeps the view of a frame alive that was received into its own chunk
  read_scratch* scratch_ = nullptr;
  const std::byte* begin_ = nullptr;
  const std::byte* end_ = nullptr;
};

} // namespace postbus::codecs
