// pipe: one direction of a connection on a virtual clock: bytes with a latency, read in pieces of any
// size, of which only so many fit on the way; ends in order, with an error, or by falling silent.
// Drive: push what one end writes; at next_arrival() read what the other gets.
#pragma once

#include "postbus/bus/time.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <utility>
#include <vector>

namespace postbus::test {

/// How a direction fails.
enum class fault : std::uint8_t {
  none,
  end_of_file, ///< The reader sees the stream end in order.
  error,       ///< Both ends are told of an error by their system.
  silence,     ///< Bytes are taken and never arrive: the half-open connection.
};

class pipe {
public:
  struct settings {
    duration latency = duration::zero();
    std::size_t room_bytes = SIZE_MAX;          ///< On the way at most; then writes take nothing.
    std::size_t read_bytes = SIZE_MAX;          ///< One read gets at most.
    std::function<std::size_t()> cut = nullptr; ///< Asked for each read instead of `read_bytes`.
  };
  settings how;

  /// From the byte `at` on, counted from the first, there is only `what`.
  void fail_at(std::uint64_t at, fault what, time_point now) {
    fault_ = what;
    fault_at_ = at;
    if (pushed_ >= at)
      strike(now);
  }

  /// Writes; says how many bytes were taken.
  std::size_t push(std::span<const std::byte> bytes, time_point now) {
    const auto taken = std::min(bytes.size(), room());
    auto arriving = taken;
    if (fault_ != fault::none)
      arriving = static_cast<std::size_t>(
        std::min<std::uint64_t>(taken, fault_at_ > pushed_ ? fault_at_ - pushed_ : 0));
    if (arriving > 0 && !closed_) {
      underway_.push_back({now + how.latency,
                           {bytes.begin(), bytes.begin() + std::ptrdiff_t(arriving)},
                           0,
                           kind::data});
      bytes_underway_ += arriving;
    }
    pushed_ += taken;
    if (fault_ != fault::none && pushed_ >= fault_at_)
      strike(now);
    return taken;
  }
  [[nodiscard]] std::size_t room() const {
    return how.room_bytes > bytes_underway_ ? how.room_bytes - bytes_underway_ : 0;
  }

  /// The stream ends in order behind what is on the way.
  void finish(time_point now) { close(kind::end, now); }
  /// What has not arrived yet is lost, and the reader gets an error behind what has.
  void reset(time_point now) {
    while (!underway_.empty()
           && (underway_.back().at > now || underway_.back().what != kind::data)) {
      bytes_underway_ -= underway_.back().bytes.size() - underway_.back().used;
      underway_.pop_back();
    }
    closed_ = false;
    close(kind::error, now);
  }

  /// When there is something to read.
  [[nodiscard]] time_point next_arrival() const {
    return underway_.empty() ? never : underway_.front().at;
  }
  [[nodiscard]] std::size_t bytes_underway() const { return bytes_underway_; }
  [[nodiscard]] std::uint64_t bytes_pushed() const { return pushed_; }
  /// True once after an `error` struck: its writer must hear of it, too.
  [[nodiscard]] bool take_writer_error() { return std::exchange(writer_error_, false); }

  enum class kind : std::uint8_t { data, end, error };

  /// What comes next, which must have arrived.
  [[nodiscard]] kind next_kind() const { return underway_.front().what; }
  /// One read: at most as many bytes as fit into `room`.
  std::size_t read(std::span<std::byte> room) {
    const auto most = std::max<std::size_t>(how.cut ? how.cut() : how.read_bytes, 1);
    auto& first = underway_.front();
    const auto count = std::min({room.size(), most, first.bytes.size() - first.used});
    std::copy_n(first.bytes.begin() + std::ptrdiff_t(first.used), count, room.begin());
    first.used += count;
    bytes_underway_ -= count;
    if (first.used == first.bytes.size())
      underway_.pop_front();
    return count;
  }
  void drop_next() {
    bytes_underway_ -= underway_.front().bytes.size() - underway_.front().used;
    underway_.pop_front();
  }

private:
  struct segment {
    time_point at;
    std::vector<std::byte> bytes;
    std::size_t used = 0;
    kind what = kind::data;
  };

  void close(kind what, time_point now) {
    if (closed_)
      return;
    closed_ = true;
    if (fault_ == fault::silence && pushed_ >= fault_at_)
      return;
    underway_.push_back({now + how.latency, {}, 0, what});
  }
  void strike(time_point now) {
    if (closed_)
      return;
    if (fault_ == fault::end_of_file)
      close(kind::end, now);
    if (fault_ == fault::error) {
      close(kind::error, now);
      writer_error_ = true;
    }
  }

  std::deque<segment> underway_;
  std::size_t bytes_underway_ = 0;
  std::uint64_t pushed_ = 0;
  std::uint64_t fault_at_ = 0;
  fault fault_ = fault::none;
  bool closed_ = false;
  bool writer_error_ = false;
};

} // namespace postbus::test
