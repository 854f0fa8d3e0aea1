// Questions with answers: a kitchen takes orders, answers at once or passes on, says no, breaks a
// plate, and forgets the soup. Whoever asks gets a reply, a no, or the reason why there is none.

#include <postbus/postbus.hpp>

#include <fmt/core.h>

#include <future>
#include <stdexcept>
#include <string_view>
#include <thread>

using namespace std::chrono_literals;

// [elsewhere]
// An order may be passed on; whoever holds it may answer, on any thread, now or later.
caf::behavior oven(caf::event_based_actor*) {
  return {[](const postbus::incoming_request& order) { order.respond("a pie, hot"); }};
}
// [elsewhere]

int main() {
  postbus::runtime bus;
  const auto kitchen = bus.spawn_node(), waiter = bus.spawn_node();
  const auto at = kitchen.listen("tcp://127.0.0.1:0");
  if (!at)
    return bus.fail(at.error());

  // [handle]
  const auto pies = bus.system().spawn(oven);
  std::promise<postbus::incoming_request> simmering;
  const auto registered = kitchen.handle([&](const postbus::incoming_request& order) {
    const auto dish = order.as<std::string>();
    if (!dish)
      order.fail(400, "please order in words");
    else if (*dish == "pie")
      postbus::post(pies, order); // to be answered there
    else if (*dish == "soup")
      simmering.set_value(order); // and forgotten
    else if (*dish == "bread")
      order.respond("bread");
    else if (*dish == "plate")
      throw std::runtime_error("the plate is broken"); // the asker hears of it
    else
      order.fail(404, fmt::format("there is no {}", *dish));
  });
  if (!registered)
    return bus.fail(registered.error());
  const postbus::close_guard before_these_go(kitchen); // the handler uses what lives in this scope
  // [handle]

  // [ask]
  const auto peer = waiter.connect(*at, 5s);
  if (!peer)
    return bus.fail(peer.error());
  for (const std::string_view dish : {"bread", "pie", "fish", "plate", "soup"}) {
    const auto patience = dish == "soup" ? 200ms : 5s;
    const auto reply = waiter.request(*peer, dish, {.within = patience});
    if (!reply) // why there is no answer
      fmt::print("{}: {}\n", dish, to_string(reply.error()));
    else if (reply->failure) // the kitchen says no
      fmt::print("{}: no ({}), {}\n", dish, reply->failure->code, reply->failure->text);
    else
      fmt::print("{}: {}\n", dish, reply->as<std::string>().value_or("not words"));
  }
  // [ask]
  const auto soup = simmering.get_future().get();
  while (!soup.is_called_off()) // the kitchen hears of it a little later
    std::this_thread::yield();
  fmt::print("nobody waits for the soup any more\n");
}
