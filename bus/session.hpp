// session: one connection, from its first byte to its close. Does no I/O and reads no clock.
// Drive: prepare(), put bytes there, commit(count, now); or tick(now), or a command. Then drain
// next_event(), pull() what waits in the outbox, write wire(), tell written(); again at deadline().
//
//   hello ──hello──► deciding ──accept──► welcome ──welcome──► open ──goodbye, close──► draining
//     │                 │ (a dialer, who has the welcome already, goes straight to open)    │
//     └─────refuse──────┴───────────────────┴──────────── error ────────────►  lingering ◄──┘
//                                                                              closed
#pragma once

#include "postbus/bus/batch.hpp"
#include "postbus/bus/control.hpp"
#include "postbus/bus/events.hpp"
#include "postbus/bus/limits.hpp"
#include "postbus/bus/outbox.hpp"
#include "postbus/bus/rate.hpp"
#include "postbus/bus/requests.hpp"
#include "postbus/bus/statistics.hpp"
#include "postbus/codecs/frame_reader.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <variant>

namespace postbus::bus {

/// Where a connection is in its life.
enum class phase : std::uint8_t {
  hello, ///< The peer's hello is awaited (a dialer awaits the welcome behind it, too). Ends at the handshake deadline.
  deciding, ///< The hello is good; somebody must accept or refuse. Ends at the decision deadline.
  welcome, ///< A listener has accepted; the dialer's welcome or refusal is awaited. Ends at the handshake deadline.
  open,    ///< Frames carry messages. Left by goodbye, error, silence or close.
  draining, ///< A close has begun: what is queued leaves, goodbyes are exchanged. Ends at the drain deadline.
  lingering, ///< Our last byte is queued; what the peer still sends is read to its end. Ends at the linger deadline.
  closed,    ///< Bytes are ignored. Terminal.
};

[[nodiscard]] std::string_view to_string(phase at) noexcept;

/// The peer's hello passed every check; `accept` or `refuse` is awaited.
struct hello_seen {
  bus::hello peer;
};
/// Both sides have accepted: messages may be sent.
struct opened {};
/// Messages arrived.
struct received {
  shared<received_frames> frames;
};
/// The peer will send no more than is under way.
struct goodbye_seen {
  error reason;
};
/// Nothing but keepalives passed for the idle time, and nothing waits. Told once per quiet.
struct became_idle {};
/// A `probe` was answered, or was not within the probe time.
struct probe_done {
  bool alive = false;
};
/// The peer asks. `answer` is awaited, until `called_off` at the longest.
struct requested {
  correlation_id id = 0;
  payload body;
  std::uint16_t tag = 0;
  bool opaque = false;
  time_point deadline = never;
};
/// The peer waits no longer for the answer, which was given with that.
struct called_off {
  correlation_id id = 0;
};
/// The answer to a request of ours, at most one each.
struct answered {
  correlation_id id = 0;
  request_answer what;
};
/// A request of ours is not answered in time. It counts as open until `answered`.
struct expired {
  correlation_id id = 0;
};
/// A request of ours could not be sent any more: the connection ends.
struct unasked {
  correlation_id id = 0;
};
/// The connection is over; always the last event, exactly once.
struct ended {
  error reason;
  node_id peer; ///< Who it was, as far as it had said so.
  bool was_open = false;
  send_account account;
  traffic total{};            ///< Since it was open, and so are these two.
  duration open_time{};       ///< Zero if it never was.
  time_point at{};            ///< When it ended.
  fifo<outgoing> unsent = {}; ///< The messages that the account calls so, in order.
};

using session_event =
  std::variant<opened, hello_seen, received, goodbye_seen, became_idle, probe_done, requested,
               called_off, answered, expired, unasked, ended>;

class session {
public:
  enum class role : std::uint8_t { dialer, listener };

  struct options {
    session::role role = role::dialer;
    hello self; ///< Our own; `expected` is who must answer.
    /// Held, not copied: all connections of a node have the same. Never null.
    std::shared_ptr<const limits> bounds = std::make_shared<const limits>();
    duration handshake_time_max = duration::max(); ///< The bound holds, too; the shorter counts.
    std::size_t window_bytes_max = 0; ///< Our share of the node's memory; 0: the bound itself.
    bool takes_messages = true;       ///< False while nobody is there to take messages: no credit.
    bool keep_idle = false;           ///< True for a connection that is not closed when idle.
    shared<receipt> charge; ///< Told what is let go; a plain one is made if none is given.
  };

  session(options how, time_point now);
  session(const session&) = delete;
  session& operator=(const session&) = delete;

  // -- bytes in -------------------------------------------------------------------

  /// Where the next bytes belong, in this order.
  [[nodiscard]] std::array<std::span<std::byte>, 2> prepare(codecs::read_scratch& scratch) {
    return reader_.prepare(scratch);
  }
  /// `count` bytes were put there.
  void commit(std::size_t count, time_point now);
  /// No more is read for now: keep nothing of the scratch.
  void park() { reader_.park(); }
  /// The peer's byte stream has ended in order.
  void end_of_input();
  /// The connection ends at once: the operating system says so (`connection_reset`), or the node
  /// does, which has its reasons; those that concern the peer it hears if its socket takes a last word.
  /// Blame is the peer's for a lost connection, else our own.
  void fail(errc code, std::string detail);
  /// Anything that waits for time: keepalive, silence, idle, deadlines.
  void tick(time_point now);
  /// The program has let go of messages; reads the receipt.
  void settle();

  // -- decisions ------------------------------------------------------------------

  /// Takes the peer whose hello was seen.
  void accept(time_point now);
  /// Refuses it, or an accepted one that is not open; the peer learns why.
  void refuse(const error& why, time_point now);
  /// Closes in order: what is queued leaves, the peer may still send what it has queued; all within
  /// `drain`. Before `open` it is a refusal.
  void close(const error& why, duration drain, time_point now);
  /// Asks the peer for a sign of life; `probe_done` answers.
  void probe(time_point now);
  /// Whether anybody takes messages. False grants no more credit.
  void takes_messages(bool yes);
  /// Another share of the node's memory; a larger window shrinks as it is used up.
  void window_bytes_max(std::size_t bytes) noexcept { window_bytes_max_ = bytes; }
  /// Whether it is not closed when idle. Before our hello is said the peer is asked for the same.
  void keep_idle(bool yes) noexcept { keep_idle_ = yes; }

  // -- requests ---------------------------------------------------------------------

  /// Sends a request within what the peer takes: `peer().requests_max`, `peer().request_bytes_max` and
  /// `frame_bytes_max()`, which the caller counts. Ends with `answered`, `unasked` or the connection.
  void ask(const request& what, time_point now);
  /// Nobody waits for the answer any more; it comes all the same.
  void cancel(correlation_id id);
  /// Answers the peer. The first counts, and none when it has been called off.
  void answer(correlation_id id, const request_answer& what, time_point now);

  // -- out --------------------------------------------------------------------------

  /// What happened, oldest first. `ended` comes out only after the pull that follows the end:
  /// before it nobody knows what was never sent. What `wire` then still holds may be tried once.
  [[nodiscard]] std::optional<session_event> next_event();
  /// Moves what may be written now from `queue` to the wire; closes `queue` when it is time.
  void pull(outbox& queue, time_point now);
  /// Bytes to write, in order; at most `room.size()` pieces. Says how many pieces.
  [[nodiscard]] std::size_t wire(std::span<std::span<const std::byte>> room) const noexcept;
  [[nodiscard]] bool wire_empty() const noexcept { return wire_.empty(); }
  /// How many there are, after a pull.
  [[nodiscard]] std::size_t wire_bytes() const noexcept { return wire_bytes_ - wire_offset_; }
  /// The first `count` bytes of `wire` were taken by the transport.
  void written(std::size_t count, time_point now);
  /// True once: everything of ours is written, the sending direction is to be shut.
  [[nodiscard]] bool take_shutdown() noexcept;
  /// When `tick` is due at the latest.
  [[nodiscard]] time_point deadline() const noexcept;

  // -- state ------------------------------------------------------------------------

  [[nodiscard]] phase at() const noexcept { return phase_; }
  /// Frames accepted for sending wait because the peer has granted no credit for them.
  [[nodiscard]] bool starved() const noexcept { return starved_; }
  /// What the peer's hello said; its init message went out with `hello_seen`.
  [[nodiscard]] const hello& peer() const noexcept { return peer_; }
  [[nodiscard]] send_account account() const noexcept {
    return {frames_sent_, frames_confirmed_, 0};
  }
  /// Message frames received, and of these let go by the program.
  [[nodiscard]] std::uint64_t frames_received() const noexcept { return frames_received_; }
  [[nodiscard]] std::uint64_t frames_taken() const noexcept { return frames_released_; }
  /// The frame bound towards the peer: the smaller of both ends'.
  [[nodiscard]] std::uint32_t frame_bytes_max() const noexcept;
  /// Bytes received and not let go.
  [[nodiscard]] std::uint64_t charged_bytes() const noexcept {
    return bytes_received_ - charge_->bytes();
  }
  [[nodiscard]] std::uint64_t window_bytes() const noexcept { return window_bytes_; }
  /// Requests that somebody waits for, here or there.
  [[nodiscard]] std::size_t open_requests() const noexcept {
    return requests_ ? requests_->awaited() + requests_->unanswered() : 0;
  }
  /// What there is to say about it now; but for the address and for what waits in the outbox, which it
  /// does not know.
  [[nodiscard]] connection_statistics statistics(time_point now) const;

private:
  void on_frame(const codecs::frame_view& frame, time_point now);
  void on_hello(const codecs::frame_view& frame, time_point now);
  void on_welcome(const codecs::frame_view& frame, time_point now);
  void on_refuse(const codecs::frame_view& frame, time_point now);
  void on_goodbye(const codecs::frame_view& frame, time_point now);
  void on_credit(const codecs::frame_view& frame, time_point now);
  void on_message(const codecs::frame_view& frame, time_point now);
  void on_request(const codecs::frame_view& frame, time_point now);
  void on_response(const codecs::frame_view& frame, time_point now);
  void on_failure(const codecs::frame_view& frame, time_point now);
  void on_cancel(const codecs::frame_view& frame, time_point now);
  [[nodiscard]] bool may_correlate(const codecs::frame_view& frame, time_point now);
  void on_answer(correlation_id id, request_answer what, time_point now);
  void tick_requests(time_point now);
  [[nodiscard]] requests& books();
  [[nodiscard]] bool asks_nothing() const noexcept;
  void check_hello(time_point now);
  void ask_for_decision(time_point now);
  void become_open(time_point now);
  void begin_drain(const error& why, duration drain, time_point now);
  void say_goodbye(errc code, std::string detail);
  void advance_drain(outbox& queue, time_point now);
  void abandon(outbox& queue, time_point now);
  void retract();
  void begin_linger(const error& why, time_point now);
  void violate(errc code, std::string detail, time_point now);
  void end(const error& why);
  void say_why(errc code, const std::string& detail);
  void say_hello();
  void say(payload frame) {
    if (is_opening())
      wire_bytes_sent_ -= static_cast<std::int64_t>(frame.size());
    said_.push_back(std::move(frame));
  }
  void tell(session_event event);
  void tell_gathered();
  void read_receipt() noexcept;
  void grow_window() noexcept;
  void plan_credit() noexcept;
  void queue_control_frames(outbox& queue);
  void pull_data(outbox& queue, time_point now);
  void count_wire() noexcept;
  [[nodiscard]] std::size_t wire_room() noexcept;
  void check_shutdown() noexcept;
  void forgive(time_point now) noexcept;
  void tick_open(time_point now);
  [[nodiscard]] bool needs_release() const noexcept;
  [[nodiscard]] std::uint64_t window_frames() const noexcept;
  [[nodiscard]] bool is_busy() const noexcept;
  [[nodiscard]] bool may_become_idle() const noexcept {
    return phase_ == phase::open && !keep_idle_ && !peer_keeps_ && !idle_told_;
  }
  [[nodiscard]] bool is_live() const noexcept {
    return phase_ == phase::open || phase_ == phase::draining;
  }
  [[nodiscard]] bool is_opening() const noexcept { return phase_ < phase::open; }
  [[nodiscard]] bool all_taken() const noexcept { return frames_released_ == frames_received_; }
  [[nodiscard]] bool credit_is_due() const noexcept { return credit_due_ && was_open_ && !deaf_; }
  [[nodiscard]] bool all_written() const noexcept {
    return wire_.empty() && said_.empty() && !credit_is_due();
  }
  // A dialer opens with its own welcome; whether that arrived it knows when it hears something.
  [[nodiscard]] bool is_open_here_only() const noexcept {
    return role_ == role::dialer && !heard_since_open_;
  }
  [[nodiscard]] duration ping_after() const noexcept;
  void count(const traffic& more, time_point now) noexcept;
  [[nodiscard]] traffic counted() const noexcept;

  // Who we are and what holds.
  role role_;
  std::unique_ptr<hello> self_; // ours, until it has served: no open connection keeps it
  std::shared_ptr<const limits> bounds_;
  bool takes_messages_;
  bool keep_idle_;
  bool peer_keeps_ = false; // and asks us not to close when idle

  phase phase_ = phase::hello;
  hello peer_;
  bool peer_seen_ = false; // its hello is in
  codecs::frame_reader reader_;

  // Outputs that wait to be drained.
  fifo<session_event> events_;
  fifo<payload> said_; // control frames not yet in an outbox
  fifo<outgoing> wire_;
  std::size_t wire_bytes_ = 0;   // of the pieces that were counted
  std::size_t wire_counted_ = 0; // pieces of it
  std::size_t wire_offset_ = 0;  // of the first piece, already written
  shared<received_frames> gathering_;

  // Sending, in message frames; the limits are the peer's latest credit.
  std::uint64_t bytes_sent_ = 0;
  std::uint64_t frames_sent_ = 0;
  std::uint64_t frames_confirmed_ = 0;
  std::uint64_t bytes_limit_ = 0;
  std::uint64_t frames_limit_ = 0;
  bool starved_ = false;
  bool queue_empty_ = true; // as of the last pull

  // Receiving; released sums are copies of the receipt's.
  shared<receipt> charge_;
  std::uint64_t bytes_received_ = 0;
  std::uint64_t frames_received_ = 0;
  std::uint64_t bytes_released_ = 0;
  std::uint64_t frames_released_ = 0;
  std::size_t window_bytes_max_;
  std::uint64_t window_bytes_;
  std::uint64_t measured_bytes_ = 0; // received when the window's use was last looked at
  std::uint64_t measured_frames_ = 0;
  time_point measured_at_ = time_point::min();
  credit granted_; // as last told
  bool credit_due_ = false;

  std::unique_ptr<requests> requests_; // none before the first

  // Pings: ours and theirs.
  std::uint64_t next_token_ = 1;
  std::uint64_t probe_token_ = 0; // 0: none under way
  bool ping_due_ = false;
  std::optional<std::uint64_t> pong_due_;
  std::uint64_t pinged_token_ = 0; // of the last ping; 0: answered
  time_point pinged_at_ = never;
  duration round_trip_time_{};

  // Statistics. The handshake's bytes are taken off where they are said and read, so the first may be
  // below zero for a while: a dialer is open before its welcome is written.
  std::int64_t wire_bytes_sent_ = 0;
  std::uint64_t wire_bytes_received_ = 0;
  half_life_average<4> rates_; // in the order of `traffic`; begins when it is open
  time_point useful_sent_at_;
  time_point useful_received_at_;

  // Times.
  time_point handshake_deadline_;
  time_point decision_deadline_ = never;
  time_point last_received_;
  time_point last_sent_;
  time_point last_useful_; // anything but keepalives, either way
  time_point stalled_since_ = never;
  time_point probe_deadline_ = never;
  time_point probed_at_ = never;
  time_point drain_deadline_ = never;
  time_point linger_deadline_ = never;
  bool idle_told_ = false;

  // The close.
  error reason_;
  bool goodbye_said_ = false;
  bool goodbye_heard_ = false;
  bool was_open_ = false;
  bool heard_since_open_ = false;
  bool input_ended_ = false;
  bool deaf_ = false; // the peer broke the protocol: nothing it says counts any more
  bool drain_expired_ = false;
  bool shutdown_due_ = false;
  bool shut_ = false;
  bool ended_told_ = false;
  std::uint64_t unsent_ = 0;
  fifo<outgoing> unsent_frames_;
};

} // namespace postbus::bus
