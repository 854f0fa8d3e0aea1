// operations: what the fuzz targets share: their input read as numbers and choices, laws that end the
// program with words, and ids. Knows nothing of what is tested.
// Drive: while more(), choose an operation with below() and read its arguments; at the end of the
// input every number is 0, so that an input cut short is still one.
#pragma once

#include "postbus/bus/node_id.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <span>

namespace postbus::fuzz {

/// Ends the program when `what` does not hold. Fuzzer and replay both notice that, and print the words.
inline void law(bool holds, const char* what) {
  if (holds) [[likely]]
    return;
  std::fprintf(stderr, "law broken: %s\n", what);
  std::abort();
}

/// Runs what checks laws of its own by throwing, as tests/support does; and nothing may be thrown else.
template <class Run>
void under_law(Run&& run) {
  try {
    run();
  } catch (const std::exception& broken) {
    law(false, broken.what());
  }
}

/// An id of sixteen equal bytes.
inline node_id id_of(unsigned byte) {
  node_id::bytes_type bytes;
  bytes.fill(static_cast<std::byte>(byte));
  return node_id(bytes);
}

/// The byte at `index` of the content number `number`: what is sent, queued or kept is filled with it.
inline std::byte pattern(std::uint64_t number, std::size_t index) {
  return static_cast<std::byte>(number * 131 + index * 7 + (index >> 8));
}

/// Whether `bytes` begin like the content number `number`. Long ones are looked at here and there.
inline bool has_pattern(std::span<const std::byte> bytes, std::uint64_t number) {
  const std::size_t step = bytes.size() > 4096 ? 251 : 1;
  for (std::size_t index = 0; index < bytes.size(); index += step)
    if (bytes[index] != pattern(number, index))
      return false;
  return bytes.empty() || bytes.back() == pattern(number, bytes.size() - 1);
}

class operations {
public:
  /// No more than `bytes_max` bytes are read: what comes behind them only costs time.
  operations(const std::uint8_t* data, std::size_t size, std::size_t bytes_max = 2048) noexcept
    : at_(data), end_(data + std::min(size, bytes_max)) {}

  [[nodiscard]] bool more() const noexcept { return at_ != end_; }

  unsigned byte() noexcept { return at_ == end_ ? 0u : *at_++; }
  /// A number below `bound`, which is at most 256.
  unsigned below(unsigned bound) noexcept { return byte() % bound; }
  bool flag() noexcept { return (byte() & 1) != 0; }
  /// Small ones in one byte; from 192 on a second byte is shifted, by up to 16 bits.
  std::size_t size() noexcept {
    const auto first = byte();
    if (first < 192)
      return first;
    return (std::size_t{byte()} << ((first - 192) % 17)) + (first >= 224 ? 1 : 0);
  }
  /// Any, most of them near 0 or near the largest.
  std::uint64_t number() noexcept {
    const auto first = byte();
    const auto value = std::uint64_t{byte()} << (first % 64);
    return (first & 0x80) != 0 ? UINT64_MAX - value : value;
  }
  /// What is left, as bytes.
  std::span<const std::byte> rest() noexcept {
    const std::span left(at_, end_);
    at_ = end_;
    return std::as_bytes(left);
  }

private:
  const std::uint8_t* at_;
  const std::uint8_t* end_;
};

} // namespace postbus::fuzz
