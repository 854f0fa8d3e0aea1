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
  case kind::unsent:
    return "unsent";
  case kind::keep_state:
    return "keep_state";
  case kind::closing:
    return "closing";
  case kind::closed:
    return "closed";
  }
  return "?";
}

} // namespace

bool program::takes(const expectation& what) const {
  const auto& filter = wants_.filter;
  switch (what.what) {
  case kind::message:
    return wants_.messages && filter.takes(what.peer) && filter.takes(what.tag);
  case kind::connected:
  case kind::disconnected:
  case kind::unsent:
    return wants_.events && filter.takes(what.peer);
  case kind::keep_state:
  case kind::closing:
  case kind::closed:
    return wants_.events;
  }
  return false;
}

void program::expect(const expectation& what) {
  if (!takes(what))
    return;
  due_.push_back(what);
  taken_ += what.what == kind::message ? 1 : 0;
  due_bytes_ += what.bytes;
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
    const auto is = take_due(each);
    is.over->sides[1 - is.from_side].claim(is.number);
    now_held.was.push_back(is);
    ++messages_;
    if (how_.singles || (how_.keeps_messages && messages_ % 3 == 0))
      now_held.kept.push_back(what.keep(each));
    if (how_.keeps_payloads)
      payloads_.push_back(each.body());
  }
  if (how_.holds <= duration::zero() && !stuck_ && !how_.keeps_messages)
    return; // it was done with them at once
  if (!how_.singles)
    now_held.what = std::move(what);
  hands_.push_back(std::move(now_held));
  require(hands_.size() <= batches_max_, law::bound,
          [&] { return std::to_string(hands_.size()) + " batches in the hands of a subscriber"; });
}

// What this message must be. Who drops, and is not told of gaps, passes over what was dropped.
expectation program::take_due(const message_view& what) {
  while (drops() && !wants_.events && !due_.empty() && !is_right(due_.front(), what))
    lose(take_first_due());
  require(!due_.empty(), law::order, [&] {
    return "a message that was told before, or that nobody sent: from " + to_string(what.from());
  });
  require(due_.front().what == kind::message, law::events,
          [&] { return std::string("a message where ") + word(due_.front().what) + " is due"; });
  auto is = take_first_due();
  require(is.peer == what.from(), law::order, "a message from somebody else");
  check_message(is, what);
  return is;
}

expectation program::take_first_due() {
  auto first = due_.front();
  due_.pop_front();
  due_bytes_ -= first.bytes;
  return first;
}

void program::lose(const expectation& what) {
  what.over->sides[1 - what.from_side].drop(what.number);
  ++lost_;
  lost_bytes_ += what.bytes;
}

bool program::is_right(const expectation& is, const message_view& what) {
  if (is.what != kind::message || is.peer != what.from() || is.tag != what.tag()
      || is.bytes != codecs::frame_header_bytes + what.bytes().size())
    return false;
  return is.over->spoiled || is.over->touched[is.from_side].contains(is.number)
         || is_body_of(is.over->sides[is.from_side].sent[is.number], what.bytes());
}

// The tag, the form, and every byte, now and again when it is let go.
void program::check_message(const expectation& is, const message_view& what) {
  if (is.over->spoiled || is.over->touched[is.from_side].contains(is.number))
    return;
  const auto& sent = is.over->sides[is.from_side].sent[is.number];
  const auto name = [&] {
    return "message " + std::to_string(is.number) + " of " + is.over->name() + " is not as sent";
  };
  require(what.tag() == sent.tag && what.is_opaque() == sent.opaque
            && what.bytes().size() == sent.bytes,
          law::order, name);
  require(is_body_of(sent, what.bytes()), law::content, name);
  if (!sent.opaque)
    require(what.as<std::span<const std::byte>>().has_value(), law::content,
            "a value that cannot be read");
}

void program::told(const node_event& what, time_point now) {
  if (wants_.policy == slow_policy::disconnect && !std::holds_alternative<connection_request>(what))
    miss_messages(); // if there are any the end is on the way, and events that waited come before it
  std::visit(bus::overloaded{
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
               [&](const unsent& back) { check_unsent(back); },
               [&](const keep_state& state) { check_keep_state(state); },
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
  (void)take_first_due();
}

// Exactly those that were not sent, in order, as they were given to `send`.
void program::check_unsent(const unsent& told) {
  const auto is = due_.empty() ? expectation{} : due_.front();
  check_event(kind::unsent, told.peer, "unsent");
  require(told.messages.size() == is.back->size(), law::account, [&] {
    return std::to_string(told.messages.size()) + " messages come back, of "
           + std::to_string(is.back->size());
  });
  for (std::size_t index = 0; index < told.messages.size(); ++index) {
    const auto& sent = (*is.back)[index];
    const auto& back = told.messages[index];
    require(back.tag == sent.tag && back.opaque == sent.opaque
              && is_body_of(sent, back.body.bytes()),
            law::content, "a message comes back that is not the one that was sent");
  }
}

void program::check_keep_state(const keep_state& told) {
  const auto is = due_.empty() ? expectation{} : due_.front();
  check_event(kind::keep_state, told.peer, "keep_state");
  const auto& due = *is.state;
  require(told.endpoint == due.endpoint && told.status == due.status && told.before == due.before
            && told.reason.code == due.reason.code,
          law::events, [&] {
            return "keep_state tells " + told.endpoint + ' ' + std::string(to_string(told.status))
                   + " where " + due.endpoint + ' ' + std::string(to_string(due.status))
                   + " is due";
          });
  require(told.next_try_in <= due.next_try_in && told.next_try_in >= is.next_try_min, law::deadline,
          "a kept peer is to be dialed too early or too late");
}

// The first messages of this peer that it was not given yet; what it waits for besides may be of others
// only, and then is missing, too.
void program::check_gap(const messages_dropped& told) {
  require(drops() && wants_.policy != slow_policy::disconnect && told.messages > 0, law::events,
          "messages dropped for who drops none");
  auto next = due_.begin();
  const auto lost_before = lost_bytes_;
  for (auto left = told.messages; left > 0;) {
    require(next != due_.end() && next->what == kind::message, law::order,
            "a gap where no message is due, or that is too long");
    if (next->peer != told.peer) {
      ++next;
      continue;
    }
    lose(*next);
    due_bytes_ -= next->bytes;
    next = due_.erase(next);
    --left;
  }
  require(told.bytes == lost_bytes_ - lost_before, law::account, "a gap with another size");
}

void program::abandon() {
  for (const auto& each : due_) {
    require(!cut_off_ || each.what == kind::message, law::events, "cut off before an event");
    if (each.what != kind::message)
      continue;
    if (drops())
      each.over->sides[1 - each.from_side].drop(each.number);
    else
      each.over->sides[1 - each.from_side].leave(each.number);
  }
  due_.clear();
}

// Those up to the next event.
void program::miss_messages() {
  while (!due_.empty() && due_.front().what == kind::message) {
    lose(take_first_due());
    ++missed_;
  }
}

void program::check_counters(const subscription_counters& counted, const limits& bounds) {
  require(counted.messages_taken == taken_ && counted.messages_delivered == messages_, law::account,
          [&] {
            return "a subscription counts " + std::to_string(counted.messages_taken)
                   + " messages taken and " + std::to_string(counted.messages_delivered)
                   + " delivered; it were " + std::to_string(taken_) + " and "
                   + std::to_string(messages_);
          });
  require(counted.messages_taken
            == counted.messages_delivered + counted.messages_dropped + counted.messages_queued,
          law::account, [&] {
            return "taken " + std::to_string(counted.messages_taken) + ", delivered "
                   + std::to_string(counted.messages_delivered) + ", dropped "
                   + std::to_string(counted.messages_dropped) + ", queued "
                   + std::to_string(counted.messages_queued);
          });
  require(counted.bytes_dropped + counted.bytes_queued == due_bytes_ + lost_bytes_, law::account,
          "a subscription counts other bytes than were dropped and wait");
  require(counted.messages_dropped >= lost_ && counted.bytes_dropped >= lost_bytes_, law::account,
          "more is missing than was dropped");
  if (wants_.policy == slow_policy::block || wants_.policy == slow_policy::disconnect)
    require(counted.messages_dropped == 0, law::account, "dropped against the policy");
  if (drops()) {
    const auto messages = wants_.queue_messages_max > 0 ? wants_.queue_messages_max
                                                        : bounds.subscription_queue_messages_max;
    const auto bytes =
      wants_.queue_bytes_max > 0 ? wants_.queue_bytes_max : bounds.subscription_queue_bytes_max;
    require(counted.messages_queued <= 1
              || (counted.messages_queued <= messages && counted.bytes_queued <= bytes),
            law::bound, "more waits for a subscription than its bounds say");
  }
  // Who is not told of gaps sees by this that nothing comes any more.
  while (drops() && !wants_.events && counted.messages_queued == 0 && !due_.empty())
    lose(take_first_due());
}

void program::check_account(const expectation& is, const disconnected& told) {
  const auto& side = is.over->sides[1 - is.from_side];
  auto account = side.ended ? side.ended->account : send_account{};
  account.unsent -= side.carried; // held: they are sent yet
  require(side.ended && told.account == account && told.reason == side.ended->reason, law::account,
          [&] { return is.over->name() + ": disconnected tells another account"; });
  require(
    told.messages_received == side.received && told.messages_unclaimed == side.unclaimed_in_time,
    law::account, [&] {
      return is.over->name() + ": disconnected tells of " + std::to_string(told.messages_received)
             + " messages, " + std::to_string(told.messages_unclaimed) + " unclaimed; it were "
             + std::to_string(side.received) + " and " + std::to_string(side.unclaimed_in_time);
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

time_point program::next_answer() const noexcept {
  return questions.empty() || !how_.answers ? never : questions.front().due;
}

} // namespace postbus::testing
