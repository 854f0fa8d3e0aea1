// batch: messages of one peer, in the order they were sent, as they lie in the bytes that were read.
// Copying a batch or a message copies no bytes. While a batch, or a message taken from it, lives, its
// bytes count against the peer's window; a `payload` taken from it does not, but keeps its chunk.
#pragma once

#include "postbus/bus/node_id.hpp"
#include "postbus/bus/receipt.hpp"
#include "postbus/codecs/chunk.hpp"
#include "postbus/codecs/frame.hpp"
#include "postbus/codecs/value_check.hpp"

#include <cstddef>
#include <iterator>
#include <span>
#include <string_view>
#include <vector>

namespace postbus {

class batch;

namespace bus {

/// Frames that lie back to back in one chunk.
struct run {
  codecs::chunk_ptr owner;
  const std::byte* begin = nullptr;
  const std::byte* end = nullptr;
};

/// What a session found in one drive: runs of message frames. Charged to the receipt of its
/// connection until the last holder lets go.
class received_frames : public counted<received_frames> {
public:
  explicit received_frames(shared<receipt> charge) noexcept : charge_(std::move(charge)) {}
  received_frames(const received_frames&) = delete;
  received_frames& operator=(const received_frames&) = delete;
  ~received_frames() {
    runs_.clear(); // the bytes are free before anybody is told so
    if (charge_)
      charge_->add(bytes_, frames_);
  }

  /// Adds `frames` whole frames, [begin, end) of `owner`, at the back.
  void append(codecs::chunk& owner, const std::byte* begin, const std::byte* end,
              std::uint64_t frames = 1) {
    if (!runs_.empty() && runs_.back().end == begin && runs_.back().owner.get() == &owner)
      runs_.back().end = end;
    else
      runs_.push_back({codecs::chunk_ptr::share(owner), begin, end});
    bytes_ += static_cast<std::size_t>(end - begin);
    frames_ += frames;
  }
  /// Moves the frames to a chunk of their own if they fill little of those they lie in, which have
  /// room for what others sent. For what waits; before anybody looks at them.
  void move_together();
  /// The receipt, for others that take over what is charged to it: nothing is charged here any more.
  [[nodiscard]] shared<receipt> take_charge() noexcept { return std::exchange(charge_, {}); }

  [[nodiscard]] const std::vector<run>& runs() const noexcept { return runs_; }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::uint64_t frames() const noexcept { return frames_; }

  /// Whether a program ever had them. `connection` is set by the node, the rest by `subscriptions`; on
  /// their thread only.
  struct claim {
    std::uint64_t connection = 0; ///< Over which they came.
    std::uint32_t waiting = 0;    ///< Subscriptions that they wait for.
    bool given = false; ///< To a subscriber, at least once; or taken by one whose policy drops.
  };
  claim claimed;

private:
  std::vector<run> runs_;
  std::uint64_t bytes_ = 0;
  std::uint64_t frames_ = 0;
  shared<receipt> charge_;
};

/// Calls `what(owner, begin, end)` for every frame, in order.
template <class What>
void each_frame(const received_frames& of, What&& what) {
  for (const auto& in : of.runs())
    for (const auto* at = in.begin; at != in.end;) {
      const auto* end = at + codecs::frame_header_bytes + codecs::load<std::uint32_t>(at);
      what(*in.owner, at, end);
      at = end;
    }
}

/// One subscriber's hold on received frames: tells the subscription when it ends.
class delivery : public counted<delivery> {
public:
  /// `parts` are charged for what `frames` shows when that is a choice out of them; else none.
  delivery(node_id from, shared<received_frames> frames, shared<receipt> slot,
           std::vector<shared<received_frames>> parts = {}) noexcept
    : from_(from), frames_(std::move(frames)), parts_(std::move(parts)), slot_(std::move(slot)) {}
  delivery(const delivery&) = delete;
  delivery& operator=(const delivery&) = delete;
  ~delivery() {
    const auto bytes = frames_->bytes();
    frames_ = {};
    parts_.clear();
    if (slot_)
      slot_->add(bytes, 1);
  }

  [[nodiscard]] const node_id& from() const noexcept { return from_; }
  [[nodiscard]] const received_frames& frames() const noexcept { return *frames_; }
  /// Calls `what` with everything that is charged for this.
  template <class What>
  void each_charged(What&& what) const {
    if (parts_.empty())
      return what(*frames_);
    for (const auto& part : parts_)
      what(*part);
  }

private:
  node_id from_;
  shared<received_frames> frames_;
  std::vector<shared<received_frames>> parts_;
  shared<receipt> slot_;
};

} // namespace bus

/// One message where it lies: valid while its batch is. Costs nothing to copy.
class message_view {
public:
  message_view() noexcept = default;
  message_view(const bus::delivery& home, codecs::chunk& owner, const std::byte* begin) noexcept
    : home_(&home), owner_(&owner), begin_(begin) {}

  /// Who sent it.
  [[nodiscard]] const node_id& from() const noexcept { return home_->from(); }
  /// The sender's tag, 0 when it gave none.
  [[nodiscard]] std::uint16_t tag() const noexcept {
    return codecs::load<std::uint16_t>(begin_ + 6);
  }
  /// True when it was sent as bytes, false when as a value.
  [[nodiscard]] bool is_opaque() const noexcept {
    return (static_cast<std::uint8_t>(begin_[5]) & codecs::frame_flag::opaque) != 0;
  }
  /// The bytes of the body: MessagePack, unless `is_opaque()`.
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
    return {begin_ + codecs::frame_header_bytes, codecs::load<std::uint32_t>(begin_)};
  }
  /// The same, seen as text.
  [[nodiscard]] std::string_view text() const noexcept {
    return {reinterpret_cast<const char*>(bytes().data()), bytes().size()};
  }
  /// The body as a slice that may be kept: no longer charged, but it keeps its whole chunk.
  [[nodiscard]] payload body() const {
    return {codecs::chunk_ptr::share(*owner_), bytes().data(), bytes().size()};
  }
  /// The value, or `wrong_type`, `truncated_value` and the like, within `bounds`. Defined in bus/decode.hpp.
  template <class T>
  [[nodiscard]] result<T> as(const codecs::value_limits& bounds = {}) const;

private:
  friend class message;
  friend class batch;

  const bus::delivery* home_ = nullptr;
  codecs::chunk* owner_ = nullptr;
  const std::byte* begin_ = nullptr;
};

/// One message that may be kept and passed on. Never empty except when default-made.
class message {
public:
  message() noexcept = default;
  message(bus::shared<bus::delivery> home, message_view view) noexcept
    : home_(std::move(home)), view_(view) {}

  /// Who sent it.
  [[nodiscard]] const node_id& from() const noexcept { return view_.from(); }
  /// The sender's tag, 0 when it gave none.
  [[nodiscard]] std::uint16_t tag() const noexcept { return view_.tag(); }
  /// True when it was sent as bytes, false when as a value.
  [[nodiscard]] bool is_opaque() const noexcept { return view_.is_opaque(); }
  /// The bytes of the body: MessagePack, unless `is_opaque()`.
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return view_.bytes(); }
  /// The same, seen as text.
  [[nodiscard]] std::string_view text() const noexcept { return view_.text(); }
  /// The body as a slice that may be kept: no longer charged, but it keeps its whole chunk.
  [[nodiscard]] payload body() const { return view_.body(); }
  /// The value, or `wrong_type`, `truncated_value` and the like, within `bounds`. Defined in bus/decode.hpp.
  template <class T>
  [[nodiscard]] result<T> as(const codecs::value_limits& bounds = {}) const;

private:
  bus::shared<bus::delivery> home_;
  message_view view_;
};

/// One or more messages of one peer, in order. A range of `message_view`.
class batch {
public:
  using value_type = message_view;

  class iterator {
  public:
    using value_type = message_view;
    using difference_type = std::ptrdiff_t;
    using reference = message_view;
    using pointer = const message_view*;
    using iterator_category = std::input_iterator_tag;

    iterator() noexcept = default;
    iterator(const bus::delivery& home, std::size_t run) noexcept : home_(&home), run_(run) {
      if (run_ < home.frames().runs().size())
        at_ = home.frames().runs()[run_].begin;
    }

    [[nodiscard]] message_view operator*() const noexcept {
      return {*home_, *home_->frames().runs()[run_].owner, at_};
    }
    iterator& operator++() noexcept {
      const auto& runs = home_->frames().runs();
      at_ += codecs::frame_header_bytes + codecs::load<std::uint32_t>(at_);
      if (at_ == runs[run_].end)
        at_ = ++run_ < runs.size() ? runs[run_].begin : nullptr;
      return *this;
    }
    iterator operator++(int) noexcept {
      auto before = *this;
      ++*this;
      return before;
    }
    friend bool operator==(const iterator& left, const iterator& right) noexcept {
      return left.at_ == right.at_;
    }

  private:
    friend class batch;

    const bus::delivery* home_ = nullptr;
    std::size_t run_ = 0;
    const std::byte* at_ = nullptr;
  };

  batch() noexcept = default;
  explicit batch(bus::shared<bus::delivery> home) noexcept : home_(std::move(home)) {
    first_ = {*home_, 0};
    size_ = static_cast<std::size_t>(home_->frames().frames());
  }

  /// Who sent them.
  [[nodiscard]] const node_id& from() const noexcept { return home_->from(); }
  /// Messages in it.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  /// Bytes of all its frames, headers included.
  [[nodiscard]] std::size_t size_bytes() const noexcept {
    std::size_t sum = 0;
    if (home_)
      for (auto run = first_.run_; run < home_->frames().runs().size(); ++run) {
        const auto& in = home_->frames().runs()[run];
        sum += static_cast<std::size_t>(in.end - (run == first_.run_ ? first_.at_ : in.begin));
      }
    return sum;
  }

  [[nodiscard]] iterator begin() const noexcept { return first_; }
  [[nodiscard]] iterator end() const noexcept { return {}; }

  /// The message that `view`, found in this batch, looks at; it keeps the batch's bytes charged.
  [[nodiscard]] message keep(message_view view) const { return {home_, view}; }

  /// The first message, taken out: the batch begins behind it. Must not be empty.
  [[nodiscard]] message take_first() {
    auto first = keep(*first_);
    ++first_;
    if (--size_ == 0)
      *this = {};
    return first;
  }

private:
  bus::shared<bus::delivery> home_;
  iterator first_;
  std::size_t size_ = 0;
};

} // namespace postbus
