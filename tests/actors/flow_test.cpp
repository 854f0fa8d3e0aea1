// Back-pressure between real nodes: what is bounded, who waits, and that nothing is lost or stuck.
#include "postbus/postbus.hpp"
#include "postbus/tests/support/sending.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <thread>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

int number_of(const message& each) {
  int number = -1;
  std::memcpy(&number, each.bytes().data(), sizeof number);
  return number;
}

} // namespace

TEST_CASE(
  "while nobody subscribes nothing is sent, the outbox fills, and a later subscriber gets it all") {
  runtime bus;
  connected_pair pair(bus);
  const auto taken = fill(pair.near, pair.far.id(), 1000);
  CHECK(taken > 1000);
  CHECK(static_cast<std::size_t>(taken) * 1008 <= limits{}.outbox_bytes_max + (1 << 20));
  auto inbox = pair.far.inbox();
  for (int number = 0; number < taken; ++number) {
    const auto each = inbox.next_message(patience);
    REQUIRE(each.has_value());
    REQUIRE(number_of(*each) == number);
  }
}

TEST_CASE("a subscriber that keeps its messages stops the sender, and letting go lets it go on") {
  runtime bus;
  limits narrow;
  narrow.window_bytes_max = 64 << 10;
  narrow.outbox_bytes_max = 256 << 10;
  connected_pair pair(bus, narrow, narrow);
  auto inbox = pair.far.inbox();
  const auto first = fill(pair.near, pair.far.id(), 1000);
  std::vector<message> kept;
  while (auto each = inbox.next_message(500ms))
    kept.push_back(std::move(*each));
  CHECK(static_cast<int>(kept.size()) < first);
  CHECK(kept.size() * 1008 < (64 << 10) + 1008); // the window, and one message beyond it
  // What is on the way, in hands and in the outbox is bounded by window, outbox and one write ahead.
  int second = 0;
  CHECK((second = fill(pair.near, pair.far.id(), 1000)) <= 1200);
  const auto total = static_cast<int>(kept.size());
  kept.clear();
  int next = total;
  while (auto each = inbox.next_message(next == total ? patience : duration(500ms)))
    ++next;
  CHECK(next > total);
}

TEST_CASE(
  "a sender that waits for room is served when there is some, and gives up when its time is over") {
  runtime bus;
  connected_pair pair(bus);
  (void)fill(pair.near, pair.far.id(), 1000);
  const std::string value(1000, 'v'); // as large as what did not fit any more
  CHECK(pair.near.send(pair.far.id(), value, {.within = 20ms}) == send_outcome::congested);
  std::atomic<int> served{0};
  std::vector<std::jthread> waiting;
  for (int count = 0; count < 4; ++count)
    waiting.emplace_back([&] {
      if (pair.near.send(pair.far.id(), value, {.within = patience}) == send_outcome::accepted)
        ++served;
    });
  auto inbox = pair.far.inbox();
  int values = 0;
  while (values < 4) {
    const auto each = inbox.next_message(patience);
    REQUIRE(each.has_value());
    values += each->is_opaque() ? 0 : 1;
  }
  for (auto& each : waiting)
    each.join();
  CHECK(served == 4);
}

TEST_CASE("a sender that waits is told when the connection ends") {
  runtime bus;
  connected_pair pair(bus);
  (void)fill(pair.near, pair.far.id(), 1000);
  const std::string value(1000, 'v');
  std::promise<void> begins;
  auto waiting = std::async(std::launch::async, [&] {
    begins.set_value();
    return pair.near.send(pair.far.id(), value, {.within = 1h});
  });
  awaited(begins.get_future());
  CHECK(waiting.wait_for(100ms) == std::future_status::timeout); // nobody makes room
  REQUIRE(pair.far.close(0s).has_value());
  CHECK(awaited(std::move(waiting)) == send_outcome::closed);
}

TEST_CASE("messages of every size pass through the smallest window") {
  runtime bus;
  limits narrow;
  narrow.window_bytes_min = narrow.window_bytes_max = 64 << 10;
  connected_pair pair(bus, narrow);
  auto inbox = pair.far.inbox();
  const std::vector<std::size_t> sizes{0,        1,       8191,     8192, 32 << 10, (64 << 10) - 8,
                                       64 << 10, 1 << 20, 16 << 20, 3,    5 << 20};
  std::jthread sender([&] {
    for (const auto size : sizes)
      CHECK(pair.near.send_bytes(pair.far.id(), std::vector<std::byte>(size, std::byte(size % 251)),
                                 {.within = patience})
            == send_outcome::accepted);
  });
  for (const auto size : sizes) {
    CAPTURE(size);
    const auto each = inbox.next_message(patience);
    REQUIRE(each.has_value());
    REQUIRE(each->bytes().size() == size);
    CHECK(std::all_of(each->bytes().begin(), each->bytes().end(),
                      [&](std::byte b) { return b == std::byte(size % 251); }));
  }
  sender.join();
}

TEST_CASE("two subscribers each get every message, and the slower one sets the pace") {
  runtime bus;
  connected_pair pair(bus);
  auto first = pair.far.inbox();
  auto second = pair.far.inbox();
  constexpr int count = 30'000;
  std::jthread sender([&] { CHECK(send_numbers(pair.near, pair.far.id(), count)); });
  const auto read = [&](inbox& from) {
    for (int number = 0; number < count; ++number) {
      const auto each = from.next_message(patience);
      if (!each || each->as<int>().value_or(-1) != number)
        return number;
    }
    return count;
  };
  int slow = 0;
  std::jthread slower([&] { slow = read(second); });
  CHECK(read(first) == count);
  slower.join();
  CHECK(slow == count);
  sender.join();
}

TEST_CASE("an inbox that is dropped while it holds back a sender lets the others go on") {
  runtime bus;
  connected_pair pair(bus);
  auto stays = pair.far.inbox();
  std::optional<inbox> goes(pair.far.inbox());
  constexpr int count = 100'000;
  std::jthread sender([&] {
    auto out = pair.near.to(pair.far.id());
    bool taken = true;
    for (int number = 0; taken && number < count; ++number)
      taken =
        out.send_bytes(std::vector<std::byte>(100), {.within = patience}) == send_outcome::accepted;
    CHECK(taken);
  });
  CHECK(goes->next_message(patience).has_value());
  goes.reset();
  for (int number = 0; number < count; ++number)
    REQUIRE(stays.next_message(patience).has_value());
  sender.join();
}

TEST_CASE("a node that has sent to many peers can send to the next, and gives what it took back") {
  runtime bus;
  limits tight;
  tight.node_outbox_bytes_max = tight.outbox_bytes_max = 256 << 10;
  auto near = bus.spawn_node({.id = {}, .init = {}, .bounds = tight});
  std::vector<node> peers;
  std::vector<inbox> inboxes;
  for (int count = 0; count < 5; ++count) {
    peers.push_back(bus.spawn_node());
    inboxes.push_back(peers.back().inbox());
    const auto at = peers.back().listen("tcp://127.0.0.1:0");
    REQUIRE(at.has_value());
    REQUIRE(near.connect(*at).has_value());
    CHECK(near.send(peers.back().id(), count) == send_outcome::accepted);
    CHECK(inboxes.back().next_message(patience).has_value());
  }
}

TEST_CASE(
  "peers that take nothing use the node's memory up, but an empty outbox takes one message") {
  runtime bus({.close_time = 10ms}); // what is sent is never taken
  limits tight;
  tight.node_outbox_bytes_max = tight.outbox_bytes_max = 256 << 10;
  auto near = bus.spawn_node({.id = {}, .init = {}, .bounds = tight});
  std::vector<node> peers;
  for (int count = 0; count < 3; ++count) {
    peers.push_back(bus.spawn_node());
    const auto at = peers.back().listen("tcp://127.0.0.1:0");
    REQUIRE(at.has_value());
    REQUIRE(near.connect(*at).has_value());
  }
  CHECK(fill(near, peers[0].id(), 1000) > 200);
  CHECK(fill(near, peers[1].id(), 1000) < 10);
  CHECK(fill(near, peers[2].id(), 1000) >= 1);
  // Who waits is served when another peer's messages have left.
  std::jthread waiting([&] {
    CHECK(near.send_bytes(peers[1].id(), std::vector<std::byte>(1000), {.within = patience})
          == send_outcome::accepted);
  });
  auto first = peers[0].inbox();
  auto second = peers[1].inbox();
  CHECK(first.next_message(patience).has_value());
  waiting.join();
  CHECK(second.next_message(patience).has_value());
}

TEST_CASE("messages and batches read in turn come in order") {
  runtime bus;
  connected_pair pair(bus);
  constexpr int count = 20'000;
  auto inbox = pair.far.inbox();
  std::jthread sending([&] { CHECK(send_numbers(pair.near, pair.far.id(), count)); });
  int next = 0;
  while (next < count) {
    const auto one = inbox.next_message(patience);
    REQUIRE(one.has_value());
    REQUIRE(one->as<int>().value_or(-1) == next++);
    if (next == count)
      break;
    const auto some = inbox.next_batch(patience);
    REQUIRE(some.has_value());
    std::size_t bytes = 0, messages = 0;
    for (const auto& each : *some) {
      REQUIRE(each.as<int>().value_or(-1) == next++);
      bytes += 8 + each.bytes().size();
      ++messages;
    }
    CHECK(some->size() == messages);
    CHECK(some->size_bytes() == bytes);
  }
  sending.join();
}
