// receipt: how much of what was handed out has been let go again. Programs drop batches on any
// thread; the core that waits for that reads the sums when it is driven. Wakes nobody by itself:
// a driver that must hear of it derives, and is called once after each time it said so.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace postbus::bus {

/// Holds a `T` with members `hold()` and `let_go()`, as CAF's and Boost's intrusive pointers do.
template <class T>
class shared {
public:
  shared() noexcept = default;
  /// Takes over the count that `object` was born with.
  static shared adopt(T* object) noexcept {
    shared result;
    result.object_ = object;
    return result;
  }
  static shared share(T* object) noexcept {
    if (object != nullptr)
      object->hold();
    return adopt(object);
  }
  shared(const shared& other) noexcept : object_(other.object_) {
    if (object_ != nullptr)
      object_->hold();
  }
  shared(shared&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  template <class U>
  requires std::is_convertible_v<U*, T*> shared(shared<U> other)
  noexcept : object_(other.detach()) {}
  shared& operator=(shared other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~shared() {
    if (object_ != nullptr)
      object_->let_go();
  }

  [[nodiscard]] T* detach() noexcept { return std::exchange(object_, nullptr); }
  [[nodiscard]] T* get() const noexcept { return object_; }
  T* operator->() const noexcept { return object_; }
  T& operator*() const noexcept { return *object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }

private:
  T* object_ = nullptr;
};

/// A base with a count that may be changed from any thread; born held once.
template <class Derived>
class counted {
public:
  void hold() const noexcept { holders_.fetch_add(1, std::memory_order_relaxed); }
  void let_go() const noexcept {
    if (holders_.fetch_sub(1, std::memory_order_acq_rel) == 1)
      delete static_cast<const Derived*>(this);
  }

private:
  mutable std::atomic<std::uint32_t> holders_{1};
};

/// Sums of what was let go, cumulative.
class receipt : public counted<receipt> {
public:
  receipt() = default;
  receipt(const receipt&) = delete;
  receipt& operator=(const receipt&) = delete;
  virtual ~receipt() = default;

  /// Called by whoever lets go, on any thread.
  void add(std::uint64_t bytes, std::uint64_t frames) noexcept {
    bytes_.fetch_add(bytes, std::memory_order_relaxed);
    frames_.fetch_add(frames, std::memory_order_seq_cst);
    if (wanted_.load(std::memory_order_seq_cst) && wanted_.exchange(false))
      wake();
  }

  /// Frames first: their sum is published after that of the bytes.
  [[nodiscard]] std::uint64_t frames() const noexcept {
    return frames_.load(std::memory_order_seq_cst);
  }
  [[nodiscard]] std::uint64_t bytes() const noexcept {
    return bytes_.load(std::memory_order_relaxed);
  }

  /// Asks for one `wake` at the next `add`. Read the sums again afterwards: one that came in
  /// between is not told.
  void want() noexcept { wanted_.store(true, std::memory_order_seq_cst); }

protected:
  /// Called on the thread that lets go; must only leave word for the driver.
  virtual void wake() noexcept {}

private:
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<std::uint64_t> frames_{0};
  std::atomic<bool> wanted_{false};
};

} // namespace postbus::bus
