// listener: accepts connections on one endpoint and hands them to its node. Never waits for a peer:
// what a stranger says is read by the connection's own actor. Ends on `finish`.
#pragma once

#include "postbus/actors/asio.hpp"
#include "postbus/actors/internal_messages.hpp"
#include "postbus/actors/loop.hpp"

#include <vector>

namespace postbus::actors {

class listener final : public bound<caf::event_based_actor> {
public:
  struct options {
    endpoint where;
    std::uint64_t id = 0; ///< Names it to its node.
    caf::actor node;
    answer<std::string> reply; ///< The endpoint in use, or why there is none.
  };

  listener(caf::actor_config& config, loop& home, options how);

  caf::behavior make_behavior() override;
  [[nodiscard]] const char* name() const override { return "postbus.listener"; }

private:
  void leave() override;
  void resolve();
  void open(const std::vector<asio::ip::tcp::endpoint>& addresses);
  [[nodiscard]] asio::error_code try_open(const asio::ip::tcp::endpoint& at);
  void refuse(errc code, const std::string& detail);
  void await_connection();
  void accept_some();
  void rest();
  [[nodiscard]] caf::strong_actor_ptr self() { return caf::strong_actor_ptr{this->ctrl()}; }

  endpoint where_;
  std::uint64_t id_;
  caf::actor node_;
  answer<std::string> reply_;
  tcp_resolver resolver_;
  tcp_acceptor acceptor_;
  timer rest_timer_;
};

} // namespace postbus::actors
