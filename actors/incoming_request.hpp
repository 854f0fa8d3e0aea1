// incoming_request: a peer's question in the hands of a handler. A small handle to copy about and to pass
// on: whoever holds it may answer, on any thread, now or later. When the last copy goes without an answer
// the peer is told so (`handler_lost`), also when that is because the handler threw or died.
#pragma once

#include "postbus/bus/decode.hpp"
#include "postbus/bus/node_id.hpp"
#include "postbus/bus/request.hpp"
#include "postbus/codecs/byte_buffer.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace postbus {

namespace actors {
class request_ticket;

/// Packs text as text, also a literal with its length; everything else as msgpack-c does.
template <class T>
[[nodiscard]] result<void> pack_any(codecs::byte_buffer& into, const T& value) {
  if constexpr (std::convertible_to<const T&, std::string_view>)
    return codecs::pack_value(into, std::string_view(value));
  else
    return codecs::pack_value(into, value);
}

} // namespace actors

/// How to answer.
struct respond_options {
  std::uint16_t tag = 0; ///< For the asker, who sees it before it decodes.
};

/// A request of a peer, or of the node itself, that waits for an answer. Copies are the same request; it
/// fails with `handler_lost` when the last one goes unanswered.
class incoming_request {
public:
  /// Nobody's; answers to it come to nothing.
  incoming_request() = default;

  /// Who asks. This node's own id when it asks itself.
  [[nodiscard]] const node_id& from() const noexcept;
  /// The asker's tag, 0 when it gave none.
  [[nodiscard]] std::uint16_t tag() const noexcept;
  /// True when it was sent as bytes, false when as a value.
  [[nodiscard]] bool is_opaque() const noexcept;
  /// The body: MessagePack, unless `is_opaque()`. May be kept.
  [[nodiscard]] const payload& body() const noexcept;
  /// The same, seen as text.
  [[nodiscard]] std::string_view text() const noexcept { return body().text(); }
  /// The value, or `wrong_type`, `truncated_value` and the like, within `bounds`.
  template <class T>
  [[nodiscard]] result<T> as(const codecs::value_limits& bounds = {}) const {
    return codecs::unpack_value<T>(body().bytes(), bounds);
  }
  /// Until when the asker waits; `never` when for as long as the connection lasts.
  [[nodiscard]] time_point deadline() const noexcept;
  /// Nobody waits for the answer any more: the asker gave up, its time is over, or it is gone.
  [[nodiscard]] bool is_called_off() const noexcept;

  /// Answers with a value. False when it was answered or called off before, or the value cannot be
  /// packed: then it is not answered.
  template <class T>
  bool respond(const T& value, respond_options how = {}) const {
    codecs::byte_buffer packed;
    return actors::pack_any(packed, value).has_value()
           && answer(bus::response{packed.release(), how.tag, false});
  }
  /// Answers with bytes, which the asker sees as opaque.
  bool respond_bytes(payload bytes, respond_options how = {}) const {
    return answer(bus::response{std::move(bytes), how.tag, true});
  }
  /// Says no, with a code and words of the program's own; at most 1,000 bytes of them arrive.
  bool fail(std::uint32_t code, std::string_view words) const {
    return answer(bus::failure{errc::request_failed, code, std::string(words)});
  }

  /// Tells requests apart, for a handler that hears of `request_called_off`; 0 for nobody's.
  [[nodiscard]] std::uint64_t number() const noexcept;

private:
  friend class actors::request_ticket;
  explicit incoming_request(std::shared_ptr<const actors::request_ticket> ticket) noexcept
    : ticket_(std::move(ticket)) {}
  bool answer(bus::request_answer what) const;

  std::shared_ptr<const actors::request_ticket> ticket_;
};

/// Told to a handler that asked for it: nobody waits for the answer to this request any more.
struct request_called_off {
  std::uint64_t number = 0; ///< As `incoming_request::number`.
};

} // namespace postbus
