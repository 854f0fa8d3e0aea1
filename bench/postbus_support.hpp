// postbus_support: what the programs of the party Postbus share, beside bench/support.hpp.
#pragma once

#include "postbus/bench/support.hpp"
#include "postbus/postbus.hpp"

namespace bench {

/// What must go well, or the program ends.
template <class T>
T need(postbus::result<T> what) {
  if (!what)
    die(to_string(what.error()));
  return std::move(*what);
}

/// Listens on any port, and tells the driver.
inline void listen_and_say(const postbus::node& node) {
  const auto at = need(node.listen("tcp://127.0.0.1:0"));
  say_port(std::stoul(at.substr(at.rfind(':') + 1)));
}

/// Where the other end listens.
inline std::string endpoint(const options& given) {
  return "tcp://127.0.0.1:" + given.text("port");
}

} // namespace bench
