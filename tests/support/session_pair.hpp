// session_pair: two sessions on a virtual clock, joined by two pipes, driven as their drive law says.
// Every loop is bounded: a pair that never comes to rest breaks the law and fails its test.
// Drive: send and command at the ends; then settle() at this moment, or run(time).
#pragma once

#include "postbus/tests/support/pipe.hpp"
#include "postbus/tests/support/session_end.hpp"

#include <array>

namespace postbus::test {

class session_pair {
public:
  struct settings {
    limits bounds; ///< Of both, unless the next is given.
    std::optional<limits> listener_bounds;
    bus::hello dialer_hello; ///< Ids and incarnations are filled in where missing.
    bus::hello listener_hello;
    bool dialer_takes_messages = true;
    bool listener_takes_messages = true;
    bool keep_idle = false;
    pipe::settings way; ///< Both ways.
  };

  session_pair() : session_pair(settings{}) {}
  explicit session_pair(const settings& how)
    : dialer(options_of(how, bus::session::role::dialer), now_),
      listener(options_of(how, bus::session::role::listener), now_) {
    to_listener.how = how.way;
    to_dialer.how = how.way;
    dialer.peer = &listener;
    listener.peer = &dialer;
  }

private:
  time_point now_ = time_point(std::chrono::hours(1));

public:
  session_end dialer;
  session_end listener;
  pipe to_listener;
  pipe to_dialer;

  [[nodiscard]] time_point now() const { return now_; }
  [[nodiscard]] duration elapsed() const { return now_ - time_point(std::chrono::hours(1)); }

  /// Both directions fail like this from now on, behind what was written.
  void cut(fault what) {
    to_listener.fail_at(to_listener.bytes_pushed(), what, now_);
    to_dialer.fail_at(to_dialer.bytes_pushed(), what, now_);
  }

  /// Everything that happens at this moment, what was sent and commanded before included.
  void settle() {
    drive(dialer);
    drive(listener);
    rest();
  }

  /// The same without looking at what was commanded: what the sessions find by themselves.
  void rest() {
    std::size_t steps = 0;
    std::size_t ticks = 0;
    while (step(ticks)) {
      law(++steps < 3'000'000, "never idle");
      law(ticks < 1'000, "a deadline that stays in the past");
    }
  }

  /// Time passes.
  void run(duration time) {
    const auto until = now_ + time;
    std::size_t moments = 0;
    settle();
    for (;;) {
      rest();
      const auto next = next_moment();
      if (next > until)
        break;
      now_ = std::max(now_, next);
      law(++moments < 1'000'000, "too many moments");
    }
    now_ = until;
    rest();
  }

  /// Time passes until both have ended; says whether they did within `most`.
  bool run_to_end(duration most = std::chrono::minutes(10)) {
    const auto until = now_ + most;
    settle();
    while (!(dialer.end && listener.end)) {
      const auto next = next_moment();
      if (next > until)
        return false;
      now_ = std::max(now_, next);
      rest();
    }
    return true;
  }

  /// Opens the connection; false when it did not.
  bool open() {
    settle();
    if (to_dialer.how.latency > duration::zero() || to_listener.how.latency > duration::zero())
      run(4 * (to_dialer.how.latency + to_listener.how.latency));
    return dialer.opened == 1 && listener.opened == 1 && !dialer.end && !listener.end;
  }

  /// When something will happen by itself.
  [[nodiscard]] time_point next_moment() const {
    auto first = never;
    if (!dialer.frozen())
      first = std::min({first, dialer.session.deadline(), to_dialer.next_arrival()});
    if (!listener.frozen())
      first = std::min({first, listener.session.deadline(), to_listener.next_arrival()});
    return first;
  }

  /// One read at `at`, whatever has arrived; says whether there was anything.
  bool read(session_end& at) {
    auto& in = way_to(at);
    if (at.frozen() || in.next_arrival() > now_)
      return false;
    if (at.end) { // its socket is closed: what arrives is answered by the system
      if (in.next_kind() == pipe::kind::data)
        way_from(at).reset(now_);
      in.drop_next();
      return true;
    }
    switch (in.next_kind()) {
    case pipe::kind::data: {
      std::size_t count = 0;
      for (const auto room : at.session.prepare(scratch_)) {
        if (in.next_arrival() > now_ || in.next_kind() != pipe::kind::data)
          break;
        const auto part = room.empty() ? 0 : in.read(room);
        count += part;
        if (part < room.size())
          break;
      }
      at.session.commit(count, now_);
      at.session.park();
      break;
    }
    case pipe::kind::end:
      in.drop_next();
      at.session.end_of_input();
      break;
    case pipe::kind::error:
      in.drop_next();
      at.session.fail(errc::connection_reset, "injected");
      break;
    }
    drive(at);
    return true;
  }

  /// After any input or command at `at`: events, pull, wire, until there is nothing more to do.
  void drive(session_end& at) {
    if (at.frozen())
      return;
    const bool was_over = at.end.has_value();
    for (std::size_t turns = 0;; ++turns) {
      law(turns < 100'000, "a drive without end");
      bool more = at.take_events(now_);
      at.session.pull(at.box, now_);
      more = at.take_events(now_) || more;
      more = write(at) || more;
      if (!more)
        break;
    }
    if (at.session.take_shutdown())
      way_from(at).finish(now_);
    if (at.end && !was_over)
      close(at);
    at.invariants();
  }

private:
  static bus::session::options options_of(const settings& how, bus::session::role role) {
    const auto dials = role == bus::session::role::dialer;
    bus::session::options out;
    out.role = role;
    out.self = dials ? how.dialer_hello : how.listener_hello;
    out.bounds = std::make_shared<const limits>(
      dials || !how.listener_bounds ? how.bounds : *how.listener_bounds);
    if (!out.self.id)
      out.self.id = id_of(dials ? 0xd1 : 0x15);
    if (out.self.incarnation == 0)
      out.self.incarnation = dials ? 11 : 22;
    out.takes_messages = dials ? how.dialer_takes_messages : how.listener_takes_messages;
    out.keep_idle = how.keep_idle;
    return out;
  }

  pipe& way_to(const session_end& at) { return &at == &dialer ? to_dialer : to_listener; }
  pipe& way_from(const session_end& at) { return &at == &dialer ? to_listener : to_dialer; }

  bool step(std::size_t& ticks) {
    bool any = false;
    for (auto* at : {&dialer, &listener}) {
      if (at->frozen())
        continue;
      if (at->take_alarm()) {
        at->session.settle();
        drive(*at);
        any = true;
      }
      if (!started_[at == &dialer] || at->session.deadline() <= now_) {
        started_[at == &dialer] = true;
        ++ticks;
        at->session.tick(now_);
        drive(*at);
        any = true;
      }
      if (way_from(*at).take_writer_error() && !at->end) {
        at->session.fail(errc::connection_reset, "injected");
        drive(*at);
        any = true;
      }
      if (read(*at))
        any = true;
      else if (!at->session.wire_empty() && !at->end && way_from(*at).room() > 0)
        drive(*at), any = true;
    }
    return any;
  }

  bool write(session_end& at) {
    bool any = false;
    auto& out = way_from(at);
    std::array<std::span<const std::byte>, 8> pieces;
    while (!at.session.wire_empty() && out.room() > 0) {
      const auto count = at.session.wire(pieces);
      std::size_t taken = 0;
      for (std::size_t index = 0; index < count; ++index) {
        const auto part = out.push(pieces[index], now_);
        taken += part;
        if (part < pieces[index].size())
          break;
      }
      at.session.written(taken, now_);
      any = any || taken > 0;
    }
    return any;
  }

  // As the system does: bytes that nobody has read turn the end of the stream into an error.
  void close(session_end& at) {
    if (way_to(at).bytes_underway() > 0 && way_to(at).next_arrival() <= now_)
      way_from(at).reset(now_);
    else
      way_from(at).finish(now_);
  }

  codecs::read_scratch scratch_;
  bool started_[2] = {false, false};
};

} // namespace postbus::test
