// socket_text: small things about sockets that listener and dialer share.
#pragma once

#include "postbus/actors/asio.hpp"

#include <algorithm>
#include <string>

namespace postbus::actors {

/// "127.0.0.1:4000", "[::1]:4000".
[[nodiscard]] inline std::string text_of(const asio::ip::tcp::endpoint& at) {
  const auto host = at.address().to_string();
  const auto shown = at.address().is_v6() ? "[" + host + "]" : host;
  return shown + ":" + std::to_string(at.port());
}

/// Whom connections from there are counted for: an IPv4 address, or an IPv6 network of 64 bits, of which
/// one host may use every address.
[[nodiscard]] inline std::string origin_of(const asio::ip::tcp::endpoint& at) {
  const auto& host = at.address();
  if (!host.is_v6())
    return host.to_string();
  const auto wide = host.to_v6();
  auto bytes = wide.to_bytes();
  if (wide.is_v4_mapped())
    return asio::ip::address_v4({bytes[12], bytes[13], bytes[14], bytes[15]}).to_string();
  std::fill(bytes.begin() + 8, bytes.end(), 0);
  return asio::ip::address_v6(bytes).to_string() + "/64";
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
