#include "postbus/tests/support/simulator/program.hpp"

#include "postbus/bus/decode.hpp"
#include "postbus/bus/overloaded.hpp"

#include <algorithm>

namespace postbus::testing {

using kind = expectation::kind;

namespace {

const char* word(kind what) {
  switch (what) {
  case kind::connected:
    return "connected";
  case kind::message:
    return "a message";
  case kind::disconnected:
    return "disconnected";
  case kind::closing:
    return "closing";
  case kind::closed:
    return "closed";
  }
  return "?";
}

} // namespace

void program::expect(const expectation& what) {
  if (what.what == kind::message ? wants_.messages : wants_.events)
    due_.push_back(what);
}

std::string program::missing() const {
  if (due_.empty())
    return "nothing";
  const auto& first = due_.front();
  auto text = std::to_string(due_.size()) + " things, first " + word(first.what);
  if (first.what == kind::message)
    text += " number " + std::to_string(first.number) + " of " + first.over->name();
  return text;
}

// -- what it is told --------------------------------------------------------------

void program::told(batch what, time_point now) {
  require(wants_.messages, law::events, "messages for who wants none");
  require(missed_ == 0, law::events, "messages for who is being cut off");
  require(!what.empty(), law::events, "an empty batch");
  holding now_held{later(now, how_.holds), {}, {}, {}};
  for (const auto& each : what) {
    require(!due_.empty(), law::order, [&] {
      return "a message that was told before, or that nobody sent: from " + to_string(each.from());
    });
    const auto is = due_.front();
    require(is.what == kind::message, law::events,
            [&] { return std::string("a message where ") + word(is.what) + " is due"; });
    due_.pop_front();
    require(is.peer == each.from(), law::order, "a message from somebody else");
    check_message(is, each);
    is.over->sides[1 - is.from_side].claim(is.number);
    now_held.was.push_back(is);
    ++messages_;
    if (how_.keeps_messages && messages_ % 3 == 0)
      now_held.kept.push_back(what.keep(each));
    if (how_.keeps_payloads)
      payloads_.push_back(each.body());
  }
  if (how_.holds <= duration::zero() && !stuck_ && !how_.keeps_messages)
    return; // it was done with them at once
  now_held.what = std::move(what);
  hands_.push_back(std::move(now_held));
  require(hands_.size() <= batches_max_, law::bound,
          [&] { return std::to_string(hands_.size()) + " batches in the hands of a subscriber"; });
}

// The number, the tag, the form, and every byte, now and again when it is let go.
void program::check_message(const expectation& is, const message_view& what) const {
  if (is.over->spoiled || is.over->touched[is.from_side].contains(is.number))
    return;
  const auto& side = is.over->sides[is.from_side];
  const auto& sent = side.sent[is.number];
  const auto name = [&] {
    return "message " + std::to_string(is.number) + " of " + is.over->name() + " is not as sent";
  };
  require(what.tag() == sent.tag && what.is_opaque() == sent.opaque
            && what.bytes().size() == sent.bytes,
          law::order, name);
  require(is_body_of(side.salt, is.number, sent, what.bytes()), law::content, name);
  if (!sent.opaque)
    require(what.as<std::span<const std::byte>>().has_value(), law::content,
            "a value that cannot be read");
}

void program::told(const node_event& what, time_point now) {
  if (wants_.policy == slow_policy::disconnect && !std::holds_alternative<connection_request>(what))
    miss_messages(); // if there are any the end is on the way, and events that waited come before it
  std::visit(
    bus::overloaded{
      [&](const connection_request& asked) {
        require(wants_.decides, law::events, "asked, and does not decide");
        require(asked_.insert(asked.connection).second, law::dials,
                "asked twice about one connection");
        questions.push_back({asked, later(now, how_.answers_after)});
      },
      [&](const connected& up) { check_event(kind::connected, up.peer, "connected"); },
      [&](const disconnected& down) {
        const auto is = due_.empty() ? expectation{} : due_.front();
        check_event(kind::disconnected, down.peer, "disconnected");
        check_account(is, down);
      },
      [&](const unsent&) { require(false, law::events, "unsent, which nobody asked for"); },
      [&](const keep_state&) { require(false, law::events, "nobody is kept here"); },
      [&](const messages_dropped& lost) { check_gap(lost); },
      [&](const subscription_ended& over) {
        require(wants_.policy == slow_policy::disconnect
                  && over.reason.code == errc::subscriber_too_slow,
                law::events, "a subscription ended that nobody ended");
        cut_off_ = true;
        abandon();
        require(over.messages_dropped == missed_, law::account,
                "another number was dropped with a subscription than waited");
      },
      [&](const closing&) { check_event(kind::closing, {}, "closing"); },
      [&](const closed&) {
        check_event(kind::closed, {}, "closed");
        closed_ = true;
      },
    },
    what);
}

void program::check_event(kind what, const node_id& peer, const char* name) {
  require(wants_.events, law::events, "an event for who wants none");
  require(!closed_, law::events, [&] { return std::string(name) + " behind closed"; });
  require(!due_.empty(), law::events,
          [&] { return std::string(name) + ", which was told already or never happened"; });
  const auto& is = due_.front();
  require(is.what == what && (what == kind::closing || what == kind::closed || is.peer == peer),
          law::events, [&] { return std::string(name) + " where " + word(is.what) + " is due"; });
  due_.pop_front();
}

// The first messages of this peer that it was not given yet; what it waits for besides may be of others
// only, and then is missing, too.
void program::check_gap(const messages_dropped& told) {
  require(drops() && wants_.policy != slow_policy::disconnect && told.messages > 0, law::events,
          "messages dropped for who drops none");
  auto next = due_.begin();
  for (auto left = told.messages; left > 0;) {
    require(next != due_.end() && next->what == kind::message, law::order,
            "a gap where no message is due, or that is too long");
    if (next->peer != told.peer) {
      ++next;
      continue;
    }
    next->over->sides[1 - next->from_side].drop(next->number);
    next = due_.erase(next);
    --left;
  }
}

void program::abandon() {
  if (!drops())
    return;
  for (const auto& each : due_) {
    require(!cut_off_ || each.what == kind::message, law::events, "cut off before an event");
    if (each.what == kind::message)
      each.over->sides[1 - each.from_side].drop(each.number);
  }
  due_.clear();
}

// Those up to the next event.
void program::miss_messages() {
  for (; !due_.empty() && due_.front().what == kind::message; due_.pop_front()) {
    due_.front().over->sides[1 - due_.front().from_side].drop(due_.front().number);
    ++missed_;
  }
}

void program::check_account(const expectation& is, const disconnected& told) {
  const auto& side = is.over->sides[1 - is.from_side];
  require(side.ended && told.account == side.ended->account && told.reason == side.ended->reason,
          law::account, [&] { return is.over->name() + ": disconnected tells another account"; });
  require(told.messages_received == side.received && told.messages_unclaimed == side.unclaimed,
          law::account, [&] {
            return is.over->name() + ": disconnected tells of "
                   + std::to_string(told.messages_received) + " messages, "
                   + std::to_string(told.messages_unclaimed) + " unclaimed; it were "
                   + std::to_string(side.received) + " and " + std::to_string(side.unclaimed);
          });
}

// -- what it lets go --------------------------------------------------------------

time_point program::next_moment() const noexcept {
  if (stuck_ || hands_.empty())
    return never;
  return std::min_element(
           hands_.begin(), hands_.end(),
           [](const holding& left, const holding& right) { return left.until < right.until; })
    ->until;
}

void program::let_go(time_point now) {
  for (auto& each : hands_)
    if (each.until <= now && !stuck_) {
      std::size_t index = 0;
      for (const auto& view : each.what)
        check_message(each.was[index++], view);
      each.what = {};
      // Messages that were kept go later, one by one.
      if (!each.kept.empty()) {
        each.until = later(now, how_.holds);
        each.was.clear();
        if (how_.holds <= duration::zero())
          each.kept.clear();
        else
          each.kept.erase(each.kept.begin());
      }
    }
  std::erase_if(hands_, [](const holding& each) { return each.what.empty() && each.kept.empty(); });
}

void program::add_waiting(const connection_record& over, unsigned from_side,
                          std::set<std::uint64_t>& numbers) const {
  for (const auto& each : due_)
    if (each.what == kind::message && each.over == &over && each.from_side == from_side)
      numbers.insert(each.number);
}

time_point program::next_answer() const noexcept {
  return questions.empty() || !how_.answers ? never : questions.front().due;
}

} // namespace postbus::testing
