// decode: values out of messages. Apart from batch.hpp so that only who decodes pays for the decoder.
#pragma once

#include "postbus/bus/batch.hpp"
#include "postbus/bus/request.hpp"
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

template <class T>
result<T> reply::as(const codecs::value_limits& bounds) const {
  if (failure)
    return error{errc::request_failed, blame::remote, failure->text};
  return codecs::unpack_value<T>(body.bytes(), bounds);
}

} // namespace postbus
