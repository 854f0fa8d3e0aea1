// Every errc that a call, a request or the reader of a value is answered with, provoked once between two nodes
// on a virtual clock that stay connected: who sees it, and which statistic counts it.
#include "postbus/bus/decode.hpp"
#include "postbus/tests/support/errc_scene.hpp"

#include <doctest/doctest.h>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

constexpr auto local = blame::local;
constexpr auto remote = blame::remote;
constexpr auto nowhere = counted::nowhere;

/// B, which handles requests, is asked by A and answers; A is `here`.
void ask_and_answer(witness& seen, const bus::request_answer& what,
                    const errc_scene::settings& how = {}) {
  errc_scene of(how);
  of.open();
  (void)of.b.of->core.add_handler({});
  REQUIRE(of.ask().has_value());
  of.run(0s);
  of.respond(what);
  of.run(0s);
  REQUIRE(of.a.answers.size() == 1);
  const auto& told = of.a.answers[0];
  // What a program means by its no comes as a reply; to read it as a value is the error.
  of.look_at_answer(seen, told ? told->as<int>().error() : told.error());
}

/// A sends bytes that are no integer; B, which reads them as one, is `here`. Not the connection's affair.
void read_value(witness& seen, const std::vector<unsigned>& body) {
  errc_scene::settings how;
  how.b_keeps = true;
  errc_scene of(how);
  of.open();
  std::vector<std::byte> bytes;
  for (const auto each : body)
    bytes.push_back(static_cast<std::byte>(each));
  of.send(bytes);
  of.run(0s);
  const auto& held = of.b.of->held[of.b.subscription];
  REQUIRE(held.size() == 1);
  of.look_at_answer(seen, (*held[0].begin()).as<int>().error());
  of.world.let_go(*of.b.of, of.b.subscription);
  of.run(20s);
  CHECK(of.end_of_a().session.account() == send_account{1, 1, 0}); // it was taken
}

} // namespace

// -- the table ------------------------------------------------------------------------------------
// errc; how it is provoked; who is to blame and where it is counted at this end; the same at the other.

namespace postbus::test {

// -- answers to local operations ------------------------------------------------------------------------

template <>
inline constexpr proof proof_of<errc::not_connected>{
  "A's program asks somebody who is not connected",
  [](witness& seen) {
    errc_scene of;
    of.open();
    const auto asked =
      of.a.of->core.ask(id_of(77), {.body = {}, .deadline = of.world.now + 1s}, of.world.now);
    of.look_at_answer(seen, asked.error());
  },
  at_this_end{local, nowhere}, nobody};

template <>
inline constexpr proof proof_of<errc::congested>{
  "A's program asks B, which takes one request at a time, a second thing",
  [](witness& seen) {
    errc_scene::settings how;
    how.of_b.requests_in_flight_max = 1;
    errc_scene of(how);
    of.open();
    (void)of.b.of->core.add_handler({});
    CHECK(of.ask().has_value());
    of.look_at_answer(seen, of.ask().error());
    CHECK(of.b.asked.size() == 1);
  },
  at_this_end{remote, nowhere}, nobody};

template <>
inline constexpr proof proof_of<errc::timeout>{
  "B's program does not answer A in time; its handler is told that nobody waits any more",
  [](witness& seen) {
    errc_scene of;
    of.open();
    (void)of.b.of->core.add_handler({});
    CHECK(of.ask(1s).has_value());
    of.run(2s);
    REQUIRE(of.a.answers.size() == 1);
    CHECK(of.b.called_off.size() == 1);
    of.look_at_answer(seen, of.a.answers[0].error());
  },
  at_this_end{remote, nowhere}, nobody};

template <>
inline constexpr proof proof_of<errc::bad_endpoint>{
  "A is to keep a connection to what is no endpoint",
  [](witness& seen) {
    errc_scene of;
    of.open();
    of.look_at_answer(seen, of.a.of->core.keep_connected({.endpoint = "tcp://"}).error());
  },
  at_this_end{local, nowhere}, nobody};

template <>
inline constexpr proof proof_of<errc::too_large>{
  "B answers with more than A takes in one frame",
  [](witness& seen) {
    errc_scene::settings how;
    how.of_a.frame_bytes_max = 20'000;
    ask_and_answer(seen, bus::response{payload::copy_of(std::string(30'000, 'x')), 0, true}, how);
  },
  at_this_end{remote, nowhere}, nobody};

template <>
inline constexpr proof proof_of<errc::node_closed>{
  "A's program asks while A closes; B, which it would have asked, hears of the close only",
  [](witness& seen) {
    errc_scene of;
    of.open();
    of.a.of->core.close({errc::closed, local, {}}, 1s, of.world.now);
    const auto asked = of.ask();
    seen.here.push_back({asked.error().code, asked.error().by, nowhere});
    of.run(5s);
    CHECK(of.a.of->finished);
    CHECK(of.seen_by(of.b) == std::vector<view>{{errc::closed, remote, counted::disconnects}});
  },
  at_this_end{local, nowhere}, nobody};

template <>
inline constexpr proof proof_of<errc::bad_option>{
  "A is to show peers an init message of 9 KiB",
  [](witness& seen) {
    errc_scene of;
    of.open();
    const auto init = payload::copy_of(std::string(9u << 10, 'x'));
    of.look_at_answer(seen, of.a.of->core.init_message(init).error());
  },
  at_this_end{local, nowhere}, nobody};

template <>
inline constexpr proof proof_of<errc::no_handler>{
  "A's program asks B, where nobody handles requests",
  [](witness& seen) {
    errc_scene of;
    of.open();
    REQUIRE(of.ask().has_value());
    of.run(0s);
    REQUIRE(of.a.answers.size() == 1);
    of.look_at_answer(seen, of.a.answers[0].error());
  },
  at_this_end{remote, nowhere}, nobody};

template <>
inline constexpr proof proof_of<errc::request_failed>{
  "B's program says no to A's request, and A's reads that as a value",
  [](witness& seen) {
    ask_and_answer(seen, bus::failure{errc::request_failed, 404, "no such thing"});
  },
  at_this_end{remote, nowhere}, nobody};

template <>
inline constexpr proof proof_of<errc::subscriber_too_slow>{
  "B's program lets only so much wait, takes nothing, and is cut off; A's messages count as taken",
  [](witness& seen) {
    errc_scene::settings how;
    how.of_b.batches_in_flight_max = 1;
    how.b_wants.policy = slow_policy::disconnect;
    how.b_wants.queue_messages_max = 1;
    how.b_keeps = true;
    errc_scene of(how);
    of.open();
    for (int number = 0; number < 3; ++number) {
      of.send({});
      of.run(0s);
    }
    REQUIRE(of.b.cut_off.size() == 1);
    of.world.let_go(*of.b.of, of.b.subscription);
    of.run(20s);
    CHECK(of.end_of_a().session.account().confirmed == 3);
    CHECK(of.b.cut_off[0].messages_dropped == 2); // of three: the first is in the program's hands
    const auto drops = of.statistics(of.b).drops;
    REQUIRE(drops.size() == 1);
    CHECK(drops[0].what == drop::too_slow);
    CHECK(drops[0].messages == 2);
    of.look_at_answer(seen, of.b.cut_off[0].reason, counted::subscription);
  },
  at_this_end{local, counted::subscription}, nobody};

// -- values: the reader's affair, and no connection's -------------------------------------------------------

template <>
inline constexpr proof proof_of<errc::truncated_value>{"a text of five bytes of which one is there",
                                                       [](witness& seen) {
                                                         read_value(seen, {0xa5, 'x'});
                                                       },
                                                       at_this_end{local, nowhere}, nobody};

template <>
inline constexpr proof proof_of<errc::trailing_bytes>{"two values",
                                                      [](witness& seen) {
                                                        read_value(seen, {1, 2});
                                                      },
                                                      at_this_end{local, nowhere}, nobody};

template <>
inline constexpr proof proof_of<errc::wrong_type>{"a text",
                                                  [](witness& seen) {
                                                    read_value(seen, {0xa1, 'x'});
                                                  },
                                                  at_this_end{local, nowhere}, nobody};

template <>
inline constexpr proof proof_of<errc::too_deep>{
  "an array in an array, seventy times",
  [](witness& seen) { read_value(seen, std::vector<unsigned>(70, 0x91)); },
  at_this_end{local, nowhere}, nobody};

template <>
inline constexpr proof proof_of<errc::too_many_elements>{
  "an array of 268 million, in five bytes",
  [](witness& seen) {
    read_value(seen, {0xdd, 0x0f, 0xff, 0xff, 0xff});
  },
  at_this_end{local, nowhere}, nobody};

template <>
inline constexpr proof proof_of<errc::malformed_value>{
  "the byte that begins nothing", [](witness& seen) { read_value(seen, {0xc1}); },
  at_this_end{local, nowhere}, nobody};

} // namespace postbus::test

TEST_CASE("every errc that answers a call is provoked, and seen and counted as the table says") {
  check_all_proofs<proved_by::answers>();
}
