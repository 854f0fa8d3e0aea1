// expected_subscriber: one subscriber in a model of subscriptions: what it wants, what it must get next, and
// what it holds. Plain data with sums.
#pragma once

#include "postbus/bus/subscriptions.hpp"
#include "postbus/tests/fuzz/operations.hpp"

#include <deque>
#include <map>
#include <set>
#include <vector>

namespace postbus::fuzz {

class alarm : public bus::receipt {
public:
  bool take() noexcept { return std::exchange(rung_, false); }

private:
  void wake() noexcept override {
    law(!rung_, "one wake for each time it was wanted");
    rung_ = true;
  }
  bool rung_ = false;
};

/// One message, by its batch and its place in there, which is its tag, too.
struct message_name {
  std::uint64_t batch = 0;
  unsigned place = 0;
  [[nodiscard]] std::uint64_t bytes() const { return 16 + 8 * (place % 3); } // of its frame
  friend auto operator<=>(const message_name&, const message_name&) = default;
};

/// Something a subscriber must get.
struct item {
  enum class kind : std::uint8_t { message, event, question, gap, ended } what = kind::event;
  message_name message;
  std::uint64_t number = 0; // of an event; or messages dropped, in all
  std::map<node_id, std::pair<std::uint64_t, std::uint64_t>> lost; // messages, bytes
};

struct subscriber {
  bus::subscription_id id = 0;
  bus::subscription_options wants;
  alarm* slot = nullptr; // alive as long as `hold`
  bus::shared<bus::receipt> hold;
  std::deque<item> expected;
  std::deque<std::pair<std::uint64_t, batch>> batches; // in its hands, by delivery
  std::deque<std::pair<std::uint64_t, message>> messages;
  std::map<std::uint64_t, std::vector<message_name>> handed; // what each delivery brought
  std::uint64_t taken = 0, delivered = 0, dropped = 0, dropped_bytes = 0;

  [[nodiscard]] bool blocks() const { return wants.policy == slow_policy::block; }
  [[nodiscard]] bool takes(unsigned from, unsigned tag) const {
    return wants.messages && wants.filter.takes(id_of(from))
           && wants.filter.takes(static_cast<std::uint16_t>(tag));
  }
  [[nodiscard]] std::set<std::uint64_t> in_hand() const {
    std::set<std::uint64_t> numbers;
    for (const auto& [number, each] : batches)
      numbers.insert(number);
    for (const auto& [number, each] : messages)
      numbers.insert(number);
    return numbers;
  }
  [[nodiscard]] std::uint64_t waiting(item::kind what) const {
    return static_cast<std::uint64_t>(std::count_if(
      expected.begin(), expected.end(), [what](const item& each) { return each.what == what; }));
  }
  [[nodiscard]] std::uint64_t bytes_waiting() const {
    std::uint64_t sum = 0;
    for (const auto& each : expected)
      sum += each.what == item::kind::message ? each.message.bytes() : 0;
    return sum;
  }
  [[nodiscard]] bool awaits(const message_name& name) const {
    return std::any_of(expected.begin(), expected.end(), [&](const item& each) {
      return each.what == item::kind::message && each.message == name;
    });
  }
  [[nodiscard]] bool fits(const message_name& name) const {
    const auto count = waiting(item::kind::message);
    return count == 0
           || (count < wants.queue_messages_max
               && bytes_waiting() + name.bytes() <= wants.queue_bytes_max);
  }
};

} // namespace postbus::fuzz
