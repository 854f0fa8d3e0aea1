// world: what a connection actor does with its session and its socket. Mirrors actors/connection.cpp.
#include "postbus/tests/support/simulator/world.hpp"

#include "postbus/bus/orders.hpp"
#include "postbus/tests/support/handed_back.hpp"

#include <algorithm>
#include <array>

namespace postbus::testing {

using core = bus::node;

void world::follow(end_point& at, core::output& what) {
  std::visit(
    [&]<class Order>(Order& order) {
      if constexpr (bus::connection_order<Order>) {
        if constexpr (std::is_same_v<Order, core::close_connection>)
          if (at.is_live())
            at.drain_until = std::min(at.drain_until, later(now_, order.drain));
        if constexpr (std::is_same_v<Order, core::end_connection>)
          at.mine().drain_expired |= order.reason.code == errc::shutting_down;
        if constexpr (std::is_same_v<Order, core::tick_connection>) {
          at.armed = never;
          read(at);
        }
        if constexpr (std::is_same_v<
                        Order, core::send_request> || std::is_same_v<Order, core::send_answer>)
          at.busy = now_;
        bus::carry_out(order, at.session, now_);
      }
      if constexpr (std::is_same_v<Order, core::report_connection>) {
        auto said = std::make_unique<connection_statistics>(at.session.statistics(now_));
        said->messages_waiting = at.box.data_frames();
        at.of.mailbox.push_back(
          host::reported{order.connection, order.collection, std::move(said)});
      }
    },
    what);
}

void world::drive(end_point& at) {
  if (at.over)
    return;
  at.woken = false;
  if (at.session.at() == bus::phase::closed && at.box.data_frames() > 0
      && bug_strikes(seeded_bug::outbox_kept))
    queues_kept_by_mistake_.push_back(at.box); // refers to the same memory
  at.session.pull(at.box, now_);
  hand_over(at);
  write(at);
  hand_over(at);
  if (at.session.take_shutdown())
    at.out->finish(now_);
  look(at);
  if (at.session.at() == bus::phase::closed) {
    at.session.pull(at.box, now_);
    hand_over(at);
    write(at);
    at.over = true;
    require(at.mine().ended.has_value(), law::events, "closed, and nobody was told");
    return close_socket(at);
  }
  if (const auto when = at.session.deadline(); when < at.armed) {
    at.armed = when;
    at.of.core->arm(at.id, when);
  }
  carry_bounce(at);
}

// Who writes to a socket that is closed is told of a reset.
void world::carry_bounce(end_point& at) {
  if (at.out->take_bounce())
    at.in->reset(now_);
}

void world::close_socket(end_point& at) {
  if (at.in->close_reader(now_))
    at.out->reset(now_);
  else
    at.out->finish(now_);
}

void world::hand_over(end_point& at) {
  while (auto event = at.session.next_event()) {
    require(!at.mine().ended, law::events, "an event behind ended");
    if (auto* frames = std::get_if<bus::received>(&*event))
      check_received(at, *frames->frames);
    if (std::holds_alternative<bus::opened>(*event)) {
      require(!at.mine().opened, law::events, "opened twice");
      at.mine().opened = true;
      at.box.frame_bytes_max(at.session.frame_bytes_max());
      const auto held = at.of.holds.find(at.session.peer().id);
      if (settings_.breaks_at_open && held != at.of.holds.end() && choices_.chance(1, 4))
        reset(at.record);
    }
    if (std::holds_alternative<bus::became_idle>(*event))
      require(!at.stayed, law::deadline,
              [&] { return at.record.name() + ": a peer that shall stay is taken for idle"; });
    if (auto* end = std::get_if<bus::ended>(&*event)) {
      at.mine().let_go = at.charge->frames();
      require(test::sums_of(end->unsent).frames == end->account.unsent, law::account,
              "what is handed back is not what is said to be unsent");
      at.mine().ended = *end;
      at.mine().ended->unsent.clear(); // or their bytes would be held for good
      check_end(at, *end);
    }
    at.of.mailbox.push_back(
      host::told{at.id, std::make_unique<bus::session_event>(std::move(*event))});
  }
}

void world::write(end_point& at) {
  std::array<std::span<const std::byte>, 16> pieces;
  while (!at.session.wire_empty()) {
    const auto count = at.session.wire(pieces);
    std::size_t offered = 0, taken = 0;
    for (std::size_t index = 0; index < count && taken == offered; ++index) {
      offered += pieces[index].size();
      taken += at.out->write(pieces[index], now_);
    }
    if (taken > 0) {
      at.session.written(taken, now_);
      at.spoke = at.moved = now_;
    }
    if (taken < offered)
      break;
    at.session.pull(at.box, now_);
  }
  at.record.spoiled = at.record.spoiled || at.out->spoiled();
  if (at.out->touched().size() != at.record.touched[at.side].size())
    at.record.touched[at.side] = at.out->touched();
}

void world::read(end_point& at) {
  if (!at.input_open)
    return;
  while (at.in->next(now_) == wire::item::bytes) {
    std::size_t count = 0;
    auto most = settings_.whole_reads || choices_.chance(2, 3) ? SIZE_MAX
                : choices_.chance(1, 2)                        ? choices_.between(1, 40)
                                                               : choices_.between(1, 20'000);
    for (auto room : at.session.prepare(*scratch_)) {
      room = room.first(std::min(room.size(), most));
      const auto part = at.in->read(room, now_);
      const auto before = at.arrived.correlated();
      at.arrived.feed(room.first(part));
      if (at.arrived.correlated() != before)
        at.busy = now_;
      count += part;
      most -= part;
      if (part < room.size() || most == 0)
        break;
    }
    at.heard = now_;
    at.session.commit(count, now_);
    if (most == 0)
      break;
  }
  at.session.park();
  const auto what = at.in->next(now_);
  if (what != wire::item::end && what != wire::item::error)
    return;
  at.in->take_end();
  at.input_open = false;
  if (what == wire::item::end)
    at.session.end_of_input();
  else
    at.session.fail(errc::connection_reset, "by the network");
}

} // namespace postbus::testing
