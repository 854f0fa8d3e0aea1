// session_frames: what the bytes of a connection mean to its session, frame by frame, and how the
// stream may end. The rest of the class is in session.cpp and session_wire.cpp.
#include "postbus/bus/session.hpp"

#include <algorithm>

namespace postbus::bus {

using codecs::frame_kind;
using codecs::frame_view;

namespace {

bool is_ordinary_end(errc code) {
  return code == errc::closed || code == errc::idle || code == errc::shutting_down
         || code == errc::canceled || code == errc::none;
}

bool is_protocol_error(errc code) {
  return code >= errc::malformed_frame && code <= errc::window_exceeded;
}

bool is_control(frame_kind kind) {
  return kind <= frame_kind::credit;
}

bool is_first_kind(frame_kind kind) {
  return kind == frame_kind::hello || kind == frame_kind::refuse;
}

// What was open here and not there: told with the words for why.
error lost_handshake(errc told, const std::string& text) {
  auto words = std::string(to_string(told));
  if (!text.empty())
    words.append(": ").append(text);
  return {errc::handshake_lost, blame::remote, std::move(words)};
}

// What the peer finds wrong with what we sent is our fault, everything else it says is its own.
blame blame_for(errc told) {
  return is_protocol_error(told) ? blame::local : blame::remote;
}

} // namespace

// -- bytes in ---------------------------------------------------------------------

void session::commit(std::size_t bytes, time_point now) {
  if (bytes == 0)
    return;
  if (phase_ == phase::closed)
    return reader_.stop(); // ended since it was asked where bytes belong
  // What nobody has taken yet is a batch of its own.
  tell_gathered();
  reader_.commit(bytes);
  last_received_ = now;
  const auto before = counted();
  wire_bytes_received_ += bytes;
  frame_view frame;
  auto status = codecs::frame_reader::status::need_more;
  while (phase_ != phase::closed
         && (status = reader_.next(frame)) == codecs::frame_reader::status::frame)
    if (!deaf_)
      on_frame(frame, now);
  if (status == codecs::frame_reader::status::too_large && !deaf_)
    violate(peer_seen_ ? errc::frame_too_large : errc::not_postbus, {}, now);
  if (phase_ == phase::closed)
    reader_.stop(); // what comes behind the end is no frame of anybody's
  const auto after = counted();
  count({.bytes_received = after.bytes_received - before.bytes_received,
         .messages_received = after.messages_received - before.messages_received},
        now);
  settle();
}

void session::on_frame(const frame_view& frame, time_point now) {
  if (is_opening())
    wire_bytes_received_ -= static_cast<std::uint64_t>(frame.end() - frame.begin);
  const auto& header = frame.header;
  if (phase_ == phase::lingering && header.kind != frame_kind::credit)
    return; // only what confirms our messages is of interest any more
  // The first bytes of a stranger are not a mistake in our protocol but another one.
  if (!peer_seen_ && (!is_first_kind(header.kind) || header.flags != 0 || header.tag != 0))
    return violate(errc::not_postbus, "the first frame is no hello", now);
  if ((header.flags & ~codecs::frame_flag::known) != 0)
    return violate(errc::unknown_flag, {}, now);
  if (is_control(header.kind) && (header.flags != 0 || header.tag != 0))
    return violate(errc::malformed_frame, "flags or a tag on a control frame", now);
  switch (header.kind) {
  case frame_kind::hello:
    return on_hello(frame, now);
  case frame_kind::welcome:
    return on_welcome(frame, now);
  case frame_kind::refuse:
    return on_refuse(frame, now);
  case frame_kind::goodbye:
    return on_goodbye(frame, now);
  case frame_kind::credit:
    return on_credit(frame, now);
  case frame_kind::message:
    return on_message(frame, now);
  case frame_kind::ping:
  case frame_kind::pong: {
    if (!is_live())
      return violate(errc::unexpected_frame, {}, now);
    const auto probe = decode_probe(frame.body());
    if (!probe)
      return violate(errc::malformed_frame, probe.error().detail, now);
    heard_since_open_ = true;
    if (header.kind == frame_kind::pong && probe->token == pinged_token_ && pinged_token_ != 0) {
      round_trip_time_ = now - pinged_at_;
      pinged_token_ = 0;
    }
    if (header.kind == frame_kind::ping) {
      pong_due_ = probe->token;
    } else if (probe_token_ != 0 && probe->token >= probe_token_) {
      probe_token_ = 0;
      probe_deadline_ = never;
      tell(probe_done{true});
    }
    return;
  }
  case frame_kind::request:
    return on_request(frame, now);
  case frame_kind::response:
    return on_response(frame, now);
  case frame_kind::failure:
    return on_failure(frame, now);
  case frame_kind::cancel:
    return on_cancel(frame, now);
  case frame_kind::stream_open:
  case frame_kind::stream_accept:
  case frame_kind::stream_refuse:
  case frame_kind::stream_data:
  case frame_kind::stream_end:
  case frame_kind::stream_reset:
  case frame_kind::behavior:
    break; // have their numbers, but no meaning in this version
  }
  violate(errc::unknown_kind, "kind " + std::to_string(static_cast<unsigned>(header.kind)), now);
}

void session::on_hello(const frame_view& frame, time_point now) {
  if (phase_ != phase::hello || peer_seen_)
    return violate(errc::unexpected_frame, "a second hello", now);
  auto peer = decode_hello(frame.body());
  if (!peer)
    return violate(peer.error().code, peer.error().detail, now);
  peer_ = std::move(*peer);
  peer_.init = peer_.init.copy(); // it outlives the read buffer it lies in
  peer_seen_ = true;
  if (role_ == role::dialer)
    round_trip_time_ = now - last_sent_; // this answers our hello
  peer_keeps_ =
    std::find(peer_.features.begin(), peer_.features.end(), keep_feature) != peer_.features.end();
  check_hello(now);
}

// What a hello must be, whoever says it. The texts tell a stranger nothing it did not say itself.
void session::check_hello(time_point now) {
  const auto refuse_with = [&](errc code, std::string_view text, blame by) {
    refuse({code, by, std::string(text)}, now);
  };
  if (std::max(peer_.version_min, self_->version_min)
      > std::min(peer_.version_max, self_->version_max))
    return refuse_with(errc::version_unsupported, "no common version", blame::remote);
  if (peer_.id == self_->id)
    return peer_.incarnation == self_->incarnation
             ? refuse_with(errc::self_connection, "connected to itself", blame::local)
             : refuse_with(errc::id_in_use, "both ends have the same id", blame::remote);
  if (self_->expected && peer_.id != self_->expected)
    return refuse_with(errc::wrong_node, "the node that answered has another id", blame::remote);
  if (peer_.expected && peer_.expected != self_->id)
    return refuse_with(errc::wrong_node, "this node has another id", blame::remote);
  if (role_ == role::dialer)
    return; // the welcome must follow
  ask_for_decision(now);
}

void session::ask_for_decision(time_point now) {
  phase_ = phase::deciding;
  decision_deadline_ = std::min(handshake_deadline_, now + bounds_->decision_time_max);
  tell(hello_seen{peer_});
  peer_.init = {}; // the node has it now; there may be very many quiet connections
}

void session::on_welcome(const frame_view& frame, time_point now) {
  const auto expected_here =
    role_ == role::dialer ? phase_ == phase::hello && peer_seen_ : phase_ == phase::welcome;
  if (!expected_here)
    return violate(errc::unexpected_frame, "a welcome out of turn", now);
  const auto welcome = decode_welcome(frame.body());
  if (!welcome)
    return violate(errc::malformed_frame, welcome.error().detail, now);
  if (welcome->version != std::min(peer_.version_max, self_->version_max))
    return violate(errc::version_unsupported,
                   "the welcome does not name the highest common version", now);
  if (role_ == role::listener) {
    round_trip_time_ = now - last_sent_; // this answers our welcome
    return become_open(now);
  }
  // Only now, with the listener's consent in hand, is the dialer asked: its yes opens at once, so
  // of two connections between a pair exactly one end decides each.
  ask_for_decision(now);
}

void session::on_refuse(const frame_view& frame, time_point now) {
  // A refusal may cross the dialer's welcome on its way: then nothing else was heard yet.
  const auto crossed = is_live() && is_open_here_only();
  if (!is_opening() && !crossed)
    return violate(errc::unexpected_frame, "a refusal on an open connection", now);
  auto refusal = decode_refuse(frame.body());
  if (!refusal)
    return violate(errc::malformed_frame, refusal.error().detail, now);
  deaf_ = true;
  if (!crossed)
    return begin_linger({refusal->reason, blame_for(refusal->reason), std::move(refusal->text)},
                        now);
  begin_linger(lost_handshake(refusal->reason, refusal->text), now);
}

void session::on_goodbye(const frame_view& frame, time_point now) {
  if (!is_live() || goodbye_heard_)
    return violate(errc::unexpected_frame, "a goodbye out of turn", now);
  auto goodbye = decode_goodbye(frame.body());
  if (!goodbye)
    return violate(errc::malformed_frame, goodbye.error().detail, now);
  if (goodbye->frames_taken < frames_confirmed_ || goodbye->frames_taken > frames_sent_)
    return violate(errc::malformed_frame, "frames taken do not match frames sent", now);
  heard_since_open_ = true;
  goodbye_heard_ = true;
  // With these its session was open, but its node had taken another connection in the meantime and
  // handed on nothing of what came over this one.
  const bool was_given_up =
    goodbye->reason == errc::already_connected || goodbye->reason == errc::id_in_use;
  if (!was_given_up)
    frames_confirmed_ = goodbye->frames_taken;
  const auto why = was_given_up ? lost_handshake(goodbye->reason, goodbye->text)
                                : error{goodbye->reason, blame_for(goodbye->reason), goodbye->text};
  tell(goodbye_seen{why});
  if (!is_ordinary_end(why.code)) {
    deaf_ = true;
    begin_linger(why, now);
  } else if (phase_ == phase::open) {
    begin_drain(why, bounds_->drain_time_max, now);
  }
}

void session::on_credit(const frame_view& frame, time_point now) {
  if (is_opening())
    return violate(errc::unexpected_frame, {}, now);
  const auto told = decode_credit(frame.body());
  if (!told)
    return violate(errc::malformed_frame, told.error().detail, now);
  heard_since_open_ = true;
  if (told->stream != 0)
    return violate(errc::malformed_frame, "credit for a stream that is not open", now);
  if (told->frames_taken < frames_confirmed_ || told->frames_taken > frames_sent_)
    return violate(errc::malformed_frame, "frames taken do not match frames sent", now);
  frames_confirmed_ = told->frames_taken;
  bytes_limit_ = std::max(bytes_limit_, told->bytes_limit);
  frames_limit_ = std::max(frames_limit_, told->frames_limit);
}

void session::on_message(const frame_view& frame, time_point now) {
  if (!is_live() || goodbye_heard_)
    return violate(errc::unexpected_frame, "a message out of turn", now);
  if ((frame.header.flags & (codecs::frame_flag::routed | codecs::frame_flag::correlated)) != 0)
    return violate(errc::unexpected_frame, "a message with a route or a correlation", now);
  if (bytes_received_ >= granted_.bytes_limit || frames_received_ >= granted_.frames_limit)
    return violate(errc::window_exceeded, {}, now);
  heard_since_open_ = true;
  idle_told_ = false;
  last_useful_ = useful_received_at_ = now;
  if (!gathering_)
    gathering_ = shared<received_frames>::adopt(new received_frames(charge_));
  gathering_->append(*frame.owner, frame.begin, frame.end());
  bytes_received_ += static_cast<std::uint64_t>(frame.end() - frame.begin);
  ++frames_received_;
}

void session::end_of_input() {
  input_ended_ = true;
  switch (phase_) {
  case phase::hello:
  case phase::deciding:
  case phase::welcome:
    return end({errc::connection_cut, blame::remote, "while it was being opened"});
  case phase::open:
    return end(
      {is_open_here_only() ? errc::handshake_lost : errc::connection_cut, blame::remote, {}});
  case phase::draining:
    if (goodbye_heard_)
      return; // it has said what it had to say; it may still read
    return end({is_open_here_only() ? errc::handshake_lost : errc::connection_cut, blame::remote,
                "while it was being closed"});
  case phase::lingering:
    if (all_written())
      end(reason_);
    return;
  case phase::closed:
    return;
  }
}

void session::fail(errc code, std::string detail) {
  if (phase_ == phase::closed)
    return;
  if (phase_ == phase::lingering || (goodbye_said_ && goodbye_heard_))
    return end(reason_); // everything that mattered was said
  if (is_live() && is_open_here_only()
      && (code == errc::connection_cut || code == errc::connection_reset))
    code = errc::handshake_lost;
  say_why(code, detail);
  const bool lost = code >= errc::peer_lost && code <= errc::connection_reset;
  end(
    {code, lost || code == errc::handshake_lost ? blame::remote : blame::local, std::move(detail)});
}

// Whoever is ended in favour of others may be there all the same, and hears why if its socket takes a last
// word. A stranger hears nothing, and what went wrong on this machine is nobody else's affair.
void session::say_why(errc code, const std::string& detail) {
  const bool for_others = code == errc::too_many_handshakes || code == errc::peer_lost
                          || code == errc::peer_restarted || code == errc::shutting_down;
  if (!for_others)
    return;
  if (is_live())
    say_goodbye(code, detail);
  else if (is_opening() && peer_seen_)
    say(encode(bus::refuse{code, detail}));
}

void session::violate(errc code, std::string detail, time_point now) {
  if (phase_ >= phase::lingering)
    return;
  tell_gathered(); // what came before the mistake was good
  deaf_ = true;
  if (was_open_)
    say_goodbye(code, detail);
  else if (code != errc::not_postbus)
    say(encode(bus::refuse{code, detail}));
  begin_linger({code, blame::remote, std::move(detail)}, now);
}

} // namespace postbus::bus
