// ping: round trips through two nodes and their programs. Sends an echo request, waits for the echo
// reply, and so on. Only `postbus listen` answers.
#include "postbus/tools/commands.hpp"
#include "postbus/tools/common.hpp"
#include "postbus/tools/signals.hpp"
#include "postbus/tools/text.hpp"

#include "postbus/codecs/frame.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <vector>

namespace tool {

namespace {

using clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::size_t number_bytes = 8;

class pinging {
public:
  pinging(const ping_options& how, const postbus::node& from)
    : how_(how), from_(from), inbox_(from_.inbox()),
      body_(std::max<std::size_t>(how.size_bytes, number_bytes)) {}

  exit_code run(const std::string& endpoint);

private:
  void ping_once(const postbus::node_id& peer);
  [[nodiscard]] bool listen_until(clock::time_point deadline, std::optional<std::uint64_t> number);
  [[nodiscard]] exit_code report();
  [[nodiscard]] bool goes_on() const { return !over_ && !signals::stop_asked(); }

  const ping_options& how_;
  postbus::node from_;
  postbus::inbox inbox_;
  std::vector<std::byte> body_; // the number of the request, then zeros
  std::uint64_t asked_ = 0;
  std::vector<std::chrono::nanoseconds> times_;
  std::optional<postbus::disconnected> over_;
};

exit_code pinging::run(const std::string& endpoint) {
  const auto peer = from_.connect(endpoint, how_.timeout);
  if (!peer)
    return fail("connecting to " + endpoint, peer.error());
  signals::drain_on_first();
  fmt::print("connected to {} at {}\n", to_string(*peer), endpoint);
  std::fflush(stdout);
  auto next = clock::now();
  while (goes_on() && (how_.count == 0 || asked_ < how_.count)) {
    ping_once(*peer);
    next += how_.interval;
    if (asked_ != how_.count)
      (void)listen_until(next, std::nullopt);
  }
  const auto lost = over_;
  if (auto closed = from_.close(how_.node.drain); !closed)
    return fail("closing", closed.error());
  if (lost)
    fail("the connection is over", lost->reason);
  return report();
}

void pinging::ping_once(const postbus::node_id& peer) {
  const auto number = ++asked_;
  postbus::codecs::store(body_.data(), number);
  const auto begun = clock::now();
  const auto sent =
    from_.send_bytes(peer, body_, {.tag = echo_request_tag, .within = how_.timeout});
  if (sent == postbus::send_outcome::accepted && listen_until(begun + how_.timeout, number)) {
    times_.push_back(clock::now() - begun);
    if (!how_.quiet)
      fmt::print("{} from {}: number {}, {}\n", bytes_text(body_.size()), short_text(peer), number,
                 time_text(times_.back()));
  } else if (goes_on()) {
    fmt::print("number {}: no answer within {}\n", number, time_text(how_.timeout));
  }
  std::fflush(stdout);
}

// Takes what comes until `deadline`, or until the reply `number` is there, and says whether it is.
bool pinging::listen_until(clock::time_point deadline, std::optional<std::uint64_t> number) {
  for (auto left = deadline - clock::now(); left > 0ns && goes_on();
       left = deadline - clock::now()) {
    const auto got = inbox_.next(std::min<clock::duration>(left, 100ms));
    if (!got)
      continue;
    if (const auto* message = std::get_if<postbus::message>(&*got)) {
      const auto is_reply =
        message->tag() == echo_reply_tag && message->bytes().size() == body_.size();
      if (is_reply && number == postbus::codecs::load<std::uint64_t>(message->bytes().data()))
        return true;
    } else if (const auto* over =
                 std::get_if<postbus::disconnected>(&std::get<postbus::node_event>(*got))) {
      over_ = *over;
    }
  }
  return false;
}

exit_code pinging::report() {
  fmt::print("{} sent, {} answered\n", counted(asked_, "echo request"), times_.size());
  if (times_.empty()) {
    complain("no answer: only `postbus listen` answers `postbus ping`");
    return exit_code::failed;
  }
  std::sort(times_.begin(), times_.end());
  const auto at = [&](std::size_t percent) {
    // Of the times in order, the first that so many of a hundred do not exceed.
    const auto rank = (times_.size() * percent + 99) / 100;
    return time_text(times_[rank == 0 ? 0 : rank - 1]);
  };
  fmt::print("round trip: min {}, p50 {}, p99 {}, max {}\n", at(0), at(50), at(99), at(100));
  return times_.size() == asked_ && !over_ ? exit_code::ok : exit_code::failed;
}

} // namespace

exit_code ping(const ping_options& how) {
  return with_node(how.node, [&](const std::string& endpoint, const postbus::node& from) {
    return pinging(how, from).run(endpoint);
  });
}

} // namespace tool
