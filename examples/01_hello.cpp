// Two nodes in one program: one listens, the other connects and says hello.

#include <postbus/postbus.hpp>

#include <fmt/core.h>

int main() {
  using namespace std::chrono_literals;

  // [hello]
  postbus::runtime bus; // or: postbus::runtime bus{my_actor_system};
  auto alice = bus.spawn_node(), bob = bus.spawn_node();

  auto inbox = alice.inbox();
  auto at = alice.listen("tcp://127.0.0.1:0");
  if (!at)
    return bus.fail(at.error());

  auto peer = bob.connect(*at, 5s);
  if (!peer)
    return bus.fail(peer.error());
  bob.send(*peer, "Hello world");

  auto message = inbox.next_message(5s);
  if (!message)
    return bus.fail(message.error());
  auto text = message->as<std::string>();
  if (!text)
    return bus.fail(text.error());
  fmt::print("{}\n", *text);
  // [hello]
} // drains, closes
