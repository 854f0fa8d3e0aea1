#include "postbus/bus/keeper.hpp"

#include <algorithm>

namespace postbus {

std::string_view to_string(keep_status status) noexcept {
  switch (status) {
  case keep_status::connected:
    return "connected";
  case keep_status::reconnecting:
    return "reconnecting";
  case keep_status::ended:
    return "ended";
  }
  return "unknown";
}

namespace bus {

namespace {

const error no_error{errc::none, blame::local, {}};

} // namespace

// What is wrong with an endpoint only this side can know: a peer that says so is tried again.
bool is_final(errc code, blame by) noexcept {
  return code == errc::self_connection
         || (by == blame::local && (code == errc::bad_endpoint || code == errc::unsupported));
}

bool is_lasting(errc code) noexcept {
  return code == errc::wrong_node || code == errc::rejected || code == errc::id_in_use
         || code == errc::not_postbus || code == errc::version_unsupported;
}

// -- what is wanted -------------------------------------------------------------------

result<void> keeper::keep(keep_connected what) {
  const auto where = endpoint::parse(what.endpoint);
  if (!where)
    return where.error();
  if (where->port == 0)
    return error{errc::bad_endpoint, blame::local,
                 "port 0 cannot be connected to: " + what.endpoint};
  if (what.within <= duration::zero())
    return error{errc::bad_option, blame::local, "within must be more than 0"};
  what.endpoint = to_string(*where);
  for (const auto& [id, of] : kept_)
    if (of.how.endpoint == what.endpoint)
      return error{errc::bad_option, blame::local, what.endpoint + " is kept already"};
  auto& of = kept_[++last_id_];
  of.how = std::move(what);
  of.expected = where->expected;
  plan_deadline();
  return {};
}

bool keeper::stop(const std::string& text) {
  const auto where = endpoint::parse(text);
  const auto found = std::find_if(kept_.begin(), kept_.end(), [&](const auto& each) {
    return where && each.second.how.endpoint == to_string(*where);
  });
  if (found == kept_.end())
    return false;
  auto of = std::move(found->second);
  kept_.erase(found);
  leave(of);
  plan_deadline();
  return true;
}

void keeper::stop_all() {
  kept_.clear();
  actions_.clear();
  deadline_ = never;
}

// -- what happened --------------------------------------------------------------------

void keeper::dialed(keep_id keep, const result<node_id>& peer) {
  const auto found = kept_.find(keep);
  if (found == kept_.end() || found->second.at != standing::dialing)
    return; // stopped, or it has connected by itself
  auto& of = found->second;
  if (peer)
    return connect(of, *peer);
  if (!is_final(peer.error().code, peer.error().by)) {
    lose(of, peer.error(), false);
    return plan_deadline();
  }
  auto ended = std::move(of);
  const auto last = ended.peer;
  kept_.erase(found);
  leave(ended);
  actions_.push_back(
    tell{{ended.how.endpoint, keep_status::ended, last, {}, peer.error(), duration::zero()}});
}

void keeper::up(const node_id& peer) {
  for (auto& [id, of] : kept_)
    if (of.at != standing::connected && (of.peer == peer || of.expected == peer))
      connect(of, peer);
}

void keeper::down(const node_id& peer, const error& reason) {
  for (auto& [id, of] : kept_)
    if (of.at == standing::connected && of.peer == peer)
      lose(of, reason, true);
  plan_deadline();
}

void keeper::connect(entry& of, const node_id& peer) {
  const auto before = of.peer != peer ? of.peer : node_id{};
  if (before)
    leave(of);
  of.peer = peer;
  of.at = standing::connected;
  of.since = never;
  actions_.push_back(stay{peer, true});
  if (of.how.hold_bytes_max > 0)
    actions_.push_back(hold{peer, of.how.hold_bytes_max, of.how.hold_messages_max});
  // What was lost and found again before a tick has not changed.
  if (of.said != keep_status::connected || before)
    actions_.push_back(
      tell{{of.how.endpoint, keep_status::connected, peer, before, no_error, duration::zero()}});
  of.said = keep_status::connected;
  plan_deadline();
}

void keeper::lose(entry& of, const error& reason, bool was_connected) {
  of.at = standing::lost;
  of.reason = reason;
  of.was_connected = was_connected;
}

// `of` has nothing to do with its peer any more: unless others have, the peer is as every other.
void keeper::leave(entry& of) {
  const auto peer = std::exchange(of.peer, node_id{});
  if (!peer)
    return;
  if (!keeps(peer))
    actions_.push_back(stay{peer, false});
  if (of.how.hold_bytes_max > 0 && !holds(peer))
    actions_.push_back(release{peer});
}

// -- time -----------------------------------------------------------------------------

void keeper::tick(time_point now, const limits& bounds) {
  for (auto& [id, of] : kept_) {
    if (of.at == standing::connected && of.since == never)
      of.since = now;
    if (of.at == standing::lost)
      plan(of, now, bounds);
    if (of.at == standing::due && of.when <= now) {
      of.at = standing::dialing;
      actions_.push_back(dial{id, of.how.endpoint, of.how.within});
    }
  }
  plan_deadline();
}

// A connection that lasted longer than the wait before it was a good one: the next wait is the
// first again. One that did not is no better than a dial that failed.
void keeper::plan(entry& of, time_point now, const limits& bounds) {
  const auto lasted = of.was_connected && of.since != never && now - of.since > of.wait;
  if (is_lasting(of.reason.code))
    of.wait = bounds.reconnect_time_max;
  else if (lasted || of.wait == duration::zero())
    of.wait = bounds.reconnect_time_min;
  else
    of.wait = of.wait < bounds.reconnect_time_max / 2 ? 2 * of.wait : bounds.reconnect_time_max;
  const auto wait = shortened(of.wait, bounds.reconnect_jitter_percent);
  of.when = later(now, wait);
  of.at = standing::due;
  if (std::exchange(of.said, keep_status::reconnecting) != keep_status::reconnecting)
    actions_.push_back(
      tell{{of.how.endpoint, keep_status::reconnecting, of.peer, {}, of.reason, wait}});
}

// By up to so many percent; the random numbers are those of splitmix64.
duration keeper::shortened(duration wait, std::uint32_t percent) noexcept {
  random_ += 0x9e3779b97f4a7c15U;
  auto drawn = random_;
  drawn = (drawn ^ (drawn >> 30)) * 0xbf58476d1ce4e5b9U;
  drawn = (drawn ^ (drawn >> 27)) * 0x94d049bb133111ebU;
  drawn ^= drawn >> 31;
  const auto part = static_cast<double>(drawn >> 11) * 0x1p-53 * percent / 100;
  return wait - std::chrono::duration_cast<duration>(wait * part);
}

void keeper::plan_deadline() noexcept {
  deadline_ = never;
  for (const auto& [id, of] : kept_) {
    if (of.at == standing::due)
      deadline_ = std::min(deadline_, of.when);
    else if (of.at == standing::lost || (of.at == standing::connected && of.since == never))
      deadline_ = at_once; // at once: the tick is where it learns the time
  }
}

// -- state ----------------------------------------------------------------------------

bool keeper::keeps(const node_id& peer) const {
  return std::any_of(kept_.begin(), kept_.end(), [&](const auto& each) {
    return each.second.peer == peer || each.second.expected == peer;
  });
}

bool keeper::holds(const node_id& peer) const {
  return std::any_of(kept_.begin(), kept_.end(), [&](const auto& each) {
    return each.second.peer == peer && each.second.how.hold_bytes_max > 0;
  });
}

} // namespace bus
} // namespace postbus
