// messages: the typed messages that a node actor takes, and those that its subscribers get. All of
// them are local: CAF never serialises one.
#pragma once

#include "postbus/actors/caf.hpp"
#include "postbus/actors/request_messages.hpp"
#include "postbus/actors/setting_messages.hpp"
#include "postbus/bus/batch.hpp"
#include "postbus/bus/endpoint.hpp"
#include "postbus/bus/events.hpp"
#include "postbus/bus/outbox.hpp"
#include "postbus/bus/statistics.hpp"
#include "postbus/bus/subscription_options.hpp"
#include "postbus/codecs/message_type.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace postbus {

// -- what a node actor takes ------------------------------------------------------------

/// Listen. Answered with the endpoint in use, its port known; or `bad_endpoint`, `unsupported`, `listen_failed`.
struct listen {
  std::string endpoint;
};

/// Connect. Answered with the peer's id once messages may be sent; or with the step that failed.
struct connect {
  std::string endpoint;
  duration within =
    std::chrono::seconds(10); ///< Name resolution, all addresses and handshake together.
};

/// Connect to see who is there. Answered with the peer's id and init message, which await `decide` or
/// `connect_to` within the decision time; or with the step that failed. Who is connected already: `already_connected`.
struct look_at {
  std::string endpoint;
  duration within =
    std::chrono::seconds(10); ///< Name resolution, all addresses and handshake together.
};

/// Agree to a peer that asked, or that was looked at. Answered with its id once messages may be sent, or
/// with why they may not.
struct connect_to {
  std::uint64_t connection = 0; ///< As in the `connection_request`,
  node_id peer = {}; ///< as this, without which the answer is for whoever has that number.
};

/// Send to a connected peer. Answered with what became of it.
struct send_message {
  node_id to;
  payload body;
  std::uint16_t tag = 0;
  bool opaque = true; ///< The body is bytes, not MessagePack.

  /// One that carries a value, with the tag of its type unless you name another; an error when the value
  /// cannot be packed. Defined in actors/node.hpp.
  template <class T>
  [[nodiscard]] static result<send_message> of(const node_id& to, const T& value,
                                               std::optional<std::uint16_t> tag = std::nullopt);
};

/// How messages come to a subscribed actor.
enum class delivery_mode : std::uint8_t {
  single, ///< As one `message` each: simple, some 200 ns a message.
  batch,  ///< As one `batch` per read: some 10 ns a message.
};

/// Subscribe an actor. It gets `message` or `batch`, and the events it wants. Answered with a
/// `subscription`, which is needed to end it only: `post(node.actor(), subscribe{self})` will do.
struct subscribe {
  caf::actor subscriber;
  delivery_mode mode = delivery_mode::single;
  bool messages = true; ///< Those that the filter takes.
  bool events = true;   ///< All but messages and `connection_request`.
  bool decides = false; ///< `connection_request` of anybody, to be answered with `decide`.
  message_filter filter = {};
  slow_policy policy = slow_policy::block;
  std::size_t queue_bytes_max = 0;      ///< For the policies that drop; 0: as `limits` says.
  std::uint64_t queue_messages_max = 0; ///< The same in messages.

  /// Messages of these types alone, and no events; for an actor that handles them with `on_message`.
  template <tagged... Ts>
  [[nodiscard]] static subscribe to(const caf::actor& subscriber) {
    return {
      .subscriber = subscriber, .events = false, .filter = {.tags = {tag_range(tag_of<Ts>())...}}};
  }
};

/// Tell an actor once when there is room again for messages to `peer`, by `writable`: at once if there
/// is. Of the end of the connection it is not told here but by `disconnected`. `not_connected`.
struct notify_writable {
  node_id peer;
  caf::actor whom;
  std::size_t bytes = 0; ///< Of the message that was not taken; may be left out below 256 KiB.
};

/// There is room again for messages to `peer`.
struct writable {
  node_id peer;
};

/// Names a subscription, to end it.
struct subscription {
  std::uint64_t id = 0;
};

/// End a subscription. Answered with whether there was one. A subscriber that dies is forgotten by itself.
struct unsubscribe {
  subscription which;
};

/// Ask what became of a subscription's messages. Answered with `subscription_counters`, or `bad_option`
/// when there is no such subscription, or no more.
struct count_messages {
  subscription which;
};

/// Answer a `connection_request`. Answered with false if it was too late.
struct decide {
  std::uint64_t connection = 0; ///< As in the `connection_request`.
  bool accept = true;
  std::string reason; ///< For a refusal: words for the peer.
  /// As in the `connection_request`: what is asked about another peer is not answered. Without it the
  /// answer is for whoever has that number.
  node_id peer = {};
};

/// Ask what the node and its connections have done. Answered with `node_statistics` when every open
/// connection has said its part.
struct get_statistics {};

/// Close the node: what is queued leaves and is taken, within `drain`. Answered when it is closed.
struct close_node {
  duration drain = std::chrono::seconds(5);
  errc reason = errc::closed;
};

/// A node actor, for `self->request(node.actor(), …)`.
using node_actor = caf::typed_actor<
  sig<std::string(listen)>, sig<node_id(connect)>, sig<connection_request(look_at)>,
  sig<node_id(connect_to)>, sig<send_outcome(send_message)>, sig<subscription(subscribe)>,
  sig<bool(unsubscribe)>, sig<subscription_counters(count_messages)>, sig<bool(decide)>,
  sig<node_statistics(get_statistics)>, sig<closed(close_node)>, sig<reply(send_request)>,
  sig<bool(cancel_request)>, sig<handler(handle_requests)>, sig<bool(stop_handling)>,
  // -- actors/setting_messages.hpp
  sig<void(set_init_message)>, sig<void(set_idle_time)>, sig<void(set_bounds)>,
  sig<void(set_statistics_half_life)>, sig<limits(get_bounds)>, sig<endpoint_list(listen_defaults)>,
  sig<endpoint_list(list_addresses)>, sig<bool(stop_listening)>, sig<peer_list(list_peers)>,
  sig<bool(is_connected)>, sig<node_id(find_peer)>, sig<disconnected(disconnect)>,
  sig<send_outcomes(send_to_many)>, sig<void(notify_writable)>, sig<void(keep_connected)>,
  sig<bool(stop_keeping)>>;

} // namespace postbus

// What the library's own actors tell each other; defined in actors/internal_messages.hpp. Named here
// because CAF 1.x wants all types of a library in one block.
namespace postbus::actors {
struct drain_link;
struct settle_receipts;
struct command;
struct next_turn;
struct finish;
struct end_listening;
struct frames_arrived;
struct session_told;
struct arm_deadline;
struct tick_node;
struct accepted;
struct dial_done;
struct listening_failed;
struct forget_recipient;
struct ask_listen;
struct ask_connect;
struct ask_subscribe;
struct ask_unsubscribe;
struct ask_count;
struct subscriber_over;
struct ask_decide;
struct ask_statistics;
struct connection_reported;
struct ask_spawn;
struct ask_look;
struct ask_open;
struct drop_request;
struct ask_close;
struct ask_end;
struct node_task;
struct ask_request;
struct ask_cancel;
struct ask_handle;
struct ask_handle_function;
struct last_request;
struct ask_stop_handling;
struct ask_respond;
struct request_let_go;
} // namespace postbus::actors

#define POSTBUS_MESSAGE_TYPES(X)                                                                   \
  X(postbus::listen)                                                                               \
  X(postbus::connect)                                                                              \
  X(postbus::send_message)                                                                         \
  X(postbus::send_outcome)                                                                         \
  X(postbus::subscribe)                                                                            \
  X(postbus::subscription)                                                                         \
  X(postbus::unsubscribe)                                                                          \
  X(postbus::count_messages)                                                                       \
  X(postbus::subscription_counters)                                                                \
  X(postbus::decide)                                                                               \
  X(postbus::get_statistics)                                                                       \
  X(postbus::node_statistics)                                                                      \
  X(postbus::close_node)                                                                           \
  X(postbus::node_id)                                                                              \
  X(postbus::message)                                                                              \
  X(postbus::batch)                                                                                \
  X(postbus::connection_request)                                                                   \
  X(postbus::connected)                                                                            \
  X(postbus::disconnected)                                                                         \
  X(postbus::messages_dropped)                                                                     \
  X(postbus::subscription_ended)                                                                   \
  X(postbus::closing)                                                                              \
  X(postbus::closed)                                                                               \
  X(postbus::set_init_message)                                                                     \
  X(postbus::set_idle_time)                                                                        \
  X(postbus::set_bounds)                                                                           \
  X(postbus::set_statistics_half_life)                                                             \
  X(postbus::get_bounds)                                                                           \
  X(postbus::limits)                                                                               \
  X(postbus::endpoint_list)                                                                        \
  X(postbus::listen_defaults)                                                                      \
  X(postbus::list_addresses)                                                                       \
  X(postbus::stop_listening)                                                                       \
  X(postbus::peer_list)                                                                            \
  X(postbus::list_peers)                                                                           \
  X(postbus::is_connected)                                                                         \
  X(postbus::find_peer)                                                                            \
  X(postbus::disconnect)                                                                           \
  X(postbus::send_outcomes)                                                                        \
  X(postbus::keep_connected)                                                                       \
  X(postbus::stop_keeping)                                                                         \
  X(postbus::keep_state)                                                                           \
  X(postbus::notify_writable)                                                                      \
  X(postbus::writable)                                                                             \
  X(postbus::unsent)                                                                               \
  X(postbus::send_to_many)                                                                         \
  X(postbus::actors::drain_link)                                                                   \
  X(postbus::actors::settle_receipts)                                                              \
  X(postbus::actors::command)                                                                      \
  X(postbus::actors::next_turn)                                                                    \
  X(postbus::actors::end_listening)                                                                \
  X(postbus::actors::finish)                                                                       \
  X(postbus::actors::frames_arrived)                                                               \
  X(postbus::actors::session_told)                                                                 \
  X(postbus::actors::arm_deadline)                                                                 \
  X(postbus::actors::tick_node)                                                                    \
  X(postbus::actors::accepted)                                                                     \
  X(postbus::actors::dial_done)                                                                    \
  X(postbus::actors::listening_failed)                                                             \
  X(postbus::actors::forget_recipient)                                                             \
  X(postbus::actors::ask_listen)                                                                   \
  X(postbus::actors::ask_connect)                                                                  \
  X(postbus::actors::ask_subscribe)                                                                \
  X(postbus::actors::ask_unsubscribe)                                                              \
  X(postbus::actors::ask_count)                                                                    \
  X(postbus::actors::subscriber_over)                                                              \
  X(postbus::actors::ask_decide)                                                                   \
  X(postbus::actors::ask_statistics)                                                               \
  X(postbus::actors::connection_reported)                                                          \
  X(postbus::actors::ask_spawn)                                                                    \
  X(postbus::actors::ask_close)                                                                    \
  X(postbus::actors::ask_end)                                                                      \
  X(postbus::actors::node_task)                                                                    \
  X(postbus::send_request)                                                                         \
  X(postbus::reply)                                                                                \
  X(postbus::cancel_request)                                                                       \
  X(postbus::handle_requests)                                                                      \
  X(postbus::handler)                                                                              \
  X(postbus::stop_handling)                                                                        \
  X(postbus::incoming_request)                                                                     \
  X(postbus::request_called_off)                                                                   \
  X(postbus::look_at)                                                                              \
  X(postbus::connect_to)                                                                           \
  X(postbus::actors::ask_look)                                                                     \
  X(postbus::actors::ask_open)                                                                     \
  X(postbus::actors::drop_request)                                                                 \
  X(postbus::actors::ask_request)                                                                  \
  X(postbus::actors::ask_cancel)                                                                   \
  X(postbus::actors::ask_handle)                                                                   \
  X(postbus::actors::ask_handle_function)                                                          \
  X(postbus::actors::last_request)                                                                 \
  X(postbus::actors::ask_stop_handling)                                                            \
  X(postbus::actors::ask_respond)                                                                  \
  X(postbus::actors::request_let_go)

POSTBUS_DECLARE_MESSAGE_TYPES(POSTBUS_MESSAGE_TYPES)
