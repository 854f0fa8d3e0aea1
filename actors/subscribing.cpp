#include "postbus/actors/subscribing.hpp"

#include "postbus/actors/inbox_queue.hpp"
#include "postbus/actors/loop.hpp"
#include "postbus/actors/node.hpp"

namespace postbus {

namespace actors {

result<subscription> subscribe_at(node_access& at, bus::subscription_options wants,
                                  std::shared_ptr<recipient> who) {
  if (loop::on_any())
    return on_a_loop("subscribe");
  const waiting_thread<subscription> here;
  at.shell()->wake(ask_subscribe{std::move(wants), who, here.make_answer()});
  auto made = here.wait(answer_time);
  if (!made)
    at.shell()->wake(forget_recipient{std::move(who)});
  return made;
}

result<subscription_counters> count_messages_of(node_access& at, bus::subscription_id id) {
  if (loop::on_any())
    return on_a_loop("counters");
  const waiting_thread<subscription_counters> here;
  at.shell()->wake(ask_count{id, here.make_answer()});
  return here.wait(answer_time);
}

} // namespace actors

// -- node: its subscribers --------------------------------------------------------------

postbus::inbox node::inbox(inbox_options how) const {
  auto queue = std::make_shared<actors::inbox_queue>(std::move(how.on_ready));
  const auto made = actors::subscribe_at(*access_, actors::options_of(how), queue);
  if (made)
    return {queue, access_, made->id};
  // Should the node take the subscription after all, nobody would read what it brings.
  queue->abandon(made.error());
  return {queue, access_, 0};
}

postbus::inbox node::deciding_inbox() const {
  return inbox({.decides = true});
}

result<subscription> node::subscribe(const postbus::subscribe& what) const {
  if (!what.subscriber)
    return error{errc::bad_option, blame::local, "no subscriber"};
  return actors::subscribe_at(
    *access_, actors::options_of(what),
    std::make_shared<actors::subscribed_actor>(what.subscriber, what.mode));
}

void node::unsubscribe(subscription which) const {
  access_->shell()->wake(actors::ask_unsubscribe{which.id});
}

result<subscription_counters> node::counters(subscription of) const {
  return actors::count_messages_of(*access_, of.id);
}

} // namespace postbus
