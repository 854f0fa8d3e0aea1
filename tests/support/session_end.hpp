// session_end: one end of a connection as a driver sees it: a session, its outbox, what it told, and
// a program that takes messages at once or holds them. Checks order and content of what arrives.
// Does no I/O and reads no clock: who drives it (session_pair, a simulator) moves the bytes.
#pragma once

#include "postbus/bus/session.hpp"

#include <deque>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace postbus::test {

/// Breaks off a test, or a fuzz run, with words.
struct broken_law : std::logic_error {
  using std::logic_error::logic_error;
};

inline void law(bool holds, const char* what) {
  if (!holds)
    throw broken_law(what);
}

/// An id of sixteen equal bytes.
inline node_id id_of(unsigned byte) {
  node_id::bytes_type bytes;
  bytes.fill(static_cast<std::byte>(byte));
  return node_id(bytes);
}

/// A receipt that remembers that it was asked to wake.
class alarm : public bus::receipt {
public:
  bool take() noexcept { return rung_.exchange(false); }

private:
  void wake() noexcept override { rung_ = true; }
  std::atomic<bool> rung_{false};
};

/// What one end sent, for the other to compare.
struct sent_message {
  std::uint16_t tag = 0;
  std::size_t bytes = 0;
};

/// The byte at `index` of the message number `number`.
inline std::byte content(std::uint64_t number, std::size_t index) {
  return static_cast<std::byte>(number * 131 + index * 7 + (index >> 8));
}

class session_end {
public:
  /// What the program does with a peer whose hello was seen.
  enum class decision : std::uint8_t { accept, refuse, wait };

  session_end(bus::session::options how, time_point now)
    : alarm_(new alarm), box(how.bounds),
      session((how.charge = bus::shared<bus::receipt>::share(alarm_), how), now),
      alarm_hold_(bus::shared<bus::receipt>::adopt(alarm_)) {}

private:
  alarm* alarm_; // before the session, which is given it

public:
  bus::outbox box;
  bus::session session;

  // -- the program ------------------------------------------------------------------
  decision on_hello = decision::accept;
  error refusal{errc::rejected, blame::local, "not today"};
  bool holds = false; ///< Received frames stay in `held`.
  std::deque<bus::shared<bus::received_frames>> held;
  std::vector<payload> kept; ///< With `keeps`: the body of every message.
  bool keeps = false;

  // -- what it saw ------------------------------------------------------------------
  unsigned hellos = 0;
  payload peer_init; ///< As the last hello told it.
  unsigned opened = 0;
  unsigned idle = 0;
  time_point idle_at = never;
  time_point ended_at = never;
  std::vector<bool> probes;
  std::vector<error> goodbyes;
  std::vector<bus::requested> asked;  ///< By the peer, in the order they came.
  std::vector<bus::answered> answers; ///< To what this end asked.
  std::vector<bus::correlation_id> called_off;
  std::vector<bus::correlation_id> expired;
  std::vector<bus::correlation_id> unasked;
  std::optional<bus::ended> end;
  std::uint64_t messages = 0;      ///< Arrived.
  std::uint64_t accepted = 0;      ///< Taken by the outbox.
  std::deque<sent_message> unseen; ///< Sent by this end and not yet arrived at the other.
  session_end* peer = nullptr;     ///< Compares what arrives with what that one sent.

  /// Sends a message of `bytes`, whose content follows from its number.
  send_outcome send(std::size_t bytes) {
    const auto number = accepted;
    const auto tag = static_cast<std::uint16_t>(number);
    std::vector<std::byte> body(bytes);
    for (std::size_t index = 0; index < bytes; ++index)
      body[index] = content(number, index);
    const codecs::frame_header header{0, codecs::frame_kind::message, codecs::frame_flag::opaque,
                                      tag};
    const auto outcome = box.push(bus::outbox::lane::data, header, body);
    if (outcome == send_outcome::accepted) {
      ++accepted;
      if (peer != nullptr)
        unseen.push_back({tag, bytes});
    }
    return outcome;
  }

  void let_go_all() { held.clear(); }
  void let_go_first() { held.pop_front(); }

  // -- for drivers ------------------------------------------------------------------

  /// Drains the events; says whether there were any.
  bool take_events(time_point now) {
    bool any = false;
    while (auto event = session.next_event()) {
      any = true;
      law(!end, "an event behind `ended`");
      std::visit([&](auto& what) { take(what, now); }, *event);
    }
    return any;
  }

  /// True once after the program let go of something that the session waits for.
  [[nodiscard]] bool take_alarm() { return alarm_->take(); }

  [[nodiscard]] bool frozen() const { return frozen_; }
  /// A stopped process: reads, writes and ticks nothing.
  void frozen(bool yes) { frozen_ = yes; }

  /// What must hold at any time.
  void invariants() const {
    const auto account = session.account();
    law(account.confirmed <= account.sent, "more confirmed than sent");
    law(account.sent <= accepted, "more sent than accepted");
    law(session.frames_taken() <= session.frames_received(), "more taken than received");
    if (end) {
      law(end->account.sent + end->account.unsent == accepted, "accepted is not sent + unsent");
      law(end->was_open == (opened == 1), "was_open differs from what was told");
      law(end->reason.code != errc::none, "an end without a reason");
    }
    law(opened <= 1, "opened twice");
    if (peer != nullptr) {
      law(account.confirmed <= peer->session.frames_taken(), "confirmed what was not taken");
      law(peer->session.frames_received() <= account.sent, "received what was not sent");
    }
  }

private:
  void take(bus::hello_seen& seen, time_point now) {
    ++hellos;
    peer_init = std::move(seen.peer.init);
    if (on_hello == decision::accept)
      session.accept(now);
    else if (on_hello == decision::refuse)
      session.refuse(refusal, now);
  }
  void take(bus::opened&, time_point) {
    ++opened;
    box.frame_bytes_max(session.frame_bytes_max());
  }
  void take(bus::received& what, time_point) {
    law(opened == 1, "messages before `opened`");
    for (const auto& run : what.frames->runs())
      for (auto* at = run.begin; at != run.end;)
        at = take_message(run.owner, at);
    law(what.frames->frames() > 0, "an empty batch");
    if (holds)
      held.push_back(std::move(what.frames));
  }
  void take(bus::goodbye_seen& what, time_point) { goodbyes.push_back(what.reason); }
  void take(bus::became_idle&, time_point now) {
    ++idle;
    idle_at = now;
  }
  void take(bus::probe_done& what, time_point) { probes.push_back(what.alive); }
  void take(bus::requested& what, time_point) {
    law(opened == 1, "requests before `opened`");
    asked.push_back(what);
  }
  void take(bus::answered& what, time_point) { answers.push_back(what); }
  void take(bus::called_off& what, time_point) { called_off.push_back(what.id); }
  void take(bus::expired& what, time_point) { expired.push_back(what.id); }
  void take(bus::unasked& what, time_point) { unasked.push_back(what.id); }
  void take(bus::ended& what, time_point now) {
    end = what;
    ended_at = now;
  }

  const std::byte* take_message(const codecs::chunk_ptr& owner, const std::byte* at) {
    const auto header = codecs::load_header(at);
    const auto* body = at + codecs::frame_header_bytes;
    const auto number = messages++;
    if (keeps)
      kept.push_back({owner, body, header.length});
    if (peer != nullptr) {
      law(!peer->unseen.empty(), "a message that nobody sent");
      law(header.tag == peer->unseen.front().tag, "messages out of order");
      law(header.length == peer->unseen.front().bytes, "a message of another size");
      peer->unseen.pop_front();
      const std::size_t step = header.length > 4096 ? 997 : 1;
      for (std::size_t index = 0; index < header.length; index += step)
        law(body[index] == content(number, index), "a message with other bytes");
    }
    return body + header.length;
  }

  bus::shared<bus::receipt> alarm_hold_;
  bool frozen_ = false;
};

} // namespace postbus::test
