#include "postbus/bus/subscriptions.hpp"

namespace postbus::bus {

subscription_id subscriptions::add(subscription_options wants, shared<receipt> slot) {
  const auto id = ++last_id_;
  auto& added = all_[id];
  added.wants = wants;
  added.slot = std::move(slot);
  takers_ += wants.messages ? 1 : 0;
  deciders_ += wants.decides ? 1 : 0;
  return id;
}

bool subscriptions::remove(subscription_id id) {
  const auto found = all_.find(id);
  if (found == all_.end())
    return false;
  takers_ -= found->second.wants.messages ? 1 : 0;
  deciders_ -= found->second.wants.decides ? 1 : 0;
  auto& waiting = found->second.waiting;
  for (std::size_t index = 0; index < waiting.size(); ++index)
    if (const auto* messages = std::get_if<shared<delivery>>(&waiting[index])) {
      auto& claimed = (*messages)->claimed();
      if (--claimed.waiting == 0 && !claimed.given)
        dropped_[claimed.connection] += (*messages)->frames().frames();
    }
  all_.erase(found);
  return true;
}

std::size_t subscriptions::push(const node_id& from, const shared<received_frames>& frames) {
  for (auto& [id, to] : all_) {
    if (!to.wants.messages)
      continue;
    ++frames->claimed.waiting;
    to.waiting.push_back(shared<delivery>::adopt(new delivery(from, frames, to.slot)));
    pump(id, to);
  }
  return takers_;
}

void subscriptions::push(const node_event& event) {
  const auto is_question = std::holds_alternative<connection_request>(event);
  for (auto& [id, to] : all_) {
    if (!(is_question ? to.wants.decides : to.wants.events))
      continue;
    to.waiting.push_back(event);
    pump(id, to);
  }
}

void subscriptions::settle(subscription_id id) {
  if (const auto found = all_.find(id); found != all_.end())
    pump(id, found->second);
}

// Hands on from the front: events at once, batches while fewer than the bound are out. A batch that
// is dropped without ever having been handed on tells the receipt, too, so a subscription is
// removed before its queue is dropped.
void subscriptions::pump(subscription_id id, subscription& to) {
  while (!to.waiting.empty()) {
    auto& first = to.waiting.front();
    if (auto* event = std::get_if<node_event>(&first)) {
      outputs_.push_back({id, std::move(*event)});
    } else {
      to.let_go = to.slot->frames();
      if (to.handed_out - to.let_go >= batches_in_flight_max_) {
        to.slot->want();
        if (to.slot->frames() == to.let_go)
          return; // whoever lets the next one go wakes the driver
        continue;
      }
      ++to.handed_out;
      auto& messages = std::get<shared<delivery>>(first);
      --messages->claimed().waiting;
      messages->claimed().given = true;
      outputs_.push_back({id, batch{std::move(messages)}});
    }
    to.waiting.pop_front();
  }
}

void subscriptions::hand_on_all() {
  batches_in_flight_max_ = UINT32_MAX;
  for (auto& [id, to] : all_)
    pump(id, to);
}

std::optional<subscriptions::output> subscriptions::next() {
  return outputs_.take_front();
}

} // namespace postbus::bus
