// A subscriber that takes nothing, with each policy, beside one that takes everything: what it costs the
// other, and that every message is counted in one place: received = delivered + dropped + unclaimed.
#include "postbus/codecs/chunk_pool.hpp"
#include "postbus/postbus.hpp"
#include "postbus/tests/support/sending.hpp"

#include <doctest/doctest.h>

#include <future>
#include <vector>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

constexpr int sent = 50'000;
constexpr std::uint64_t queue_messages = 1'000;

/// So that what comes at once, and so what is in a subscriber's hands, is little beside all of it.
limits narrow() {
  limits bounds;
  bounds.window_bytes_min = bounds.window_bytes_max = 16 << 10;
  return bounds;
}

/// What a subscriber was given: messages, what it was told is missing, and how it ended.
struct tally {
  std::uint64_t messages = 0;
  std::uint64_t dropped = 0;
  int gaps = 0;
  int last = -1;
  bool in_order = true;
  std::optional<subscription_ended> ended;
  std::optional<disconnected> gone;

  void add(const inbox::either& what) {
    if (const auto* came = std::get_if<message>(&what)) {
      const auto number = came->as<int>().value_or(-1);
      in_order = in_order && number > last;
      last = number;
      ++messages;
      return;
    }
    const auto& event = std::get<node_event>(what);
    if (const auto* lost = std::get_if<messages_dropped>(&event)) {
      dropped += lost->messages;
      ++gaps;
    } else if (const auto* over = std::get_if<subscription_ended>(&event)) {
      ended = *over;
    } else if (const auto* down = std::get_if<disconnected>(&event)) {
      gone = *down;
    }
  }
};

tally read_all(inbox& from) {
  tally seen;
  while (auto came = from.next(patience)) {
    seen.add(*came);
    if (seen.gone || seen.ended)
      break;
  }
  return seen;
}

} // namespace

TEST_CASE(
  "a stuck subscriber that drops costs the one beside it nothing, and every message is counted") {
  for (const auto policy :
       {slow_policy::drop_oldest, slow_policy::drop_newest, slow_policy::disconnect}) {
    CAPTURE(to_string(policy));
    runtime bus;
    connected_pair pair(bus, narrow());
    auto good = pair.far.inbox();
    auto stuck = pair.far.inbox({.policy = policy, .queue_messages_max = queue_messages});
    auto sending =
      std::async(std::launch::async, [&] { return send_numbers(pair.near, pair.far.id(), sent); });
    for (int number = 0; number < sent; ++number) {
      auto came = good.next_message(patience);
      REQUIRE(came.has_value());
      REQUIRE(came->as<int>().value_or(-1) == number);
    }
    REQUIRE(sending.get());

    const auto counted = stuck.counters();
    if (policy == slow_policy::disconnect) {
      CHECK(counted.error() == errc::bad_option);
    } else {
      REQUIRE(counted.has_value());
      CHECK(counted->messages_taken == sent);
      CHECK(counted->messages_taken
            == counted->messages_delivered + counted->messages_dropped + counted->messages_queued);
      CHECK(counted->messages_queued == queue_messages);
      CHECK(counted->bytes_dropped > 9 * counted->messages_dropped);
    }
    REQUIRE(pair.near.close().has_value());
    const auto seen = read_all(stuck);
    CHECK(seen.in_order);
    if (policy == slow_policy::disconnect) {
      REQUIRE(seen.ended.has_value());
      CHECK(seen.ended->reason.code == errc::subscriber_too_slow);
      CHECK(seen.last == static_cast<int>(seen.messages) - 1); // nothing is missing in between
      CHECK(seen.ended->messages_dropped > queue_messages);
      CHECK(stuck.next(0s).error() == errc::subscriber_too_slow);
    } else {
      CHECK(seen.gaps == 1);
      CHECK(seen.messages + seen.dropped == sent);
      CHECK(seen.dropped == counted->messages_dropped);
      CHECK((policy == slow_policy::drop_oldest
               ? seen.last == sent - 1
               : seen.last == static_cast<int>(seen.messages) - 1));
      REQUIRE(seen.gone.has_value());
      CHECK(seen.gone->messages_received == sent);
      CHECK(seen.gone->messages_unclaimed == 0);
    }
    const auto end = next_event<disconnected>(good);
    REQUIRE(end.has_value());
    CHECK(end->messages_received == sent);
    CHECK(end->messages_unclaimed == 0);
  }
}

TEST_CASE("alone, a stuck subscriber that drops holds nobody back, and received is what it was "
          "counted as") {
  for (const auto policy :
       {slow_policy::drop_oldest, slow_policy::drop_newest, slow_policy::disconnect}) {
    CAPTURE(to_string(policy));
    runtime bus;
    connected_pair pair(bus, narrow());
    auto events = pair.far.inbox({.messages = false});
    auto stuck = pair.far.inbox(
      {.filter = {.tags = {0, 2}}, .policy = policy, .queue_messages_max = queue_messages});
    // Once it is cut off there is nobody left, and no credit: what is not sent by then never is.
    int count = sent;
    if (policy == slow_policy::disconnect) {
      count = 0;
      auto sender = pair.near.to(pair.far.id());
      while (stuck.counters().has_value() && count < sent) {
        REQUIRE(
          sender.send(count, {.tag = static_cast<std::uint16_t>(count % 3), .within = patience})
          == send_outcome::accepted);
        ++count;
      }
      REQUIRE(count < sent);
    } else {
      REQUIRE(send_numbers(pair.near, pair.far.id(), sent, 3));
    }
    REQUIRE(pair.near.close(500ms).has_value());
    const auto end = next_event<disconnected>(events);
    REQUIRE(end.has_value());
    const auto seen = read_all(stuck);
    const auto dropped = seen.ended ? seen.ended->messages_dropped : seen.dropped;
    CHECK(end->messages_received == seen.messages + dropped + end->messages_unclaimed);
    if (policy != slow_policy::disconnect) {
      CHECK(end->messages_received == sent);
      CHECK(end->messages_unclaimed == (sent + 1) / 3); // the tag 1
    }
  }
}

TEST_CASE(
  "a stuck subscriber that blocks holds its own peers back, and not those its filter leaves out") {
  runtime bus;
  connected_pair pair(bus);
  const auto other = bus.spawn_node();
  REQUIRE(other.connect(pair.endpoint).has_value());
  auto stuck = pair.far.inbox({.events = false, .filter = {.peers = {pair.near.id()}}});
  auto good = pair.far.inbox({.events = false, .filter = {.peers = {other.id()}}});
  auto outcome = send_outcome::accepted;
  std::uint64_t held = 0;
  const std::vector<std::byte> body(1000);
  for (; outcome == send_outcome::accepted; held += outcome == send_outcome::accepted ? 1 : 0)
    outcome = pair.near.send_bytes(pair.far.id(), body);
  CHECK(outcome == send_outcome::congested);
  auto sending =
    std::async(std::launch::async, [&] { return send_numbers(other, pair.far.id(), sent); });
  for (int number = 0; number < sent; ++number)
    REQUIRE(good.next_message(patience)->as<int>().value_or(-1) == number);
  CHECK(sending.get());
  for (; held > 0; --held)
    REQUIRE(stuck.next_message(patience).has_value());
  const auto counted = stuck.counters();
  REQUIRE(counted.has_value());
  CHECK(counted->messages_dropped == 0);
}

TEST_CASE("a stuck actor is treated by its policy, too, and asks for its counters by message") {
  runtime bus;
  connected_pair pair(bus, narrow());
  // It keeps every batch that it gets until it is told to let go, and then counts what comes.
  struct hoard {
    std::vector<batch> held;
    std::uint64_t messages = 0, dropped = 0;
    bool lets_go = false;
  };
  auto state = std::make_shared<hoard>();
  std::promise<hoard> end;
  auto ended = end.get_future();
  auto who = bus.system().spawn([&, state](caf::event_based_actor* self) -> caf::behavior {
    return {
      [=](const batch& some) {
        state->messages += some.size();
        if (!state->lets_go)
          state->held.push_back(some);
      },
      [=](const messages_dropped& lost) { state->dropped += lost.messages; },
      [=](const std::string&) {
        state->lets_go = true;
        state->held.clear();
      },
      [=](const connected&) {},
      [=, &end](const disconnected&) {
        end.set_value(*state);
        self->quit();
      },
    };
  });
  const auto its = pair.far.subscribe({.subscriber = who,
                                       .mode = delivery_mode::batch,
                                       .policy = slow_policy::drop_oldest,
                                       .queue_bytes_max = 10'000});
  REQUIRE(its.has_value());
  auto good = pair.far.inbox({.events = false});
  auto sending =
    std::async(std::launch::async, [&] { return send_numbers(pair.near, pair.far.id(), sent); });
  for (int number = 0; number < sent; ++number)
    REQUIRE(good.next_message(patience)->as<int>().value_or(-1) == number);
  REQUIRE(sending.get());

  caf::scoped_actor self{bus.system()};
  subscription_counters counted;
  ask(&*self, pair.far.actor(), patience, count_messages{*its})
    .receive([&](const subscription_counters& answer) { counted = answer; },
             [](const caf::error& why) { FAIL(render(why)); });
  CHECK(counted == pair.far.counters(*its).value_or(subscription_counters{}));
  CHECK(counted.messages_taken == sent);
  CHECK(counted.bytes_queued <= 10'000);
  CHECK(counted.messages_queued > 0);
  CHECK(counted.messages_taken
        == counted.messages_delivered + counted.messages_dropped + counted.messages_queued);
  ask(&*self, pair.far.actor(), patience, count_messages{{its->id + 100}})
    .receive([](const subscription_counters&) { FAIL("there is none"); },
             [](const caf::error& why) { CHECK(from_caf(why).code == errc::bad_option); });

  post(who, std::string("let go"));
  REQUIRE(pair.near.close().has_value());
  REQUIRE(ended.wait_for(patience) == std::future_status::ready);
  const auto seen = ended.get();
  CHECK(seen.messages + seen.dropped == sent);
  CHECK(seen.dropped == counted.messages_dropped);
}

TEST_CASE("what waits for a stuck subscriber that drops is bounded in memory") {
  runtime bus;
  connected_pair pair(bus);
  auto good = pair.far.inbox({.events = false});
  auto stuck = pair.far.inbox({.policy = slow_policy::drop_oldest, .queue_bytes_max = 1u << 20});
  const std::vector<std::byte> body(10'000);
  const auto before = codecs::chunk_pool::held_bytes();
  for (int number = 0; number < 5'000; ++number) {
    REQUIRE(pair.near.send_bytes(pair.far.id(), body, {.within = patience})
            == send_outcome::accepted);
    REQUIRE(good.next_message(patience).has_value());
  }
  // 50 MB went by: what is queued, four batches in its hands, what lies on the way, and chunks' ends.
  CHECK(codecs::chunk_pool::held_bytes() - before < (8u << 20));
  CHECK(stuck.counters().value_or(subscription_counters{}).bytes_queued <= (1u << 20));
}

TEST_CASE("an actor that subscribes again and again is forgotten as a whole when it dies") {
  runtime bus;
  connected_pair pair(bus);
  auto who = bus.system().spawn([](caf::event_based_actor* self) -> caf::behavior {
    return {
      [](const message&) {},
      [](const connected&) {},
      [self](const std::string&) { self->quit(); },
    };
  });
  for (int times = 0; times < 500; ++times) {
    const auto short_lived = pair.far.subscribe({.subscriber = who, .events = false});
    REQUIRE(short_lived.has_value());
    pair.far.unsubscribe(*short_lived);
  }
  const auto first = pair.far.subscribe({.subscriber = who, .events = false});
  const auto second = pair.far.subscribe({.subscriber = who, .events = false});
  REQUIRE(pair.far.counters(*first).has_value());
  REQUIRE(pair.far.counters(*second).has_value());
  auto gone = std::make_shared<std::promise<void>>();
  who->attach_functor([gone] { gone->set_value(); });
  post(who, std::string("end"));
  REQUIRE(gone->get_future().wait_for(patience) == std::future_status::ready);
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (pair.far.counters(*first).has_value() || pair.far.counters(*second).has_value())
    REQUIRE(std::chrono::steady_clock::now() < deadline);
  // One that is over already is forgotten at once.
  const auto late = pair.far.subscribe({.subscriber = who, .events = false});
  REQUIRE(late.has_value());
  while (pair.far.counters(*late).has_value())
    REQUIRE(std::chrono::steady_clock::now() < deadline);
}
