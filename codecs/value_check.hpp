// value_check: whether foreign bytes are one whole MessagePack value, found out in one pass, without
// allocating, before anything is made of them. Also reads the values that are a single token.
// Knows the format (https://github.com/msgpack/msgpack/blob/master/spec.md), not msgpack-c.
#pragma once

#include "postbus/codecs/result.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace postbus::codecs {

/// Bounds for a value from outside. Besides them every count and length must be backed by bytes.
struct value_limits {
  /// More is not offered, so that the check needs no memory: larger bounds count as this one.
  static constexpr std::uint32_t depth_ceiling = 512;

  /// Arrays and maps inside each other; 0 allows none.
  std::uint32_t depth_max = 64;
  /// Elements of all arrays, keys and values of all maps, together. Each has at least one byte in the
  /// message, but a `std::vector<T>` makes room for all of them before it looks at the first: sizeof(T)
  /// bytes for each byte received. Bound it for elements of a type that is large while empty.
  std::uint32_t elements_max = UINT32_MAX;
};

/// Fails with truncated_value, trailing_bytes, malformed_value, too_deep or too_many_elements.
/// A timestamp (ext -1) outside the years that 64 bits of nanoseconds can count is malformed too.
[[nodiscard]] result<void> check_value(std::span<const std::byte> bytes,
                                       const value_limits& limits = {}) noexcept;

// -- values of a single token -------------------------------------------------------------
// True when `bytes` are one such value and nothing else; otherwise `found` is as it was.

/// The content of a str or a bin, in place.
[[nodiscard]] bool read_text(std::span<const std::byte> bytes, std::string_view& found) noexcept;

/// The content of a bin, in place.
[[nodiscard]] bool read_binary(std::span<const std::byte> bytes,
                               std::span<const std::byte>& found) noexcept;

[[nodiscard]] bool read_boolean(std::span<const std::byte> bytes, bool& found) noexcept;

/// An integer in any of its widths, signed or not.
struct integer {
  std::uint64_t bits = 0; ///< Two's complement when negative.
  bool negative = false;
};
[[nodiscard]] bool read_integer(std::span<const std::byte> bytes, integer& found) noexcept;

/// A float of either width, or an integer.
[[nodiscard]] bool read_floating(std::span<const std::byte> bytes, double& found) noexcept;

/// What the exception that is being handled says of a value: system_failed without memory,
/// otherwise wrong_type with the exception's words. Call it in a catch block only.
[[nodiscard]] error error_of_exception() noexcept;

} // namespace postbus::codecs
