// node_requests: the calls on a node handle that ask other nodes, or handle what those ask. The rest of
// the class is in node.cpp.
#include "postbus/actors/answer.hpp"
#include "postbus/actors/handling_function.hpp"
#include "postbus/actors/internal_messages.hpp"
#include "postbus/actors/loop.hpp"
#include "postbus/actors/node.hpp"
#include "postbus/actors/node_access.hpp"

#include <atomic>

namespace postbus {

using actors::answer_time;
using actors::on_a_loop;

// -- pending_reply ----------------------------------------------------------------------------

struct pending_reply::state {
  std::shared_ptr<actors::node_access> from;
  std::uint64_t key = 0;
  actors::waiting_thread<reply> here;
  std::atomic<bool> taken{false}; // by one thread, while another may cancel

  void cancel() const {
    if (!taken)
      from->shell()->wake(actors::ask_cancel{key});
  }
};

pending_reply::pending_reply(std::unique_ptr<state> what) noexcept : state_(std::move(what)) {}

pending_reply::pending_reply(pending_reply&&) noexcept = default;

pending_reply& pending_reply::operator=(pending_reply&& other) noexcept {
  if (this != &other) {
    if (state_)
      state_->cancel();
    state_ = std::move(other.state_);
  }
  return *this;
}

pending_reply::~pending_reply() {
  if (state_)
    state_->cancel();
}

result<reply> pending_reply::wait(duration within) {
  if (!state_ || state_->taken)
    return error{errc::bad_option, blame::local, "the answer was taken before"};
  if (actors::loop::on_any())
    return on_a_loop("pending_reply::wait");
  if (!state_->here.is_answered(within))
    return error{errc::timeout, blame::local, "the answer is not there yet"};
  if (state_->taken.exchange(true))
    return error{errc::bad_option, blame::local, "the answer was taken before"};
  return state_->here.take();
}

void pending_reply::cancel() {
  if (state_)
    state_->cancel();
}

// -- node: asking -----------------------------------------------------------------------------

pending_reply node::start_packed(result<send_request> what, const request_options& how) const {
  auto made = std::make_unique<pending_reply::state>();
  made->from = access_;
  made->key = access_->next_key();
  const auto told = made->here.make_answer();
  if (what) {
    what->within = how.within;
    what->key = made->key;
    access_->shell()->wake(actors::ask_request{std::move(*what), told});
  } else {
    told(what.error());
  }
  return pending_reply(std::move(made));
}

pending_reply node::start_request_bytes(const node_id& to, payload bytes,
                                        request_options how) const {
  return start_packed(send_request{.to = to, .body = std::move(bytes), .tag = how.tag.value_or(0)},
                      how);
}

result<reply> node::request_packed(result<send_request> what, const request_options& how) const {
  if (actors::loop::on_any())
    return on_a_loop("request");
  // The node answers in time; should it stand still, the caller does not stand with it.
  return start_packed(std::move(what), how).wait(actors::with_answer_time(how.within));
}

result<reply> node::request_bytes(const node_id& to, payload bytes, request_options how) const {
  return request_packed(
    send_request{.to = to, .body = std::move(bytes), .tag = how.tag.value_or(0)}, how);
}

// -- node: handling ---------------------------------------------------------------------------

result<handler> node::handle(const handle_requests& what) const {
  if (!what.by)
    return error{errc::bad_option, blame::local, "no handler"};
  if (actors::loop::on_any())
    return on_a_loop("handle");
  const actors::waiting_thread<handler> here;
  access_->shell()->wake(actors::ask_handle{what, here.make_answer()});
  return here.wait(answer_time);
}

result<handler> node::handle_by_function(std::function<void(const incoming_request&)> what,
                                         const std::vector<tag_range>& tags) const {
  if (!what)
    return error{errc::bad_option, blame::local, "no function"};
  if (actors::loop::on_any())
    return on_a_loop("handle");
  const auto function = std::make_shared<actors::handling_function>(std::move(what));
  const actors::waiting_thread<handler> here;
  access_->shell()->wake(actors::ask_handle_function{function, tags, here.make_answer()});
  auto made = here.wait(answer_time);
  if (!made) { // whoever has stopped waiting wants no calls: what they would refer to may be gone
    function->end();
    access_->shell()->wake(actors::ask_stop_handling{0, function});
  }
  return made;
}

void node::stop_handling(handler which) const {
  access_->shell()->wake(actors::ask_stop_handling{which.id});
  if (const auto function = access_->function(which.id))
    actors::loop::on_any() ? function->end_soon() : function->end();
}

} // namespace postbus
