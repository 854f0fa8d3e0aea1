// world: the laws, as far as they are not part of something else: what a step may do to an end, what
// holds when all rests, and what is left at the end.
#include "postbus/tests/support/simulator/world.hpp"

#include "postbus/codecs/chunk_pool.hpp"

#include <algorithm>
#include <bit>

namespace postbus::testing {

using bus::phase;

namespace {

// A wheel is late by a tick at most, and its deadlines are rounded up to one.

// One frame, begun within a window.
constexpr std::uint64_t overrun_bytes_max = body_bytes_max + codecs::frame_header_bytes;

bool is_protocol_error(errc code) {
  return (code >= errc::malformed_frame && code <= errc::window_exceeded)
         || code == errc::not_postbus || code == errc::version_unsupported;
}

bool is_refusal(errc code) {
  return (code >= errc::not_postbus && code <= errc::handshake_timeout)
         || code == errc::too_many_handshakes || code == errc::too_many_connections;
}

std::string at_phase(const end_point& at) {
  return at.record.name() + (at.side == 0 ? " (dialer, " : " (listener, ")
         + std::string(to_string(at.session.at())) + "): ";
}

} // namespace

// -- what a step does to an end -------------------------------------------------------

void world::check_received(end_point& at, const bus::received_frames& frames) {
  auto& mine = at.mine();
  require(mine.opened, law::events, "messages before opened");
  require(frames.frames() > 0, law::events, "an empty batch");
  std::uint64_t found = 0;
  for (const auto& run : frames.runs())
    for (const auto* begin = run.begin; begin != run.end; ++found) {
      const auto header = codecs::load_header(begin);
      const auto* body = begin + codecs::frame_header_bytes;
      const auto number = mine.handed++;
      begin = body + header.length;
      const auto& sent = at.theirs().sent;
      if (at.record.spoiled || at.record.touched[1 - at.side].contains(number))
        continue;
      const auto name = [&] {
        return at_phase(at) + "message " + std::to_string(number) + " is not the one that is due";
      };
      require(number < sent.size(), law::order, name);
      require(sent[number].looks_like(header), law::order, name);
      require(is_body_of(sent[number], {body, header.length}), law::content, name);
    }
  require(found == frames.frames(), law::account, "a batch with another number of messages");
}

void world::check_end(const end_point& at, const bus::ended& what) {
  const auto code = what.reason.code;
  const auto& record = at.record;
  seen_.count_end(code, what.was_open);
  note([&] {
    return at_phase(at) + "ended " + to_string(what.reason) + ", sent "
           + std::to_string(what.account.sent) + ", confirmed "
           + std::to_string(what.account.confirmed) + ", unsent "
           + std::to_string(what.account.unsent);
  });
  require(code != errc::none, law::ending, at_phase(at) + "an end without a reason");
  require(what.was_open == at.mine().opened, law::events, "was_open is not what was told");
  require(what.total.messages_sent == what.account.sent
            && what.total.messages_received == at.mine().handed,
          law::account, at_phase(at) + "its totals are not what it sent and received");
  if (record.spoiled)
    return;
  require(code != errc::unknown, law::ending, at_phase(at) + "an end of unknown reason");
  require(!is_protocol_error(code), law::protocol,
          [&] { return at_phase(at) + to_string(what.reason); });
}

// Whoever was told `connected` is not told afterwards that it was refused.
void world::check_disconnect(const end_point& at, const bus::ended& what) const {
  require(at.record.spoiled || !is_refusal(what.reason.code), law::survivor,
          [&] { return at_phase(at) + "was told connected, then " + to_string(what.reason); });
}

// What can be seen of an end after every step.
void world::look(end_point& at) {
  const auto& session = at.session;
  const auto& mine = at.mine();
  if (const auto is = session.at(); is != at.seen) {
    if (is == phase::draining && at.drain_until == never)
      at.drain_until = now_ + at.bounds->drain_time_max; // the peer has begun it
    if (at.seen == phase::open || at.seen == phase::draining)
      at.mine().drain_expired = at.mine().drain_expired || now_ >= at.drain_until;
    at.seen = is;
    at.seen_since = now_;
  }
  const auto account = session.account();
  require(account.confirmed <= account.sent, law::account,
          at_phase(at) + "more confirmed than sent");
  require(account.sent + at.box.data_frames() <= mine.sent.size(), law::account,
          [&] { return at_phase(at) + "more sent and waiting than was taken"; });
  require(session.frames_taken() <= session.frames_received(), law::account,
          at_phase(at) + "more taken than received");
  require(
    at.box.data_frames() <= 1
      || (at.box.data_bytes() <= std::max(at.bounds->outbox_bytes_max, at.brought_bytes)
          && at.box.data_frames() <= std::max(at.bounds->outbox_frames_max, at.brought_frames)),
    law::bound, at_phase(at) + "the outbox holds more than its bound");
  if (account.sent != account.confirmed || session.frames_received() != session.frames_taken()
      || at.box.data_frames() > 0 || !session.wire_empty() || session.open_requests() > 0)
    at.busy = now_;
  if (session.wire_empty())
    at.stalled = never;
  else if (at.stalled == never || at.moved > at.stalled)
    at.stalled = now_;
  // The window may be overrun by the frame that began within it, and shrinks only as it is used.
  // What is shared out by the node follows its settings at once.
  require(session.charged_bytes() <= at.of.loosest.window_bytes_max + overrun_bytes_max, law::bound,
          at_phase(at) + "more received and held than the window");
}

// Totals are those of the connections that are over, and what the others say themselves.
void world::check_statistics(host& at, const bus::node::statistics_ready& told) {
  const auto& what = *told.what;
  require(at.collections.erase(told.collection) == 1, law::events,
          "statistics that nobody asked for, or twice");
  require(what.id == at.id, law::account, "statistics of another node");
  auto total = at.over_total;
  for (const auto& each : what.connections) {
    const auto link = at.links.find(each.peer);
    require(link != at.links.end(), law::account, "statistics of a connection that is not up");
    const auto& end = *link->second;
    require(each.total.messages_sent + each.messages_waiting <= end.mine().sent.size(),
            law::account, [&] { return at_phase(end) + "statistics count more than was sent"; });
    require(each.total.messages_received <= end.mine().handed, law::account,
            [&] { return at_phase(end) + "statistics count more than was received"; });
    require(each.messages_confirmed <= each.total.messages_sent, law::account,
            [&] { return at_phase(end) + "statistics count more confirmed than sent"; });
    total += each.total;
  }
  require(what.total == total, law::account, "totals are not the sums of what they are totals of");
  std::uint64_t disconnects = 0, refusals = 0;
  for (const auto& each : what.disconnects)
    disconnects += each.count;
  for (const auto& each : what.refusals)
    refusals += each.count;
  require(disconnects == at.unlinked && refusals == at.refused
            && what.connections_opened == at.linked,
          law::account, "statistics count other connections than there were");
  check_drops(at, what);
  require(what.closed.size()
            == std::min<std::uint64_t>(at.unlinked, at.bounds.closed_connections_max),
          law::bound, "statistics tell of another number of closed connections");
  seen_.count("answers with statistics");
  seen_.count("connections in statistics", what.connections.size());
}

// By reason, and connection by connection.
void world::check_drops(const host& at, const node_statistics& what) const {
  auto due = at.dropped;
  if (at.unclaimed > 0)
    due[{drop::unclaimed, errc::none, blame::local}] = at.unclaimed;
  std::erase_if(due, [](const auto& each) { return each.second == 0; });
  host::drops told;
  for (const auto& each : what.drops)
    if (each.what != drop::too_slow) // each subscription's own counters are checked with it
      told[{each.what, each.reason, each.by}] += each.messages;
  require(told == due, law::account, [&] {
    std::string text = "statistics count other drops:";
    for (const auto& [name, sums] : {std::pair("told", &told), std::pair("there were", &due)})
      for (const auto& [why, messages] : *sums)
        text += ' ' + std::string(name) + ' ' + std::to_string(messages) + ' '
                + std::string(to_string(std::get<0>(why))) + ' '
                + std::string(to_string(std::get<1>(why)));
    return text;
  });
  auto is =
    at.over.end() - static_cast<std::ptrdiff_t>(std::min(what.closed.size(), at.over.size()));
  for (const auto& each : what.closed) {
    require(each.peer == is->peer && each.reason.code == is->reason && each.account == is->account,
            law::account, "statistics tell of another end of a connection");
    ++is;
  }
}

void world::check_programs(host& at) {
  for (const auto& [id, each] : at.programs) {
    const auto counted = at.core->counters(id);
    require(counted.has_value(), law::account, "a subscription without counters");
    each->check_counters(*counted, at.bounds);
  }
}

void world::check_bounds(host& at) {
  require(at.core->open_count() <= at.loosest.connections_max, law::bound,
          [&] { return std::to_string(at.core->open_count()) + " open connections"; });
  std::size_t opening = 0;
  std::uint64_t held = 0;
  for (const auto& [id, end] : at.ends) {
    const auto ordered_out =
      std::any_of(end->orders.begin(), end->orders.end(), [](const bus::node::output& each) {
        return std::holds_alternative<bus::node::end_connection>(each);
      });
    if (end->side == connection_record::listener && end->session.at() < phase::open && !ordered_out)
      ++opening;
    held += end->session.charged_bytes();
  }
  require(opening <= at.loosest.pending_handshakes_max, law::bound,
          [&] { return std::to_string(opening) + " handshakes of strangers at a time"; });
  require(held <= at.loosest.node_received_bytes_max + at.ends.size() * overrun_bytes_max,
          law::bound,
          [&] { return "a node has received and holds " + std::to_string(held) + " bytes"; });
  seen_.most("bytes held by a node", held);
}

// -- what holds when all rests --------------------------------------------------------

void world::check_rest() {
  for (const auto& at : hosts_) {
    if (!at->runs())
      continue;
    require(at->core->deadline() > now_, law::deadline, "a node with a deadline in the past");
    check_kept(*at);
    check_own(*at);
    check_programs(*at);
    require(now_ <= later(at->close_deadline, std::chrono::seconds(1) + slack) || at->finished
              || now_ < at->resumed + std::chrono::seconds(10),
            law::ending, [&] { return "node " + std::to_string(at->place) + " does not close"; });
    for (const auto& [id, each] : at->programs) {
      const auto& who = *each;
      require(who.was_told_all() || who.batches_held() >= at->bounds.batches_in_flight_max,
              law::progress,
              [&] { return "a subscriber has room, and waits for " + who.missing(); });
    }
    for (const auto& [id, end] : at->ends) {
      if (end->over)
        continue;
      check_time(*end);
      check_progress(*end);
    }
  }
}

void world::check_time(const end_point& at) const {
  const auto& bounds = *at.bounds;
  const auto base = [&](time_point since) { return std::max(since, at.of.resumed); };
  const auto in_time = [&](time_point since, duration most, const char* what) {
    require(now_ <= later(base(since), most + slack), law::deadline,
            [&] { return at_phase(at) + what; });
  };
  const auto& session = at.session;
  in_time(session.deadline(), duration::zero(), "not ticked at its deadline");
  switch (session.at()) {
  case phase::hello:
  case phase::welcome:
    return in_time(at.started, bounds.handshake_time_max, "the handshake takes too long");
  case phase::deciding:
    return in_time(at.seen_since, bounds.decision_time_max, "the decision takes too long");
  case phase::draining:
    in_time(at.drain_until, duration::zero(), "the drain takes too long");
    break;
  case phase::open:
    if (at.record.stays)
      break;
    in_time(std::max(at.busy, at.seen_since), bounds.idle_time_max + bounds.keepalive_time,
            "not closed when idle");
    break;
  case phase::lingering:
    return in_time(at.seen_since, bounds.linger_time_max, "lingers too long");
  case phase::closed:
    require(false, law::deadline, at_phase(at) + "closed and not over");
  }
  if (!at.input_open)
    return;
  in_time(std::max(at.heard, at.seen_since), bounds.silence_time_max(), "silent, and not given up");
  if (at.stalled != never)
    in_time(at.stalled, bounds.stall_time_max, "takes nothing, and is not given up");
  else
    in_time(at.spoke, bounds.keepalive_time, "says nothing for longer than the keepalive time");
}

// What can move without anybody's help has moved.
void world::check_progress(const end_point& at) const {
  const auto& session = at.session;
  require(session.wire_empty() || at.out->room() == 0, law::progress,
          at_phase(at) + "bytes wait, though the wire takes more");
  if (!at.is_live())
    return;
  require(at.box.data_frames() == 0 || session.starved() || !session.wire_empty(), law::progress,
          [&] { return at_phase(at) + "messages wait, though there is credit"; });
  const auto* other = at.other;
  if (!session.starved() || at.record.disturbed || at.record.spoiled || other == nullptr
      || other->of.paused || !other->is_live() || !at.in->empty() || !at.out->empty())
    return;
  // Whoever holds nothing and has a program that takes messages grants credit.
  require(!other->of.anybody_takes() || !other->session.wire_empty()
            || other->session.frames_received() != other->charge->frames(),
          law::progress, [&] { return at_phase(at) + "starves, though the peer holds nothing"; });
}

// -- the end --------------------------------------------------------------------------

void world::finish(duration drain) {
  for (auto& at : hosts_) {
    at->paused = false;
    if (at->core && !at->finished) {
      at->resumed = std::max(at->resumed, now_);
      if (!at->core->is_closing())
        collect(*at);
      close(*at, drain);
    }
  }
  const auto all_over = [&] {
    return std::all_of(hosts_.begin(), hosts_.end(),
                       [](const auto& at) { return !at->core || at->finished; });
  };
  auto bound = now_;
  for (const auto& at : hosts_)
    bound = std::max(bound, now_ + drain + at->bounds.linger_time_max + std::chrono::seconds(2));
  for (;;) {
    while (take_any()) {
    }
    if (all_over())
      break;
    const auto next = std::max(next_moment(), now_);
    require(next <= bound, law::ending, "a node does not close in time");
    advance(next);
  }
  check_finished();
}

void world::check_finished() {
  for (auto& at : hosts_) {
    if (!at->core)
      continue;
    require(at->ends.empty() && at->links.empty() && at->core->connection_count() == 0
              && at->core->open_count() == 0,
            law::leak, "a closed node has connections");
    for (const auto& [id, dial] : at->dials)
      require(dial->answer.has_value(), law::dials, "a dial was never answered");
    check_programs(*at);
    for (const auto& [id, each] : at->programs) {
      const auto& who = *each;
      require(who.was_told_all(), law::events,
              [&] { return "a subscriber was never told of " + who.missing(); });
      require(!who.wants().events || who.was_told_closed(), law::events, "closed was not told");
    }
    require(at->agreed.empty(), law::dials, "who let a peer in never heard what came of it");
    require(at->questions.empty(), law::requests, "a request was never answered");
    require(at->services.empty(), law::requests,
            "a handler was not told that nobody waits any more");
    require(at->disconnecting.empty(), law::ending,
            "who ended a connection never heard that it is over");
    require(at->holds.empty() && at->own.box.data_frames() == 0, law::account,
            "a closed node holds messages");
    at->mailbox.clear();
    at->looks.clear();
    at->programs.clear();
    check_own(*at);
    require(at->core->own().taken == at->core->own().sent, law::leak,
            "messages to itself are held when nobody is left");
    const auto& own = at->own.record.sides[1];
    account_.delivered += own.delivered;
    account_.dropped += own.dropped;
    account_.own_unclaimed += own.unclaimed;
    at->core.reset();
  }
  for (const auto& each : records_)
    settle_account(*each, account_);
  const auto& sums = account_;
  const auto refused = sums.congested + sums.closed + sums.too_large;
  require(sums.attempts == sums.accepted + refused, law::account, "sent is not taken + refused");
  require(sums.accepted
            == sums.delivered + sums.dropped + sums.unclaimed + sums.left_behind + sums.turned_away
                 + sums.lost_on_the_way + sums.unsent + sums.given_back + sums.own_unclaimed
                 + sums.crashed + sums.spoiled,
          law::account, "what was taken is not delivered + dropped + lost + never sent");
  hosts_.clear();
  scratch_.reset();
  require(codecs::chunk_pool::held_bytes() == held_before_, law::leak, [&] {
    return std::to_string(codecs::chunk_pool::held_bytes() - held_before_)
           + " bytes are still held";
  });
  seen_.count("messages sent", sums.attempts);
  seen_.count("messages accepted", sums.accepted);
  seen_.count("messages delivered", sums.delivered);
  seen_.count("messages confirmed", sums.confirmed);
  seen_.count("messages on changed connections", sums.spoiled);
  seen_.count("messages dropped by a policy", sums.dropped);
  seen_.count("messages unclaimed", sums.unclaimed);
  seen_.count("messages left behind by who unsubscribed", sums.left_behind);
  seen_.count("messages on connections turned away", sums.turned_away);
  seen_.count("messages lost on the way", sums.lost_on_the_way);
  seen_.count("messages never sent", sums.unsent);
  seen_.count("messages lost with their node", sums.crashed);
  seen_.count("messages held, and given back", sums.given_back);
  seen_.count("messages to itself unclaimed", sums.own_unclaimed);
}

} // namespace postbus::testing
