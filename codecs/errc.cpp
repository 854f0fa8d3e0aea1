#include "postbus/codecs/errc.hpp"

namespace postbus {

std::string_view to_string(errc code) noexcept {
  switch (code) {
  case errc::none:
    return "none";
  case errc::unknown:
    return "unknown";
  case errc::closed:
    return "closed";
  case errc::idle:
    return "idle";
  case errc::shutting_down:
    return "shutting_down";
  case errc::canceled:
    return "canceled";
  case errc::not_postbus:
    return "not_postbus";
  case errc::version_unsupported:
    return "version_unsupported";
  case errc::wrong_node:
    return "wrong_node";
  case errc::self_connection:
    return "self_connection";
  case errc::rejected:
    return "rejected";
  case errc::already_connected:
    return "already_connected";
  case errc::id_in_use:
    return "id_in_use";
  case errc::handshake_timeout:
    return "handshake_timeout";
  case errc::handshake_lost:
    return "handshake_lost";
  case errc::too_many_handshakes:
    return "too_many_handshakes";
  case errc::too_many_connections:
    return "too_many_connections";
  case errc::malformed_frame:
    return "malformed_frame";
  case errc::unknown_kind:
    return "unknown_kind";
  case errc::unknown_flag:
    return "unknown_flag";
  case errc::frame_too_large:
    return "frame_too_large";
  case errc::unexpected_frame:
    return "unexpected_frame";
  case errc::window_exceeded:
    return "window_exceeded";
  case errc::peer_lost:
    return "peer_lost";
  case errc::peer_restarted:
    return "peer_restarted";
  case errc::peer_too_slow:
    return "peer_too_slow";
  case errc::connection_cut:
    return "connection_cut";
  case errc::connection_reset:
    return "connection_reset";
  case errc::not_connected:
    return "not_connected";
  case errc::congested:
    return "congested";
  case errc::timeout:
    return "timeout";
  case errc::would_deadlock:
    return "would_deadlock";
  case errc::bad_endpoint:
    return "bad_endpoint";
  case errc::unsupported:
    return "unsupported";
  case errc::resolve_failed:
    return "resolve_failed";
  case errc::connect_failed:
    return "connect_failed";
  case errc::listen_failed:
    return "listen_failed";
  case errc::too_large:
    return "too_large";
  case errc::system_failed:
    return "system_failed";
  case errc::node_closed:
    return "node_closed";
  case errc::bad_option:
    return "bad_option";
  case errc::no_handler:
    return "no_handler";
  case errc::request_failed:
    return "request_failed";
  case errc::handler_lost:
    return "handler_lost";
  case errc::subscriber_too_slow:
    return "subscriber_too_slow";
  case errc::truncated_value:
    return "truncated_value";
  case errc::trailing_bytes:
    return "trailing_bytes";
  case errc::wrong_type:
    return "wrong_type";
  case errc::too_deep:
    return "too_deep";
  case errc::too_many_elements:
    return "too_many_elements";
  case errc::malformed_value:
    return "malformed_value";
  }
  return "unknown"; // not reached: an errc is made from its names, or by errc_from_wire
}

std::string_view describe(errc code) noexcept {
  switch (code) {
  case errc::none:
    return "nothing went wrong";
  case errc::unknown:
    return "a reason that this version has no name for";
  case errc::closed:
    return "closed by the program";
  case errc::idle:
    return "nothing was exchanged for the idle time";
  case errc::shutting_down:
    return "the node or the runtime is going down";
  case errc::canceled:
    return "given up by whoever had asked for it";
  case errc::not_postbus:
    return "the first bytes are not this protocol's";
  case errc::version_unsupported:
    return "the two sides have no protocol version in common";
  case errc::wrong_node:
    return "the peer has another id than the one asked for";
  case errc::self_connection:
    return "the peer is this very node";
  case errc::rejected:
    return "the application turned the connection down";
  case errc::already_connected:
    return "a live connection to this peer exists and is kept";
  case errc::id_in_use:
    return "a live peer with another incarnation holds this id";
  case errc::handshake_timeout:
    return "the connection was not open within the handshake deadline";
  case errc::handshake_lost:
    return "the connection was open on this side only: the last welcome did not arrive";
  case errc::too_many_handshakes:
    return "the bound on connections that are not open yet was reached";
  case errc::too_many_connections:
    return "the bound on open connections was reached";
  case errc::malformed_frame:
    return "the body of a frame does not have the form of its kind";
  case errc::unknown_kind:
    return "a frame has a kind that neither side announced";
  case errc::unknown_flag:
    return "a frame has a flag that means nothing";
  case errc::frame_too_large:
    return "the length of a frame is above the bound";
  case errc::unexpected_frame:
    return "a frame has no place in this state";
  case errc::window_exceeded:
    return "more was sent than credit had been granted for";
  case errc::peer_lost:
    return "nothing arrived from the peer for too long";
  case errc::peer_restarted:
    return "the peer came back with another incarnation";
  case errc::peer_too_slow:
    return "bytes were waiting and the peer took none for too long";
  case errc::connection_cut:
    return "the connection ended without a goodbye";
  case errc::connection_reset:
    return "the operating system reported an error on the connection";
  case errc::not_connected:
    return "there is no open connection to that node";
  case errc::congested:
    return "the queue is full and the message was not taken";
  case errc::timeout:
    return "the deadline passed";
  case errc::would_deadlock:
    return "a blocking call was made on a loop, which must not block";
  case errc::bad_endpoint:
    return "the text is no endpoint";
  case errc::unsupported:
    return "this is known but not offered here";
  case errc::resolve_failed:
    return "the host name has no address";
  case errc::connect_failed:
    return "no address could be reached";
  case errc::listen_failed:
    return "the address cannot be listened on";
  case errc::too_large:
    return "this is larger than a frame may be";
  case errc::system_failed:
    return "the operating system refused a resource";
  case errc::node_closed:
    return "the node, or the runtime it lived in, is closed";
  case errc::bad_option:
    return "a setting is outside its range";
  case errc::no_handler:
    return "nobody there handles such a request";
  case errc::request_failed:
    return "the handler said no";
  case errc::handler_lost:
    return "the handler ended without an answer";
  case errc::subscriber_too_slow:
    return "a subscriber did not take what came, and its subscription ended";
  case errc::truncated_value:
    return "the bytes end inside a value";
  case errc::trailing_bytes:
    return "bytes follow the value";
  case errc::wrong_type:
    return "the value has another type than the one asked for";
  case errc::too_deep:
    return "the value is nested deeper than the bound";
  case errc::too_many_elements:
    return "a count is larger than the bytes left could hold";
  case errc::malformed_value:
    return "the bytes begin no value";
  }
  return describe(errc::unknown);
}

errc errc_from_wire(std::uint16_t number) noexcept {
  const errc code = static_cast<errc>(number);
  switch (code) {
  case errc::none:
  case errc::unknown:
  case errc::closed:
  case errc::idle:
  case errc::shutting_down:
  case errc::canceled:
  case errc::not_postbus:
  case errc::version_unsupported:
  case errc::wrong_node:
  case errc::self_connection:
  case errc::rejected:
  case errc::already_connected:
  case errc::id_in_use:
  case errc::handshake_timeout:
  case errc::handshake_lost:
  case errc::too_many_handshakes:
  case errc::too_many_connections:
  case errc::malformed_frame:
  case errc::unknown_kind:
  case errc::unknown_flag:
  case errc::frame_too_large:
  case errc::unexpected_frame:
  case errc::window_exceeded:
  case errc::peer_lost:
  case errc::peer_restarted:
  case errc::peer_too_slow:
  case errc::connection_cut:
  case errc::connection_reset:
  case errc::not_connected:
  case errc::congested:
  case errc::timeout:
  case errc::would_deadlock:
  case errc::bad_endpoint:
  case errc::unsupported:
  case errc::resolve_failed:
  case errc::connect_failed:
  case errc::listen_failed:
  case errc::too_large:
  case errc::system_failed:
  case errc::node_closed:
  case errc::bad_option:
  case errc::no_handler:
  case errc::request_failed:
  case errc::handler_lost:
  case errc::subscriber_too_slow:
  case errc::truncated_value:
  case errc::trailing_bytes:
  case errc::wrong_type:
  case errc::too_deep:
  case errc::too_many_elements:
  case errc::malformed_value:
    return code;
  }
  return errc::unknown;
}

} // namespace postbus
