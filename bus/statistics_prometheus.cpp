// statistics_prometheus: the statistics of nodes in Prometheus' text format 0.0.4: each metric once, with
// its help and type, then its series. The names are those of docs/STATISTICS.md.
#include "postbus/bus/statistics.hpp"

#include <algorithm>
#include <charconv>

namespace postbus {

namespace {

using nodes = std::span<const node_statistics>;

/// One metric, with what a value of it is read from.
template <class Of>
struct metric {
  std::string_view name, type, help;
  void (*write_value)(std::string& out, const Of& of);
};

void write(std::string& out, std::uint64_t number) {
  char digits[32];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}
void write(std::string& out, double number) {
  char digits[32];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}
void write(std::string& out, duration span) {
  write(out, std::chrono::duration<double>(span).count());
}

constexpr metric<node_statistics> node_metrics[] = {
  {"bytes_sent_total", "counter", "Bytes sent over all connections, handshakes not counted",
   [](auto& out, const auto& of) { write(out, of.total.bytes_sent); }},
  {"bytes_received_total", "counter", "Bytes received over all connections, handshakes not counted",
   [](auto& out, const auto& of) { write(out, of.total.bytes_received); }},
  {"messages_sent_total", "counter", "Messages sent over all connections",
   [](auto& out, const auto& of) { write(out, of.total.messages_sent); }},
  {"messages_received_total", "counter", "Messages received over all connections",
   [](auto& out, const auto& of) { write(out, of.total.messages_received); }},
  {"bytes_sent_per_second", "gauge", "Bytes sent per second over the open connections, averaged",
   [](auto& out, const auto& of) { write(out, of.per_second.bytes_sent); }},
  {"bytes_received_per_second", "gauge",
   "Bytes received per second over the open connections, averaged",
   [](auto& out, const auto& of) { write(out, of.per_second.bytes_received); }},
  {"messages_sent_per_second", "gauge",
   "Messages sent per second over the open connections, averaged",
   [](auto& out, const auto& of) { write(out, of.per_second.messages_sent); }},
  {"messages_received_per_second", "gauge",
   "Messages received per second over the open connections, averaged",
   [](auto& out, const auto& of) { write(out, of.per_second.messages_received); }},
  {"connections", "gauge", "Connections that are open",
   [](auto& out, const auto& of) { write(out, std::uint64_t{of.connections.size()}); }},
  {"connections_opened_total", "counter", "Connections that were open at some time",
   [](auto& out, const auto& of) { write(out, of.connections_opened); }},
  {"pending_handshakes", "gauge", "Connections that are not open yet",
   [](auto& out, const auto& of) { write(out, of.pending_handshakes); }},
};

constexpr metric<connection_statistics> connection_metrics[] = {
  {"connection_open_time_seconds", "gauge", "How long the connection is open",
   [](auto& out, const auto& of) { write(out, of.open_time); }},
  {"connection_bytes_sent_total", "counter", "Bytes sent to the peer",
   [](auto& out, const auto& of) { write(out, of.total.bytes_sent); }},
  {"connection_bytes_received_total", "counter", "Bytes received from the peer",
   [](auto& out, const auto& of) { write(out, of.total.bytes_received); }},
  {"connection_messages_sent_total", "counter", "Messages sent to the peer",
   [](auto& out, const auto& of) { write(out, of.total.messages_sent); }},
  {"connection_messages_received_total", "counter", "Messages received from the peer",
   [](auto& out, const auto& of) { write(out, of.total.messages_received); }},
  {"connection_bytes_sent_per_second", "gauge", "Bytes sent per second, averaged",
   [](auto& out, const auto& of) { write(out, of.per_second.bytes_sent); }},
  {"connection_bytes_received_per_second", "gauge", "Bytes received per second, averaged",
   [](auto& out, const auto& of) { write(out, of.per_second.bytes_received); }},
  {"connection_messages_sent_per_second", "gauge", "Messages sent per second, averaged",
   [](auto& out, const auto& of) { write(out, of.per_second.messages_sent); }},
  {"connection_messages_received_per_second", "gauge", "Messages received per second, averaged",
   [](auto& out, const auto& of) { write(out, of.per_second.messages_received); }},
  {"connection_sent_idle_time_seconds", "gauge", "Since the last message was sent",
   [](auto& out, const auto& of) { write(out, of.sent_idle_time); }},
  {"connection_received_idle_time_seconds", "gauge", "Since the last message was received",
   [](auto& out, const auto& of) { write(out, of.received_idle_time); }},
  {"connection_round_trip_time_seconds", "gauge", "The round trip that was measured last",
   [](auto& out, const auto& of) { write(out, of.round_trip_time); }},
  {"connection_messages_confirmed_total", "counter", "Messages that the peer's program has taken",
   [](auto& out, const auto& of) { write(out, of.messages_confirmed); }},
  {"connection_messages_waiting", "gauge", "Messages accepted and not yet sent",
   [](auto& out, const auto& of) { write(out, of.messages_waiting); }},
  {"connection_requests_open", "gauge", "Requests that are not answered yet",
   [](auto& out, const auto& of) { write(out, of.requests_open); }},
};

void write_head(std::string& out, std::string_view name, std::string_view type,
                std::string_view help) {
  out.append("# HELP postbus_").append(name).append(" ").append(help).append("\n");
  out.append("# TYPE postbus_").append(name).append(" ").append(type).append("\n");
}

void write_label(std::string& out, std::string_view name, std::string_view value) {
  out.append(out.back() == '{' ? "" : ",").append(name).append("=\"");
  for (const auto character : value) {
    if (character == '"' || character == '\\')
      out += '\\';
    out += character == '\n' ? std::string_view("\\n") : std::string_view(&character, 1);
  }
  out += '"';
}

/// The beginning of a series, its labels still open.
void begin_series(std::string& out, std::string_view name, const node_statistics& of) {
  out.append("postbus_").append(name).append("{");
  write_label(out, "node", to_string(of.id));
}

template <class Value>
void end_series(std::string& out, const Value& value) {
  out += "} ";
  write(out, value);
  out += '\n';
}

void write_reasons(std::string& out, nodes of, std::string_view name, std::string_view help,
                   std::vector<reason_count> node_statistics::*counts) {
  write_head(out, name, "counter", help);
  for (const auto& node : of)
    for (const auto& each : node.*counts) {
      begin_series(out, name, node);
      write_label(out, "reason", to_string(each.reason));
      write_label(out, "blame", to_string(each.by));
      end_series(out, each.count);
    }
}

void write_drops(std::string& out, nodes of) {
  constexpr std::string_view name = "messages_dropped_total";
  write_head(out, name, "counter",
             "Messages that came to nothing, or of which nobody knows whether they did");
  for (const auto& node : of)
    for (const auto& each : node.drops) {
      begin_series(out, name, node);
      write_label(out, "drop", to_string(each.what));
      write_label(out, "reason", to_string(each.reason));
      write_label(out, "blame", to_string(each.by));
      end_series(out, each.messages);
    }
}

void write_refused(std::string& out, nodes of) {
  constexpr std::string_view name = "messages_refused_total";
  write_head(out, name, "counter", "Messages that were not taken from those who sent them");
  for (const auto& node : of)
    for (const auto& each : node.refused) {
      begin_series(out, name, node);
      write_label(out, "outcome", to_string(each.outcome));
      end_series(out, each.messages);
    }
}

} // namespace

std::string to_prometheus(const node_statistics& of, prometheus_options how) {
  return to_prometheus(nodes(&of, 1), how);
}

std::string to_prometheus(nodes of, prometheus_options how) {
  std::string out;
  for (const auto& metric : node_metrics) {
    write_head(out, metric.name, metric.type, metric.help);
    for (const auto& node : of) {
      begin_series(out, metric.name, node);
      out += "} ";
      metric.write_value(out, node);
      out += '\n';
    }
  }
  write_reasons(out, of, "refusals_total", "Connections that ended before they were open",
                &node_statistics::refusals);
  write_reasons(out, of, "disconnects_total", "Connections that were open and ended",
                &node_statistics::disconnects);
  write_drops(out, of);
  write_refused(out, of);
  for (const auto& metric : connection_metrics) {
    write_head(out, metric.name, metric.type, metric.help);
    for (const auto& node : of)
      for (const auto& each : std::span(node.connections)
                                .first(std::min(node.connections.size(), how.connections_max))) {
        begin_series(out, metric.name, node);
        write_label(out, "peer", to_string(each.peer));
        out += "} ";
        metric.write_value(out, each);
        out += '\n';
      }
  }
  return out;
}

} // namespace postbus
