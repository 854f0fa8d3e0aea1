// request_frames: the bodies of the frames by which two nodes ask and answer each other, as values.
// Encodes and decodes; decides nothing. The layouts are normative in docs/PROTOCOL.md.
#pragma once

#include "postbus/bus/request.hpp"

#include <array>
#include <cstddef>
#include <span>

namespace postbus::bus {

inline constexpr std::size_t correlation_bytes = 4;
inline constexpr std::size_t request_prefix_bytes = correlation_bytes + 4;
/// A failure's whole body as it is sent; its text is cut to fit.
inline constexpr std::size_t failure_bytes_max = 1024;

// -- writing ----------------------------------------------------------------------------

/// What every such body begins with.
[[nodiscard]] std::array<std::byte, correlation_bytes>
encode_correlation(correlation_id id) noexcept;
/// What a request's body begins with. A millisecond begun counts; more than 49 days are for ever.
[[nodiscard]] std::array<std::byte, request_prefix_bytes>
encode_request_prefix(correlation_id id, duration time_left) noexcept;
/// A failure's whole body; the text is cleaned and cut.
[[nodiscard]] payload encode_failure_body(correlation_id id, const failure& what);

// -- reading ----------------------------------------------------------------------------

struct request_body {
  correlation_id id = 0;
  duration time_left{}; ///< `duration::max()`: as long as the connection lasts.
  std::span<const std::byte> value;
};
struct response_body {
  correlation_id id = 0;
  std::span<const std::byte> value;
};
struct failure_body {
  correlation_id id = 0;
  failure what; ///< Its text comes out clean, a reason without a name here as `unknown`.
};

/// The value a body stands for, or `malformed_frame` with what is wrong; blame is the peer's.
[[nodiscard]] result<request_body> decode_request(std::span<const std::byte> body);
[[nodiscard]] result<response_body> decode_response(std::span<const std::byte> body);
[[nodiscard]] result<failure_body> decode_failure(std::span<const std::byte> body);
[[nodiscard]] result<correlation_id> decode_cancel(std::span<const std::byte> body);

} // namespace postbus::bus
