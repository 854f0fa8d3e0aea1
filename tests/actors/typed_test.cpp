// Messages by their type: the tag goes along by itself, an inbox and an actor get values, and what does
// not decode is told.
#include "postbus/postbus.hpp"
#include "postbus/tests/support/expect.hpp"

#include <doctest/doctest.h>

#include <future>
#include <string>
#include <vector>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

struct chat {
  std::string room;
  std::string text;
  POSTBUS_MESSAGE(chat, 7, room, text)
};

struct step {
  int x = 0;
  int y = 0;
  POSTBUS_MESSAGE(step, 8, x, y)
};

/// A view into the message.
struct glance {
  std::string_view text;
  POSTBUS_MESSAGE(glance, 9, text)
};

} // namespace

TEST_CASE("a typed inbox gets the messages of its type, by their tag") {
  runtime bus;
  connected_pair pair(bus);
  typed_inbox<chat> chats(pair.far);
  typed_inbox<glance> glances(pair.far);
  const auto& to = pair.far.id();
  REQUIRE(pair.near.send(to, step{1, 2}) == send_outcome::accepted);
  REQUIRE(pair.near.send(to, chat{"kitchen", "hello"}) == send_outcome::accepted);
  REQUIRE(pair.near.send(to, glance{"a view"}) == send_outcome::accepted);
  REQUIRE(pair.near.to(to).send(chat{"attic", "anybody?"}) == send_outcome::accepted);

  const auto first = chats.next(patience);
  REQUIRE(first.has_value());
  CHECK(first->from() == pair.near.id());
  CHECK(first->value.room == "kitchen");
  CHECK(first->whole.tag() == 7);
  CHECK(chats.next(patience)->value.text == "anybody?");
  CHECK(chats.next(0s).error() == errc::timeout);
  const auto nothing = chats.try_next();
  REQUIRE(nothing.has_value());
  CHECK_FALSE(nothing->has_value());
  CHECK(glances.next(patience)->value.text == "a view");
  CHECK(chats.undecodable() == 0);
}

TEST_CASE("what carries the tag and is no such value is told, counted, and stops nobody") {
  runtime bus;
  connected_pair pair(bus);
  typed_inbox<chat> chats(pair.far, {.policy = slow_policy::drop_oldest});
  const auto& to = pair.far.id();
  const std::vector<std::byte> bytes(3);
  REQUIRE(pair.near.send(to, 5, {.tag = 7}) == send_outcome::accepted);
  REQUIRE(pair.near.send_bytes(to, bytes, {.tag = 7}) == send_outcome::accepted);
  REQUIRE(pair.near.send(to, chat{"kitchen", "hello"}) == send_outcome::accepted);
  REQUIRE(pair.near.send(to, chat{"kitchen", "hello"}, {.tag = 0}) == send_outcome::accepted);
  for (int times = 0; times < 2; ++times) {
    const auto wrong = chats.next(patience);
    REQUIRE(!wrong);
    CHECK(wrong.error().code == errc::wrong_type);
    CHECK(wrong.error().by == blame::remote);
    CHECK(wrong.error().detail.ends_with(to_string(pair.near.id())));
  }
  CHECK(chats.undecodable() == 2);
  CHECK(chats.next(patience)->value.text == "hello");
  CHECK(chats.next(0s).error() == errc::timeout);
  REQUIRE(pair.near.close().has_value());
  REQUIRE(pair.far.close().has_value());
  CHECK(chats.next(patience).error() == errc::node_closed);
  CHECK(chats.try_next().error() == errc::node_closed);
}

TEST_CASE(
  "an actor handles types, subscribed by a call or by a message, and what is none of them") {
  runtime bus;
  for (const bool by_message : {false, true}) {
    CAPTURE(by_message);
    connected_pair pair(bus);
    auto lines = std::make_shared<std::string>();
    std::promise<std::string> end;
    auto ended = end.get_future();
    auto who = bus.system().spawn([&, lines](caf::event_based_actor*) -> caf::behavior {
      return {on_message<chat, step>(
        [=](const node_id&, chat& said) { *lines += said.room + ": " + said.text + "\n"; },
        [=, &end](const node_id& from, const step& made) {
          *lines += std::to_string(made.x) + "," + std::to_string(made.y) + "\n";
          if (made.x == 9)
            end.set_value(*lines + (from == pair.near.id() ? "from near" : "from somebody"));
        },
        [=](const message& bad, const error& why) {
          *lines += std::to_string(bad.tag()) + " " + std::string(to_string(why.code)) + "\n";
        })};
    });
    subscription its;
    if (by_message) {
      caf::scoped_actor self{bus.system()};
      ask(&*self, pair.far.actor(), patience, subscribe::to<chat, step>(who))
        .receive([&](const subscription& made) { its = made; },
                 [](const caf::error& why) { FAIL(render(why)); });
    } else {
      its = pair.far.subscribe<chat, step>(who).value_or(subscription{});
    }
    const auto& to = pair.far.id();
    CHECK(pair.near.send(to, glance{"not for it"}) == send_outcome::accepted);
    CHECK(pair.near.send(to, chat{"kitchen", "hello"}) == send_outcome::accepted);
    CHECK(pair.near.send(to, 1, {.tag = tag_of<chat>()}) == send_outcome::accepted);
    CHECK(pair.near.send(to, step{9, 4}) == send_outcome::accepted);
    REQUIRE(ended.wait_for(patience) == std::future_status::ready);
    CHECK(ended.get() == "kitchen: hello\n7 wrong_type\n9,4\nfrom near");
    CHECK(pair.far.counters(its).value_or(subscription_counters{}).messages_taken == 3);
    caf::anon_send_exit(who, caf::exit_reason::user_shutdown);
  }
}

TEST_CASE("a message with another tag reaches the handler that is told what is wrong") {
  runtime bus;
  connected_pair pair(bus);
  std::promise<error> end;
  auto ended = end.get_future();
  auto who = bus.system().spawn([&](caf::event_based_actor* self) -> caf::behavior {
    return {
      on_message<step>([](const node_id&, const step&) {},
                       [&, self](const message&, const error& why) {
                         end.set_value(why);
                         self->quit();
                       }),
      [](const connected&) {},
    };
  });
  REQUIRE(pair.far.subscribe({.subscriber = who, .events = false}).has_value()); // to everything
  REQUIRE(pair.near.send(pair.far.id(), chat{}) == send_outcome::accepted);
  REQUIRE(ended.wait_for(patience) == std::future_status::ready);
  CHECK(ended.get() == error{errc::wrong_type, blame::remote, "a message with the tag 7"});
}

TEST_CASE("a typed node sends and receives one type") {
  runtime bus;
  connected_pair pair(bus);
  const typed_node<step> near(pair.near), far(pair.far);
  auto moves = far.inbox();
  CHECK(near.send(far.untyped().id(), {3, 4}) == send_outcome::accepted);
  const auto came = moves.next(patience);
  REQUIRE(came.has_value());
  CHECK(came->value.x == 3);
  CHECK(came->value.y == 4);
  const auto packed = send_message::of(far.untyped().id(), step{1, 1});
  REQUIRE(packed.has_value());
  CHECK(packed->tag == 8);
  CHECK(send_message::of(far.untyped().id(), step{1, 1}, 5)->tag == 5);
  CHECK(far.subscribe(caf::actor{}).error() == errc::bad_option);
}
