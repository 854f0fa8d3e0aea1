#include "postbus/actors/listener.hpp"

#include "postbus/actors/sockets.hpp"

namespace postbus::actors {

namespace {

// Connections taken before others on the loop have their turn.
constexpr int accepts_per_turn_max = 64;
// When the system has no descriptors or memory left, accepting pauses: the connection that waits
// stays in the backlog, and trying again at once would only spin.
constexpr auto rest_time = std::chrono::milliseconds(100);

} // namespace

listener::listener(caf::actor_config& config, loop& home, options how)
  : bound(config, home), where_(std::move(how.where)), id_(how.id), node_(std::move(how.node)),
    reply_(std::move(how.reply)), resolver_(home.io()), acceptor_(home.io()),
    rest_timer_(home.io()) {}

caf::behavior listener::make_behavior() {
  resolve();
  return {
    [this](const end_listening& ask) {
      asio::error_code ignored;
      acceptor_.close(ignored);
      ask.reply(true);
      quit();
    },
    [this](const finish&) { quit(); },
  };
}

void listener::leave() {
  asio::error_code ignored;
  resolver_.cancel();
  acceptor_.close(ignored);
  rest_timer_.cancel();
  node_ = nullptr;
  reply_ = {};
}

void listener::resolve() {
  asio::error_code no_address;
  const auto address = asio::ip::make_address(where_.host, no_address);
  if (!no_address)
    return open({{address, where_.port}});
  resolver_.async_resolve(where_.host, std::to_string(where_.port),
                          [this, alive = self()](asio::error_code failed, const auto& found) {
                            if (failed == asio::error::operation_aborted)
                              return;
                            if (failed || found.empty())
                              return refuse(errc::resolve_failed,
                                            where_.host + ": " + failed.message());
                            std::vector<asio::ip::tcp::endpoint> addresses;
                            for (const auto& entry : found)
                              addresses.push_back(entry.endpoint());
                            open(addresses);
                          });
}

// The first address of a name that can be listened on.
void listener::open(const std::vector<asio::ip::tcp::endpoint>& addresses) {
  std::string failures;
  for (const auto& at : addresses) {
    auto failed = try_open(at);
    if (!failed) {
      where_.host = at.address().to_string();
      where_.port = acceptor_.local_endpoint(failed).port();
      reply_(to_string(where_));
      return await_connection();
    }
    failures += (failures.empty() ? "" : "; ") + text_of(at) + ": " + failed.message();
  }
  refuse(errc::listen_failed, failures);
}

asio::error_code listener::try_open(const asio::ip::tcp::endpoint& at) {
  asio::error_code failed;
  acceptor_.close(failed);
  failed = open_socket(acceptor_, at.protocol());
  if (!failed)
    acceptor_.set_option(asio::socket_base::reuse_address(true), failed);
  if (!failed)
    acceptor_.bind(at, failed);
  if (!failed)
    acceptor_.listen(asio::socket_base::max_listen_connections, failed);
  return failed;
}

void listener::refuse(errc code, const std::string& detail) {
  reply_(error{code, blame::local, detail});
  post(node_, listening_failed{id_});
  post(caf::actor{this}, finish{});
}

void listener::await_connection() {
  acceptor_.async_wait(asio::socket_base::wait_read,
                       [this, alive = self()](asio::error_code failed) {
                         if (!failed)
                           accept_some();
                       });
}

void listener::accept_some() {
  for (int count = 0; count < accepts_per_turn_max; ++count) {
    asio::ip::tcp::endpoint from;
    tcp_socket socket(home().io());
    const auto failed = accept_socket(acceptor_, socket, from);
    if (failed == asio::error::would_block || failed == asio::error::try_again)
      break;
    if (failed == asio::error::connection_aborted)
      continue; // given up by the peer before it was taken
    if (failed)
      return rest();
    if (prepare(socket))
      post(node_,
           accepted{std::make_shared<socket_box>(socket_box{std::move(socket), text_of(from)}),
                    origin_of(from)});
  }
  await_connection();
}

void listener::rest() {
  rest_timer_.expires_after(rest_time);
  rest_timer_.async_wait([this, alive = self()](asio::error_code failed) {
    if (!failed)
      await_connection();
  });
}

} // namespace postbus::actors
