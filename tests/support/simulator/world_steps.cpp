// world: one thing after the other, and what the node actor does: letters to the core, and what it
// wants. Mirrors actors/node_shell.cpp; what connections do is in world_ends.cpp, what programs are told in
// world_telling.cpp.
#include "postbus/tests/support/simulator/world.hpp"

#include "postbus/bus/orders.hpp"
#include "postbus/bus/overloaded.hpp"

#include <algorithm>

namespace postbus::testing {

using core = bus::node;

namespace {

constexpr std::uint64_t steps_at_once_max = 200'000;

void mix(std::uint64_t& history, std::uint64_t what) {
  history = (history ^ what) * 0x9e3779b97f4a7c15u;
  history ^= history >> 29;
}

} // namespace

// -- what can happen --------------------------------------------------------------

void world::enabled(std::vector<step>& into) {
  into.clear();
  using kind = step::kind;
  for (auto& each : hosts_) {
    auto& at = *each;
    if (!at.runs())
      continue;
    for (auto& [id, who] : at.programs) {
      if (who->slot()->take() && !bug_strikes(seeded_bug::receipt_lost))
        at.mailbox.push_back(host::settled{id});
      if (who->next_moment() <= now_)
        into.push_back({kind::let_go, &at, nullptr, id});
      if (who->next_answer() <= now_)
        into.push_back({kind::answer, &at, nullptr, id});
    }
    if (next_service(at) <= now_)
      into.push_back({kind::serve, &at});
    if (at.own.due || at.own.charge->rung())
      into.push_back({kind::own, &at});
    if (next_kept_dial(at) <= now_)
      into.push_back({kind::dial, &at});
    if (!at.mailbox.empty())
      into.push_back({kind::letter, &at});
    if (at.core->deadline() <= now_)
      into.push_back({kind::tick, &at});
    for (auto& [id, end] : at.ends) {
      if (end->over)
        continue;
      if (end->fresh) {
        into.push_back({kind::begin, &at, end.get()});
        continue;
      }
      if (!end->orders.empty())
        into.push_back({kind::order, &at, end.get()});
      if (end->input_open && end->in->next(now_) != wire::item::nothing)
        into.push_back({kind::read, &at, end.get()});
      if (end->woken || (!end->session.wire_empty() && end->out->room() > 0))
        into.push_back({kind::write, &at, end.get()});
      if (end->charge->rung())
        into.push_back({kind::settle, &at, end.get()});
    }
  }
}

void world::take(const step& what) {
  require(++steps_at_now_ < steps_at_once_max, law::ending, "the world never rests");
  auto& at = *what.at;
  switch (what.what) {
  case step::kind::letter: {
    std::visit(bus::overloaded{
                 [&](host::told& told) { hand_in(at, told); },
                 [&](host::arrived& arrived) { begin(at, arrived); },
                 [&](host::settled& settled) {
                   at.core->settle(settled.subscription);
                   obey(at);
                 },
                 [&](host::reported& said) {
                   at.core->report(said.connection, said.collection, std::move(*said.what));
                   obey(at);
                 },
               },
               at.mailbox.front());
    at.mailbox.pop_front();
    return;
  }
  case step::kind::tick:
    at.core->tick(now_);
    at.kept.ticked(now_, at.bounds);
    expect_changes(at);
    return obey(at);
  case step::kind::own:
    return deliver_own(at);
  case step::kind::dial:
    return arrive_kept(at);
  case step::kind::let_go:
    if (!bug_strikes(seeded_bug::batch_kept, 20))
      at.programs.at(what.subscription)->let_go(now_);
    return;
  case step::kind::answer: {
    auto& who = *at.programs.at(what.subscription);
    const auto asked = who.questions.front().what.connection;
    who.questions.pop_front();
    return answer(at, asked, !choices_.chance(1, 4));
  }
  case step::kind::serve:
    return serve(at);
  case step::kind::begin:
    what.end->fresh = false;
    return drive(*what.end);
  case step::kind::order: {
    mix(what.end->history, 3);
    auto next = std::move(what.end->orders.front());
    what.end->orders.pop_front();
    follow(*what.end, next);
    return drive(*what.end);
  }
  case step::kind::read:
    mix(what.end->history, 4);
    read(*what.end);
    return drive(*what.end);
  case step::kind::write:
    mix(what.end->history, 5);
    return drive(*what.end);
  case step::kind::settle:
    mix(what.end->history, 6);
    if (what.end->charge->take() && !bug_strikes(seeded_bug::receipt_lost)) {
      what.end->session.settle();
      drive(*what.end);
    }
    return;
  }
}

bool world::take_any() {
  enabled(steps_);
  if (steps_.empty())
    return false;
  take(steps_[settings_.whole_reads ? 0 : choices_.below(steps_.size())]);
  return true;
}

time_point world::next_moment() const {
  auto first = never;
  for (const auto& at : hosts_) {
    if (!at->runs())
      continue;
    first = std::min({first, at->core->deadline(), next_service(*at), next_kept_dial(*at)});
    for (const auto& [id, who] : at->programs)
      first = std::min({first, who->next_moment(), who->next_answer()});
    for (const auto& [id, end] : at->ends)
      if (end->input_open && !end->over)
        first = std::min(first, end->in->next_arrival());
  }
  return first;
}

void world::advance(time_point to) {
  check_rest();
  if (to <= now_)
    return;
  now_ = to;
  steps_at_now_ = 0;
}

void world::run(duration span) {
  run_until(now_ + span);
}

void world::run_until(time_point until) {
  for (;;) {
    while (take_any()) {
    }
    const auto next = std::max(next_moment(), now_);
    if (next > until)
      break;
    advance(next);
  }
  advance(until);
}

std::uint64_t world::key() const {
  const auto count = [](time_point when) {
    return static_cast<std::uint64_t>(when.time_since_epoch().count());
  };
  auto sum = count(now_);
  for (const auto& at : hosts_) {
    mix(sum, (at->core ? 1u : 0u) + (at->finished ? 2u : 0u)
               + (at->core && at->core->is_closing() ? 4u : 0u) + (at->paused ? 8u : 0u));
    mix(sum, at->core ? count(at->core->deadline()) : 0);
    for (const auto& [id, end] : at->ends) {
      mix(sum, end->record.serial * 2 + end->side);
      mix(sum, end->history);
      mix(sum, end->standing);
      mix(sum, static_cast<std::uint64_t>(end->session.at()));
      mix(sum, count(end->session.deadline()));
      mix(sum, end->in->digest());
      mix(sum, (end->input_open ? 1u : 0u) + (end->over ? 2u : 0u) + (end->linked ? 4u : 0u)
                 + (end->session.wire_empty() ? 8u : 0u));
      for (const auto& each : end->orders)
        mix(sum, each.index());
    }
    for (const auto id : at->known)
      mix(sum, id);
    for (const auto& [id, dial] : at->dials)
      mix(sum, id * 4 + (!dial->answer ? 0u : *dial->answer ? 1u : 2u));
  }
  for (const auto& record : records_)
    for (const auto& side : record->sides)
      mix(sum, (side.opened ? 1u : 0u) + (side.ended ? 2u : 0u) + (side.linked ? 4u : 0u));
  return sum;
}

// -- letters to the node ------------------------------------------------------------

void world::begin(host& at, host::arrived& what) {
  auto& record = *what.record;
  const auto dials = what.side == connection_record::dialer;
  // Every stranger comes from one of two addresses.
  const auto address =
    dials ? std::string("there:1") : "host" + std::to_string(record.serial % 2) + ":1";
  auto started = at.core->start({dials ? bus::session::role::dialer : bus::session::role::listener,
                                 address, what.expected, what.asks, what.keep});
  if (!started) {
    seen_.count("connections to a node that closes");
    if (what.keep != 0)
      fail_kept(at, what.keep, started.error().code);
    record.disturbed = true;
    what.out->reset(now_);
    (void)what.in->close_reader(now_);
    return;
  }
  if (what.deadline != never)
    started->how.handshake_time_max = what.deadline - now_;
  record.sides[what.side].exists = true;
  record.sides[what.side].unclaimed_of_node = &at.unclaimed;
  const auto id = started->connection;
  auto end = std::make_unique<end_point>(at, std::move(*started), record, what.side, now_);
  end->in = std::move(what.in);
  end->out = std::move(what.out);
  if ((end->other = end_of(record, 1 - what.side)) != nullptr)
    end->other->other = end.get();
  if (dials)
    at.dials.emplace(id, &record);
  at.ends.emplace(id, std::move(end));
  obey(at);
  check_bounds(at);
}

void world::hand_in(host& at, host::told& what) {
  auto& end = *at.ends.at(what.connection);
  mix(end.standing, what.event->index());
  if (std::holds_alternative<bus::hello_seen>(*what.event))
    at.known.push_back(what.connection);
  if (const auto* probe = std::get_if<bus::probe_done>(what.event.get()))
    mix(end.standing, probe->alive ? 100 : 101);
  if (auto* arrived = std::get_if<bus::received>(what.event.get()))
    take_in(at, end, *arrived);
  if (const auto* over = std::get_if<bus::ended>(what.event.get()))
    note_end(at, end, *over);
  at.core->on(what.connection, std::move(*what.event));
  obey(at);
  check_bounds(at);
}

void world::take_in(host& at, end_point& end, bus::received& arrived) {
  if (end.linked)
    bus::each_frame(*arrived.frames, [&](auto&, const std::byte* begin, const std::byte*) {
      const auto header = codecs::load_header(begin);
      expect_message(at, {.what = expectation::kind::message,
                          .peer = end.session.peer().id,
                          .over = &end.record,
                          .from_side = 1 - end.side,
                          .number = end.mine().received++,
                          .tag = header.tag,
                          .bytes = codecs::frame_header_bytes + std::uint64_t{header.length}});
    });
  else
    seen_.count("messages on a connection given up", arrived.frames->frames());
  if (bug_strikes(seeded_bug::batch_kept, 50))
    kept_by_mistake_.push_back(
      batch{bus::shared<bus::delivery>::adopt(new bus::delivery(at.id, arrived.frames, {}))});
}

void world::note_end(host& at, end_point& end, const bus::ended& over) {
  at.over_total += over.total;
  ++(end.linked ? at.unlinked : at.refused);
  if (!end.linked)
    return;
  check_disconnect(end, over);
  end.mine().unclaimed_in_time = end.mine().unclaimed;
  auto account = over.account;
  if (at.kept.holds(over.peer))
    account.unsent = 0; // they are sent yet
  at.over.push_back({over.peer, over.reason.code, account});
  const auto count = [&](drop what, std::uint64_t messages) {
    if (messages > 0)
      at.dropped[{what, over.reason.code, over.reason.by}] += messages;
  };
  count(drop::unsent, account.unsent);
  count(drop::unconfirmed, account.unconfirmed());
}

// -- what the node wants ------------------------------------------------------------

void world::obey(host& at) {
  while (auto what = at.core->next()) {
    require(!at.finished, law::ending, "an output behind finished");
    obey(at, *what);
  }
  expect_given_back(at);
}

void world::obey(host& at, core::output& what) {
  std::visit(bus::overloaded{
               [&]<bus::connection_order Order>(Order& to) {
                 if constexpr (std::is_same_v<Order, core::probe_connection>)
                   seen_.count("probes");
                 order(at, to.connection, what);
               },
               [&](core::report_connection& to) { order(at, to.connection, what); },
               [&](core::statistics_ready& told) { check_statistics(at, told); },
               [&](core::dial_kept& dial) { dial_kept(at, dial); },
               [&](core::hold_messages& hold) { hold_for(at, hold); },
               [&](core::release_held& held) { release(at, held.peer); },
               [](core::end_sending&) {}, // nobody waits with a close
               [&](core::link_up& up) { link_up(at, up); },
               [&](core::link_down& down) { link_down(at, down); },
               [&](core::connection_over& over) {
                 remove(at, over.connection);
                 promise_closed(at);
               },
               [&](core::tell_subscriber& told) {
                 expect_given_back(at);
                 tell(at, told.what);
               },
               [&](core::answer_dial& answer) { take_answer(at, answer); },
               [&](core::ask_dialer& asked) { look_at(at, asked); },
               [&](core::hand_over_request& asked) { hand_over(at, asked); },
               [&](core::call_off_request& off) { call_off(at, off); },
               [&](core::answer_request& answer) { take_reply(at, answer); },
               [&](core::finished&) {
                 require(at.collections.empty(), law::ending, "a question for statistics is left");
                 at.finished = true;
                 note([&] { return "finished " + std::to_string(at.place); });
               },
             },
             what);
}

void world::order(host& at, bus::connection_id id, core::output& what) {
  const auto found = at.ends.find(id);
  if (found == at.ends.end() || found->second->over)
    return;
  if (std::holds_alternative<core::tick_connection>(what) && bug_strikes(seeded_bug::tick_lost, 5))
    return;
  if (std::holds_alternative<core::close_connection>(what)
      && bug_strikes(seeded_bug::order_lost, 3))
    return;
  if (const auto* keep = std::get_if<core::keep_connection>(&what); keep != nullptr && keep->yes)
    found->second->record.stays = true;
  mix(found->second->standing, 200 + what.index());
  if (const auto* close = std::get_if<core::close_connection>(&what))
    mix(found->second->standing, static_cast<std::uint64_t>(close->reason.code));
  found->second->orders.push_back(std::move(what));
}

void world::remove(host& at, bus::connection_id id) {
  const auto found = at.ends.find(id);
  require(found != at.ends.end() && found->second->over && !found->second->linked, law::events,
          "a connection is over that is not");
  if (found->second->other != nullptr)
    found->second->other->other = nullptr;
  at.ends.erase(found);
  std::erase(at.known, id);
}

} // namespace postbus::testing
