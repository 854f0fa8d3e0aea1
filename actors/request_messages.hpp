// request_messages: the typed messages by which actors ask other nodes and handle what those ask. All
// of them are local: CAF never serialises one.
#pragma once

#include "postbus/actors/caf.hpp"
#include "postbus/actors/incoming_request.hpp"
#include "postbus/bus/tag_range.hpp"
#include "postbus/codecs/message_type.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

namespace postbus {

/// Ask a peer, or this node itself. Answered with the handler's `reply`; or with `not_connected`, `congested`,
/// `too_large`, `timeout`, `canceled`, `node_closed`, the reason why the connection ended, or what the
/// peer's node says instead of its handler: `no_handler`, `handler_lost`, `congested`, `shutting_down`.
struct send_request {
  node_id to;
  payload body;
  std::uint16_t tag = 0;
  bool opaque = true;                         ///< The body is bytes, not MessagePack.
  duration within = std::chrono::seconds(10); ///< Then it is answered with `timeout`.
  std::uint64_t key =
    0; ///< Of the asking actor's choice, for `cancel_request`; 0: it will not cancel.

  /// One that carries a value, with the tag of its type unless you name another; an error when the value
  /// cannot be packed.
  template <class T>
  [[nodiscard]] static result<send_request> of(const node_id& to, const T& value,
                                               std::optional<std::uint16_t> tag = std::nullopt) {
    codecs::byte_buffer packed;
    if (auto done = actors::pack_any(packed, value); !done)
      return done.error();
    return send_request{
      .to = to, .body = packed.release(), .tag = tag.value_or(tag_of<T>()), .opaque = false};
  }
};

/// Give up a request of the same actor: it is answered with `canceled`, and the handler is told.
/// Answered with whether it was still open.
struct cancel_request {
  std::uint64_t key = 0;
};

/// Handle requests: the actor gets each as an `incoming_request`. Answered with a `handler`, which is needed
/// to end it only; or with `bad_option`: a range of tags that ends before it begins. An actor that dies is
/// forgotten, and what it has not answered has failed.
struct handle_requests {
  caf::actor by;
  std::vector<tag_range> tags =
    {};                         ///< Empty: all. Of several handlers the first registered has a tag.
  bool tell_called_off = false; ///< It also gets `request_called_off`.
};

/// Names a handler of requests, to end it.
struct handler {
  std::uint64_t id = 0;
};

/// No more requests go to a handler; those that it has it may answer. Answered with whether there was one. A
/// function is not called again, but may still run: the call `node::stop_handling` waits for that.
struct stop_handling {
  handler which;
};

} // namespace postbus
