// node: what users hold of a node. A small handle to copy about, for actors and plain threads alike;
// it may outlive its runtime and then answers `closed`. Calls with a time may block that long; made on
// a loop they answer `would_deadlock`, and a send does not wait there. Actors talk to `actor()` with the messages of actors/messages.hpp.
#pragma once

#include "postbus/actors/inbox.hpp"
#include "postbus/actors/messages.hpp"
#include "postbus/bus/decode.hpp"
#include "postbus/bus/outbox.hpp"

#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace postbus {

namespace actors {
class link;
class node_access;
} // namespace actors

/// How to send.
struct send_options {
  /// For the receiver, who sees it before it decodes. Unset: that of the value's type, or 0.
  std::optional<std::uint16_t> tag = std::nullopt;
  /// How long to wait for room instead of answering `congested`; first come, first served.
  std::optional<duration> within = std::nullopt;
};

/// Sends to one peer without looking it up each time. Finds the peer's next connection by itself.
/// To be used by one thread at a time; copy it for another.
class sender {
public:
  // No moves of its own: what was moved away goes on answering.
  sender(const sender&) = default;
  sender& operator=(const sender&) = default;
  ~sender() = default;

  /// Packs `value` and queues it.
  template <class T>
  send_outcome send(const T& value, send_options how = {});
  /// Queues bytes as they are; the receiver sees them as opaque.
  send_outcome send_bytes(std::span<const std::byte> bytes, send_options how = {});
  /// The same without copying large ones.
  send_outcome send_bytes(const payload& bytes, send_options how = {});
  [[nodiscard]] const node_id& to() const noexcept { return to_; }

private:
  friend class node;
  sender(std::shared_ptr<actors::node_access> from, const node_id& to)
    : from_(std::move(from)), to_(to) {}
  send_outcome send_packed(codecs::byte_buffer& packed, const send_options& how);
  send_outcome send_body(const payload& body, bool opaque, const send_options& how);
  template <class Body>
  send_outcome hand_over(const Body& body, bool opaque, const send_options& how);
  template <class Body>
  send_outcome try_hand_over(const Body& body, bool opaque, const send_options& how);

  std::shared_ptr<actors::node_access> from_;
  node_id to_;
  std::shared_ptr<actors::link> link_;
};

/// How to ask.
struct request_options {
  /// For the handler: which one has it depends on the tag. Unset: that of the value's type, or 0.
  std::optional<std::uint16_t> tag = std::nullopt;
  duration within = std::chrono::seconds(10); ///< Then the answer is `timeout`.
};

/// A request whose answer is on its way. Gives it up when it goes.
class pending_reply {
public:
  pending_reply(pending_reply&& other) noexcept;
  pending_reply& operator=(pending_reply&& other) noexcept;
  ~pending_reply();

  /// Waits for the answer, which is given once. `timeout` when it is not there `within`: it may be waited for
  /// again. `would_deadlock` on a loop.
  [[nodiscard]] result<reply> wait(duration within);
  /// Nobody waits any more; the handler is told, and the answer is `canceled` unless it is there already. May be
  /// called while another thread waits.
  void cancel();

private:
  friend class node;
  struct state;
  explicit pending_reply(std::unique_ptr<state> what) noexcept;

  std::unique_ptr<state> state_;
};

/// A node, to talk to from any thread. Copies are the same node; it lives until it is closed, or its
/// runtime ends, whoever holds one.
class node {
public:
  // No moves of its own: what was moved away goes on answering.
  node(const node&) = default;
  node& operator=(const node&) = default;
  ~node() = default;

  /// Who this node is.
  [[nodiscard]] const node_id& id() const noexcept;

  /// Listens, and says on which endpoint, its port known: "tcp://127.0.0.1:4000". May be called for
  /// several. `bad_endpoint`, `unsupported`, `resolve_failed`, `listen_failed`; `timeout`: then it does
  /// not listen there.
  [[nodiscard]] result<std::string> listen(std::string_view endpoint,
                                           duration within = std::chrono::seconds(10)) const;

  /// Connects, and says who is there; messages may be sent at once. Who is connected already is
  /// answered the same. Fails with the step that failed: `resolve_failed`, `connect_failed`, `timeout`,
  /// `wrong_node`, `rejected` with the peer's words, and so on.
  [[nodiscard]] result<node_id> connect(std::string_view endpoint,
                                        duration within = std::chrono::seconds(10)) const;

  /// Connects to see who is there: look at id and init message, then `connect` to it or `reject` it within the
  /// decision time. Who is connected already: `already_connected`.
  [[nodiscard]] result<connection_request>
  connect_request(std::string_view endpoint, duration within = std::chrono::seconds(10)) const;
  /// Agrees to a peer that was looked at, or that asks to be connected, and waits until messages may be sent.
  /// `not_connected` when it was answered before, or too late; else as above.
  [[nodiscard]] result<node_id> connect(const connection_request& request,
                                        duration within = std::chrono::seconds(10)) const;

  /// Listens on a free port of every address, over IPv4 and over IPv6, and says on which: what works of
  /// the two. `listen_failed` when neither does.
  [[nodiscard]] result<std::vector<std::string>>
  listen_defaults(duration within = std::chrono::seconds(10)) const;
  /// Where this node listens, as `listen` answered.
  [[nodiscard]] std::vector<std::string> addresses() const;
  /// Listens there no more; connections that came in stay. The endpoint is free for others then.
  /// `bad_option` if it did not listen there, `would_deadlock`.
  result<void> stop_listening(std::string_view endpoint) const;

  /// True from `connected` until `disconnected`: also while a connection that ends in order still drains,
  /// when `send` answers `closed` already. Never waits, as the next three do not.
  [[nodiscard]] bool is_connected(const node_id& peer) const;
  /// Open connections.
  [[nodiscard]] std::size_t connection_count() const;
  /// Everybody who is connected, in no order.
  [[nodiscard]] std::vector<node_id> peers() const;
  /// The connected peer that was dialed at this endpoint, by the words for it or by the address that
  /// they led to. One that connected by itself has no endpoint here. `not_connected`, `bad_endpoint`.
  [[nodiscard]] result<node_id> lookup(std::string_view endpoint) const;
  /// Ends the connection to `peer` in order: what is queued leaves and is taken, within `drain`; the peer
  /// is told `closed` and the words. Answers when it is over, with what subscribers are told; it may have
  /// ended in another way. `not_connected`.
  result<disconnected> disconnect(const node_id& peer, std::string_view words = {},
                                  duration drain = std::chrono::seconds(5)) const;

  /// Has whoever listens at an endpoint stay connected: see `keep_connected` in bus/keeper.hpp. Answers at once;
  /// `keep_state` tells each change. `bad_endpoint`, `unsupported`, `bad_option` when it is kept already.
  result<void> keep_connected(const postbus::keep_connected& what) const;
  result<void> keep_connected(std::string_view endpoint) const;
  /// Keeps it no more. A connection stays as it is; what was held for a missing one is told as `unsent`.
  /// `bad_option` if it was not kept, `would_deadlock`.
  result<void> stop_keeping(std::string_view endpoint) const;

  /// What peers are shown before they decide, from now on. `bad_option` above 8 KiB.
  result<void> init_message(payload init) const;
  /// The same with a value, packed.
  template <class T>
  result<void> init_message(const T& value) const;
  /// The idle time of connections that begin later. `bad_option` unless above three keepalive times.
  result<void> idle_time(duration longest) const;
  /// The half-life of the rates of connections that begin later. `bad_option` unless it is between 1 ms and
  /// a year.
  result<void> statistics_half_life(duration half_life) const;
  /// All bounds, for connections and subscriptions that begin later. What the node counts or shares out
  /// between connections, the events that wait, and the queue of what it sends itself hold at once.
  /// `bad_option` with what does not fit together, or another `batches_in_flight_max`.
  result<void> bounds(const limits& changed) const;
  /// The bounds as they are.
  [[nodiscard]] result<limits> bounds() const;

  /// Packs `value` and queues it for `peer`, which may be this node itself: what it sends to itself
  /// comes to its own subscribers, in order and held back when they are slow. Without `within` it never waits, so actors may call it.
  /// `accepted` means: sent in order, once, unless the connection ends before; then `disconnected`
  /// says how many were confirmed.
  template <class T>
  send_outcome send(const node_id& peer, const T& value, send_options how = {}) const;
  /// Queues bytes as they are; the receiver sees them as opaque.
  send_outcome send_bytes(const node_id& peer, std::span<const std::byte> bytes,
                          send_options how = {}) const;
  /// The same without copying large ones.
  send_outcome send_bytes(const node_id& peer, const payload& bytes, send_options how = {}) const;
  /// Packs `value` once and queues it for each of `peers`; says what became of it, in their order. With
  /// `within` all of them together have that time.
  template <class T>
  std::vector<send_outcome> send_to(std::span<const node_id> peers, const T& value,
                                    send_options how = {}) const;
  /// Queues bytes for each of `peers`, not copied when they are large.
  std::vector<send_outcome> send_bytes_to(std::span<const node_id> peers, const payload& bytes,
                                          send_options how = {}) const;
  /// Has `whom` told once, by `writable`, when there is room again for messages to `peer`: at once if
  /// there is. Of the end of the connection it hears by `disconnected`. `bytes` are those of the message
  /// that was not taken, and may be left out below 256 KiB. `not_connected`. Never waits.
  result<void> notify_writable(const node_id& peer, const caf::actor& whom,
                               std::size_t bytes = 0) const;
  /// For sending much to one peer: 15 ns to reach instead of a look-up.
  [[nodiscard]] sender to(const node_id& peer) const;

  /// Messages and events for a plain thread, from now on. When that fails the inbox's reads answer why:
  /// `node_closed`, `would_deadlock`, `bad_option`, `timeout`.
  [[nodiscard]] postbus::inbox inbox(inbox_options how = {}) const;
  /// The same, also hearing `connection_request`, for a program that decides who may connect.
  [[nodiscard]] postbus::inbox deciding_inbox() const;

  /// Subscribes an actor, as the message of the same name does: `node.subscribe({.subscriber = self})`.
  /// `bad_option` without one. A subscriber that dies is forgotten by itself.
  result<subscription> subscribe(const postbus::subscribe& what) const;
  /// Subscribes an actor to messages of these types alone; it handles them with `on_message`.
  template <tagged... Ts>
  requires(sizeof...(Ts) > 0) result<subscription> subscribe(const caf::actor& subscriber)
  const { return subscribe(postbus::subscribe::to<Ts...>(subscriber)); }
  /// Ends a subscription; what waits for it is let go.
  void unsubscribe(subscription which) const;
  /// What became of a subscription's messages. `bad_option` when there is none, or no more.
  [[nodiscard]] result<subscription_counters> counters(subscription of) const;

  /// Answers a `connection_request` of this node, and does not wait for what comes of it. False if it was
  /// too late, or another node's. On a loop, where nothing may wait for the node, the answer is passed on:
  /// then false means that the node is closed.
  bool accept(const connection_request& request) const;
  bool reject(const connection_request& request, std::string_view reason) const;

  /// Asks `to`, which may be this node itself, and waits for the answer, `how.within` at the longest. Errors as
  /// of the message `send_request`. Not ordered with messages, and not held up by them.
  template <class T>
  [[nodiscard]] result<reply> request(const node_id& to, const T& value,
                                      request_options how = {}) const;
  /// The same with bytes, which the handler sees as opaque.
  [[nodiscard]] result<reply> request_bytes(const node_id& to, payload bytes,
                                            request_options how = {}) const;
  /// Asks and does not wait: the answer is taken, or given up, with what this returns.
  template <class T>
  [[nodiscard]] pending_reply start_request(const node_id& to, const T& value,
                                            request_options how = {}) const;
  [[nodiscard]] pending_reply start_request_bytes(const node_id& to, payload bytes,
                                                  request_options how = {}) const;

  /// Has an actor handle requests, as the message of the same name does. `bad_option` without one.
  result<handler> handle(const handle_requests& what) const;
  /// The same with a function, which is called with one request at a time, on the actor system's threads.
  /// One that throws has failed with `handler_lost` and the exception's words, and is called again. While it
  /// waits, the requests behind it wait: one that asks back must not do so with `request`, when the answer
  /// may need a request back; it passes the `incoming_request` on to an actor that asks. `bad_option`: a range
  /// of tags that ends before it begins.
  /// Once `stop_handling`, `close` or the runtime's destructor has returned it is not called any more, nor
  /// running: they wait for a call that runs, however long it takes; but not when a handling function itself
  /// calls them.
  template <std::invocable<const incoming_request&> Function>
  result<handler> handle(Function what, const std::vector<tag_range>& tags = {}) const {
    return handle_by_function(std::move(what), tags);
  }
  /// No more requests go to a handler; those that it has it may answer. A function is not called any more: what
  /// waits for it has failed with `handler_lost`. Waits for a call that runs, but not on a loop.
  void stop_handling(handler which) const;

  /// What the node and its connections have done so far. `timeout` when they have not answered within
  /// that time, `node_closed`, `would_deadlock`.
  [[nodiscard]] result<node_statistics>
  statistics(duration within = std::chrono::seconds(10)) const;

  /// Spawns an actor that lives on this node's loop: between a message on the socket and its handler
  /// there is no other thread. For handlers that are short; one that computes or waits holds up every
  /// connection of the loop. `what` is called there, maybe after this has returned: what it refers to must
  /// still be there then. The actor lives until it quits or the runtime ends, also when nobody holds it; one
  /// that awaits a reply does not hear the end. `node_closed`, `would_deadlock`, `bad_option` without a
  /// function, `timeout`: then it is not spawned.
  [[nodiscard]] result<caf::actor>
  spawn_on_loop(std::function<caf::behavior(caf::event_based_actor*)> what) const;

  /// Closes: last words are said to `closing`, what is queued leaves and is taken, all within `drain`. Ok
  /// once everything is closed, and no handling function runs.
  result<void> close(duration drain = std::chrono::seconds(5)) const;

  /// The actor, for `self->request(node.actor(), 5s, postbus::connect{endpoint})`. Empty once the node is closed.
  [[nodiscard]] node_actor actor() const;

private:
  friend class runtime;
  explicit node(std::shared_ptr<actors::node_access> access) noexcept
    : access_(std::move(access)) {}
  bool answer_incoming(const connection_request& asked, decide what) const;
  result<handler> handle_by_function(std::function<void(const incoming_request&)> what,
                                     const std::vector<tag_range>& tags) const;
  [[nodiscard]] pending_reply start_packed(result<send_request> what,
                                           const request_options& how) const;
  [[nodiscard]] result<reply> request_packed(result<send_request> what,
                                             const request_options& how) const;
  [[nodiscard]] std::vector<send_outcome> send_body_to(std::span<const node_id> peers,
                                                       const payload& body, bool opaque,
                                                       const send_options& how) const;

  std::shared_ptr<actors::node_access> access_;
};

// -- values ---------------------------------------------------------------------------

template <class T>
send_outcome sender::send(const T& value, send_options how) {
  codecs::byte_buffer packed;
  if (!actors::pack_any(packed, value))
    return send_outcome::invalid;
  how.tag = how.tag.value_or(tag_of<T>());
  return send_packed(packed, how);
}

template <class T>
send_outcome node::send(const node_id& peer, const T& value, send_options how) const {
  return to(peer).send(value, how);
}

template <class T>
result<void> node::init_message(const T& value) const {
  codecs::byte_buffer packed;
  if (auto done = actors::pack_any(packed, value); !done)
    return done;
  return init_message(packed.release());
}

template <class T>
std::vector<send_outcome> node::send_to(std::span<const node_id> peers, const T& value,
                                        send_options how) const {
  codecs::byte_buffer packed;
  if (!actors::pack_any(packed, value))
    return std::vector<send_outcome>(peers.size(), send_outcome::invalid);
  return send_body_to(peers, packed.release(), false, how);
}

template <class T>
result<send_message> send_message::of(const node_id& to, const T& value,
                                      std::optional<std::uint16_t> tag) {
  codecs::byte_buffer packed;
  if (auto done = actors::pack_any(packed, value); !done)
    return done.error();
  return send_message{to, packed.release(), tag.value_or(tag_of<T>()), false};
}

template <class T>
pending_reply node::start_request(const node_id& to, const T& value, request_options how) const {
  return start_packed(send_request::of(to, value, how.tag), how);
}

template <class T>
result<reply> node::request(const node_id& to, const T& value, request_options how) const {
  return request_packed(send_request::of(to, value, how.tag), how);
}

} // namespace postbus
