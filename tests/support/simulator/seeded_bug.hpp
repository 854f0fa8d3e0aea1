// seeded_bug: mistakes that the simulator makes on purpose in the place of the actors and the network, to
// show that its laws notice them.
#pragma once

#include "postbus/tests/support/simulator/violation.hpp"

#include <array>
#include <cstdint>
#include <string_view>

namespace postbus::testing {

enum class seeded_bug : std::uint8_t {
  none,
  lose_credit,       ///< Credit frames vanish on the way.
  lose_message,      ///< A message vanishes on the way.
  swap_messages,     ///< Two messages change places.
  repeat_message,    ///< A message arrives twice.
  event_twice,       ///< A subscriber is told an event twice.
  event_lost,        ///< A subscriber is not told an event.
  message_after_end, ///< A batch comes behind `disconnected`.
  batch_twice,       ///< A subscriber is given a batch twice.
  wrong_account,     ///< `disconnected` says one message more.
  answer_twice,      ///< A dial is answered twice.
  answer_lost,       ///< A dial is never answered.
  tick_lost,         ///< A session is not ticked at its deadline.
  wake_lost,         ///< A sender does not wake the connection.
  receipt_lost,      ///< Nobody hears that messages were let go.
  batch_kept,        ///< A batch is never let go of.
  outbox_kept,       ///< What a dead connection had queued is never let go of.
  order_lost,        ///< A connection does not hear that it is to close.
  held_lost,         ///< Messages that were held are not sent over the next connection.
  held_twice,        ///< They are sent twice.
  given_back_lost,   ///< Nobody is told of what was held and is not sent.
  kept_dial_lost,    ///< A kept peer is not dialed when it is time.
  keep_event_twice,  ///< A change of a kept peer is told twice.
  own_lost,          ///< A message from a node to itself vanishes.
  bound_ignored,     ///< A subscriber is handed batches beyond its bound.
};

/// A seeded bug, its name for the command line, and the laws of which it must break one.
struct seeded_bug_info {
  seeded_bug which;
  std::string_view name;
  std::array<law, 3> breaks; ///< The last may be repeated.
};

inline constexpr seeded_bug_info seeded_bugs[] = {
  {seeded_bug::lose_credit, "lose_credit", {law::progress, law::progress, law::progress}},
  {seeded_bug::lose_message, "lose_message", {law::order, law::account, law::content}},
  {seeded_bug::swap_messages, "swap_messages", {law::order, law::content, law::content}},
  {seeded_bug::repeat_message, "repeat_message", {law::order, law::content, law::protocol}},
  {seeded_bug::event_twice, "event_twice", {law::events, law::events, law::dials}},
  {seeded_bug::event_lost, "event_lost", {law::events, law::progress, law::progress}},
  {seeded_bug::message_after_end, "message_after_end", {law::events, law::account, law::account}},
  {seeded_bug::batch_twice, "batch_twice", {law::order, law::events, law::events}},
  {seeded_bug::wrong_account, "wrong_account", {law::account, law::account, law::account}},
  {seeded_bug::answer_twice, "answer_twice", {law::dials, law::dials, law::dials}},
  {seeded_bug::answer_lost, "answer_lost", {law::dials, law::dials, law::dials}},
  {seeded_bug::tick_lost, "tick_lost", {law::deadline, law::deadline, law::deadline}},
  {seeded_bug::wake_lost, "wake_lost", {law::progress, law::progress, law::progress}},
  {seeded_bug::receipt_lost, "receipt_lost", {law::progress, law::deadline, law::account}},
  {seeded_bug::batch_kept, "batch_kept", {law::leak, law::progress, law::ending}},
  {seeded_bug::outbox_kept, "outbox_kept", {law::leak, law::leak, law::leak}},
  {seeded_bug::order_lost, "order_lost", {law::deadline, law::ending, law::survivor}},
  {seeded_bug::held_lost, "held_lost", {law::order, law::account, law::content}},
  {seeded_bug::held_twice, "held_twice", {law::account, law::order, law::content}},
  {seeded_bug::given_back_lost, "given_back_lost", {law::account, law::account, law::account}},
  {seeded_bug::kept_dial_lost, "kept_dial_lost", {law::deadline, law::deadline, law::deadline}},
  {seeded_bug::keep_event_twice, "keep_event_twice", {law::events, law::events, law::events}},
  {seeded_bug::own_lost, "own_lost", {law::account, law::account, law::account}},
  {seeded_bug::bound_ignored, "bound_ignored", {law::bound, law::bound, law::bound}},
};

} // namespace postbus::testing
