// good_client: a node that sends numbers to another, one after the other and all the time, while a test
// does its worst to that other node. In the end every number must have arrived, once and in order.
// Drive: good_client good(bounds); attack good.endpoint(); good.finish().
#pragma once

#include "postbus/postbus.hpp"
#include "postbus/tests/support/expect.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <thread>

namespace postbus::test {

class good_client {
public:
  /// `bounds` are what strangers meet at the node that is attacked; this client came before they held.
  explicit good_client(const limits& bounds = {})
    : pair_(bus_), bounded_(pair_.far.bounds(bounds)),
      reader_([this, inbox = pair_.far.inbox()]() mutable { read(inbox); }),
      writer_([this](const std::stop_token& enough) { write(enough); }) {
    CHECK(bounded_.has_value());
  }
  ~good_client() {
    if (writer_.joinable())
      finish();
  }

  /// The node that is attacked, and where it listens.
  [[nodiscard]] const node& attacked() const { return pair_.far; }
  [[nodiscard]] const std::string& endpoint() const { return pair_.endpoint; }
  /// The node that sends.
  [[nodiscard]] const node& client() const { return pair_.near; }
  [[nodiscard]] runtime& bus() { return bus_; }

  /// Stops, and checks that nothing was lost.
  void finish() {
    writer_.request_stop();
    writer_.join();
    reader_.join();
    CHECK(in_order_);
    CHECK(received_ == sent_);
    CHECK(sent_ >= least);
  }

  /// How often connections to the attacked node ended before they were open, for this reason. Waits until
  /// it is `at_least` times.
  [[nodiscard]] std::uint64_t refusals(errc reason, std::uint64_t at_least = 1) const {
    return count(&node_statistics::refusals, reason, at_least);
  }
  /// The same for connections that were open.
  [[nodiscard]] std::uint64_t disconnects(errc reason, std::uint64_t at_least = 1) const {
    return count(&node_statistics::disconnects, reason, at_least);
  }
  /// Waits until nobody is in a handshake any more.
  [[nodiscard]] bool nobody_pending() const {
    return eventually([&] {
      const auto told = attacked().statistics(patience);
      return told && told->pending_handshakes == 0;
    });
  }

private:
  static constexpr std::uint64_t least = 1000;

  void read(inbox& from) {
    for (;;) {
      const auto next = from.next(patience);
      if (!next)
        return;
      if (const auto* each = std::get_if<message>(&*next)) {
        if (each->from() == pair_.near.id())
          in_order_ = each->template as<std::uint64_t>().value_or(0) == received_++ && in_order_;
      } else if (const auto* end = std::get_if<disconnected>(&std::get<node_event>(*next))) {
        if (end->peer == pair_.near.id())
          return;
      }
    }
  }

  void write(const std::stop_token& enough) {
    auto out = pair_.near.to(pair_.far.id());
    auto outcome = send_outcome::accepted;
    while (outcome != send_outcome::closed && (!enough.stop_requested() || sent_ < least)) {
      outcome = out.send(sent_, {.within = patience});
      sent_ += outcome == send_outcome::accepted ? 1 : 0;
    }
    CHECK(outcome != send_outcome::closed);
    CHECK(pair_.near.close(patience).has_value());
  }

  std::uint64_t count(std::vector<reason_count> node_statistics::*in, errc reason,
                      std::uint64_t enough) const {
    std::uint64_t found = 0;
    (void)eventually([&] {
      found = 0;
      if (const auto told = attacked().statistics(patience))
        for (const auto& each : *told.*in)
          found += each.reason == reason ? each.count : 0;
      return found >= enough;
    });
    return found;
  }

  template <class Condition>
  static bool eventually(Condition holds) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!holds()) {
      if (std::chrono::steady_clock::now() >= deadline)
        return false;
      std::this_thread::yield();
    }
    return true;
  }

  runtime bus_;
  connected_pair pair_;
  result<void> bounded_;
  std::uint64_t sent_ = 0;
  std::uint64_t received_ = 0;
  bool in_order_ = true;
  std::jthread reader_;
  std::jthread writer_;
};

/// All in one: `attack(endpoint)` beside a good client.
template <class Attack>
void beside_a_good_client(const limits& bounds, Attack attack) {
  good_client good(bounds);
  attack(good.endpoint());
  good.finish();
}

} // namespace postbus::test
