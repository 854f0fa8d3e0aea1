// Strangers at every step of a connection, beside a good client that loses nothing: who they are told to
// be, what they say, how they go, and when they are shown the door.
#include "postbus/tests/actors/child_program.hpp"
#include "postbus/tests/actors/good_client.hpp"
#include "postbus/tests/support/stranger.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <future>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

using codecs::frame_kind;

namespace {

/// Deadlines that a test can wait for.
limits quick() {
  limits bounds;
  bounds.handshake_time_max = 1500ms;
  bounds.decision_time_max = 1s;
  bounds.probe_time_max = 100ms;
  bounds.linger_time_max = 400ms;
  return bounds;
}

/// At a raw peer that dials: what it has said and heard before it does something else.
struct step {
  const char* name;
  void (*reach)(raw_peer&, const node_id&);
  bool undecided = false; ///< Programs of the node are asked, and do not answer.
};

const step steps[] = {
  {"before its first byte", [](raw_peer&, const node_id&) {}},
  {"in the middle of its hello",
   [](raw_peer& peer, const node_id& id) {
     peer.write(text_of(encode(raw_peer::hello_of(id))).substr(0, 40));
   }},
  {"while programs think about it",
   [](raw_peer& peer, const node_id& id) { peer.write(encode(raw_peer::hello_of(id))); }, true},
  {"behind the welcome",
   [](raw_peer& peer, const node_id& id) {
     peer.write(encode(raw_peer::hello_of(id)));
     REQUIRE(peer.read_frame(frame_kind::welcome, patience));
   }},
  {"when it was refused",
   [](raw_peer& peer, const node_id& id) {
     auto elsewhere = raw_peer::hello_of(id);
     elsewhere.expected = node_id::random();
     peer.write(encode(elsewhere));
     REQUIRE(refusal_of(peer) == errc::wrong_node);
   }},
  {"when it is open",
   [](raw_peer& peer, const node_id& id) { REQUIRE(peer.open_as_dialer(id, patience)); }},
  {"in the middle of a message",
   [](raw_peer& peer, const node_id& id) {
     REQUIRE(peer.open_as_dialer(id, patience));
     peer.write(frame({.kind = frame_kind::message}, "half", 100));
   }},
  {"behind its goodbye",
   [](raw_peer& peer, const node_id& id) {
     REQUIRE(peer.open_as_dialer(id, patience));
     peer.write(encode(bus::goodbye{}));
   }},
};

/// `attack(peer, step)` once for each step, beside one good client, or another where programs are asked.
template <class Attack>
void at_every_step(const limits& bounds, Attack attack) {
  for (const bool undecided : {false, true}) {
    good_client good(bounds);
    std::optional<inbox> asked;
    if (undecided)
      asked.emplace(good.attacked().inbox({.messages = false, .decides = true}));
    for (const auto& each : steps) {
      CAPTURE(each.name);
      if (each.undecided == undecided)
        attack(good, each);
    }
    CHECK(good.nobody_pending());
    good.finish();
  }
}

} // namespace

TEST_CASE("who sends a byte now and then gains no time by it") {
  good_client good(quick());
  raw_peer unheard(good.endpoint());
  raw_peer heard(good.endpoint());
  heard.write(encode(raw_peer::hello_of(node_id::random())));
  REQUIRE(heard.read_frame(frame_kind::welcome, patience));
  const auto asked = good.attacked().inbox({.messages = false, .decides = true}); // nobody reads it
  raw_peer undecided(good.endpoint());
  undecided.write(encode(raw_peer::hello_of(node_id::random())));

  // Each says what is right so far, and would go on for longer than a test has patience.
  auto hello = raw_peer::hello_of(node_id::random());
  hello.init = payload::copy_of(std::string(8000, 'i'));
  const auto long_hello = text_of(encode(hello)).substr(0, 4000);
  const auto long_welcome = frame({.kind = frame_kind::welcome}, std::string(4000, 'w'), 8000);
  const auto dripping = [](raw_peer& from, const std::string& bytes) {
    return std::async(std::launch::async, [&] { return drip(from, bytes); });
  };
  auto first = dripping(unheard, long_hello);
  auto second = dripping(heard, long_welcome);
  auto third = dripping(undecided, long_welcome);
  CHECK(first.get());
  CHECK(second.get());
  CHECK(third.get());
  CHECK(unheard.read_to_end(patience).value_or(std::vector<std::byte>(1)).empty());
  CHECK(refusal_of(heard) == errc::handshake_timeout);
  CHECK(refusal_of(undecided) == errc::handshake_timeout);
  CHECK(good.refusals(errc::handshake_timeout, 3) == 3);
  CHECK(good.nobody_pending());
}

TEST_CASE("who was refused and drips on is let go of at the linger deadline") {
  good_client good(quick());
  raw_peer refused(good.endpoint());
  auto elsewhere = raw_peer::hello_of(node_id::random());
  elsewhere.expected = node_id::random();
  refused.write(encode(elsewhere));
  REQUIRE(refusal_of(refused) == errc::wrong_node);
  std::atomic<bool> over = false;
  std::jthread dripping([&] {
    while (!over) {
      refused.write("x");
      pollfd nothing{-1, 0, 0};
      ::poll(&nothing, 1, 10);
    }
  });
  CHECK(good.refusals(errc::wrong_node) == 1); // counted when it is over
  over = true;
}

TEST_CASE("an open peer that drips one message for ever is idle") {
  limits bounds = quick();
  bounds.keepalive_time = 250ms;
  bounds.idle_time_max = 1s;
  good_client good(bounds);
  raw_peer slow(good.endpoint());
  REQUIRE(slow.open_as_dialer(node_id::random(), patience));
  std::jthread dripping([&](const std::stop_token& enough) {
    slow.write(frame({.kind = frame_kind::message}, {}, 1'000'000));
    while (!enough.stop_requested()) {
      slow.write("x");
      pollfd nothing{-1, 0, 0};
      ::poll(&nothing, 1, 10);
    }
  });
  CHECK(goodbye_of(slow) == errc::idle);
}

TEST_CASE("before it is open nobody may send more than a hello's bytes in a frame") {
  limits bounds = quick();
  bounds.hello_bytes_max = 4096;
  good_client good(bounds);
  const auto hello_of_bytes = [&](std::size_t bytes) {
    auto hello = raw_peer::hello_of(node_id::random());
    hello.init = payload::copy_of(std::string(1000, 'i'));
    const auto rest = bytes + codecs::frame_header_bytes - encode(hello).size();
    hello.init = payload::copy_of(std::string(1000 + rest, 'i'));
    auto made = encode(hello);
    REQUIRE(made.size() == bytes + codecs::frame_header_bytes);
    return made;
  };
  raw_peer fits(good.endpoint());
  fits.write(hello_of_bytes(4096));
  CHECK(fits.read_frame(frame_kind::welcome, patience).has_value());
  fits.write(frame({.kind = frame_kind::welcome}, {}, 4097)); // refused for its header alone
  CHECK(refusal_of(fits) == errc::frame_too_large);

  raw_peer large(good.endpoint());
  large.write(text_of(hello_of_bytes(4097)).substr(0, codecs::frame_header_bytes));
  CHECK(large.read_to_end(patience).value_or(std::vector<std::byte>(1)).empty());
  CHECK(good.refusals(errc::not_postbus) == 1); // its first frame is nothing of ours
  fits.shut();
  CHECK(good.refusals(errc::frame_too_large) == 1);
}

TEST_CASE("an open peer that announces more than a frame may have is told so at its header") {
  limits bounds;
  bounds.frame_bytes_max = 100'000;
  good_client good(bounds);
  for (const auto kind : {frame_kind::message, frame_kind::request, frame_kind::goodbye}) {
    for (const std::uint32_t bytes : {100'001u, 16u << 20, UINT32_MAX}) {
      CAPTURE(bytes);
      raw_peer huge(good.endpoint());
      REQUIRE(huge.open_as_dialer(node_id::random(), patience));
      huge.write(frame({.kind = kind}, {}, bytes));
      CHECK(goodbye_of(huge) == errc::frame_too_large);
    }
  }
  CHECK(good.disconnects(errc::frame_too_large, 9) == 9);
  raw_peer just(good.endpoint());
  REQUIRE(just.open_as_dialer(node_id::random(), patience));
  just.write(frame({.kind = frame_kind::message, .flags = codecs::frame_flag::opaque},
                   std::string(100'000, 'm')));
  just.write(bus::encode_ping(bus::probe{7}));
  CHECK(just.read_frame(frame_kind::pong, patience).has_value()); // it is a peer still
}

TEST_CASE("values nested too deeply are refused by whoever reads them, and nothing else is lost") {
  good_client good;
  const auto id = node_id::random();
  for (const std::size_t levels : {64u, 10'000u}) {
    raw_peer stranger(good.endpoint());
    stranger.write(hello_with(node_id::random(), nested(levels)));
    CHECK(refusal_of(stranger) == errc::malformed_frame);
  }
  CHECK(good.refusals(errc::malformed_frame, 2) == 2);

  // The init message is its program's own bytes; and so are messages and requests.
  auto inbox = good.attacked().inbox({.filter = {.peers = {id}}});
  const auto handling = good.attacked().handle([](const incoming_request& asked) {
    const auto value = asked.as<std::string>();
    value ? (void)asked.respond(*value)
          : (void)asked.fail(1, std::string(to_string(value.error().code)));
  });
  REQUIRE(handling.has_value());
  auto hello = raw_peer::hello_of(id);
  hello.init = payload::copy_of(nested(10'000));
  raw_peer peer(good.endpoint());
  peer.write(encode(hello));
  REQUIRE(peer.read_frame(frame_kind::welcome, patience));
  peer.write(encode(bus::welcome{}));
  const auto come = next_event<connected>(inbox);
  REQUIRE(come.has_value());
  CHECK(codecs::unpack_value<std::string>(come->init.bytes()).error() == errc::too_deep);

  peer.write(frame({.kind = frame_kind::message}, nested(10'000)));
  peer.write(frame({.kind = frame_kind::message}, "\xa4well"));
  peer.write(request(1, nested(10'000)));
  peer.write(request(2, "\xa4well"));
  CHECK(inbox.next_message(patience).value().as<std::string>().error() == errc::too_deep);
  CHECK(inbox.next_message(patience).value().as<std::string>().value_or("") == "well");
  const auto no = peer.read_frame(frame_kind::failure, patience);
  REQUIRE(no.has_value());
  CHECK(bus::decode_failure(no->body)->what.text == "too_deep");
  const auto yes = peer.read_frame(frame_kind::response, patience);
  REQUIRE(yes.has_value());
  CHECK(bus::decode_response(yes->body)->id == 2);
}

TEST_CASE("garbage at any step ends that connection only") {
  std::vector<std::string> garbage{"GET / HTTP/1.1\r\n\r\n", std::string(5000, '\0'),
                                   std::string(100'000, '\xff')};
  for (const auto kind : {1, 2, 3, 4, 5, 6, 7, 8, 16, 17, 18, 19, 20, 32, 37, 48, 0x80, 0xff})
    garbage.push_back(frame({.kind = static_cast<frame_kind>(kind)}, noise(77, 60)));
  for (unsigned seed = 1; seed <= 5; ++seed)
    garbage.push_back(noise(seed, 1000 * seed));
  at_every_step({}, [&](const good_client& good, const step& at) {
    for (const auto& bytes : garbage) {
      raw_peer stranger(good.endpoint());
      at.reach(stranger, node_id::random());
      stranger.write(bytes);
      stranger.shut();
      CHECK(stranger.read_to_end(patience).has_value());
    }
  });
}

TEST_CASE("who resets the connection at any step, over and over, disturbs nobody") {
  at_every_step({}, [](const good_client& good, const step& at) {
    for (int count = 0; count < 50; ++count) {
      raw_peer stranger(good.endpoint());
      at.reach(stranger, node_id::random());
      const linger at_once{1, 0};
      ::setsockopt(stranger.socket(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
  });
}

TEST_CASE("a flood of claims of an open peer's id, and of the node's own, moves neither") {
  good_client good;
  const struct {
    node_id id;
    errc told;
  } claims[] = {{good.client().id(), errc::id_in_use}, {good.attacked().id(), errc::id_in_use}};
  for (int count = 0; count < 30; ++count)
    for (const auto& claim : claims) {
      raw_peer forger(good.endpoint());
      auto hello = raw_peer::hello_of(claim.id);
      hello.incarnation = static_cast<std::uint64_t>(count);
      forger.write(encode(hello));
      CHECK(refusal_of(forger) == claim.told);
    }
  CHECK(good.refusals(errc::id_in_use, 60) == 60);
  CHECK(good.attacked().is_connected(good.client().id()));
}

TEST_CASE("who knows even the incarnation of an open peer is its second connection, and refused") {
  good_client good;
  const auto id = node_id::random();
  raw_peer first(good.endpoint());
  bus::session session(raw_peer::dialer(id, 1), std::chrono::steady_clock::now());
  bus::outbox box{limits{}};
  REQUIRE(first.pump(
    session, box, [&] { return session.at() == bus::phase::open; }, patience));
  std::atomic<bool> enough = false;
  std::jthread alive([&] { // answers when it is asked for a sign of life
    CHECK(first.pump(
      session, box, [&] { return enough.load(); }, patience));
  });
  raw_peer forger(good.endpoint());
  forger.write(encode(raw_peer::hello_of(id)));
  CHECK(refusal_of(forger) == errc::already_connected);
  CHECK(good.attacked().is_connected(id));
  enough = true;
}

// -- processes ----------------------------------------------------------------------------

TEST_CASE("role: a stranger that goes as far as it is told" * doctest::skip()) {
  if (!parent_program::present())
    return;
  parent_program parent;
  const auto at = parent.hear(patience);
  const auto number = parent.hear(patience);
  REQUIRE(number.has_value());
  raw_peer peer(*at);
  steps[std::stoul(*number)].reach(peer, node_id::parse(std::string(32, '7')).value());
  parent.tell("there");
  (void)parent.hear(patience + 30s); // it is killed
}

TEST_CASE("a process that is killed at any step leaves nothing, and its id is free at once") {
  at_every_step({}, [](const good_client& good, const step& at) {
    {
      child_program stranger("role: a stranger that goes as far as it is told");
      stranger.tell(good.endpoint());
      stranger.tell(std::to_string(&at - steps));
      REQUIRE(stranger.hear(patience).value_or("") == "there");
    } // kill -9
    if (at.undecided)
      return;
    raw_peer again(good.endpoint());
    CHECK(again.open_as_dialer(node_id::parse(std::string(32, '7')).value(), patience));
    again.write(encode(bus::goodbye{}));
    again.shut();
    CHECK(again.read_to_end(patience).has_value());
  });
}

TEST_CASE("a process that stands still for longer than three keepalives is lost, and learns so") {
  limits bounds;
  bounds.keepalive_time = 300ms;
  bounds.idle_time_max = 10s;
  good_client good(bounds);
  child_program frozen("role: a node that says who comes and goes");
  const auto at = frozen.hear(patience);
  REQUIRE(at.has_value());
  const auto id = good.attacked().connect(*at, patience);
  REQUIRE(id.has_value());
  REQUIRE(frozen.hear(patience).value_or("") == "connected");
  frozen.stop();
  CHECK(good.disconnects(errc::peer_lost) == 1);
  CHECK_FALSE(good.attacked().is_connected(*id));
  frozen.go_on();
  CHECK(frozen.hear(patience).value_or("") == "peer_lost");
  CHECK(frozen.wait() == 0);
}
