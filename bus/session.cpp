// session: decisions, credit and time. What the bytes that come in mean is in session_frames.cpp,
// what goes out, and when, in session_wire.cpp.
#include "postbus/bus/session.hpp"

#include <algorithm>

namespace postbus::bus {

namespace {

// Frames granted with a window: one for every so many bytes, so that empty messages count, too.
constexpr std::uint64_t window_bytes_per_frame = 32;

// A window that is used up faster grows.
constexpr duration window_time = std::chrono::seconds(1);

} // namespace

std::string_view to_string(phase at) noexcept {
  switch (at) {
  case phase::hello:
    return "hello";
  case phase::deciding:
    return "deciding";
  case phase::welcome:
    return "welcome";
  case phase::open:
    return "open";
  case phase::draining:
    return "draining";
  case phase::lingering:
    return "lingering";
  case phase::closed:
    return "closed";
  }
  return "unknown";
}

session::session(options how, time_point now)
  : role_(how.role), self_(std::make_unique<hello>(std::move(how.self))),
    bounds_(std::move(how.bounds)), takes_messages_(how.takes_messages), keep_idle_(how.keep_idle),
    reader_(bounds_->hello_bytes_max),
    charge_(how.charge ? std::move(how.charge) : shared<receipt>::adopt(new receipt)),
    window_bytes_max_(how.window_bytes_max > 0 ? how.window_bytes_max : bounds_->window_bytes_max),
    window_bytes_(std::min(bounds_->window_bytes_min, window_bytes_max_)), rates_(now),
    useful_sent_at_(now), useful_received_at_(now),
    handshake_deadline_(now + std::min(bounds_->handshake_time_max, how.handshake_time_max)),
    last_received_(now), last_sent_(now), last_useful_(now) {
  // What the hello tells is what holds.
  if (takes_messages_) {
    granted_.bytes_limit = window_bytes_;
    granted_.frames_limit = window_frames();
  }
  self_->window_bytes = static_cast<std::uint32_t>(granted_.bytes_limit);
  self_->window_frames = static_cast<std::uint32_t>(granted_.frames_limit);
  self_->requests_max = bounds_->requests_in_flight_max;
  self_->request_bytes_max = bounds_->request_bytes_in_flight_max;
  self_->frame_bytes_max = bounds_->frame_bytes_max;
  self_->keepalive_ms = static_cast<std::uint32_t>(
    std::chrono::duration_cast<std::chrono::milliseconds>(bounds_->keepalive_time).count());
  if (role_ == role::dialer)
    say_hello();
}

// -- what the program lets go ---------------------------------------------------------

void session::settle() {
  read_receipt();
  while (needs_release()) {
    // Whoever lets go from here on wakes the driver; what was let go in between is seen now.
    charge_->want();
    if (charge_->frames() == frames_released_)
      break;
    read_receipt();
  }
}

void session::read_receipt() noexcept {
  const auto frames = charge_->frames();
  if (frames == frames_released_)
    return;
  frames_released_ = frames;
  bytes_released_ = charge_->bytes();
  grow_window();
  plan_credit();
}

// The window is what is on the way in one round trip at most, which the receiver cannot measure:
// so while the program keeps up it grows until it lasts for a second. A share that has become
// smaller holds from the next credit on.
void session::grow_window() noexcept {
  if (bytes_received_ >= measured_bytes_ + window_bytes_ / 2
      || frames_received_ >= measured_frames_ + window_frames() / 2) {
    if (last_received_ < measured_at_ + window_time / 2)
      window_bytes_ *= 2;
    measured_bytes_ = bytes_received_;
    measured_frames_ = frames_received_;
    measured_at_ = last_received_;
  }
  window_bytes_ = std::min<std::uint64_t>(window_bytes_, window_bytes_max_);
}

// Credit is told when a quarter of the window came free.
void session::plan_credit() noexcept {
  if (!is_live() || !takes_messages_)
    return;
  const auto bytes = bytes_released_ + window_bytes_;
  const auto frames = frames_released_ + window_frames();
  if (bytes >= granted_.bytes_limit + window_bytes_ / 4
      || frames >= granted_.frames_limit + window_frames() / 4)
    credit_due_ = true;
}

bool session::needs_release() const noexcept {
  if (!is_live() || all_taken())
    return false;
  return phase_ == phase::draining || bytes_received_ + window_bytes_ / 2 >= granted_.bytes_limit
         || frames_received_ + window_frames() / 2 >= granted_.frames_limit;
}

std::uint64_t session::window_frames() const noexcept {
  return std::max<std::uint64_t>(window_bytes_ / window_bytes_per_frame, 1);
}

// -- decisions --------------------------------------------------------------------

void session::accept(time_point now) {
  if (phase_ != phase::deciding)
    return;
  const auto version = std::min(peer_.version_max, self_->version_max);
  if (role_ == role::dialer) {
    say(encode(welcome{version}));
    become_open(now);
  } else {
    say_hello();
    say(encode(welcome{version}));
    phase_ = phase::welcome;
  }
}

void session::say_hello() {
  if (keep_idle_)
    self_->features.emplace_back(keep_feature);
  say(encode(*self_));
}

void session::refuse(const error& why, time_point now) {
  if (!is_opening())
    return;
  // A dialer that is connected to us already learns with whom, so that it can use what it has.
  if (why.code == errc::already_connected && role_ == role::listener && phase_ == phase::deciding)
    say(encode(*self_));
  say(encode(bus::refuse{why.code, why.detail}));
  begin_linger(why, now);
}

void session::become_open(time_point now) {
  phase_ = phase::open;
  was_open_ = true;
  reader_.frame_bytes_max(bounds_->frame_bytes_max);
  last_useful_ = useful_sent_at_ = useful_received_at_ = now;
  last_received_ = now; // nobody was expected to say anything while it was decided about
  rates_ = half_life_average<4>(now);
  bytes_limit_ = peer_.window_bytes;
  frames_limit_ = peer_.window_frames;
  // The first credit also tells a dialer that its welcome arrived, even when it grants nothing.
  credit_due_ = true;
  self_.reset();
  tell(opened{});
}

void session::close(const error& why, duration drain, time_point now) {
  if (is_opening())
    return refuse(why, now);
  if (phase_ == phase::open)
    begin_drain(why, drain, now);
  else if (phase_ == phase::draining)
    drain_deadline_ = std::min(drain_deadline_, later(now, drain));
}

void session::begin_drain(const error& why, duration drain, time_point now) {
  phase_ = phase::draining;
  reason_ = why;
  drain_deadline_ = later(now, drain);
  settle();
}

void session::probe(time_point now) {
  if (!is_live() || probe_token_ != 0)
    return;
  probe_token_ = next_token_++;
  probed_at_ = pinged_at_ = now;
  probe_deadline_ = now + bounds_->probe_time_max;
  ping_due_ = true;
}

void session::takes_messages(bool yes) {
  takes_messages_ = yes;
  plan_credit();
  settle();
}

// -- time -------------------------------------------------------------------------

void session::tick(time_point now) {
  said_.shrink(); // a connection that is quiet for long owns no queues
  settle();
  if (is_live() && now > later(deadline(), bounds_->keepalive_time))
    forgive(now);
  tick_requests(now);
  switch (phase_) {
  case phase::hello:
    if (now >= handshake_deadline_) {
      const error why{errc::handshake_timeout, blame::remote, "no hello in time"};
      // Who has said nothing learns nothing, and is not waited for.
      peer_seen_ ? refuse(why, now) : end(why);
    }
    return;
  case phase::deciding:
    if (now >= decision_deadline_)
      refuse({errc::handshake_timeout, blame::local, "no decision in time"}, now);
    return;
  case phase::welcome:
    if (now >= handshake_deadline_)
      refuse({errc::handshake_timeout, blame::remote, "no welcome in time"}, now);
    return;
  case phase::open:
    return tick_open(now);
  case phase::draining:
    if (now >= drain_deadline_)
      drain_expired_ = true;
    return tick_open(now);
  case phase::lingering:
    if (now >= linger_deadline_)
      end(reason_);
    return;
  case phase::closed:
    return;
  }
}

// [forgive]
// So late a tick means that this process stood still, not the peer: what it sent may lie in the
// socket, unread. Nobody is judged before there was time to look.
void session::forgive(time_point now) noexcept {
  last_received_ =
    std::max(last_received_, now - bounds_->silence_time_max() + bounds_->keepalive_time);
  if (stalled_since_ != never)
    stalled_since_ = now;
  if (probe_deadline_ != never)
    probe_deadline_ = now + bounds_->probe_time_max;
}
// [forgive]

void session::tick_open(time_point now) {
  // Whose stream has ended, behind its goodbye, is neither expected to say more nor asked to.
  if (!input_ended_ && now >= last_received_ + bounds_->silence_time_max()) {
    say_goodbye(errc::peer_lost, {});
    return end({errc::peer_lost, blame::remote, {}});
  }
  if (stalled_since_ != never && now >= stalled_since_ + bounds_->stall_time_max) {
    say_goodbye(errc::peer_too_slow, {});
    return end({errc::peer_too_slow, blame::remote, {}});
  }
  if (now >= probe_deadline_) {
    // The pong may be stuck behind data, here or there; whatever came since is a sign of life, too.
    probe_token_ = 0;
    probe_deadline_ = never;
    tell(probe_done{last_received_ > probed_at_});
  }
  if (!input_ended_ && wire_.empty() && now >= last_sent_ + ping_after()) {
    ping_due_ = true;
    last_sent_ = pinged_at_ = now;
    if (granted_.frames_taken != frames_released_)
      credit_due_ = true; // a quiet sender still learns what was taken
  }
  if (may_become_idle() && now >= last_useful_ + bounds_->idle_time_max) {
    if (is_busy()) {
      last_useful_ += bounds_->keepalive_time; // looked at again then
    } else {
      idle_told_ = true;
      tell(became_idle{});
    }
  }
}

// Messages wait to be sent, to be confirmed or to be let go by the program.
bool session::is_busy() const noexcept {
  return (requests_ && requests_->busy()) || !queue_empty_ || !wire_.empty()
         || frames_confirmed_ != frames_sent_ || !all_taken();
}

// A side must be heard by the other at least once in a keepalive time of either.
duration session::ping_after() const noexcept {
  return std::min<duration>(bounds_->keepalive_time, std::chrono::milliseconds(peer_.keepalive_ms));
}

time_point session::deadline() const noexcept {
  switch (phase_) {
  case phase::hello:
  case phase::welcome:
    return handshake_deadline_;
  case phase::deciding:
    return decision_deadline_;
  case phase::open:
  case phase::draining: {
    auto first = std::min(probe_deadline_, drain_deadline_);
    if (!input_ended_)
      first = std::min(first, last_received_ + bounds_->silence_time_max());
    if (stalled_since_ != never)
      first = std::min(first, stalled_since_ + bounds_->stall_time_max);
    if (!input_ended_ && wire_.empty())
      first = std::min(first, last_sent_ + ping_after());
    if (may_become_idle())
      first = std::min(first, last_useful_ + bounds_->idle_time_max);
    if (requests_)
      first = std::min(first, requests_->deadline());
    return first;
  }
  case phase::lingering:
    return linger_deadline_;
  case phase::closed:
    return never;
  }
  return never;
}

// -- what happened -----------------------------------------------------------------

void session::tell(session_event event) {
  tell_gathered();
  events_.push_back(std::move(event));
}

void session::tell_gathered() {
  if (gathering_)
    events_.push_back(received{std::exchange(gathering_, {})});
}

// Messages that arrived last, which is most of what there is to tell, need no place in the queue.
std::optional<session_event> session::next_event() {
  auto event = events_.take_front();
  if (!event && gathering_)
    event = received{std::exchange(gathering_, {})};
  events_.shrink(); // there is seldom anything in it
  return event;
}

// -- ends -------------------------------------------------------------------------

void session::begin_linger(const error& why, time_point now) {
  phase_ = phase::lingering;
  reason_ = why;
  linger_deadline_ = now + bounds_->linger_time_max;
}

void session::end(const error& why) {
  if (phase_ == phase::closed)
    return;
  tell_gathered();
  phase_ = phase::closed;
  reason_ = why;
}

std::uint32_t session::frame_bytes_max() const noexcept {
  return std::min(bounds_->frame_bytes_max, peer_.frame_bytes_max);
}

} // namespace postbus::bus
