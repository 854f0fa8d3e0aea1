// record: what the simulator knows of a connection, beside and independent of what its two sessions say:
// what each side sent, what the other was told, how it ended, and what the network did to it.
// Never asks the code under test for anything.
#pragma once

#include "postbus/bus/session.hpp"
#include "postbus/tests/support/simulator/violation.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace postbus::testing {

/// Nothing that a scenario sends has a larger body.
inline constexpr std::uint32_t body_bytes_max = 70'000;

/// A message that an outbox has taken. Its bytes follow from the sender's salt and its number.
struct sent_message {
  std::uint32_t bytes = 0; ///< Of the body.
  std::uint16_t tag = 0;
  bool opaque = true; ///< Else a MessagePack binary.

  friend bool operator==(const sent_message&, const sent_message&) = default;
};

/// The body of the message `number` of a sender.
[[nodiscard]] std::vector<std::byte> body_of(std::uint64_t salt, std::uint64_t number,
                                             const sent_message& what);
/// True when `body` is that, looking at all bytes of a small one and at some of a large.
[[nodiscard]] bool is_body_of(std::uint64_t salt, std::uint64_t number, const sent_message& what,
                              std::span<const std::byte> body);

/// One side of a connection.
struct side_record {
  std::uint64_t salt = 0;
  node_id self;
  std::vector<sent_message> sent; ///< Taken by its outbox, in order.

  std::uint64_t handed = 0;    ///< Messages of the peer that its session has told of.
  std::uint64_t let_go = 0;    ///< Of these: let go of by the node and all programs.
  std::uint64_t received = 0;  ///< Of the handed: while the node counted the connection as open.
  std::uint64_t unclaimed = 0; ///< Of the received: when it ended nobody had them, or would.
  std::uint64_t delivered = 0; ///< Of the received: given to at least one program.
  std::uint64_t dropped =
    0; ///< Of the received: by the policy of whoever took them, given to none.

  bool exists = false;          ///< A session was made for it.
  bool opened = false;          ///< Its session said so.
  bool linked = false;          ///< Its node told `connected`, or would have.
  bool crashed = false;         ///< Its node died with it.
  bool closes_in_order = false; ///< Its node was told to close, or it went idle.
  bool drain_expired = false;   ///< Not all could leave in the time there was.
  std::optional<bus::ended> ended;

  /// A program was given this message of the peer.
  void claim(std::uint64_t number) {
    auto& was = fate_of(number);
    delivered += was == fate::given ? 0 : 1;
    dropped -= was == fate::dropped ? 1 : 0;
    was = fate::given;
  }
  /// A program that had taken this message of the peer will not be given it.
  void drop(std::uint64_t number) {
    auto& was = fate_of(number);
    if (was != fate::open)
      return;
    ++dropped;
    was = fate::dropped;
  }
  /// One or the other.
  [[nodiscard]] bool was_claimed(std::uint64_t number) const {
    return number < fates_.size() && fates_[number] != fate::open;
  }

private:
  enum class fate : std::uint8_t { open, given, dropped };
  fate& fate_of(std::uint64_t number) {
    if (number >= fates_.size())
      fates_.resize(number + 1);
    return fates_[number];
  }
  std::vector<fate> fates_;
};

struct connection_record {
  enum end_name : unsigned { dialer = 0, listener = 1 };

  std::uint64_t serial = 0;
  std::array<side_record, 2> sides;
  std::optional<result<node_id>> answer; ///< What became of the dial.
  bool disturbed = false; ///< The network did more to it than delay, or a node stood still.
  bool spoiled = false;   ///< Bytes were changed that are more than content.
  std::array<std::set<std::uint64_t>, 2> touched; ///< Messages of a side whose content was changed.

  /// "#7 1→2".
  [[nodiscard]] std::string name() const;
};

/// Sums over all connections of a run.
struct run_account {
  std::uint64_t attempts = 0;                             ///< Calls of `send`.
  std::uint64_t congested = 0, closed = 0, too_large = 0; ///< Refused.
  std::uint64_t accepted = 0;
  std::uint64_t delivered = 0;       ///< Given to at least one program.
  std::uint64_t dropped = 0;         ///< By the policy of a slow subscriber, and given to nobody.
  std::uint64_t unclaimed = 0;       ///< Arrived, and nobody had subscribed.
  std::uint64_t left_behind = 0;     ///< Waited for a subscription that ended after the connection.
  std::uint64_t turned_away = 0;     ///< Arrived on a connection that was given up for another.
  std::uint64_t lost_on_the_way = 0; ///< Written, and never handed over at the other side.
  std::uint64_t unsent = 0;          ///< Accepted, and never written.
  std::uint64_t crashed = 0;         ///< Accepted by a node that then died.
  std::uint64_t spoiled = 0; ///< Accepted for a connection whose frames the network changed.
  std::uint64_t confirmed = 0;
};

/// Balances one connection that is over at both sides; adds it to `sums`.
void settle_account(const connection_record& of, run_account& sums);

} // namespace postbus::testing
