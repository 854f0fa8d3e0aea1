// session against peers that break the protocol: each mistake ends the connection with its own errc,
// blamed on the peer here and on itself there, and what came before it still counts.
#include "postbus/tests/support/session_pair.hpp"

#include <doctest/doctest.h>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

using codecs::frame_kind;
using bytes = std::vector<std::byte>;

bytes frame(unsigned kind, unsigned flags, std::uint16_t tag, const bytes& body = {}) {
  bytes out(codecs::frame_header_bytes + body.size());
  codecs::store_header(out.data(),
                       {static_cast<std::uint32_t>(body.size()), static_cast<frame_kind>(kind),
                        static_cast<std::uint8_t>(flags), tag});
  std::copy(body.begin(), body.end(), out.begin() + codecs::frame_header_bytes);
  return out;
}

bytes frame(frame_kind kind, std::size_t body_bytes) {
  return frame(static_cast<unsigned>(kind), 0, 0, bytes(body_bytes));
}

bytes of(const payload& encoded) {
  return {encoded.bytes().begin(), encoded.bytes().end()};
}

payload hello_of_seven() {
  bus::hello out;
  out.id = id_of(7);
  out.incarnation = 3;
  return encode(out);
}

bytes header_of(std::uint32_t length) {
  bytes out(codecs::frame_header_bytes);
  codecs::store_header(out.data(), {length, frame_kind::message, 0, 0});
  return out;
}

struct mistake {
  const char* what;
  bytes said;
  errc code;
};

std::vector<mistake> mistakes_when_open() {
  return {
    {"a kind nobody knows", frame(99, 0, 0), errc::unknown_kind},
    {"kind 0", frame(0, 0, 0), errc::unknown_kind},
    {"a kind of another version", frame(frame_kind::stream_open, 4), errc::unknown_kind},
    {"a request without its flag", frame(17, 0, 0, bytes(8)), errc::malformed_frame},
    {"a request with a route", frame(17, 0x03, 0, bytes(8)), errc::malformed_frame},
    {"a request of seven bytes", frame(17, 0x02, 0, bytes(7)), errc::malformed_frame},
    {"a response of three bytes", frame(18, 0x02, 0, bytes(3)), errc::malformed_frame},
    {"a failure of nine bytes", frame(19, 0x02, 0, bytes(9)), errc::malformed_frame},
    {"an opaque failure", frame(19, 0x06, 0, bytes(10)), errc::malformed_frame},
    {"a failure with a tag", frame(19, 0x02, 1, bytes(10)), errc::malformed_frame},
    {"a cancel of five bytes", frame(20, 0x02, 0, bytes(5)), errc::malformed_frame},
    {"a cancel with a tag", frame(20, 0x02, 7, bytes(4)), errc::malformed_frame},
    {"a response nobody asked for", frame(18, 0x02, 0, bytes(4)), errc::unexpected_frame},
    {"a failure nobody asked for", frame(19, 0x02, 0, bytes(10)), errc::unexpected_frame},
    {"a kind above 0x80", frame(0x90, 0, 0), errc::unknown_kind},
    {"a flag nobody knows", frame(16, 0x80, 0), errc::unknown_flag},
    {"a route on a message", frame(16, 0x01, 0, bytes(40)), errc::unexpected_frame},
    {"a correlation on a message", frame(16, 0x02, 0, bytes(40)), errc::unexpected_frame},
    {"a flag on a ping", frame(5, 0x04, 0, bytes(8)), errc::malformed_frame},
    {"a tag on a credit", frame(7, 0, 1, bytes(28)), errc::malformed_frame},
    {"a length above the bound", header_of((16u << 20) + 1), errc::frame_too_large},
    {"the largest length there is", header_of(UINT32_MAX), errc::frame_too_large},
    {"another hello", of(hello_of_seven()), errc::unexpected_frame},
    {"another welcome", of(encode(bus::welcome{1})), errc::unexpected_frame},
    {"a late refusal", of(encode(bus::refuse{errc::rejected, "late"})), errc::unexpected_frame},
    {"a ping of seven bytes", frame(frame_kind::ping, 7), errc::malformed_frame},
    {"a pong of nine bytes", frame(frame_kind::pong, 9), errc::malformed_frame},
    {"a credit of 27 bytes", frame(frame_kind::credit, 27), errc::malformed_frame},
    {"credit for a stream", of(encode(bus::credit{5, 0, 0, 0})), errc::malformed_frame},
    {"credit that took what was not sent", of(encode(bus::credit{0, 9, 9, 4})),
     errc::malformed_frame},
    {"credit that takes back", of(encode(bus::credit{0, 9, 9, 2})), errc::malformed_frame},
    {"a goodbye of nine bytes", frame(frame_kind::goodbye, 9), errc::malformed_frame},
    {"a goodbye that took what was not sent", of(encode(bus::goodbye{errc::closed, 4, {}})),
     errc::malformed_frame},
    {"a goodbye that takes back", of(encode(bus::goodbye{errc::closed, 2, {}})),
     errc::malformed_frame},
  };
}

} // namespace

TEST_CASE("every mistake on an open connection has its errc, and blame on the right side of both") {
  for (const bool by_dialer : {true, false})
    for (const auto& one : mistakes_when_open()) {
      CAPTURE(one.what);
      CAPTURE(by_dialer);
      session_pair pair;
      REQUIRE(pair.open());
      auto& culprit = by_dialer ? pair.dialer : pair.listener;
      auto& victim = by_dialer ? pair.listener : pair.dialer;
      for (int count = 0; count < 3; ++count) {
        culprit.send(10);
        victim.send(20);
      }
      pair.settle();
      // Bring both to know that three were taken.
      culprit.session.probe(pair.now());
      victim.session.probe(pair.now());
      pair.settle();
      REQUIRE(victim.session.account() == send_account{3, 3, 0});
      culprit.send(30); // in the same read as the mistake, and good
      pair.drive(culprit);
      (by_dialer ? pair.to_listener : pair.to_dialer).push(one.said, pair.now());
      REQUIRE(pair.run_to_end(3s));
      CHECK(to_string(victim.end->reason.code) == to_string(one.code));
      CHECK(victim.end->reason.by == blame::remote);
      CHECK(to_string(culprit.end->reason.code) == to_string(one.code));
      CHECK(culprit.end->reason.by == blame::local);
      CHECK(victim.messages == 4);
      CHECK(victim.end->account == send_account{3, 3, 0});
      CHECK(culprit.end->account.sent == 4);
      CHECK(culprit.end->account.confirmed >= 3);
    }
}

TEST_CASE("a message beyond the window is an error, and the last one inside it is not") {
  session_pair::settings how;
  how.bounds.window_bytes_min = how.bounds.window_bytes_max = 4096;
  session_pair pair(how);
  REQUIRE(pair.open());
  pair.listener.holds = true;
  pair.dialer.frozen(true);
  pair.listener.peer = pair.dialer.peer = nullptr; // what comes is made up here
  const auto one = frame(16, 0, 0, bytes(1016));
  for (int count = 0; count < 4; ++count)
    pair.to_listener.push(one, pair.now());
  pair.rest();
  CHECK(!pair.listener.end);
  CHECK(pair.listener.messages == 4);
  SUBCASE("bytes") {
    pair.to_listener.push(frame(16, 0, 0), pair.now());
  }
  SUBCASE("bytes, of the next window") {
    pair.listener.let_go_all();
    pair.rest();
    for (int count = 0; count < 5; ++count)
      pair.to_listener.push(one, pair.now());
  }
  pair.run(2s);
  REQUIRE(pair.listener.end);
  CHECK(pair.listener.end->reason == error{errc::window_exceeded, blame::remote, {}});
}

TEST_CASE("empty messages are bounded by the window's frames") {
  session_pair::settings how;
  how.bounds.window_bytes_min = how.bounds.window_bytes_max = 4096;
  session_pair pair(how);
  REQUIRE(pair.open());
  pair.listener.holds = true;
  pair.dialer.frozen(true);
  pair.listener.peer = pair.dialer.peer = nullptr;
  for (int count = 0; count < 128; ++count)
    pair.to_listener.push(frame(16, 0, 0), pair.now());
  pair.rest();
  CHECK(!pair.listener.end);
  pair.to_listener.push(frame(16, 0, 0), pair.now());
  pair.run(2s);
  REQUIRE(pair.listener.end);
  CHECK(pair.listener.end->reason.code == errc::window_exceeded);
  CHECK(pair.listener.messages == 128);
}

TEST_CASE(
  "whoever has said goodbye may confirm and answer, but send no message and no second goodbye") {
  for (const auto& [said, code] :
       {std::pair{frame(16, 0, 0, bytes(5)), errc::unexpected_frame},
        std::pair{of(encode(bus::goodbye{})), errc::unexpected_frame},
        std::pair{of(encode(bus::credit{0, 1u << 20, 1000, 0})), errc::closed},
        std::pair{of(bus::encode_ping({4})), errc::closed}}) {
    session_pair pair;
    REQUIRE(pair.open());
    pair.listener.holds = true;
    pair.dialer.send(1);
    pair.settle(); // the listener's goodbye waits for its program
    pair.to_listener.push(of(encode(bus::goodbye{})), pair.now());
    pair.rest();
    CHECK(pair.listener.goodbyes.size() == 1);
    pair.to_listener.push(said, pair.now());
    pair.rest();
    pair.listener.let_go_all();
    pair.to_listener.finish(pair.now());
    pair.run(10s);
    REQUIRE(pair.listener.end);
    CHECK(to_string(pair.listener.end->reason.code) == to_string(code));
    CHECK(pair.listener.end->reason.by == blame::remote);
  }
}

TEST_CASE("mistakes in the handshake are refused, and the other learns why") {
  const mistake mistakes[] = {
    {"a second hello", of(hello_of_seven()), errc::unexpected_frame},
    {"a welcome before it is the dialer's turn", of(encode(bus::welcome{1})),
     errc::unexpected_frame},
    {"a message", frame(16, 0, 0, bytes(4)), errc::unexpected_frame},
    {"a ping", of(bus::encode_ping({1})), errc::unexpected_frame},
    {"a credit", of(encode(bus::credit{})), errc::unexpected_frame},
    {"a goodbye", of(encode(bus::goodbye{})), errc::unexpected_frame},
    {"a kind nobody knows", frame(70, 0, 0), errc::unknown_kind},
    {"a flag nobody knows", frame(2, 0x40, 0, bytes(2)), errc::unknown_flag},
    {"a tag on a control frame", frame(2, 0, 3, bytes(2)), errc::malformed_frame},
    {"a frame above the bound for hellos", header_of((16u << 10) + 1), errc::frame_too_large},
    {"a refusal of one byte", frame(frame_kind::refuse, 1), errc::malformed_frame},
  };
  for (const auto& one : mistakes) {
    CAPTURE(one.what);
    session_pair pair;
    pair.listener.on_hello = session_end::decision::wait;
    pair.settle();
    REQUIRE(pair.listener.hellos == 1);
    pair.to_listener.push(one.said, pair.now());
    pair.settle();
    REQUIRE(pair.listener.end);
    REQUIRE(pair.dialer.end);
    CHECK(to_string(pair.listener.end->reason.code) == to_string(one.code));
    CHECK(pair.listener.end->reason.by == blame::remote);
    CHECK(to_string(pair.dialer.end->reason.code) == to_string(one.code));
    CHECK(pair.dialer.end->reason.by == blame::local);
    CHECK(pair.dialer.opened + pair.listener.opened == 0);
  }
}

TEST_CASE("a version that was not agreed on is refused") {
  session_pair pair;
  pair.dialer.on_hello = session_end::decision::wait;
  pair.settle();
  REQUIRE(pair.listener.session.at() == bus::phase::welcome);
  pair.to_listener.push(of(encode(bus::welcome{2})), pair.now());
  pair.settle();
  REQUIRE(pair.listener.end);
  CHECK(pair.listener.end->reason.code == errc::version_unsupported);
  CHECK(pair.dialer.end->reason.code == errc::version_unsupported);
}

TEST_CASE("a hello that is none is refused with what is wrong; another protocol gets no answer") {
  auto good = of(hello_of_seven());
  auto no_id = good;
  for (std::size_t at = 8 + 12; at < 8 + 12 + 16; ++at)
    no_id.at(at) = std::byte{0};
  auto no_range = good;
  no_range[8 + 8] = std::byte{9};
  auto bad_map = good;
  bad_map[8 + 52] = std::byte{0xc1};
  auto magic = good;
  magic[8] = std::byte{'P'};
  const std::string_view http = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
  const auto http_bytes = std::as_bytes(std::span(http));
  const mistake cases[] = {
    {"no id", no_id, errc::malformed_frame},
    {"no range of versions", no_range, errc::malformed_frame},
    {"no map", bad_map, errc::malformed_frame},
    {"short", frame(frame_kind::hello, 0), errc::malformed_frame},
    {"another magic", magic, errc::not_postbus},
    {"http", {http_bytes.begin(), http_bytes.end()}, errc::not_postbus},
    {"tls", frame(3, 1, 0x200, bytes(30)), errc::not_postbus},
    {"a message first", frame(16, 0, 0), errc::not_postbus},
    {"a kind nobody knows", frame(77, 0, 0), errc::not_postbus},
    {"a hello with a tag", frame(1, 0, 9, bytes(60)), errc::not_postbus},
    {"a hello above its bound", frame(1, 0, 0, bytes(17u << 10)), errc::not_postbus},
  };
  for (const auto& one : cases) {
    CAPTURE(one.what);
    session_pair pair;
    pair.dialer.frozen(true);
    pair.to_listener.push(one.said, pair.now());
    pair.to_listener.finish(pair.now());
    pair.settle();
    REQUIRE(pair.listener.end);
    CHECK(to_string(pair.listener.end->reason.code) == to_string(one.code));
    CHECK(pair.listener.end->reason.by == blame::remote);
    CHECK((pair.to_dialer.bytes_pushed() == 0) == (one.code == errc::not_postbus));
  }
}

TEST_CASE(
  "a peer that goes on after its mistake is not listened to, and gone at the linger deadline") {
  session_pair pair;
  REQUIRE(pair.open());
  pair.dialer.frozen(true);
  pair.to_listener.push(frame(99, 0, 0), pair.now());
  for (int count = 0; count < 1000; ++count)
    pair.to_listener.push(frame(16, 0, 0, bytes(1000)), pair.now());
  pair.rest();
  CHECK(pair.listener.messages == 0);
  CHECK(!pair.listener.end);
  pair.run(2s - 1ms);
  CHECK(!pair.listener.end);
  pair.run(1ms);
  REQUIRE(pair.listener.end);
  CHECK(pair.listener.end->reason.code == errc::unknown_kind);
}

TEST_CASE("what comes behind an end is let go of, in whatever frame the end fell") {
  for (const std::uint32_t body : {100u, 100'000u}) {
    CAPTURE(body);
    session_pair pair;
    REQUIRE(pair.open());
    auto& session = pair.listener.session;
    codecs::read_scratch scratch;
    const auto begun = header_of(body);
    std::copy(begun.begin(), begun.end(), session.prepare(scratch)[1].begin());
    session.commit(begun.size(), pair.now());
    session.park();
    session.fail(errc::connection_reset, {});
    for (int count = 0; count < 3; ++count) {
      const auto room = session.prepare(scratch);
      session.commit(room[0].size() + room[1].size(), pair.now());
    }
    session.park();
    pair.settle();
    REQUIRE(pair.listener.end);
    CHECK(pair.listener.end->reason.code == errc::connection_reset);
    CHECK(pair.listener.messages == 0);
  }
}
