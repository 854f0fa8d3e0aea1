// node_world: several cores of nodes on one virtual clock, their sessions wired by pipes. Does what the
// node actor and its connections do, and nothing else. Bounded: a world that never rests is a failure.
// Drive: add() nodes, subscribe, dial(); run(span); then look at what each node was told.
#pragma once

#include "postbus/bus/orders.hpp"
#include "postbus/tests/support/pipe.hpp"
#include "postbus/tests/support/session_end.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace postbus::test {

class node_world {
public:
  struct end;

  /// One node with its subscribers.
  struct host {
    host(bus::node::options how, time_point now) : core(std::move(how), now) {}

    bus::node core;
    std::map<bus::connection_id, std::unique_ptr<end>> ends;
    std::map<bus::connection_id, node_id> links;         ///< Up, as the core said.
    std::map<bus::connection_id, result<node_id>> dials; ///< Answered.
    std::map<bus::subscription_id, bus::shared<alarm>> slots;
    std::map<bus::subscription_id, std::string>
      stories; ///< What each subscriber was told, in words.
    std::map<bus::subscription_id, std::vector<batch>> held; ///< By subscribers that keep.
    std::map<bus::subscription_id, bool> keeps;
    std::vector<connection_request> questions;
    std::map<node_id, std::vector<int>> numbers; ///< First byte of each message, by sender.
    std::map<bus::collection_id, std::shared_ptr<const node_statistics>> statistics; ///< Told.
    std::function<void(const bus::node::output&)> watch; ///< Shown what the core wants done.
    bool finished = false;
  };
  /// One end of a connection.
  struct end {
    end(host& home, bus::node::started start, time_point now)
      : of(home), id(start.connection), charge(bus::shared<alarm>::adopt(new alarm)),
        box(*start.how.bounds),
        session((start.how.charge = bus::shared<bus::receipt>(charge), std::move(start.how)), now) {
    }

    host& of;
    bus::connection_id id;
    bus::shared<alarm> charge;
    bus::outbox box;
    bus::session session;
    std::shared_ptr<pipe> in, out;
    bool input_open = true;
    bool over = false;
  };

  time_point now{std::chrono::seconds(1000)};
  pipe::settings wires;
  /// Whoever dials from now on is made like this.
  std::function<void(bus::session::options&)> alter_dialer;

  host& add(unsigned id, limits bounds = {}, std::uint64_t incarnation = 1) {
    bus::node::options how{id_of(id), incarnation, payload::copy_of("node " + std::to_string(id)),
                           std::make_shared<const limits>(bounds)};
    return *hosts_.emplace_back(std::make_unique<host>(std::move(how), now));
  }

  bus::subscription_id subscribe(host& at, const bus::subscription_options& wants = {},
                                 bool keeps = false) {
    auto slot = bus::shared<alarm>::adopt(new alarm);
    const auto id = at.core.subscribe(wants, bus::shared<bus::receipt>(slot));
    at.slots.emplace(id, std::move(slot));
    at.keeps[id] = keeps;
    return id;
  }

  /// What a node says of itself, now.
  node_statistics statistics_of(host& at) {
    const auto which = at.core.collect(now);
    REQUIRE(which.has_value());
    run(std::chrono::seconds(0));
    REQUIRE(at.statistics.contains(*which));
    return *at.statistics.at(*which);
  }

  /// A connection from one to the other; its id at the dialing end. 0 when a node takes none any more.
  bus::connection_id dial(host& from, host& to, node_id expected = {},
                          const std::string& address = "there:1") {
    auto dialed = from.core.start({bus::session::role::dialer, address, expected});
    if (!dialed)
      return 0;
    auto taken = to.core.start({bus::session::role::listener, address, {}});
    const auto id = dialed->connection;
    if (alter_dialer)
      alter_dialer(dialed->how);
    auto near = std::make_unique<end>(from, std::move(*dialed), now);
    near->in = std::make_shared<pipe>();
    near->out = std::make_shared<pipe>();
    near->in->how = near->out->how = wires;
    if (taken) {
      auto far = std::make_unique<end>(to, std::move(*taken), now);
      far->in = near->out;
      far->out = near->in;
      to.ends.emplace(far->id, std::move(far));
    } else {
      near->in->finish(now);
    }
    from.ends.emplace(id, std::move(near));
    return id;
  }

  /// Queues a message of one byte; as the node's handle would.
  send_outcome send(host& from, const host& to, int number) {
    for (auto& [id, peer] : from.links)
      if (peer == to.core.id()) {
        const auto body = static_cast<std::byte>(number);
        return from.ends.at(id)->box.push(
          bus::outbox::lane::data, {.flags = codecs::frame_flag::opaque}, std::span(&body, 1));
      }
    return send_outcome::closed;
  }

  /// Lets go of what a subscriber holds.
  void let_go(host& at, bus::subscription_id id) { at.held[id].clear(); }

  /// Lets time pass, with everything that happens in it.
  void run(duration span) {
    const auto until = now + span;
    for (;;) {
      settle();
      const auto next = next_moment();
      if (next > until)
        break;
      now = std::max(now, next);
    }
    now = until;
    settle();
  }

  /// The connection over which `from` reaches `to`; null when there is none.
  end* link(host& from, const host& to) {
    for (auto& [id, peer] : from.links)
      if (peer == to.core.id())
        return from.ends.at(id).get();
    return nullptr;
  }

private:
  void settle() {
    for (int rounds = 0; drive_all(); ++rounds)
      law(rounds < 10'000, "the world never rests");
  }

  bool drive_all() {
    bool moved = false;
    for (auto& at : hosts_) {
      at->core.tick(now);
      for (auto& [id, slot] : at->slots)
        if (slot->take())
          at->core.settle(id);
      moved |= obey(*at);
      std::vector<end*> ends;
      for (auto& [id, each] : at->ends)
        ends.push_back(each.get());
      for (auto* each : ends)
        moved |= drive(*each);
      moved |= obey(*at);
      std::erase_if(at->ends, [](const auto& each) { return each.second->over; });
    }
    return moved;
  }

  bool drive(end& at) {
    if (at.over)
      return false;
    bool moved = false;
    if (at.charge->take())
      at.session.settle();
    while (at.input_open && at.in->next_arrival() <= now) {
      moved = true;
      if (at.in->next_kind() != pipe::kind::data) {
        at.input_open = false;
        if (at.in->next_kind() == pipe::kind::end)
          at.session.end_of_input();
        else
          at.session.fail(errc::connection_reset, "pipe");
        at.in->drop_next();
        break;
      }
      const auto room = at.session.prepare(scratch_);
      at.session.commit(at.in->read(room[0].empty() ? room[1] : room[0]), now);
      at.session.park();
    }
    at.session.pull(at.box, now);
    std::span<const std::byte> pieces[16];
    while (const auto count = at.session.wire(pieces)) {
      std::size_t taken = 0;
      for (std::size_t index = 0; index < count; ++index)
        taken += at.out->push(pieces[index], now);
      at.session.written(taken, now);
      if (taken == 0)
        break;
      moved = true;
      at.session.pull(at.box, now);
    }
    if (at.session.take_shutdown())
      at.out->finish(now);
    while (auto event = at.session.next_event()) {
      moved = true;
      at.of.core.on(at.id, std::move(*event));
    }
    if (at.session.at() == bus::phase::closed) {
      at.out->finish(now);
      at.over = true;
      return true;
    }
    at.of.core.arm(at.id, at.session.deadline());
    return moved;
  }

  bool obey(host& at) {
    using core = bus::node;
    bool moved = false;
    while (auto what = at.core.next()) {
      moved = true;
      law(!at.finished, "an output after finished");
      if (at.watch)
        at.watch(*what);
      const auto of = [&](bus::connection_id id) {
        return at.ends.contains(id) ? at.ends.at(id).get() : nullptr;
      };
      std::visit(
        [&]<class Order>(const Order& order) {
          if constexpr (bus::connection_order<Order>)
            if (auto* to = of(order.connection))
              bus::carry_out(order, to->session, now);
        },
        *what);
      if (auto* up = std::get_if<core::link_up>(&*what)) {
        for (const auto& [id, peer] : at.links)
          law(peer != up->peer, "two links to one peer");
        at.links.emplace(up->connection, up->peer);
      } else if (auto* down = std::get_if<core::link_down>(&*what)) {
        law(at.links.erase(down->connection) == 1, "a link down that was not up");
      } else if (auto* answered = std::get_if<core::answer_dial>(&*what)) {
        law(at.dials.emplace(answered->connection, std::move(answered->peer)).second,
            "a dial answered twice");
      } else if (auto* told = std::get_if<core::tell_subscriber>(&*what)) {
        tell(at, told->what);
      } else if (auto* ask = std::get_if<core::report_connection>(&*what)) {
        if (auto* to = of(ask->connection)) {
          auto said = to->session.statistics(now);
          said.messages_waiting = to->box.data_frames();
          at.core.report(ask->connection, ask->collection, std::move(said));
        }
      } else if (auto* ready = std::get_if<core::statistics_ready>(&*what)) {
        law(at.statistics.emplace(ready->collection, ready->what).second, "statistics told twice");
      } else if (std::holds_alternative<core::finished>(*what)) {
        at.finished = true;
      }
    }
    return moved;
  }

  static void tell(host& at, bus::subscriptions::output& what) {
    auto& story = at.stories[what.to];
    if (auto* some = std::get_if<batch>(&what.what)) {
      for (const auto& each : *some) {
        story += "message ";
        at.numbers[each.from()].push_back(static_cast<int>(each.bytes()[0]));
      }
      if (at.keeps[what.to])
        at.held[what.to].push_back(std::move(*some));
      return;
    }
    const auto& event = std::get<node_event>(what.what);
    if (const auto* asked = std::get_if<connection_request>(&event)) {
      story += "connection_request ";
      at.questions.push_back(*asked);
    } else if (const auto* up = std::get_if<connected>(&event)) {
      story += "connected(" + std::string(up->init.text()) + ") ";
    } else if (const auto* gone = std::get_if<disconnected>(&event)) {
      story += "disconnected(" + std::string(to_string(gone->reason.code));
      if (gone->messages_unclaimed > 0)
        story += ", " + std::to_string(gone->messages_unclaimed) + " of "
                 + std::to_string(gone->messages_received) + " unclaimed";
      story += ") ";
    } else if (const auto* kept = std::get_if<keep_state>(&event)) {
      story += "keep_state(" + std::string(to_string(kept->status)) + ") ";
    } else if (std::holds_alternative<unsent>(event)) {
      story += "unsent ";
    } else if (const auto* lost = std::get_if<messages_dropped>(&event)) {
      story += "dropped(" + std::to_string(lost->messages) + ") ";
    } else if (const auto* over = std::get_if<subscription_ended>(&event)) {
      story += "subscription_ended(" + std::to_string(over->messages_dropped) + ") ";
    } else {
      story += std::holds_alternative<closing>(event) ? "closing " : "closed ";
    }
  }

  [[nodiscard]] time_point next_moment() const {
    auto first = never;
    for (const auto& at : hosts_) {
      first = std::min(first, at->core.deadline());
      for (const auto& [id, each] : at->ends)
        if (each->input_open)
          first = std::min(first, each->in->next_arrival());
    }
    return first;
  }

  std::vector<std::unique_ptr<host>> hosts_;
  codecs::read_scratch scratch_;
};

} // namespace postbus::test
