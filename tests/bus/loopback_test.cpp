// What a node sends to itself: in order, within a window, with an account.
#include "postbus/bus/loopback.hpp"

#include "postbus/bus/node.hpp"
#include "postbus/codecs/frame.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace postbus;
using bus::outbox;

namespace {

class counting_receipt final : public bus::receipt {
public:
  int woken = 0;

protected:
  void wake() noexcept override { ++woken; }
};

void put(outbox& box, std::size_t bytes, std::uint16_t tag = 0) {
  const auto body = payload::copy_of(std::string(bytes, static_cast<char>('a' + tag % 26)));
  REQUIRE(box.push(outbox::lane::data, {.tag = tag}, body) == send_outcome::accepted);
}

struct own_world {
  explicit own_world(limits bounds = {}) : core(make(bounds), time_point{}), box(bounds) {}

  bus::node::options make(const limits& bounds) {
    charge = new counting_receipt;
    bus::node::options how;
    how.id = node_id::random();
    how.bounds = std::make_shared<const limits>(bounds);
    how.own_charge = bus::shared<bus::receipt>::adopt(charge);
    return how;
  }
  bus::subscription_id subscribe() {
    return core.subscribe({}, bus::shared<bus::receipt>::adopt(new bus::receipt));
  }
  /// Delivers what may be, and says the tags that came.
  std::string deliver() {
    while (core.deliver_own(box)) {
    }
    return drain();
  }
  std::string drain() {
    std::string tags;
    while (auto what = core.next()) {
      if (auto* told = std::get_if<bus::node::tell_subscriber>(&*what)) {
        if (auto* some = std::get_if<batch>(&told->what.what)) {
          CHECK(some->from() == core.id());
          for (const auto& each : *some)
            tags += std::to_string(each.tag()) + " ";
          held.push_back(std::move(*some));
        } else {
          tags +=
            std::holds_alternative<closed>(std::get<node_event>(told->what.what)) ? "closed " : "";
        }
      }
    }
    return tags;
  }

  counting_receipt* charge = nullptr;
  bus::node core;
  outbox box;
  std::vector<batch> held;
};

limits small_window() {
  limits bounds;
  bounds.window_bytes_min = 1000;
  bounds.window_bytes_max = 1000;
  bounds.batches_in_flight_max = 100;
  return bounds;
}

} // namespace

TEST_CASE("messages to itself wait for the first subscriber, and come in order") {
  own_world world;
  for (std::uint16_t tag = 1; tag <= 3; ++tag)
    put(world.box, tag == 2 ? 100'000 : 10, tag);
  CHECK(world.deliver().empty());
  CHECK(world.box.data_frames() == 3);
  world.subscribe();
  CHECK(world.deliver() == "1 2 3 ");
  CHECK(world.box.data_frames() == 0);
  CHECK(world.held[0].begin().operator*().bytes().size() == 10);
  std::size_t bytes = 0;
  for (const auto& each : world.held)
    for (const auto& one : each)
      bytes += one.bytes().size();
  CHECK(bytes == 100'020);
}

TEST_CASE("what subscribers have not let go of holds back what comes next") {
  own_world world(small_window());
  world.subscribe();
  for (std::uint16_t tag = 1; tag <= 6; ++tag)
    put(world.box, 392, tag); // 400 with the header: a third begins while 800 of 1,000 are held
  CHECK(world.deliver() == "1 2 3 ");
  CHECK(world.core.own().sent == 3);
  CHECK(world.core.own().taken == 0);
  CHECK(world.deliver().empty());
  CHECK(world.charge->woken == 0);
  world.held.clear();
  CHECK(world.charge->woken == 1);
  CHECK(world.deliver() == "4 5 6 ");
  world.held.clear();
  CHECK(world.core.own().taken == 6);
  put(world.box, 5000, 7); // an empty window takes one of any size
  CHECK(world.deliver() == "7 ");
}

TEST_CASE("empty messages to itself count against the window, too") {
  own_world world(small_window());
  world.subscribe();
  for (int count = 0; count < 100; ++count)
    put(world.box, 0, 1);
  (void)world.deliver();
  CHECK(world.core.own().sent == 1000 / 32);
}

TEST_CASE("a node that closes hands on what it has sent to itself, before closed") {
  own_world world(small_window());
  world.subscribe();
  for (std::uint16_t tag = 1; tag <= 6; ++tag)
    put(world.box, 392, tag);
  CHECK(world.deliver() == "1 2 3 ");
  world.core.deliver_all_own(world.box);
  CHECK(world.box.is_closed());
  world.core.close({errc::closed, blame::local, {}}, {}, time_point{});
  CHECK(world.drain() == "4 5 6 closed ");
  world.held.clear();
  CHECK(world.core.own().sent == 6);
  CHECK(world.core.own().taken == 6);
  CHECK(world.core.own().unclaimed == 0);
}

TEST_CASE("messages to itself that nobody wants any more are unclaimed") {
  auto bounds = small_window();
  bounds.batches_in_flight_max = 1;
  own_world world(bounds);
  const auto who = world.subscribe();
  put(world.box, 10, 1);
  CHECK(world.deliver() == "1 ");
  put(world.box, 10, 2);
  CHECK(world.deliver().empty()); // in the subscription's queue
  CHECK(world.core.unsubscribe(who));
  CHECK(world.core.own().unclaimed == 1);
  put(world.box, 10, 3);
  world.core.deliver_all_own(world.box);
  CHECK(world.core.own().unclaimed == 2);
  world.held.clear();
  CHECK(world.core.own().taken == 3);
}
