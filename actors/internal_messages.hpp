// internal_messages: what the library's own actors tell each other. Not for users: may change.
#pragma once

#include "postbus/actors/answer.hpp"
#include "postbus/actors/messages.hpp"
#include "postbus/bus/node.hpp"

#include <memory>

namespace postbus::actors {

class handling_function;
struct socket_box; // an open, connected socket on its way to its connection actor
class recipient;
class node_shell;

/// To a connection: frames wait in its link.
struct drain_link {};
/// To a connection or node: messages were let go.
struct settle_receipts {
  std::uint64_t subscription = 0;
};
/// To a connection: what the core decided.
struct command {
  std::variant<bus::node::accept_connection, bus::node::close_connection, bus::node::end_connection,
               bus::node::probe_connection, bus::node::tick_connection,
               bus::node::adjust_connection, bus::node::keep_connection, bus::node::send_request,
               bus::node::send_cancel, bus::node::send_answer, bus::node::report_connection>
    what;
};
/// To a connection: bytes were left over from its last turn.
struct next_turn {};
/// To an actor that owns a socket or a timer: it may end now.
struct finish {};
/// To a listener: it may end now, and says when its endpoint is free.
struct end_listening {
  answer<bool> reply;
};

/// To the node: messages of a connection.
struct frames_arrived {
  bus::connection_id connection = 0;
  bus::shared<bus::received_frames> frames;
};
/// To the node: what else a session told.
struct session_told {
  bus::connection_id connection = 0;
  std::shared_ptr<bus::session_event> event;
};
/// To the node: what a connection has done, when it was asked.
struct connection_reported {
  bus::connection_id connection = 0;
  bus::collection_id collection = 0;
  std::shared_ptr<connection_statistics> what;
};
/// To the node: when a session must be ticked.
struct arm_deadline {
  bus::connection_id connection = 0;
  time_point when;
};
/// To the node: its timer fired.
struct tick_node {};
/// To the node: a listener took a connection.
struct accepted {
  std::shared_ptr<socket_box> socket;
  std::string origin; ///< Whom it is counted for.
};
/// To the node: a dial reached the peer's machine, or did not.
struct dial_done {
  std::uint64_t dial = 0;
  std::shared_ptr<socket_box> socket; ///< Null when it failed.
  error why;
};

/// To the node: a listener has no endpoint after all.
struct listening_failed {
  std::uint64_t listener = 0;
};

/// To the node, from a handle on a plain thread.
struct ask_listen {
  std::string endpoint;
  answer<std::string> reply;
};
struct ask_connect {
  std::string endpoint;
  duration within;
  answer<node_id> reply;
};
struct ask_subscribe {
  bus::subscription_options wants;
  std::shared_ptr<recipient> who;
  answer<subscription> reply;
};
struct ask_unsubscribe {
  std::uint64_t id = 0;
};
struct ask_count {
  bus::subscription_id which = 0;
  answer<subscription_counters> reply;
};
/// To the node: an actor with subscriptions is over.
struct subscriber_over {
  caf::actor_id who = 0;
};
/// From a thread that waited too long for the answer to its `ask_subscribe`.
struct forget_recipient {
  std::shared_ptr<recipient> who;
};
struct ask_decide {
  decide what;
  const void* asked_by; ///< The node that asked: `connection_request::hold`.
  answer<bool> reply;
};
struct ask_look {
  std::string endpoint;
  duration within;
  answer<connection_request> told;
};
/// Agrees to a peer, and waits until it is open.
struct ask_open {
  connect_to what;
  const void* asked_by; ///< As above.
  answer<node_id> told;
};
/// From the last copy of a question that nobody answered.
struct drop_request {
  std::uint64_t connection = 0;
};
struct ask_statistics {
  answer<node_statistics> reply;
};
struct ask_spawn {
  std::function<caf::behavior(caf::event_based_actor*)> what;
  answer<caf::actor> reply;
};
struct ask_close {
  close_node how;
};
struct ask_request {
  send_request what;
  answer<reply> told;
};
struct ask_cancel {
  std::uint64_t key = 0;
};
struct ask_handle {
  handle_requests what;
  answer<handler> reply;
};
struct ask_handle_function {
  std::shared_ptr<handling_function> what;
  std::vector<tag_range> tags;
  answer<handler> reply;
};
/// To the actor of a handling function: no request comes behind this.
struct last_request {};
struct ask_stop_handling {
  std::uint64_t id = 0;
  std::shared_ptr<handling_function> what = nullptr; ///< Instead of the id, which nobody was told.
};
/// From whoever holds a peer's request.
struct ask_respond {
  bus::connection_id connection = 0;
  bus::correlation_id id = 0;
  bus::request_answer what;
};
/// From the last holder of a peer's request that was called off.
struct request_let_go {
  bus::connection_id connection = 0;
  std::size_t bytes = 0;
};
/// To the node: end everything at once; the runtime has waited long enough.
struct ask_end {};
/// From a handle: to be done on the node's loop.
struct node_task {
  std::function<void(node_shell&)> run;
};

} // namespace postbus::actors
