// send: reads lines, or a file in pieces, and sends each as a message. Reads no faster than the peer
// takes, and ends when the peer has confirmed everything or it is known what it has not.
#include "postbus/tools/commands.hpp"
#include "postbus/tools/common.hpp"
#include "postbus/tools/input.hpp"
#include "postbus/tools/progress.hpp"
#include "postbus/tools/signals.hpp"
#include "postbus/tools/text.hpp"

#include "postbus/codecs/chunk_pool.hpp"

#include <fmt/core.h>

#include <cerrno>
#include <cstring>
#include <optional>

namespace tool {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t line_bytes_max = postbus::limits{}.frame_bytes_max;

class sending {
public:
  sending(const send_options& how, const postbus::node& from)
    : how_(how), from_(from), inbox_(from_.inbox()), input_(how.file) {}

  exit_code run(const std::string& endpoint);

private:
  /// Why no more is read.
  enum class ended : std::uint8_t {
    complete,    ///< All was sent.
    interrupted, ///< A signal came.
    lost,        ///< The connection is over.
    failed,      ///< The input cannot be read, or not be sent; it was said why.
  };

  [[nodiscard]] ended send_lines();
  [[nodiscard]] ended send_pieces();
  [[nodiscard]] std::optional<ended> after_reading(input::outcome outcome);
  template <class Body>
  [[nodiscard]] std::optional<ended> hand_over(const Body& body);
  [[nodiscard]] ended line_too_long() const;
  [[nodiscard]] ended too_large() const;
  void look(std::chrono::milliseconds within);
  void close();
  [[nodiscard]] exit_code report(ended how_it_ended);

  const send_options& how_;
  postbus::node from_;
  postbus::inbox inbox_;
  input input_;
  std::optional<postbus::sender> to_;
  std::optional<progress> progress_;
  std::optional<postbus::disconnected> over_;
  bool closed_ = false;
  std::uint64_t messages_ = 0; // accepted by the node
  std::uint64_t bytes_ = 0;
};

exit_code sending::run(const std::string& endpoint) {
  if (!input_.is_open()) {
    complain(fmt::format("opening {}: {}", how_.file, std::strerror(errno)));
    return exit_code::failed;
  }
  const auto peer = from_.connect(endpoint, how_.timeout);
  if (!peer)
    return fail("connecting to " + endpoint, peer.error());
  to_ = from_.to(*peer);
  signals::drain_on_first();
  progress_.emplace(input_.size_bytes(), how_.progress);
  const auto end = how_.chunk_bytes > 0 ? send_pieces() : send_lines();
  close();
  progress_->clear();
  return report(end);
}

sending::ended sending::send_lines() {
  line_cutter lines(line_bytes_max);
  for (;;) {
    while (const auto line = lines.next())
      if (const auto end = line->size() > line_bytes_max ? line_too_long() : hand_over(*line))
        return *end;
    if (lines.is_too_long())
      return line_too_long();
    std::size_t count = 0;
    const auto outcome = input_.read(lines.room(), count);
    lines.commit(count);
    if (outcome == input::outcome::end && !lines.rest().empty())
      if (const auto end = hand_over(lines.rest()))
        return *end;
    if (const auto end = after_reading(outcome))
      return *end;
  }
}

sending::ended sending::send_pieces() {
  const auto piece_bytes = static_cast<std::size_t>(how_.chunk_bytes);
  for (;;) {
    auto chunk = postbus::codecs::chunk_pool::take(piece_bytes);
    std::size_t filled = 0;
    std::optional<ended> end;
    while (filled < piece_bytes && !end) {
      std::size_t count = 0;
      const auto outcome = input_.read({chunk->data() + filled, piece_bytes - filled}, count);
      filled += count;
      end = after_reading(outcome);
    }
    if (filled > 0) {
      const auto* begin = chunk->data();
      if (const auto not_sent = hand_over(postbus::payload(std::move(chunk), begin, filled)))
        return *not_sent;
    }
    if (end)
      return *end;
  }
}

std::optional<sending::ended> sending::after_reading(input::outcome outcome) {
  look(0ms);
  progress_->show(messages_, bytes_, "sending");
  switch (outcome) {
  case input::outcome::bytes:
  case input::outcome::quiet:
    return over_ || closed_ ? std::optional(ended::lost) : std::nullopt;
  case input::outcome::end:
    return ended::complete;
  case input::outcome::stopped:
    return ended::interrupted;
  case input::outcome::failed:
    break;
  }
  complain(
    fmt::format("reading {}: {}", how_.file == "-" ? "stdin" : how_.file, std::strerror(errno)));
  return ended::failed;
}

// Waits for room, which is how the peer holds the reading back. Nothing when it was taken.
template <class Body>
std::optional<sending::ended> sending::hand_over(const Body& body) {
  using postbus::send_outcome;
  auto outcome = to_->send_bytes(body);
  while (outcome == send_outcome::congested) {
    look(0ms);
    progress_->show(messages_, bytes_, "waiting for the peer");
    if (signals::stop_asked())
      return ended::interrupted;
    outcome = to_->send_bytes(body, {.within = 100ms});
  }
  if (outcome == send_outcome::accepted) {
    ++messages_;
    bytes_ += body.size();
    return std::nullopt;
  }
  return outcome == send_outcome::closed ? ended::lost : too_large();
}

sending::ended sending::line_too_long() const {
  complain(
    fmt::format("line {} is longer than a message may be, {}: send the file in pieces with --chunk",
                messages_ + 1, bytes_text(line_bytes_max)));
  return ended::failed;
}

sending::ended sending::too_large() const {
  complain(fmt::format("message {} is larger than the peer takes: send smaller pieces with --chunk",
                       messages_ + 1));
  return ended::failed;
}

// Takes the events that are there. What the peer sends is of no interest, but must be taken.
void sending::look(std::chrono::milliseconds within) {
  for (;;) {
    const auto got = inbox_.next(within);
    if (!got) {
      closed_ = closed_ || got.error() != postbus::errc::timeout;
      return;
    }
    if (const auto* event = std::get_if<postbus::node_event>(&*got))
      if (const auto* over = std::get_if<postbus::disconnected>(event))
        over_ = *over;
    within = 0ms;
  }
}

// Ends when everything is confirmed, the drain time is over or the connection is lost; the margin is
// for a node that should fail to say so.
void sending::close() {
  begin_close(from_, how_.node.drain);
  const auto deadline = std::chrono::steady_clock::now() + how_.node.drain + 15s;
  while (!closed_ && std::chrono::steady_clock::now() < deadline) {
    look(100ms);
    progress_->show(messages_, bytes_, "waiting for the last confirmation");
  }
}

exit_code sending::report(ended how_it_ended) {
  if (!over_) {
    complain(
      fmt::format("{} sent, but nobody knows how many arrived: the node did not close in time",
                  counted(messages_, "message")));
    return exit_code::failed;
  }
  const auto& account = over_->account;
  const auto seconds = std::chrono::duration<double>(progress_->elapsed()).count();
  complain(fmt::format(
    "{} sent, {} confirmed ({} in {}, {}/s)", counted(messages_ - account.unsent, "message"),
    account.confirmed, bytes_text(bytes_), time_text(progress_->elapsed()),
    bytes_text(static_cast<std::uint64_t>(static_cast<double>(bytes_) / seconds))));
  const auto all_confirmed = account.confirmed == messages_;
  if (how_it_ended == ended::complete && all_confirmed)
    return exit_code::ok;
  if (how_it_ended == ended::lost || !all_confirmed)
    fail("the connection is over", over_->reason);
  if (!all_confirmed)
    complain(
      fmt::format("{} confirmed, {} unconfirmed (nobody knows whether they arrived), {} unsent",
                  account.confirmed, account.unconfirmed(), account.unsent));
  if (how_it_ended == ended::interrupted)
    complain("interrupted: the input was not read to its end");
  complain(fmt::format(
    "what is to be sent again begins at {} {}", how_.chunk_bytes > 0 ? "byte" : "line",
    how_.chunk_bytes > 0 ? account.confirmed * how_.chunk_bytes : account.confirmed + 1));
  return exit_code::failed;
}

} // namespace

exit_code send(const send_options& how) {
  return with_node(how.node, [&](const std::string& endpoint, const postbus::node& from) {
    return sending(how, from).run(endpoint);
  });
}

} // namespace tool
