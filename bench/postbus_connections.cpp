// postbus_connections: many connections of one node, the hub. Every node of the other process has one.
//   hub    [count=n size=n]     with count: takes batches and prints its tally; else answers each message
//          [how=actor|loop]
//   idle   port=n nodes=n       connects nodes that each say one thing and then nothing; prints
//                               {"open": n} for the first tenth and for all, each time waiting for a line
//   open   port=n count=n flying=64 how=actor|loop    connect, one echo, stay; prints the rate
//   churn  port=n count=n flying=64 how=actor|loop    connect, one echo, disconnect; prints the rate
//   many   port=n nodes=n count=n size=n           one message over each connection in turn
#include "postbus/bench/postbus_support.hpp"

#include <atomic>
#include <future>
#include <span>
#include <thread>

namespace {

using namespace std::chrono_literals;
using bench::need;
using postbus::post;

void must_be_accepted(postbus::send_outcome outcome) {
  if (outcome != postbus::send_outcome::accepted)
    bench::die(to_string(outcome));
}

// -- hub --------------------------------------------------------------------------------

caf::behavior echoing(caf::event_based_actor*, const postbus::node& here) {
  return {[=](const postbus::message& each) { here.send_bytes(each.from(), each.bytes()); }};
}

caf::behavior counting(caf::event_based_actor*, bench::tally* tally, std::promise<void>* over) {
  return {[=](const postbus::batch& messages) {
    for (const auto& each : messages)
      if (tally->take(each.bytes()))
        over->set_value();
  }};
}

void hub(const bench::options& given) {
  bench::tally tally(given);
  std::promise<void> over;
  postbus::runtime bus({.close_time = 60s});
  const auto node = bus.spawn_node();
  const bool counts = given.number("count") > 0;
  if (counts)
    need(node.subscribe({.subscriber = bus.system().spawn(counting, &tally, &over),
                         .mode = postbus::delivery_mode::batch,
                         .events = false}));
  else if (given.text("how", "actor") == "loop")
    need(node.subscribe({.subscriber = need(node.spawn_on_loop(
                           [=](caf::event_based_actor* self) { return echoing(self, node); })),
                         .events = false}));
  else
    need(node.subscribe({.subscriber = bus.system().spawn(echoing, node), .events = false}));
  bench::listen_and_say(node);
  if (counts) {
    over.get_future().wait();
    tally.print();
  }
  (void)std::getchar(); // the driver has seen what it wants
}

// -- idle -------------------------------------------------------------------------------

/// Many at a time, so that all are open before the first is due a keepalive.
void open_some(std::span<postbus::node> nodes, const std::string& endpoint) {
  constexpr std::size_t threads = 16;
  const auto body = bench::make_body(64);
  std::vector<std::jthread> at_work;
  for (std::size_t first = 0; first < threads; ++first)
    at_work.emplace_back([=] {
      for (auto each = first; each < nodes.size(); each += threads) {
        auto inbox = nodes[each].inbox();
        must_be_accepted(nodes[each].send_bytes(need(nodes[each].connect(endpoint, 60s)), body));
        bench::must_be_body(need(inbox.next_message(60s)).bytes(), body.size());
      }
    });
}

void idle(const bench::options& given) {
  const auto wanted = given.number("nodes", 1000);
  postbus::runtime bus({.close_time = 60s});
  std::vector<postbus::node> nodes;
  for (const auto open : {wanted / 10, wanted}) {
    const auto before = nodes.size();
    while (nodes.size() < open)
      nodes.push_back(bus.spawn_node());
    open_some(std::span(nodes).subspan(before), bench::endpoint(given));
    bench::figures{}.add("open", static_cast<double>(open)).print();
    (void)std::getchar();
  }
}

// -- open and churn ---------------------------------------------------------------------

/// What all visitors have in common. The runtime is last: it ends first, and all visitors with it.
struct visits {
  std::string endpoint;
  std::vector<std::byte> body;
  std::size_t count;
  bool stay; ///< Each node visits once, and stays; else each takes leave and visits again.
  std::vector<postbus::node> nodes{};
  std::atomic<std::size_t> started{0}, ended{0};
  std::promise<void> over{};
  postbus::runtime bus{{.close_time = 60s}};

  void start(std::size_t which) {
    const auto number = started++;
    if (number < count)
      post(nodes[stay ? number : which].actor(), postbus::connect{endpoint, 20s});
  }
  void end() {
    if (++ended == count)
      over.set_value();
  }
};

/// Says something, hears it again, and takes leave or lets the next one come.
caf::behavior visiting(caf::event_based_actor* self, visits* all, std::size_t which) {
  const auto node = all->nodes[which];
  return {
    [=](const postbus::connected& now) { must_be_accepted(node.send_bytes(now.peer, all->body)); },
    [=](const postbus::message& answer) {
      bench::must_be_body(answer.bytes(), all->body.size());
      if (!all->stay)
        return post(node.actor(), postbus::disconnect{answer.from()});
      all->start(which);
      all->end();
    },
    [=](const postbus::disconnected&) {
      if (all->stay)
        return; // the end of all
      all->start(which);
      all->end();
    },
    [](const postbus::closing&) {},
    [=](postbus::closed) { self->quit(); },
  };
}

void visit(const bench::options& given, bool stay) {
  const auto count = given.number("count", 10'000);
  const auto flying = std::min(given.number("flying", 64), count);
  visits all{bench::endpoint(given), bench::make_body(64), count, stay};
  while (all.nodes.size() < (stay ? count : flying))
    all.nodes.push_back(all.bus.spawn_node());
  for (std::size_t which = 0; which < all.nodes.size(); ++which) {
    const auto& node = all.nodes[which];
    const auto on_loop = [=, &all](caf::event_based_actor* self) {
      return visiting(self, &all, which);
    };
    need(node.subscribe({.subscriber = given.text("how", "actor") == "loop"
                                         ? need(node.spawn_on_loop(on_loop))
                                         : all.bus.system().spawn(visiting, &all, which)}));
  }
  const auto start = bench::clock::now();
  const auto cpu = bench::cpu_seconds();
  for (std::size_t which = 0; which < flying; ++which)
    all.start(which);
  all.over.get_future().wait();
  bench::print_rate(static_cast<double>(count), start, cpu);
  (void)std::getchar(); // the driver has seen what it wants
}

void open(const bench::options& given) {
  visit(given, true);
}

void churn(const bench::options& given) {
  visit(given, false);
}

// -- many -------------------------------------------------------------------------------

void many(const bench::options& given) {
  const auto body = bench::make_body(given.number("size", 64));
  auto left = given.number("count");
  auto cpu = bench::cpu_seconds();
  {
    postbus::runtime bus({.close_time = 60s});
    std::vector<postbus::sender> senders;
    for (auto nodes = given.number("nodes", 1000); nodes > 0; --nodes) {
      const auto node = bus.spawn_node();
      senders.push_back(node.to(need(node.connect(bench::endpoint(given)))));
    }
    cpu = bench::cpu_seconds();
    while (left > 0)
      for (auto to = senders.begin(); to != senders.end() && left > 0; ++to, --left)
        must_be_accepted(to->send_bytes(body, {.within = 60s}));
  } // waits until all is taken
  bench::figures{}.add("cpu", bench::cpu_seconds() - cpu).print();
}

} // namespace

int main(int argc, char** argv) {
  return bench::play(
    argc, argv, {{"hub", hub}, {"idle", idle}, {"open", open}, {"churn", churn}, {"many", many}});
}
