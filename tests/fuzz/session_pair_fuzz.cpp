// session_pair_fuzz: two sessions and two pipes between them, in whatever interleaving the input asks
// for: sends, reads of any size, time, held and kept messages, commands, faults, frozen ends.
// Order, content and accounts are checked by the pair itself; here the windows, and what must have come
// of it in the end: an end on both sides, and, where nothing failed, every message delivered and confirmed.
// Input: a byte for the settings, then pairs of operation and size.
#include "postbus/tests/fuzz/operations.hpp"
#include "postbus/tests/support/session_pair.hpp"

namespace {

using namespace postbus;
using namespace std::chrono_literals;
using fuzz::law;
using test::fault;
using test::session_end;
using test::session_pair;

const error goodbye{errc::closed, blame::local, {}};
constexpr std::size_t message_bytes_max = 255 * 300;

session_pair::settings settings_of(unsigned setup) {
  session_pair::settings how;
  if ((setup & 1) != 0) {
    how.bounds.window_bytes_min = 256;
    how.bounds.window_bytes_max = 1024;
  }
  if ((setup & 2) != 0) {
    how.bounds.outbox_bytes_max = 4096;
    how.bounds.outbox_frames_max = 20;
  }
  how.way.latency = (setup & 4) != 0 ? 5ms : 0ms;
  how.way.room_bytes = (setup & 8) != 0 ? 300 : SIZE_MAX;
  how.listener_takes_messages = (setup & 32) == 0;
  how.keep_idle = (setup & 64) != 0;
  return how;
}

class world {
public:
  explicit world(unsigned setup)
    : how_(settings_of(setup)), prompt_(how_.way.room_bytes == SIZE_MAX), pair_(how_) {
    if ((setup & 16) != 0)
      pair_.listener.on_hello = session_end::decision::wait;
    pair_.drive(pair_.dialer);
  }

  void operate(unsigned what, unsigned size) {
    auto& at = (what & 0x80) != 0 ? pair_.dialer : pair_.listener;
    auto& way = (what & 0x80) != 0 ? pair_.to_dialer : pair_.to_listener;
    switch ((what & 0x7f) % 21) {
    case 0:
    case 1:
      (void)at.send(size);
      break;
    case 2:
      (void)at.send(size * 100);
      break;
    case 3:
    case 4:
      way.how.read_bytes = size + 1;
      (void)pair_.read(at);
      break;
    case 5:
      way.how.read_bytes = SIZE_MAX;
      (void)pair_.read(at);
      break;
    case 6:
      pair_.run(std::chrono::milliseconds(size));
      break;
    case 7:
      pair_.run(std::chrono::milliseconds(size * 300));
      break;
    case 8:
      at.holds = !at.holds;
      break;
    case 9:
      for (auto count = size; count > 0 && !at.held.empty(); --count)
        at.let_go_first();
      break;
    case 10:
      at.session.probe(pair_.now());
      break;
    case 11:
      at.session.takes_messages(size % 2 == 0);
      break;
    case 12:
      at.session.window_bytes_max(
        std::min(1 + size * std::size_t{16}, how_.bounds.window_bytes_max));
      break;
    case 13:
      if (size < 16) {
        at.session.close(goodbye, std::chrono::milliseconds(size * 100), pair_.now());
        fair_ = false;
      }
      break;
    case 14:
      if (size < 4) {
        way.fail_at(way.bytes_pushed() + size * 7, static_cast<fault>(size), pair_.now());
        fair_ = fair_ && size == 0;
      }
      break;
    case 15:
      decide(at, size);
      break;
    case 16:
      (void)at.send(size * 300);
      break;
    case 17:
      if (size == 0) {
        at.session.fail(errc::shutting_down, "said the node");
        fair_ = false;
      } else {
        at.keeps = size % 2 == 1;
      }
      break;
    case 18:
      ask(at, size);
      break;
    case 19:
      answer_first(at, size);
      break;
    case 20:
      at.session.cancel(size);
      break;
    }
    pair_.drive(at);
    check();
  }

  void finish() {
    for (auto* at : ends()) {
      at->holds = false;
      at->frozen(false);
      at->let_go_all();
      at->session.takes_messages(true);
      at->session.window_bytes_max(how_.bounds.window_bytes_max);
    }
    for (auto* way : {&pair_.to_dialer, &pair_.to_listener})
      way->how.read_bytes = way->how.room_bytes = SIZE_MAX;
    // Longer than a keepalive time, by which everybody knows what the other took.
    pair_.run(20s);
    for (auto* at : ends())
      while (!at->asked.empty())
        answer_first(*at, 3);
    pair_.run(20s);
    check();
    const auto is_whole = fair_ && pair_.dialer.opened == 1 && pair_.listener.opened == 1
                          && !pair_.dialer.end && !pair_.listener.end;
    if (is_whole)
      check_everything_arrived();
    else
      law(!fair_ || froze_ || decides_late(), "an end without a cause");
    for (auto* at : ends()) {
      at->session.close(goodbye, 5s, pair_.now());
      pair_.drive(*at);
    }
    law(pair_.run_to_end(1min), "an end that does not come");
    check();
    for (auto* at : ends())
      law(!is_whole || at->end->account.complete(), "an orderly end loses nothing");
    law(pair_.listener.opened == 0 || pair_.dialer.opened == 1,
        "a listener opens only what the dialer has opened");
    if (pair_.listener.opened == 0)
      law(pair_.dialer.session.account().confirmed == 0 && pair_.dialer.messages == 0,
          "nothing is exchanged with a listener that never opened");
  }

private:
  [[nodiscard]] std::array<session_end*, 2> ends() { return {&pair_.dialer, &pair_.listener}; }

  void decide(session_end& at, unsigned size) {
    if (size < 8) {
      at.session.accept(pair_.now());
    } else if (size == 8) {
      at.session.refuse(goodbye, pair_.now());
      fair_ = false;
    } else if (size < 12) {
      at.frozen(!at.frozen());
      prompt_ = false; // who stands still answers no probe in time
      froze_ = true;
    }
  }

  void ask(session_end& at, unsigned size) {
    if (at.session.at() != bus::phase::open || at.session.open_requests() >= 100)
      return;
    auto& asked = &at == &pair_.dialer ? asked_[0] : asked_[1];
    const auto deadline =
      size % 2 == 0 ? never : later(pair_.now(), std::chrono::milliseconds(size * 20));
    at.session.ask({++asked, payload::copy_of(std::string(size * 50, 'q')), 1, true, deadline},
                   pair_.now());
  }

  void answer_first(session_end& at, unsigned size) {
    if (at.asked.empty())
      return;
    const auto id = at.asked.front().id;
    at.asked.erase(at.asked.begin());
    if (size % 4 == 0)
      at.session.answer(id, bus::failure{errc::request_failed, size, "no"}, pair_.now());
    else
      at.session.answer(id, bus::response{payload::copy_of(std::string(size * 70, 'a')), 2, true},
                        pair_.now());
  }

  void check_everything_arrived() {
    law(pair_.dialer.answers.size() == asked_[0] && pair_.listener.answers.size() == asked_[1],
        "every request is answered, once");
    for (auto* at : ends()) {
      law(at->unseen.empty(), "what was accepted arrives");
      law(at->session.account() == send_account{at->accepted, at->accepted, 0},
          "what was taken is confirmed");
      law(!prompt_
            || std::all_of(at->probes.begin(), at->probes.end(), [](bool yes) { return yes; }),
          "who is there answers every probe");
    }
  }
  // Then the handshake may take too long.
  [[nodiscard]] bool decides_late() const {
    return pair_.listener.on_hello == session_end::decision::wait;
  }

  void check() {
    for (auto* at : ends()) {
      const auto window = how_.bounds.window_bytes_max;
      const auto& session = at->session;
      law(session.charged_bytes() <= window + message_bytes_max + codecs::frame_header_bytes,
          "no more is received and held than the window and one frame");
      law(session.frames_received() - session.frames_taken()
            <= std::max<std::uint64_t>(window / 32, 1),
          "nor more frames than the window has");
      law(session.window_bytes() <= window, "no window above its bound");
      law(at->box.data_frames() <= how_.bounds.outbox_frames_max,
          "the outbox is bounded in frames");
      law(at->box.data_frames() <= 1 || at->box.data_bytes() <= how_.bounds.outbox_bytes_max,
          "and in bytes");
      std::uint64_t held = 0;
      for (const auto& each : at->held)
        held += each->bytes();
      if (session.at() == bus::phase::open)
        law(session.charged_bytes() == held, "charged is what is held");
    }
  }

  session_pair::settings how_;
  bool prompt_;
  bool fair_ = true;                           // nothing was closed, cut or refused
  std::array<bus::correlation_id, 2> asked_{}; // by the dialer, by the listener
  bool froze_ = false;
  session_pair pair_;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::operations in(data, size, 512);
  fuzz::under_law([&] {
    world both(in.byte());
    while (in.more()) {
      const auto what = in.byte();
      both.operate(what, in.byte());
    }
    both.finish();
  });
  return 0;
}
