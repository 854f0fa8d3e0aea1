#include "postbus/bus/loopback.hpp"

#include "postbus/codecs/chunk_pool.hpp"

#include <algorithm>

namespace postbus::bus {

namespace {

// As a connection's window: one frame for every so many bytes, so that empty messages count, too.
constexpr std::uint64_t window_bytes_per_frame = 32;

void append(received_frames& to, const outgoing& piece) {
  if (piece.body.empty()) {
    for (std::size_t at = 0; at < piece.head_bytes;) {
      const auto* begin = piece.head + at;
      const auto bytes = codecs::frame_header_bytes + codecs::load<std::uint32_t>(begin);
      to.append(*piece.owner, begin, begin + bytes);
      at += bytes;
    }
    return;
  }
  // A large body lies elsewhere, and whoever reads a message wants it behind its header.
  const auto whole = codecs::chunk_pool::take(piece.bytes());
  std::memcpy(whole->data(), piece.head, piece.head_bytes);
  std::memcpy(whole->data() + piece.head_bytes, piece.body.data(), piece.body.size());
  to.append(*whole, whole->data(), whole->data() + piece.bytes());
}

} // namespace

shared<received_frames> loopback::pull(outbox& from, std::uint64_t window_bytes,
                                       std::uint64_t bytes_max) {
  while (from.data_frames() > 0 && !window_is_open(window_bytes)) {
    // Whoever lets go from here on wakes the driver; what was let go in between is seen now.
    const auto released = charge_->frames();
    charge_->want();
    if (charge_->frames() == released)
      return {};
  }
  if (from.data_frames() == 0)
    return {};
  const auto held_frames = frames_ - charge_->frames();
  const auto held_bytes = bytes_ - charge_->bytes();
  const auto frames_left =
    std::max<std::uint64_t>(window_bytes / window_bytes_per_frame, 1) - held_frames;
  fifo<outgoing> pieces;
  const auto taken =
    from.take(pieces, {std::min(window_bytes - held_bytes, bytes_max), frames_left});
  bytes_ += taken.bytes;
  frames_ += taken.frames;
  auto found = shared<received_frames>::adopt(new received_frames(charge_));
  while (const auto piece = pieces.take_front())
    if (piece->is_data)
      append(*found, *piece);
  return found;
}

bool loopback::window_is_open(std::uint64_t window_bytes) const noexcept {
  const auto frames = frames_ - charge_->frames(); // first: published after the bytes
  const auto bytes = bytes_ - charge_->bytes();
  return bytes < window_bytes
         && frames < std::max<std::uint64_t>(window_bytes / window_bytes_per_frame, 1);
}

} // namespace postbus::bus
