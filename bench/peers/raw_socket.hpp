// raw_socket: plain TCP sockets on loopback, as the programs of the party raw TCP use them.
#pragma once

#include "postbus/bench/support.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace bench {

inline sockaddr_in loopback(std::size_t port) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  at.sin_port = htons(static_cast<std::uint16_t>(port));
  return at;
}

inline int listen_anywhere() {
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  auto at = loopback(0);
  socklen_t size = sizeof at;
  if (::bind(listener, reinterpret_cast<sockaddr*>(&at), size) != 0 || ::listen(listener, 1024) != 0
      || ::getsockname(listener, reinterpret_cast<sockaddr*>(&at), &size) != 0)
    die("cannot listen");
  bench::say_port(ntohs(at.sin_port));
  return listener;
}

inline int connect_to(std::size_t port) {
  const int peer = ::socket(AF_INET, SOCK_STREAM, 0);
  const auto at = loopback(port);
  if (::connect(peer, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0)
    die("cannot connect");
  const int on = 1;
  ::setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return peer;
}

inline void write_all(int to, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto count = ::write(to, bytes.data(), bytes.size());
    if (count <= 0)
      die("cannot write");
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

} // namespace bench
