// session, while it is open: messages arrive once, in order, with their bytes, however the stream is
// cut; credit bounds what is on the way, follows what the program lets go, and never stops for ever.
#include "postbus/codecs/chunk_pool.hpp"
#include "postbus/tests/support/session_pair.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <random>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

std::uint64_t seed_of_run() {
  if (const char* given = std::getenv("POSTBUS_TEST_SEED"))
    return std::strtoull(given, nullptr, 10);
  return std::random_device{}();
}

/// Sends as many as the outbox takes of `count` messages of `bytes`.
std::uint64_t send_many(session_end& from, std::uint64_t count, std::size_t bytes) {
  std::uint64_t sent = 0;
  while (sent < count && from.send(bytes) == send_outcome::accepted)
    ++sent;
  return sent;
}

limits small_windows() {
  limits bounds;
  bounds.window_bytes_min = 4096;
  bounds.window_bytes_max = 16384;
  return bounds;
}

} // namespace

TEST_CASE("messages arrive in order for every way of cutting the stream") {
  for (std::size_t read_bytes = 1; read_bytes < 700; read_bytes += read_bytes < 40 ? 1 : 37) {
    CAPTURE(read_bytes);
    session_pair pair;
    REQUIRE(pair.open());
    pair.to_listener.how.read_bytes = read_bytes;
    for (const std::size_t bytes : {0u, 1u, 7u, 8u, 9u, 255u, 300u, 0u, 5000u, 20000u, 3u})
      CHECK(pair.dialer.send(bytes) == send_outcome::accepted);
    pair.settle();
    CHECK(pair.listener.messages == 11);
  }
}

TEST_CASE("messages go both ways at once") {
  session_pair::settings how;
  how.way.latency = 3ms;
  how.way.read_bytes = 1000;
  session_pair pair(how);
  REQUIRE(pair.open());
  CHECK(send_many(pair.dialer, 5000, 100) == 5000);
  CHECK(send_many(pair.listener, 5000, 90) == 5000);
  pair.run(20s);
  CHECK(pair.dialer.messages == 5000);
  CHECK(pair.listener.messages == 5000);
  CHECK(pair.dialer.session.account() == send_account{5000, 5000, 0});
  CHECK(pair.listener.session.account() == send_account{5000, 5000, 0});
}

TEST_CASE("nothing is sent before there is credit, and everything once there is") {
  session_pair::settings how;
  how.listener_takes_messages = false;
  session_pair pair(how);
  REQUIRE(pair.open());
  const auto before = pair.to_listener.bytes_pushed();
  pair.dialer.send(10);
  pair.run(10s);
  CHECK(pair.to_listener.bytes_pushed() == before);
  CHECK(pair.dialer.session.starved());
  pair.listener.session.takes_messages(true);
  pair.settle();
  CHECK(pair.listener.messages == 1);
  CHECK(!pair.dialer.session.starved());
}

TEST_CASE("a program that takes nothing any more gets no more than the window") {
  session_pair pair;
  REQUIRE(pair.open());
  pair.listener.session.takes_messages(false);
  send_many(pair.dialer, 10000, 56);
  pair.run(1s);
  CHECK(pair.listener.messages == 1024); // 64 KiB in frames of 64 bytes
  pair.listener.session.takes_messages(true);
  pair.settle();
  CHECK(pair.listener.messages == 10000);
}

TEST_CASE(
  "messages follow the dialer's welcome at once, within the window of the listener's hello") {
  session_pair::settings how;
  how.way.latency = 10ms;
  session_pair pair(how);
  pair.dialer.send(5); // waits in the outbox
  pair.listener.send(6);
  pair.run(30ms - 1ms);
  CHECK(pair.listener.opened == 0);
  pair.run(1ms);
  CHECK(pair.listener.opened == 1);
  CHECK(pair.listener.messages == 1);
  pair.run(10ms);
  CHECK(pair.dialer.messages == 1);
}

TEST_CASE("a side without anybody who takes messages grants none in its hello") {
  session_pair::settings how;
  how.listener_takes_messages = false;
  session_pair pair(how);
  REQUIRE(pair.open());
  CHECK(pair.dialer.session.peer().window_bytes == 0);
  CHECK(pair.dialer.session.peer().window_frames == 0);
  CHECK(pair.listener.session.peer().window_bytes == limits{}.window_bytes_min);
  pair.dialer.send(5);
  pair.settle();
  CHECK(pair.dialer.session.starved());
}

TEST_CASE(
  "held batches stop the sender at the window; letting go wakes the receiver and resumes it") {
  session_pair pair;
  REQUIRE(pair.open());
  pair.listener.holds = true;
  send_many(pair.dialer, 5000, 56);
  pair.settle();
  CHECK(pair.listener.messages == 1024);
  CHECK(pair.listener.session.charged_bytes() == 65536);
  CHECK(pair.dialer.session.starved());
  pair.listener.holds = false;
  pair.listener.let_go_all();
  pair.rest(); // by the receipt's wake alone
  CHECK(pair.listener.messages == 5000);
  CHECK(pair.listener.session.charged_bytes() == 0);
}

TEST_CASE("a window of a single frame is granted again as soon as that is let go") {
  session_pair::settings how;
  how.bounds.window_bytes_min = how.bounds.window_bytes_max = 32;
  session_pair pair(how);
  REQUIRE(pair.open());
  send_many(pair.dialer, 100, 0); // the bytes alone would have room
  pair.settle();
  CHECK(pair.listener.messages == 100);
  CHECK(pair.dialer.session.account().sent == 100);
}

TEST_CASE("kept payloads do not stop the sender") {
  session_pair pair;
  REQUIRE(pair.open());
  pair.listener.keeps = true;
  send_many(pair.dialer, 100000, 56);
  pair.settle();
  CHECK(pair.listener.messages == 100000);
  REQUIRE(pair.listener.kept.size() == 100000);
  CHECK(pair.listener.session.charged_bytes() == 0);
  for (std::uint64_t number = 0; number < 100000; number += 999)
    CHECK(pair.listener.kept[number].data()[55] == content(number, 55));
}

TEST_CASE(
  "the window grows while the program keeps up, to its bound, for small frames as for large") {
  for (const std::size_t bytes : {0u, 8u, 56u, 5000u, 100000u}) {
    CAPTURE(bytes);
    session_pair::settings how;
    how.way.latency = 50ms;
    session_pair pair(how);
    REQUIRE(pair.open());
    CHECK(pair.listener.session.window_bytes() == 64u << 10);
    for (int round = 0; round < 20; ++round) {
      send_many(pair.dialer, 150000, bytes);
      pair.run(100ms);
    }
    CHECK(pair.listener.session.window_bytes() == 4u << 20);
  }
}

TEST_CASE("a smaller share of the node's memory is a smaller window from the next credit on") {
  session_pair::settings how;
  how.way.latency = 50ms;
  session_pair pair(how);
  REQUIRE(pair.open());
  send_many(pair.dialer, 100000, 1000);
  pair.run(1s);
  REQUIRE(pair.listener.session.window_bytes() >= 1u << 20);
  pair.listener.session.window_bytes_max(16u << 10);
  for (int round = 0; round < 3; ++round) {
    send_many(pair.dialer, 5000, 1000);
    pair.run(60s);
  }
  CHECK(pair.listener.session.window_bytes() == 16u << 10);
  pair.listener.holds = true;
  send_many(pair.dialer, 1000, 1000);
  pair.run(1s);
  CHECK(pair.listener.session.charged_bytes() < (16u << 10) + 1008 + 1008);
  pair.listener.holds = false;
  pair.listener.let_go_all();
  pair.run(60s);
  CHECK(pair.dialer.unseen.empty());
}

TEST_CASE("a frame of 16 MiB passes through a window of 64 KiB, and what is behind it waits") {
  session_pair::settings how;
  how.bounds.window_bytes_max = how.bounds.window_bytes_min;
  how.way.room_bytes = 200000;
  session_pair pair(how);
  REQUIRE(pair.open());
  pair.listener.holds = true;
  CHECK(pair.dialer.send(16u << 20) == send_outcome::accepted);
  CHECK(pair.dialer.send(1) == send_outcome::congested);
  pair.settle();
  CHECK(pair.listener.messages == 1);
  CHECK(pair.dialer.send(1) == send_outcome::accepted);
  pair.settle();
  CHECK(pair.listener.messages == 1);
  pair.listener.let_go_all();
  pair.rest();
  CHECK(pair.listener.messages == 2);
  CHECK(pair.dialer.send((16u << 20) + 1) == send_outcome::too_large);
}

TEST_CASE("no size of frames round the window makes it stick") {
  for (const auto& bounds : {small_windows(), limits{}})
    for (std::size_t bytes = bounds.window_bytes_min - 20; bytes < bounds.window_bytes_min + 12;
         ++bytes) {
      CAPTURE(bytes);
      session_pair::settings how;
      how.bounds = bounds;
      session_pair pair(how);
      REQUIRE(pair.open());
      for (int round = 0; round < 12; ++round) {
        send_many(pair.dialer, 3, bytes);
        send_many(pair.dialer, 2, bounds.window_bytes_min / 4 - 8);
        pair.settle();
        CHECK(pair.dialer.unseen.empty());
      }
    }
}

TEST_CASE("a window of one byte still lets every message through, one at a time") {
  session_pair::settings how;
  how.bounds.window_bytes_min = how.bounds.window_bytes_max = 1;
  session_pair pair(how);
  REQUIRE(pair.open());
  send_many(pair.dialer, 100, 10);
  pair.settle();
  CHECK(pair.listener.messages == 100);
}

TEST_CASE("random sizes, cuts, holds and commands never stick, reorder or lose") {
  const auto seed = seed_of_run();
  MESSAGE("POSTBUS_TEST_SEED=" << seed);
  for (std::uint64_t run = 0; run < 12; ++run) {
    CAPTURE(seed);
    CAPTURE(run);
    std::mt19937_64 random(seed + run);
    session_pair::settings how;
    if (run % 2 == 0)
      how.bounds = small_windows();
    how.way.latency = duration(random() % 3'000'000);
    how.way.room_bytes = 100 + random() % 100000;
    how.way.cut = [&random] { return 1 + random() % (random() % 4 == 0 ? 20000 : 50); };
    session_pair pair(how);
    REQUIRE(pair.open());
    for (int step = 0; step < 60; ++step) {
      auto& at = random() % 2 == 0 ? pair.dialer : pair.listener;
      switch (random() % 6) {
      case 0:
        at.holds = !at.holds;
        break;
      case 1:
        while (!at.held.empty() && random() % 5 != 0)
          at.let_go_first();
        break;
      case 2:
        pair.run(duration(random() % 10'000'000));
        break;
      default:
        for (auto count = random() % 50; count > 0; --count)
          (void)at.send(random() % (random() % 10 == 0 ? 30000 : 100));
        pair.drive(at);
      }
    }
    for (auto* at : {&pair.dialer, &pair.listener}) {
      at->holds = false;
      at->let_go_all();
    }
    pair.run(30s);
    CHECK(pair.dialer.unseen.empty());
    CHECK(pair.listener.unseen.empty());
    CHECK(pair.dialer.session.account().unconfirmed() == 0);
    CHECK(pair.listener.session.account().unconfirmed() == 0);
    pair.dialer.session.close({errc::closed, blame::local, {}}, 5s, pair.now());
    REQUIRE(pair.run_to_end(10s));
    CHECK(pair.dialer.end->account == send_account{pair.dialer.accepted, pair.dialer.accepted, 0});
    CHECK(pair.listener.end->account
          == send_account{pair.listener.accepted, pair.listener.accepted, 0});
  }
}

TEST_CASE("while the transport takes nothing the wire stays short, whatever the peer asks for") {
  session_pair pair;
  REQUIRE(pair.open());
  pair.to_dialer.how.room_bytes = 0; // the listener cannot write
  std::vector<std::byte> ping(16);
  codecs::store_header(ping.data(), {8, codecs::frame_kind::ping, 0, 0});
  for (int count = 0; count < 20000; ++count) {
    pair.to_listener.push(ping, pair.now());
    pair.read(pair.listener);
    if (count % 4 == 0) {
      (void)pair.listener.send(10);
      pair.drive(pair.listener);
    }
  }
  std::array<std::span<const std::byte>, 256> pieces;
  CHECK(pair.listener.session.wire(pieces) <= 80);
  CHECK(codecs::chunk_pool::held_bytes() < 4u << 20);
  pair.to_dialer.how.room_bytes = SIZE_MAX;
  pair.settle();
  CHECK(pair.dialer.messages == 5000);
}
