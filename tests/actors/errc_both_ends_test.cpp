// Every errc that only real sockets, threads and systems bring about, provoked once between two nodes that
// stay connected: who sees it, and that the other end notices nothing. The table is whole or does not compile.
#include "postbus/tests/support/errc_proof.hpp"
#include "postbus/tests/support/expect.hpp"
#include "postbus/tests/support/raw_peer.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <future>
#include <thread>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

constexpr auto local = blame::local;
constexpr auto remote = blame::remote;
constexpr auto nowhere = counted::nowhere;

/// What the statistics of a node count as ended or refused.
std::vector<view> seen_by(const node& of) {
  const auto told = of.statistics(patience);
  REQUIRE(told.has_value());
  std::vector<view> out;
  for (const auto& each : told->refusals)
    out.push_back({each.reason, each.by, counted::refusals});
  for (const auto& each : told->disconnects)
    out.push_back({each.reason, each.by, counted::disconnects});
  return out;
}

/// Two nodes that are connected, to begin with and in the end.
struct scene {
  runtime bus;
  connected_pair pair{bus};
  inbox far_events = pair.far.inbox();

  /// `what` was answered at the near end; a message shows that the two are as they were.
  void look_at(witness& seen, const error& what) {
    seen.here.push_back({what.code, what.by, nowhere});
    CHECK(pair.near.send(pair.far.id(), "still here") == send_outcome::accepted);
    CHECK(far_events.next_message(patience).has_value());
    CHECK(seen_by(pair.near).empty());
    seen.there = seen_by(pair.far);
  }
};

/// No new descriptor is to be had in this process while it lives.
class no_descriptors {
public:
  no_descriptors() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    auto none = before_;
    none.rlim_cur = 0;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  }
  no_descriptors(const no_descriptors&) = delete;
  no_descriptors& operator=(const no_descriptors&) = delete;
  ~no_descriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
  rlimit before_{};
};

/// Bounds of a node that gives up no handshake because the machine is busy.
limits patient() {
  limits bounds;
  bounds.handshake_time_max = 3 * patience;
  bounds.decision_time_max = 2 * patience;
  return bounds;
}

/// An endpoint at which nobody listens: a port that somebody has, who does not.
class deaf_endpoint {
public:
  deaf_endpoint() {
    auto at = loopback(0);
    socklen_t bytes = sizeof at;
    REQUIRE(::bind(socket_, reinterpret_cast<sockaddr*>(&at), bytes) == 0);
    REQUIRE(::getsockname(socket_, reinterpret_cast<sockaddr*>(&at), &bytes) == 0);
    text = "tcp://127.0.0.1:" + std::to_string(ntohs(at.sin_port));
  }
  deaf_endpoint(const deaf_endpoint&) = delete;
  deaf_endpoint& operator=(const deaf_endpoint&) = delete;
  ~deaf_endpoint() { ::close(socket_); }

  std::string text;

private:
  int socket_ = socket_with_room(0);
};

} // namespace

// -- the table ------------------------------------------------------------------------------------
// errc; how it is provoked; who is to blame and where it is counted at this end; the same at the other.

namespace postbus::test {

template <>
inline constexpr proof proof_of<errc::canceled>{
  "a program gives its request up; the handler, which has the question, is told that nobody waits",
  [](witness& seen) {
    scene of;
    std::promise<incoming_request> asked;
    REQUIRE(
      of.pair.far.handle([&](const incoming_request& what) { asked.set_value(what); }).has_value());
    auto waiting = of.pair.near.start_request(of.pair.far.id(), 1, {.within = patience});
    const auto question = asked.get_future().get();
    waiting.cancel();
    const auto answered = waiting.wait(patience);
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!question.is_called_off() && std::chrono::steady_clock::now() < deadline)
      std::this_thread::yield();
    CHECK(question.is_called_off());
    of.look_at(seen, answered.error());
  },
  at_this_end{local, nowhere}, nobody};

template <>
inline constexpr proof proof_of<errc::would_deadlock>{
  "an actor on a loop connects, and would wait for what only its own loop can do",
  [](witness& seen) {
    scene of;
    std::promise<error> answered;
    const auto made = of.pair.near.spawn_on_loop(
      [&, near = of.pair.near, at = of.pair.endpoint](caf::event_based_actor*) -> caf::behavior {
        answered.set_value(near.connect(at).error());
        return {};
      });
    CHECK(made.has_value());
    of.look_at(seen, answered.get_future().get());
  },
  at_this_end{local, nowhere}, nobody};

template <>
inline constexpr proof proof_of<errc::unsupported>{
  "a program dials over TLS, which has its form but is not there yet",
  [](witness& seen) {
    scene of;
    of.look_at(seen, of.pair.near.connect("tls://127.0.0.1:4000", patience).error());
  },
  at_this_end{local, nowhere}, nobody};

template <>
inline constexpr proof proof_of<errc::resolve_failed>{
  "a program dials a name that has no address, and never will (RFC 6761)",
  [](witness& seen) {
    scene of;
    of.look_at(seen, of.pair.near.connect("tcp://nobody.invalid:4000", 4 * patience).error());
  },
  at_this_end{local, nowhere}, nobody};

template <>
inline constexpr proof proof_of<errc::connect_failed>{
  "a program dials a port at which nobody listens",
  [](witness& seen) {
    scene of;
    const deaf_endpoint nobody_there;
    of.look_at(seen, of.pair.near.connect(nobody_there.text, patience).error());
  },
  at_this_end{remote, nowhere}, nobody};

template <>
inline constexpr proof proof_of<errc::listen_failed>{
  "a program listens where the other node does",
  [](witness& seen) {
    scene of;
    of.look_at(seen, of.pair.near.listen(of.pair.endpoint, patience).error());
  },
  at_this_end{local, nowhere}, nobody};

template <>
inline constexpr proof proof_of<errc::system_failed>{
  "a program wants an inbox's descriptor when the system has none left",
  [](witness& seen) {
    scene of;
    auto events = of.pair.near.inbox();
    const auto answered = [&] {
      const no_descriptors now;
      return events.descriptor();
    }();
    of.look_at(seen, answered.error());
    CHECK(events.descriptor().has_value()); // now there are some
  },
  at_this_end{local, nowhere}, nobody};

template <>
inline constexpr proof proof_of<errc::handler_lost>{
  "the other end's handler lets go of the request without an answer",
  [](witness& seen) {
    scene of;
    REQUIRE(of.pair.far.handle([](const incoming_request&) {}).has_value());
    of.look_at(seen, of.pair.near.request(of.pair.far.id(), 1, {.within = patience}).error());
  },
  at_this_end{remote, nowhere}, nobody};

} // namespace postbus::test

TEST_CASE(
  "every errc that only a system brings about is answered as the table says, and no end ends") {
  check_all_proofs<proved_by::systems>();
}

// -- last words -----------------------------------------------------------------------------------

TEST_CASE("who must make room for another handshake, and had said hello, reads why") {
  runtime bus;
  auto narrow = patient();
  narrow.pending_handshakes_max = narrow.pending_handshakes_per_address_max = 1;
  const auto node = bus.spawn_node({.id = {}, .init = {}, .bounds = narrow});
  auto events = node.deciding_inbox();
  const auto at = node.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  raw_peer first(*at);
  first.write(encode(raw_peer::hello_of(node_id::random())));
  const auto undecided = next_event<connection_request>(events); // to drop it is to say no
  REQUIRE(undecided.has_value());
  raw_peer second(*at);
  const auto told = first.read_frame(patience);
  REQUIRE(told.has_value());
  REQUIRE(told->header.kind == codecs::frame_kind::refuse);
  CHECK(bus::decode_refuse(told->body)->reason == errc::too_many_handshakes);
  CHECK_FALSE(first.read_frame(patience).has_value());
  // One that has said nothing learns nothing.
  raw_peer third(*at);
  CHECK(second.read_to_end(patience).value_or(std::vector<std::byte>(1)).empty());
}

TEST_CASE("an incarnation whose place another has taken reads so, if it is there all the same") {
  runtime bus;
  auto quick = patient();
  quick.probe_time_max = 20ms;
  const auto node = bus.spawn_node({.id = {}, .init = {}, .bounds = quick});
  const auto at = node.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  const auto id = node_id::random();
  raw_peer old(*at); // answers no ping
  REQUIRE(old.open_as_dialer(id, patience));
  REQUIRE(old.read_frame(codecs::frame_kind::credit, patience).has_value()); // open there, too
  raw_peer next(*at);
  auto hello = raw_peer::hello_of(id);
  hello.incarnation = 2;
  next.write(encode(hello));
  REQUIRE(next.read_frame(codecs::frame_kind::welcome, patience).has_value());
  const auto told = old.read_frame(codecs::frame_kind::goodbye, patience);
  REQUIRE(told.has_value());
  CHECK(bus::decode_goodbye(told->body)->reason == errc::peer_restarted);
}
