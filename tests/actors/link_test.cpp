// Links of a peer that comes and goes: what is held stays within its bound however often it does, and who
// asks to be told of room is told by whichever link has some.
#include "postbus/actors/link.hpp"
#include "postbus/postbus.hpp"
#include "postbus/tests/support/expect.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace postbus;
using namespace postbus::actors;

namespace {

constexpr std::size_t bytes_max = std::size_t{64} << 10;
const std::string body(1000, 'x');

node_id the_peer() {
  node_id::bytes_type bytes{};
  bytes[0] = std::byte{2};
  return node_id{bytes};
}

limits narrow() {
  limits bounds;
  bounds.outbox_bytes_max = bytes_max;
  return bounds;
}

/// A connection that takes nothing, over and over, and what is held between two of them.
struct flapping {
  flapping() { come(); }

  /// As the node does when a connection opens: what was held goes to it.
  void come() {
    session = std::make_unique<bus::session>(options(), time_point{});
    auto next = std::make_shared<actors::link>(narrow(), budget);
    next->open(the_peer(), UINT32_MAX);
    if (hold)
      CHECK(hold->move_to(*next, [] {}).empty());
    at = std::move(next);
    hold = std::make_shared<actors::link>(*at, bytes_max, UINT64_MAX);
    at->successor(hold);
  }
  /// The connection is gone, which its link sees; that the node sees it is another matter.
  void go() {
    session->fail(errc::connection_reset, {});
    at->pull(*session, {});
  }
  void node_sees() {
    while (auto event = session->next_event())
      if (auto* end = std::get_if<bus::ended>(&*event))
        hold->put_first(std::move(end->unsent));
  }
  /// Sends until it is not taken.
  std::uint64_t fill() {
    std::optional<duration> at_once;
    std::uint64_t taken = 0;
    while (at->send({}, std::as_bytes(std::span(body)), at_once) == send_outcome::accepted)
      ++taken;
    return taken;
  }
  static bus::session::options options() {
    bus::session::options how;
    how.self.id = node_id::random();
    how.self.incarnation = 1;
    return how;
  }

  std::shared_ptr<outbox_budget> budget = std::make_shared<outbox_budget>(std::size_t{1} << 30);
  std::unique_ptr<bus::session> session;
  std::shared_ptr<actors::link> at;
  std::shared_ptr<actors::link> hold;
};

} // namespace

TEST_CASE("what is held for a peer that flaps stays within its bound") {
  flapping world;
  const auto most = world.fill(); // of one outbox; the hold is as large
  REQUIRE(most > 50);
  for (int flap = 0; flap < 10; ++flap) {
    CAPTURE(flap);
    world.go();
    CHECK(world.fill() == 0); // the hold is full of what the connection has left
    world.node_sees();
    CHECK(world.fill() == 0);
    CHECK(world.hold->frames_waiting() == most);
    world.come();
    CHECK(world.fill() == 0);
    CHECK(world.at->frames_waiting() == most);
  }
}

TEST_CASE("a hold takes what fits beside that which the connection has left") {
  flapping world;
  std::optional<duration> at_once;
  const auto send = [&] { return world.at->send({}, std::as_bytes(std::span(body)), at_once); };
  for (int count = 0; count < 10; ++count)
    REQUIRE(send() == send_outcome::accepted);
  world.go();
  const auto more = world.fill();
  CHECK(more > 40);
  CHECK((10 + more) * (body.size() + codecs::frame_header_bytes) <= bytes_max);
  world.node_sees();
  CHECK(world.hold->frames_waiting() == 10 + more);
  CHECK(world.fill() == 0);
}

TEST_CASE("what can never be held is told as such, also behind a connection that has left much") {
  flapping world;
  (void)world.fill();
  world.go();
  std::optional<duration> at_once;
  auto small = std::make_shared<actors::link>(narrow(), world.budget);
  small->open(the_peer(), 10);
  actors::link hold(*small, bytes_max, UINT64_MAX);
  CHECK(hold.send({}, std::as_bytes(std::span(body)), at_once) == send_outcome::too_large);
  (void)hold.take_all();
  CHECK(hold.send({}, std::as_bytes(std::span(body)), at_once) == send_outcome::closed);
}

TEST_CASE("who asks for room on a link that is over is told by the one behind it") {
  runtime bus;
  flapping world;
  caf::scoped_actor self{bus.system()};
  const auto whom = caf::actor_cast<caf::actor>(self);
  world.go();
  world.node_sees();
  CHECK(world.at->notify_writable(whom, 0)); // the hold is empty
  self->receive([](const writable& told) { CHECK(told.peer == the_peer()); });
  (void)world.hold->take_all();
  CHECK_FALSE(world.at->notify_writable(whom, 0));
}

TEST_CASE("who asked while a connection had left too much is told when that turns out to be less") {
  runtime bus;
  flapping world;
  (void)world.fill();
  caf::scoped_actor self{bus.system()};
  world.go();
  CHECK(world.at->notify_writable(caf::actor_cast<caf::actor>(self), 0));
  world.hold->put_first({}); // the peer had taken it all
  self->receive([](const writable& told) { CHECK(told.peer == the_peer()); });
}

TEST_CASE("the bounds of a link can be changed") {
  flapping world;
  const auto most = world.fill();
  auto wider = narrow();
  wider.outbox_bytes_max = 2 * bytes_max;
  world.at->bounds(wider);
  CHECK(world.fill() >= most);
}
