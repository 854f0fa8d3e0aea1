// control: the bodies of the frames that two nodes exchange about their connection, as values.
// Encodes and decodes; decides nothing. A decoded value is proof that its bytes were good.
// The layouts are normative in docs/PROTOCOL.md.
#pragma once

#include "postbus/bus/limits.hpp"
#include "postbus/bus/node_id.hpp"
#include "postbus/codecs/chunk.hpp"
#include "postbus/codecs/frame.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace postbus::bus {

/// The protocol versions this code speaks.
inline constexpr std::uint16_t version_min = 1;
inline constexpr std::uint16_t version_max = 1;

/// Who a side is and what it can. First frame of the dialer, answered by the listener with its own.
///   magic "postbus\n"  u16 version_min  u16 version_max  16 own id  16 expected id (zero: anybody)
///   u64 incarnation    — frozen for ever —
///   then one MessagePack map; unknown keys are skipped, of missing ones the defaults here hold:
///   "keepalive_ms" uint, "frame_bytes_max" uint, "requests_max" uint, "request_bytes_max" uint,
///   "window_bytes" uint, "window_frames" uint, "features" array of str, "init" bin
/// What follows the prefix is a matter of the version: where no version is common it is not read,
/// and the values here are the defaults.
struct hello {
  std::uint16_t version_min = bus::version_min;
  std::uint16_t version_max = bus::version_max;
  node_id id;       ///< Never "no node".
  node_id expected; ///< "No node" when anybody may answer.
  std::uint64_t incarnation = 0;
  std::uint32_t keepalive_ms = 15000;         ///< 100 to 3,600,000.
  std::uint32_t frame_bytes_max = 16u << 20;  ///< At least 1,024.
  std::uint32_t requests_max = 1024;          ///< Open at a time; 0: none are taken.
  std::uint32_t request_bytes_max = 4u << 20; ///< Of those, frames and all.
  std::uint32_t window_bytes = 0;    ///< Credit for messages before the first credit frame.
  std::uint32_t window_frames = 0;   ///< The same in frames.
  std::vector<std::string> features; ///< At most 64, each of 1 to 64 printable ASCII characters.
  payload init; ///< The application's, MessagePack or whatever it likes; may be empty.
};

/// "I take you." u16 version chosen; bytes behind it are skipped.
struct welcome {
  std::uint16_t version = version_max;
};

/// "I do not take you." u16 reason, UTF-8 text up to the end.
struct refuse {
  errc reason = errc::rejected;
  std::string text;
};

/// "I send no more." u16 reason, u64 frames taken so far, UTF-8 text up to the end.
struct goodbye {
  errc reason = errc::closed;
  std::uint64_t frames_taken = 0;
  std::string text;
};

/// ping and pong: u64 token, chosen by the pinger, returned by the other.
struct probe {
  std::uint64_t token = 0;
};

/// What the peer may send up to, and what of it has been taken; all cumulative over the connection.
/// u32 stream (0: messages)  u64 bytes limit  u64 frames limit  u64 frames taken
struct credit {
  std::uint32_t stream = 0;
  std::uint64_t bytes_limit = 0;
  std::uint64_t frames_limit = 0;
  std::uint64_t frames_taken = 0;

  friend bool operator==(const credit&, const credit&) = default;
};

inline constexpr std::size_t magic_bytes = 8;
/// The part of a hello's body that never changes.
inline constexpr std::size_t hello_prefix_bytes = magic_bytes + 2 + 2 + 16 + 16 + 8;
inline constexpr std::size_t features_max = 64;
inline constexpr std::size_t feature_bytes_max = 64;
/// The body of a refuse or goodbye that is sent; its text is cut to fit. Every peer takes as much.
inline constexpr std::size_t farewell_bytes_max = 1024;
/// The text of a refuse or goodbye that was received; what is longer is cut.
inline constexpr std::size_t text_bytes_max = 1024;
inline constexpr std::uint32_t keepalive_ms_min = 100;
inline constexpr std::uint32_t keepalive_ms_max = 3'600'000;
inline constexpr std::uint32_t frame_bytes_max_min = 1024;

/// `text` fit to be printed and sent: bytes that are not UTF-8 and control characters are '?' each,
/// and it ends, between two characters, after at most `bytes_max` bytes.
[[nodiscard]] std::string clean_text(std::string_view text, std::size_t bytes_max = text_bytes_max);

/// What a reason on the wire stands for. An end has one: `none`, which nobody sends, is as good as a number
/// without a name, `unknown`.
[[nodiscard]] errc reason_from_wire(std::uint16_t number) noexcept;

/// The whole frame, header included. Texts are cleaned and cut; all other values must be in their
/// ranges already.
[[nodiscard]] payload encode(const hello&);
[[nodiscard]] payload encode(const welcome&);
[[nodiscard]] payload encode(const refuse&);
[[nodiscard]] payload encode(const goodbye&);
[[nodiscard]] payload encode_ping(const probe&);
[[nodiscard]] payload encode_pong(const probe&);
[[nodiscard]] payload encode(const credit&);

/// The value a body stands for, or `not_postbus` (hello's magic), `malformed_frame` with what is
/// wrong; blame is the peer's. Never allocates more than the body has bytes (times a small constant).
/// Texts come out clean, reasons without a name here as `unknown`.
[[nodiscard]] result<hello> decode_hello(std::span<const std::byte> body);
[[nodiscard]] result<welcome> decode_welcome(std::span<const std::byte> body);
[[nodiscard]] result<refuse> decode_refuse(std::span<const std::byte> body);
[[nodiscard]] result<goodbye> decode_goodbye(std::span<const std::byte> body);
[[nodiscard]] result<probe> decode_probe(std::span<const std::byte> body);
[[nodiscard]] result<credit> decode_credit(std::span<const std::byte> body);

} // namespace postbus::bus
