// session_requests: what a session does about requests and their answers. They need no credit and are
// not ordered with messages, so a program that takes no messages still answers. The rest of the class
// is in session.cpp, session_frames.cpp and session_wire.cpp.
#include "postbus/bus/request_frames.hpp"
#include "postbus/bus/session.hpp"

#include <algorithm>

namespace postbus::bus {

namespace {

// Bodies that fill little of the read buffer are copied out of it, so that they do not keep all of it.
payload kept(const codecs::frame_view& frame, std::span<const std::byte> body) {
  if (body.size() < frame.owner->capacity() / 4)
    return payload::copy_of(body);
  return {codecs::chunk_ptr::share(*frame.owner), body.data(), body.size()};
}

bool is_opaque(const codecs::frame_view& frame) noexcept {
  return (frame.header.flags & codecs::frame_flag::opaque) != 0;
}

} // namespace

requests& session::books() {
  if (!requests_)
    requests_ = std::make_unique<requests>(*bounds_, frame_bytes_max());
  return *requests_;
}

// -- the programs ---------------------------------------------------------------------

void session::ask(const request& what, time_point now) {
  if (phase_ == phase::closed)
    return; // its end says so
  if (phase_ != phase::open)
    return tell(unasked{what.id});
  books().ask(what, now);
  last_useful_ = useful_sent_at_ = now;
  idle_told_ = false;
}

void session::cancel(correlation_id id) {
  if (requests_)
    requests_->cancel(id);
}

void session::answer(correlation_id id, const request_answer& what, time_point now) {
  if (!requests_)
    return;
  requests_->answer(id, what);
  last_useful_ = useful_sent_at_ = now;
  idle_told_ = false;
}

// -- the peer -------------------------------------------------------------------------

// Whether a frame about a request has a place here, and its flags are right; else the peer is told.
bool session::may_correlate(const codecs::frame_view& frame, time_point now) {
  if (!is_live() || goodbye_heard_) {
    violate(errc::unexpected_frame, "a request or an answer out of turn", now);
    return false;
  }
  const auto flags = frame.header.flags;
  const auto has_value = frame.header.kind == codecs::frame_kind::request
                         || frame.header.kind == codecs::frame_kind::response;
  if ((flags & codecs::frame_flag::correlated) == 0 || (flags & codecs::frame_flag::routed) != 0
      || (!has_value && (is_opaque(frame) || frame.header.tag != 0))) {
    violate(errc::malformed_frame, "flags or a tag that a request or an answer has not", now);
    return false;
  }
  heard_since_open_ = true;
  idle_told_ = false;
  last_useful_ = useful_received_at_ = now;
  return true;
}

void session::on_request(const codecs::frame_view& frame, time_point now) {
  if (!may_correlate(frame, now))
    return;
  const auto body = decode_request(frame.body());
  if (!body)
    return violate(errc::malformed_frame, body.error().detail, now);
  if (goodbye_said_)
    return; // it crossed our goodbye, behind which nothing is answered
  const auto deadline = body->time_left == duration::max() ? never : later(now, body->time_left);
  const auto wrong =
    books().take(body->id, static_cast<std::size_t>(frame.end() - frame.begin), deadline);
  if (wrong != errc::none)
    return violate(wrong,
                   wrong == errc::window_exceeded ? "more requests than are taken"
                                                  : "a request that is open already",
                   now);
  tell(requested{body->id, kept(frame, body->value), frame.header.tag, is_opaque(frame), deadline});
}

void session::on_answer(correlation_id id, request_answer what, time_point now) {
  if (!requests_ || !requests_->settle(id))
    return violate(errc::unexpected_frame, "an answer that nobody asked for", now);
  tell(answered{id, std::move(what)});
}

void session::on_response(const codecs::frame_view& frame, time_point now) {
  if (!may_correlate(frame, now))
    return;
  const auto body = decode_response(frame.body());
  if (!body)
    return violate(errc::malformed_frame, body.error().detail, now);
  on_answer(body->id, response{kept(frame, body->value), frame.header.tag, is_opaque(frame)}, now);
}

void session::on_failure(const codecs::frame_view& frame, time_point now) {
  if (!may_correlate(frame, now))
    return;
  auto body = decode_failure(frame.body());
  if (!body)
    return violate(errc::malformed_frame, body.error().detail, now);
  on_answer(body->id, std::move(body->what), now);
}

void session::on_cancel(const codecs::frame_view& frame, time_point now) {
  if (!may_correlate(frame, now))
    return;
  const auto id = decode_cancel(frame.body());
  if (!id)
    return violate(errc::malformed_frame, id.error().detail, now);
  if (!requests_ || !requests_->is_asked(*id))
    return; // the answer is on its way
  answer(*id, failure{errc::canceled, 0, {}}, now);
  tell(called_off{*id});
}

// -- time and the end -----------------------------------------------------------------

void session::tick_requests(time_point now) {
  while (requests_ && is_live()) {
    const auto due = requests_->pop_due(now);
    if (!due)
      return;
    if (due->ours) {
      requests_->cancel(due->id);
      tell(expired{due->id});
    } else {
      answer(due->id, failure{errc::timeout, 0, {}}, now);
      tell(called_off{due->id});
    }
  }
}

// Nothing that a close in order waits for. Who has said goodbye awaits no answer any more.
bool session::asks_nothing() const noexcept {
  return !requests_
         || (requests_->queue_empty()
             && (goodbye_heard_ || (requests_->unanswered() == 0 && requests_->awaited() == 0)));
}

} // namespace postbus::bus
