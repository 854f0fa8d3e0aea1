#include "postbus/bus/subscriptions.hpp"

#include "postbus/bus/overloaded.hpp"

#include <algorithm>

namespace postbus::bus {

namespace {

// The same messages, charged to nobody: while they live they keep their chunks, but no credit.
shared<received_frames> uncharged(const received_frames& of) {
  auto made = shared<received_frames>::adopt(new received_frames({}));
  auto frames = of.frames();
  for (const auto& each : of.runs())
    made->append(*each.owner, each.begin, each.end, std::exchange(frames, 0));
  return made;
}

// Whom an event is about; nobody when it is about the node.
const node_id* peer_of(const node_event& event) noexcept {
  if (const auto* up = std::get_if<connected>(&event))
    return &up->peer;
  if (const auto* down = std::get_if<disconnected>(&event))
    return &down->peer;
  if (const auto* back = std::get_if<unsent>(&event))
    return &back->peer;
  return nullptr; // a `keep_state` is about an endpoint, whoever is there
}

} // namespace

subscriptions::subscriptions(const limits& bounds) noexcept
  : batches_in_flight_max_(bounds.batches_in_flight_max),
    queue_bytes_max_(bounds.subscription_queue_bytes_max),
    queue_messages_max_(bounds.subscription_queue_messages_max),
    events_max_(bounds.subscription_events_max),
    event_bytes_max_(bounds.subscription_event_bytes_max) {}

void subscriptions::bounds(const limits& changed) noexcept {
  queue_bytes_max_ = changed.subscription_queue_bytes_max;
  queue_messages_max_ = changed.subscription_queue_messages_max;
  events_max_ = changed.subscription_events_max;
  event_bytes_max_ = changed.subscription_event_bytes_max;
}

// -- who ------------------------------------------------------------------------------

// NOLINTNEXTLINE(performance-unnecessary-value-param): both are moved, which try_emplace hides from it
subscription_id subscriptions::add(subscription_options wants, shared<receipt> slot) {
  const auto id = ++last_id_;
  takers_ += wants.messages ? 1 : 0;
  deciders_ += wants.decides ? 1 : 0;
  const subscriber_queue::options how{
    .policy = wants.policy,
    .bytes_max = wants.queue_bytes_max > 0 ? wants.queue_bytes_max : queue_bytes_max_,
    .messages_max = wants.queue_messages_max > 0 ? wants.queue_messages_max : queue_messages_max_,
    .marks_gaps = wants.events};
  all_.try_emplace(id, std::move(wants), std::move(slot), how);
  return id;
}

bool subscriptions::remove(subscription_id id) {
  const auto found = all_.find(id);
  if (found == all_.end())
    return false;
  forget(found);
  return true;
}

// A batch that is dropped without ever having been handed on tells the receipt, too, so what waits
// is dropped with its subscription.
void subscriptions::forget(known at) {
  auto& gone = at->second;
  takers_ -= gone.wants.messages ? 1 : 0;
  deciders_ -= gone.wants.decides ? 1 : 0;
  while (!gone.waiting.empty()) {
    auto waiting = gone.waiting.take_front();
    if (auto* messages = std::get_if<shared<delivery>>(&waiting))
      let_go(*messages);
  }
  all_.erase(at);
}

void subscriptions::let_go(const shared<delivery>& messages) {
  messages->each_charged([this](received_frames& part) {
    auto& claimed = part.claimed;
    if (--claimed.waiting == 0 && !claimed.given)
      dropped_[claimed.connection] += part.frames();
  });
}

// Too slow: what waited is dropped but for the events, and the last of them says so.
void subscriptions::cut_off(known at, const char* why) {
  auto& gone = at->second;
  const auto dropped = gone.taken - gone.delivered;
  while (!gone.waiting.empty()) {
    auto waiting = gone.waiting.take_front();
    if (auto* event = std::get_if<node_event>(&waiting))
      outputs_.push_back({at->first, std::move(*event)});
    else if (auto* held = std::get_if<shared<delivery>>(&waiting))
      let_go(*held);
  }
  outputs_.push_back({at->first, node_event{subscription_ended{
                                   {errc::subscriber_too_slow, blame::local, why}, dropped}}});
  forget(at);
}

std::optional<subscription_counters> subscriptions::counters(subscription_id id) const {
  const auto found = all_.find(id);
  if (found == all_.end())
    return std::nullopt;
  const auto& of = found->second;
  return subscription_counters{of.taken,
                               of.delivered,
                               of.waiting.dropped(),
                               of.waiting.dropped_bytes(),
                               of.waiting.messages(),
                               of.waiting.bytes()};
}

// -- messages ---------------------------------------------------------------------------

std::uint64_t subscriptions::push(const node_id& from, const shared<received_frames>& frames) {
  concerned_.clear();
  bool by_tag = false;
  for (auto at = all_.begin(); at != all_.end(); ++at)
    if (const auto& wants = at->second.wants; wants.messages && wants.filter.takes(from)) {
      concerned_.push_back(at);
      by_tag = by_tag || !wants.filter.tags.empty();
    }
  // What waits keeps no chunk that has more in it than it is charged for.
  if (std::any_of(concerned_.begin(), concerned_.end(), [this](known at) {
        return at->second.wants.policy == slow_policy::block && !takes_at_once(at->second);
      }))
    frames->move_together();
  if (by_tag)
    return push_divided(from, frames);
  for (const auto at : concerned_)
    give(at, from, frames, {});
  return concerned_.empty() ? frames->frames() : 0;
}

std::uint64_t subscriptions::push_divided(const node_id& from,
                                          const shared<received_frames>& frames) {
  std::vector<const message_filter*> filters;
  for (const auto at : concerned_)
    filters.push_back(&at->second.wants.filter);
  const shares divided(frames, filters);
  for (std::size_t index = 0; index < concerned_.size(); ++index)
    if (auto part = divided.of(index); part.frames)
      give(concerned_[index], from, part.frames, std::move(part.holds));
  return divided.unclaimed();
}

void subscriptions::give(known at, const node_id& from, const shared<received_frames>& frames,
                         std::vector<shared<received_frames>> holds) {
  auto& to = at->second;
  to.taken += frames->frames();
  const auto at_once = takes_at_once(to);
  if (to.wants.policy == slow_policy::block) {
    auto messages = shared<delivery>::adopt(new delivery(from, frames, to.slot, std::move(holds)));
    messages->each_charged([](received_frames& part) { ++part.claimed.waiting; });
    return at_once ? hand_on(at, std::move(messages)) : to.waiting.push(std::move(messages));
  }
  // Taken, whatever becomes of them: the connection is done with them.
  for (const auto& part : holds)
    part->claimed.given = true;
  frames->claimed.given = true;
  if (at_once)
    return hand_on(at, shared<delivery>::adopt(
                         new delivery(from, holds.empty() ? uncharged(*frames) : frames, to.slot)));
  const auto before = to.waiting.dropped();
  if (!to.waiting.copy(from, *frames)) {
    too_slow_ += to.waiting.messages() + frames->frames();
    return cut_off(at, "more messages wait than its queue may hold");
  }
  too_slow_ += to.waiting.dropped() - before;
  pump(at); // an event may have stood behind what was dropped
}

// -- events -----------------------------------------------------------------------------

void subscriptions::push(const node_event& event) {
  const auto is_question = std::holds_alternative<connection_request>(event);
  const auto* peer = peer_of(event);
  for (auto next = all_.begin(); next != all_.end();) {
    const auto at = next++; // it may end here
    auto& to = at->second;
    if (!(is_question ? to.wants.decides : to.wants.events))
      continue;
    if (peer != nullptr && !to.wants.filter.takes(*peer))
      continue;
    if (to.waiting.events() >= events_max_
        || (to.waiting.events() > 0
            && to.waiting.event_bytes() + bytes_of(event) > event_bytes_max_)) {
      if (to.wants.policy != slow_policy::block)
        too_slow_ += to.waiting.messages();
      cut_off(at, "more events wait than may");
      continue;
    }
    to.waiting.push(event);
    pump(at);
  }
}

// -- handing on -------------------------------------------------------------------------

void subscriptions::settle(subscription_id id) {
  if (const auto found = all_.find(id); found != all_.end())
    pump(found);
}

// Whether another batch may go out now. If not, whoever lets one go wakes the driver.
bool subscriptions::has_room(const subscription& of) const {
  if (of.handed_out - of.slot->frames() < batches_in_flight_max_)
    return true;
  of.slot->want();
  return of.handed_out - of.slot->frames() < batches_in_flight_max_;
}

void subscriptions::hand_on(known at, shared<delivery> messages) {
  auto& to = at->second;
  ++to.handed_out;
  to.delivered += messages->frames().frames();
  if (to.wants.policy == slow_policy::block)
    messages->each_charged([](received_frames& part) {
      --part.claimed.waiting;
      part.claimed.given = true;
    });
  outputs_.push_back({at->first, batch{std::move(messages)}});
}

// From the front: events at once, batches while fewer than the bound are out, a gap with the batch
// behind it.
void subscriptions::pump(known at) {
  auto& to = at->second;
  while (!to.waiting.empty()) {
    if (!std::holds_alternative<node_event>(to.waiting.front()) && !has_room(to))
      return;
    auto first = to.waiting.take_front();
    std::visit(overloaded{
                 [&](node_event& event) {
                   outputs_.push_back({at->first, std::move(event)});
                 },
                 [&](shared<delivery>& messages) { hand_on(at, std::move(messages)); },
                 [&](subscriber_queue::copies& copied) {
                   auto frames = shared<received_frames>::adopt(new received_frames({}));
                   frames->append(*copied.owner, copied.begin, copied.end, copied.messages);
                   hand_on(at, shared<delivery>::adopt(
                                 new delivery(copied.from, std::move(frames), to.slot)));
                 },
                 [&](subscriber_queue::gap& lost) {
                   for (auto& [peer, what] : lost)
                     outputs_.push_back({at->first, node_event{what}});
                 },
               },
               first);
  }
}

void subscriptions::hand_on_all() {
  batches_in_flight_max_ = UINT64_MAX;
  for (auto at = all_.begin(); at != all_.end(); ++at)
    pump(at);
}

bool subscriptions::asks(std::uint64_t connection) const {
  return std::any_of(all_.begin(), all_.end(), [&](const auto& each) {
    return each.second.wants.decides && each.second.waiting.asks(connection);
  });
}

std::optional<subscriptions::output> subscriptions::next() {
  return outputs_.take_front();
}

} // namespace postbus::bus
