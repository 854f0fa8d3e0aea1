// request: what two nodes ask and answer each other, as values: a response or a failure to each
// request. Plain data; who keeps the books is requests.hpp, who speaks it on the wire session.hpp.
#pragma once

#include "postbus/bus/time.hpp"
#include "postbus/codecs/chunk.hpp"
#include "postbus/codecs/result.hpp"
#include "postbus/codecs/value_check.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace postbus {

/// A handler's no: a number and words of the program that answered.
struct request_failure {
  std::uint32_t code = 0;
  std::string text; ///< UTF-8, at most 1,000 bytes.

  friend bool operator==(const request_failure&, const request_failure&) = default;
};

/// A handler's answer to a request.
struct reply {
  payload body; ///< MessagePack, unless `opaque`.
  std::uint16_t tag = 0;
  bool opaque = false;
  /// Set when the handler said no; then there is no body.
  std::optional<request_failure> failure;

  /// The body, seen as text.
  [[nodiscard]] std::string_view text() const noexcept { return body.text(); }
  /// The value; `request_failed` with the handler's words when it said no; `wrong_type`,
  /// `truncated_value` and the like, within `bounds`. Defined in bus/decode.hpp.
  template <class T>
  [[nodiscard]] result<T> as(const codecs::value_limits& bounds = {}) const;
};

namespace bus {

/// Names a request among the open ones of the node that asks.
using correlation_id = std::uint32_t;

/// A request on its way to a connection.
struct request {
  correlation_id id = 0;
  payload body;
  std::uint16_t tag = 0;
  bool opaque = false;
  time_point deadline = never; ///< The asker waits no longer.
};

/// "Here it is."
struct response {
  payload body;
  std::uint16_t tag = 0;
  bool opaque = false;
};

/// "No": the reason of a bus between the programs, or the program's own with `request_failed`.
struct failure {
  errc reason = errc::request_failed;
  std::uint32_t code = 0;
  std::string text;
};

using request_answer = std::variant<response, failure>;

/// What the asker is told: a failure that a program meant is a reply, every other an error.
[[nodiscard]] result<reply> told_as(request_answer answer);

} // namespace bus
} // namespace postbus
