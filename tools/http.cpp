#include "postbus/tools/http.hpp"

#include <fmt/core.h>
#include <httplib.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>

namespace tool {

namespace {

using namespace std::chrono_literals;

constexpr auto answer_time = 10s;
constexpr std::size_t threads = 2;
constexpr std::size_t request_bytes_max = 4096; // nobody has anything to say here

constexpr const char* text_type = "text/plain; charset=utf-8";
constexpr const char* json_type = "application/json";
constexpr const char* metrics_type = "text/plain; version=0.0.4; charset=utf-8";

std::string url_of(const postbus::endpoint& where) {
  const auto is_v6 = where.host.find(':') != std::string::npos;
  return fmt::format("http://{}{}{}:{}", is_v6 ? "[" : "", where.host, is_v6 ? "]" : "",
                     where.port);
}

// Wrong usage, but no endpoint of Postbus.
postbus::error no_address(std::string why) {
  return {postbus::errc::bad_option, postbus::blame::local, std::move(why)};
}

void answer(const postbus::node& of, httplib::Response& to, const char* type,
            std::string (*text)(const postbus::node_statistics&)) {
  const auto told = of.statistics(answer_time);
  if (told)
    return to.set_content(text(*told), type);
  to.status = 503;
  to.set_content(to_string(told.error()) + "\n", text_type);
}

// Without the option that lets two programs have one port, each of which gets half of the requests.
void prepare_socket(socket_t socket) {
  const int yes = 1;
  ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
}

} // namespace

postbus::result<postbus::endpoint> http_address(const std::string& text) {
  const auto is_port = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
  auto where = postbus::endpoint::parse(is_port ? "127.0.0.1:" + text : text);
  if (!where)
    return no_address(where.error().detail);
  if (text.find("://") != std::string::npos || where->expected)
    return no_address("not host:port: " + text);
  return where;
}

postbus::result<postbus::endpoint> http_url(const std::string& text) {
  auto rest = text.starts_with("http://") ? text.substr(7) : text;
  if (rest.ends_with('/'))
    rest.pop_back();
  auto where = http_address(rest);
  if (where && where->port == 0)
    return no_address("port 0 cannot be connected to: " + text);
  return where;
}

// -- the server -------------------------------------------------------------------

struct http_server::parts {
  httplib::Server server;
  std::thread thread;
  std::atomic<bool> is_over = false;
};

http_server::http_server(const postbus::node& of) : parts_(std::make_unique<parts>()) {
  auto& server = parts_->server;
  server.new_task_queue = [] { return new httplib::ThreadPool(threads); };
  server.set_socket_options(prepare_socket);
  server.set_keep_alive_timeout(1);
  server.set_read_timeout(5s);
  server.set_write_timeout(1s);
  server.set_payload_max_length(request_bytes_max);
  server.Get("/metrics", [of](const httplib::Request&, httplib::Response& to) {
    answer(of, to, metrics_type,
           [](const postbus::node_statistics& what) { return to_prometheus(what); });
  });
  server.Get("/peers", [of](const httplib::Request&, httplib::Response& to) {
    answer(of, to, json_type, [](const postbus::node_statistics& what) { return to_json(what); });
  });
  server.set_error_handler([](const httplib::Request&, httplib::Response& to) {
    if (to.body.empty())
      to.set_content("There are /metrics and /peers.\n", text_type);
  });
}

http_server::~http_server() {
  if (!parts_->thread.joinable())
    return;
  // A server that has not begun yet cannot be stopped.
  while (!parts_->server.is_running() && !parts_->is_over)
    std::this_thread::yield();
  parts_->server.stop();
  parts_->thread.join();
}

postbus::result<std::string> http_server::start(const postbus::endpoint& at) {
  auto bound = at;
  errno = 0;
  const auto port = at.port == 0 ? parts_->server.bind_to_any_port(at.host)
                    : parts_->server.bind_to_port(at.host, at.port) ? at.port
                                                                    : -1;
  if (port <= 0)
    return postbus::error{postbus::errc::listen_failed, postbus::blame::local,
                          url_of(at) + ": "
                            + (errno != 0 ? std::strerror(errno) : "no address of this machine")};
  bound.port = static_cast<std::uint16_t>(port);
  parts_->thread = std::thread([in = parts_.get()] {
    in->server.listen_after_bind();
    in->is_over = true;
  });
  return url_of(bound);
}

// -- the client -------------------------------------------------------------------

postbus::result<std::string> http_get(const postbus::endpoint& from, const std::string& path,
                                      std::chrono::milliseconds within) {
  httplib::Client client(from.host, from.port);
  client.set_connection_timeout(within);
  client.set_read_timeout(within);
  client.set_write_timeout(within);
  const auto got = client.Get(path);
  const auto step = url_of(from) + path;
  if (!got) {
    const auto cannot_connect =
      got.error() == httplib::Error::Connection || got.error() == httplib::Error::ConnectionTimeout;
    return postbus::error{cannot_connect ? postbus::errc::connect_failed : postbus::errc::timeout,
                          postbus::blame::remote, step};
  }
  if (got->status != 200)
    return postbus::error{
      postbus::errc::system_failed, postbus::blame::remote,
      fmt::format("{} says {}: {}", step, got->status, got->body.substr(0, 200))};
  return got->body;
}

} // namespace tool
