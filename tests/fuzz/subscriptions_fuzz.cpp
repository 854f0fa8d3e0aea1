// subscriptions_fuzz: subscribers come and go, with filters and policies; messages and events are pushed,
// batches are held, kept as single messages and let go, in any order. subscriptions_world knows what must
// come out. Input: one byte for the bound on batches in flight, then operations.
#include "postbus/tests/fuzz/subscriptions_world.hpp"

namespace {

using namespace postbus;
using fuzz::id_of;

// The first three bits say what it wants, the fourth that more is said.
bus::subscription_options options_of(unsigned wants, fuzz::operations& in) {
  bus::subscription_options made{
    .messages = (wants & 1) != 0, .events = (wants & 2) != 0, .decides = (wants & 4) != 0};
  if ((wants & 8) == 0)
    return made;
  const auto how = in.byte();
  made.policy = static_cast<slow_policy>(how & 3);
  for (unsigned peer = 1; peer <= (how >> 2 & 3); ++peer)
    made.filter.peers.push_back(id_of(peer));
  const auto first = static_cast<std::uint16_t>(how >> 4 & 3);
  if ((how & 0x40) != 0)
    made.filter.tags.push_back({first, static_cast<std::uint16_t>(first + 1)});
  if ((how & 0x80) != 0)
    made.filter.tags.emplace_back(static_cast<std::uint16_t>(first + 3));
  const auto bounds = in.byte();
  made.queue_messages_max = 1 + bounds % 8;
  made.queue_bytes_max = 8 + 8 * (bounds / 8);
  return made;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::operations in(data, size, 512);
  const auto held_before = codecs::chunk_pool::held_bytes();
  {
    fuzz::subscriptions_world all(1 + in.below(4));
    while (in.more()) {
      const auto what = in.byte();
      const auto which = what >> 4;
      switch (what & 0xf) {
      case 0:
      case 1:
        all.add(options_of(which, in));
        break;
      case 2:
        all.remove(which);
        break;
      case 3:
      case 4:
      case 5:
      case 6:
        all.push_messages(1 + which % 3, 1 + which / 3);
        break;
      case 7:
      case 8:
        all.push_event(1 + which / 2 % 3, which % 2 == 1);
        break;
      case 9:
        if (which == 15)
          all.hand_on_all();
        break;
      default:
        all.let_go(which, (what & 0xf) % 4);
        break;
      }
    }
    all.finish();
  }
  fuzz::law(codecs::chunk_pool::held_bytes() == held_before, "nothing is left of any message");
  return 0;
}
