// refusal_counts: how many messages a node's senders were not rid of, by the answer they got. Counted on
// any thread, by whoever got the answer.
#pragma once

#include "postbus/bus/statistics.hpp"

#include <array>
#include <atomic>

namespace postbus::actors {

class refusal_counts {
public:
  /// `outcome`, counted unless it is `accepted`.
  send_outcome count(send_outcome outcome) noexcept {
    if (outcome != send_outcome::accepted)
      counts_[static_cast<std::size_t>(outcome)].fetch_add(1, std::memory_order_relaxed);
    return outcome;
  }

  /// What is not zero.
  [[nodiscard]] std::vector<refused_messages> all() const {
    std::vector<refused_messages> out;
    for (std::size_t index = 0; index < counts_.size(); ++index)
      if (const auto messages = counts_[index].load(std::memory_order_relaxed); messages > 0)
        out.push_back({static_cast<send_outcome>(index), messages});
    return out;
  }

private:
  std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(send_outcome::invalid) + 1>
    counts_{};
};

} // namespace postbus::actors
