// program: one subscriber as a simulated program: takes what it is told at once, slowly or not at all,
// keeps messages and payloads, and knows what it must be told next, one thing after the other.
// Drive: expect() what the node has to tell, told() what it does; let_go() at next_moment().
#pragma once

#include "postbus/bus/subscriptions.hpp"
#include "postbus/tests/support/simulator/record.hpp"

#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace postbus::testing {

/// A receipt that remembers that somebody waits for it.
class bell : public bus::receipt {
public:
  bool take() noexcept { return std::exchange(rung_, false); }
  [[nodiscard]] bool rung() const noexcept { return rung_; }

private:
  void wake() noexcept override { rung_ = true; }
  bool rung_ = false; // simulations have one thread
};

/// Something a subscriber has to be told.
struct expectation {
  enum class kind : std::uint8_t {
    connected,
    message,
    disconnected,
    unsent,
    keep_state,
    closing,
    closed
  };

  kind what = kind::message;
  node_id peer;
  connection_record* over = nullptr;
  unsigned from_side = 0;   ///< Who sent the message.
  std::uint64_t number = 0; ///< Of the message.
  std::uint16_t tag = 0;    ///< Of the message, as it arrived.
  std::uint64_t bytes = 0;  ///< The same, with its header.
  std::shared_ptr<const std::vector<sent_message>> back = nullptr; ///< What was not sent.
  std::shared_ptr<const keep_state> state =
    nullptr;               ///< Its next try is the longest that it may be.
  duration next_try_min{}; ///< The shortest.
};

class program {
public:
  /// How a subscriber treats what it is given.
  struct manner {
    duration holds = duration::zero(); ///< A batch, before it lets go of it; max(): never.
    bool keeps_messages = false; ///< Every third message is taken out of its batch and kept longer.
    bool keeps_payloads = false; ///< Bodies are kept, for ever: they are the program's memory.
    bool answers = true;         ///< Questions; else somebody else does, or nobody.
    duration answers_after = duration::zero();
    bool singles = false; ///< Messages are taken out of their batch at once, and let go one by one.
  };

  program(const bus::subscription_options& wants, manner how, std::uint32_t batches_max)
    : wants_(wants), how_(how), batches_max_(batches_max),
      slot_(bus::shared<bell>::adopt(new bell)) {}

  [[nodiscard]] const bus::subscription_options& wants() const noexcept { return wants_; }
  [[nodiscard]] bus::shared<bell>& slot() noexcept { return slot_; }

  /// What its filter says of it.
  [[nodiscard]] bool takes(const expectation& what) const;
  /// The node will have to tell it this, behind everything before; unless it does not take it.
  void expect(const expectation& what);
  void told(batch what, time_point now);
  void told(const node_event& what, time_point now);
  /// What it had taken and was not given will not come; nor anything else, when its policy drops.
  void abandon();
  /// The node ended it.
  [[nodiscard]] bool was_cut_off() const noexcept { return cut_off_; }
  /// The node is over: batches may be handed on beyond the bound.
  void unbounded() noexcept { batches_max_ = UINT32_MAX; }

  /// Takes batches, or nothing any more, until it is resumed.
  void stuck(bool yes) noexcept { stuck_ = yes; }
  /// When it lets go of something by itself.
  [[nodiscard]] time_point next_moment() const noexcept;
  void let_go(time_point now);

  [[nodiscard]] std::size_t batches_held() const noexcept { return hands_.size(); }
  /// Everything it had to be told, it was told.
  [[nodiscard]] bool was_told_all() const noexcept { return due_.empty(); }
  [[nodiscard]] std::string missing() const;
  [[nodiscard]] bool was_told_closed() const noexcept { return closed_; }
  /// What the node counts must be what it was told, and what it waits for.
  void check_counters(const subscription_counters& counted, const limits& bounds);

  struct question {
    connection_request what;
    time_point due;
  };
  /// What was put to it and not answered yet.
  std::deque<question> questions;
  [[nodiscard]] time_point next_answer() const noexcept;

private:
  struct holding {
    time_point until;
    batch what;
    std::vector<expectation> was; // what its messages are
    std::vector<message> kept;
  };

  [[nodiscard]] expectation take_due(const message_view& what);
  [[nodiscard]] expectation take_first_due();
  [[nodiscard]] static bool is_right(const expectation& is, const message_view& what);
  static void check_message(const expectation& is, const message_view& what);
  static void check_account(const expectation& is, const disconnected& told);
  void check_unsent(const unsent& told);
  void check_keep_state(const keep_state& told);
  void lose(const expectation& what);
  void check_gap(const messages_dropped& told);
  void miss_messages();
  [[nodiscard]] bool drops() const noexcept { return wants_.policy != slow_policy::block; }
  void check_event(expectation::kind what, const node_id& peer, const char* name);

  bus::subscription_options wants_;
  manner how_;
  std::uint32_t batches_max_;
  bus::shared<bell> slot_;
  std::deque<expectation> due_;
  std::deque<holding> hands_;
  std::vector<payload> payloads_;
  std::set<std::uint64_t> asked_;
  // Messages that were for it, that it was given, and that it was told or seen to be dropped; and bytes.
  std::uint64_t taken_ = 0;
  std::uint64_t messages_ = 0;
  std::uint64_t lost_ = 0;
  std::uint64_t lost_bytes_ = 0;
  std::uint64_t due_bytes_ = 0;
  bool stuck_ = false;
  bool closed_ = false;
  bool cut_off_ = false;
  std::uint64_t missed_ = 0; // messages, when it is cut off
};

} // namespace postbus::testing
