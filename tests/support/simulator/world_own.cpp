// world: what a node sends to itself, what programs change while it runs, and connections that they end.
// Mirrors actors/node_shell_settings.cpp.
#include "postbus/tests/support/simulator/world.hpp"

#include <algorithm>

namespace postbus::testing {

// -- messages to itself -----------------------------------------------------------------

void world::deliver_own(host& at) {
  (void)at.own.charge->take();
  if (at.own.box.data_frames() > 0 && bug_strikes(seeded_bug::own_lost, 10)) {
    bus::fifo<bus::outgoing> lost;
    at.own.box.take(lost, {1, 1});
  }
  const auto before = at.core->own().sent;
  at.own.due = at.core->deliver_own(at.own.box);
  expect_own(at, before);
  obey(at);
}

// So many have left the outbox since, in the order in which they were sent.
void world::expect_own(host& at, std::uint64_t before) {
  auto& record = at.own.record;
  for (auto number = before; number < at.core->own().sent; ++number) {
    require(number < record.sides[0].sent.size(), law::account,
            "more messages to itself than were sent");
    const auto& sent = record.sides[0].sent[number];
    ++record.sides[1].received;
    expect_message(at, {.what = expectation::kind::message,
                        .peer = at.id,
                        .over = &record,
                        .from_side = 0,
                        .number = number,
                        .tag = sent.tag,
                        .bytes = codecs::frame_header_bytes + std::uint64_t{sent.bytes}});
  }
}

// When all rests, and at the end with nothing left: accepted = waiting + sent, sent = taken + held.
void world::check_own(host& at) {
  const auto own = at.core->own();
  const auto& sent = at.own.record.sides[0].sent;
  const auto& here = at.own.record.sides[1];
  require(sent.size() == own.sent + at.own.box.data_frames(), law::account,
          "a message that a node sent to itself is lost");
  require(own.taken <= own.sent && own.unclaimed == here.unclaimed, law::account,
          "other messages to itself came to nothing than the node says");
  require(at.own.box.data_frames() == 0 || !at.anybody_takes() || own.taken < own.sent,
          law::progress, "messages to itself wait, though nobody holds any");
}

// -- settings ---------------------------------------------------------------------------

void world::change_bounds(host& at, const limits& changed) {
  require(at.core->bounds(changed).has_value(), law::ending, "limits that are not taken");
  at.bounds = changed;
  const auto widen = [](auto& loosest, auto now) { loosest = std::max(loosest, now); };
  auto& most = at.loosest;
  widen(most.connections_max, changed.connections_max);
  widen(most.pending_handshakes_max, changed.pending_handshakes_max);
  widen(most.node_received_bytes_max, changed.node_received_bytes_max);
  widen(most.window_bytes_max, changed.window_bytes_max);
  widen(most.requests_in_flight_max, changed.requests_in_flight_max);
  widen(most.handshake_time_max, changed.handshake_time_max);
  widen(most.linger_time_max, changed.linger_time_max);
  seen_.count("settings changed");
  obey(at);
}

void world::change_init(host& at, std::size_t bytes) {
  const auto fits = bytes <= bus::init_bytes_max;
  const auto body = body_of({static_cast<std::uint32_t>(bytes), 0, true, 1});
  require(at.core->init_message(payload::copy_of(std::span(body))).has_value() == fits, law::bound,
          "an init message that is too long, or not taken");
  seen_.count(fits ? "init messages changed" : "init messages that are too long");
}

// -- connections that programs end --------------------------------------------------------

void world::disconnect(host& at, const node_id& peer, duration drain) {
  const auto which = at.core->disconnect(peer, "go", drain);
  require(which.has_value() == at.links.contains(peer), law::events,
          "a peer to disconnect that is connected, or not, as nobody was told");
  if (which) {
    at.disconnecting.insert(*which);
    seen_.count("connections ended by a program");
  }
  obey(at);
}

} // namespace postbus::testing
