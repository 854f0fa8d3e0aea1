// session_fuzz: one session against any bytes, in pieces, with accept, send, hold, probe and close in
// between. Whatever it is told, it says only what docs/PROTOCOL.md lets it say, and not too much, and ends.
// Input: a byte for the role, one for what the program does and how the bytes are cut, then the bytes.
#include "postbus/tests/fuzz/spoken.hpp"
#include "postbus/tests/support/lone_session.hpp"

namespace {

using namespace postbus;
using namespace std::chrono_literals;
using fuzz::law;

const error goodbye{errc::closed, blame::local, {}};

class listening : public fuzz::spoken {
public:
  void hear_new(const std::string& wire) {
    hear(std::as_bytes(std::span(wire)).subspan(heard_));
    heard_ = wire.size();
    law(is_whole(), "whole frames are written");
  }

private:
  std::size_t heard_ = 0;
};

void attack(fuzz::operations& in, bus::session::role role) {
  bus::session::options how;
  how.role = role;
  how.self.id = fuzz::id_of(0xbb);
  how.self.incarnation = 2;
  limits bounds;
  bounds.frame_bytes_max = 1u << 20;
  const auto setup = in.byte();
  if ((setup & 1) != 0)
    bounds.window_bytes_min = bounds.window_bytes_max = 256;
  how.bounds = std::make_shared<const limits>(bounds);
  test::lone_session tested(std::move(how));
  listening peer;
  peer.hear_new(tested.wire);
  const bool accepts = (setup & 2) == 0;
  const std::size_t piece = (setup >> 4) == 0 ? SIZE_MAX : setup >> 4;
  const auto bytes = in.rest();
  auto rest = bytes;
  std::size_t turn = 0;
  while (!rest.empty() && !tested.is_over()) {
    const auto count = std::min(piece, rest.size());
    tested.feed(rest.first(count));
    rest = rest.subspan(count);
    if (accepts)
      tested.accept();
    if ((setup & 4) != 0 && ++turn % 8 == 0) {
      (void)tested.send("hello");
      tested.hold(turn % 16 == 0);
      tested.pass(turn % 3 * 1s);
      if (turn % 24 == 0)
        tested.probe();
    }
    if ((setup & 8) != 0 && turn == 40)
      tested.close(goodbye, 2s);
    peer.hear_new(tested.wire);
    // Each frame of the peer is answered by two at most, and time adds a few.
    law(peer.frames() <= 16 + (bytes.size() - rest.size()) / 4 + 4 * turn,
        "no more is said than was asked for");
    law(accepts || !peer.has_welcomed(), "nobody is welcomed without a decision");
  }
  tested.hold(false);
  tested.end_of_input();
  tested.pass(2min);
  peer.hear_new(tested.wire);
  law(tested.is_over(), "an end that does not come");
  law(!tested.told.empty() && tested.told.back().starts_with("ended "), "the end is told last");
  const auto opened = std::count(tested.told.begin(), tested.told.end(), "opened");
  law(opened <= (accepts ? 1 : 0), "opened once, and only when accepted");
  law(peer.refusal().has_value() + peer.farewell().has_value() <= 1,
      "a refuse or a goodbye, not both");
  law(opened == 0 || !peer.refusal(), "who has opened refuses no more");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::operations in(data, size, 4096);
  fuzz::under_law(
    [&] { attack(in, in.flag() ? bus::session::role::listener : bus::session::role::dialer); });
  return 0;
}
