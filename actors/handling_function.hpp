// handling_function: a function that handles requests, and the gate before it. Once it is over nothing calls it,
// so what it refers to may go. Its calls come one at a time, on whatever threads.
// Drive: call() for each request; end() before what it refers to goes, or end_soon() where nothing may wait.
#pragma once

#include "postbus/actors/incoming_request.hpp"

#include <atomic>
#include <functional>
#include <mutex>

namespace postbus::actors {

class handling_function {
public:
  explicit handling_function(std::function<void(const incoming_request&)> what)
    : what_(std::move(what)) {}

  /// Calls it. When it throws, or is over, the request has failed.
  void call(const incoming_request& request);
  /// No call begins any more; one that runs goes on. Never waits.
  void end_soon() noexcept { over_ = true; }
  /// No call begins any more, and none runs when this returns. Called by a handling function it does not wait:
  /// that would wait for itself, or for another that waits for it.
  void end();
  [[nodiscard]] bool is_over() const noexcept { return over_; }

private:
  std::atomic<bool> over_{false};
  std::mutex calling_; // held while it runs
  std::function<void(const incoming_request&)> what_;
};

} // namespace postbus::actors
