// message_type: binds a C++ type to the tag that its messages carry, so that a sender need not name the
// tag and a receiver can ask for the type. Knows nothing of connections; the tag is two bytes of a header.
// Use: POSTBUS_MESSAGE in the struct; or specialise message_tag for a type that cannot be changed.
#pragma once

#include <msgpack.hpp>

#include <concepts>
#include <cstdint>
#include <type_traits>

namespace postbus {

/// The tag of messages that carry a `T`, as `value`; specialise it for types of others:
///   template <> struct postbus::message_tag<their::chat> { static constexpr std::uint16_t value = 7; };
template <class T>
struct message_tag {};

// A struct that derives from one with a tag has none itself: it has other fields.
template <class T>
requires std::same_as<typename T::postbus_message_type, T>
struct message_tag<T> {
  static constexpr std::uint16_t value = T::postbus_message_tag;
};

/// A type that is bound to a tag.
template <class T>
concept tagged = requires {
  { message_tag<T>::value } -> std::convertible_to<std::uint16_t>;
};

/// The tag of a `T`; 0 when it has none.
template <class T>
[[nodiscard]] consteval std::uint16_t tag_of() noexcept {
  if constexpr (tagged<T>)
    return message_tag<T>::value;
  else
    return 0;
}

} // namespace postbus

/// In a struct: its messages carry `tag`, 0 to 65535, and the fields as an array, in this order.
///   struct chat { std::string room, text; POSTBUS_MESSAGE(chat, 7, room, text) };
#define POSTBUS_MESSAGE(type, tag, ...)                                                            \
  using postbus_message_type = type;                                                               \
  static constexpr ::std::uint16_t postbus_message_tag{tag};                                       \
  MSGPACK_DEFINE_ARRAY(__VA_ARGS__)
