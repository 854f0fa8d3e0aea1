// Node actors beside your own: a thermometer reports to a station and gets advice. What they want of
// their nodes they ask by message, and what happens comes as a message. No actor ever waits.

#include <postbus/postbus.hpp>

#include <fmt/core.h>

#include <future>

using namespace std::chrono_literals;
using postbus::ask;

struct reading {
  std::string room;
  double celsius = 0;
  MSGPACK_DEFINE(room, celsius)
};
const std::array readings{reading{"attic", 31.5}, reading{"kitchen", 22}, reading{"cellar", 12.25}};
constexpr std::uint16_t reading_tag = 1, advice_tag = 2;

// [station]
// An ask that gets an error, and has no second function for it, ends its actor with that error.
caf::behavior station(caf::event_based_actor* self, const postbus::node& node,
                      const caf::actor& reporter) {
  self->link_to(reporter);
  ask(self, node.actor(), 5s, postbus::subscribe{self}).then([](postbus::subscription) {});
  ask(self, node.actor(), 5s, postbus::listen{"tcp://127.0.0.1:0"})
    .then([=](const std::string& endpoint) { postbus::post(reporter, endpoint); });
  return {
    [](const postbus::connected&) { fmt::print("station: connected\n"); },
    [=](const postbus::message& message) {
      const auto what = message.as<reading>();
      if (what && message.tag() == reading_tag) // send() queues, it never waits
        node.send(message.from(), what->room + (what->celsius > 25 ? ": open a window" : ": fine"),
                  {.tag = advice_tag});
    },
    [](const postbus::disconnected& gone) {
      fmt::print("station: {}, {} of {} answers taken\n", postbus::to_string(gone.reason.code),
                 gone.account.confirmed, gone.account.sent);
    },
    [](const postbus::closing&) {},
    [=](postbus::closed) { self->quit(); },
  };
}
// [station]

caf::behavior thermometer(caf::event_based_actor* self, const postbus::node& node) {
  ask(self, node.actor(), 5s, postbus::subscribe{.subscriber = self, .events = false})
    .then([](postbus::subscription) {});
  return {
    [=](const std::string& endpoint) {
      ask(self, node.actor(), 5s, postbus::connect{endpoint})
        .then([=](const postbus::node_id& peer) {
          for (const auto& each : readings)
            node.send(peer, each, {.tag = reading_tag});
        });
    },
    [=, awaited = readings.size()](const postbus::message& message) mutable {
      if (const auto advice = message.as<std::string>())
        fmt::print("thermometer: {}\n", *advice);
      if (--awaited == 0)
        ask(self, node.actor(), 9s, postbus::close_node{}).then([=](postbus::closed) {
          self->quit();
        });
    },
  };
}

int main() {
  postbus::system_config config; // yours may derive from it
  caf::actor_system system{config};
  postbus::runtime bus{system};
  std::promise<caf::error> end;
  auto reporter = system.spawn(thermometer, bus.spawn_node());
  reporter->attach_functor([&](const caf::error& why) { end.set_value(why); });
  system.spawn(station, bus.spawn_node(), reporter);
  if (const auto why = end.get_future().get())
    return bus.fail(why);
} // the runtime closes the station's node; the station hears of it and ends
