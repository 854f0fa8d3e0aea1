#include "postbus/tools/events.hpp"

#include "postbus/bus/overloaded.hpp"
#include "postbus/tools/text.hpp"

#include <fmt/core.h>

namespace tool {

namespace {

std::string line(std::string_view what, std::string_view text) {
  return fmt::format("{:<13} {}", what, text);
}

// What was sent is of interest only when there was something.
std::string account_text(const postbus::send_account& account) {
  if (account.sent == 0 && account.unsent == 0)
    return {};
  if (account.complete())
    return fmt::format(", {} sent and confirmed", account.sent);
  return fmt::format(", {} sent: {} confirmed, {} unconfirmed, {} unsent",
                     account.sent + account.unsent, account.confirmed, account.unconfirmed(),
                     account.unsent);
}

nlohmann::json reason_json(const postbus::error& why) {
  return {{"code", to_string(why.code)}, {"blame", to_string(why.by)}, {"detail", why.detail}};
}

} // namespace

bool is_ordinary(postbus::errc reason) noexcept {
  using postbus::errc;
  return reason == errc::closed || reason == errc::idle || reason == errc::shutting_down;
}

std::string line_of(const postbus::node_event& event) {
  return std::visit(
    postbus::bus::overloaded{
      [](const postbus::connection_request& asks) {
        return line("connection_request",
                    fmt::format("{} from {}", to_string(asks.peer), asks.address));
      },
      [](const postbus::connected& open) {
        return line("connected",
                    fmt::format("{}{}", to_string(open.peer), open.dialed ? "" : ", which dialed"));
      },
      [](const postbus::disconnected& over) {
        return line("disconnected", fmt::format("{} {}; {} received{}", to_string(over.peer),
                                                printable(to_string(over.reason)),
                                                counted(over.messages_received, "message"),
                                                account_text(over.account)));
      },
      [](const postbus::unsent& back) {
        return line("unsent", fmt::format("{} {}", to_string(back.peer),
                                          counted(back.messages.size(), "message")));
      },
      [](const postbus::keep_state& kept) {
        return line(
          "keep_state",
          fmt::format("{} {}{}{}", kept.endpoint, to_string(kept.status),
                      kept.peer ? fmt::format(" {}", to_string(kept.peer)) : std::string(),
                      kept.status == postbus::keep_status::connected
                        ? ""
                        : fmt::format(": {}", printable(to_string(kept.reason)))));
      },
      [](const postbus::messages_dropped& lost) {
        return line("dropped", fmt::format("{} of {}", counted(lost.messages, "message"),
                                           to_string(lost.peer)));
      },
      [](const postbus::subscription_ended& over) {
        return line("ended", fmt::format("{}; {} dropped", printable(to_string(over.reason)),
                                         counted(over.messages_dropped, "message")));
      },
      [](const postbus::closing&) { return std::string("closing"); },
      [](const postbus::closed&) { return std::string("closed"); },
    },
    event);
}

std::string line_of(const postbus::message& message) {
  const auto tag = message.tag() == 0 ? std::string() : fmt::format(", tag {}", message.tag());
  return line("message", fmt::format("{} {}{}: {}", short_text(message.from()),
                                     bytes_text(message.bytes().size()), tag,
                                     body_text(message.bytes(), message.is_opaque())));
}

std::string json_of(const postbus::node_event& event) {
  return json_line(std::visit(
    postbus::bus::overloaded{
      [](const postbus::connection_request& asks) -> nlohmann::json {
        return {{"event", "connection_request"},
                {"peer", to_string(asks.peer)},
                {"address", asks.address}};
      },
      [](const postbus::connected& open) -> nlohmann::json {
        return {{"event", "connected"}, {"peer", to_string(open.peer)}, {"dialed", open.dialed}};
      },
      [](const postbus::disconnected& over) -> nlohmann::json {
        return {{"event", "disconnected"},
                {"peer", to_string(over.peer)},
                {"reason", reason_json(over.reason)},
                {"received", over.messages_received},
                {"sent", over.account.sent},
                {"confirmed", over.account.confirmed},
                {"unsent", over.account.unsent}};
      },
      [](const postbus::unsent& back) -> nlohmann::json {
        return {
          {"event", "unsent"}, {"peer", to_string(back.peer)}, {"messages", back.messages.size()}};
      },
      [](const postbus::keep_state& kept) -> nlohmann::json {
        return {{"event", "keep_state"},
                {"endpoint", kept.endpoint},
                {"status", to_string(kept.status)},
                {"peer", to_string(kept.peer)},
                {"reason", reason_json(kept.reason)}};
      },
      [](const postbus::messages_dropped& lost) -> nlohmann::json {
        return {{"event", "messages_dropped"},
                {"peer", to_string(lost.peer)},
                {"messages", lost.messages},
                {"bytes", lost.bytes}};
      },
      [](const postbus::subscription_ended& over) -> nlohmann::json {
        return {{"event", "subscription_ended"},
                {"reason", reason_json(over.reason)},
                {"dropped", over.messages_dropped}};
      },
      [](const postbus::closing&) -> nlohmann::json {
        return {{"event", "closing"}};
      },
      [](const postbus::closed&) -> nlohmann::json {
        return {{"event", "closed"}};
      },
    },
    event));
}

std::string json_of(const postbus::message& message) {
  nlohmann::json made = {{"event", "message"},
                         {"from", to_string(message.from())},
                         {"tag", message.tag()},
                         {"bytes", message.bytes().size()}};
  if (!message.is_opaque())
    made["value"] = json_of_value(message.bytes());
  else if (is_utf8(message.text()))
    made["text"] = message.text();
  else
    made["hex"] = hex_text(message.text());
  return json_line(made);
}

} // namespace tool
