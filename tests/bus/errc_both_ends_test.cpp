// Every errc with which a connection can end, or not come to be, provoked once between two nodes on a
// virtual clock: what this end sees of it, what the other end sees, and which statistic counts it.
#include "postbus/tests/support/errc_scene.hpp"

#include <doctest/doctest.h>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

using frame_kind = codecs::frame_kind;

constexpr auto local = blame::local;
constexpr auto remote = blame::remote;
constexpr auto refusals = counted::refusals;
constexpr auto disconnects = counted::disconnects;

error by_program(errc code) {
  return {code, blame::local, "the program's words"};
}

errc_scene::settings deciding() {
  errc_scene::settings how;
  how.b_wants.decides = true;
  return how;
}

/// A, which is connected, says something wrong; B is `here`.
template <class Say>
void break_protocol(witness& seen, Say say, const errc_scene::settings& how = {}) {
  errc_scene of(how);
  of.open();
  say(of);
  of.run(5s);
  of.look_at_ends(seen, of.b, of.a);
}

} // namespace

// -- the table ------------------------------------------------------------------------------------
// errc; how it is provoked; who is to blame and where it is counted at this end; the same at the other.

namespace postbus::test {

template <>
inline constexpr proof proof_of<errc::none>{
  "B gets a message that no program of its wants: nothing went wrong, and the drop has no reason",
  [](witness& seen) {
    errc_scene::settings how;
    how.b_wants.filter.tags = {tag_range(7)};
    errc_scene of(how);
    of.open();
    of.send({});
    of.run(20s);
    const auto drops = of.statistics(of.b).drops;
    REQUIRE(drops.size() == 1);
    CHECK(drops[0].what == drop::unclaimed);
    CHECK(drops[0].messages == 1);
    of.look_at_answer(seen, {drops[0].reason, drops[0].by, {}}, counted::drops);
    CHECK(of.end_of_a().session.account() == send_account{1, 1, 0});
  },
  at_this_end{local, counted::drops}, nobody};

template <>
inline constexpr proof proof_of<errc::unknown>{
  "A's goodbye has a number that this version has no name for",
  [](witness& seen) {
    break_protocol(seen, [](errc_scene& of) {
      of.say(encode(bus::goodbye{static_cast<errc>(9999), 0, {}}));
    });
  },
  at_this_end{remote, disconnects}, view{errc::connection_cut, remote, disconnects}};

template <>
inline constexpr proof proof_of<errc::closed>{
  "A's program disconnects B",
  [](witness& seen) {
    errc_scene of;
    of.open();
    REQUIRE(of.a.of->core.disconnect(of.b.of->core.id(), "enough", 5s).has_value());
    of.run(5s);
    of.look_at_ends(seen, of.a, of.b);
  },
  at_this_end{local, disconnects}, view{errc::closed, remote, disconnects}};

template <>
inline constexpr proof proof_of<errc::idle>{
  "nothing is exchanged for A's idle time, which is the shorter one",
  [](witness& seen) {
    errc_scene::settings how;
    how.of_b.idle_time_max = 10min;
    errc_scene of(how);
    of.open();
    of.run(2min);
    of.look_at_ends(seen, of.a, of.b);
  },
  at_this_end{local, disconnects}, view{errc::idle, remote, disconnects}};

template <>
inline constexpr proof proof_of<errc::shutting_down>{
  "A's runtime goes down; another peer, which is slow, keeps A there for its statistics",
  [](witness& seen) {
    errc_scene of;
    witnessed_node slow(of.world, 3, {}, 1, {}, true);
    of.open();
    (void)of.world.dial(*of.a.of, *slow.of);
    of.run(0s);
    CHECK(of.world.send(*of.a.of, *slow.of, 1) == send_outcome::accepted);
    of.run(0s);
    of.a.of->core.close(by_program(errc::shutting_down), 1h, of.world.now);
    of.run(1s);
    of.look_at_ends(seen, of.a, of.b);
    of.world.let_go(*slow.of, slow.subscription);
    of.run(5s);
    CHECK(of.a.of->finished);
  },
  at_this_end{local, disconnects}, view{errc::shutting_down, remote, disconnects}};

// -- refusals ---------------------------------------------------------------------------------------

template <>
inline constexpr proof proof_of<errc::not_postbus>{
  "whoever dials B speaks HTTP; it is sent no word of ours",
  [](witness& seen) {
    errc_scene of;
    (void)of.dial();
    of.say(payload::copy_of("GET / HTTP/1.1\r\n\r\n"));
    of.run(5s);
    of.look_at_ends(seen, of.b, of.a);
  },
  at_this_end{remote, refusals}, view{errc::connection_cut, remote, refusals}};

template <>
inline constexpr proof proof_of<errc::version_unsupported>{
  "A speaks versions 2 to 3 only",
  [](witness& seen) {
    errc_scene of;
    of.world.alter_dialer = [](bus::session::options& how) {
      how.self.version_min = 2;
      how.self.version_max = 3;
    };
    (void)of.dial();
    of.run(5s);
    of.look_at_ends(seen, of.b, of.a);
  },
  at_this_end{remote, refusals}, view{errc::version_unsupported, remote, refusals}};

template <>
inline constexpr proof proof_of<errc::wrong_node>{
  "A dials somebody else at B's address",
  [](witness& seen) {
    errc_scene of;
    (void)of.world.dial(*of.a.of, *of.b.of, id_of(77));
    of.run(5s);
    of.look_at_ends(seen, of.b, of.a);
  },
  at_this_end{remote, refusals}, view{errc::wrong_node, remote, refusals}};

template <>
inline constexpr proof proof_of<errc::self_connection>{
  "A dials its own address; the listening end finds out, the dialing end is told",
  [](witness& seen) {
    errc_scene of;
    (void)of.world.dial(*of.a.of, *of.a.of);
    of.run(5s);
    const auto both = of.seen_by(of.a);
    REQUIRE(both.size() == 2);
    seen.here = {both[0]};
    seen.there = {both[1]};
  },
  at_this_end{local, refusals}, view{errc::self_connection, remote, refusals}};

template <>
inline constexpr proof proof_of<errc::rejected>{
  "B's program says no",
  [](witness& seen) {
    errc_scene of(deciding());
    (void)of.dial();
    of.run(0s);
    REQUIRE(of.b.of->questions.size() == 1);
    CHECK(of.b.of->core.decide(of.b.of->questions[0].connection, by_program(errc::rejected)));
    of.run(5s);
    of.look_at_ends(seen, of.b, of.a);
    REQUIRE(of.a.dials.size() == 1);
    CHECK(of.a.dials[0].detail == "the program's words");
  },
  at_this_end{local, refusals}, view{errc::rejected, remote, refusals}};

template <>
inline constexpr proof proof_of<errc::already_connected>{
  "A dials B, to which it is connected; its second dial is answered with B all the same",
  [](witness& seen) {
    errc_scene of;
    of.open();
    const auto second = of.dial();
    of.run(5s);
    REQUIRE(of.a.of->dials.contains(second));
    CHECK(of.a.of->dials.at(second).value_or(node_id{}) == of.b.of->core.id());
    of.look_at_ends(seen, of.b, of.a);
  },
  at_this_end{local, refusals}, view{errc::already_connected, remote, refusals}};

template <>
inline constexpr proof proof_of<errc::id_in_use>{
  "another incarnation of A dials B while A is connected, and answers",
  [](witness& seen) {
    errc_scene of;
    of.open();
    witnessed_node again(of.world, 1, {}, 2);
    (void)of.world.dial(*again.of, *of.b.of);
    of.run(5s);
    CHECK(of.world.link(*of.a.of, *of.b.of) != nullptr);
    of.look_at_ends(seen, of.b, again);
  },
  at_this_end{local, refusals}, view{errc::id_in_use, remote, refusals}};

template <>
inline constexpr proof proof_of<errc::handshake_timeout>{
  "B's program does not answer whether A may come in",
  [](witness& seen) {
    errc_scene of(deciding());
    (void)of.dial();
    of.run(10s);
    of.look_at_ends(seen, of.b, of.a);
  },
  at_this_end{local, refusals}, view{errc::handshake_timeout, remote, refusals}};

template <>
inline constexpr proof proof_of<errc::handshake_lost>{
  "the connection breaks while A's welcome, with which it is open there, is on its way to B",
  [](witness& seen) {
    errc_scene of;
    of.world.wires.latency = 1s;
    (void)of.dial();
    of.run(2500ms);
    REQUIRE(of.world.link(*of.a.of, *of.b.of) != nullptr);
    auto& end = of.end_of_a();
    end.in->reset(of.world.now);
    end.out->reset(of.world.now);
    of.run(5s);
    of.look_at_ends(seen, of.a, of.b);
  },
  at_this_end{remote, disconnects}, view{errc::connection_reset, remote, refusals}};

template <>
inline constexpr proof proof_of<errc::too_many_handshakes>{
  "B has one place for those who are not connected yet; C takes it from A, which hears why",
  [](witness& seen) {
    auto how = deciding();
    how.of_b.pending_handshakes_max = 1;
    errc_scene of(how);
    witnessed_node c(of.world, 3, {}, 1);
    (void)of.dial();
    of.run(0s);
    (void)of.world.dial(*c.of, *of.b.of);
    of.run(0s);
    of.look_at_ends(seen, of.b, of.a);
    CHECK(of.seen_by(c).empty()); // still being asked about
  },
  at_this_end{local, refusals}, view{errc::too_many_handshakes, remote, refusals}};

template <>
inline constexpr proof proof_of<errc::too_many_connections>{
  "B takes one connection, which is C's, and is dialed by A",
  [](witness& seen) {
    errc_scene::settings how;
    how.of_b.connections_max = 1;
    errc_scene of(how);
    witnessed_node c(of.world, 3, {}, 1);
    (void)of.world.dial(*c.of, *of.b.of);
    of.run(0s);
    (void)of.dial();
    of.run(5s);
    of.look_at_ends(seen, of.b, of.a);
    CHECK(of.seen_by(c).empty());
  },
  at_this_end{local, refusals}, view{errc::too_many_connections, remote, refusals}};

// -- protocol errors: the reason is the same at both ends, the fault A's ----------------------------

template <>
inline constexpr proof proof_of<errc::malformed_frame>{
  "A sends a ping of seven bytes",
  [](witness& seen) {
    break_protocol(seen, [](errc_scene& of) { of.say(frame_kind::ping, 0, 7); });
  },
  at_this_end{remote, disconnects}, view{errc::malformed_frame, local, disconnects}};

template <>
inline constexpr proof proof_of<errc::unknown_kind>{
  "A sends a frame of a kind that nobody knows",
  [](witness& seen) {
    break_protocol(seen, [](errc_scene& of) { of.say(static_cast<frame_kind>(99), 0, 0); });
  },
  at_this_end{remote, disconnects}, view{errc::unknown_kind, local, disconnects}};

template <>
inline constexpr proof proof_of<errc::unknown_flag>{
  "A sends a message with a flag that nobody knows",
  [](witness& seen) {
    break_protocol(seen, [](errc_scene& of) { of.say(frame_kind::message, 0x80, 0); });
  },
  at_this_end{remote, disconnects}, view{errc::unknown_flag, local, disconnects}};

template <>
inline constexpr proof proof_of<errc::frame_too_large>{
  "A announces a frame of 16 MiB and one byte",
  [](witness& seen) {
    break_protocol(seen,
                   [](errc_scene& of) { of.say(frame_kind::message, 0, 0, (16u << 20) + 1); });
  },
  at_this_end{remote, disconnects}, view{errc::frame_too_large, local, disconnects}};

template <>
inline constexpr proof proof_of<errc::unexpected_frame>{
  "A says welcome once more",
  [](witness& seen) {
    break_protocol(seen, [](errc_scene& of) { of.say(encode(bus::welcome{})); });
  },
  at_this_end{remote, disconnects}, view{errc::unexpected_frame, local, disconnects}};

template <>
inline constexpr proof proof_of<errc::window_exceeded>{
  "A sends a message to B, where nobody takes any and no credit was granted",
  [](witness& seen) {
    errc_scene::settings how;
    how.b_wants.messages = false;
    break_protocol(
      seen, [](errc_scene& of) { of.say(frame_kind::message, 0, 10); }, how);
  },
  at_this_end{remote, disconnects}, view{errc::window_exceeded, local, disconnects}};

// -- lost connections ---------------------------------------------------------------------------------

template <>
inline constexpr proof proof_of<errc::peer_lost>{
  "of what A sends nothing arrives any more; what B says of that does",
  [](witness& seen) {
    errc_scene of;
    of.open();
    auto& out = *of.end_of_a().out;
    out.fail_at(out.bytes_pushed(), fault::silence, of.world.now);
    of.run(1min);
    of.look_at_ends(seen, of.b, of.a);
  },
  at_this_end{remote, disconnects}, view{errc::peer_lost, remote, disconnects}};

template <>
inline constexpr proof proof_of<errc::peer_restarted>{
  "A falls silent, and another incarnation of it dials B; the old one, which still listens, hears "
  "why",
  [](witness& seen) {
    errc_scene of;
    of.open();
    auto& out = *of.end_of_a().out;
    out.fail_at(out.bytes_pushed(), fault::silence, of.world.now);
    witnessed_node again(of.world, 1, {}, 2);
    (void)of.world.dial(*again.of, *of.b.of);
    of.run(3s);
    CHECK(of.world.link(*again.of, *of.b.of) != nullptr);
    of.look_at_ends(seen, of.b, of.a);
  },
  at_this_end{remote, disconnects}, view{errc::peer_restarted, remote, disconnects}};

template <>
inline constexpr proof proof_of<errc::peer_too_slow>{
  "B reads nothing for A's stall time; later it finds what it had not read, and no goodbye behind "
  "it",
  [](witness& seen) {
    errc_scene::settings how;
    how.of_b.idle_time_max = 10min;
    errc_scene of(how);
    of.open();
    auto& out = *of.end_of_a().out;
    out.how.latency = 40s;
    out.how.room_bytes = 1000;
    of.send(std::vector<std::byte>(5000));
    of.run(35s);
    CHECK(of.a.disconnects.size() == 1);
    of.run(40s);
    of.look_at_ends(seen, of.a, of.b);
  },
  at_this_end{remote, disconnects}, view{errc::connection_cut, remote, disconnects}};

template <>
inline constexpr proof proof_of<errc::connection_cut>{
  "the byte stream ends, as seen by both",
  [](witness& seen) {
    errc_scene of;
    of.open();
    of.end_of_a().in->finish(of.world.now);
    of.end_of_a().out->finish(of.world.now);
    of.run(5s);
    of.look_at_ends(seen, of.a, of.b);
  },
  at_this_end{remote, disconnects}, view{errc::connection_cut, remote, disconnects}};

template <>
inline constexpr proof proof_of<errc::connection_reset>{
  "the system reports an error on the connection, to both",
  [](witness& seen) {
    errc_scene of;
    of.open();
    of.end_of_a().in->reset(of.world.now);
    of.end_of_a().out->reset(of.world.now);
    of.run(5s);
    of.look_at_ends(seen, of.a, of.b);
  },
  at_this_end{remote, disconnects}, view{errc::connection_reset, remote, disconnects}};

} // namespace postbus::test

TEST_CASE("every errc of a connection is seen at both ends as the table says, and counted there") {
  check_all_proofs<proved_by::connections>();
}
