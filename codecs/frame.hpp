// frame: the native layout, postbus/1. Eight bytes in front of every body, integers big-endian:
//   u32 length (bytes after these eight)   u8 kind   u8 flags   u16 tag
// Says how a frame looks, not when one may be sent. The normative text is docs/PROTOCOL.md.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace postbus::codecs {

/// What a frame is for. Numbers as on the wire, all fixed from the first version.
enum class frame_kind : std::uint8_t {
  hello = 1,
  welcome = 2,
  refuse = 3,
  goodbye = 4,
  ping = 5,
  pong = 6,
  credit = 7,
  message = 16,
  request = 17,
  response = 18,
  failure = 19,
  cancel = 20,
  stream_open = 32,
  stream_accept = 33,
  stream_refuse = 34,
  stream_data = 35,
  stream_end = 36,
  stream_reset = 37,
  behavior = 48,
};

/// Bits of `frame_header::flags`. Any other bit is a protocol error.
namespace frame_flag {
inline constexpr std::uint8_t routed = 0x01;     ///< A route header precedes the body.
inline constexpr std::uint8_t correlated = 0x02; ///< A correlation id precedes the body.
inline constexpr std::uint8_t opaque = 0x04;     ///< The body is bytes, not MessagePack.
inline constexpr std::uint8_t known = routed | correlated | opaque;
} // namespace frame_flag

inline constexpr std::size_t frame_header_bytes = 8;

struct frame_header {
  std::uint32_t length = 0; ///< Bytes of the body.
  frame_kind kind = frame_kind::message;
  std::uint8_t flags = 0;
  std::uint16_t tag = 0; ///< The user's; 0 in control frames.

  friend bool operator==(const frame_header&, const frame_header&) = default;
};

// -- integers as on the wire ------------------------------------------------------

template <class T>
[[nodiscard]] constexpr T big_endian(T value) noexcept {
  if constexpr (std::endian::native == std::endian::big || sizeof(T) == 1)
    return value;
  else if constexpr (sizeof(T) == 2)
    return static_cast<T>(__builtin_bswap16(value));
  else if constexpr (sizeof(T) == 4)
    return static_cast<T>(__builtin_bswap32(value));
  else
    return static_cast<T>(__builtin_bswap64(value));
}

template <class T>
inline void store(std::byte* at, T value) noexcept {
  value = big_endian(value);
  std::memcpy(at, &value, sizeof value);
}

template <class T>
[[nodiscard]] inline T load(const std::byte* at) noexcept {
  T value;
  std::memcpy(&value, at, sizeof value);
  return big_endian(value);
}

/// Writes the eight bytes at `at`.
inline void store_header(std::byte* at, const frame_header& header) noexcept {
  store(at, header.length);
  at[4] = static_cast<std::byte>(header.kind);
  at[5] = static_cast<std::byte>(header.flags);
  store(at + 6, header.tag);
}

/// Reads the eight bytes at `at`. Checks nothing: the kind may be one this version has no name for.
[[nodiscard]] inline frame_header load_header(const std::byte* at) noexcept {
  return {load<std::uint32_t>(at), static_cast<frame_kind>(at[4]), static_cast<std::uint8_t>(at[5]),
          load<std::uint16_t>(at + 6)};
}

} // namespace postbus::codecs
