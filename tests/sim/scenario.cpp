#include "postbus/tests/sim/scenario.hpp"

#include <algorithm>

namespace postbus::testing {

using namespace std::chrono_literals;

coverage run_seed(std::uint64_t seed, seeded_bug bug,
                  const std::function<void(const std::string&)>& trace) {
  return scenario(seed, bug, trace).run();
}

scenario::scenario(std::uint64_t seed, seeded_bug bug,
                   std::function<void(const std::string&)> trace)
  : chance_(seed), policies_(~seed), extras_(seed ^ 0x5bd1e995u), has_(choose(extras_)),
    world_({.seed = chance_.next(),
            .bug = bug,
            .kept_path = [this] { return make_kept_path(); },
            .breaks_at_open = has_.holds && extras_.chance(1, 2),
            .trace = std::move(trace)}),
    calm_(chance_.chance(1, 4)) {
  const auto count = chance_.between(2, 5);
  const auto forger = chance_.chance(1, 6);
  for (unsigned where = 0; where < count; ++where) {
    node_id::bytes_type bytes;
    bytes.fill(static_cast<std::byte>(where + 1));
    // A forger is a node that calls itself by another's id.
    const auto id = forger && where + 1 == count ? places_[0].id : node_id(bytes);
    places_.push_back({id, make_limits()});
    make_reconnect_times(places_.back().bounds);
    places_.back().hands_back = extras_.chance(1, 2);
    start(where);
  }
}

coverage scenario::run() {
  for (auto acts = chance_.between(30, 120); acts > 0; --acts) {
    let_pass(gap());
    for (unsigned where = 0; where < places_.size(); ++where)
      look_after(where);
    act();
    act_beside();
  }
  for (unsigned where = 0; where < places_.size(); ++where)
    if (auto* at = world_.find(where); at != nullptr && at->paused)
      world_.resume(*at);
  if (chance_.chance(1, 3)) {
    world_.seen().count("runs that fall quiet");
    let_pass(chance_.between(duration(5s), duration(150s)));
  }
  const duration drains[] = {0s, 50ms, 5s, 30s};
  world_.finish(chance_.pick(drains));
  world_.seen().count("runs");
  return world_.seen();
}

// Acts happen between any two things of the same moment, too.
void scenario::let_pass(duration span) {
  const auto until = world_.now() + span;
  for (;;) {
    while (world_.take_any())
      if (world_.now() >= until && chance_.chance(1, 6))
        return;
    const auto next = std::max(world_.next_moment(), world_.now());
    if (next > until)
      return world_.advance(until);
    world_.advance(next);
  }
}

duration scenario::gap() {
  switch (chance_.below(20)) {
  case 0:
    return chance_.between(duration(1s), duration(70s));
  case 1:
  case 2:
    return chance_.between(duration(100ms), duration(5s));
  case 3:
  case 4:
  case 5:
  case 6:
  case 7:
    return chance_.between(duration(1ms), duration(200ms));
  case 8:
  case 9:
  case 10:
  case 11:
  case 12:
    return chance_.between(duration(1us), duration(2ms));
  default:
    return 0s;
  }
}

// -- what there is ----------------------------------------------------------------

limits scenario::make_limits() {
  limits bounds;
  if (chance_.chance(1, 2)) { // little memory
    bounds.window_bytes_min = chance_.between(64, 4096);
    bounds.window_bytes_max = bounds.window_bytes_min * chance_.between(1, 8);
    bounds.node_received_bytes_max = bounds.window_bytes_max * chance_.between(1, 4);
    bounds.outbox_bytes_max = chance_.between(256, 20'000);
    bounds.outbox_frames_max = chance_.between(2, 200);
    bounds.node_outbox_bytes_max = std::max(bounds.outbox_bytes_max, bounds.node_outbox_bytes_max);
    bounds.batches_in_flight_max = static_cast<std::uint32_t>(chance_.between(1, 4));
  }
  if (chance_.chance(1, 3)) { // little time
    bounds.keepalive_time = chance_.between(duration(300ms), duration(3s));
    bounds.idle_time_max = bounds.silence_time_max() + chance_.between(duration(1s), duration(9s));
    bounds.stall_time_max = chance_.between(duration(1s), duration(10s));
    bounds.drain_time_max = chance_.between(duration(100ms), duration(5s));
    bounds.linger_time_max = chance_.between(duration(100ms), duration(2s));
  }
  if (chance_.chance(1, 4)) { // little room
    bounds.connections_max = static_cast<std::uint32_t>(chance_.between(1, 3));
    bounds.pending_handshakes_max = static_cast<std::uint32_t>(chance_.between(1, 3));
    bounds.pending_handshakes_per_address_max =
      std::min(bounds.pending_handshakes_max, static_cast<std::uint32_t>(chance_.between(1, 2)));
  }
  if (chance_.chance(1, 4)) { // few requests
    bounds.requests_in_flight_max = static_cast<std::uint32_t>(chance_.between(0, 3));
    bounds.request_bytes_in_flight_max = static_cast<std::uint32_t>(chance_.between(1, 2000));
  }
  if (chance_.chance(1, 4))
    bounds.frame_bytes_max = static_cast<std::uint32_t>(chance_.between(17'000, 40'000));
  const auto good = bounds.check();
  require(good.has_value(), law::ending,
          [&] { return "limits that do not fit: " + to_string(good.error()); });
  return bounds;
}

wire::settings scenario::make_wire() {
  const duration latencies[] = {0s, 0s, 10us, 1ms, 1ms, 20ms, 150ms};
  const std::uint64_t rates[] = {0, 0, 0, 10'000'000, 1'000'000, 100'000};
  const std::size_t rooms[] = {SIZE_MAX, SIZE_MAX, SIZE_MAX, 200'000, 20'000, 1000};
  return {chance_.pick(latencies), chance_.pick(rates), chance_.pick(rooms)};
}

sent_message scenario::make_message() {
  std::uint64_t bytes = 0;
  switch (chance_.below(8)) {
  case 0:
    bytes = 0;
    break;
  case 1:
  case 2:
  case 3:
    bytes = chance_.between(1, 64);
    break;
  case 4:
  case 5:
    bytes = chance_.between(65, 2000);
    break;
  case 6:
    bytes = chance_.between(7000, 12'000);
    break;
  case 7:
    bytes = chance_.between(12'000, body_bytes_max);
    break;
  }
  const auto opaque = bytes < 2 || chance_.chance(2, 3);
  return {static_cast<std::uint32_t>(bytes), static_cast<std::uint16_t>(chance_.next()), opaque};
}

void scenario::start(unsigned where) {
  auto& is = places_[where];
  is.restart = is.resume = never;
  auto& at = world_.start(where, {is.id, chance_.next(), payload::copy_of("init"),
                                  std::make_shared<const limits>(is.bounds), is.hands_back});
  if (chance_.chance(9, 10))
    subscribe(at);
  if (chance_.chance(1, 2))
    subscribe(at);
  if (chance_.chance(2, 3))
    handle(at);
}

void scenario::subscribe(host& at) {
  bus::subscription_options wants;
  wants.messages = chance_.chance(4, 5);
  wants.events = chance_.chance(4, 5);
  wants.decides = chance_.chance(1, 10);
  if (wants.messages && wants.events && policies_.chance(1, 6)) {
    const slow_policy some[] = {slow_policy::drop_oldest, slow_policy::drop_newest,
                                slow_policy::disconnect};
    wants.policy = policies_.pick(some);
    wants.queue_messages_max = policies_.between(1, 30);
    wants.queue_bytes_max = policies_.chance(1, 2) ? 100 : 10'000;
  }
  if (has_.filters && extras_.chance(1, 2))
    choose_filter(wants);
  if (has_.slow && extras_.chance(1, 2))
    choose_policy(wants);
  program::manner how;
  const duration holds[] = {0s, 0s, 0s, 1ms, 100ms, 3s, duration::max()};
  how.holds = chance_.pick(holds);
  if (calm_ && how.holds == duration::max())
    how.holds = 10s;
  how.singles = extras_.chance(1, 4);
  how.keeps_messages = chance_.chance(1, 8);
  how.keeps_payloads = chance_.chance(1, 8);
  const duration thinks[] = {0s, 10ms, 1s, 4s};
  how.answers_after = chance_.pick(thinks);
  how.answers = !chance_.chance(1, 10);
  world_.subscribe(at, wants, how);
}

host* scenario::any_host(random& from) {
  auto* at = world_.find(static_cast<unsigned>(from.below(places_.size())));
  return at == nullptr || at->paused || at->core->is_closing() ? nullptr : at;
}

connection_record* scenario::any_connection() {
  const auto& all = world_.connections();
  if (all.empty())
    return nullptr;
  // Rather a young one: the old ones are over.
  const auto back = std::min(chance_.below(all.size()), chance_.below(6));
  return all[all.size() - 1 - back].get();
}

// -- what happens -----------------------------------------------------------------

void scenario::act() {
  // Rather beside something else than alone: what is asked may end before it answers.
  if (auto* at = any_host(); at != nullptr && chance_.chance(1, 5))
    world_.collect(*at);
  const auto what = chance_.below(100);
  if (what < 22)
    return dial();
  if (what < 66)
    return send();
  if (what < 78)
    return ask();
  if (what < 86) {
    if (auto* at = any_host())
      change_programs(*at);
    return;
  }
  if (calm_)
    return dial();
  if (what < 95) {
    if (auto* which = any_connection())
      disturb(*which);
    return;
  }
  befall(static_cast<unsigned>(chance_.below(places_.size())));
}

void scenario::dial() {
  auto* from = any_host();
  if (from == nullptr)
    return;
  auto to = static_cast<unsigned>(chance_.below(places_.size()));
  if (to == from->place && !chance_.chance(1, 10))
    to = static_cast<unsigned>((to + 1) % places_.size());
  world::path over{make_wire(), make_wire()};
  if (!calm_ && chance_.chance(1, 6)) {
    auto& one = chance_.chance(1, 2) ? over.there : over.back;
    // Rather in a header than in a body, rather early than late: there it does most.
    one.corrupt_at = chance_.chance(1, 3) ? chance_.below(60) : chance_.between(50, 260);
    one.corrupt_mask = static_cast<std::byte>(1u << chance_.below(8));
    world_.seen().count("bytes to be changed");
  }
  if (!calm_ && chance_.chance(1, 20))
    over.end = chance_.chance(1, 2) ? world::path::fate::nobody_reads : world::path::fate::reset;
  over.asks = chance_.chance(1, 6);
  node_id expected;
  if (chance_.chance(1, 4))
    expected = places_[chance_.below(places_.size())].id;
  world_.dial(*from, to, over, expected);
  // The other way at the same time.
  auto* back = world_.find(to);
  if (chance_.chance(1, 4) && back != nullptr && !back->paused && to != from->place) {
    world_.seen().count("dials at the same time");
    world_.dial(*back, from->place, {make_wire(), make_wire()});
  }
}

void scenario::send() {
  auto* from = any_host();
  if (from == nullptr || from->links.empty())
    return;
  auto to = from->links.begin();
  std::advance(to, static_cast<std::ptrdiff_t>(chance_.below(from->links.size())));
  send_burst(*from, node_id(to->first));
}

void scenario::send_burst(host& from, const node_id& peer) {
  const auto same = chance_.chance(1, 2);
  auto what = make_message();
  const std::uint64_t bursts[] = {1, 1, 3, 20, 150};
  for (auto left = chance_.pick(bursts); left > 0; --left) {
    if (!same)
      what = make_message();
    if (world_.send(from, peer, what) == send_outcome::congested && chance_.chance(1, 2))
      return;
  }
}

void scenario::handle(host& at) {
  const duration thinks[] = {0s, 0s, 1ms, 300ms, 10s, duration::max()};
  world_.handle(at, {chance_.pick(thinks)});
}

void scenario::ask() {
  auto* from = any_host();
  if (from == nullptr)
    return;
  if (chance_.chance(1, 8))
    return world_.cancel_any(*from);
  const auto to = places_[chance_.below(places_.size())].id;
  const std::uint64_t bursts[] = {1, 1, 2, 10, 60};
  for (auto left = chance_.pick(bursts); left > 0; --left) {
    const duration times[] = {0s, 1ms, 100ms, 5s, 60s, duration::max()};
    if (!world_.ask(*from, to, make_message().bytes, chance_.pick(times)))
      return;
  }
}

void scenario::change_programs(host& at) {
  if (chance_.chance(1, 6))
    return handle(at);
  if (at.programs.empty() || chance_.chance(1, 3))
    return subscribe(at);
  auto which = at.programs.begin();
  std::advance(which, static_cast<std::ptrdiff_t>(chance_.below(at.programs.size())));
  switch (chance_.below(3)) {
  case 0:
    return world_.unsubscribe(at, which->first);
  case 1:
    world_.seen().count("programs stuck");
    return which->second->stuck(true);
  default:
    return which->second->stuck(false);
  }
}

void scenario::disturb(connection_record& which) {
  const auto side = static_cast<unsigned>(chance_.below(2));
  switch (chance_.below(6)) {
  case 0:
    return world_.cut(which);
  case 1:
    return world_.reset(which);
  case 2:
    return world_.silence(which, side);
  case 3:
    world_.silence(which, side);
    return world_.silence(which, 1 - side);
  default:
    return world_.corrupt(which, side, chance_.below(chance_.chance(1, 2) ? 60 : 5000),
                          static_cast<std::byte>(chance_.between(1, 255)));
  }
}

void scenario::befall(unsigned where) {
  auto* at = world_.find(where);
  if (at == nullptr || at->paused)
    return;
  auto& is = places_[where];
  switch (chance_.below(4)) {
  case 0: {
    const duration drains[] = {0s, 10ms, 1s, 5s};
    if (!at->core->is_closing())
      world_.close(*at, chance_.pick(drains));
    is.restart = world_.now() + chance_.between(duration(0s), duration(10s));
    return;
  }
  case 1:
    world_.pause(*at);
    is.resume = world_.now() + chance_.between(duration(1ms), duration(100s));
    return;
  default:
    world_.crash(*at, chance_.chance(1, 2));
    is.restart =
      world_.now() + (chance_.chance(1, 2) ? 0s : chance_.between(duration(0s), duration(20s)));
    return;
  }
}

void scenario::look_after(unsigned where) {
  auto& is = places_[where];
  auto* at = world_.find(where);
  if (at != nullptr && at->paused && world_.now() >= is.resume)
    world_.resume(*at);
  if (at == nullptr && world_.now() >= is.restart) {
    world_.seen().count("nodes started again");
    start(where);
  }
}

} // namespace postbus::testing
