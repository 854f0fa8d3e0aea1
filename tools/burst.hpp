// burst: as many messages as go from one node to another, counted and checksummed at both ends.
// Drive: run; it sends on this thread, receives on another, and ends when all is there or time is up.
#pragma once

#include "postbus/postbus.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace tool {

struct burst {
  std::uint64_t messages = 0;
  std::size_t size_bytes = 0; ///< Of each; a multiple of 8.
};

/// What one end saw.
struct tally {
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;
  std::uint64_t checksum = 0; ///< Over all bytes; depends on the order of the messages.

  /// Counts a message of a multiple of 8 bytes.
  void add(std::span<const std::byte> body) noexcept;
  friend bool operator==(const tally&, const tally&) = default;
};

struct burst_result {
  tally sent;
  tally received;
  std::chrono::nanoseconds time{};

  [[nodiscard]] bool is_whole() const noexcept { return sent == received; }
};

/// Sends from `from` to the node that `inbox` belongs to. Nothing else may be sent to it meanwhile.
[[nodiscard]] burst_result run(const burst& what, postbus::sender from, postbus::inbox& inbox);

} // namespace tool
