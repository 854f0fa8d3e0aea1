// node: the core of a node. Composes peer table, keeper, subscriptions, requests, loopback, ledger and
// wheel; decides who is let in, who is told what, which handler has a request, when a connection is
// ticked or closed. Owns no session, no peer's outbox, no socket, no clock.
// Drive: start() a connection and run its session; hand every session_event to on(); then drain
// next(); call tick(now) at deadline(). The same core runs in the node actor and in every test.
#pragma once

#include "postbus/bus/events.hpp"
#include "postbus/bus/fifo.hpp"
#include "postbus/bus/keeper.hpp"
#include "postbus/bus/ledger.hpp"
#include "postbus/bus/loopback.hpp"
#include "postbus/bus/peer_table.hpp"
#include "postbus/bus/request_table.hpp"
#include "postbus/bus/session.hpp"
#include "postbus/bus/subscriptions.hpp"
#include "postbus/bus/tag_range.hpp"
#include "postbus/bus/wheel.hpp"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

namespace postbus::bus {

/// The init message of a node, at most.
inline constexpr std::size_t init_bytes_max = std::size_t{8} << 10;

class node {
public:
  struct options {
    node_id id;
    std::uint64_t incarnation = 0; ///< Random, another one each time the program starts.
    payload init;                  ///< Shown to every peer before it decides.
    /// Of the node and its connections, which all hold this one. Never null.
    std::shared_ptr<const limits> bounds = std::make_shared<const limits>();
    bool hand_back_unsent = false;   ///< `unsent` is told behind `disconnected`.
    shared<receipt> own_charge = {}; ///< As a session's `charge`, for messages to the node itself.
  };

  // -- what to do ---------------------------------------------------------------------

  /// Call session::accept on this connection.
  struct accept_connection {
    connection_id connection = 0;
  };
  /// Call session::close: an orderly end, or before `open` a refusal.
  struct close_connection {
    connection_id connection = 0;
    error reason;
    duration drain{};
  };
  /// Call session::fail: end it now.
  struct end_connection {
    connection_id connection = 0;
    error reason;
  };
  /// Call session::probe.
  struct probe_connection {
    connection_id connection = 0;
  };
  /// Call session::tick, and arm() the deadline that it has then.
  struct tick_connection {
    connection_id connection = 0;
  };
  /// Call session::takes_messages and session::window_bytes_max.
  struct adjust_connection {
    connection_id connection = 0;
    bool takes_messages = true;
    std::size_t window_bytes_max = 0;
  };
  /// From now on `peer` is reached over this connection.
  struct link_up {
    connection_id connection = 0;
    node_id peer;
  };
  /// `peer` is no longer reached over this connection.
  struct link_down {
    connection_id connection = 0;
    node_id peer;
    disconnected told;    ///< As its subscribers are.
    bool held = false;    ///< Messages wait for the peer's next connection, in front of others:
    fifo<outgoing> first; ///< these, which this one left unsent.
  };
  /// Dial a kept peer: start() with `keep`, or dial_failed().
  struct dial_kept {
    keeper::keep_id keep = 0;
    std::string endpoint;
    duration within{};
  };
  /// Call session::keep_idle.
  struct keep_connection {
    connection_id connection = 0;
    bool yes = true;
  };
  /// When this connection ends, hold what is sent to its peer, within these bounds.
  struct hold_messages {
    connection_id connection = 0;
    node_id peer;
    std::size_t bytes_max = 0;
    std::uint64_t messages_max = 0;
  };
  /// Hold nothing for this peer any more; then give_back() what was.
  struct release_held {
    node_id peer;
  };
  /// Nothing more will be said about this connection.
  struct connection_over {
    connection_id connection = 0;
  };
  /// Hand a batch or an event to a subscriber.
  struct tell_subscriber {
    subscriptions::output what;
  };
  /// The peer of a dialed connection is there, and waits for `decide`.
  struct ask_dialer {
    connection_request what;
  };
  /// The dial that led to this connection, or the program that agreed to it, has its answer: who is
  /// connected, or why nobody is. Exactly one for each.
  struct answer_dial {
    connection_id connection = 0;
    result<node_id> peer;
  };
  /// Call session::ask.
  struct send_request {
    connection_id connection = 0;
    request what;
  };
  /// Call session::cancel.
  struct send_cancel {
    connection_id connection = 0;
    correlation_id id = 0;
  };
  /// Call session::answer.
  struct send_answer {
    connection_id connection = 0;
    correlation_id id = 0;
    request_answer what;
  };
  /// Hand a peer's request to a handler, whose answer comes with `respond`.
  struct hand_over_request {
    handler_id to = 0;
    node_id from;
    connection_id connection = 0; ///< 0: this node asks itself.
    request what;
  };
  /// Tell a handler that nobody waits for its answer any more; `let_go` once it has the request no more.
  struct call_off_request {
    handler_id to = 0;
    connection_id connection = 0;
    correlation_id id = 0;
    std::size_t bytes = 0; ///< Of the request.
  };
  /// A request of this node has its answer. Exactly one per request that was not canceled.
  struct answer_request {
    correlation_id id = 0;
    result<reply> what;
  };
  /// Call session::statistics, fill in what waits for it, and hand both numbers back to report().
  struct report_connection {
    connection_id connection = 0;
    collection_id collection = 0;
  };
  /// What `collect` was asked for. Exactly one for each.
  struct statistics_ready {
    collection_id collection = 0;
    std::shared_ptr<const node_statistics> what;
  };
  /// Everybody has done with `closing`, or had the time for it: deliver_all_own(), then say_goodbye().
  struct end_sending {};
  /// Everything is over; no output follows.
  struct finished {};

  using output =
    std::variant<accept_connection, close_connection, end_connection, probe_connection,
                 tick_connection, adjust_connection, keep_connection, link_up, link_down,
                 connection_over, tell_subscriber, ask_dialer, answer_dial, send_request,
                 send_cancel, send_answer, hand_over_request, call_off_request, answer_request,
                 dial_kept, hold_messages, release_held, report_connection, statistics_ready,
                 end_sending, finished>;

  node(options how, time_point now);

  // -- connections --------------------------------------------------------------------

  struct start_options {
    session::role role = session::role::listener;
    std::string address;      ///< Of the peer, "host:port".
    node_id expected;         ///< Who must answer, when dialing; "no node" for anybody.
    bool asks = false;        ///< Dialing: the program looks at the peer before it agrees.
    keeper::keep_id keep = 0; ///< From `dial_kept`.
    std::string origin = {};  ///< What handshakes are counted by; empty: the address's host.
  };
  struct started {
    connection_id connection = 0;
    session::options
      how; ///< To construct the session with; set `charge` if the driver wants to be woken.
  };
  /// A transport connection exists. `node_closed` once the node is closing.
  [[nodiscard]] result<started> start(start_options who);
  /// Something happened on it.
  void on(connection_id id, session_event event);
  /// Its session must be ticked at `when`.
  void arm(connection_id id, time_point when) { wheel_.arm(id, when); }
  /// The application's answer to `connection_request`. False if nothing is asked there, or not any more,
  /// or not about `peer`, unless that is "no node".
  bool decide(connection_id id, const result<void>& answer, const node_id& peer = {});
  /// Whether that question waits for somebody who has not been given it yet.
  [[nodiscard]] bool asks(connection_id id) const { return subscriptions_.asks(id); }

  /// Ends the open connection to `peer` in order, within `drain`; the peer is told `words`. Answers
  /// which one, whose `link_down` follows; or `not_connected`.
  [[nodiscard]] result<connection_id> disconnect(const node_id& peer, std::string words,
                                                 duration drain);

  // -- peers that stay ----------------------------------------------------------------

  /// Dials at once and whenever the peer is gone. `bad_endpoint`, `bad_option`, `node_closed`.
  [[nodiscard]] result<void> keep_connected(postbus::keep_connected what);
  /// A connection stays as it is. False if the endpoint was not kept.
  bool stop_keeping(const std::string& endpoint);
  /// What `dial_kept` asked for led to no connection.
  void dial_failed(keeper::keep_id keep, const error& why);
  /// Messages that were held are not sent: told as `unsent`, and counted as dropped for this reason.
  void give_back(const node_id& peer, const fifo<outgoing>& frames,
                 const error& why = {errc::not_connected, blame::local, {}});

  // -- messages to itself -------------------------------------------------------------

  /// What became of them. Accepted = waiting in the outbox + sent.
  struct own_account {
    std::uint64_t sent = 0;      ///< Taken out of the outbox.
    std::uint64_t taken = 0;     ///< Of these: let go by subscribers, or unclaimed.
    std::uint64_t unclaimed = 0; ///< Of these: nobody wanted them any more.
  };

  /// Hands messages that wait in the node's own outbox to subscribers, as far as the window and one
  /// turn allow. True when more can go at once: let others have their turn, then call again.
  bool deliver_own(outbox& own);
  /// Hands on all of them, for a node that is about to close; closes the outbox.
  void deliver_all_own(outbox& own);
  [[nodiscard]] own_account own() const noexcept;

  // -- settings -----------------------------------------------------------------------

  /// What peers are shown from now on. `bad_option` above `init_bytes_max`.
  [[nodiscard]] result<void> init_message(payload init);
  /// For connections and subscriptions that begin later; what is shared out or counted by the node holds
  /// at once. The bounds of the node's own outbox are its owner's to change. `bad_option` with what does not
  /// fit together, or another `batches_in_flight_max`.
  [[nodiscard]] result<void> bounds(const limits& changed);

  // -- subscribers --------------------------------------------------------------------

  subscription_id subscribe(subscription_options wants, shared<receipt> slot);
  bool unsubscribe(subscription_id id);
  /// Batches of this subscription were let go.
  void settle(subscription_id id) { subscriptions_.settle(id); }
  /// What became of its messages; nothing when there is no such subscription, or no more.
  [[nodiscard]] std::optional<subscription_counters> counters(subscription_id id) const {
    return subscriptions_.counters(id);
  }

  // -- requests -----------------------------------------------------------------------

  /// Asks `to`, which may be this node itself; the id in `what` is given here. `not_connected`,
  /// `congested`, `too_large`, `timeout` when it is too late already, `node_closed`.
  [[nodiscard]] result<correlation_id> ask(const node_id& to, request what, time_point now);
  /// Nobody waits for the answer any more; the handler is told. False if it was given already.
  bool cancel(correlation_id id);
  /// A handler's answer. False if nobody waits for it.
  bool respond(connection_id from, correlation_id id, request_answer what);
  /// A handler has a request of so many bytes no more that was called off. Once for each.
  void let_go(connection_id from, std::size_t bytes) { requests_.let_go(from, bytes); }
  /// Requests with these tags go to it; empty: all. Of several handlers that want a tag the one that
  /// was added first has it.
  handler_id add_handler(std::vector<tag_range> tags);
  /// No more requests go to it; those it has it may answer. False if there is none.
  bool remove_handler(handler_id id);

  // -- statistics ---------------------------------------------------------------------

  /// Asks every open connection what it has done; `statistics_ready` follows when all have answered or
  /// ended. `node_closed` once everything is over.
  [[nodiscard]] result<collection_id> collect(time_point now);
  /// What a connection answered to `report_connection`.
  void report(connection_id id, collection_id which, connection_statistics what);

  // -- the end ------------------------------------------------------------------------

  /// Tells `closing`, and closes every connection in order, all within `drain`; then `finished`. Always
  /// ends. With `hold`, a copy of which goes with every `closing`, what is open stays so until
  /// `end_sending`, which follows closing_heard() or `limits::closing_time_max`. The first close counts for
  /// that; a later one may shorten the times.
  void close(const error& why, duration drain, time_point now,
             std::shared_ptr<const void> hold = nullptr);
  /// The last copy of `hold` is gone.
  void closing_heard();
  /// Nothing more is sent: what is queued leaves, and every connection is closed.
  void say_goodbye(time_point now);

  // -- time ---------------------------------------------------------------------------

  void tick(time_point now);
  [[nodiscard]] time_point deadline() const noexcept {
    return std::min(wheel_.deadline(), keeper_.deadline());
  }

  [[nodiscard]] std::optional<output> next();

  // -- state --------------------------------------------------------------------------

  [[nodiscard]] const node_id& id() const noexcept { return options_.id; }
  [[nodiscard]] const limits& bounds() const noexcept { return *options_.bounds; }
  [[nodiscard]] std::size_t open_count() const noexcept { return peers_.open_count(); }
  [[nodiscard]] std::size_t connection_count() const noexcept { return connections_.size(); }
  [[nodiscard]] bool is_closing() const noexcept { return closing_; }

private:
  struct connection {
    session::role role = session::role::listener;
    std::string address;
    std::string origin;
    node_id peer;          // once its hello was seen
    payload init;          // the same, until programs were told
    bool linked = false;   // the peer's open connection
    bool asks = false;     // a dial: the program is asked
    bool decided = false;  // by the program
    bool awaited = false;  // somebody waits to hear that it is open, or why it is not
    bool pending = true;   // not open yet
    bool promised = false; // accepted, and may become open
    std::uint64_t frames_received = 0;
    std::uint64_t frames_unclaimed = 0;
    request_table::bounds takes; // what the peer takes of requests, once its hello was seen
  };

  void on_hello(connection_id id, connection& at, hello peer);
  void on_opened(connection_id id, connection& at);
  void on_received(connection_id id, connection& at, const shared<received_frames>& frames);
  void on_ended(connection_id id, ended& end);
  std::uint64_t hand_back(const node_id& peer, const fifo<outgoing>& frames);
  void push_own(const shared<received_frames>& frames);
  void settle_keeper();
  void tell_down(connection_id id, const connection& at, ended& end, bool held);
  void answer_dial_of(connection_id id, result<node_id> peer);
  void on_requested(connection_id id, const connection& at, requested&& asked);
  void on_answered(answered& end);
  void on_called_off(connection_id from, correlation_id id);
  void on_expired(correlation_id id);
  void on_unasked(correlation_id id);
  void hand_over(const node_id& from, connection_id over, request what);
  void drop_requests(connection_id over, const error& why);
  void no_longer_own(correlation_id id);
  void answer(connection_id id, connection& at, result<node_id> peer);
  void answer_waiting_dials(const node_id& peer);
  void settle_peers();
  void settle_peer_action(const peer_table::action& what);
  void no_longer_pending(connection_id id, connection& at);
  void take_in(connection_id id);
  void no_longer_promised(connection& at);
  void make_room(const std::string& origin);
  void share_memory();
  void settle_subscriptions();
  void end_connections(const error& why, duration drain, bool open_ones);
  void finish_if_done();
  void settle_ledger();
  [[nodiscard]] connection* find(connection_id id);

  static constexpr wheel::key close_key = 0;         // no connection has it
  static constexpr connection_id own_connection = 0; // over which the node asks itself

  options options_;
  wheel wheel_;
  peer_table peers_;
  subscriptions subscriptions_;
  ledger ledger_;
  std::unordered_map<connection_id, connection> connections_;
  connection_id last_id_ = 0;
  // Strangers' connections that are not open, by origin, oldest first.
  std::map<std::string, std::set<connection_id>> opening_;
  std::size_t opening_count_ = 0;
  // Accepted connections that may still open, by peer: at most one of a peer's will.
  std::unordered_map<node_id, std::size_t> promised_;
  // Dials that ended because the peer is connected already, while that connection still opens.
  std::map<node_id, std::vector<connection_id>> waiting_dials_;
  request_table requests_;
  std::map<handler_id, std::vector<tag_range>> handlers_;
  handler_id last_handler_ = 0;
  // Requests to this node itself that have a deadline, by the key of the wheel.
  std::map<wheel::key, correlation_id> own_deadlines_;
  std::size_t window_share_;
  keeper keeper_;
  std::unordered_map<connection_id, keeper::keep_id> kept_dials_; // not yet answered
  loopback loopback_;
  std::uint64_t own_unclaimed_ = 0;
  bool takes_messages_ = false; // anybody, as connections were told
  bool closing_ = false;
  bool awaits_hearing_ = false; // of `closing`
  bool sends_ended_ = false;    // every connection was told to close
  error close_reason_{errc::closed, blame::local, {}};
  time_point drained_at_ = never;
  bool finished_ = false;
  bool finish_told_ = false;
  time_point hearing_deadline_ = never; // by when last words are said
  fifo<output> outputs_;
};

} // namespace postbus::bus
