// shares: divides messages that arrived together among subscribers who filter by tag, so that each gets
// its own, in order, and what one holds on to is not charged for what the others let go of.
#pragma once

#include "postbus/bus/batch.hpp"
#include "postbus/bus/subscription_options.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace postbus::bus {

class shares {
public:
  /// Takes over the charge of `arrived` when the subscribers, by their filters, do not all take the same.
  shares(const shared<received_frames>& arrived, std::span<const message_filter* const> filters);

  /// What subscriber `index` takes: what it sees, and what is charged for that.
  struct part {
    shared<received_frames> frames;             ///< Null when it takes nothing.
    std::vector<shared<received_frames>> holds; ///< Empty when `frames` itself is charged.
  };
  [[nodiscard]] part of(std::size_t index) const;

  /// Messages that nobody takes. They are let go of with this object, or before.
  [[nodiscard]] std::uint64_t unclaimed() const noexcept { return unclaimed_; }

private:
  using takers = std::vector<bool>; // by subscriber
  // Neighbours that the same subscribers take.
  struct stretch {
    codecs::chunk* owner = nullptr; // held by the parts
    const std::byte* begin = nullptr;
    const std::byte* end = nullptr;
    std::uint64_t messages = 0;
    std::size_t share = 0;
  };
  struct share {
    takers who;
    shared<received_frames> frames;
  };

  void divide(const received_frames& arrived, std::span<const message_filter* const> filters);

  std::vector<share> shares_;
  std::vector<stretch> stretches_;
  std::uint64_t unclaimed_ = 0;
};

} // namespace postbus::bus
