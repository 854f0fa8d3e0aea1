// chunk: a reference-counted block of bytes from a pool, and payload: a slice of one.
// Bytes are read into chunks, framed into chunks and handed to programs as slices of chunks, so
// nothing is copied on the way. A chunk outlives whatever made it: connection, loop and actor system.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

namespace postbus::codecs {

class chunk_ptr;

/// A block of bytes with its reference count in front. Made by `chunk_pool`, held by `chunk_ptr`.
class alignas(16) chunk {
public:
  chunk(const chunk&) = delete;
  chunk& operator=(const chunk&) = delete;

  /// The first of `capacity()` bytes. Who holds the chunk alone, or owns a range by agreement
  /// (a loop reading behind what it has given away), may write.
  [[nodiscard]] std::byte* data() noexcept { return reinterpret_cast<std::byte*>(this + 1); }
  [[nodiscard]] const std::byte* data() const noexcept {
    return reinterpret_cast<const std::byte*>(this + 1);
  }
  /// Bytes; at least what was asked for.
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  /// True while exactly one `chunk_ptr` holds it. Sees what other holders wrote before letting go.
  [[nodiscard]] bool unique() const noexcept {
    return holders_.load(std::memory_order_acquire) == 1;
  }

private:
  friend class chunk_ptr;
  friend class chunk_pool;

  chunk(std::size_t capacity, std::uint8_t size_class) noexcept
    : capacity_(capacity), size_class_(size_class) {}

  std::size_t capacity_;
  // Used only while it lies in the pool: the chunk behind it in its group, and, in the first
  // chunk of a group, the group behind that one and how many chunks this one has.
  chunk* next_free_ = nullptr;
  chunk* next_group_ = nullptr;
  std::atomic<std::uint32_t> holders_{1};
  std::uint16_t group_chunks_ = 0;
  std::uint8_t size_class_;
};

/// Holds a chunk; the last one to let go gives it back to the pool. May be let go on any thread.
class chunk_ptr {
public:
  chunk_ptr() noexcept = default;
  chunk_ptr(const chunk_ptr& other) noexcept : chunk_(other.chunk_) { hold(); }
  chunk_ptr(chunk_ptr&& other) noexcept : chunk_(std::exchange(other.chunk_, nullptr)) {}
  chunk_ptr& operator=(chunk_ptr other) noexcept {
    std::swap(chunk_, other.chunk_);
    return *this;
  }
  ~chunk_ptr() { let_go(); }

  /// One holder more of a chunk that somebody holds already.
  [[nodiscard]] static chunk_ptr share(chunk& held) noexcept {
    chunk_ptr result;
    result.chunk_ = &held;
    result.hold();
    return result;
  }

  [[nodiscard]] chunk* get() const noexcept { return chunk_; }
  chunk* operator->() const noexcept { return chunk_; }
  chunk& operator*() const noexcept { return *chunk_; }
  explicit operator bool() const noexcept { return chunk_ != nullptr; }
  friend bool operator==(const chunk_ptr&, const chunk_ptr&) noexcept = default;

private:
  friend class chunk_pool;

  void hold() noexcept {
    if (chunk_ != nullptr)
      chunk_->holders_.fetch_add(1, std::memory_order_relaxed);
  }
  void let_go() noexcept {
    if (chunk_ == nullptr)
      return;
    // A lone holder has nobody to race with: nobody else can make a second holder any more.
    if (chunk_->unique() || chunk_->holders_.fetch_sub(1, std::memory_order_acq_rel) == 1)
      give_back(chunk_);
  }
  static void give_back(chunk* last_held) noexcept; // in chunk_pool.cpp, where the pool is

  chunk* chunk_ = nullptr;
};

} // namespace postbus::codecs

namespace postbus {

/// Bytes of a message: a slice of a chunk, sharing its ownership. Copying one copies no bytes.
/// Keeping one keeps its whole chunk (up to 1 MiB of neighbours): keep a `copy()` instead.
class payload {
public:
  payload() noexcept = default;
  /// The bytes [data, data + size), which must lie inside `owner` and never change again.
  payload(codecs::chunk_ptr owner, const std::byte* data, std::size_t size) noexcept
    : owner_(std::move(owner)), data_(data), size_(size) {}

  /// A payload of its own with the same bytes as `bytes`.
  [[nodiscard]] static payload copy_of(std::span<const std::byte> bytes);
  [[nodiscard]] static payload copy_of(std::string_view text) {
    return copy_of(std::as_bytes(std::span(text)));
  }

  [[nodiscard]] const std::byte* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
  /// The bytes seen as text; they need not be valid in any encoding.
  [[nodiscard]] std::string_view text() const noexcept {
    return {reinterpret_cast<const char*>(data_), size_};
  }
  /// The bytes [first, first + count) of this payload, sharing the same chunk.
  [[nodiscard]] payload slice(std::size_t first, std::size_t count) const noexcept {
    return {owner_, data_ + first, count};
  }
  /// The same bytes in a chunk of their own size, so that no neighbour is kept alive.
  [[nodiscard]] payload copy() const { return copy_of(bytes()); }
  [[nodiscard]] const codecs::chunk_ptr& owner() const noexcept { return owner_; }

  friend bool operator==(const payload& left, const payload& right) noexcept {
    return left.size_ == right.size_
           && (left.size_ == 0 || std::memcmp(left.data_, right.data_, left.size_) == 0);
  }

private:
  codecs::chunk_ptr owner_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

} // namespace postbus
