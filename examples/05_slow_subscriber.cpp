// A slow subscriber and its policies: a camera sends twenty pictures. One subscriber takes each; three
// others look only when all is over, and what they find then is what their policies say.

#include <postbus/postbus.hpp>

#include <fmt/core.h>

using namespace std::chrono_literals;
using postbus::slow_policy;

struct picture {
  int number = 0;
  POSTBUS_MESSAGE(picture, 7, number) // its tag and its fields
};

// [policy]
postbus::inbox slow_inbox(const postbus::node& station, slow_policy policy) {
  return station.inbox({.filter = {.tags = {postbus::tag_of<picture>()}},
                        .policy = policy,
                        .queue_messages_max = 3}); // beside what is in its hands
}
// [policy]

// Everything that an inbox has to tell, in one line.
std::string story(postbus::inbox& inbox) {
  std::string words;
  while (auto what = inbox.next(5s)) {
    if (auto* message = std::get_if<postbus::message>(&*what)) {
      words += fmt::format(" {}", message->as<picture>().value_or(picture{}).number);
      continue;
    }
    auto& event = std::get<postbus::node_event>(*what);
    if (auto* gap = std::get_if<postbus::messages_dropped>(&event))
      words += fmt::format(" ({} dropped)", gap->messages);
    else if (auto* end = std::get_if<postbus::subscription_ended>(&event))
      words += fmt::format(" ended: {}", postbus::to_string(end->reason.code));
    else if (std::holds_alternative<postbus::disconnected>(event))
      break;
  }
  return words;
}

int main() {
  postbus::runtime bus;
  auto station = bus.spawn_node(), camera = bus.spawn_node();
  auto oldest = slow_inbox(station, slow_policy::drop_oldest);
  auto newest = slow_inbox(station, slow_policy::drop_newest);
  auto cut = slow_inbox(station, slow_policy::disconnect);
  postbus::typed_inbox<picture> quick(station); // holds the camera back when it does not keep up

  auto at = station.listen("tcp://127.0.0.1:0");
  if (!at)
    return bus.fail(at.error());
  auto peer = camera.connect(*at);
  if (!peer)
    return bus.fail(peer.error());

  std::string taken;
  for (int number = 1; number <= 20; ++number) {
    camera.send(*peer, picture{number});
    auto came = quick.next(5s);
    if (!came)
      return bus.fail(came.error());
    taken += fmt::format(" {}", came->value.number);
  }
  if (auto counted = newest.counters())
    fmt::print("drop_newest took {}: {} delivered, {} dropped, {} queued\n",
               counted->messages_taken, counted->messages_delivered, counted->messages_dropped,
               counted->messages_queued);
  if (auto done = camera.close(); !done)
    return bus.fail(done.error());
  fmt::print("block:{}\ndrop_oldest:{}\ndrop_newest:{}\ndisconnect:{}\n", taken, story(oldest),
             story(newest), story(cut));
}
