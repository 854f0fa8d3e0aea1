// listen: takes whatever is sent to an endpoint and writes it to stdout. A message is confirmed to its
// sender when it has been written. Answers the echo requests of `postbus ping`.
#include "postbus/tools/commands.hpp"
#include "postbus/tools/common.hpp"
#include "postbus/tools/events.hpp"
#include "postbus/tools/http.hpp"
#include "postbus/tools/output.hpp"
#include "postbus/tools/signals.hpp"
#include "postbus/tools/text.hpp"

#include <fmt/core.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <optional>

#include <unistd.h>

namespace tool {

namespace {

using namespace std::chrono_literals;

// For a node that should fail to say that it is closed, after its drain time.
constexpr auto close_margin = 10s;

class listening {
public:
  listening(const listen_options& how, const postbus::node& at)
    : how_(how), at_(at), inbox_(how.once ? at_.deciding_inbox() : at_.inbox()) {}

  exit_code run(const std::string& endpoint);

private:
  [[nodiscard]] exit_code serve();
  void tell_begin(const std::string& bound);
  void loop();
  void on(postbus::message message);
  void on(const postbus::node_event& event);
  void on_disconnected(const postbus::disconnected& over);
  void decide(const postbus::connection_request& asks);
  void tell(const std::string& text);
  void close(std::chrono::milliseconds drain);
  [[nodiscard]] bool is_overdue() const;
  void stop_if_asked();
  void write();

  const listen_options& how_;
  postbus::node at_;
  postbus::inbox inbox_;
  output out_{STDOUT_FILENO, [this] { stop_if_asked(); }};
  std::map<postbus::node_id, std::uint64_t> taken_; // messages of peers that are connected
  std::optional<std::chrono::steady_clock::time_point> close_deadline_; // once it is closing
  std::chrono::steady_clock::time_point accepted_until_; // when somebody was, the place is taken
  bool first_is_over_ = false;
  exit_code ends_ = exit_code::ok;
  std::optional<http_server> http_;
  std::string http_url_;
};

exit_code listening::run(const std::string& endpoint) {
  if (const auto served = serve(); served != exit_code::ok)
    return served;
  const auto bound = at_.listen(endpoint);
  if (!bound)
    return fail("listening on " + endpoint, bound.error());
  signals::drain_on_first();
  tell_begin(*bound);
  loop();
  if (how_.once && !first_is_over_ && ends_ == exit_code::ok) {
    complain("stopped before any peer had come and gone");
    ends_ = exit_code::failed;
  }
  return ends_;
}

exit_code listening::serve() {
  if (how_.http.empty())
    return exit_code::ok;
  const auto at = http_address(how_.http);
  if (!at)
    return fail("--http " + how_.http, at.error());
  auto url = http_.emplace(at_).start(*at);
  if (!url)
    return fail("serving statistics", url.error());
  http_url_ = *std::move(url);
  return exit_code::ok;
}

void listening::tell_begin(const std::string& bound) {
  if (how_.json)
    tell(json_line({{"event", "listening"}, {"endpoint", bound}, {"id", to_string(at_.id())}}));
  else
    tell(fmt::format("{:<13} {} as {}", "listening", bound, to_string(at_.id())));
  if (!http_url_.empty())
    tell(how_.json ? json_line({{"event", "serving"}, {"endpoint", http_url_}})
                   : fmt::format("{:<13} {}", "serving", http_url_));
  write();
}

// Takes what is there, then writes, then waits: so a message waits for no other to be written.
void listening::loop() {
  for (;;) {
    auto got = inbox_.next(0ms);
    if (!got && got.error() == postbus::errc::timeout) {
      write();
      stop_if_asked();
      got = inbox_.next(100ms);
    }
    if (got)
      std::visit([this](auto& what) { on(std::move(what)); }, *got);
    else if (got.error() != postbus::errc::timeout)
      break;
    else if (is_overdue()) {
      complain("the node did not close in time: what it still held was not written");
      ends_ = exit_code::failed;
      break;
    }
    if (out_.is_full())
      write();
    if (out_.failure() != 0)
      break;
  }
  write();
}

void listening::on(postbus::message message) {
  ++taken_[message.from()];
  if (message.tag() == echo_request_tag) {
    if (at_.send_bytes(message.from(), message.bytes(), {.tag = echo_reply_tag})
        != postbus::send_outcome::accepted)
      complain("an echo request was not answered: the way back is full or closed");
    return;
  }
  if (how_.raw)
    return out_.body(std::move(message));
  out_.line(how_.json ? json_of(message) : line_of(message));
  out_.keep(std::move(message));
}

void listening::on(const postbus::node_event& event) {
  if (const auto* asks = std::get_if<postbus::connection_request>(&event))
    return decide(*asks);
  if (const auto* open = std::get_if<postbus::connected>(&event))
    taken_[open->peer] = 0;
  tell(how_.json ? json_of(event) : line_of(event));
  if (const auto* over = std::get_if<postbus::disconnected>(&event))
    on_disconnected(*over);
}

// Lines for people and JSON go to stdout; beside raw bodies they go to stderr.
void listening::tell(const std::string& text) {
  if (!how_.raw)
    return out_.line(text);
  fmt::print(stderr, "{}\n", text);
  std::fflush(stderr);
}

void listening::on_disconnected(const postbus::disconnected& over) {
  write();
  const auto taken = taken_[over.peer];
  taken_.erase(over.peer);
  if (!is_ordinary(over.reason.code)) {
    ends_ = fail(fmt::format("the connection to {} was lost after {}", short_text(over.peer),
                             counted(taken, "message")),
                 over.reason);
  } else if (taken != over.messages_received) {
    complain(fmt::format("{} came from {}, but {} reached the output",
                         counted(over.messages_received, "message"), short_text(over.peer), taken));
    ends_ = exit_code::failed;
  }
  first_is_over_ = true;
  if (how_.once)
    close(how_.node.drain);
}

// With --once the first peer has the output for itself.
void listening::decide(const postbus::connection_request& asks) {
  // Who was accepted and is not connected by then will not be.
  const auto now = std::chrono::steady_clock::now();
  if (taken_.empty() && !first_is_over_ && now >= accepted_until_) {
    if (at_.accept(asks))
      accepted_until_ = now + postbus::limits{}.handshake_time_max;
  } else {
    at_.reject(asks, "this listener serves one peer, and has one");
  }
}

void listening::close(std::chrono::milliseconds drain) {
  if (close_deadline_)
    return;
  close_deadline_ = std::chrono::steady_clock::now() + drain + close_margin;
  begin_close(at_, drain);
}

bool listening::is_overdue() const {
  return close_deadline_ && std::chrono::steady_clock::now() > *close_deadline_;
}

void listening::stop_if_asked() {
  if (signals::stop_asked())
    close(how_.node.drain);
}

void listening::write() {
  if (out_.failure() != 0 || out_.flush())
    return;
  const auto why = out_.failure() == EPIPE ? std::string("whoever read it has closed it")
                                           : std::string(std::strerror(out_.failure()));
  complain(fmt::format(
    "writing to stdout: {}; the messages that were not written are not confirmed", why));
  ends_ = exit_code::failed;
  // While the messages are still held, so that nobody is told they were taken.
  (void)at_.close(0ms);
}

} // namespace

exit_code listen(const listen_options& how) {
  return with_node(how.node, [&](const std::string& endpoint, const postbus::node& at) {
    return listening(how, at).run(endpoint);
  });
}

} // namespace tool
