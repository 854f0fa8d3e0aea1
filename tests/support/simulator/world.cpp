// world: nodes, connections, programs, and what befalls them. How things go on is in world_steps.cpp,
// what they are held against in world_laws.cpp.
#include "postbus/tests/support/simulator/world.hpp"

#include "postbus/codecs/chunk_pool.hpp"

#include <algorithm>

namespace postbus::testing {

end_point::end_point(host& home, bus::node::started start, connection_record& record_of,
                     unsigned at_side, time_point now)
  : of(home), id(start.connection), bounds(start.how.bounds), record(record_of), side(at_side),
    charge(bus::shared<bell>::adopt(new bell)), box(*start.how.bounds),
    session((start.how.charge = bus::shared<bus::receipt>(charge), std::move(start.how)), now),
    seen_since(now), started(now), heard(now), spoke(now), moved(now), busy(now) {}

host::host(unsigned where, bus::node::options how, time_point now)
  : place(where), id(how.id), bounds(*how.bounds), loosest(bounds),
    hands_back(how.hand_back_unsent), own(bounds) {
  how.own_charge = bus::shared<bus::receipt>(own.charge);
  core.emplace(std::move(how), now);
  own.box.frame_bytes_max(bounds.frame_bytes_max);
  for (auto& side : own.record.sides) {
    side.self = id;
    side.unclaimed_of_node = &unclaimed;
  }
}

bool host::anybody_takes() const {
  return std::any_of(programs.begin(), programs.end(),
                     [](const auto& each) { return each.second->wants().messages; });
}

world::world(settings how)
  : settings_(std::move(how)), held_before_(codecs::chunk_pool::held_bytes()),
    choices_(settings_.seed) {}

world::~world() = default;

bool world::bug_strikes(seeded_bug which, unsigned one_in) {
  return settings_.bug == which && choices_.chance(1, one_in);
}

// -- nodes ------------------------------------------------------------------------

host& world::start(unsigned place, bus::node::options how) {
  require(!find(place), law::ending, "two nodes at one place");
  seen_.count("nodes started");
  return *hosts_.emplace_back(std::make_unique<host>(place, std::move(how), now_));
}

host* world::find(unsigned place) {
  for (auto& each : hosts_)
    if (each->place == place && each->core && !each->finished)
      return each.get();
  return nullptr;
}

void world::close(host& which, duration drain) {
  if (!which.core || which.finished)
    return;
  seen_.count("nodes closed");
  which.close_deadline =
    std::min(which.close_deadline, now_ + drain + which.bounds.linger_time_max);
  which.kept_dials.clear();
  while (!which.holds.empty())
    release(which, node_id(which.holds.begin()->first));
  expect_given_back(which);
  const auto own_before = which.core->own().sent;
  which.core->deliver_all_own(which.own.box);
  expect_own(which, own_before);
  obey(which); // who is cut off by that hears no more
  which.kept.stop_all();
  if (!which.core->is_closing())
    expect(which, {.what = expectation::kind::closing, .peer = {}});
  which.core->close({errc::closed, blame::local, {}}, drain, now_);
  promise_closed(which);
  obey(which);
}

void world::crash(host& which, bool with_reset) {
  seen_.count(with_reset ? "nodes killed" : "nodes lost");
  note([&] { return "crash " + std::to_string(which.place); });
  for (auto& [id, each] : which.ends) {
    each->record.disturbed = true;
    each->mine().crashed = true;
    (void)each->in->close_reader(now_);
    (void)each->in->take_bounce();
    if (with_reset)
      each->out->reset(now_);
    else
      each->out->fall_silent(), each->in->fall_silent();
    if (each->other != nullptr)
      each->other->other = nullptr;
  }
  for (const auto& letter : which.mailbox)
    if (const auto* socket = std::get_if<host::arrived>(&letter)) {
      socket->record->disturbed = true;
      socket->out->reset(now_);
    }
  for (const auto& [peer, hold] : which.holds)
    account_.crashed += hold.messages.size();
  const auto& own = which.own.record.sides[1];
  account_.crashed += which.own.record.sides[0].sent.size() - own.delivered - own.dropped;
  account_.delivered += own.delivered;
  account_.dropped += own.dropped;
  which.holds.clear();
  which.own.box.clear();
  which.kept.stop_all();
  which.kept_dials.clear();
  which.disconnecting.clear();
  which.links.clear();
  which.ends.clear();
  which.mailbox.clear();
  which.programs.clear();
  which.questions.clear();
  which.services.clear();
  which.looks.clear();
  which.agreed.clear();
  which.core.reset();
}

void world::pause(host& which) {
  seen_.count("nodes stopped for a while");
  which.paused = true;
  for (auto& [id, each] : which.ends)
    each->record.disturbed = true;
}

void world::resume(host& which) {
  which.paused = false;
  which.resumed = now_;
  for (auto& [id, each] : which.ends)
    each->record.disturbed = true;
}

// -- connections ------------------------------------------------------------------

connection_record* world::dial(host& from, unsigned place, const path& over,
                               const node_id& expected) {
  auto* to = find(place);
  if (to == nullptr || !to->listens || to->core->is_closing() || !from.core
      || from.core->is_closing()) {
    seen_.count("dials to nobody");
    return nullptr;
  }
  seen_.count("dials");
  return connect(from, *to, over,
                 {nullptr, connection_record::dialer, nullptr, nullptr, expected, over.asks});
}

connection_record* world::connect(host& from, host& to, const path& over, host::arrived dialer) {
  auto& record = *records_.emplace_back(std::make_unique<connection_record>());
  record.serial = records_.size();
  record.sides[connection_record::dialer].self = from.id;
  record.sides[connection_record::listener].self = to.id;
  auto there = std::make_shared<wire>(over.there);
  auto back = std::make_shared<wire>(over.back);
  using mistake = wire::mistake;
  const auto spoil = [&](seeded_bug bug, mistake what) {
    if (settings_.bug == bug)
      there->make(what), back->make(what);
  };
  spoil(seeded_bug::lose_credit, mistake::lose_credit);
  spoil(seeded_bug::lose_message, mistake::lose_message);
  spoil(seeded_bug::swap_messages, mistake::swap_messages);
  spoil(seeded_bug::repeat_message, mistake::repeat_message);
  dialer.record = &record;
  dialer.in = back;
  dialer.out = there;
  from.mailbox.push_back(std::move(dialer));
  if (over.end == path::fate::good) {
    to.mailbox.push_back(
      host::arrived{&record, connection_record::listener, there, back, {}, false});
  } else {
    record.disturbed = true;
    if (over.end == path::fate::reset)
      back->reset(now_);
    else
      there->fall_silent();
    seen_.count(over.end == path::fate::reset ? "dials reset" : "dials never heard");
  }
  note([&] { return "dial " + record.name(); });
  return &record;
}

end_point* world::end_of(const connection_record& which, unsigned side) {
  for (auto& at : hosts_)
    for (auto& [id, each] : at->ends)
      if (&each->record == &which && each->side == side)
        return each.get();
  return nullptr;
}

void world::cut(connection_record& which) {
  which.disturbed = true;
  for (const unsigned side : {0u, 1u})
    if (auto* at = end_of(which, side))
      at->in->finish(now_);
  seen_.count("connections cut");
}

void world::reset(connection_record& which) {
  which.disturbed = true;
  for (const unsigned side : {0u, 1u})
    if (auto* at = end_of(which, side))
      at->in->reset(now_);
  seen_.count("connections reset");
}

void world::silence(connection_record& which, unsigned to) {
  which.disturbed = true;
  if (auto* at = end_of(which, to))
    at->in->fall_silent();
  seen_.count("directions fallen silent");
}

void world::corrupt(connection_record& which, unsigned to, std::uint64_t offset, std::byte mask) {
  if (auto* at = end_of(which, to)) {
    at->in->corrupt(offset, mask);
    seen_.count("bytes to be changed");
  }
}

// -- programs ---------------------------------------------------------------------

bus::subscription_id world::subscribe(host& at, const bus::subscription_options& wants,
                                      program::manner how) {
  auto who = std::make_unique<program>(wants, how, at.bounds.batches_in_flight_max);
  const auto id = at.core->subscribe(wants, bus::shared<bus::receipt>(who->slot()));
  at.programs.emplace(id, std::move(who));
  seen_.count("subscriptions");
  obey(at);
  at.own.due = true; // what was sent to itself may have waited for a subscriber
  return id;
}

void world::unsubscribe(host& at, bus::subscription_id id) {
  const auto counted = at.core->counters(id);
  require(counted.has_value(), law::account, "a subscription without counters");
  at.programs.at(id)->check_counters(*counted, at.bounds);
  require(at.core->unsubscribe(id), law::events, "a subscription that is not known");
  require(!at.core->unsubscribe(id), law::events, "a subscription that ends twice");
  auto gone = at.programs.extract(id);
  if (!gone.mapped()->was_told_all())
    seen_.count("subscriptions ended with something waiting");
  seen_.count("subscriptions ended");
  gone.mapped()->abandon();
  require(!at.core->counters(id), law::account, "counters of a subscription that is over");
  obey(at);
}

void world::answer(host& at, bus::connection_id connection, bool yes) {
  const auto taken = at.core->decide(
    connection, yes ? result<void>{} : result<void>(error{errc::rejected, blame::local, "no"}));
  seen_.count(!taken ? "answers too late" : yes ? "peers accepted" : "peers rejected");
  if (taken && yes && !at.dials.contains(connection))
    at.agreed.insert(connection);
  if (taken)
    require(!at.core->decide(connection, {}), law::dials, "decided on twice");
  obey(at);
}

void world::collect(host& at) {
  seen_.count("questions for statistics");
  const auto which = at.core->collect(now_);
  require(which.has_value(), law::ending, "a node that runs has no statistics");
  require(at.collections.insert(*which).second, law::events, "two questions of one name");
  obey(at);
}

send_outcome world::put(bus::outbox& box, const sent_message& what) {
  const codecs::frame_header header{0, codecs::frame_kind::message,
                                    what.opaque ? codecs::frame_flag::opaque : std::uint8_t{0},
                                    what.tag};
  const auto body = body_of(what);
  return what.bytes % 2 == 0
           ? box.push(bus::outbox::lane::data, header, body)
           : box.push(bus::outbox::lane::data, header, payload::copy_of(std::span(body)));
}

send_outcome world::send(host& from, const node_id& to, sent_message what) {
  ++account_.attempts;
  what.serial = ++serial_;
  auto outcome = send_outcome::closed;
  if (to == from.id) {
    outcome = put(from.own.box, what);
    if (outcome == send_outcome::accepted) {
      from.own.record.sides[0].sent.push_back(what);
      from.own.due = true;
      seen_.count("messages to itself");
    }
  } else if (const auto found = from.links.find(to); found != from.links.end()) {
    auto& at = *found->second;
    outcome = put(at.box, what);
    if (outcome == send_outcome::accepted) {
      at.mine().sent.push_back(what);
      if (!bug_strikes(seeded_bug::wake_lost, 10))
        at.woken = true;
    }
    if (outcome == send_outcome::closed)
      outcome = send_held(from, to, what);
    look(at);
  } else if (const auto held = from.holds.find(to);
             held != from.holds.end() && held->second.is_way) {
    outcome = send_held(from, to, what);
  }
  require(outcome != send_outcome::invalid, law::account, "bytes that cannot be packed");
  auto& count = outcome == send_outcome::accepted    ? account_.accepted
                : outcome == send_outcome::congested ? account_.congested
                : outcome == send_outcome::too_large ? account_.too_large
                                                     : account_.closed;
  ++count;
  seen_.count(std::string("sends ") + std::string(to_string(outcome)));
  return outcome;
}

} // namespace postbus::testing
