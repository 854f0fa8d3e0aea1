// statistics_json: a node's statistics as JSON. A writer of the few forms that are needed, so that the
// library wants no JSON library; the keys are those of docs/STATISTICS.md.
#include "postbus/bus/control.hpp"
#include "postbus/bus/statistics.hpp"

#include <charconv>
#include <concepts>

namespace postbus {

namespace {

/// One object, written to the end of a text. Keys are plain words.
class object {
public:
  explicit object(std::string& into) : out_(into) { out_ += '{'; }
  object(const object&) = delete;
  object& operator=(const object&) = delete;
  ~object() { out_ += '}'; }

  void add(std::string_view key, std::string_view text) {
    begin(key);
    out_ += '"';
    // Without control characters, and UTF-8 whoever wrote it.
    for (const auto character : bus::clean_text(text, text.size())) {
      if (character == '"' || character == '\\')
        out_ += '\\';
      out_ += character;
    }
    out_ += '"';
  }
  void add(std::string_view key, std::same_as<bool> auto yes) {
    begin(key);
    out_ += yes ? "true" : "false";
  }
  void add(std::string_view key, std::uint64_t number) { add_number(key, number); }
  void add(std::string_view key, double number) { add_number(key, number); }
  void add(std::string_view key, duration span) {
    add_number(std::string(key) + "_seconds", std::chrono::duration<double>(span).count());
  }
  void add(std::string_view key, const node_id& id) { add(key, to_string(id)); }

  template <class Items, class Write>
  void add_list(std::string_view key, const Items& items, Write write) {
    begin(key);
    out_ += '[';
    auto first = true;
    for (const auto& each : items) {
      if (!std::exchange(first, false))
        out_ += ',';
      object to(out_);
      write(to, each);
    }
    out_ += ']';
  }

private:
  void begin(std::string_view key) {
    if (!std::exchange(first_, false))
      out_ += ',';
    out_.append("\"").append(key).append("\":");
  }
  template <class Number>
  void add_number(std::string_view key, Number number) {
    begin(key);
    char digits[32];
    out_.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
  }

  std::string& out_;
  bool first_ = true;
};

void add_traffic(object& to, const traffic& what) {
  to.add("bytes_sent", what.bytes_sent);
  to.add("bytes_received", what.bytes_received);
  to.add("messages_sent", what.messages_sent);
  to.add("messages_received", what.messages_received);
}

void add_rates(object& to, const traffic_rates& what) {
  to.add("bytes_sent_per_second", what.bytes_sent);
  to.add("bytes_received_per_second", what.bytes_received);
  to.add("messages_sent_per_second", what.messages_sent);
  to.add("messages_received_per_second", what.messages_received);
}

void add_connection(object& to, const connection_statistics& what) {
  to.add("peer", what.peer);
  to.add("address", what.address);
  to.add("dialed", what.dialed);
  to.add("open_time", what.open_time);
  add_traffic(to, what.total);
  add_rates(to, what.per_second);
  to.add("sent_idle_time", what.sent_idle_time);
  to.add("received_idle_time", what.received_idle_time);
  to.add("round_trip_time", what.round_trip_time);
  to.add("messages_confirmed", what.messages_confirmed);
  to.add("messages_waiting", what.messages_waiting);
  to.add("requests_open", what.requests_open);
}

void add_reason(object& to, errc reason, blame by) {
  to.add("reason", to_string(reason));
  to.add("blame", to_string(by));
}

void add_closed(object& to, const closed_connection& what) {
  to.add("peer", what.peer);
  to.add("address", what.address);
  to.add("dialed", what.dialed);
  add_reason(to, what.reason.code, what.reason.by);
  to.add("detail", what.reason.detail);
  to.add("open_time", what.open_time);
  to.add("closed_time", what.closed_time);
  add_traffic(to, what.total);
  to.add("messages_confirmed", what.account.confirmed);
  to.add("messages_unsent", what.account.unsent);
}

} // namespace

std::string to_json(const node_statistics& of) {
  std::string out;
  {
    object to(out);
    to.add("id", of.id);
    add_traffic(to, of.total);
    add_rates(to, of.per_second);
    to.add("connections_opened", of.connections_opened);
    to.add("pending_handshakes", of.pending_handshakes);
    to.add_list("connections", of.connections, add_connection);
    const auto add_count = [](object& in, const reason_count& each) {
      add_reason(in, each.reason, each.by);
      in.add("count", each.count);
    };
    to.add_list("refusals", of.refusals, add_count);
    to.add_list("disconnects", of.disconnects, add_count);
    to.add_list("drops", of.drops, [](object& in, const drop_count& each) {
      in.add("drop", to_string(each.what));
      add_reason(in, each.reason, each.by);
      in.add("messages", each.messages);
    });
    to.add_list("refused", of.refused, [](object& in, const refused_messages& each) {
      in.add("outcome", to_string(each.outcome));
      in.add("messages", each.messages);
    });
    to.add_list("closed", of.closed, add_closed);
  }
  return out;
}

} // namespace postbus
