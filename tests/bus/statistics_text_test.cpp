// Statistics as JSON and for Prometheus: well-formed whatever the texts hold, and every name documented.
#include "postbus/bus/statistics.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <regex>
#include <set>
#include <sstream>

using namespace postbus;
using namespace std::chrono_literals;

namespace {

node_id id_of(unsigned byte) {
  node_id::bytes_type bytes;
  bytes.fill(static_cast<std::byte>(byte));
  return node_id(bytes);
}

/// A node that has some of everything.
node_statistics everything() {
  node_statistics out;
  out.id = id_of(1);
  out.total = {1, 2, 3, 18446744073709551615u};
  out.connections_opened = 5;
  out.pending_handshakes = 6;
  out.connections.push_back({.peer = id_of(2),
                             .address = "127.0.0.1:1",
                             .dialed = true,
                             .open_time = 1500ms,
                             .total = {10, 20, 30, 40},
                             .per_second = {0.5, 1e9, 1.25, 0},
                             .sent_idle_time = 250ms,
                             .received_idle_time = 2s,
                             .round_trip_time = 125us,
                             .messages_confirmed = 29,
                             .messages_waiting = 7,
                             .requests_open = 8});
  out.per_second = {0.5, 2, 0.25, 4};
  out.refusals.push_back({errc::rejected, blame::remote, 9});
  out.disconnects.push_back({errc::idle, blame::local, 10});
  out.drops.push_back({drop::unsent, errc::peer_lost, blame::remote, 11});
  out.refused.push_back({send_outcome::congested, 12});
  out.closed.push_back({.peer = id_of(3),
                        .address = "[::1]:2",
                        .dialed = false,
                        .reason = {errc::rejected, blame::local, "a \"quote\"\\\n\x01 and \xff"},
                        .account = {100, 99, 1},
                        .total = {1000, 2000, 100, 0},
                        .open_time = 1min,
                        .closed_time = 1h});
  return out;
}

std::set<std::string> found(const std::string& in, const std::string& pattern) {
  std::set<std::string> out;
  const std::regex what(pattern);
  for (std::sregex_iterator at(in.begin(), in.end(), what), end; at != end; ++at)
    out.insert((*at)[1]);
  return out;
}

std::string documentation() {
  std::ifstream file(POSTBUS_SOURCE_DIR "/docs/STATISTICS.md");
  std::ostringstream text;
  text << file.rdbuf();
  REQUIRE(!text.str().empty());
  return text.str();
}

} // namespace

TEST_CASE("statistics as JSON are exactly this") {
  const auto text = to_json(everything());
  CHECK(text
        == "{\"id\":\"01010101010101010101010101010101\",\"bytes_sent\":1,\"bytes_received\":2,"
           "\"messages_sent\":3,\"messages_received\":18446744073709551615,"
           "\"bytes_sent_per_second\":0.5,\"bytes_received_per_second\":2,"
           "\"messages_sent_per_second\":0.25,\"messages_received_per_second\":4,"
           "\"connections_opened\":5,\"pending_handshakes\":6,"
           "\"connections\":[{\"peer\":\"02020202020202020202020202020202\","
           "\"address\":\"127.0.0.1:1\",\"dialed\":true,\"open_time_seconds\":1.5,"
           "\"bytes_sent\":10,\"bytes_received\":20,\"messages_sent\":30,\"messages_received\":40,"
           "\"bytes_sent_per_second\":0.5,\"bytes_received_per_second\":1e+09,"
           "\"messages_sent_per_second\":1.25,\"messages_received_per_second\":0,"
           "\"sent_idle_time_seconds\":0.25,\"received_idle_time_seconds\":2,"
           "\"round_trip_time_seconds\":0.000125,\"messages_confirmed\":29,"
           "\"messages_waiting\":7,\"requests_open\":8}],"
           "\"refusals\":[{\"reason\":\"rejected\",\"blame\":\"remote\",\"count\":9}],"
           "\"disconnects\":[{\"reason\":\"idle\",\"blame\":\"local\",\"count\":10}],"
           "\"drops\":[{\"drop\":\"unsent\",\"reason\":\"peer_lost\",\"blame\":\"remote\","
           "\"messages\":11}],\"refused\":[{\"outcome\":\"congested\",\"messages\":12}],"
           "\"closed\":[{\"peer\":\"03030303030303030303030303030303\",\"address\":\"[::1]:2\","
           "\"dialed\":false,\"reason\":\"rejected\",\"blame\":\"local\","
           "\"detail\":\"a \\\"quote\\\"\\\\?? and ?\",\"open_time_seconds\":60,"
           "\"closed_time_seconds\":3600,\"bytes_sent\":1000,\"bytes_received\":2000,"
           "\"messages_sent\":100,\"messages_received\":0,\"messages_confirmed\":99,"
           "\"messages_unsent\":1}]}");
  CHECK(to_json({}).find("\"connections\":[]") != std::string::npos);
}

TEST_CASE("every line for Prometheus is help, type or a series, and each metric comes once") {
  const node_statistics nodes[] = {everything(), everything(), {}};
  std::istringstream lines(to_prometheus(std::span(nodes)));
  const std::regex head("# (HELP|TYPE) (postbus_[a-z_]+) ([^\\n\"\\\\]+)");
  const std::regex series("(postbus_[a-z_]+)\\{([a-z]+=\"[^\"\\\\\\n]*\"(,|(?=\\})))+\\} "
                          "[0-9][0-9.]*(e[+-][0-9]+)?");
  std::set<std::string> seen;
  std::string line, metric, type;
  std::size_t count = 0;
  while (std::getline(lines, line)) {
    CAPTURE(line);
    std::smatch parts;
    if (std::regex_match(line, parts, head)) {
      if (parts[1] == "HELP") {
        metric = parts[2];
        CHECK(seen.insert(metric).second);
      } else {
        CHECK(parts[2] == metric);
        type = parts[3];
        CHECK((type == "counter" || type == "gauge"));
        CHECK(metric.ends_with("_total") == (type == "counter"));
      }
      continue;
    }
    REQUIRE(std::regex_match(line, parts, series));
    CHECK(parts[1] == metric);
    ++count;
  }
  CHECK(seen.size() == 30);
  CHECK(count == 11 * 3 + 4 * 2 + 15 * 2);
}

TEST_CASE("only so many connections have series") {
  auto many = everything();
  for (unsigned number = 0; number < 1000; ++number)
    many.connections.emplace_back().peer = id_of(number % 256);
  const auto text = to_prometheus(many);
  const std::regex one("connection_requests_open\\{");
  const auto count = [&](const std::string& in) {
    return std::distance(std::sregex_iterator(in.begin(), in.end(), one), std::sregex_iterator());
  };
  CHECK(count(text) == 256);
  CHECK(count(to_prometheus(many, {.connections_max = 3})) == 3);
  CHECK(text.find("postbus_connections{node=\"01010101010101010101010101010101\"} 1001\n")
        != std::string::npos);
}

TEST_CASE("every metric and every JSON key is in docs/STATISTICS.md, and no other") {
  const auto doc = documentation();
  const auto metrics = found(to_prometheus(everything()), "# TYPE (postbus_[a-z_]+)");
  const auto documented = found(doc, "`(postbus_[a-z_]+)`");
  for (const auto& each : metrics)
    CHECK_MESSAGE(documented.contains(each), each);
  auto told = documented;
  told.erase("postbus_"); // the prefix itself
  for (const auto& each : told)
    CHECK_MESSAGE(metrics.contains(each), each);
  const auto words = found(doc, "`([a-z_]+)`");
  for (const auto& each : found(to_json(everything()), "\"([a-z_]+)\":"))
    CHECK_MESSAGE(words.contains(each), each);
}
