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

/// A message that an outbox has taken. Its bytes follow from its serial number.
struct sent_message {
  std::uint32_t bytes = 0; ///< Of the body.
  std::uint16_t tag = 0;
  bool opaque = true;       ///< Else a MessagePack binary.
  std::uint64_t serial = 0; ///< Another one for each message of a run, whatever way it takes.

  /// What arrived has its size, tag and form.
  [[nodiscard]] bool looks_like(const codecs::frame_header& header) const noexcept {
    return header.length == bytes && header.tag == tag
           && ((header.flags & codecs::frame_flag::opaque) != 0) == opaque;
  }
};

[[nodiscard]] std::vector<std::byte> body_of(const sent_message& what);
/// True when `body` is that, looking at all bytes of a small one and at some of a large.
[[nodiscard]] bool is_body_of(const sent_message& what, std::span<const std::byte> body);

/// One side of a connection.
struct side_record {
  node_id self;
  std::vector<sent_message> sent; ///< Taken by its outbox, in order.

  std::uint64_t handed = 0;    ///< Messages of the peer that its session has told of.
  std::uint64_t let_go = 0;    ///< Of these: let go of by the node and all programs.
  std::uint64_t received = 0;  ///< Of the handed: while the node counted the connection as open.
  std::uint64_t unclaimed = 0; ///< Of the received: nobody had them, or will.
  std::uint64_t unclaimed_in_time = 0; ///< Of these: when it ended.
  std::uint64_t delivered = 0;         ///< Of the received: given to at least one program.
  std::uint64_t dropped =
    0; ///< Of the received: by the policy of whoever took them, given to none.

  std::uint64_t brought = 0; ///< Of the sent: held over a gap before.
  std::uint64_t carried = 0; ///< Of the sent: not sent, and held for the next connection.

  bool exists = false;          ///< A session was made for it.
  bool opened = false;          ///< Its session said so.
  bool linked = false;          ///< Its node told `connected`, or would have.
  bool crashed = false;         ///< Its node died with it.
  bool closes_in_order = false; ///< Its node was told to close, or it went idle.
  bool drain_expired = false;   ///< Not all could leave in the time there was.
  std::optional<bus::ended> ended;

  /// So many programs will be given this message of the peer, or are told that they are not.
  void arrive(std::uint64_t number, std::uint32_t takers) {
    fates_.resize(number + 1);
    fates_[number].waiting = takers;
    count_if_unclaimed(fates_[number]);
  }
  /// One of them was given it.
  void claim(std::uint64_t number) {
    auto& of = fates_[number];
    delivered += of.what == fate::kind::given ? 0 : 1;
    dropped -= of.what == fate::kind::dropped ? 1 : 0;
    of.what = fate::kind::given;
    --of.waiting;
  }
  /// One of them will not be, as its policy says.
  void drop(std::uint64_t number) {
    auto& of = fates_[number];
    --of.waiting;
    if (of.what != fate::kind::open)
      return;
    ++dropped;
    of.what = fate::kind::dropped;
  }
  /// One of them will not be: it ended.
  void leave(std::uint64_t number) {
    --fates_[number].waiting;
    count_if_unclaimed(fates_[number]);
  }
  /// What its node says of all its connections.
  std::uint64_t* unclaimed_of_node = nullptr;

private:
  struct fate {
    enum class kind : std::uint8_t { open, given, dropped };
    kind what = kind::open;
    std::uint32_t waiting = 0;
  };
  void count_if_unclaimed(const fate& of) {
    if (of.waiting > 0 || of.what != fate::kind::open)
      return;
    ++unclaimed;
    if (unclaimed_of_node != nullptr)
      ++*unclaimed_of_node;
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
  std::uint64_t kept = 0; ///< What its dialer calls the endpoint that it keeps, and dialed it for.
  bool stays = false;     ///< One of the nodes has kept the other connected, at some time.

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
  std::uint64_t given_back = 0;    ///< Held for a peer that did not come back, and told as unsent.
  std::uint64_t own_unclaimed = 0; ///< Sent to the node itself, where nobody wanted them any more.
  std::uint64_t crashed = 0;       ///< Accepted by a node that then died.
  std::uint64_t spoiled = 0;       ///< Accepted for a connection whose frames the network changed.
  std::uint64_t confirmed = 0;
};

/// Balances one connection that is over at both sides; adds it to `sums`.
void settle_account(const connection_record& of, run_account& sums);

} // namespace postbus::testing
