// consumer: the smallest program that includes, links and runs what a user of Postbus gets: two nodes
// and one message between them.
#include <postbus/postbus.hpp>

int main() {
  using namespace std::chrono_literals;
  postbus::runtime bus;
  const auto alice = bus.spawn_node(), bob = bus.spawn_node();
  auto inbox = alice.inbox();
  const auto at = alice.listen("tcp://127.0.0.1:0");
  const auto peer = at ? bob.connect(*at, 30s) : at.error();
  if (!peer)
    return bus.fail(peer.error());
  bob.send(*peer, "hello");
  const auto message = inbox.next_message(30s);
  const bool right =
    message && message->from() == bob.id() && message->as<std::string>().value_or("") == "hello";
  return right ? 0 : 1;
}
