// subscribed: subscriptions alone, with messages and events pushed into them, and in words what each
// subscriber was told of that. Holds every batch it is given until the test lets go of it.
#pragma once

#include "postbus/bus/subscriptions.hpp"
#include "postbus/codecs/chunk_pool.hpp"
#include "postbus/tests/support/node_world.hpp"

#include <map>
#include <string>
#include <vector>

namespace postbus::test {

inline limits one_in_hand() {
  limits bounds;
  bounds.batches_in_flight_max = 1;
  return bounds;
}

/// Subscriptions, and what came of them in words: a batch as "[sender tag tag]", a gap as "-messages/bytes".
struct subscriptions_world {
  explicit subscriptions_world(const limits& bounds = one_in_hand()) : tested(bounds) {}

  bus::subscription_id add(const bus::subscription_options& wants) {
    auto slot = bus::shared<bus::receipt>::adopt(new bus::receipt);
    const auto id = tested.add(wants, slot);
    slots.emplace(id, slot);
    return id;
  }

  /// Messages from `peer`, one with each tag, all with bodies of `bytes`. Says how many nobody takes.
  std::uint64_t push(unsigned peer, const std::vector<std::uint16_t>& tags,
                     std::uint32_t bytes = 8) {
    auto frames = bus::shared<bus::received_frames>::adopt(new bus::received_frames(charge));
    const auto size = codecs::frame_header_bytes + bytes;
    const auto chunk = codecs::chunk_pool::take(size * tags.size());
    auto* at = chunk->data();
    for (const auto tag : tags) {
      codecs::store_header(at, {bytes, codecs::frame_kind::message, 0, tag});
      frames->append(*chunk, at, at + size);
      at += size;
    }
    frames->claimed.connection = peer;
    pushed += tags.size();
    const auto unclaimed = tested.push(id_of(peer), frames);
    frames = {};
    drain();
    return unclaimed;
  }

  void push(const node_event& event) {
    tested.push(event);
    drain();
  }

  void let_go(bus::subscription_id id) {
    held[id].clear();
    tested.settle(id);
    drain();
  }

  std::string take(bus::subscription_id id) { return std::exchange(told[id], {}); }
  [[nodiscard]] std::uint64_t charged() const { return pushed - charge->frames(); }

  void drain() {
    while (auto out = tested.next()) {
      auto& words = told[out->to];
      words += words.empty() ? "" : " ";
      if (auto* messages = std::get_if<batch>(&out->what)) {
        words.append("[").append(std::to_string(static_cast<int>(messages->from().bytes()[0])));
        for (const auto& each : *messages)
          words.append(" ").append(std::to_string(each.tag()));
        words += "]";
        held[out->to].push_back(std::move(*messages));
      } else {
        words += word(std::get<node_event>(out->what));
      }
    }
  }

  static std::string word(const node_event& event) {
    if (const auto* lost = std::get_if<messages_dropped>(&event))
      return std::to_string(lost->messages).insert(0, "-") + "/" + std::to_string(lost->bytes);
    if (const auto* over = std::get_if<subscription_ended>(&event))
      return std::string("ended(").append(to_string(over->reason.code)) + ", "
             + std::to_string(over->messages_dropped) + ")";
    if (std::holds_alternative<connection_request>(event))
      return "request";
    if (std::holds_alternative<unsent>(event))
      return "unsent";
    return std::holds_alternative<connected>(event)      ? "connected"
           : std::holds_alternative<disconnected>(event) ? "disconnected"
           : std::holds_alternative<closing>(event)      ? "closing"
                                                         : "closed";
  }

  bus::shared<bus::receipt> charge = bus::shared<bus::receipt>::adopt(new bus::receipt);
  bus::subscriptions tested;
  std::map<bus::subscription_id, bus::shared<bus::receipt>> slots;
  std::map<bus::subscription_id, std::vector<batch>> held;
  std::map<bus::subscription_id, std::string> told;
  std::uint64_t pushed = 0;
};

inline unsent back(unsigned peer) {
  return {id_of(peer), {}};
}

inline connected up(unsigned peer) {
  return {id_of(peer), {}, false};
}

} // namespace postbus::test
