// handed_back: sums over the messages that a session hands back at its end.
#pragma once

#include "postbus/bus/outbox.hpp"

namespace postbus::test {

struct handed_back {
  std::uint64_t frames = 0;
  std::size_t first_bytes = 0; ///< Of the first so many of them, headers included.
};

[[nodiscard]] inline handed_back sums_of(const bus::fifo<bus::outgoing>& frames,
                                         std::uint64_t first = 0) {
  handed_back sums;
  for (std::size_t index = 0; index < frames.size(); ++index) {
    const auto& piece = frames[index];
    std::size_t at = 0;
    for (std::uint64_t count = 0; count < piece.frames; ++count, ++sums.frames) {
      const auto bytes = codecs::frame_header_bytes + codecs::load<std::uint32_t>(piece.head + at);
      sums.first_bytes += sums.frames < first ? bytes : 0;
      at += bytes;
    }
  }
  return sums;
}

} // namespace postbus::test
