// loopback: the way of messages from a node to itself, from its own outbox to its subscribers. Bounded as
// a connection is: what subscribers have not let go of counts against a window, what is above it waits.
// Drive: pull() when something was queued, when the receipt wakes, when somebody subscribes.
#pragma once

#include "postbus/bus/batch.hpp"
#include "postbus/bus/outbox.hpp"

#include <cstdint>

namespace postbus::bus {

class loopback {
public:
  /// `charge` is told what subscribers let go; a plain one is made if none is given.
  explicit loopback(shared<receipt> charge)
    : charge_(charge ? std::move(charge) : shared<receipt>::adopt(new receipt)) {}

  /// The next messages, while less than `window_bytes` are held by subscribers; one of any size when
  /// nothing is. At most about `bytes_max` of them. Null when there are none, or the window is used up:
  /// then the receipt wakes whoever drives.
  [[nodiscard]] shared<received_frames> pull(outbox& from, std::uint64_t window_bytes,
                                             std::uint64_t bytes_max);

  /// Messages pulled so far, and of these let go.
  [[nodiscard]] std::uint64_t frames() const noexcept { return frames_; }
  [[nodiscard]] std::uint64_t frames_released() const noexcept { return charge_->frames(); }

private:
  [[nodiscard]] bool window_is_open(std::uint64_t window_bytes) const noexcept;

  shared<receipt> charge_;
  std::uint64_t bytes_ = 0;
  std::uint64_t frames_ = 0;
};

} // namespace postbus::bus
