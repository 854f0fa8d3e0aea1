// credit_world: an open session, and a model of its peer, which says whole frames with any numbers in
// them. The model keeps both accounts, and checks of all that the session says, tells and counts that it
// is what the frames so far must lead to. Does no I/O; time passes in pass().
// Drive: let the peer say something, flush(); or command the program's side; at last finish().
#pragma once

#include "postbus/bus/session.hpp"
#include "postbus/tests/fuzz/spoken.hpp"
#include "postbus/tests/support/pass_time.hpp"

#include <array>
#include <deque>

namespace postbus::fuzz {

using codecs::frame_header_bytes;

inline constexpr std::uint32_t our_frame_bytes_max = 40'000;
inline constexpr std::uint32_t peer_frame_bytes_max = 30'000;

class alarm : public bus::receipt {
public:
  bool take() noexcept { return std::exchange(rung_, false); }

private:
  void wake() noexcept override { rung_ = true; }
  bool rung_ = false;
};

struct one_message {
  std::uint64_t number = 0;
  std::size_t bytes = 0; // of the body
};

inline std::vector<std::byte> content_of(const one_message& what) {
  std::vector<std::byte> body(what.bytes);
  for (std::size_t index = 0; index < body.size(); ++index)
    body[index] = pattern(what.number, index);
  return body;
}

inline bool is_ordinary(errc code) {
  return code == errc::closed || code == errc::idle || code == errc::shutting_down
         || code == errc::canceled;
}

class credit_world : private spoken {
public:
  credit_world(bus::session::role role, const limits& bounds, bool takes_messages)
    : bounds_(bounds), takes_messages_(takes_messages), box_(bounds),
      session_(options_of(role, bounds, takes_messages, charge_), now_) {
    drive();
    bus::hello peer;
    peer.id = id_of(0xaa);
    peer.incarnation = 1;
    peer.frame_bytes_max = peer_frame_bytes_max;
    const auto dials = role == bus::session::role::dialer;
    say(bus::encode(peer));
    if (dials)
      say(bus::encode(bus::welcome{}));
    flush();
    session_.accept(now_);
    drive();
    if (!dials) {
      say(bus::encode(bus::welcome{}));
      flush();
    }
    law(opened_ == 1, "it opens");
    box_.frame_bytes_max(session_.frame_bytes_max());
  }

  // -- what the peer says -------------------------------------------------------------

  void peer_grants(const bus::credit& told) {
    say(bus::encode(told));
    if (deaf_ || !hears_credit())
      return;
    const auto is_good =
      told.stream == 0 && told.frames_taken >= confirmed_ && told.frames_taken <= frames_sent_;
    if (!is_good)
      return expect_end(errc::malformed_frame);
    confirmed_ = told.frames_taken;
    bytes_limit_ = std::max(bytes_limit_, told.bytes_limit);
    frames_limit_ = std::max(frames_limit_, told.frames_limit);
  }

  void peer_sends(std::size_t bytes) {
    const one_message what{++said_messages_, bytes};
    const auto body = content_of(what);
    std::vector<std::byte> frame(frame_header_bytes + bytes);
    codecs::store_header(frame.data(),
                         {static_cast<std::uint32_t>(bytes), codecs::frame_kind::message,
                          codecs::frame_flag::opaque, static_cast<std::uint16_t>(what.number)});
    std::copy(body.begin(), body.end(), frame.begin() + frame_header_bytes);
    say(payload::copy_of(frame));
    if (!is_heard())
      return;
    if (peer_goodbye_)
      return expect_end(errc::unexpected_frame);
    if (bytes_in_ >= granted().bytes_limit || frames_in_ >= granted().frames_limit)
      return expect_end(errc::window_exceeded);
    bytes_in_ += frame.size();
    ++frames_in_;
    arriving_.push_back(what);
  }

  void peer_pings(std::uint64_t token) {
    say(bus::encode_ping({token}));
    if (is_heard())
      pong_owed_ = token;
  }
  void peer_pongs(std::uint64_t token) { say(bus::encode_pong({token})); }

  void peer_leaves(errc reason, std::uint64_t taken) {
    say(bus::encode(bus::goodbye{reason, taken, {}}));
    if (!is_heard())
      return;
    if (peer_goodbye_)
      return expect_end(errc::unexpected_frame);
    if (taken < confirmed_ || taken > frames_sent_)
      return expect_end(errc::malformed_frame);
    peer_goodbye_ = true;
    confirmed_ = taken;
    ++goodbyes_expected_;
    deaf_ = !is_ordinary(reason);
  }

  /// What was said so far arrives, in pieces of `piece` bytes, but not in very many.
  void flush(std::size_t piece = SIZE_MAX) {
    piece = std::max(piece, saying_.size() / 256);
    std::span<const std::byte> bytes(saying_);
    while (!bytes.empty()) {
      std::size_t count = 0;
      for (const auto room : session_.prepare(scratch_)) {
        const auto part = std::min({room.size(), bytes.size() - count, piece - count});
        std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(count), part, room.begin());
        count += part;
      }
      session_.commit(count, now_);
      session_.park();
      bytes = bytes.subspan(count);
    }
    saying_.clear();
    drive();
  }

  // -- what the program does ------------------------------------------------------------

  void send(std::size_t bytes) {
    const one_message what{accepted_ + 1, bytes};
    const auto outcome = box_.push(bus::outbox::lane::data,
                                   {0, codecs::frame_kind::message, codecs::frame_flag::opaque,
                                    static_cast<std::uint16_t>(what.number)},
                                   content_of(what));
    if (outcome == send_outcome::accepted) {
      law(bytes <= peer_frame_bytes_max, "no frame is larger than the peer takes");
      ++accepted_;
      sending_.push_back(what);
    }
    drive();
  }
  void holds(bool yes) { holds_ = yes; }
  void let_go(std::size_t count) {
    for (; count > 0 && !held_.empty(); --count)
      release_first();
    drive();
  }
  void takes_messages(bool yes) {
    takes_messages_ = yes;
    session_.takes_messages(yes);
    drive();
  }
  void share(std::size_t bytes) {
    session_.window_bytes_max(std::min(bytes, bounds_.window_bytes_max));
  }
  void close(duration drain) {
    closing_ = true;
    session_.close({errc::closed, blame::local, {}}, drain, now_);
    drive();
  }
  void probe() {
    session_.probe(now_);
    drive();
  }
  void transport_takes(std::size_t bytes) {
    transport_room_ = bytes;
    drive();
  }
  void pass(duration time) {
    law(test::pass_time(session_, now_, time, [this] { drive(); }),
        "a deadline that stays in the past");
  }

  [[nodiscard]] std::uint64_t frames_sent() const { return frames_sent_; }
  [[nodiscard]] std::uint64_t confirmed() const { return confirmed_; }
  [[nodiscard]] bus::credit limits_told() const {
    return {0, bytes_limit_, frames_limit_, confirmed_};
  }
  [[nodiscard]] std::size_t peer_room_bytes() const {
    return static_cast<std::size_t>(granted().bytes_limit
                                    - std::min(bytes_in_, granted().bytes_limit));
  }

  void finish(bool in_order) {
    transport_takes(SIZE_MAX);
    holds_ = false;
    let_go(SIZE_MAX);
    if (in_order)
      session_.end_of_input();
    drive();
    pass(std::chrono::minutes(3));
    law(ended_.has_value(), "an end that does not come");
    law(is_whole(), "the last frame is whole");
    law(ended_->account == send_account{frames_sent_, confirmed_, accepted_ - frames_sent_},
        "the account is what was written, confirmed and left");
    law(ended_->was_open, "it was open");
    if (violation_) {
      law(ended_->reason.code == *violation_ && ended_->reason.by == blame::remote,
          "who breaks the protocol is told so, and blamed");
    }
    law(arriving_.empty(), "everything that came within the window was told");
    law(goodbyes_ == goodbyes_expected_, "each goodbye is told");
  }

private:
  static bus::session::options options_of(bus::session::role role, const limits& bounds,
                                          bool takes_messages,
                                          const bus::shared<bus::receipt>& charge) {
    bus::session::options how;
    how.role = role;
    how.self.id = id_of(0xbb);
    how.self.incarnation = 2;
    how.bounds = bounds;
    how.takes_messages = takes_messages;
    how.charge = charge;
    return how;
  }

  [[nodiscard]] bool is_live() const {
    return session_.at() == bus::phase::open || session_.at() == bus::phase::draining;
  }
  [[nodiscard]] bool is_heard() const { return is_live() && !deaf_; }
  [[nodiscard]] bool hears_credit() const {
    return is_live() || session_.at() == bus::phase::lingering;
  }

  void expect_end(errc code) {
    deaf_ = true;
    if (is_live())
      violation_ = code;
  }

  void say(const payload& frame) {
    saying_.insert(saying_.end(), frame.bytes().begin(), frame.bytes().end());
  }

  void drive() {
    bool more = true;
    for (std::size_t turns = 0; more; ++turns) {
      law(turns < 10'000, "a drive without end");
      more = take_events();
      if (alarm_->take()) {
        session_.settle();
        more = true;
      }
      session_.pull(box_, now_);
      hear_wire();
      more = take_events() || more;
      more = write() || more;
    }
    if (ended_)
      box_.clear();
    check();
  }

  // What the session has put on the wire counts as said, although the transport may not take it yet.
  void hear_wire() {
    std::array<std::span<const std::byte>, 400> pieces;
    const auto count = session_.wire(pieces);
    law(count < pieces.size(), "the wire holds few pieces");
    auto skip = heard_;
    for (std::size_t index = 0; index < count; ++index) {
      const auto known = std::min(skip, pieces[index].size());
      skip -= known;
      hear(pieces[index].subspan(known));
      heard_ += pieces[index].size() - known;
    }
  }

  bool write() {
    std::array<std::span<const std::byte>, 8> pieces;
    std::size_t bytes = 0;
    const auto count = session_.wire(pieces);
    for (std::size_t index = 0; index < count; ++index)
      bytes += pieces[index].size();
    bytes = std::min(bytes, transport_room_);
    if (bytes == 0)
      return false;
    if (transport_room_ != SIZE_MAX)
      transport_room_ -= bytes;
    session_.written(bytes, now_);
    heard_ -= bytes;
    return true;
  }

  bool take_events() {
    bool any = false;
    while (auto event = session_.next_event()) {
      law(!ended_, "nothing is told behind `ended`");
      std::visit([this](auto& what) { take(what); }, *event);
      any = true;
    }
    return any;
  }
  void take(bus::opened&) { ++opened_; }
  void take(bus::hello_seen&) { law(opened_ == 0, "one hello"); }
  void take(bus::received& what) {
    law(opened_ == 1, "messages come behind `opened`");
    for (const auto& run : what.frames->runs())
      for (auto* at = run.begin; at != run.end;) {
        const auto header = codecs::load_header(at);
        law(!arriving_.empty() && header.length == arriving_.front().bytes
              && header.tag == static_cast<std::uint16_t>(arriving_.front().number),
            "messages come in order");
        law(has_pattern({at + frame_header_bytes, header.length}, arriving_.front().number),
            "with their bytes");
        arriving_.pop_front();
        at += frame_header_bytes + header.length;
      }
    held_.push_back(std::move(what.frames));
    if (!holds_)
      while (!held_.empty())
        release_first();
  }
  void take(bus::goodbye_seen&) { ++goodbyes_; }
  void take(bus::became_idle&) { law(held_.empty(), "not idle while something is held"); }
  void take(bus::probe_done&) {}
  template <class About>
  void take(About&) {
    law(false, "nothing about requests, of which there are none here");
  }
  void take(bus::ended& what) { ended_ = what; }

  void release_first() {
    released_bytes_ += held_.front()->bytes();
    released_frames_ += held_.front()->frames();
    held_.pop_front();
  }

  // -- what the session says ----------------------------------------------------------------

  void on_message(const codecs::frame_header& header, std::span<const std::byte> body) override {
    law(bytes_sent_ < bytes_limit_ && frames_sent_ < frames_limit_,
        "a message begins only within the credit");
    law(!sending_.empty() && header.length == sending_.front().bytes
          && header.tag == static_cast<std::uint16_t>(sending_.front().number)
          && has_pattern(body, sending_.front().number),
        "messages leave in order, as they were sent");
    sending_.pop_front();
    bytes_sent_ += frame_header_bytes + header.length;
    ++frames_sent_;
  }
  void on_credit(const bus::credit& told) override {
    law(told.frames_taken <= released_frames_, "taken is what was let go");
    if (told.bytes_limit > granted().bytes_limit) {
      law(takes_messages_, "nothing is granted while nobody takes messages");
      law(told.bytes_limit <= released_bytes_ + bounds_.window_bytes_max,
          "no window above its bound");
    }
    law(told.frames_limit
          <= released_frames_ + std::max<std::uint64_t>(bounds_.window_bytes_max / 32, 1),
        "nor in frames");
  }
  void on_pong(std::uint64_t token) override {
    law(pong_owed_ == token, "a pong answers the newest ping, once");
    pong_owed_.reset();
  }

  void check() {
    law(charge_->bytes() == released_bytes_ && charge_->frames() == released_frames_,
        "the receipt is what was let go");
    law(session_.frames_received() == frames_in_, "frames_received");
    law(session_.charged_bytes() == bytes_in_ - released_bytes_, "charged_bytes");
    law(session_.account() == send_account{frames_sent_, confirmed_, 0}, "account");
    law(session_.window_bytes() <= bounds_.window_bytes_max, "window_bytes");
    if (deaf_ && violation_) {
      law(!is_live(), "a broken protocol ends the connection at once");
      law(closing_ || peer_goodbye_ || farewell().has_value(), "and is answered with a goodbye");
      if (farewell() && !closing_ && !peer_goodbye_)
        law(farewell()->reason == *violation_, "that says what was wrong");
    }
    if (!is_live() || deaf_ || !session_.wire_empty())
      return;
    law(!pong_owed_, "a ping is answered as soon as it can be written");
    if (takes_messages_ && held_.empty() && !farewell())
      law(granted().bytes_limit > bytes_in_ && granted().frames_limit > frames_in_,
          "who holds nothing grants more");
    const auto has_credit = bytes_sent_ < bytes_limit_ && frames_sent_ < frames_limit_;
    if (!farewell()) {
      law(!has_credit || box_.data_frames() == 0, "what has credit leaves");
      law(session_.starved() == (box_.data_frames() > 0), "what waits, waits for credit");
    }
  }

  limits bounds_;
  alarm* alarm_ = new alarm;
  bus::shared<bus::receipt> charge_ = bus::shared<bus::receipt>::adopt(alarm_);
  time_point now_ = time_point(std::chrono::hours(1));
  codecs::read_scratch scratch_;
  std::vector<std::byte> saying_;
  bool takes_messages_;
  bus::outbox box_;
  bus::session session_;

  // Towards the peer.
  std::uint64_t accepted_ = 0;
  std::deque<one_message> sending_;
  std::uint64_t bytes_sent_ = 0;
  std::uint64_t frames_sent_ = 0;
  std::uint64_t confirmed_ = 0;
  std::uint64_t bytes_limit_ = 0;
  std::uint64_t frames_limit_ = 0;
  std::size_t transport_room_ = SIZE_MAX;
  std::size_t heard_ = 0; // of the wire's bytes

  // From the peer.
  std::uint64_t said_messages_ = 0;
  std::deque<one_message> arriving_;
  std::uint64_t bytes_in_ = 0;
  std::uint64_t frames_in_ = 0;
  std::deque<bus::shared<bus::received_frames>> held_;
  bool holds_ = false;
  std::uint64_t released_bytes_ = 0;
  std::uint64_t released_frames_ = 0;
  std::optional<std::uint64_t> pong_owed_;

  bool peer_goodbye_ = false;
  bool closing_ = false;
  bool deaf_ = false; // the session hears no more
  std::optional<errc> violation_;
  unsigned opened_ = 0;
  unsigned goodbyes_ = 0;
  unsigned goodbyes_expected_ = 0;
  std::optional<bus::ended> ended_;
};

} // namespace postbus::fuzz
