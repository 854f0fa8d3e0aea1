// scenario: what a run does beside what every run does: peers that are kept, messages to oneself, filters,
// policies, settings and ends that programs ask for. Which of these, the seed chooses.
#include "postbus/tests/sim/scenario.hpp"

#include <algorithm>

namespace postbus::testing {

using namespace std::chrono_literals;

scenario::features scenario::choose(random& from) {
  features has;
  has.keeps = from.chance(1, 2);
  has.holds = has.keeps && from.chance(3, 4);
  has.own = from.chance(1, 3);
  has.filters = from.chance(1, 3);
  has.slow = from.chance(1, 3);
  has.settings = from.chance(1, 4);
  has.leaves = from.chance(1, 3);
  return has;
}

void scenario::act_beside() {
  auto* at = any_host(extras_);
  if (at == nullptr)
    return;
  if (has_.keeps && extras_.chance(1, 12))
    keep();
  if (has_.keeps && at->kept.size() > 0 && extras_.chance(1, 25))
    world_.stop_keeping(*at, extras_.below(at->kept.size()));
  // What is sent while the peer is away.
  if (has_.holds && !at->holds.empty() && extras_.chance(1, 3)) {
    auto to = at->holds.begin();
    std::advance(to, static_cast<std::ptrdiff_t>(extras_.below(at->holds.size())));
    send_burst(*at, node_id(to->first));
  }
  if (has_.keeps && !calm_ && extras_.chance(1, 10))
    if (auto* which = any_connection())
      disturb(*which);
  if (has_.own && extras_.chance(1, 5))
    send_burst(*at, at->id);
  if (has_.settings && extras_.chance(1, 12))
    change_settings(*at);
  if (has_.leaves && extras_.chance(1, 15)) {
    const duration drains[] = {0s, 20ms, 5s};
    world_.disconnect(*at, places_[extras_.below(places_.size())].id, extras_.pick(drains));
  }
  if (has_.leaves && extras_.chance(1, 25)) {
    world_.seen().count(at->listens ? "listeners stopped" : "listeners started again");
    world_.listen(*at, !at->listens);
  }
}

// -- peers that stay ------------------------------------------------------------------

void scenario::keep() {
  auto* at = any_host(extras_);
  if (at == nullptr)
    return;
  auto to = static_cast<unsigned>(extras_.below(places_.size()));
  if (to == at->place && !extras_.chance(1, 10))
    to = static_cast<unsigned>((to + 1) % places_.size());
  node_id expected;
  if (extras_.chance(1, 3)) // now and then it is not the one who is there
    expected = places_[extras_.chance(1, 6) ? extras_.below(places_.size()) : to].id;
  postbus::keep_connected how;
  how.within = extras_.between(duration(200ms), duration(10s));
  if (has_.holds && extras_.chance(3, 4)) {
    how.hold_bytes_max = extras_.chance(1, 2) ? extras_.between(100, 5000) : 1'000'000;
    how.hold_messages_max = extras_.chance(1, 3) ? extras_.between(1, 20) : 100'000;
  }
  world_.keep(*at, to, expected, how);
}

world::path scenario::make_kept_path() {
  world::path over{make_wire(), make_wire()};
  if (calm_ || !extras_.chance(1, 4))
    return over;
  const world::path::fate ends[] = {world::path::fate::refused, world::path::fate::refused,
                                    world::path::fate::lost, world::path::fate::nobody_reads,
                                    world::path::fate::reset};
  over.end = extras_.pick(ends);
  return over;
}

void scenario::make_reconnect_times(limits& bounds) {
  if (extras_.chance(1, 2))
    return;
  bounds.reconnect_time_min = extras_.between(duration(5ms), duration(500ms));
  bounds.reconnect_time_max = bounds.reconnect_time_min * extras_.between(1, 60);
  bounds.reconnect_jitter_percent = static_cast<std::uint32_t>(extras_.between(0, 100));
}

// -- subscribers ----------------------------------------------------------------------

void scenario::choose_filter(bus::subscription_options& wants) {
  if (extras_.chance(1, 2)) {
    const auto count = extras_.between(1, 2);
    for (std::uint64_t each = 0; each < count; ++each)
      wants.filter.peers.push_back(places_[extras_.below(places_.size())].id);
  }
  if (wants.filter.peers.empty() || extras_.chance(1, 2)) {
    const auto count = extras_.between(1, 3);
    for (std::uint64_t each = 0; each < count; ++each) {
      const auto first = static_cast<std::uint16_t>(extras_.next());
      const auto last = static_cast<std::uint16_t>(extras_.between(first, UINT16_MAX));
      wants.filter.tags.emplace_back(first, last);
    }
  }
  world_.seen().count("subscriptions with a filter");
}

void scenario::choose_policy(bus::subscription_options& wants) {
  wants.policy = static_cast<slow_policy>(extras_.below(4));
  wants.queue_messages_max = extras_.chance(1, 4) ? 0 : extras_.between(1, 30);
  wants.queue_bytes_max = extras_.chance(1, 2) ? 100 : 10'000;
  world_.seen().count("subscriptions that " + std::string(to_string(wants.policy)));
}

// -- settings -------------------------------------------------------------------------

void scenario::change_settings(host& at) {
  if (extras_.chance(1, 3))
    return world_.change_init(at, extras_.between(0, bus::init_bytes_max + 200));
  auto changed = make_limits();
  changed.batches_in_flight_max = at.bounds.batches_in_flight_max;
  make_reconnect_times(changed);
  places_[at.place].bounds = changed;
  world_.change_bounds(at, changed);
}

} // namespace postbus::testing
