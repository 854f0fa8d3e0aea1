// Peers that stand still, at every step of a connection: a close ends within its time, with one word to
// whoever asked and one to whoever listens. Raw peers stop at an exact byte; a process is stopped whole.
#include "postbus/postbus.hpp"
#include "postbus/tests/actors/listening_role.hpp"
#include "postbus/tests/support/expect.hpp"
#include "postbus/tests/support/raw_peer.hpp"

#include <doctest/doctest.h>

#include <future>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

constexpr auto drain = 200ms;

limits quick() {
  limits bounds;
  bounds.linger_time_max = 300ms;
  return bounds;
}

/// Closes, and checks that it took no longer than it may: DESIGN.md, "drain, linger and one second more".
void close_in_time(const node& which, duration linger = quick().linger_time_max) {
  const auto begin = std::chrono::steady_clock::now();
  CHECK(which.close(drain).has_value());
  const auto taken = std::chrono::steady_clock::now() - begin;
  CHECK(taken < drain + linger + 1s + 8s); // what a busy machine adds
}

/// What a dial is told that its own node ends: `closed` once there is a connection, else `node_closed`.
bool is_closed_here(const error& what) {
  return (what.code == errc::closed || what.code == errc::node_closed) && what.by == blame::local;
}

/// What an inbox was told of peers, up to the end.
std::string story_of(inbox& of) {
  std::string story;
  for (;;) {
    const auto next = of.next_event(patience);
    if (!next)
      return story + std::string(to_string(next.error().code));
    if (std::holds_alternative<connected>(*next))
      story += "connected ";
    else if (const auto* gone = std::get_if<disconnected>(&*next))
      story += "disconnected(" + std::string(to_string(gone->reason.code)) + ", "
               + std::string(to_string(gone->reason.by)) + ") ";
    else if (std::holds_alternative<closing>(*next))
      story += "closing ";
    else if (std::holds_alternative<closed>(*next))
      story += "closed ";
  }
}

const std::string story_of_nobody = "closing closed node_closed";
const std::string story_of_one = "closing disconnected(closed, local) closed node_closed";

constexpr bool never_open = false;
constexpr bool is_open = true;

/// A peer that dials us and stops: what it does before, and whether it is a peer by then.
struct frozen_dialer {
  const char* stops;
  void (*begin)(raw_peer&, const node_id&);
  bool open;
};

const frozen_dialer frozen_dialers[] = {
  {"before its first byte", [](raw_peer&, const node_id&) {}, never_open},
  {"in the middle of its hello",
   [](raw_peer& peer, const node_id& id) {
     const auto hello = encode(raw_peer::hello_of(id));
     peer.write(hello.bytes().first(hello.size() / 2));
   },
   never_open},
  {"after its hello",
   [](raw_peer& peer, const node_id& id) {
     peer.write(encode(raw_peer::hello_of(id)));
     REQUIRE(peer.read_frame(codecs::frame_kind::welcome, patience));
   },
   never_open},
  {"in the middle of its welcome",
   [](raw_peer& peer, const node_id& id) {
     peer.write(encode(raw_peer::hello_of(id)));
     REQUIRE(peer.read_frame(codecs::frame_kind::welcome, patience));
     peer.write(encode(bus::welcome{}).bytes().first(9));
   },
   never_open},
  {"after it was refused",
   [](raw_peer& peer, const node_id& id) {
     auto elsewhere = raw_peer::hello_of(id);
     elsewhere.expected = node_id::random();
     peer.write(encode(elsewhere));
     REQUIRE(peer.read_frame(codecs::frame_kind::refuse, patience));
   },
   never_open},
  {"when it is open",
   [](raw_peer& peer, const node_id& id) { REQUIRE(peer.open_as_dialer(id, patience)); }, is_open},
  {"in the middle of a message",
   [](raw_peer& peer, const node_id& id) {
     REQUIRE(peer.open_as_dialer(id, patience));
     const std::string half("\x00\x10\x00\x00\x10\x04\x00\x00half", 12);
     peer.write(half);
   },
   is_open},
  {"in the middle of a ping",
   [](raw_peer& peer, const node_id& id) {
     REQUIRE(peer.open_as_dialer(id, patience));
     peer.write(encode_ping(bus::probe{1}).bytes().first(11));
   },
   is_open},
  {"with credit for everything, and reads nothing of it",
   [](raw_peer& peer, const node_id& id) {
     REQUIRE(peer.open_as_dialer(id, patience));
     peer.write(encode(bus::credit{0, std::uint64_t{1} << 40, std::uint64_t{1} << 40, 0}));
   },
   is_open},
};

/// A peer that we dial and that stops.
struct frozen_listener {
  const char* stops;
  void (*begin)(raw_peer&);
  bool open; ///< On our side.
};

const frozen_listener frozen_listeners[] = {
  {"before its first byte", [](raw_peer&) {}, never_open},
  {"after our hello",
   [](raw_peer& peer) { REQUIRE(peer.read_frame(codecs::frame_kind::hello, patience)); },
   never_open},
  {"after its hello",
   [](raw_peer& peer) {
     REQUIRE(peer.read_frame(codecs::frame_kind::hello, patience));
     peer.write(encode(raw_peer::hello_of(node_id::random())));
   },
   never_open},
  {"after its welcome",
   [](raw_peer& peer) { REQUIRE(peer.open_as_listener(node_id::random(), patience)); }, is_open},
};

/// A node whose `run` meets a frozen peer and calls `close` while that stands there: in time, with the
/// right story, and no descriptor left.
template <class Run>
void closes_beside(bool open, Run run) {
  const auto descriptors = open_descriptors();
  {
    runtime bus;
    auto node = bus.spawn_node({.id = {}, .init = {}, .bounds = quick()});
    auto events = node.inbox();
    run(node, events, [&] {
      close_in_time(node);
      CHECK(story_of(events) == (open ? story_of_one : story_of_nobody));
    });
  }
  CHECK(open_descriptors() == descriptors);
}

/// A node that listens, and what it is told of those who come.
struct told_of_world {
  told_of_world(runtime& bus, const limits& bounds)
    : node(bus.spawn_node({.id = {}, .init = {}, .bounds = bounds})), events(node.inbox()),
      at(node.listen("tcp://127.0.0.1:0").value_or("")) {}
  ~told_of_world() { CHECK(node.close(drain).has_value()); }

  node_id open(raw_peer& peer) {
    const auto id = node_id::random();
    REQUIRE(peer.open_as_dialer(id, patience));
    REQUIRE(next_event<connected>(events).has_value());
    return id;
  }
  error end_of(const node_id& peer) {
    const auto told = next_event<disconnected>(events);
    REQUIRE(told.has_value());
    CHECK(told->peer == peer);
    return told->reason;
  }

  postbus::node node;
  inbox events;
  std::string at;
};

} // namespace

TEST_CASE("a close ends in time at whatever step a peer that dialed us stands still") {
  for (const auto& row : frozen_dialers) {
    CAPTURE(row.stops);
    closes_beside(row.open, [&](const node& node, inbox& events, auto close) {
      const auto at = node.listen("tcp://127.0.0.1:0");
      REQUIRE(at.has_value());
      raw_peer peer(*at);
      const auto id = node_id::random();
      row.begin(peer, id);
      if (row.open) {
        REQUIRE(next_event<connected>(events).has_value());
        const std::vector<std::byte> body(100'000);
        while (node.send_bytes(id, body) == send_outcome::accepted) {
        }
      }
      close();
    });
  }
}

TEST_CASE("a close ends in time at whatever step a peer that we dialed stands still") {
  for (const auto& row : frozen_listeners) {
    CAPTURE(row.stops);
    closes_beside(row.open, [&](const node& node, inbox& events, auto close) {
      raw_listener listener;
      auto answer =
        std::async(std::launch::async, [&] { return node.connect(listener.endpoint(), patience); });
      auto peer = listener.accept(patience);
      REQUIRE(peer.is_connected());
      row.begin(peer);
      if (row.open) {
        CHECK(answer.get().has_value());
        REQUIRE(next_event<connected>(events).has_value());
      }
      close();
      if (!row.open) {
        const auto refused = answer.get();
        REQUIRE_FALSE(refused.has_value());
        CHECK(is_closed_here(refused.error()));
      }
    });
  }
}

TEST_CASE("a close ends in time while our own program has not decided who may come in") {
  runtime bus;
  auto bounds = patient();
  bounds.linger_time_max = quick().linger_time_max;
  auto node = bus.spawn_node({.id = {}, .init = {}, .bounds = bounds});
  auto events = node.deciding_inbox();
  const auto at = node.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  raw_peer peer(*at);
  peer.write(encode(raw_peer::hello_of(node_id::random())));
  const auto request = next_event<connection_request>(events);
  REQUIRE(request.has_value());
  close_in_time(node);
  CHECK_FALSE(node.accept(*request));
  const auto refusal = peer.read_frame(codecs::frame_kind::refuse, patience);
  REQUIRE(refusal.has_value());
  CHECK(bus::decode_refuse(refusal->body)->reason == errc::closed);
  CHECK(story_of(events) == story_of_nobody);
}

TEST_CASE("a peer that stops between our goodbye and its own is told of as closed, not as lost") {
  runtime bus;
  auto node = bus.spawn_node({.id = {}, .init = {}, .bounds = quick()});
  auto events = node.inbox();
  const auto at = node.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  raw_peer peer(*at);
  REQUIRE(peer.open_as_dialer(node_id::random(), patience));
  REQUIRE(next_event<connected>(events).has_value());
  auto closing = std::async(std::launch::async, [&] { close_in_time(node); });
  const auto said = peer.read_frame(codecs::frame_kind::goodbye, patience);
  REQUIRE(said.has_value());
  CHECK(bus::decode_goodbye(said->body)->reason == errc::closed);
  closing.get();
  CHECK(story_of(events) == story_of_one);
}

// One node for each time that is short, so that no other ends what it is about.
TEST_CASE("who stands still and is not closed is told of by the step it stands at") {
  runtime bus;
  SUBCASE("silent in the middle of a message") {
    auto bounds = patient();
    bounds.keepalive_time = 400ms;
    told_of_world world(bus, bounds);
    raw_peer silent(world.at);
    const auto id = world.open(silent);
    const std::string half_a_header("\x00\x10\x00\x00\x10", 5);
    silent.write(half_a_header);
    CHECK(world.end_of(id) == error{errc::peer_lost, blame::remote, {}});
  }
  SUBCASE("taking nothing of what it was promised") {
    auto bounds = patient();
    bounds.stall_time_max = 300ms;
    told_of_world world(bus, bounds);
    raw_peer stuck(world.at);
    const auto id = world.open(stuck);
    stuck.write(encode(bus::credit{0, std::uint64_t{1} << 40, std::uint64_t{1} << 40, 0}));
    const std::vector<std::byte> body(1'000'000);
    for (int count = 0; count < 100; ++count)
      REQUIRE(world.node.send_bytes(id, body, {.within = patience}) != send_outcome::congested);
    CHECK(world.end_of(id) == error{errc::peer_too_slow, blame::remote, {}});
  }
  SUBCASE("before its first byte") {
    limits bounds;
    bounds.handshake_time_max = 600ms;
    bounds.decision_time_max = 500ms;
    bounds.probe_time_max = 100ms;
    told_of_world world(bus, bounds);
    raw_listener listener;
    CHECK(world.node.connect(listener.endpoint(), patience).error().code
          == errc::handshake_timeout);
  }
}

// -- a whole process ----------------------------------------------------------------------

TEST_CASE("role: a node that says who comes and goes" * doctest::skip()) {
  if (!parent_program::present())
    return;
  listening_role role;
  role.tell_ready();
  while (auto next = role.inbox.next(patience + 30s)) {
    const auto* event = std::get_if<node_event>(&*next);
    if (event != nullptr && std::holds_alternative<connected>(*event)) {
      role.parent.tell("connected");
    } else if (event != nullptr && std::holds_alternative<disconnected>(*event)) {
      role.parent.tell(std::string(to_string(std::get<disconnected>(*event).reason.code)));
      return;
    }
  }
}

namespace {

struct stopped_process {
  explicit stopped_process(const limits& bounds)
    : node(bus.spawn_node({.id = {}, .init = {}, .bounds = bounds})), events(node.inbox()) {
    const auto told = child.hear(patience);
    REQUIRE(told.has_value());
    at = *told;
  }
  node_id connect() {
    const auto peer = node.connect(at);
    REQUIRE(peer.has_value());
    REQUIRE(child.hear(patience).value_or("") == "connected");
    REQUIRE(next_event<connected>(events).has_value());
    return *peer;
  }

  child_program child{"role: a node that says who comes and goes"};
  runtime bus;
  postbus::node node;
  inbox events;
  std::string at;
};

} // namespace

TEST_CASE("a process that is stopped before it accepts us does not hold up our close") {
  stopped_process peer(quick());
  peer.child.stop();
  auto answer =
    std::async(std::launch::async, [&] { return peer.node.connect(peer.at, patience); });
  REQUIRE(answer.wait_for(200ms) == std::future_status::timeout);
  close_in_time(peer.node);
  CHECK(is_closed_here(answer.get().error()));
  CHECK(story_of(peer.events) == story_of_nobody);
}

TEST_CASE("a process that is stopped while it is open hears our goodbye when it goes on") {
  stopped_process peer(quick());
  (void)peer.connect();
  peer.child.stop();
  close_in_time(peer.node);
  CHECK(story_of(peer.events) == story_of_one);
  peer.child.go_on();
  CHECK(peer.child.hear(patience).value_or("") == "closed");
  CHECK(peer.child.wait() == 0);
}

TEST_CASE("a process that is stopped in the middle of a flood does not hold up our close") {
  stopped_process peer(quick());
  const auto id = peer.connect();
  const std::vector<std::byte> body(100'000);
  std::uint64_t accepted = 0;
  for (; accepted < 200; ++accepted)
    REQUIRE(peer.node.send_bytes(id, body, {.within = patience}) == send_outcome::accepted);
  peer.child.stop();
  while (peer.node.send_bytes(id, body, {.within = 100ms}) == send_outcome::accepted)
    ++accepted;
  close_in_time(peer.node);
  const auto end = next_event<disconnected>(peer.events);
  REQUIRE(end.has_value());
  CHECK(end->reason == error{errc::closed, blame::local, {}});
  CHECK(end->account.sent + end->account.unsent == accepted);
  CHECK(end->account.unsent > 0);
  peer.child.go_on();
  // The goodbye did not fit into the system any more.
  const auto told = peer.child.hear(patience).value_or("");
  CHECK_MESSAGE((told == "connection_cut" || told == "connection_reset" || told == "closed"), told);
}

TEST_CASE("a process that is stopped while we close does not hold us up") {
  stopped_process peer(quick());
  (void)peer.connect();
  auto closing = std::async(std::launch::async, [&] { close_in_time(peer.node); });
  peer.child.stop();
  closing.get();
  CHECK(story_of(peer.events) == story_of_one);
  peer.child.go_on();
  CHECK(peer.child.hear(patience).value_or("") == "closed");
}

TEST_CASE("a process that stays stopped is lost, and learns so when it goes on") {
  limits watchful = quick();
  watchful.keepalive_time = 100ms;
  watchful.idle_time_max = 10s;
  stopped_process peer(watchful);
  (void)peer.connect();
  peer.child.stop();
  const auto end = next_event<disconnected>(peer.events);
  REQUIRE(end.has_value());
  CHECK(end->reason.code == errc::peer_lost);
  CHECK(end->reason.by == blame::remote);
  close_in_time(peer.node);
  peer.child.go_on();
  CHECK(peer.child.hear(patience).value_or("") == "peer_lost");
}
