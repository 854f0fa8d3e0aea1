// world: links that come and go, peers that stay, and what is held for them meanwhile. Mirrors
// actors/node_shell_keeping.cpp and what actors/link.cpp does with messages that are held.
#include "postbus/tests/support/handed_back.hpp"
#include "postbus/tests/support/simulator/world.hpp"

#include <algorithm>

namespace postbus::testing {

using core = bus::node;

namespace {

constexpr unsigned short port = 4000;

std::string endpoint_of(unsigned place, const node_id& expected) {
  endpoint where;
  where.expected = expected;
  where.host = "10.0.0." + std::to_string(place + 1);
  where.port = port;
  return to_string(where);
}

unsigned place_of(const endpoint& where) {
  return static_cast<unsigned>(std::stoul(where.host.substr(where.host.rfind('.') + 1))) - 1;
}

} // namespace

// -- links --------------------------------------------------------------------------

void world::link_up(host& at, const core::link_up& what) {
  auto& end = *at.ends.at(what.connection);
  note([&] { return "up " + std::to_string(at.place) + " over " + end.record.name(); });
  require(!at.links.contains(what.peer), law::survivor,
          [&] { return "a second connection to one peer: " + end.record.name(); });
  require(!end.mine().linked && end.mine().opened, law::events,
          "a link that was up, or is not open");
  end.linked = end.mine().linked = true;
  at.links.emplace(what.peer, &end);
  ++at.linked;
  seen_.count("connected");
  expect(at, {.what = expectation::kind::connected,
              .peer = what.peer,
              .over = &end.record,
              .from_side = 1 - end.side});
  bring_held(at, end);
  at.kept.up(what.peer);
  expect_changes(at);
}

void world::link_down(host& at, core::link_down& what) {
  auto& end = *at.ends.at(what.connection);
  const auto found = at.links.find(what.peer);
  require(found != at.links.end() && found->second == &end && end.linked, law::events,
          "a link goes down that is not up");
  end.linked = false;
  at.links.erase(found);
  at.disconnecting.erase(what.connection);
  seen_.count("disconnected");
  leave_held(at, end, what);
  expect(at, {.what = expectation::kind::disconnected,
              .peer = what.peer,
              .over = &end.record,
              .from_side = 1 - end.side});
  const auto& mine = end.mine();
  if (const auto count = mine.ended->account.unsent - mine.carried; count > 0 && at.hands_back) {
    auto back = std::make_shared<std::vector<sent_message>>(
      mine.sent.end() - static_cast<std::ptrdiff_t>(count), mine.sent.end());
    expect(at, {.what = expectation::kind::unsent, .peer = what.peer, .back = std::move(back)});
    seen_.count("connections whose unsent messages come back");
  }
  at.kept.down(what.peer, mine.ended->reason.code);
}

// -- messages that are held -----------------------------------------------------------

void world::hold_for(host& at, const core::hold_messages& what) {
  const auto found = at.ends.find(what.connection);
  if (found == at.ends.end() || at.holds.contains(what.peer))
    return;
  host::hold made{bus::outbox(what.bytes_max, what.messages_max), {}, false};
  made.box.frame_bytes_max(found->second->box.frame_bytes_max());
  at.holds.emplace(what.peer, std::move(made));
}

send_outcome world::send_held(host& from, const node_id& to, const sent_message& what) {
  const auto found = from.holds.find(to);
  if (found == from.holds.end())
    return send_outcome::closed;
  auto& hold = found->second;
  const auto outcome = put(hold.box, what);
  if (outcome == send_outcome::accepted) {
    hold.messages.push_back(what);
    seen_.count("messages sent into a gap");
  } else if (outcome == send_outcome::congested) {
    seen_.count("messages a hold had no room for");
  }
  return outcome;
}

// What the hold has goes over the new connection, before anything else that is sent.
void world::bring_held(host& at, end_point& to) {
  auto found = at.holds.extract(to.session.peer().id);
  if (!found)
    return;
  auto& hold = found.mapped();
  bus::fifo<bus::outgoing> frames;
  hold.box.take_data(frames);
  require(test::sums_of(frames).frames == hold.messages.size(), law::account,
          "another number of messages was held than was taken");
  if (!frames.empty() && bug_strikes(seeded_bug::held_lost, 2))
    frames.pop_front();
  if (!frames.empty() && bug_strikes(seeded_bug::held_twice, 2))
    frames.push_back(frames.front());
  const auto refused = to.box.put_first(std::move(frames));
  std::vector<sent_message> back;
  auto& mine = to.mine();
  for (const auto& each : hold.messages)
    (each.bytes > to.box.frame_bytes_max() ? back : mine.sent).push_back(each);
  to.brought_bytes = to.box.data_bytes();
  to.brought_frames = to.box.data_frames();
  mine.brought = mine.sent.size();
  to.woken = true;
  if (mine.brought > 0)
    seen_.count("messages held over a gap, and sent", mine.brought);
  if (mine.brought > 0 && mine.ended)
    seen_.count("messages held for a connection that was over at once", mine.brought);
  if (!back.empty())
    seen_.count("messages held, and too large then", back.size());
  give_back(at, to.session.peer().id, refused, std::move(back));
}

void world::leave_held(host& at, end_point& end, core::link_down& what) {
  auto& mine = end.mine();
  require(what.held == at.kept.holds(what.peer), law::account,
          "held for a peer for which nothing is to be held, or the other way round");
  // What was held before and came when this connection was over already.
  bus::fifo<bus::outgoing> late;
  end.box.take_data(late);
  const auto late_count = static_cast<std::ptrdiff_t>(test::sums_of(late).frames);
  std::vector<sent_message> behind(mine.sent.end() - late_count, mine.sent.end());
  mine.sent.resize(mine.sent.size() - behind.size());
  mine.brought = std::min<std::uint64_t>(mine.brought, mine.sent.size());
  mine.carried = what.held ? mine.ended->account.unsent : 0;
  require(test::sums_of(what.first).frames == mine.carried, law::account,
          "what is to be held is not what was not sent");
  std::vector<sent_message> first(mine.sent.end() - static_cast<std::ptrdiff_t>(mine.carried),
                                  mine.sent.end());
  first.insert(first.end(), behind.begin(), behind.end());
  while (auto piece = late.take_front())
    what.first.push_back(std::move(*piece));
  const auto hold = at.holds.find(what.peer);
  if (!what.held || hold == at.holds.end())
    return give_back(at, what.peer, what.first, std::move(first));
  if (mine.carried > 0)
    seen_.count("messages unsent, and held", mine.carried);
  auto& to = hold->second;
  (void)to.box.put_first(std::move(what.first));
  to.messages.insert(to.messages.begin(), first.begin(), first.end());
  to.is_way = true;
}

void world::release(host& at, const node_id& peer) {
  auto found = at.holds.extract(peer);
  if (!found)
    return;
  bus::fifo<bus::outgoing> frames;
  found.mapped().box.take_data(frames);
  give_back(at, peer, frames, std::move(found.mapped().messages));
}

// The core tells them behind everything that the same input leads to.
void world::give_back(host& at, const node_id& peer, const bus::fifo<bus::outgoing>& frames,
                      std::vector<sent_message> what) {
  if (what.empty() && frames.empty())
    return;
  if (bug_strikes(seeded_bug::given_back_lost, 2))
    return;
  account_.given_back += what.size();
  at.dropped[{drop::unsent, errc::not_connected, blame::local}] += what.size();
  at.given_back.push_back({.what = expectation::kind::unsent,
                           .peer = peer,
                           .back = std::make_shared<std::vector<sent_message>>(std::move(what))});
  at.core->give_back(peer, frames);
}

void world::expect_given_back(host& at) {
  for (const auto& each : std::exchange(at.given_back, {}))
    expect(at, each);
}

// -- peers that stay ------------------------------------------------------------------

bool world::keep(host& at, unsigned place, const node_id& expected, postbus::keep_connected how) {
  how.endpoint = endpoint_of(place, expected);
  const auto known = at.kept.knows(how.endpoint);
  const auto taken = at.core->keep_connected(how);
  require(taken.has_value() != known, law::events, "kept twice, or not at all");
  if (!known)
    at.kept.keep(how, expected, now_);
  seen_.count(known ? "peers kept already" : "peers kept");
  note([&] { return "node " + std::to_string(at.place) + " keeps " + how.endpoint; });
  obey(at);
  return !known;
}

void world::stop_keeping(host& at, std::size_t which) {
  const auto name = at.kept.name(which);
  at.kept.stop(name);
  expect_changes(at);
  require(at.core->stop_keeping(name), law::events, "kept, and not known");
  require(!at.core->stop_keeping(name), law::events, "kept no more, and known");
  seen_.count("peers kept no more");
  note([&] { return "node " + std::to_string(at.place) + " keeps no more " + name; });
  obey(at);
}

void world::expect_changes(host& at) {
  for (auto& [peer, end] : at.links)
    end->stayed = end->stayed && at.kept.is_connected(peer);
  for (auto& each : at.kept.take_changes()) {
    note([&] {
      return "node " + std::to_string(at.place) + ": " + each.state.endpoint + ' '
             + std::string(to_string(each.state.status));
    });
    expect(at, {.what = expectation::kind::keep_state,
                .peer = each.state.peer,
                .state = std::make_shared<const keep_state>(each.state),
                .next_try_min = each.next_try_min});
  }
}

void world::dial_kept(host& at, core::dial_kept& what) {
  at.kept.dials(what.keep, what.endpoint, now_, at.resumed);
  if (bug_strikes(seeded_bug::kept_dial_lost, 3))
    return;
  const auto where = endpoint::parse(what.endpoint);
  require(where.has_value(), law::events, "an endpoint that cannot be read");
  host::kept_dial dial{what.keep,
                       what.endpoint,
                       place_of(*where),
                       where->expected,
                       now_,
                       later(now_, what.within),
                       settings_.kept_path ? settings_.kept_path() : path{}};
  dial.due =
    dial.over.end == path::fate::lost ? dial.deadline : later(now_, dial.over.there.latency);
  at.kept_dials.push_back(std::move(dial));
  seen_.count("dials of kept peers");
}

time_point world::next_kept_dial(const host& at) {
  auto first = never;
  for (const auto& each : at.kept_dials)
    first = std::min(first, each.due);
  return first;
}

void world::arrive_kept(host& at) {
  const auto found = std::find_if(at.kept_dials.begin(), at.kept_dials.end(),
                                  [&](const host::kept_dial& each) { return each.due <= now_; });
  const auto what = std::move(*found);
  at.kept_dials.erase(found);
  auto* to = find(what.place);
  const auto nobody = to == nullptr || !to->listens || to->core->is_closing();
  if (nobody || what.over.end == path::fate::refused || what.over.end == path::fate::lost) {
    seen_.count("dials of kept peers that nobody answers");
    return fail_kept(at, what.keep, errc::connect_failed);
  }
  auto* record = connect(at, *to, what.over,
                         {nullptr, connection_record::dialer, nullptr, nullptr, what.expected,
                          false, what.keep, what.deadline});
  record->kept = what.keep;
  record->stays = true; // its hello says so
}

void world::fail_kept(host& at, bus::keeper::keep_id keep, errc why) {
  const error reason{why, blame::remote, {}};
  at.kept.dialed(keep, reason);
  expect_changes(at);
  at.core->dial_failed(keep, reason);
  obey(at);
}

// -- what must hold ---------------------------------------------------------------------

void world::check_kept(host& at) {
  at.kept.check_rest(now_, at.resumed, at.loosest);
  for (auto& [peer, end] : at.links) {
    end->stayed = at.kept.is_connected(peer);
    end->record.stays = end->record.stays || at.kept.keeps(peer);
    require(at.holds.contains(peer) == at.kept.holds(peer), law::account,
            "nothing is ready to be held for a peer that is kept, or it is for another");
  }
  for (const auto id : at.disconnecting)
    require(at.ends.at(id)->session.at() != bus::phase::open, law::deadline,
            "a connection that a program has ended goes on");
  for (const auto& [peer, hold] : at.holds) {
    require(at.kept.holds(peer), law::account, "held for a peer that is kept no more");
    require(hold.is_way != at.links.contains(peer), law::account,
            "messages go into a hold while the peer is there, or nowhere while it is not");
  }
}

} // namespace postbus::testing
