// Memory while 150 MB go to a subscriber that is much slower than its peer: what the peak of sender and
// receiver may be follows from the limits. Each is a process of its own, so that nobody else's memory
// counts; each measures its base when it is connected and nothing was sent yet.
#include "postbus/postbus.hpp"
#include "postbus/tests/actors/listening_role.hpp"
#include "postbus/tests/support/expect.hpp"

#include <doctest/doctest.h>
#include <sys/timerfd.h>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t total_bytes = 150'000'000;

// What the two formulas below allow for everything that is not the messages themselves: the buffer
// that is read into, what lies on the wire ahead of the socket, the ends of chunks that are not filled.
constexpr std::size_t rest_bytes = 8'000'000;

// sender:    base + outbox + rest
// receiver:  base + window + rest; the window covers the batches in flight, too, because a batch
//            counts until it is let go.
constexpr std::size_t sender_bytes_max = limits{}.outbox_bytes_max + rest_bytes;
constexpr std::size_t receiver_bytes_max = limits{}.window_bytes_max + rest_bytes;

/// Gives one token in each period.
class metronome {
public:
  explicit metronome(duration period) : timer_(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)) {
    const timespec each{0, static_cast<long>(period.count())};
    const itimerspec how{each, each};
    ::timerfd_settime(timer_, 0, &how, nullptr);
  }
  metronome(const metronome&) = delete;
  metronome& operator=(const metronome&) = delete;
  ~metronome() { ::close(timer_); }

  /// The next token; what came meanwhile is lost.
  void take() {
    std::uint64_t tokens = 0;
    (void)!::read(timer_, &tokens, sizeof tokens);
  }

private:
  int timer_;
};

/// The growth of the peak that `child` tells, in bytes.
std::size_t growth(child_program& child) {
  const auto told = child.hear(patience + 60s);
  REQUIRE(told.has_value());
  CHECK(child.wait() == 0);
  return std::stoull(*told);
}

void measure(std::size_t message_bytes) {
  child_program receiver("role: a slow subscriber");
  const auto at = receiver.hear(patience);
  REQUIRE(at.has_value());
  child_program sender("role: a fast sender");
  sender.tell(*at);
  sender.tell(std::to_string(message_bytes));
  const auto sent = growth(sender);
  const auto received = growth(receiver);
  MESSAGE("150 MB in messages of ", message_bytes, " bytes: the sender grew by ", sent >> 10,
          " KiB (", sender_bytes_max >> 10, " allowed), the receiver by ", received >> 10, " KiB (",
          receiver_bytes_max >> 10, " allowed)");
  if (sanitized)
    return; // their own memory is counted with ours
  CHECK(sent <= sender_bytes_max);
  CHECK(received <= receiver_bytes_max);
  CHECK(sent > (std::size_t{1} << 20)); // it was slow: the outbox was in use
}

} // namespace

TEST_CASE("role: a slow subscriber" * doctest::skip()) {
  if (!parent_program::present())
    return;
  listening_role role;
  role.tell_ready();
  REQUIRE(next_event<connected>(role.inbox).has_value());
  const auto base = peak_bytes();
  metronome pace(3ms);
  std::size_t bytes = 0;
  std::uint64_t sum = 0;
  while (auto some = role.inbox.next_batch(patience)) {
    for (const auto& each : *some) {
      bytes += each.bytes().size();
      for (const auto value : each.bytes())
        sum += static_cast<std::uint64_t>(value);
    }
    if (bytes >= total_bytes)
      break;
    pace.take();
  }
  CHECK(bytes == total_bytes);
  CHECK(sum == total_bytes * 7);
  CHECK(next_event<disconnected>(role.inbox).has_value());
  role.parent.tell(std::to_string(peak_bytes() - base));
}

TEST_CASE("role: a fast sender" * doctest::skip()) {
  if (!parent_program::present())
    return;
  parent_program parent;
  const auto at = parent.hear(patience);
  const auto size = parent.hear(patience);
  REQUIRE(at.has_value());
  REQUIRE(size.has_value());
  const std::vector<std::byte> body(std::stoull(*size), std::byte{7});
  runtime bus;
  auto node = bus.spawn_node();
  auto events = node.inbox();
  const auto peer = node.connect(*at);
  REQUIRE(peer.has_value());
  const auto base = peak_bytes();
  auto out = node.to(*peer);
  for (std::size_t sent = 0; sent < total_bytes; sent += body.size())
    REQUIRE(out.send_bytes(body, {.within = patience}) == send_outcome::accepted);
  REQUIRE(node.close(patience).has_value());
  const auto end = next_event<disconnected>(events);
  REQUIRE(end.has_value());
  CHECK(end->account.complete());
  parent.tell(std::to_string(peak_bytes() - base));
}

TEST_CASE("150 MB of small messages to a slow subscriber take no more memory than the limits say") {
  measure(1000);
}

TEST_CASE("150 MB of large messages to a slow subscriber take no more memory than the limits say") {
  measure(60'000);
}
