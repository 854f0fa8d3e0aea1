// demo: two nodes in one process show what Postbus does: they connect over TCP on loopback, tell their
// events, exchange values and then as many messages as go. What is printed is what was received.
#include "postbus/tools/burst.hpp"
#include "postbus/tools/commands.hpp"
#include "postbus/tools/common.hpp"
#include "postbus/tools/events.hpp"
#include "postbus/tools/text.hpp"

#include <fmt/core.h>

#include <cstdio>
#include <map>
#include <vector>

namespace tool {

/// A value as users define theirs.
struct reading {
  std::string station;
  double celsius = 0;
  std::vector<std::uint32_t> hourly_millimetres;
  MSGPACK_DEFINE_MAP(station, celsius, hourly_millimetres)
};

namespace {

using namespace std::chrono_literals;

constexpr auto patience = 5s;

void say(std::string_view who, std::string_view text) {
  fmt::print("  {:<6} {}\n", who, text);
  std::fflush(stdout);
}

bool failed(std::string_view step, const postbus::error& why) {
  (void)fail(step, why);
  return false;
}

void headline(std::string_view text) {
  fmt::print("\n{}\n", text);
}

/// 2000000 as "2,000,000".
std::string with_commas(std::uint64_t number) {
  auto text = std::to_string(number);
  for (auto at = static_cast<std::ptrdiff_t>(text.size()) - 3; at > 0; at -= 3)
    text.insert(static_cast<std::size_t>(at), 1, ',');
  return text;
}

class demonstration {
public:
  explicit demonstration(const demo_options& how) : how_(how) {}
  exit_code run();

private:
  [[nodiscard]] bool introduce();
  [[nodiscard]] bool exchange();
  [[nodiscard]] bool measure();
  [[nodiscard]] bool measure(const burst& what);
  [[nodiscard]] bool part();
  [[nodiscard]] bool tell_event(std::string_view who, postbus::inbox& inbox);
  template <class T, class Show>
  [[nodiscard]] bool carry(std::string_view what, const T& value, Show show);

  const demo_options& how_;
  postbus::runtime bus_;
  postbus::node alice_ = bus_.spawn_node();
  postbus::node bob_ = bus_.spawn_node();
  postbus::inbox to_alice_ = alice_.inbox();
  postbus::inbox to_bob_ = bob_.inbox();
};

exit_code demonstration::run() {
  fmt::print("Two nodes in this process, which know each other by id and talk over TCP.\n");
  const auto whole = introduce() && exchange() && measure() && part();
  fmt::print("\n{}\n", whole ? "Everything that was sent arrived, once and in order."
                             : "Something went wrong: see above.");
  return whole ? exit_code::ok : exit_code::failed;
}

// -- the steps ------------------------------------------------------------------------

bool demonstration::introduce() {
  headline("They meet:");
  say("alice", "is " + to_string(alice_.id()));
  say("bob", "is " + to_string(bob_.id()));
  const auto at = alice_.listen("tcp://127.0.0.1:0");
  if (!at)
    return failed("listening", at.error());
  say("alice", "listens on " + *at);
  const auto peer = bob_.connect(*at, patience);
  if (!peer)
    return failed("connecting", peer.error());
  return tell_event("bob", to_bob_) && tell_event("alice", to_alice_);
}

bool demonstration::exchange() {
  headline("Bob sends values, Alice decodes them:");
  const reading sent{"De Bilt", 11.5, {0, 2, 14, 3}};
  const std::map<std::string, int> stock = {{"apples", 12}, {"pears", 7}};
  return carry("a struct", sent,
               [](const reading& got) {
                 std::uint32_t sum = 0;
                 for (const auto each : got.hourly_millimetres)
                   sum += each;
                 return fmt::format("{}, {} degrees, {} mm of rain", got.station, got.celsius, sum);
               })
         && carry("a map", stock,
                  [](const std::map<std::string, int>& got) {
                    return fmt::format("{} apples and {} pears", got.at("apples"), got.at("pears"));
                  })
         && carry("a text", std::string("Hello from Bob"),
                  [](const std::string& got) { return got; });
}

bool demonstration::measure() {
  headline("As many as go:");
  return measure({how_.small_messages, 64}) && measure({how_.large_messages, 1u << 20});
}

bool demonstration::measure(const burst& what) {
  const auto done = tool::run(what, bob_.to(alice_.id()), to_alice_);
  const auto seconds = std::chrono::duration<double>(done.time).count();
  const auto rate = static_cast<double>(done.received.messages) / seconds;
  say("alice", fmt::format("got {:>9} x {:<7} in {:>7}: {:>10} messages/s, {:>9}/s",
                           with_commas(done.received.messages), bytes_text(what.size_bytes),
                           time_text(done.time), with_commas(static_cast<std::uint64_t>(rate)),
                           bytes_text(static_cast<std::uint64_t>(
                             static_cast<double>(done.received.bytes) / seconds))));
  if (done.is_whole() && done.received.messages == what.messages)
    return true;
  complain(fmt::format("LOST: {} to send, {} sent, {} received, checksums {}", what.messages,
                       done.sent.messages, done.received.messages,
                       done.sent.checksum == done.received.checksum ? "equal" : "differ"));
  return false;
}

bool demonstration::part() {
  headline("They part, everything delivered:");
  if (const auto closed = bob_.close(patience); !closed)
    return failed("closing bob", closed.error());
  if (const auto closed = alice_.close(patience); !closed)
    return failed("closing alice", closed.error());
  for (int count = 0; count < 3; ++count) // closing, disconnected, closed
    if (!tell_event("bob", to_bob_))
      return false;
  for (int count = 0; count < 3; ++count)
    if (!tell_event("alice", to_alice_))
      return false;
  return true;
}

// -- and their parts -----------------------------------------------------------------

// An event is as it should be unless it tells of an end out of order or of messages that are not confirmed.
bool demonstration::tell_event(std::string_view who, postbus::inbox& inbox) {
  const auto event = inbox.next_event(patience);
  if (!event)
    return failed(fmt::format("waiting for an event of {}", who), event.error());
  say(who, line_of(*event));
  const auto* over = std::get_if<postbus::disconnected>(&*event);
  return over == nullptr || (is_ordinary(over->reason.code) && over->account.complete());
}

template <class T, class Show>
bool demonstration::carry(std::string_view what, const T& value, Show show) {
  if (const auto outcome = bob_.send(alice_.id(), value, {.within = patience});
      outcome != postbus::send_outcome::accepted) {
    complain(fmt::format("sending {}: {}", what, to_string(outcome)));
    return false;
  }
  const auto message = to_alice_.next_message(patience);
  if (!message)
    return failed(fmt::format("waiting for {}", what), message.error());
  const auto got = message->as<T>();
  if (!got)
    return failed(fmt::format("decoding {}", what), got.error());
  say("alice", fmt::format("got {:<9} {:<37} from {}", what, show(*got),
                           body_text(message->bytes(), false)));
  return true;
}

} // namespace

exit_code demo(const demo_options& how) {
  return demonstration(how).run();
}

} // namespace tool
