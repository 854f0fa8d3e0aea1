// wire: one direction of a simulated connection: bytes with a latency, at a rate, of which only so many
// fit on the way. Ends in order, by a reset, or falls silent; flips bits and knows in which frame.
// Drive: write what one end sends; from next_arrival() on, next() and read at the other.
#pragma once

#include "postbus/bus/time.hpp"
#include "postbus/codecs/frame.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

namespace postbus::testing {

/// Follows the frames in a stream as it is written.
class frame_track {
public:
  /// The next bytes of the stream.
  void feed(std::span<const std::byte> bytes) noexcept;

  /// Messages begun so far.
  [[nodiscard]] std::uint64_t messages() const noexcept { return messages_; }
  /// The same of requests, answers and cancels.
  [[nodiscard]] std::uint64_t correlated() const noexcept { return correlated_; }
  /// The next byte lies in a frame's header: at this index. 8 when it lies in a body.
  [[nodiscard]] std::size_t header_index() const noexcept { return have_; }
  /// Of the frame at hand; its kind is known from header index 5 on.
  [[nodiscard]] codecs::frame_kind kind() const noexcept {
    return static_cast<codecs::frame_kind>(head_[4]);
  }

private:
  std::array<std::byte, codecs::frame_header_bytes> head_{};
  std::size_t have_ = 0;
  std::uint64_t left_ = 0; // bytes of the body
  std::uint64_t messages_ = 0;
  std::uint64_t correlated_ = 0;
};

class wire {
public:
  struct settings {
    duration latency = duration::zero();
    std::uint64_t bytes_per_second = 0;    ///< 0: as fast as they come.
    std::size_t room_bytes = SIZE_MAX;     ///< On the way at most; then writes take nothing.
    std::uint64_t corrupt_at = UINT64_MAX; ///< This byte is changed.
    std::byte corrupt_mask{};
  };
  /// Mistakes a wire makes on purpose, once, with a whole frame: to show that they are noticed.
  enum class mistake : std::uint8_t {
    none,
    lose_message,
    swap_messages,
    repeat_message,
    lose_credit, ///< This one and all that follow.
  };

  explicit wire(const settings& how)
    : how_(how), corrupt_at_(how.corrupt_at), corrupt_mask_(how.corrupt_mask) {}

  // -- the writer ---------------------------------------------------------------------

  [[nodiscard]] std::size_t room() const noexcept;
  /// Says how many bytes were taken.
  std::size_t write(std::span<const std::byte> bytes, time_point now);
  /// The stream ends in order behind what is on the way.
  void finish(time_point now);

  // -- the reader ---------------------------------------------------------------------

  enum class item : std::uint8_t { nothing, bytes, end, error };

  /// What is there to be taken at `now`.
  [[nodiscard]] item next(time_point now) const noexcept;
  /// When the next item is there; `never` when none is on its way.
  [[nodiscard]] time_point next_arrival() const noexcept {
    return underway_.empty() ? never : underway_.front().at;
  }
  /// Takes as many of the bytes that have arrived as fit.
  std::size_t read(std::span<std::byte> room, time_point now);
  /// Takes an end or an error.
  void take_end() { underway_.pop_front(); }
  /// The reader's socket is closed: true when that destroys bytes, so that the writer sees a reset.
  [[nodiscard]] bool close_reader(time_point now);
  /// True once after bytes were written to a reader that is gone.
  [[nodiscard]] bool take_bounce() noexcept { return std::exchange(bounced_, false); }

  // -- the network --------------------------------------------------------------------

  /// What has not arrived is lost; the reader sees an error.
  void reset(time_point now);
  /// From now on nothing arrives; writes are taken while there is room.
  void fall_silent();
  /// The byte `offset` bytes further on is changed by `mask`.
  void corrupt(std::uint64_t offset, std::byte mask) {
    corrupt_at_ = written_ + offset;
    corrupt_mask_ = mask;
  }
  void make(mistake what) noexcept { mistake_ = what; }

  // -- what it knows ------------------------------------------------------------------

  /// A byte was changed that is more than content: what follows may mean anything.
  [[nodiscard]] bool spoiled() const noexcept { return spoiled_; }
  /// Messages of which the content or the tag was changed, by number.
  [[nodiscard]] const std::set<std::uint64_t>& touched() const noexcept { return touched_; }
  /// A hash of what is on the way, and of whether more may come.
  [[nodiscard]] std::uint64_t digest() const noexcept;
  /// Nothing is on the way any more.
  [[nodiscard]] bool empty() const noexcept { return underway_.empty(); }

private:
  struct segment {
    time_point at;
    item what = item::bytes;
    std::vector<std::byte> bytes;
    std::size_t used = 0;
  };

  void send(std::vector<std::byte> bytes, time_point now);
  void send_with_mistake(std::span<const std::byte> bytes, time_point now);
  void corrupt_in(std::span<const std::byte> bytes, std::vector<std::byte>& copy);
  void close(item what, time_point at);
  [[nodiscard]] bool is_wrong(codecs::frame_kind kind) const noexcept;

  settings how_;
  std::deque<segment> underway_;
  std::size_t bytes_underway_ = 0;
  std::uint64_t written_ = 0;
  time_point busy_until_ = time_point::min();
  bool closed_ = false;      // an end is on its way; what follows is lost
  bool reader_gone_ = false; // what arrives is answered by a reset
  bool bounced_ = false;
  bool silent_ = false;

  frame_track track_;
  std::uint64_t corrupt_at_;
  std::byte corrupt_mask_;
  bool spoiled_ = false;
  std::set<std::uint64_t> touched_;

  mistake mistake_ = mistake::none;
  bool mistake_made_ = false;
  std::vector<std::byte> frame_; // the one at hand, with mistakes
  std::vector<std::byte> held_;  // waits for the one it is swapped with
};

} // namespace postbus::testing
