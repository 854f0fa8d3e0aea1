// typed: messages by their type instead of their tag, for types that are bound to one (POSTBUS_MESSAGE).
// What does not decode is never lost silently: an inbox answers an error, an actor's handler is called.
#pragma once

#include "postbus/actors/node.hpp"
#include "postbus/bus/overloaded.hpp"
#include "postbus/codecs/message_type.hpp"

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace postbus {

/// A message and the value in it.
template <tagged T>
struct received {
  /// As it came: while it lives its bytes do, to which views in `value` refer, and count against the
  /// peer's window.
  message whole;
  T value;

  /// Who sent it.
  [[nodiscard]] const node_id& from() const noexcept { return whole.from(); }
};

namespace actors {

/// The value in `what`, which carries the tag of a `T`; an error says whose message it is.
template <tagged T>
[[nodiscard]] result<T> value_of(const message& what) {
  if (what.is_opaque())
    return error{errc::wrong_type, blame::remote,
                 "bytes instead of a value, from " + to_string(what.from())};
  auto value = what.as<T>();
  if (value)
    return value;
  auto why = std::move(value).error();
  why.by = blame::remote;
  why.detail += (why.detail.empty() ? "from " : ", from ") + to_string(what.from());
  return why;
}

} // namespace actors

/// An inbox of messages of one type.
template <tagged T>
class typed_inbox {
public:
  /// From now on. The filter's tags are set here; events, if asked for, are passed over by next().
  explicit typed_inbox(const node& at, inbox_options how = {.events = false})
    : inbox_(at.inbox(with_tag(std::move(how)))) {}

  /// The next one. What does not decode is answered with `wrong_type`, `truncated_value` and the like,
  /// blame `remote`, and counted; `timeout` when none comes within `within`; or the inbox's end.
  [[nodiscard]] result<received<T>> next(duration within) {
    auto came = inbox_.next_message(within);
    if (!came)
      return came.error();
    return decode(std::move(*came));
  }
  /// The next one if it waits, else nothing. Never blocks; may be called on a loop.
  [[nodiscard]] result<std::optional<received<T>>> try_next() {
    for (;;) {
      auto came = inbox_.try_next();
      if (!came)
        return came.error();
      if (!*came)
        return std::optional<received<T>>{};
      if (auto* what = std::get_if<message>(&**came)) {
        auto value = decode(std::move(*what));
        if (!value)
          return value.error();
        return std::optional(std::move(*value));
      }
    }
  }

  /// Messages that did not decode.
  [[nodiscard]] std::uint64_t undecodable() const noexcept { return undecodable_; }
  /// The inbox itself: for its descriptor, counters and events.
  [[nodiscard]] inbox& untyped() noexcept { return inbox_; }

private:
  static inbox_options with_tag(inbox_options how) {
    how.filter.tags = {tag_range(tag_of<T>())};
    return how;
  }
  result<received<T>> decode(message whole) {
    auto value = actors::value_of<T>(whole);
    if (!value) {
      ++undecodable_;
      return std::move(value).error();
    }
    return received<T>{std::move(whole), std::move(*value)};
  }

  inbox inbox_;
  std::uint64_t undecodable_ = 0;
};

/// A handler of `message` for an actor's behavior, which calls the one of `handlers` that takes the type:
/// `[](const node_id& from, chat& value)`, one for each of `Ts`; and `[](const message& what, const error&
/// why)` for what does not decode, or has another tag (`wrong_type`): a peer can send either at any time.
///   node.subscribe<chat>(self);
///   return {on_message<chat>([=](const node_id& from, const chat& said) { … },
///                            [=](const message& bad, const error& why) { … })};
template <tagged... Ts, class... Handlers>
[[nodiscard]] auto on_message(Handlers... handlers) {
  static_assert(sizeof...(Ts) > 0, "say of which types");
  using all = bus::overloaded<Handlers...>;
  static_assert((std::invocable<all&, const node_id&, Ts&> && ...),
                "a handler (const node_id& from, T& value) for each type");
  static_assert(std::invocable<all&, const message&, const error&>,
                "a handler (const message& what, const error& why) for what does not decode");
  return [call = all{std::move(handlers)...}](const message& what) mutable {
    const auto call_if = [&]<class T>(std::type_identity<T>) {
      if (what.tag() != tag_of<T>())
        return false;
      if (auto value = actors::value_of<T>(what))
        call(what.from(), *value);
      else
        call(what, value.error());
      return true;
    };
    if (!(call_if(std::type_identity<Ts>{}) || ...))
      call(what, error{errc::wrong_type, blame::remote,
                       "a message with the tag " + std::to_string(what.tag())});
  };
}

/// A node whose program knows one type of message.
template <tagged T>
class typed_node {
public:
  explicit typed_node(const node& at) : at_(at) {}

  /// Queues `value` for `peer`, as node::send does.
  send_outcome send(const node_id& peer, const T& value, send_options how = {}) const {
    return at_.send(peer, value, how);
  }
  /// Messages from now on.
  [[nodiscard]] typed_inbox<T> inbox(inbox_options how = {.events = false}) const {
    return typed_inbox<T>(at_, std::move(how));
  }
  /// Subscribes an actor, which handles messages with `on_message<T>`.
  result<subscription> subscribe(const caf::actor& subscriber) const {
    return at_.template subscribe<T>(subscriber);
  }
  /// The node itself, for everything else.
  [[nodiscard]] const node& untyped() const noexcept { return at_; }

private:
  node at_;
};

} // namespace postbus
