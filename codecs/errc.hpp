// errc: every way in which something can end, be refused or be lost, with its words.
// One enum for the whole library, because a reason travels: from a decoder, through a
// session, over the wire inside refuse and goodbye, to the program that must act on it.
// Never throws, never allocates.
#pragma once

#include <cstdint>
#include <string_view>

namespace postbus {

/// Why something failed, was refused, dropped or closed. The numbers are the ones on the wire
/// (docs/PROTOCOL.md, "Reasons") and never change; a number that is not listed reads as `unknown`.
enum class errc : std::uint16_t {
  none = 0,    ///< Nothing went wrong.
  unknown = 1, ///< A reason this version has no name for.

  // -- ordinary ends ----------------------------------------------------------
  closed = 10,        ///< Closed by the program, in order.
  idle = 11,          ///< Closed because nothing was exchanged for the idle time.
  shutting_down = 12, ///< The node or the runtime is going down.
  canceled = 13,      ///< Given up by whoever had asked for it.

  // -- refusals while a connection opens ----------------------------------------
  not_postbus = 20,          ///< The first bytes are not this protocol's.
  version_unsupported = 21,  ///< The two version ranges do not overlap.
  wrong_node = 22,           ///< The peer has another id than the one that was asked for.
  self_connection = 23,      ///< The peer is this very node.
  rejected = 24,             ///< The application said no; its words come along.
  already_connected = 25,    ///< A live connection to this peer exists and is kept.
  id_in_use = 26,            ///< A live peer with another incarnation holds this id.
  handshake_timeout = 27,    ///< Not open within the handshake deadline.
  handshake_lost = 28,       ///< Open on this side only: the last welcome did not arrive.
  too_many_handshakes = 29,  ///< The bound on connections that are not open yet was reached.
  too_many_connections = 30, ///< The bound on open connections was reached.

  // -- protocol errors -------------------------------------------------------------
  malformed_frame = 40,  ///< A frame whose body does not have the form of its kind.
  unknown_kind = 41,     ///< A frame of a kind that neither side announced.
  unknown_flag = 42,     ///< A flag bit that has no meaning.
  frame_too_large = 43,  ///< A length above the bound for frames.
  unexpected_frame = 44, ///< A frame that has no place in this state.
  window_exceeded = 45,  ///< More was sent than credit had been granted for.

  // -- lost connections -----------------------------------------------------------
  peer_lost = 60, ///< Nothing at all arrived for three keepalive times, or a probe went unanswered.
  peer_restarted = 61,   ///< The same id came back with another incarnation.
  peer_too_slow = 62,    ///< Bytes were waiting and the socket took none for the stall time.
  connection_cut = 63,   ///< The byte stream ended without a goodbye.
  connection_reset = 64, ///< The operating system reported an error on the connection.

  // -- answers to local operations --------------------------------------------------
  not_connected = 80,       ///< No open connection to that node.
  congested = 81,           ///< The queue is full; the message was not taken.
  timeout = 82,             ///< The deadline of the call passed.
  would_deadlock = 83,      ///< A blocking call was made on a loop, which must not block.
  bad_endpoint = 84,        ///< The text is no endpoint; the detail says where it goes wrong.
  unsupported = 85,         ///< Known, but not offered here.
  resolve_failed = 86,      ///< The host name has no address.
  connect_failed = 87,      ///< No address of the endpoint could be reached.
  listen_failed = 88,       ///< The address cannot be listened on.
  too_large = 89,           ///< Larger than a frame may be.
  system_failed = 90,       ///< The operating system refused a resource.
  node_closed = 91,         ///< The node, or the runtime it lived in, is closed.
  bad_option = 92,          ///< A setting outside its range.
  no_handler = 93,          ///< Nobody there handles such a request.
  request_failed = 94,      ///< The handler said no; its code and words come along.
  handler_lost = 95,        ///< The handler ended without an answer.
  subscriber_too_slow = 96, ///< A subscriber did not take what came, and its subscription ended.

  // -- values --------------------------------------------------------------------------
  truncated_value = 110,   ///< The bytes end inside a value.
  trailing_bytes = 111,    ///< Bytes follow the value.
  wrong_type = 112,        ///< A value of another type than the one asked for.
  too_deep = 113,          ///< Nested deeper than the bound.
  too_many_elements = 114, ///< A count larger than the bytes left could hold.
  malformed_value = 115,   ///< Bytes that begin no value.
};

/// The name of `code` as in the source, for logs and metrics: "peer_lost".
[[nodiscard]] std::string_view to_string(errc code) noexcept;

/// One sentence without a full stop for people: "nothing arrived from the peer for too long".
[[nodiscard]] std::string_view describe(errc code) noexcept;

/// The reason that `number`, read from the wire, stands for; `errc::unknown` when there is none.
[[nodiscard]] errc errc_from_wire(std::uint16_t number) noexcept;

} // namespace postbus
