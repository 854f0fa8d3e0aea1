// requests: the open requests of one connection, both ways, and the frames about them that wait to be
// written. Knows when each is due. Does no I/O and reads no clock; made when the first one comes up.
// Drive: ask, cancel and answer from the programs; take, settle and is_asked from the peer's frames;
// pull frames into the wire; pop_due at deadline().
#pragma once

#include "postbus/bus/fifo.hpp"
#include "postbus/bus/outbox.hpp"
#include "postbus/bus/request.hpp"

#include <cstdint>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

namespace postbus::bus {

class requests {
public:
  /// `frame_bytes_max` is what the peer takes in one frame.
  requests(const limits& bounds, std::uint32_t frame_bytes_max) noexcept;

  // -- we ask -----------------------------------------------------------------------

  /// Queues a request. Its asker has looked at what the peer takes.
  void ask(const request& what, time_point now);
  /// The asker waits no longer: queues a cancel, once. The request stays open until it is answered.
  void cancel(correlation_id id);
  /// An answer arrived. False if no such request is open.
  [[nodiscard]] bool settle(correlation_id id);

  // -- the peer asks ------------------------------------------------------------------

  /// A request of `frame_bytes` arrived. `none`, or what the peer did wrong. It takes a place until its
  /// answer is pulled.
  [[nodiscard]] errc take(correlation_id id, std::size_t frame_bytes, time_point deadline);
  /// True while the peer's request is not answered.
  [[nodiscard]] bool is_asked(correlation_id id) const { return asked_of_us_.contains(id); }
  /// Queues the answer: the first counts, later ones are ignored. One that is too large for the peer,
  /// or finds too much waiting, is replaced by a failure that says so.
  void answer(correlation_id id, const request_answer& what);

  // -- time -------------------------------------------------------------------------

  struct due {
    correlation_id id = 0;
    bool ours = false; ///< We asked; else the peer did.
  };
  /// The next request whose time is over; each comes once.
  [[nodiscard]] std::optional<due> pop_due(time_point now);
  [[nodiscard]] time_point deadline() const noexcept {
    return times_.empty() ? never : times_.begin()->first;
  }

  // -- out --------------------------------------------------------------------------

  /// Moves frames to the back of `wire`, about `bytes_max` of them.
  void pull(fifo<outgoing>& wire, std::size_t bytes_max);

  // -- state ------------------------------------------------------------------------

  [[nodiscard]] bool queue_empty() const noexcept { return box_.data_frames() == 0; }
  /// Requests of ours whose askers wait.
  [[nodiscard]] std::size_t awaited() const noexcept { return awaited_; }
  /// Requests of the peer that are not answered.
  [[nodiscard]] std::size_t unanswered() const noexcept { return asked_of_us_.size(); }
  /// Anything open or waiting to be written.
  [[nodiscard]] bool busy() const noexcept {
    return awaited_ > 0 || !asked_of_us_.empty() || !queue_empty();
  }

private:
  struct open {
    time_point deadline = never;
    std::size_t frame_bytes = 0; // of the peer's
    bool awaited = true;         // of ours: somebody waits for the answer
  };
  using table = std::unordered_map<correlation_id, open>;

  void push(codecs::frame_header header, std::span<const std::byte> prefix, const payload& body);
  void push_answer(codecs::frame_header header, std::span<const std::byte> prefix,
                   const payload& body);
  void push_failure(correlation_id id, const failure& what);
  void no_longer_awaited(open& what);

  std::uint32_t count_max_;
  std::uint32_t bytes_max_;
  std::uint32_t frame_bytes_max_;
  std::size_t answers_bytes_max_;
  table asked_by_us_;
  table asked_of_us_;
  std::uint64_t asked_of_us_bytes_ = 0;
  std::size_t awaited_ = 0;
  std::set<std::pair<time_point, std::uint64_t>> times_; // the id, and above it whether it is ours
  outbox box_;
  // To the peer a request is open until it has the answer. So is it here while that waits in the box:
  // else who asks and reads nothing could have any number of answers pile up.
  std::uint64_t frames_pulled_ = 0;
  fifo<std::uint64_t> answers_waiting_; // frames that leave the box before each
};

} // namespace postbus::bus
