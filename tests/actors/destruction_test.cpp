// The end of runtimes, systems and handles in every order that compiles: it ends, nothing of what is gone
// is touched, and handles that are left answer that the node is closed, whatever they are asked.
#include "postbus/actors/loop.hpp"
#include "postbus/postbus.hpp"
#include "postbus/tests/actors/child_program.hpp"
#include "postbus/tests/support/expect.hpp"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <future>
#include <numeric>
#include <thread>
#include <type_traits>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

// -- what compiles --------------------------------------------------------------------------

static_assert(!std::is_copy_constructible_v<runtime> && !std::is_copy_assignable_v<runtime>);
static_assert(!std::is_move_constructible_v<runtime> && !std::is_move_assignable_v<runtime>);
static_assert(std::is_copy_constructible_v<node> && std::is_copy_assignable_v<node>);
static_assert(std::is_copy_constructible_v<sender> && std::is_copy_assignable_v<sender>);
static_assert(!std::is_copy_constructible_v<inbox> && std::is_move_assignable_v<inbox>);

std::string word(const error& what) {
  return std::string(to_string(what.code));
}
std::string word(send_outcome what) {
  return std::string(to_string(what));
}
template <class T>
std::string word(const result<T>& what) {
  return what ? "ok" : word(what.error());
}

/// Every operation of every handle, and what it answers once the node is closed.
struct operation {
  const char* name;
  std::string (*call)(const node&, sender&, inbox&);
  const char* when_closed;
};

const auto some_bytes = std::as_bytes(std::span("bytes"));

const operation operations[] = {
  {"node.id", [](const node& n, sender&, inbox&) { return std::string(n.id() ? "ok" : "none"); },
   "ok"},
  {"node.listen",
   [](const node& n, sender&, inbox&) { return word(n.listen("tcp://127.0.0.1:0")); },
   "node_closed"},
  {"node.connect",
   [](const node& n, sender&, inbox&) { return word(n.connect("tcp://127.0.0.1:1")); },
   "node_closed"},
  {"node.send", [](const node& n, sender& s, inbox&) { return word(n.send(s.to(), 1)); }, "closed"},
  {"node.send, waiting",
   [](const node& n, sender& s, inbox&) { return word(n.send(s.to(), 1, {.within = patience})); },
   "closed"},
  {"node.send_bytes, a span",
   [](const node& n, sender& s, inbox&) { return word(n.send_bytes(s.to(), some_bytes)); },
   "closed"},
  {"node.send_bytes, a payload",
   [](const node& n, sender& s, inbox&) {
     return word(n.send_bytes(s.to(), payload::copy_of(std::string(10'000, 'x'))));
   },
   "closed"},
  {"node.to", [](const node& n, sender& s, inbox&) { return word(n.to(s.to()).send(1)); },
   "closed"},
  {"node.inbox",
   [](const node& n, sender&, inbox&) { return word(n.inbox().next_message(duration(0))); },
   "node_closed"},
  {"node.deciding_inbox",
   [](const node& n, sender&, inbox&) { return word(n.deciding_inbox().next_event(duration(0))); },
   "node_closed"},
  {"node.subscribe, nobody", [](const node& n, sender&, inbox&) { return word(n.subscribe({})); },
   "bad_option"},
  {"node.unsubscribe",
   [](const node& n, sender&, inbox&) {
     n.unsubscribe(subscription{1'000'000});
     return std::string("ok");
   },
   "ok"},
  {"node.accept",
   [](const node& n, sender&, inbox&) { return std::string(n.accept({}) ? "yes" : "no"); }, "no"},
  {"node.reject",
   [](const node& n, sender&, inbox&) { return std::string(n.reject({}, "") ? "yes" : "no"); },
   "no"},
  {"node.actor",
   [](const node& n, sender&, inbox&) { return std::string(n.actor() ? "there" : "none"); },
   "none"},
  {"node.close", [](const node& n, sender&, inbox&) { return word(n.close(duration(0))); }, "ok"},
  {"sender.send", [](const node&, sender& s, inbox&) { return word(s.send("text")); }, "closed"},
  {"sender.send, waiting",
   [](const node&, sender& s, inbox&) { return word(s.send("text", {.within = patience})); },
   "closed"},
  {"sender.send_bytes, a span",
   [](const node&, sender& s, inbox&) { return word(s.send_bytes(some_bytes)); }, "closed"},
  {"sender.send_bytes, a payload",
   [](const node&, sender& s, inbox&) { return word(s.send_bytes(payload::copy_of("x"))); },
   "closed"},
  {"a copy of the sender", [](const node&, sender& s, inbox&) { return word(sender(s).send(1)); },
   "closed"},
  {"inbox.next", [](const node&, sender&, inbox& i) { return word(i.next(patience)); },
   "node_closed"},
  {"inbox.next_message",
   [](const node&, sender&, inbox& i) { return word(i.next_message(patience)); }, "node_closed"},
  {"inbox.next_batch", [](const node&, sender&, inbox& i) { return word(i.next_batch(patience)); },
   "node_closed"},
  {"inbox.next_event", [](const node&, sender&, inbox& i) { return word(i.next_event(patience)); },
   "node_closed"},
};

/// Asks everything; what is left in the inbox is taken first.
void check_closed(const node& of, sender& out, inbox& from) {
  while (from.next(patience)) {
  }
  for (const auto& each : operations) {
    CAPTURE(each.name);
    const auto begin = std::chrono::steady_clock::now();
    CHECK(each.call(of, out, from) == each.when_closed);
    CHECK(std::chrono::steady_clock::now() - begin < patience); // nobody waits for what cannot come
  }
}

struct handles {
  node of;
  sender out;
  inbox from;
};

/// A node that has sent and received, with all its handles.
handles busy_node(const connected_pair& pair) {
  handles made{pair.near, pair.near.to(pair.far.id()), pair.near.inbox()};
  auto far = pair.far.inbox();
  CHECK(made.out.send("there") == send_outcome::accepted);
  CHECK(far.next_message(patience).has_value());
  CHECK(pair.far.send(pair.near.id(), "and back") == send_outcome::accepted);
  CHECK(made.from.next_message(patience).has_value());
  return made;
}

} // namespace

TEST_CASE("every operation of every handle answers that the node is closed, once it is") {
  runtime bus(ends_soon);
  connected_pair pair(bus, brief(), brief());
  auto left = busy_node(pair);
  REQUIRE(pair.near.close(10ms).has_value());
  check_closed(left.of, left.out, left.from);
}

TEST_CASE(
  "every operation of every handle answers that the node is closed, once its runtime is gone") {
  std::optional<handles> left;
  {
    runtime bus(ends_soon);
    left.emplace(busy_node(connected_pair(bus, brief(), brief())));
  }
  check_closed(left->of, left->out, left->from);
  // On another thread than any that knew the runtime, too.
  std::thread([&] { check_closed(left->of, left->out, left->from); }).join();
}

TEST_CASE("what a node said in time is kept: messages, batches and payloads outlive everything") {
  std::optional<message> kept;
  std::optional<batch> some;
  payload body;
  {
    runtime bus(ends_soon);
    connected_pair pair(bus, brief(), brief());
    auto inbox = pair.far.inbox();
    CHECK(pair.near.send(pair.far.id(), "one") == send_outcome::accepted);
    kept.emplace(*inbox.next_message(patience));
    body = kept->body();
    CHECK(pair.near.send(pair.far.id(), "two") == send_outcome::accepted);
    some.emplace(*inbox.next_batch(patience));
  }
  CHECK(kept->as<std::string>().value_or("") == "one");
  CHECK((*some->begin()).as<std::string>().value_or("") == "two");
  kept.reset();
  some.reset();
  CHECK(body.text().substr(1) == "one");
}

TEST_CASE("a handle that was moved from, too, goes on answering") {
  runtime bus(ends_soon);
  connected_pair pair(bus, brief(), brief());
  auto out = pair.near.to(pair.far.id());
  // NOLINTBEGIN(bugprone-use-after-move,performance-move-const-arg): what a moved handle answers is
  // the point.
  auto out_now = std::move(out);
  auto near_now = std::move(pair.near);
  CHECK(out.send(1) == send_outcome::accepted);
  CHECK(pair.near.id() == near_now.id());
  CHECK(pair.near.send(pair.far.id(), 1) == send_outcome::accepted);
  // NOLINTEND(bugprone-use-after-move,performance-move-const-arg)
  CHECK(out_now.send(1) == send_outcome::accepted);
}

TEST_CASE("runtime and handles may be destroyed in any order") {
  std::array<int, 6> order{};
  std::iota(order.begin(), order.end(), 0);
  int round = 0;
  do {
    if (++round % (long_tests() ? 1 : 7) != 0) // 720 of them
      continue;
    CAPTURE(order);
    std::optional<runtime> bus(std::in_place, ends_soon);
    std::optional<node> near, far;
    std::optional<sender> out;
    std::optional<inbox> from;
    std::optional<message> kept;
    {
      connected_pair pair(*bus, brief(), brief());
      near.emplace(pair.near);
      far.emplace(pair.far);
    }
    out.emplace(near->to(far->id()));
    from.emplace(far->inbox());
    CHECK(out->send("kept") == send_outcome::accepted);
    kept.emplace(*from->next_message(patience));
    CHECK(out->send("left in the inbox") == send_outcome::accepted);
    for (const auto each : order) {
      switch (each) {
      case 0:
        bus.reset();
        break;
      case 1:
        near.reset();
        break;
      case 2:
        far.reset();
        break;
      case 3:
        out.reset();
        break;
      case 4:
        from.reset();
        break;
      case 5:
        kept.reset();
        break;
      }
    }
  } while (std::next_permutation(order.begin(), order.end()));
}
