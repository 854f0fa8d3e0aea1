// request_place: what a peer's request takes up here, from when a handler has it until the last holder lets
// go of it, which may be long after anybody waits for the answer. Holds no request, only its sums.
// Drive: request_table makes one per request; whoever holds the request holds it, on any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace postbus::bus {

/// What handlers hold of somebody's requests. Raised by the core, lowered on any thread.
struct requests_held {
  std::atomic<std::uint64_t> count{0};
  std::atomic<std::uint64_t> bytes{0};
};

class request_place {
public:
  /// What a request takes up beside its body, about.
  static constexpr std::size_t own_bytes = 256;

  /// Counts it: as `frame_bytes` with its peer's, which count those, too, and with its memory in all.
  request_place(std::shared_ptr<requests_held> of_peer, std::size_t frame_bytes,
                std::shared_ptr<requests_held> of_all, std::size_t body_bytes) noexcept
    : of_peer_(std::move(of_peer)), frame_bytes_(frame_bytes), of_all_(std::move(of_all)),
      bytes_(body_bytes + own_bytes) {
    change(*of_peer_, 1, frame_bytes_);
    change(*of_all_, 1, bytes_);
  }
  request_place(const request_place&) = delete;
  request_place& operator=(const request_place&) = delete;
  ~request_place() {
    answered();
    change(*of_all_, -1, -bytes_);
  }

  /// Its handler has answered: the peer may ask once more. The memory is taken until it is let go.
  void answered() noexcept {
    if (!answered_.exchange(true, std::memory_order_relaxed))
      change(*of_peer_, -1, -frame_bytes_);
  }

private:
  // Unsigned numbers wrap: less is more of them.
  static void change(requests_held& sums, std::int64_t count, std::uint64_t bytes) noexcept {
    sums.count.fetch_add(static_cast<std::uint64_t>(count), std::memory_order_relaxed);
    sums.bytes.fetch_add(bytes, std::memory_order_relaxed);
  }

  const std::shared_ptr<requests_held> of_peer_;
  const std::uint64_t frame_bytes_;
  const std::shared_ptr<requests_held> of_all_;
  const std::uint64_t bytes_;
  std::atomic<bool> answered_{false};
};

} // namespace postbus::bus
