// http: what the command line does over HTTP: serves the statistics of a node, and asks for them. The only
// part that knows cpp-httplib.
#pragma once

#include "postbus/postbus.hpp"

#include <chrono>
#include <memory>
#include <string>

namespace tool {

/// The address that `text` names: "host:port", or a port alone, which is one of 127.0.0.1.
/// `bad_option` with what is wrong with it.
[[nodiscard]] postbus::result<postbus::endpoint> http_address(const std::string& text);
/// The same for what is asked: a scheme and a slash at the end are as good as none.
[[nodiscard]] postbus::result<postbus::endpoint> http_url(const std::string& text);

/// Serves `/metrics` and `/peers` of a node, until it is destroyed, which waits for an answer under way,
/// some seconds at most.
class http_server {
public:
  explicit http_server(const postbus::node& of);
  http_server(const http_server&) = delete;
  http_server& operator=(const http_server&) = delete;
  ~http_server();

  /// Begins, and says where: "http://127.0.0.1:9100". `listen_failed` when the address cannot be used.
  [[nodiscard]] postbus::result<std::string> start(const postbus::endpoint& at);

private:
  struct parts;
  std::unique_ptr<parts> parts_;
};

/// What `path` holds at the server `from`. `connect_failed`, `timeout`, or `system_failed` with what the
/// server said instead.
[[nodiscard]] postbus::result<std::string>
http_get(const postbus::endpoint& from, const std::string& path, std::chrono::milliseconds within);

} // namespace tool
