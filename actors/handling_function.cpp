#include "postbus/actors/handling_function.hpp"

#include "postbus/actors/request_ticket.hpp"

namespace postbus::actors {

namespace {

thread_local unsigned calls_here = 0; // of any such function, that have not returned

struct counted_call {
  counted_call() noexcept { ++calls_here; }
  counted_call(const counted_call&) = delete;
  counted_call& operator=(const counted_call&) = delete;
  ~counted_call() { --calls_here; }
};

} // namespace

void handling_function::call(const incoming_request& request) {
  std::lock_guard guard(calling_);
  if (over_)
    return request_ticket::lose(request, "its handler has ended");
  const counted_call counted;
  try {
    what_(request);
  } catch (const std::exception& thrown) {
    request_ticket::lose(request, thrown.what());
  } catch (...) {
    request_ticket::lose(request, "it threw something that is no exception");
  }
}

void handling_function::end() {
  over_ = true;
  if (calls_here > 0)
    return;
  std::function<void(const incoming_request&)> gone;
  std::lock_guard guard(calling_);
  gone.swap(what_); // what it holds goes now, too, not with the actor that calls it
}

} // namespace postbus::actors
