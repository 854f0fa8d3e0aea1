// subscriptions_world: subscriptions beside a model of what each subscriber must get, one message after the
// other. Breaks a law when something else comes, comes too early or late, or is charged wrongly.
// Drive: any operation, in any order; then finish(). As whoever drives the core does, a subscription is
// settled when, and only when, its receipt woke.
#pragma once

#include "postbus/codecs/chunk_pool.hpp"
#include "postbus/tests/fuzz/expected_subscriber.hpp"

#include <deque>
#include <map>
#include <set>
#include <vector>

namespace postbus::fuzz {

class subscriptions_world {
public:
  static constexpr std::uint64_t events_max = 6;

  explicit subscriptions_world(std::uint32_t in_flight_max)
    : in_flight_max_(in_flight_max), tested_(bounds(in_flight_max)) {}

  void add(bus::subscription_options wants) {
    if (all_.size() == 5)
      return;
    auto& made = all_.emplace_back();
    made.slot = new alarm;
    made.hold = bus::shared<bus::receipt>::adopt(made.slot);
    made.id = tested_.add(wants, made.hold);
    made.wants = std::move(wants);
    law(made.id > last_id_, "an id is never used twice");
    last_id_ = made.id;
    drain();
  }

  void remove(unsigned which) {
    if (all_.empty())
      return law(!tested_.remove(last_id_ + 1), "nobody of that name");
    which %= static_cast<unsigned>(all_.size());
    lose_waiting(all_[which]);
    const auto id = all_[which].id;
    law(tested_.remove(id), "it was there");
    law(!tested_.remove(id), "it is removed once");
    law(!tested_.counters(id), "and counts no more");
    bury(all_.begin() + which);
    drain();
  }

  void push_messages(unsigned from, unsigned count) {
    const auto number = senders_.size() + 1;
    senders_.push_back(from);
    std::uint64_t unclaimed = 0;
    auto frames = make_frames(number, from, count);
    std::vector<std::vector<message_name>> theirs(all_.size());
    for (unsigned place = 0; place < count; ++place) {
      const message_name name{number, place};
      bool taken = false;
      for (std::size_t index = 0; index < all_.size(); ++index)
        if (all_[index].takes(from, place)) {
          theirs[index].push_back(name);
          taken = true;
          if (!all_[index].blocks())
            given_.insert(name);
        }
      unclaimed += taken ? 0 : 1;
    }
    for (std::size_t index = 0; index < all_.size(); ++index)
      expect(all_[index], theirs[index]);
    law(tested_.push(id_of(from), frames) == unclaimed, "push says how many nobody takes");
    frames = {};
    drain();
  }

  void push_event(unsigned from, bool question) {
    const auto number = ++events_;
    for (auto& each : all_) {
      if (!(question ? each.wants.decides : each.wants.events)
          || (!question && !each.wants.filter.takes(id_of(from))))
        continue;
      if (each.waiting(item::kind::event) + each.waiting(item::kind::question) >= events_max)
        cut_off(each);
      else
        each.expected.push_back(
          {question ? item::kind::question : item::kind::event, {}, number, {}});
    }
    if (question)
      tested_.push(connection_request{number, id_of(from), {}, {}});
    else
      tested_.push(disconnected{id_of(from), {}, {number, 0, 0}, 0, 0});
    drain();
  }

  // Its oldest batch, or the newest; the first message of a batch may be kept alone.
  void let_go(unsigned which, unsigned how) {
    auto* at = holder(which);
    if (at == nullptr)
      return;
    if (how == 0 && !at->batches.empty())
      at->batches.pop_front();
    else if (how == 1 && !at->batches.empty())
      at->batches.pop_back();
    else if (how == 2 && !at->messages.empty())
      at->messages.pop_front();
    else if (how == 3 && !at->batches.empty())
      keep_first(*at);
    drain();
  }

  void hand_on_all() {
    in_flight_max_ = UINT32_MAX;
    tested_.hand_on_all();
    drain();
    for (const auto& each : all_)
      law(each.expected.empty(), "at the end everything is handed on");
  }

  void finish() {
    while (std::any_of(all_.begin(), all_.end(), [](const auto& each) {
      return !each.batches.empty() || !each.messages.empty();
    })) {
      for (auto& each : all_) {
        each.batches.clear();
        each.messages.clear();
      }
      drain();
    }
    for (const auto& each : all_)
      law(each.expected.empty(), "who lets go gets everything");
    gone_.clear();
    drain();
    law(charge_->frames() == pushed_, "everything was let go");
  }

private:
  static limits bounds(std::uint32_t in_flight_max) {
    limits made;
    made.batches_in_flight_max = in_flight_max;
    made.subscription_events_max = events_max;
    return made;
  }

  bus::shared<bus::received_frames> make_frames(std::uint64_t number, unsigned from,
                                                unsigned count) {
    auto frames = bus::shared<bus::received_frames>::adopt(new bus::received_frames(charge_));
    auto chunk = codecs::chunk_pool::take(std::size_t{count} * 48);
    auto* at = chunk->data();
    for (unsigned place = 0; place < count; ++place) {
      const auto bytes = message_name{number, place}.bytes();
      const auto length = static_cast<std::uint32_t>(bytes - codecs::frame_header_bytes);
      codecs::store_header(at, {length, codecs::frame_kind::message, codecs::frame_flag::opaque,
                                static_cast<std::uint16_t>(place)});
      std::fill_n(at + codecs::frame_header_bytes, length, static_cast<std::byte>(number));
      codecs::store<std::uint64_t>(at + codecs::frame_header_bytes, number);
      frames->append(*chunk, at, at + bytes);
      at += bytes + (number + place) % 3 / 2 * 16; // here and there a control frame lay between
      ++pushed_;
      pushed_bytes_ += bytes;
    }
    frames->claimed.connection = from;
    return frames;
  }

  // -- what must come ---------------------------------------------------------------

  void expect(subscriber& of, const std::vector<message_name>& names) {
    if (names.empty())
      return;
    of.taken += names.size();
    const auto at_once = of.expected.empty() && of.in_hand().size() < in_flight_max_;
    for (const auto& name : names) {
      of.expected.push_back({item::kind::message, name, 0, {}});
      if (of.blocks() || at_once)
        continue;
      of.expected.pop_back();
      const auto fits = of.fits(name);
      if (of.wants.policy == slow_policy::disconnect && !fits)
        return cut_off(of);
      of.expected.push_back({item::kind::message, name, 0, {}});
      if (of.wants.policy == slow_policy::drop_newest && !fits)
        drop(of, std::prev(of.expected.end()));
      while (of.wants.policy == slow_policy::drop_oldest && of.waiting(item::kind::message) > 1
             && (of.waiting(item::kind::message) > of.wants.queue_messages_max
                 || of.bytes_waiting() > of.wants.queue_bytes_max))
        drop(of, std::find_if(of.expected.begin(), of.expected.end(),
                              [](const item& each) { return each.what == item::kind::message; }));
    }
  }

  // In its place is a gap, one with those beside it.
  void drop(subscriber& of, const std::deque<item>::iterator& which) {
    const auto name = which->message;
    ++of.dropped;
    of.dropped_bytes += name.bytes();
    auto place = static_cast<std::size_t>(which - of.expected.begin());
    of.expected.erase(which);
    if (!of.wants.events)
      return;
    const auto is_gap = [&](std::size_t index) {
      return index < of.expected.size() && of.expected[index].what == item::kind::gap;
    };
    if (place > 0 && is_gap(place - 1))
      --place;
    else if (!is_gap(place))
      of.expected.insert(of.expected.begin() + static_cast<std::ptrdiff_t>(place),
                         {item::kind::gap, {}, 0, {}});
    auto& [messages, bytes] = of.expected[place].lost[id_of(senders_[name.batch - 1])];
    ++messages;
    bytes += name.bytes();
  }

  void lose_waiting(const subscriber& of) {
    if (of.blocks())
      for (const auto& each : of.expected)
        if (each.what == item::kind::message && !given_.contains(each.message)
            && std::none_of(all_.begin(), all_.end(), [&](const subscriber& other) {
                 return &other != &of && other.awaits(each.message);
               }))
          ++lost_[senders_[each.message.batch - 1]];
  }

  void cut_off(subscriber& of) {
    lose_waiting(of);
    std::erase_if(of.expected, [](const item& each) {
      return each.what == item::kind::message || each.what == item::kind::gap;
    });
    of.expected.push_back({item::kind::ended, {}, of.taken - of.delivered, {}});
  }

  void bury(const std::deque<subscriber>::iterator& who) {
    gone_.push_back(std::move(*who)); // its hands may still be full
    gone_.back().expected.clear();
    all_.erase(who);
  }

  // -- what comes -------------------------------------------------------------------

  void drain() {
    for (bool more = true; more;) {
      while (auto out = tested_.next())
        take(*out);
      more = false;
      for (auto& each : all_)
        if (each.slot->take()) {
          tested_.settle(each.id);
          more = true;
        }
    }
    check();
  }

  void take(bus::subscriptions::output& out) {
    const auto found =
      std::find_if(all_.begin(), all_.end(), [&](const auto& each) { return each.id == out.to; });
    law(found != all_.end(), "an output for a subscriber that is there");
    law(!found->expected.empty(), "nothing comes that was not pushed for it");
    if (auto* messages = std::get_if<batch>(&out.what))
      return take(*found, std::move(*messages));
    const auto& event = std::get<node_event>(out.what);
    if (const auto* lost = std::get_if<messages_dropped>(&event))
      return take(*found, *lost);
    const auto next = found->expected.front();
    found->expected.pop_front();
    if (const auto* question = std::get_if<connection_request>(&event)) {
      law(next.what == item::kind::question && next.number == question->connection,
          "every question comes once and in order");
    } else if (const auto* over = std::get_if<subscription_ended>(&event)) {
      law(next.what == item::kind::ended && next.number == over->messages_dropped,
          "it ends where it is too slow, and is told what was dropped");
      law(over->reason.code == errc::subscriber_too_slow && found->expected.empty(), "as the last");
      bury(found);
    } else {
      law(next.what == item::kind::event
            && next.number == std::get<disconnected>(event).account.sent,
          "every event comes once and in order");
    }
  }

  void take(subscriber& by, batch messages) {
    law(!messages.empty(), "a batch is not empty");
    const auto number = by.handed.size();
    auto& brought = by.handed[number];
    std::uint64_t bytes = 0;
    for (const auto& each : messages) {
      const message_name name{codecs::load<std::uint64_t>(each.bytes().data()), each.tag()};
      law(!by.expected.empty() && by.expected.front().what == item::kind::message
            && by.expected.front().message == name,
          "every message comes in order");
      law(each.from() == id_of(senders_[name.batch - 1]), "from its sender");
      law(each.bytes().size() + codecs::frame_header_bytes == name.bytes(), "with its bytes");
      law(name.place % 3 == 0 || each.bytes().back() == static_cast<std::byte>(name.batch),
          "to the last");
      by.expected.pop_front();
      brought.push_back(name);
      bytes += name.bytes();
      if (by.blocks()) {
        law(brought.front().batch == name.batch, "what holds credit comes as it was read");
        given_.insert(name);
      }
    }
    law(!by.blocks() || by.expected.empty() || by.expected.front().what != item::kind::message
          || by.expected.front().message.batch != brought.front().batch,
        "and whole");
    law(messages.size() == brought.size() && messages.size_bytes() == bytes, "as many as it says");
    by.delivered += brought.size();
    by.batches.emplace_back(number, std::move(messages));
    law(by.in_hand().size() <= in_flight_max_, "no more batches in hand than the bound");
  }

  static void take(subscriber& by, const messages_dropped& told) {
    auto& next = by.expected.front();
    law(next.what == item::kind::gap, "a gap is told where it is");
    law(by.wants.events, "to who hears events");
    const auto& [peer, lost] = *next.lost.begin();
    law(told.peer == peer && told.messages == lost.first && told.bytes == lost.second,
        "once, with all that is missing");
    next.lost.erase(next.lost.begin());
    if (next.lost.empty())
      by.expected.pop_front();
  }

  subscriber* holder(unsigned which) {
    const auto count = all_.size() + gone_.size();
    if (count == 0)
      return nullptr;
    which %= static_cast<unsigned>(count);
    return which < all_.size() ? &all_[which] : &gone_[which - all_.size()];
  }

  static void keep_first(subscriber& of) {
    auto& [number, from] = of.batches.front();
    const auto tag = (*from.begin()).tag();
    of.messages.emplace_back(number, from.take_first());
    law(of.messages.back().second.tag() == tag, "a message of its batch");
    if (from.empty())
      of.batches.pop_front();
  }

  void check_charge() const {
    constexpr std::size_t places = 8; // of a batch, at most
    std::vector<bool> held(senders_.size() * places);
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;
    const auto hold = [&](const message_name& name) {
      const auto at = (name.batch - 1) * places + name.place;
      if (held[at])
        return;
      held[at] = true;
      ++messages;
      bytes += name.bytes();
    };
    for (const auto* list : {&all_, &gone_})
      for (const auto& each : *list) {
        if (!each.blocks())
          continue;
        for (const auto number : each.in_hand())
          for (const auto& name : each.handed.at(number))
            hold(name);
        for (const auto& waits : each.expected)
          if (waits.what == item::kind::message)
            hold(waits.message);
      }
    law(charge_->frames() == pushed_ - messages, "charged is what somebody holds");
    law(charge_->bytes() == pushed_bytes_ - bytes, "with all its bytes");
  }

  void check() {
    bool takes = false;
    bool decides = false;
    for (const auto& each : all_) {
      takes = takes || each.wants.messages;
      decides = decides || each.wants.decides;
      if (!each.expected.empty()) {
        const auto first = each.expected.front().what;
        law(first == item::kind::message || first == item::kind::gap,
            "an event waits for no batch but those before it");
        law(each.in_hand().size() == in_flight_max_,
            "nothing waits while there is room in its hands");
      }
      const subscription_counters counted{each.taken,
                                          each.delivered,
                                          each.dropped,
                                          each.dropped_bytes,
                                          each.waiting(item::kind::message),
                                          each.bytes_waiting()};
      law(tested_.counters(each.id) == counted, "the counters are right");
      law(each.taken == each.delivered + each.dropped + each.waiting(item::kind::message),
          "and balance");
    }
    law(tested_.anybody_takes_messages() == takes, "anybody_takes_messages");
    law(tested_.anybody_decides() == decides, "anybody_decides");
    law(tested_.take_dropped() == lost_, "what nobody had or awaits is counted as dropped, once");
    lost_.clear();
    check_charge();
  }

  std::uint32_t in_flight_max_;
  bus::shared<bus::receipt> charge_ = bus::shared<bus::receipt>::adopt(new bus::receipt);
  bus::subscriptions tested_;
  std::deque<subscriber> all_;
  std::deque<subscriber> gone_;   // removed, with what they still hold
  std::vector<unsigned> senders_; // of each batch: the peer, and its connection
  std::set<message_name> given_;
  std::map<std::uint64_t, std::uint64_t> lost_;
  std::uint64_t pushed_ = 0;
  std::uint64_t pushed_bytes_ = 0;
  std::uint64_t events_ = 0;
  bus::subscription_id last_id_ = 0;
};

} // namespace postbus::fuzz
