// decode: values out of messages. Apart from batch.hpp so that only who decodes pays for the decoder.
#pragma once

#include "postbus/bus/batch.hpp"
#include "postbus/codecs/value.hpp"

namespace postbus {

template <class T>
result<T> message_view::as(const codecs::value_limits& bounds) const {
  return codecs::unpack_value<T>(bytes(), bounds);
}

template <class T>
result<T> message::as(const codecs::value_limits& bounds) const {
  return view_.as<T>(bounds);
}

} // namespace postbus
