#include "postbus/tests/support/simulator/kept_peers.hpp"

#include <algorithm>

namespace postbus::testing {

namespace {

// A wheel tells a deadline so much late, and a connection takes its time to end.
constexpr duration grace = std::chrono::seconds(1);

bool ends_it(errc code) {
  return code == errc::self_connection || code == errc::bad_endpoint || code == errc::unsupported;
}

bool lasts(errc code) {
  return code == errc::wrong_node || code == errc::rejected || code == errc::id_in_use
         || code == errc::not_postbus || code == errc::version_unsupported;
}

} // namespace

// -- what was asked for -----------------------------------------------------------------

void kept_peers::keep(const postbus::keep_connected& what, const node_id& expected,
                      time_point now) {
  entry made;
  made.endpoint = what.endpoint;
  made.how = what;
  made.expected = expected;
  made.earliest = made.latest = now;
  all_.push_back(std::move(made));
}

void kept_peers::stop(const std::string& endpoint) {
  std::erase_if(all_, [&](const entry& each) { return each.endpoint == endpoint; });
}

kept_peers::entry* kept_peers::find(const std::string& endpoint) {
  const auto found = std::find_if(all_.begin(), all_.end(),
                                  [&](const entry& each) { return each.endpoint == endpoint; });
  return found == all_.end() ? nullptr : &*found;
}

bool kept_peers::knows(const std::string& endpoint) const {
  return std::any_of(all_.begin(), all_.end(),
                     [&](const entry& each) { return each.endpoint == endpoint; });
}

// -- what happened ----------------------------------------------------------------------

void kept_peers::dials(bus::keeper::keep_id keep, const std::string& endpoint, time_point now,
                       time_point resumed) {
  auto* of = find(endpoint);
  require(of != nullptr, law::events, "dialed, and is not kept: " + endpoint);
  require(of->at == standing::due, law::events, "dialed, and it is not its time: " + endpoint);
  require(now >= of->earliest, law::deadline, "a kept peer is dialed too early: " + endpoint);
  require(now <= std::max(of->latest, resumed) + grace, law::deadline,
          "a kept peer is dialed too late: " + endpoint);
  require(keep != 0 && (of->id == 0 || of->id == keep), law::events,
          "dialed under another name: " + endpoint);
  of->id = keep;
  of->at = standing::dialing;
  of->dialed_at = now;
}

void kept_peers::dialed(bus::keeper::keep_id keep, const result<node_id>& peer) {
  const auto of =
    std::find_if(all_.begin(), all_.end(), [&](const entry& each) { return each.id == keep; });
  if (of == all_.end() || of->at != standing::dialing)
    return;
  if (peer)
    return connect(*of, *peer);
  const auto why = peer.error().code;
  if (ends_it(why)) {
    changes_.push_back({{of->endpoint, keep_status::ended, of->peer, {}, peer.error(), {}}, {}});
    all_.erase(of);
    return;
  }
  of->at = standing::lost;
  of->why = why;
  of->was_connected = false;
}

void kept_peers::up(const node_id& peer) {
  for (auto& of : all_)
    if (of.at != standing::connected && (of.peer == peer || of.expected == peer))
      connect(of, peer);
}

void kept_peers::down(const node_id& peer, errc reason) {
  for (auto& of : all_)
    if (of.at == standing::connected && of.peer == peer) {
      of.at = standing::lost;
      of.why = reason;
      of.was_connected = true;
    }
}

void kept_peers::connect(entry& of, const node_id& peer) {
  const auto before = of.peer == peer ? node_id{} : of.peer;
  of.peer = peer;
  of.at = standing::connected;
  of.since = never;
  if (of.said != keep_status::connected || before)
    changes_.push_back({{of.endpoint, keep_status::connected, peer, before}, {}});
  of.said = keep_status::connected;
}

void kept_peers::ticked(time_point now, const limits& bounds) {
  for (auto& of : all_) {
    if (of.at == standing::connected && of.since == never)
      of.since = now;
    if (of.at == standing::lost)
      plan(of, now, bounds);
  }
}

void kept_peers::plan(entry& of, time_point now, const limits& bounds) {
  const auto was_good = of.was_connected && of.since != never && now > of.since + of.wait;
  if (lasts(of.why))
    of.wait = bounds.reconnect_time_max;
  else if (was_good || of.wait == duration::zero())
    of.wait = bounds.reconnect_time_min;
  else
    of.wait = std::min(2 * of.wait, bounds.reconnect_time_max);
  const auto shortest = of.wait * (100 - bounds.reconnect_jitter_percent) / 100;
  of.at = standing::due;
  of.earliest = now + shortest - std::chrono::microseconds(1);
  of.latest = now + of.wait;
  if (of.said != keep_status::reconnecting)
    changes_.push_back(
      {{of.endpoint, keep_status::reconnecting, of.peer, {}, {of.why, blame::local, {}}, of.wait},
       shortest - std::chrono::microseconds(1)});
  of.said = keep_status::reconnecting;
}

// -- what holds -------------------------------------------------------------------------

void kept_peers::check_rest(time_point now, time_point resumed, const limits& bounds) const {
  for (const auto& of : all_) {
    require(of.at != standing::lost, law::deadline, "a kept peer is lost, and nobody plans");
    if (of.at == standing::due)
      require(now <= std::max(of.latest, resumed) + grace, law::deadline,
              "a kept peer is not dialed in time: " + of.endpoint);
    // A dial that meets another connection waits for that one.
    const auto longest =
      of.how.within + 2 * bounds.handshake_time_max + 2 * bounds.linger_time_max + grace;
    if (of.at == standing::dialing)
      require(now <= std::max(of.dialed_at, resumed) + longest, law::deadline,
              "a kept peer is dialed without an end: " + of.endpoint);
  }
}

bool kept_peers::keeps(const node_id& peer) const {
  return std::any_of(all_.begin(), all_.end(),
                     [&](const entry& each) { return each.peer == peer || each.expected == peer; });
}

bool kept_peers::holds(const node_id& peer) const {
  return std::any_of(all_.begin(), all_.end(), [&](const entry& each) {
    return each.peer == peer && each.how.hold_bytes_max > 0;
  });
}

bool kept_peers::is_connected(const node_id& peer) const {
  return std::any_of(all_.begin(), all_.end(), [&](const entry& each) {
    return each.at == standing::connected && each.peer == peer;
  });
}

} // namespace postbus::testing
