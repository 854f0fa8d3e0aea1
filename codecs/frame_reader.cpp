#include "postbus/codecs/frame_reader.hpp"

#include "postbus/codecs/chunk_pool.hpp"

#include <algorithm>
#include <cassert>

namespace postbus::codecs {

static_assert(
  frame_reader::shared_bytes_max + read_scratch::room_bytes_min <= 4 * read_scratch::room_bytes_min,
  "a frame that shares the scratch fits into an empty one, with room for a read behind it");

// -- read_scratch -----------------------------------------------------------------------

std::span<std::byte> read_scratch::room_behind(std::span<const std::byte> begun,
                                               std::size_t bytes) {
  // So few bytes are moved to the front for the sake of a scratch that stays in the cache.
  constexpr std::size_t cheap_to_move = 4096;

  std::size_t free = chunk_ ? chunk_->capacity() - used_ : 0;
  const bool contiguous =
    !begun.empty() && chunk_ && begun.data() + begun.size() == chunk_->data() + used_;
  const bool alone = chunk_ && chunk_->unique();

  if (alone && (begun.size() <= cheap_to_move || free < bytes)) {
    used_ = 0;
    free = chunk_->capacity();
  } else if (contiguous && free >= bytes) {
    return {chunk_->data() + used_, free};
  }

  chunk_ptr left; // begun may lie in there
  if (free < begun.size() + bytes) {
    left = std::exchange(chunk_, chunk_pool::take(std::max(chunk_bytes_, begun.size() + bytes)));
    used_ = 0;
    free = chunk_->capacity();
  }
  if (!begun.empty())
    std::memmove(chunk_->data() + used_, begun.data(), begun.size());
  used_ += begun.size();
  return {chunk_->data() + used_, free - begun.size()};
}

// -- frame_reader -----------------------------------------------------------------------

std::array<std::span<std::byte>, 2> frame_reader::prepare(read_scratch& scratch) {
  assert(scratch_ == nullptr || scratch_ == &scratch || begun().empty());
  delivered_ = {};
  scratch_ = &scratch;

  std::span<const std::byte> begun = this->begun();
  chunk_ptr parked;
  if (own_ && frame_bytes_ == 0) { // not even a header: back into the scratch
    parked = std::move(own_);
    begun = {parked->data(), std::exchange(own_bytes_, 0)};
  } else if (!own_ && frame_bytes_ > shared_bytes_max) {
    move_to_own_chunk(frame_bytes_);
    begun = {};
  } else if (own_ && own_bytes_ == own_->capacity() && own_bytes_ < frame_bytes_) {
    move_to_own_chunk(own_bytes_ + 1); // the pool's next size, so copying is amortised
  }

  std::span<std::byte> rest;
  if (own_ && begun.empty())
    rest = {own_->data() + own_bytes_, std::min(frame_bytes_, own_->capacity()) - own_bytes_};
  const std::size_t missing = own_ || frame_bytes_ < begun.size() ? 0 : frame_bytes_ - begun.size();
  std::span<std::byte> room =
    scratch.room_behind(begun, std::max(missing, read_scratch::room_bytes_min));
  begin_ = room.data() - begun.size();
  end_ = room.data();
  // What is read behind a very large frame is most likely the beginning of another, to be copied.
  if (rest.size() >= room.size())
    room = room.first(read_scratch::room_bytes_min);
  return {rest, room};
}

void frame_reader::commit(std::size_t count) noexcept {
  if (stopped_)
    return;
  if (own_ && begun().empty()) {
    const std::size_t rest = std::min(frame_bytes_, own_->capacity()) - own_bytes_;
    const std::size_t taken = std::min(count, rest);
    own_bytes_ += taken;
    count -= taken;
  }
  scratch_->use(count);
  end_ += count;
}

std::size_t frame_reader::fill(std::span<const std::byte> bytes, read_scratch& scratch) {
  std::size_t filled = 0;
  for (const std::span<std::byte> room : prepare(scratch)) {
    const std::size_t count = std::min(room.size(), bytes.size() - filled);
    if (count > 0)
      std::memcpy(room.data(), bytes.data() + filled, count);
    filled += count;
  }
  commit(filled);
  return filled;
}

frame_reader::status frame_reader::next(frame_view& found) {
  if (own_) [[unlikely]] {
    complete_own_chunk();
    if (frame_bytes_ == 0 || own_bytes_ < frame_bytes_)
      return status::need_more;
    delivered_ = std::move(own_);
    found = {load_header(delivered_->data()), delivered_->data(), delivered_.get()};
    own_bytes_ = 0;
    frame_bytes_ = 0;
    return status::frame;
  }

  if (stopped_) [[unlikely]]
    return status::too_large;
  const std::size_t bytes = begun().size();
  if (bytes < frame_header_bytes)
    return status::need_more;
  const frame_header header = load_header(begin_);
  if (frame_bytes_ == 0) {
    if (header.length > frame_bytes_max_) [[unlikely]] {
      stop();
      return status::too_large;
    }
    frame_bytes_ = frame_header_bytes + header.length;
  }
  if (bytes < frame_bytes_)
    return status::need_more;
  found = {header, begin_, scratch_->current().get()};
  begin_ += std::exchange(frame_bytes_, 0);
  return status::frame;
}

void frame_reader::park() {
  assert((!own_ || begun().empty()) && "next() has said need_more");
  delivered_ = {};
  // For frames that are not large, one byte more than there is lets the chunk grow with what has
  // arrived, in the steps of the pool's sizes, and not with what a header has announced.
  if (!begun().empty())
    move_to_own_chunk(frame_bytes_ > shared_bytes_max ? frame_bytes_ : begun().size() + 1);
  scratch_ = nullptr;
  begin_ = nullptr;
  end_ = nullptr;
}

// Makes own_ a chunk of `chunk_bytes` that begins with the bytes of the frame at hand.
void frame_reader::move_to_own_chunk(std::size_t chunk_bytes) {
  const std::span<const std::byte> so_far =
    own_ ? std::span<const std::byte>(own_->data(), own_bytes_) : begun();
  chunk_ptr larger = chunk_pool::take(chunk_bytes);
  std::memcpy(larger->data(), so_far.data(), so_far.size());
  own_bytes_ = so_far.size();
  if (!own_)
    begin_ = end_;
  own_ = std::move(larger);
}

// A parked frame's chunk may be smaller than the frame; what did not fit has come into the scratch.
void frame_reader::complete_own_chunk() {
  if (begun().empty() || own_bytes_ >= frame_bytes_)
    return;
  const std::size_t count = std::min(frame_bytes_ - own_bytes_, begun().size());
  if (own_->capacity() - own_bytes_ < count)
    move_to_own_chunk(own_bytes_ + count);
  std::memcpy(own_->data() + own_bytes_, begin_, count);
  own_bytes_ += count;
  begin_ += count;
}

void frame_reader::stop() noexcept {
  stopped_ = true;
  own_ = {};
  own_bytes_ = 0;
  frame_bytes_ = 0;
  begin_ = nullptr;
  end_ = nullptr;
}

} // namespace postbus::codecs
