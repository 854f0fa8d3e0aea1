#include "postbus/tools/statistics_text.hpp"

#include "postbus/tools/text.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <vector>

namespace tool {

namespace {

using nlohmann::json;

constexpr std::size_t closed_shown_max = 10;

std::string rate_text(double per_second) {
  return bytes_text(static_cast<std::uint64_t>(per_second)) + "/s";
}

std::string span_text(const json& seconds) {
  const auto whole = static_cast<long long>(seconds.get<double>());
  if (whole < 100)
    return fmt::format("{} s", whole);
  if (whole < 100 * 60)
    return fmt::format("{} min", whole / 60);
  return whole < 100 * 3600 ? fmt::format("{} h", whole / 3600)
                            : fmt::format("{} d", whole / 86400);
}

std::string short_id(const json& id) {
  return printable(id.get<std::string>().substr(0, 8));
}

std::string reason_text(const json& of) {
  return fmt::format("{} ({})", printable(of.at("reason").get<std::string>()),
                     printable(of.at("blame").get<std::string>()));
}

double busy(const json& of) {
  return of.at("bytes_sent_per_second").get<double>()
         + of.at("bytes_received_per_second").get<double>();
}

void add_node(std::vector<std::string>& to, const json& of) {
  to.push_back(fmt::format("node {}", printable(of.at("id").get<std::string>())));
  to.push_back(fmt::format("connections  {} open, {} opened, {} pending",
                           of.at("connections").size(),
                           of.at("connections_opened").get<std::uint64_t>(),
                           of.at("pending_handshakes").get<std::uint64_t>()));
  for (const std::string way : {"sent", "received"})
    to.push_back(fmt::format("{:<12} {}, {}", way,
                             counted(of.at("messages_" + way).get<std::uint64_t>(), "message"),
                             bytes_text(of.at("bytes_" + way).get<std::uint64_t>())));
}

void add_connections(std::vector<std::string>& to, const json& of) {
  std::vector<const json*> connections;
  for (const auto& each : of.at("connections"))
    connections.push_back(&each);
  if (connections.empty())
    return;
  std::stable_sort(connections.begin(), connections.end(),
                   [](const json* left, const json* right) { return busy(*left) > busy(*right); });
  to.emplace_back();
  constexpr auto row = "{:<8}  {:<22} {:>7} {:>13} {:>10} {:>13} {:>10} {:>9} {:>8} {:>8}";
  to.push_back(fmt::format(row, "peer", "address", "open", "sent", "messages", "received",
                           "messages", "trip", "idle", "waiting"));
  for (const auto* each : connections) {
    const auto messages = [&](const char* way) {
      return fmt::format("{:.0f}/s", each->at(way).get<double>());
    };
    const std::chrono::duration<double> trip(each->at("round_trip_time_seconds").get<double>());
    const auto idle = std::min(each->at("sent_idle_time_seconds").get<double>(),
                               each->at("received_idle_time_seconds").get<double>());
    const auto address = printable(each->at("address").get<std::string>());
    to.push_back(fmt::format(row, short_id(each->at("peer")),
                             (each->at("dialed").get<bool>() ? "> " : "< ") + address,
                             span_text(each->at("open_time_seconds")),
                             rate_text(each->at("bytes_sent_per_second").get<double>()),
                             messages("messages_sent_per_second"),
                             rate_text(each->at("bytes_received_per_second").get<double>()),
                             messages("messages_received_per_second"),
                             time_text(std::chrono::duration_cast<std::chrono::nanoseconds>(trip)),
                             span_text(idle), each->at("messages_waiting").get<std::uint64_t>()));
  }
}

void add_counts(std::vector<std::string>& to, const json& of, const char* list,
                const char* number) {
  for (const auto& each : of.at(list)) {
    const auto drop =
      each.contains("drop") ? printable(each.at("drop").get<std::string>()) + ", " : std::string();
    to.push_back(fmt::format("{:<12} {} {}{}", list, each.at(number).get<std::uint64_t>(), drop,
                             reason_text(each)));
  }
}

void add_closed(std::vector<std::string>& to, const json& of) {
  const auto& closed = of.at("closed");
  const auto count = std::min(closed.size(), closed_shown_max);
  for (std::size_t index = 0; index < count; ++index) {
    const auto& each = closed.at(closed.size() - 1 - index);
    const auto detail = printable(each.at("detail").get<std::string>());
    to.push_back(fmt::format(
      "{:<12} {} {}, {} ago after {}: {}{}", "closed", short_id(each.at("peer")),
      printable(each.at("address").get<std::string>()), span_text(each.at("closed_time_seconds")),
      span_text(each.at("open_time_seconds")), reason_text(each),
      detail.empty() ? "" : ": " + detail));
  }
}

} // namespace

postbus::result<std::string> page_of(std::string_view text, std::size_t lines_max) {
  std::vector<std::string> lines;
  try {
    const auto of = json::parse(text);
    add_node(lines, of);
    add_connections(lines, of);
    lines.emplace_back();
    add_counts(lines, of, "refusals", "count");
    add_counts(lines, of, "disconnects", "count");
    add_counts(lines, of, "drops", "messages");
    for (const auto& each : of.at("refused"))
      lines.push_back(fmt::format("{:<12} {} {}", "refused",
                                  each.at("messages").get<std::uint64_t>(),
                                  printable(each.at("outcome").get<std::string>())));
    add_closed(lines, of);
    while (lines.back().empty())
      lines.pop_back();
  } catch (const json::exception&) {
    return postbus::error{postbus::errc::wrong_type, postbus::blame::remote,
                          "what came is not the statistics of a node"};
  }
  std::string out;
  for (std::size_t index = 0; index < std::min(lines.size(), lines_max); ++index)
    out.append(lines[index]).append("\n");
  return out;
}

} // namespace tool
