// request_ticket: what all copies of an incoming_request share: the question, and the way back to the
// node that answers it. Answers once; the last holder that lets go of it unanswered has it say so.
#pragma once

#include "postbus/actors/incoming_request.hpp"
#include "postbus/actors/waker.hpp"

#include <atomic>

namespace postbus::actors {

class request_ticket {
public:
  request_ticket(std::shared_ptr<waker> shell, std::uint64_t number,
                 bus::node::hand_over_request what)
    : shell_(std::move(shell)), number_(number), what_(std::move(what)) {}
  request_ticket(const request_ticket&) = delete;
  request_ticket& operator=(const request_ticket&) = delete;
  ~request_ticket();

  [[nodiscard]] static incoming_request
  request_of(std::shared_ptr<const request_ticket> ticket) noexcept {
    return incoming_request(std::move(ticket));
  }

  bool answer(bus::request_answer what) const;
  /// Its handler failed, with these words.
  static void lose(const incoming_request& request, std::string words);
  void call_off() const noexcept {
    done_ = true;
    called_off_ = true;
  }
  [[nodiscard]] bool is_called_off() const noexcept { return called_off_; }
  [[nodiscard]] const bus::node::hand_over_request& what() const noexcept { return what_; }
  [[nodiscard]] std::uint64_t number() const noexcept { return number_; }

private:
  const std::shared_ptr<waker> shell_;
  const std::uint64_t number_;
  const bus::node::hand_over_request what_;
  mutable std::atomic<bool> done_{false};
  mutable std::atomic<bool> called_off_{false};
};

} // namespace postbus::actors
