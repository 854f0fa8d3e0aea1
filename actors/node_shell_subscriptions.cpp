// node_shell_subscriptions: the part of node_shell that has to do with subscribers.
#include "postbus/actors/node_shell.hpp"

namespace postbus::actors {

result<subscription> node_shell::start_telling(bus::subscription_options wants,
                                               std::shared_ptr<recipient> who) {
  if (auto fine = wants.check(); !fine)
    return fine.error();
  auto slot = bus::shared<waking_receipt>::adopt(new waking_receipt(access_->shell()));
  const auto id = core_.subscribe(std::move(wants), bus::shared<bus::receipt>(slot));
  slot->subscription(id);
  who->events_max(core_.bounds().subscription_events_max,
                  core_.bounds().subscription_event_bytes_max);
  const auto& told =
    audiences_.emplace(id, audience{std::move(who), std::move(slot)}).first->second;
  if (const auto whom = told.who->ends_with())
    end_with(whom, id);
  deliver_own(); // what was sent to ourselves may have waited for a subscriber
  return subscription{id};
}

bool node_shell::stop_telling(bus::subscription_id id) {
  const auto known = core_.unsubscribe(id);
  if (const auto found = audiences_.find(id); found != audiences_.end()) {
    if (const auto whom = found->second.who->ends_with())
      if (const auto its = subscribers_.find(whom.id()); its != subscribers_.end())
        its->second.erase(id);
    audiences_.erase(found);
  }
  // A question that waited for this one alone is in nobody's hands now.
  std::vector<bus::connection_id> fallen;
  for (const auto& [connection, hold] : held_)
    if (hold.expired())
      fallen.push_back(connection);
  for (const auto connection : fallen)
    refuse_if_fallen(connection);
  drive();
  return known;
}

void node_shell::end_with(const caf::actor& whom, bus::subscription_id id) {
  subscribers_[whom.id()].insert(id);
  watch(whom);
}

// What is attached to an actor stays until that ends, so it is attached once, however often the actor
// subscribes or handles. It holds no more of the node than whom to tell.
void node_shell::watch(const caf::actor& whom) {
  if (watched_.insert(whom.id()).second)
    whom->attach_functor(
      [shell = access_->shell(), who = whom.id()] { shell->wake(subscriber_over{who}); });
}

void node_shell::on_subscriber_over(caf::actor_id who) {
  watched_.erase(who);
  end_handlers_of(who);
  const auto found = subscribers_.find(who);
  if (found == subscribers_.end())
    return;
  const auto ended = std::move(found->second);
  subscribers_.erase(found);
  for (const auto id : ended)
    stop_telling(id);
}

result<subscription_counters> node_shell::count(bus::subscription_id id) const {
  if (auto counted = core_.counters(id))
    return *counted;
  return error{errc::bad_option, blame::local, "no such subscription"};
}

void node_shell::tell(bus::subscriptions::output& what) {
  const auto found = audiences_.find(what.to);
  if (found == audiences_.end())
    return;
  auto& who = *found->second.who;
  bool goes_on = true;
  if (auto* messages = std::get_if<batch>(&what.what)) {
    if (found->second.is_full)
      found->second.lost += messages->size();
    else
      goes_on = who.take(std::move(*messages));
  } else {
    auto& event = std::get<node_event>(what.what);
    if (auto* asks = std::get_if<connection_request>(&event))
      event = held(std::move(*asks));
    goes_on = who.take(event);
    found->second.is_full = found->second.is_full || !goes_on;
    goes_on = goes_on && !std::holds_alternative<subscription_ended>(event);
  }
  if (!goes_on) // not now: what the core says next is on its way already
    access_->shell()->wake(ask_unsubscribe{what.to});
}

// Whoever has no room for events hears at its end what it has missed: what came behind, what waits, and what
// its policy dropped.
void node_shell::cut_off(bus::subscription_id id) {
  const auto found = audiences_.find(id);
  if (found == audiences_.end() || !found->second.is_full)
    return;
  const auto counted = core_.counters(id).value_or(subscription_counters{});
  found->second.who->cut_off(found->second.lost + counted.messages_dropped
                             + counted.messages_queued);
}

} // namespace postbus::actors
