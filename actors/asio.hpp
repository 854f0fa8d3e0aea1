// asio: the one way in which Asio is included, so that its macros are the same in every file. Only
// actors/*.cpp include this; it costs a second of compile time each.
#pragma once

// First: Asio asks macros of the standard library, such as whether it has aligned_alloc, without
// including it, and must get the same answer in every file.
#include <algorithm>
#include <chrono>
#include <string>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>

namespace postbus::actors {

using executor = asio::io_context::executor_type;
using tcp_socket = asio::basic_stream_socket<asio::ip::tcp, executor>;
using tcp_acceptor = asio::basic_socket_acceptor<asio::ip::tcp, executor>;
using tcp_resolver = asio::ip::basic_resolver<asio::ip::tcp, executor>;
using timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                         asio::wait_traits<std::chrono::steady_clock>, executor>;

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

/// An open, connected socket on its way to its connection actor.
struct socket_box {
  tcp_socket socket;
  std::string peer;        ///< Its address as text, "127.0.0.1:4000".
  std::string origin = {}; ///< Whom it is counted for, of a connection that was taken.
};

} // namespace postbus::actors
