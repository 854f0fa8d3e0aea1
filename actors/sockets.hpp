// sockets: what listener and dialer know about sockets: how they are made, what each connection wants of
// one, how an address is written. A program that the process starts inherits none of them.
#pragma once

#include "postbus/actors/asio.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
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

/// Lets `socket`, an Asio socket or acceptor, own `handle`, or says why there is none.
template <class Socket>
[[nodiscard]] asio::error_code adopt(Socket& socket, const asio::ip::tcp& protocol, int handle) {
  if (handle < 0)
    return {errno, asio::error::get_system_category()};
  asio::error_code failed;
  socket.assign(protocol, handle, failed);
  if (failed)
    ::close(handle);
  return failed;
}

/// Opens `socket`, which does not block and is not inherited: Asio's own `open` lets it be.
template <class Socket>
[[nodiscard]] asio::error_code open_socket(Socket& socket, const asio::ip::tcp& protocol) {
  return adopt(socket, protocol,
               ::socket(protocol.family(), protocol.type() | SOCK_CLOEXEC | SOCK_NONBLOCK,
                        protocol.protocol()));
}

/// Takes the next connection of `from` that waits. Like `open_socket`.
[[nodiscard]] inline asio::error_code accept_socket(tcp_acceptor& from, tcp_socket& socket,
                                                    asio::ip::tcp::endpoint& peer) {
  auto bytes = static_cast<socklen_t>(peer.capacity());
  const int handle =
    ::accept4(from.native_handle(), peer.data(), &bytes, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (handle >= 0)
    peer.resize(bytes);
  return adopt(socket, peer.protocol(), handle);
}

/// Sets what every connection needs: that small messages leave at once. False when the socket is dead already.
[[nodiscard]] inline bool prepare(tcp_socket& socket) {
  asio::error_code failed;
  socket.set_option(asio::ip::tcp::no_delay(true), failed);
  return !failed;
}

} // namespace postbus::actors
