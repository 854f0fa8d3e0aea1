// world: what a node tells its programs, and what it has to tell them: each thing is expected where it
// happens, and held against what comes.
#include "postbus/tests/support/simulator/world.hpp"

#include <algorithm>

namespace postbus::testing {

using core = bus::node;

void world::take_answer(host& at, const core::answer_dial& what) {
  if (bug_strikes(seeded_bug::answer_lost, 3))
    return;
  const auto times = bug_strikes(seeded_bug::answer_twice, 3) ? 2 : 1;
  for (int time = 0; time < times; ++time) {
    if (at.agreed.erase(what.connection) > 0)
      continue;
    const auto dial = at.dials.find(what.connection);
    require(dial != at.dials.end() && !dial->second->answer, law::dials,
            "an answer to a dial that was answered, or never made");
    dial->second->answer = what.peer;
    if (dial->second->kept != 0) {
      at.kept.dialed(dial->second->kept, what.peer);
      expect_changes(at);
    }
  }
  seen_.count(what.peer ? "dials answered with a peer" : "dials answered with an error");
}

void world::expect(host& at, const expectation& what) {
  for (auto& [id, who] : at.programs)
    who->expect(what);
}

void world::expect_message(host& at, const expectation& what) {
  const auto takers = std::count_if(at.programs.begin(), at.programs.end(),
                                    [&](const auto& each) { return each.second->takes(what); });
  what.over->sides[1 - what.from_side].arrive(what.number, static_cast<std::uint32_t>(takers));
  if (takers == 0 && at.anybody_takes())
    seen_.count("messages that no filter takes");
  expect(at, what);
}

void world::promise_closed(host& at) {
  if (at.closed_due || !at.core->is_closing() || at.core->connection_count() > 0)
    return;
  at.closed_due = true;
  expect(at, {.what = expectation::kind::closed, .peer = {}});
  for (auto& [id, who] : at.programs)
    who->unbounded();
}

void world::tell(host& at, bus::subscriptions::output& what) {
  const auto found = at.programs.find(what.to);
  if (found == at.programs.end())
    return;
  auto& who = *found->second;
  if (auto* messages = std::get_if<batch>(&what.what)) {
    seen_.count("batches told");
    seen_.count("messages told", messages->size());
    // Its connection is over already, and `disconnected` is the next that comes.
    const auto link = at.links.find(messages->from());
    if (link != at.links.end() && link->second->mine().ended && who.wants().events
        && bug_strikes(seeded_bug::message_after_end)) {
      kept_by_mistake_.push_back(std::move(*messages));
      return;
    }
    if (bug_strikes(seeded_bug::batch_twice, 20))
      who.told(*messages, now_);
    if (bug_strikes(seeded_bug::bound_ignored)) {
      who.stuck(true);
      who.slot()->add(0, 1); // as if it had let go of it
    }
    return who.told(std::move(*messages), now_);
  }
  const auto& event = std::get<node_event>(what.what);
  if (std::holds_alternative<messages_dropped>(event)
      || std::holds_alternative<subscription_ended>(event)) {
    who.told(event, now_);
    seen_.count(who.was_cut_off() ? "subscriptions cut off" : "gaps told");
    if (who.was_cut_off())
      at.programs.erase(found);
    return;
  }
  if (const auto* state = std::get_if<keep_state>(&event))
    seen_.count("keep_state " + std::string(to_string(state->status)));
  if (const auto* back = std::get_if<unsent>(&event))
    seen_.count("messages given back", back->messages.size());
  if (bug_strikes(seeded_bug::event_lost, 10))
    return;
  if (std::holds_alternative<keep_state>(event) && bug_strikes(seeded_bug::keep_event_twice, 3))
    who.told(event, now_);
  if (bug_strikes(seeded_bug::event_twice, 10))
    who.told(event, now_);
  const auto* down = std::get_if<disconnected>(&event);
  if (down != nullptr && bug_strikes(seeded_bug::wrong_account, 2)) {
    auto wrong = *down;
    ++wrong.account.confirmed;
    return who.told(wrong, now_);
  }
  who.told(event, now_);
  if (down != nullptr && settings_.bug == seeded_bug::message_after_end && who.wants().messages)
    for (auto& late : std::exchange(kept_by_mistake_, {}))
      who.told(std::move(late), now_);
}

} // namespace postbus::testing
