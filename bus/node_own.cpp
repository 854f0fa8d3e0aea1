// node: messages that come back, from a node to itself and from a connection that could not send them.
// The rest of the class is in node.cpp.
#include "postbus/bus/node.hpp"

#include <algorithm>

namespace postbus::bus {

namespace {

// What is handed on before others on the loop have their turn.
constexpr std::uint64_t turn_bytes_max = std::uint64_t{256} << 10;

} // namespace

bool node::deliver_own(outbox& own) {
  // As to a peer, no credit is granted before the first subscriber.
  if (!subscriptions_.anybody_takes_messages())
    return false;
  const auto frames = loopback_.pull(own, window_share_, turn_bytes_max);
  if (!frames)
    return false;
  push_own(frames);
  return own.data_frames() > 0;
}

void node::deliver_all_own(outbox& own) {
  while (const auto frames = loopback_.pull(own, UINT64_MAX, turn_bytes_max))
    push_own(frames);
  own.close();
}

void node::push_own(const shared<received_frames>& frames) {
  const auto unclaimed = subscriptions_.push(options_.id, frames);
  own_unclaimed_ += unclaimed;
  ledger_.unclaimed(unclaimed);
}

node::own_account node::own() const noexcept {
  return {loopback_.frames(), loopback_.frames_released(), own_unclaimed_};
}

// Says how many messages.
std::uint64_t node::hand_back(const node_id& peer, const fifo<outgoing>& frames) {
  unsent back{peer, {}};
  const auto add = [&](const std::byte* head, payload body) {
    const auto header = codecs::load_header(head);
    if (header.kind == codecs::frame_kind::message)
      back.messages.push_back(
        {header.tag, (header.flags & codecs::frame_flag::opaque) != 0, std::move(body)});
  };
  for (std::size_t index = 0; index < frames.size(); ++index) {
    const auto& piece = frames[index];
    if (!piece.body.empty()) {
      add(piece.head, piece.body);
      continue;
    }
    for (std::size_t at = 0; at < piece.head_bytes;) {
      const auto* head = piece.head + at;
      const auto bytes = codecs::load<std::uint32_t>(head);
      add(head, payload(piece.owner, head + codecs::frame_header_bytes, bytes));
      at += codecs::frame_header_bytes + bytes;
    }
  }
  const auto messages = back.messages.size();
  if (messages > 0)
    subscriptions_.push(std::move(back));
  return messages;
}

} // namespace postbus::bus
