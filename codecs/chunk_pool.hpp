// chunk_pool: where chunks come from and go back to. One for the process, never destroyed, so a
// chunk may be let go at any time, on any thread, after every loop and actor system is gone.
// Each thread keeps a few chunks of every size to itself and trades them with a shared depot in
// groups, so a thread that only takes (a loop) and one that only gives back (a subscriber) rarely meet.
#pragma once

#include "postbus/codecs/chunk.hpp"

namespace postbus::codecs {

/// Pooled sizes are 2^n + 256 bytes, n = 8 … 20, so that a payload of 2^n bytes and its header fit
/// one; larger chunks come from the allocator and go straight back to it.
class chunk_pool {
public:
  static constexpr std::size_t slack_bytes = 256;
  static constexpr unsigned smallest_exponent = 8;
  static constexpr unsigned largest_exponent = 20;
  /// What the depot keeps for reuse at most, in bytes; above it chunks are freed.
  static constexpr std::size_t kept_bytes_max = std::size_t{32} << 20;
  /// What one thread keeps to itself at most, in bytes, over all sizes.
  static constexpr std::size_t thread_bytes_max = std::size_t{2} << 20;

  /// A chunk of at least `bytes`, held once. Throws std::bad_alloc as `new` does.
  [[nodiscard]] static chunk_ptr take(std::size_t bytes);

  /// Bytes of all chunks now held by somebody, in all threads. For tests and statistics; exact
  /// only while no other thread takes or gives back.
  [[nodiscard]] static std::size_t held_bytes() noexcept;
  /// Bytes that lie unused in the depot and in this thread's own store.
  [[nodiscard]] static std::size_t kept_bytes() noexcept;
  /// Frees what lies unused in the depot and in this thread's own store.
  static void trim() noexcept;

private:
  friend class chunk_ptr;
  struct group;
  class depot;
  class store;

  static void give_back(chunk* last_held) noexcept;
};

} // namespace postbus::codecs
