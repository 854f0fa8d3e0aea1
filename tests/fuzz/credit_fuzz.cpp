// credit_fuzz: an open session against a peer that says whole frames with any numbers in them: credit,
// messages, pings, pongs, goodbyes. credit_world says of each frame what it must lead to: more room, a
// batch, an answer, or the end with one errc.
// Input: a byte for the bounds and the role, then operations. Raw bytes are session_fuzz's.
#include "postbus/tests/fuzz/credit_world.hpp"

using namespace postbus;
using namespace std::chrono_literals;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::operations in(data, size, 256);
  const auto setup = in.byte();
  limits bounds;
  bounds.frame_bytes_max = fuzz::our_frame_bytes_max;
  constexpr std::size_t windows[] = {65'536, 1, 100, 4096};
  bounds.window_bytes_min = windows[setup & 3];
  bounds.window_bytes_max = bounds.window_bytes_min << ((setup >> 2) & 3);
  if ((setup & 16) != 0)
    bounds.outbox_frames_max = 5;
  fuzz::credit_world both((setup & 32) != 0 ? bus::session::role::listener
                                            : bus::session::role::dialer,
                          bounds, (setup & 64) == 0);
  bool gathers = false;
  while (in.more()) {
    const auto what = in.byte();
    const auto few = what >> 4;
    const auto told = both.limits_told();
    switch (what & 0xf) {
    case 0: // what a good peer says: a little more, and what it has taken
      both.peer_grants(
        {0, told.bytes_limit + in.byte() * 64u, told.frames_limit + few,
         told.frames_taken + std::min<std::uint64_t>(few, both.frames_sent() - told.frames_taken)});
      break;
    case 1:
      both.peer_grants({0, in.number(), in.number(), told.frames_taken});
      break;
    case 2:
      both.peer_grants({few == 15 ? 1u : 0u, told.bytes_limit, told.frames_limit,
                        few < 8 ? told.frames_taken + few : in.number()});
      break;
    case 3:
      both.peer_sends(in.byte());
      break;
    case 4:
      both.peer_sends(std::min<std::size_t>(in.size(), fuzz::our_frame_bytes_max));
      break;
    case 5: // up to the border of the window, and one step beyond or before it
      both.peer_sends(std::min<std::size_t>(
        both.peer_room_bytes() + few - std::min<std::size_t>(both.peer_room_bytes() + few, 15),
        fuzz::our_frame_bytes_max));
      break;
    case 6:
      few % 2 == 0 ? both.peer_pings(in.number()) : both.peer_pongs(in.number());
      break;
    case 7:
      if (few < 4)
        both.peer_leaves(static_cast<errc>(in.byte()), told.frames_taken + few / 2);
      else
        gathers = !gathers;
      break;
    default:
      both.flush();
      switch (what & 0xf) {
      case 8:
      case 9:
        both.send(in.byte());
        break;
      case 10:
        both.send(std::min<std::size_t>(in.size(), 50'000));
        break;
      case 11:
        both.holds(few % 2 == 0);
        break;
      case 12:
        both.let_go(few);
        break;
      case 13:
        few < 12 ? both.pass(1ms * in.byte() * (few * few)) : both.probe();
        break;
      case 14:
        both.transport_takes(few == 0 ? SIZE_MAX : (few - 1) * std::size_t{in.byte()});
        break;
      case 15:
        if (few < 4)
          both.takes_messages(few % 2 == 0);
        else if (few < 8)
          both.share(1 + in.size());
        else if (few == 8)
          both.close(1ms * in.byte() * 40);
        else
          both.flush(few - 8);
        break;
      }
    }
    if (!gathers)
      both.flush(few == 3 ? 5 : SIZE_MAX);
  }
  both.flush();
  both.finish(in.flag());
  return 0;
}
