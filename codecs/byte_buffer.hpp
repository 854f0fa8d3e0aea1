// byte_buffer: bytes appended one after the other, in a pooled chunk that grows. Does not zero what
// it reserves. A fresh one costs a chunk from this thread's store and no allocation, so make one where
// it is needed; what is in it can become a payload without being copied.
// Throws std::bad_alloc as `new` does.
#pragma once

#include "postbus/codecs/chunk_pool.hpp"

#include <algorithm>

namespace postbus::codecs {

class byte_buffer {
public:
  byte_buffer() noexcept = default;
  /// Has room for `capacity` bytes.
  explicit byte_buffer(std::size_t capacity) { grow(capacity); }
  byte_buffer(byte_buffer&& other) noexcept
    : chunk_(std::move(other.chunk_)), size_(std::exchange(other.size_, 0)),
      capacity_(std::exchange(other.capacity_, 0)) {}
  byte_buffer& operator=(byte_buffer&& other) noexcept {
    chunk_ = std::move(other.chunk_);
    size_ = std::exchange(other.size_, 0);
    capacity_ = std::exchange(other.capacity_, 0);
    return *this;
  }

  /// Appends bytes. The form is the one that msgpack-c wants of what it packs into.
  void write(const char* data, std::size_t size) {
    if (size > 0)
      std::memcpy(extend(size), data, size);
  }
  void write(std::span<const std::byte> bytes) {
    write(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }

  /// Appends `count` bytes, to be written by the caller, and says where they are.
  [[nodiscard]] std::byte* extend(std::size_t count) {
    if (capacity_ - size_ < count) [[unlikely]]
      grow(size_ + count);
    std::byte* at = chunk_->data() + size_;
    size_ += count;
    return at;
  }

  /// Drops all bytes behind the first `size`.
  void truncate(std::size_t size) noexcept { size_ = size; }
  /// Drops all bytes and keeps the room.
  void clear() noexcept { size_ = 0; }

  [[nodiscard]] std::byte* data() noexcept { return chunk_ ? chunk_->data() : nullptr; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
    return {chunk_ ? chunk_->data() : nullptr, size_};
  }

  /// The bytes as a payload, not copied; the buffer is empty and has no room afterwards.
  [[nodiscard]] payload release() noexcept {
    const std::byte* data = chunk_ ? chunk_->data() : nullptr;
    capacity_ = 0;
    return {std::move(chunk_), data, std::exchange(size_, 0)};
  }

private:
  void grow(std::size_t capacity) {
    chunk_ptr larger = chunk_pool::take(std::max(capacity, 2 * capacity_));
    if (size_ > 0)
      std::memcpy(larger->data(), chunk_->data(), size_);
    chunk_ = std::move(larger);
    capacity_ = chunk_->capacity();
  }

  chunk_ptr chunk_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

} // namespace postbus::codecs
