// commands: what the command line can do, one function each, with its options. Each runs to its end
// and answers the exit code of the program.
#pragma once

#include "postbus/postbus.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace tool {

/// How the program ends.
enum class exit_code : int {
  ok = 0,     ///< Done, and nothing was lost.
  failed = 1, ///< Something was not done or not confirmed; stderr says what.
  usage = 2,  ///< The command line makes no sense.
};

/// Tags that nodes of this tool answer: `listen` sends the body of an echo request back as an echo
/// reply. They are an agreement of the tool, not of the library.
inline constexpr std::uint16_t echo_request_tag = 0xfffe;
inline constexpr std::uint16_t echo_reply_tag = 0xffff;

/// What `listen`, `send` and `ping` have in common.
struct node_settings {
  std::string endpoint;
  std::string id; ///< 32 hexadecimal digits; empty for a random one.
  std::chrono::milliseconds keepalive = std::chrono::seconds(15);
  std::chrono::milliseconds drain = std::chrono::seconds(60);
  std::uint64_t window_bytes = 4u << 20;
};

struct listen_options {
  node_settings node;
  bool json = false;
  bool raw = false;
  bool once = false;
  std::string http; ///< Where to serve statistics; empty: nowhere.
};

struct send_options {
  node_settings node;
  std::string file = "-";        ///< "-" is stdin.
  std::uint64_t chunk_bytes = 0; ///< 0 sends lines.
  std::chrono::milliseconds timeout = std::chrono::seconds(10);
  bool progress = false;
};

struct ping_options {
  // An answer that nobody waits for any more is not worth a minute.
  node_settings node = {.endpoint = {}, .id = {}, .drain = std::chrono::seconds(2)};
  std::uint64_t count = 10; ///< 0 goes on until a signal comes.
  std::chrono::milliseconds interval = std::chrono::milliseconds(200);
  std::chrono::milliseconds timeout = std::chrono::seconds(5);
  std::uint32_t size_bytes = 32;
  bool quiet = false;
};

struct stats_options {
  std::string url; ///< What `listen --http` said, or host:port, or a port of this machine.
  bool json = false;
  bool prometheus = false;
  std::chrono::milliseconds timeout = std::chrono::seconds(5);
};

struct demo_options {
  std::uint64_t small_messages = 2'000'000;
  std::uint64_t large_messages = 256;
};

[[nodiscard]] exit_code demo(const demo_options& how);
[[nodiscard]] exit_code listen(const listen_options& how);
[[nodiscard]] exit_code send(const send_options& how);
[[nodiscard]] exit_code ping(const ping_options& how);
[[nodiscard]] exit_code stats(const stats_options& how);
[[nodiscard]] exit_code top(const stats_options& how);

} // namespace tool
