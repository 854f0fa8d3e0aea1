// answer: one reply on its way to whoever asked, an actor or a waiting thread. It always arrives:
// the last holder that lets go of it unanswered says that the node is closed.
#pragma once

#include "postbus/bus/time.hpp"
#include "postbus/codecs/result.hpp"

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace postbus::actors {

template <class T>
class answer {
public:
  using receiver = std::function<void(result<T>&&)>;

  answer() = default;
  explicit answer(receiver deliver) : open_(std::make_shared<question>(std::move(deliver))) {}

  /// Answers; the first time counts.
  void operator()(result<T>&& reply) const {
    if (open_ && open_->deliver)
      std::exchange(open_->deliver, nullptr)(std::move(reply));
  }
  explicit operator bool() const noexcept { return open_ && open_->deliver; }

private:
  struct question {
    explicit question(receiver to) : deliver(std::move(to)) {}
    question(const question&) = delete;
    question& operator=(const question&) = delete;
    ~question() {
      if (deliver)
        deliver(error{errc::node_closed, blame::local, {}});
    }
    receiver deliver;
  };

  std::shared_ptr<question> open_;
};

/// A thread's end of an `answer`.
template <class T>
class waiting_thread {
public:
  /// The answer to give away. Call once.
  [[nodiscard]] answer<T> make_answer() const {
    return answer<T>([at = at_](result<T>&& reply) {
      {
        std::lock_guard guard(at->mutex);
        at->reply.emplace(std::move(reply));
      }
      at->arrived.notify_all();
    });
  }

  /// Blocks until it is answered, or `timeout` when that takes longer than `within`.
  [[nodiscard]] result<T> wait(duration within) const {
    if (!is_answered(within))
      return error{errc::timeout, blame::local, {}};
    return take();
  }
  /// Blocks until it is answered, `within` at the longest. False if it is not.
  [[nodiscard]] bool is_answered(duration within) const {
    std::unique_lock guard(at_->mutex);
    const auto deadline = later(std::chrono::steady_clock::now(), within);
    return at_->arrived.wait_until(guard, deadline, [&] { return at_->reply.has_value(); });
  }
  /// The answer, which is there. Call once.
  [[nodiscard]] result<T> take() const {
    std::lock_guard guard(at_->mutex);
    return std::move(*at_->reply);
  }

private:
  struct place {
    std::mutex mutex;
    std::condition_variable arrived;
    std::optional<result<T>> reply;
  };

  std::shared_ptr<place> at_ = std::make_shared<place>();
};

/// What the node itself may need to answer, beside the time it was given for the work: much more than it
/// takes, for a loop may be busy, or its machine. Who waits longer is told `timeout`.
inline constexpr auto answer_time = std::chrono::seconds(10);

/// What a call that blocks says on a loop.
[[nodiscard]] inline error on_a_loop(const char* call) {
  return {errc::would_deadlock, blame::local, call};
}

} // namespace postbus::actors
