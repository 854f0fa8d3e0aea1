// session_fuzz: two sessions in whatever interleaving the input asks for, or one against raw bytes.
// The first byte says which. Two ends: each byte pair is an operation and its size; in the end both
// must have ended, with accounts that add up. One end: bytes in pieces, with accept, send, hold and
// close in between; it must never do anything a peer could not explain.
#include "postbus/tests/support/lone_session.hpp"
#include "postbus/tests/support/session_pair.hpp"

#include <cstdio>
#include <cstdlib>

namespace {

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

struct input {
  const std::uint8_t* at;
  const std::uint8_t* end;

  [[nodiscard]] bool empty() const { return at == end; }
  unsigned byte() { return at == end ? 0u : *at++; }
};

const error goodbye{errc::closed, blame::local, {}};

void two_ends(input in) {
  const auto setup = in.byte();
  session_pair::settings how;
  if ((setup & 1) != 0) {
    how.bounds.window_bytes_min = 256;
    how.bounds.window_bytes_max = 1024;
  }
  if ((setup & 2) != 0) {
    how.bounds.outbox_bytes_max = 4096;
    how.bounds.outbox_frames_max = 20;
  }
  how.way.latency = (setup & 4) != 0 ? 5ms : 0ms;
  how.way.room_bytes = (setup & 8) != 0 ? 300 : SIZE_MAX;
  session_pair pair(how);
  if ((setup & 16) != 0)
    pair.listener.on_hello = session_end::decision::wait;
  pair.drive(pair.dialer);
  while (!in.empty()) {
    const auto what = in.byte();
    const auto size = in.byte();
    auto& at = (what & 0x80) != 0 ? pair.dialer : pair.listener;
    auto& way = (what & 0x80) != 0 ? pair.to_dialer : pair.to_listener;
    switch ((what & 0x7f) % 16) {
    case 0:
    case 1:
      (void)at.send(size);
      break;
    case 2:
      (void)at.send(size * 100);
      break;
    case 3:
    case 4:
      way.how.read_bytes = size + 1;
      (void)pair.read(at);
      break;
    case 5:
      way.how.read_bytes = SIZE_MAX;
      (void)pair.read(at);
      break;
    case 6:
      pair.run(std::chrono::milliseconds(size));
      break;
    case 7:
      pair.run(std::chrono::milliseconds(size * 300));
      break;
    case 8:
      at.holds = !at.holds;
      break;
    case 9:
      if (!at.held.empty())
        at.let_go_first();
      break;
    case 10:
      at.session.probe(pair.now());
      break;
    case 11:
      at.session.takes_messages(size % 2 == 0);
      break;
    case 12:
      at.session.window_bytes_max(size * 16);
      break;
    case 13:
      if (size < 16)
        at.session.close(goodbye, std::chrono::milliseconds(size * 100), pair.now());
      break;
    case 14:
      if (size < 4)
        way.fail_at(way.bytes_pushed() + size, static_cast<fault>(size), pair.now());
      break;
    case 15:
      if (size < 8)
        at.session.accept(pair.now());
      else if (size == 8)
        at.session.refuse(goodbye, pair.now());
      else if (size < 12)
        at.frozen(!at.frozen());
      break;
    }
    pair.drive(at);
  }
  const bool whole = !pair.dialer.frozen() && !pair.listener.frozen();
  for (auto* at : {&pair.dialer, &pair.listener}) {
    at->holds = false;
    at->frozen(false);
    at->let_go_all();
    at->session.takes_messages(true);
  }
  for (auto* way : {&pair.to_dialer, &pair.to_listener})
    way->how.read_bytes = way->how.room_bytes = SIZE_MAX;
  if (whole)
    pair.run(1s);
  for (auto* at : {&pair.dialer, &pair.listener}) {
    at->session.close(goodbye, 5s, pair.now());
    pair.drive(*at);
  }
  law(pair.run_to_end(10min), "an end that does not come");
}

void one_end(input in, bus::session::role role) {
  bus::session::options how;
  how.role = role;
  how.self.id = id_of(0xbb);
  how.self.incarnation = 2;
  how.bounds.frame_bytes_max = 1u << 20;
  const auto setup = in.byte();
  if ((setup & 1) != 0)
    how.bounds.window_bytes_min = how.bounds.window_bytes_max = 256;
  lone_session tested(std::move(how));
  const bool accepts = (setup & 2) == 0;
  const std::size_t piece = (setup >> 4) == 0 ? SIZE_MAX : setup >> 4;
  std::size_t turn = 0;
  while (!in.empty() && !tested.is_over()) {
    const auto count = std::min<std::size_t>(piece, static_cast<std::size_t>(in.end - in.at));
    tested.feed(std::as_bytes(std::span(in.at, count)));
    in.at += count;
    if (accepts)
      tested.accept();
    law(tested.wire.size() < (1u << 20), "more said than a peer can ask for");
    if ((setup & 4) != 0 && ++turn % 8 == 0) {
      (void)tested.send("hello");
      tested.hold(turn % 16 == 0);
      tested.pass(turn % 3 * 1s);
    }
    if ((setup & 8) != 0 && turn == 40)
      tested.close(goodbye, 2s);
  }
  tested.hold(false);
  tested.end_of_input();
  tested.pass(2min);
  law(tested.is_over(), "an end that does not come");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input in{data, data + std::min<std::size_t>(size, 4096)};
  try {
    switch (in.byte() % 3) {
    case 0:
      two_ends(in);
      break;
    case 1:
      one_end(in, bus::session::role::listener);
      break;
    case 2:
      one_end(in, bus::session::role::dialer);
      break;
    }
  } catch (const broken_law& broken) {
    std::fprintf(stderr, "%s\n", broken.what());
    std::abort();
  }
  return 0;
}
