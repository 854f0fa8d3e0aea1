// subscriber_queue: what waits for one subscriber, messages and events in their order. Drops messages as
// the policy says, never an event, and marks each gap where it is. Copies what a dropping policy queues.
// Drive: push what arrives; look at front() and take_front().
#pragma once

#include "postbus/bus/batch.hpp"
#include "postbus/bus/events.hpp"
#include "postbus/bus/subscription_options.hpp"

#include <cstdint>
#include <list>
#include <map>
#include <variant>

namespace postbus::bus {

class subscriber_queue {
public:
  struct options {
    slow_policy policy = slow_policy::block;
    std::size_t bytes_max = 0; ///< Of copies; an empty queue takes one message more.
    std::uint64_t messages_max = 0;
    bool marks_gaps = true;
  };
  /// Messages of one peer, back to back in a chunk of the queue's own.
  struct copies {
    node_id from;
    codecs::chunk_ptr owner;
    const std::byte* begin = nullptr;
    const std::byte* end = nullptr;
    std::uint64_t messages = 0;
  };
  /// Messages that were dropped here, by their sender.
  using gap = std::map<node_id, messages_dropped>;
  using item = std::variant<node_event, shared<delivery>, copies, gap>;

  explicit subscriber_queue(options how) noexcept : how_(how) {}
  subscriber_queue(const subscriber_queue&) = delete;
  subscriber_queue& operator=(const subscriber_queue&) = delete;
  ~subscriber_queue() = default;

  /// At the back. Neither is ever dropped.
  void push(const node_event& event);
  void push(shared<delivery> messages);
  /// Copies of `arrived` at the back, and drops what is too much. False when the policy is to
  /// disconnect and it is too much: then nothing has changed.
  [[nodiscard]] bool copy(const node_id& from, const received_frames& arrived);

  [[nodiscard]] bool empty() const noexcept { return items_.empty(); }
  [[nodiscard]] const item& front() const noexcept { return items_.front(); }
  /// Must not be empty.
  [[nodiscard]] item take_front();

  /// Events that wait, gaps not among them.
  [[nodiscard]] std::uint64_t events() const noexcept { return events_; }
  [[nodiscard]] std::size_t event_bytes() const noexcept { return event_bytes_; }
  /// Whether the question about this connection is among them.
  [[nodiscard]] bool asks(std::uint64_t connection) const;
  [[nodiscard]] std::uint64_t messages() const noexcept { return messages_; }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::uint64_t dropped() const noexcept { return dropped_; }
  [[nodiscard]] std::uint64_t dropped_bytes() const noexcept { return dropped_bytes_; }

private:
  using place = std::list<item>::iterator;

  void copy_newest(const node_id& from, const received_frames& arrived);
  void copy_what_fits(const node_id& from, const received_frames& arrived);
  void append(const node_id& from, const received_frames& what);
  [[nodiscard]] std::byte* make_room(std::size_t bytes);
  void drop_first();
  void count_dropped(place before, const node_id& from, std::uint64_t messages,
                     std::uint64_t bytes);
  void no_longer_waiting(std::uint64_t messages, std::uint64_t bytes) noexcept;
  void find_oldest(place from);
  [[nodiscard]] bool fits(std::uint64_t bytes, std::uint64_t messages) const noexcept {
    return bytes_ + bytes <= how_.bytes_max && messages_ + messages <= how_.messages_max;
  }

  options how_;
  std::list<item> items_;
  place oldest_ = items_.end(); // the first copies
  // Where the next small copies go, behind those before.
  codecs::chunk_ptr room_;
  std::byte* room_begin_ = nullptr;
  std::byte* room_end_ = nullptr;

  std::uint64_t events_ = 0;
  std::size_t event_bytes_ = 0;
  std::uint64_t messages_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t dropped_ = 0;
  std::uint64_t dropped_bytes_ = 0;
};

} // namespace postbus::bus
