// world: programs that look at whom they dial, that ask other nodes, and handlers that answer soon, late, with a no, or never.
// What is held against them: each request is handed over once and answered once, with its own answer.
#include "postbus/tests/support/simulator/world.hpp"

#include <algorithm>

namespace postbus::testing {

using core = bus::node;

namespace {

// A handler's no has the size of the question as its code.
constexpr auto words_of_no = "this handler says no";

} // namespace

void world::handle(host& at, const host::manner_of_handler& how) {
  if (!at.core || at.finished)
    return;
  if (at.handler)
    require(at.core->remove_handler(*at.handler), law::requests, "a handler that is not known");
  at.handler = at.core->add_handler({});
  at.handling = how;
  seen_.count("handlers");
}

bool world::ask(host& from, const node_id& to, std::uint32_t bytes, duration within) {
  const sent_message content{bytes, static_cast<std::uint16_t>(bytes), true, choices_.next()};
  const auto deadline = within == duration::max() ? never : later(now_, within);
  bus::request what{0, payload::copy_of(std::span<const std::byte>(body_of(content))), content.tag,
                    true, deadline};
  const auto id = from.core->ask(to, std::move(what), now_);
  if (!id) {
    seen_.count("requests refused: " + std::string(to_string(id.error().code)));
    return false;
  }
  const auto link = from.links.find(to);
  host::question question{to, content, deadline, nullptr, now_};
  if (link != from.links.end())
    question.over = &link->second->record;
  require(from.questions.emplace(*id, question).second, law::requests, "a number given twice");
  seen_.count("requests");
  obey(from);
  return true;
}

void world::cancel_any(host& from) {
  if (from.questions.empty())
    return;
  const auto id = from.questions.begin()->first;
  require(from.core->cancel(id), law::requests, "a request that cannot be canceled");
  require(!from.core->cancel(id), law::requests, "a request that is canceled twice");
  from.questions.erase(id);
  seen_.count("requests canceled");
  obey(from);
}

void world::hand_over(host& at, core::hand_over_request& what) {
  require(at.handler == what.to, law::requests, "handed to a handler that is gone");
  const auto same = [&](const host::service& each) {
    return each.connection == what.connection && each.id == what.what.id;
  };
  require(std::none_of(at.services.begin(), at.services.end(), same), law::requests,
          "one request handed over twice");
  std::uint64_t open = 0;
  for (const auto& each : at.services)
    open += each.connection == what.connection ? 1 : 0;
  require(open < at.loosest.requests_in_flight_max, law::bound, "more requests than are taken");
  const auto& how = at.handling;
  const auto due = how.answers_after == duration::max() ? never : later(now_, how.answers_after);
  at.services.push_back({what.connection, what.what.id, what.what.body, due, what.what.deadline});
  seen_.count("requests handed over");
}

void world::call_off(host& at, const core::call_off_request& what) {
  const auto gone = std::erase_if(at.services, [&](const host::service& each) {
    return each.connection == what.connection && each.id == what.id;
  });
  require(gone == 1, law::requests, "called off what nobody has");
  at.core->let_go(what.connection, what.bytes);
  seen_.count("requests called off");
}

void world::look_at(host& at, const core::ask_dialer& what) {
  require(what.what.dialed && at.ends.contains(what.what.connection), law::dials,
          "a dial that is not there is to be looked at");
  const duration thinks[] = {duration::zero(), std::chrono::milliseconds(50),
                             std::chrono::seconds(4), duration::max()};
  at.looks.push_back({what.what.connection, later(now_, choices_.pick(thinks))});
  seen_.count("peers looked at");
}

time_point world::next_service(const host& at) {
  auto first = never;
  for (const auto& each : at.looks)
    first = std::min(first, each.due);
  for (const auto& each : at.services)
    first = std::min(first, each.due);
  return first;
}

void world::serve(host& at) {
  const auto look = std::find_if(at.looks.begin(), at.looks.end(),
                                 [&](const host::looked_at& each) { return each.due <= now_; });
  if (look != at.looks.end()) {
    const auto connection = look->connection;
    at.looks.erase(look);
    return answer(at, connection, choices_.chance(3, 4));
  }
  const auto due = std::find_if(at.services.begin(), at.services.end(),
                                [&](const host::service& each) { return each.due <= now_; });
  const auto what = *due;
  at.services.erase(due);
  const auto bytes = static_cast<std::uint32_t>(what.body.size());
  bus::request_answer answer;
  if (choices_.chance(1, 5))
    answer = bus::failure{errc::request_failed, bytes, words_of_no};
  else
    answer = bus::response{what.body, static_cast<std::uint16_t>(bytes), true};
  require(at.core->respond(what.connection, what.id, answer), law::requests,
          "an answer that nobody waits for");
  require(!at.core->respond(what.connection, what.id, answer), law::requests, "answered twice");
  seen_.count("requests answered");
  obey(at);
}

void world::take_reply(host& at, const core::answer_request& what) {
  const auto found = at.questions.find(what.id);
  require(found != at.questions.end(), law::requests, "an answer to no question");
  const auto is = found->second;
  at.questions.erase(found);
  if (!what.what) {
    const auto code = what.what.error().code;
    seen_.count("replies: " + std::string(to_string(code)));
    require(code != errc::timeout || now_ >= is.deadline || what.what.error().by == blame::remote,
            law::deadline, "a timeout before its time");
    return;
  }
  // A node that stood still is told late; another is told of the time that is over.
  require(at.resumed > is.asked || is.deadline == never || now_ <= later(is.deadline, slack),
          law::deadline, "an answer behind the deadline");
  if (is.over != nullptr && (is.over->spoiled || is.over->disturbed))
    return; // what the network changed is no program's answer
  if (what.what->failure) {
    seen_.count("replies: no");
    require(what.what->failure->code == is.content.bytes && what.what->failure->text == words_of_no,
            law::content, "another handler's no");
    return;
  }
  seen_.count("replies");
  require(what.what->tag == is.content.tag && what.what->opaque
            && is_body_of(is.content, what.what->body.bytes()),
          law::content, "another request's answer");
}

} // namespace postbus::testing
