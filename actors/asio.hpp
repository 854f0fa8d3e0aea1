// asio: the one way in which Asio is included, so that its macros are the same in every file. Only
// actors/*.cpp include this; it costs a second of compile time each.
#pragma once

// First: Asio asks macros of the standard library, such as whether it has aligned_alloc, without
// including it, and must get the same answer in every file.
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

/// An open, connected socket on its way to its connection actor.
struct socket_box {
  tcp_socket socket;
  std::string peer; ///< Its address as text, "127.0.0.1:4000".
};

} // namespace postbus::actors
