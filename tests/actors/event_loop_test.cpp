// An inbox in a program with an event loop of its own: a descriptor that is readable exactly while there
// is something to read, a function that is called when something comes, and reads that never block.
#include "postbus/postbus.hpp"
#include "postbus/tests/support/expect.hpp"

#include <doctest/doctest.h>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <mutex>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

bool is_readable(int descriptor, duration within = patience) {
  pollfd waits{descriptor, POLLIN, 0};
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(within).count();
  return ::poll(&waits, 1, static_cast<int>(milliseconds)) == 1 && (waits.revents & POLLIN) != 0;
}

/// What a program with a loop does: waits for `descriptor`, reads until nothing is left, until `count`
/// messages came, each number in its turn.
void read_numbers(inbox& from, int descriptor, int count, const std::function<void()>& woken) {
  for (int next = 0; next < count;) {
    REQUIRE(is_readable(descriptor));
    woken();
    for (;;) {
      auto came = from.try_next();
      REQUIRE(came.has_value());
      if (!*came)
        break;
      if (const auto* what = std::get_if<message>(&**came)) {
        REQUIRE(what->as<int>().value_or(-1) == next);
        ++next;
      }
    }
  }
}

} // namespace

TEST_CASE(
  "a poll loop on an inbox's descriptor gets every message, and sleeps when there is none") {
  runtime bus;
  connected_pair pair(bus);
  auto far = pair.far.inbox();
  const auto descriptor = far.descriptor();
  REQUIRE(descriptor.has_value());
  CHECK(far.descriptor().value_or(-1) == *descriptor);
  constexpr int count = 20'000;
  auto sending = std::async(std::launch::async, [&] {
    for (int number = 0; number < count; ++number)
      if (pair.near.send(pair.far.id(), number, {.within = patience}) != send_outcome::accepted)
        return false;
    return true;
  });
  read_numbers(far, *descriptor, count, [] {});
  CHECK(sending.get());
  CHECK_FALSE(is_readable(*descriptor, 0s));
  const auto nothing = far.try_next();
  REQUIRE(nothing.has_value());
  CHECK_FALSE(nothing->has_value());
}

TEST_CASE("a descriptor is readable exactly while something waits, whoever reads, and at the end "
          "for good") {
  runtime bus;
  connected_pair pair(bus);
  auto far = pair.far.inbox({.events = false});
  REQUIRE(pair.near.send(pair.far.id(), 1) == send_outcome::accepted);
  REQUIRE(far.next_message(patience).has_value());
  REQUIRE(pair.near.send(pair.far.id(), 2) == send_outcome::accepted);
  REQUIRE(pair.near.send(pair.far.id(), 3) == send_outcome::accepted);
  REQUIRE(far.next_message(patience).has_value()); // the third waits, or is on its way
  const auto descriptor = far.descriptor().value_or(-1);
  CHECK(is_readable(descriptor));
  REQUIRE(far.next_message(patience).has_value());
  CHECK_FALSE(is_readable(descriptor, 0s));
  CHECK(far.next_batch(0s).error() == errc::timeout);

  auto moved = std::move(far);
  REQUIRE(pair.near.send(pair.far.id(), 4) == send_outcome::accepted);
  CHECK(is_readable(descriptor));
  REQUIRE(moved.next_batch(0s).has_value());
  CHECK_FALSE(is_readable(descriptor, 0s));

  REQUIRE(pair.far.close(1s).has_value());
  CHECK(is_readable(descriptor));
  CHECK(moved.try_next().error() == errc::node_closed);
  CHECK(is_readable(descriptor, 0s));
  CHECK(far.try_next().error() == errc::node_closed); // NOLINT(bugprone-use-after-move)
  CHECK(far.descriptor().error() == errc::node_closed);
}

TEST_CASE("a descriptor goes with its inbox") {
  runtime bus;
  const auto node = bus.spawn_node();
  int descriptor = -1;
  {
    auto short_lived = node.inbox();
    descriptor = short_lived.descriptor().value_or(-1);
    REQUIRE(descriptor >= 0);
    pollfd open{descriptor, 0, 0};
    ::poll(&open, 1, 0);
    CHECK((open.revents & POLLNVAL) == 0);
  }
  pollfd closed{descriptor, 0, 0};
  ::poll(&closed, 1, 0);
  CHECK((closed.revents & POLLNVAL) != 0);
}

TEST_CASE("a program that is called when something comes wakes its own loop and misses nothing") {
  runtime bus;
  connected_pair pair(bus);
  const int own = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  REQUIRE(own >= 0);
  std::atomic<int> calls{0};
  {
    auto far = pair.far.inbox({.on_ready = [&] {
      ++calls;
      ::eventfd_write(own, 1);
    }});
    constexpr int count = 20'000;
    auto sending = std::async(std::launch::async, [&] {
      for (int number = 0; number < count; ++number)
        if (pair.near.send(pair.far.id(), number, {.within = patience}) != send_outcome::accepted)
          return false;
      return true;
    });
    read_numbers(far, own, count, [&] {
      eventfd_t ignored = 0;
      ::eventfd_read(own, &ignored);
    });
    CHECK(sending.get());
    CHECK(calls >= 1);
    CHECK(calls <= count);
  }
  // Nobody is called when the inbox is gone.
  const int before = calls;
  auto other = pair.far.inbox();
  REQUIRE(pair.near.send(pair.far.id(), 1) == send_outcome::accepted);
  REQUIRE(other.next_message(patience).has_value());
  CHECK(calls == before);
  ::close(own);
}

TEST_CASE("a function that is called may read, on the loop, and end its own inbox") {
  runtime bus;
  connected_pair pair(bus);
  std::promise<int> got;
  std::mutex mutex;
  std::optional<inbox> own;
  const auto on_ready = [&] {
    std::lock_guard guard(mutex); // until it is there
    if (!own)
      return;
    CHECK(own->next(0s).error() == errc::would_deadlock);
    CHECK(own->counters().error() == errc::would_deadlock);
    auto came = own->try_next();
    if (!came || !*came)
      return;
    if (const auto* what = std::get_if<message>(&**came))
      got.set_value(what->as<int>().value_or(-1));
    own.reset();
  };
  {
    std::lock_guard guard(mutex);
    own.emplace(pair.far.inbox({.events = false, .on_ready = on_ready}));
  }
  auto done = got.get_future();
  REQUIRE(pair.near.send(pair.far.id(), 7) == send_outcome::accepted);
  REQUIRE(done.wait_for(patience) == std::future_status::ready);
  CHECK(done.get() == 7);
  std::lock_guard guard(mutex);
  CHECK_FALSE(own.has_value());
}

TEST_CASE("an inbox whose options are wrong answers so") {
  runtime bus;
  const auto node = bus.spawn_node();
  auto wrong = node.inbox({.filter = {.tags = {{3, 2}}}});
  CHECK(wrong.next(0s).error() == errc::bad_option);
  CHECK(wrong.try_next().error() == errc::bad_option);
  CHECK(wrong.descriptor().error() == errc::bad_option);
  CHECK(wrong.counters().error() == errc::bad_option);
  CHECK(node.counters(subscription{77}).error() == errc::bad_option);
}

TEST_CASE("an inbox with more events than may wait is ended, and says so at the read behind them") {
  runtime bus;
  limits bounds;
  bounds.connections_max = 3;
  bounds.subscription_events_max = 4;
  const auto hub = bus.spawn_node({.id = {}, .init = {}, .bounds = bounds});
  auto unread = hub.inbox({.messages = false});
  const auto at = hub.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  for (int times = 0; times < 4; ++times) {
    const auto guest = bus.spawn_node();
    REQUIRE(guest.connect(*at).has_value());
    REQUIRE(guest.close(1s).has_value());
  }
  int events = 0;
  for (;;) {
    auto event = unread.next_event(patience);
    REQUIRE(event.has_value());
    ++events;
    if (const auto* over = std::get_if<subscription_ended>(&*event)) {
      CHECK(over->reason.code == errc::subscriber_too_slow);
      break;
    }
  }
  CHECK(events == 5);
  CHECK(unread.next_event(0s).error() == errc::subscriber_too_slow);
  CHECK(unread.try_next().error() == errc::subscriber_too_slow);
  CHECK(unread.counters().error() == errc::bad_option);
}
