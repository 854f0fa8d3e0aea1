// lone_session: one session on a virtual clock whose peer is bytes. Collects what it writes and, as
// lines of text, what it tells.
// Drive: feed, command, pass; then compare wire and told.
#pragma once

#include "postbus/tests/support/pass_time.hpp"
#include "postbus/tests/support/session_end.hpp"

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace postbus::test {

class lone_session {
public:
  explicit lone_session(bus::session::options how)
    : box_(how.bounds), session_(std::move(how), now_) {
    drive();
  }

  std::string wire;              ///< Written and not yet looked at.
  std::vector<std::string> told; ///< The same for events.

  [[nodiscard]] const bus::session& session() const { return session_; }
  [[nodiscard]] time_point now() const { return now_; }

  void feed(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      std::size_t count = 0;
      for (const auto room : session_.prepare(scratch_)) {
        const auto part = std::min(room.size(), bytes.size() - count);
        std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(count), part, room.begin());
        count += part;
      }
      bytes = bytes.subspan(count);
      session_.commit(count, now_);
      session_.park();
      drive();
    }
  }
  void end_of_input() {
    session_.end_of_input();
    drive();
  }
  void fail(errc code) {
    session_.fail(code, {});
    drive();
  }
  void accept() {
    session_.accept(now_);
    drive();
  }
  void refuse(const error& why) {
    session_.refuse(why, now_);
    drive();
  }
  void close(const error& why, duration drain) {
    session_.close(why, drain, now_);
    drive();
  }
  void ask(bus::correlation_id id, std::string_view text, std::uint16_t tag, duration within) {
    session_.ask({id, payload::copy_of(text), tag, true, later(now_, within)}, now_);
    drive();
  }
  void cancel(bus::correlation_id id) {
    session_.cancel(id);
    drive();
  }
  void answer(bus::correlation_id id, const bus::request_answer& what) {
    session_.answer(id, what, now_);
    drive();
  }
  void probe() {
    session_.probe(now_);
    drive();
  }
  send_outcome send(std::string_view text, std::uint16_t tag = 0) {
    const codecs::frame_header header{0, codecs::frame_kind::message, codecs::frame_flag::opaque,
                                      tag};
    const auto outcome = box_.push(bus::outbox::lane::data, header, std::as_bytes(std::span(text)));
    accepted_ += outcome == send_outcome::accepted ? 1 : 0;
    drive();
    return outcome;
  }
  /// Time passes, with a tick at every deadline.
  void pass(duration time) {
    law(pass_time(session_, now_, time, [this] { drive(); }), "a deadline that stays in the past");
  }
  /// Received messages are held until let go.
  void hold(bool yes) {
    holds_ = yes;
    if (!yes) {
      held_.clear();
      session_.settle();
      drive();
    }
  }
  [[nodiscard]] bool is_over() const { return over_; }

private:
  void drive() {
    for (std::size_t turns = 0; turns < 2 || !session_.wire_empty(); ++turns) {
      law(turns < 10'000, "a drive without end");
      take_events();
      session_.settle(); // what was not held is let go by now
      session_.pull(box_, now_);
      take_events();
      std::array<std::span<const std::byte>, 4> pieces;
      std::size_t count = 0;
      for (std::size_t index = 0, used = session_.wire(pieces); index < used; ++index) {
        wire.append(reinterpret_cast<const char*>(pieces[index].data()), pieces[index].size());
        count += pieces[index].size();
      }
      session_.written(count, now_);
    }
    if (session_.take_shutdown())
      told.push_back("shutdown");
    const auto account = session_.account();
    law(account.confirmed <= account.sent && account.sent <= accepted_, "an account that is wrong");
    law(session_.frames_taken() <= session_.frames_received(), "more taken than received");
  }

  void take_events() {
    while (auto event = session_.next_event()) {
      law(!over_, "an event behind `ended`");
      std::visit([this](const auto& what) { tell(what); }, *event);
    }
  }

  static std::string words(const error& why) {
    std::string out(to_string(why.code));
    out.append(" ").append(to_string(why.by));
    if (!why.detail.empty())
      out.append(" \"").append(why.detail).append("\"");
    return out;
  }
  void tell(const bus::opened&) { told.push_back("opened"); }
  void tell(const bus::hello_seen& seen) {
    auto& line = told.emplace_back("hello " + to_string(seen.peer.id));
    if (!seen.peer.init.empty())
      line.append(" \"").append(seen.peer.init.text()).append("\"");
  }
  void tell(const bus::received& what) {
    for (const auto& run : what.frames->runs())
      for (auto* at = run.begin; at != run.end;) {
        const auto header = codecs::load_header(at);
        const payload body(run.owner, at + codecs::frame_header_bytes, header.length);
        told.push_back("message " + std::to_string(header.tag) + " \"" + std::string(body.text())
                       + '"');
        at = body.data() + body.size();
      }
    if (holds_)
      held_.push_back(what.frames);
  }
  void tell(const bus::requested& what) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(what.deadline - now_);
    auto& line = told.emplace_back("request ");
    line.append(std::to_string(what.id)).append(" ").append(std::to_string(what.tag));
    line.append(" \"").append(what.body.text()).append("\" within ");
    line.append(what.deadline == never ? "any time" : std::to_string(left.count()));
  }
  void tell(const bus::called_off& what) {
    told.push_back("called off " + std::to_string(what.id));
  }
  void tell(const bus::answered& what) {
    auto& line = told.emplace_back("answered " + std::to_string(what.id));
    if (const auto* good = std::get_if<bus::response>(&what.what)) {
      line.append(" \"").append(good->body.text()).append("\"");
    } else {
      const auto& no = std::get<bus::failure>(what.what);
      line.append(" ").append(to_string(no.reason)).append(" ").append(std::to_string(no.code));
      line.append(" \"").append(no.text).append("\"");
    }
  }
  void tell(const bus::expired& what) { told.push_back("expired " + std::to_string(what.id)); }
  void tell(const bus::unasked& what) { told.push_back("unasked " + std::to_string(what.id)); }
  void tell(const bus::goodbye_seen& seen) { told.push_back("goodbye " + words(seen.reason)); }
  void tell(const bus::became_idle&) { told.push_back("idle"); }
  void tell(const bus::probe_done& done) { told.push_back(done.alive ? "alive" : "silent"); }
  void tell(const bus::ended& what) {
    over_ = true;
    law(what.account.sent + what.account.unsent == accepted_, "accepted is not sent + unsent");
    told.push_back("ended " + words(what.reason) + ": sent " + std::to_string(what.account.sent)
                   + " confirmed " + std::to_string(what.account.confirmed) + " unsent "
                   + std::to_string(what.account.unsent));
  }

  time_point now_ = time_point(std::chrono::hours(1));
  codecs::read_scratch scratch_;
  bus::outbox box_;
  bus::session session_;
  std::uint64_t accepted_ = 0;
  bool holds_ = false;
  bool over_ = false;
  std::vector<bus::shared<bus::received_frames>> held_;
};

} // namespace postbus::test
