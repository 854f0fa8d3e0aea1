// fifo: a queue that owns no memory while it is empty and never moves what waits in the middle.
// For per-connection queues: a std::deque costs 600 bytes before the first element.
#pragma once

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

namespace postbus::bus {

template <class T>
class fifo {
public:
  fifo() noexcept = default;
  fifo(const fifo&) = default;
  fifo& operator=(const fifo&) = default;
  fifo(fifo&& other) noexcept
    : items_(std::move(other.items_)), head_(std::exchange(other.head_, 0)) {
    other.items_.clear();
  }
  fifo& operator=(fifo&& other) noexcept {
    items_ = std::move(other.items_);
    head_ = std::exchange(other.head_, 0);
    other.items_.clear();
    return *this;
  }

  [[nodiscard]] bool empty() const noexcept { return head_ == items_.size(); }
  [[nodiscard]] std::size_t size() const noexcept { return items_.size() - head_; }
  [[nodiscard]] T& front() noexcept { return items_[head_]; }
  [[nodiscard]] const T& front() const noexcept { return items_[head_]; }
  [[nodiscard]] T& back() noexcept { return items_.back(); }
  [[nodiscard]] T& operator[](std::size_t index) noexcept { return items_[head_ + index]; }
  [[nodiscard]] const T& operator[](std::size_t index) const noexcept {
    return items_[head_ + index];
  }

  T& push_back(T item) {
    if (head_ > 0 && items_.size() == items_.capacity() && head_ >= items_.size() / 2)
      compact();
    return items_.emplace_back(std::move(item));
  }

  /// Takes the first away. Must not be empty.
  void pop_front() {
    items_[head_] = T{};
    if (++head_ == items_.size())
      clear();
  }

  /// The first, taken away; nothing when there is none.
  [[nodiscard]] std::optional<T> take_front() {
    if (empty())
      return std::nullopt;
    std::optional<T> first(std::move(front()));
    pop_front();
    return first;
  }

  void clear() noexcept {
    head_ = 0;
    if (items_.capacity() * sizeof(T) > kept_bytes_max)
      items_ = std::vector<T>{};
    else
      items_.clear();
  }

  /// Gives the memory of an empty queue back.
  void shrink() noexcept {
    if (empty()) {
      items_ = std::vector<T>{};
      head_ = 0;
    }
  }

private:
  void compact() {
    items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }

  static constexpr std::size_t kept_bytes_max = 4096;

  std::vector<T> items_;
  std::size_t head_ = 0;
};

} // namespace postbus::bus
