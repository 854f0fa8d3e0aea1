// socket_text: small things about sockets that listener and dialer share.
#pragma once

#include "postbus/actors/asio.hpp"

#include <string>

namespace postbus::actors {

/// "127.0.0.1:4000", "[::1]:4000".
[[nodiscard]] inline std::string text_of(const asio::ip::tcp::endpoint& at) {
  const auto host = at.address().to_string();
  const auto shown = at.address().is_v6() ? "[" + host + "]" : host;
  return shown + ":" + std::to_string(at.port());
}

/// Sets what every connection needs: no delay, no blocking. False when the socket is dead already.
[[nodiscard]] inline bool prepare(tcp_socket& socket) {
  asio::error_code failed;
  socket.non_blocking(true, failed);
  if (!failed)
    socket.set_option(asio::ip::tcp::no_delay(true), failed);
  return !failed;
}

} // namespace postbus::actors
