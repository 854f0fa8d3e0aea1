// endpoint: where a node listens or is reached, as text everywhere.
//   [dialect+](tcp|tls)://[node_id@]host:port        a bare host:port is tcp://
// Parses and prints; resolves nothing and opens nothing.
#pragma once

#include "postbus/bus/node_id.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace postbus {

/// A parsed endpoint: `tcp://127.0.0.1:4000`, `tcp://[::1]:0`, `tls://<node_id>@bus.example:4000`.
struct endpoint {
  /// How the bytes travel.
  enum class transport : std::uint8_t {
    tcp, ///< Plain TCP, for trusted networks: ids are only claimed.
    tls, ///< TCP with TLS.
  };

  std::string dialect; ///< Whose layout; empty is Postbus's own.
  transport over = transport::tcp;
  node_id expected;       ///< Who must answer; "no node" when anybody may.
  std::string host;       ///< A name or an address, without brackets.
  std::uint16_t port = 0; ///< 0 lets the system choose, when listening.

  /// The endpoint that `text` names, or `bad_endpoint` with what is wrong with it.
  [[nodiscard]] static result<endpoint> parse(std::string_view text);

  /// True for loopback addresses and "localhost": bytes that never leave the machine.
  [[nodiscard]] bool is_local() const noexcept;

  friend bool operator==(const endpoint&, const endpoint&) = default;
};

/// The text that parses to the same endpoint; an IPv6 address in brackets.
[[nodiscard]] std::string to_string(const endpoint& where);

} // namespace postbus
