// postbus_pingpong: round trips of one small message between two nodes, with the program's handler on
// an ordinary actor, on the node's loop, or in a plain thread with an inbox.
//   echo how=actor|loop|thread [core=n]                        says its port, ends with its peer
//   ping how=... port=n size=64 count=n [core=n]               prints p50, p99
#include "postbus/bench/postbus_support.hpp"

#include <functional>
#include <future>

namespace {

using namespace std::chrono_literals;

using bench::need;

/// What a program does with a message, and with the end of its peer.
struct handler {
  std::function<void(const postbus::message&)> on_message;
  std::function<void()> on_end;
};

caf::behavior reader(caf::event_based_actor*, const handler& what) {
  return {
    [=](const postbus::message& each) { what.on_message(each); },
    [](const postbus::connected&) {},
    [=](const postbus::disconnected&) { what.on_end(); },
    [](const postbus::closing&) {},
    [](postbus::closed) {},
  };
}

void read_inbox(postbus::inbox from, const handler& what) {
  for (;;) {
    const auto next = from.next(60s);
    if (!next || std::holds_alternative<postbus::node_event>(*next)) {
      if (next && !std::holds_alternative<postbus::disconnected>(std::get<1>(*next)))
        continue;
      return what.on_end();
    }
    what.on_message(std::get<postbus::message>(*next));
  }
}

void subscribe(postbus::runtime& bus, const postbus::node& node, const std::string& how,
               handler what) {
  if (how == "actor") {
    need(node.subscribe({.subscriber = bus.system().spawn(reader, std::move(what))}));
  } else if (how == "loop") {
    need(node.subscribe({.subscriber = need(node.spawn_on_loop(
                           [=](caf::event_based_actor* self) { return reader(self, what); }))}));
  } else if (how == "thread") {
    std::thread(read_inbox, node.inbox(), std::move(what)).detach();
  } else {
    bench::die("how=actor, loop or thread");
  }
}

void echo(const bench::options& given) {
  std::promise<void> over;
  postbus::runtime bus;
  const auto node = bus.spawn_node();
  // One sender for the one peer; found when the first message comes.
  auto to = std::make_shared<std::optional<postbus::sender>>();
  subscribe(bus, node, given.text("how", "actor"),
            {[=](const postbus::message& each) {
               if (!*to)
                 *to = node.to(each.from());
               (*to)->send_bytes(each.bytes());
             },
             [&] { over.set_value(); }});
  bench::listen_and_say(node);
  over.get_future().wait();
}

void ping(const bench::options& given) {
  const auto body = bench::make_body(given.number("size", 64));
  bench::round_trips trips(given.number("count", 20'000));
  std::promise<void> over;
  std::uint64_t sum = 0;
  postbus::runtime bus; // behind what the handler uses, so that it ends before that
  const auto node = bus.spawn_node();
  const auto peer = need(node.connect(bench::endpoint(given)));
  auto to = std::make_shared<postbus::sender>(node.to(peer));
  const auto send = [&, to] {
    trips.start();
    if (to->send_bytes(body) != postbus::send_outcome::accepted)
      bench::die("not sent");
  };
  subscribe(bus, node, given.text("how", "actor"),
            {[&, send](const postbus::message& each) {
               sum += bench::sum_words(each.bytes());
               if (trips.answered())
                 over.set_value();
               else
                 send();
             },
             [] {}});
  send();
  over.get_future().wait();
  trips.print();
  if (sum != bench::pattern * (body.size() / 8) * given.number("count", 20'000))
    bench::die("not what was sent");
  (void)node.close();
}

} // namespace

int main(int argc, char** argv) {
  return bench::play(argc, argv, {{"echo", echo}, {"ping", ping}});
}
