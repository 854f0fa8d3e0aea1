// postbus_throughput: messages one way between two nodes. One call of send_bytes each; the receiver is
// an actor that takes batches or single messages, or a thread with an inbox.
//   receive size=n count=n how=batch|single|inbox    says its port
//           [pace=bytes per second]
//   send    port=n size=n count=n        [body=shared: a payload, referred to when it is large]
#include "postbus/bench/postbus_support.hpp"

#include <future>

namespace {

using namespace std::chrono_literals;

using bench::need;

struct counting {
  bench::tally& tally;
  std::promise<void>& over;

  void operator()(const postbus::batch& messages) const {
    for (const auto& each : messages)
      if (tally.take(each.bytes()))
        over.set_value();
  }
  void operator()(const postbus::message& each) const {
    if (tally.take(each.bytes()))
      over.set_value();
  }
};

caf::behavior reader(caf::event_based_actor*, counting count) {
  return {
    [=](const postbus::batch& messages) { count(messages); },
    [=](const postbus::message& each) { count(each); },
  };
}

void read_inbox(postbus::inbox from, counting count) {
  for (;;) {
    const auto next = from.next_batch(60s);
    if (!next)
      return;
    count(*next);
  }
}

void receive(const bench::options& given) {
  const auto how = given.text("how", "batch");
  bench::tally tally(given);
  std::promise<void> over;
  const counting count{tally, over};
  std::thread thread;
  {
    postbus::runtime bus;
    const auto node = bus.spawn_node();
    if (how == "inbox")
      thread = std::thread(read_inbox, node.inbox(), count);
    else
      need(node.subscribe(
        {.subscriber = bus.system().spawn(reader, count),
         .mode = how == "batch" ? postbus::delivery_mode::batch : postbus::delivery_mode::single,
         .events = false}));
    bench::listen_and_say(node);
    over.get_future().wait();
  }
  if (thread.joinable())
    thread.join();
  tally.print();
}

void send(const bench::options& given) {
  const auto body = bench::make_body(given.number("size", 64));
  postbus::runtime bus;
  const auto node = bus.spawn_node();
  const auto peer = need(node.connect(bench::endpoint(given)));
  auto to = node.to(peer);
  const auto check = [](postbus::send_outcome outcome) {
    if (outcome != postbus::send_outcome::accepted)
      bench::die(to_string(outcome));
  };
  const bench::memory_growth memory;
  const auto cpu = bench::cpu_seconds();
  if (given.text("body") == "shared") {
    const auto shared = postbus::payload::copy_of(body);
    for (auto left = given.number("count"); left > 0; --left)
      check(to.send_bytes(shared, {.within = 60s}));
  } else {
    for (auto left = given.number("count"); left > 0; --left)
      check(to.send_bytes(body, {.within = 60s}));
  }
  if (const auto closed = node.close(60s); !closed) // waits until all is taken
    bench::die(to_string(closed.error()));
  bench::figures{}
    .add("cpu", bench::cpu_seconds() - cpu)
    .add("peak_mib", memory.peak_mib())
    .print();
}

} // namespace

int main(int argc, char** argv) {
  return bench::play(argc, argv, {{"receive", receive}, {"send", send}});
}
