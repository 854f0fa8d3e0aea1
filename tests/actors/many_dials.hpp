// many_dials: for tests with more connections than threads could wait for: dials whose answers are marks on
// a board, nodes that let everybody in at once, and how many descriptors there are for it.
#pragma once

#include "postbus/actors/internal_messages.hpp"
#include "postbus/postbus.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>

namespace postbus::test {

/// What this process may have open, when it asks for all it can get.
inline std::size_t descriptors_possible() {
  rlimit most{};
  ::getrlimit(RLIMIT_NOFILE, &most);
  most.rlim_cur = most.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &most);
  ::getrlimit(RLIMIT_NOFILE, &most);
  return most.rlim_cur;
}

/// What many dials were answered: a mark on a board for each, made by whoever answers.
class answers {
public:
  /// Has a node connect, without a thread that waits for it.
  void ask(const node& from, const std::string& endpoint, duration within) {
    const auto number = asked_++;
    actors::answer<node_id> reply([number, to = marks_](result<node_id>&& answer) {
      std::lock_guard guard(to->mutex);
      ++to->times[number];
      ++to->codes[answer ? errc::none : answer.error().code];
      to->changed.notify_all();
    });
    post(caf::actor_cast<caf::actor>(from.actor()),
         actors::ask_connect{endpoint, within, std::move(reply)});
  }
  bool wait_for_all(duration within) const {
    std::unique_lock guard(marks_->mutex);
    return marks_->changed.wait_for(guard, within, [&] { return marks_->times.size() == asked_; });
  }
  [[nodiscard]] bool each_once() const {
    std::lock_guard guard(marks_->mutex);
    return marks_->times.size() == asked_
           && std::all_of(marks_->times.begin(), marks_->times.end(),
                          [](const auto& each) { return each.second == 1; });
  }
  /// How many were answered so.
  [[nodiscard]] std::size_t said(std::initializer_list<errc> codes) const {
    std::lock_guard guard(marks_->mutex);
    std::size_t sum = 0;
    for (const auto code : codes)
      if (const auto found = marks_->codes.find(code); found != marks_->codes.end())
        sum += found->second;
    return sum;
  }

private:
  struct marks {
    std::mutex mutex;
    std::condition_variable changed;
    std::map<std::size_t, int> times;
    std::map<errc, std::size_t> codes;
  };
  std::size_t asked_ = 0;
  std::shared_ptr<marks> marks_ = std::make_shared<marks>();
};

/// Nodes that take a thousand from one address at once.
inline node_options hospitable() {
  node_options how;
  how.bounds.pending_handshakes_max = 4096;
  how.bounds.pending_handshakes_per_address_max = 4096;
  how.bounds.handshake_time_max = std::chrono::seconds(60); // on a machine that is busy
  how.bounds.decision_time_max = std::chrono::seconds(30);
  how.bounds.linger_time_max = std::chrono::milliseconds(300);
  return how;
}

} // namespace postbus::test
