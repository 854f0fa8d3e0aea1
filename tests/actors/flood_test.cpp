// Peers that are let in and then flood: pings, credits, requests, cancels, more than is taken, and answers
// that nobody reads. What they cost has a bound, and a good client loses nothing beside them.
#include "postbus/tests/actors/good_client.hpp"
#include "postbus/tests/support/stranger.hpp"

#include <doctest/doctest.h>

#include <future>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

using codecs::frame_kind;

namespace {

/// A raw peer that is open, and of which the system keeps little unread.
raw_peer open_peer(const good_client& good, int receive_bytes = 0) {
  raw_peer peer(good.endpoint(), receive_bytes);
  REQUIRE(peer.open_as_dialer(node_id::random(), patience));
  return peer;
}

/// The reasons in the next failures, in order.
std::vector<errc> failures_of(raw_peer& to, std::size_t count) {
  std::vector<errc> out;
  while (out.size() < count) {
    const auto found = to.read_frame(frame_kind::failure, patience);
    REQUIRE(found.has_value());
    out.push_back(bus::decode_failure(found->body)->what.reason);
  }
  return out;
}

limits few_requests() {
  limits bounds;
  bounds.requests_in_flight_max = 4;
  bounds.linger_time_max = 300ms;
  return bounds;
}

/// A handler that stands still until it is let go.
class stuck_handler {
public:
  explicit stuck_handler(const node& of) {
    REQUIRE(of.handle([free = free_](const incoming_request& asked) { // which may outlive this
                free.wait();
                asked.respond("done");
              })
              .has_value());
  }
  ~stuck_handler() { let_go(); }
  void let_go() {
    if (!std::exchange(let_go_, true))
      gate_.set_value();
  }

private:
  std::promise<void> gate_;
  std::shared_future<void> free_{gate_.get_future()};
  bool let_go_ = false;
};

} // namespace

TEST_CASE("floods of pings, credits and cancels are read and forgotten") {
  good_client good;
  auto peer = open_peer(good);
  std::string flood;
  for (std::uint32_t count = 0; count < 20'000; ++count) {
    flood += text_of(bus::encode_ping({count}));
    flood += text_of(encode(bus::credit{0, count, count, 0}));
    flood += cancel(count);
  }
  std::jthread writing([&] {
    peer.write(flood);
    peer.write(bus::encode_ping({1'000'000}));
  });
  std::uint64_t pongs = 0;
  for (std::uint64_t token = 0; token != 1'000'000; ++pongs) {
    const auto pong = peer.read_frame(frame_kind::pong, patience);
    REQUIRE(pong.has_value());
    token = bus::decode_probe(pong->body)->token;
  }
  CHECK(pongs <= 20'001);
}

TEST_CASE("more requests than the bound end the connection, which is told so") {
  good_client good(few_requests());
  stuck_handler handler(good.attacked());
  auto peer = open_peer(good);
  for (std::uint32_t id = 1; id <= 4; ++id)
    peer.write(request(id, "\xc0"));
  peer.write(bus::encode_ping({9}));
  CHECK(peer.read_frame(frame_kind::pong, patience).has_value());
  peer.write(request(5, "\xc0"));
  CHECK(goodbye_of(peer) == errc::window_exceeded);
  CHECK(good.disconnects(errc::window_exceeded) == 1);
  handler.let_go();
}

TEST_CASE("a peer that asks without end and reads no answer is cut off") {
  good_client good(few_requests());
  auto peer = open_peer(good, 4096); // nobody handles: each request is answered with a failure
  std::string many;
  for (std::uint32_t id = 1; id <= 1000; ++id)
    many += request(id, "\xc0");
  std::jthread flood([&] {
    while (!hung_up(peer, 0ms))
      peer.write(many);
  });
  CHECK(good.disconnects(errc::window_exceeded) == 1);
}

TEST_CASE("who asks and gives up in turns has no more in a handler's hands than who waits") {
  good_client good(few_requests());
  auto handler = std::make_unique<stuck_handler>(good.attacked());
  auto peer = open_peer(good);
  const auto ask_and_give_up = [&](std::uint32_t id) {
    peer.write(request(id, "\xc0"));
    peer.write(cancel(id));
    return failures_of(peer, 1).front();
  };
  for (std::uint32_t id = 1; id <= 4; ++id)
    CHECK(ask_and_give_up(id) == errc::canceled);
  for (std::uint32_t id = 5; id <= 50; ++id) {
    peer.write(request(id, "\xc0"));
    CHECK(failures_of(peer, 1) == std::vector{errc::congested});
  }
  handler->let_go();
  // Once the handler has let go of them there is room again.
  std::optional<raw_frame> answer;
  const auto deadline = std::chrono::steady_clock::now() + patience;
  for (std::uint32_t id = 51; std::chrono::steady_clock::now() < deadline; ++id) {
    peer.write(request(id, "\xc0"));
    answer = peer.read_frame(patience);
    while (answer && answer->header.kind < frame_kind::response) // credit and the like
      answer = peer.read_frame(patience);
    if (!answer || answer->header.kind == frame_kind::response)
      break;
  }
  REQUIRE(answer.has_value());
  CHECK(answer->header.kind == frame_kind::response);
}

TEST_CASE("large answers that nobody reads are bounded by the outbox") {
  limits bounds;
  bounds.outbox_bytes_max = 1 << 20;
  bounds.stall_time_max = 20s;
  good_client good(bounds);
  REQUIRE(good.attacked()
            .handle([](const incoming_request& asked) {
              asked.respond_bytes(payload::copy_of(std::string(100'000, 'a')));
            })
            .has_value());
  auto peer = open_peer(good, 4096);
  for (std::uint32_t id = 1; id <= 200; ++id)
    peer.write(request(id, "\xc0"));
  // All are answered: as many as fit, and what did not fit with a failure.
  std::size_t answers = 0, failures = 0;
  while (answers + failures < 200) {
    const auto each = peer.read_frame(patience);
    REQUIRE(each.has_value());
    answers += each->header.kind == frame_kind::response ? 1 : 0;
    if (each->header.kind == frame_kind::failure) {
      ++failures;
      CHECK(bus::decode_failure(each->body)->what.reason == errc::congested);
    }
  }
  CHECK(answers >= 10);
}
