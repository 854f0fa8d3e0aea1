// dialer: finds the addresses of one endpoint and connects to the first that answers, all within one
// deadline. Hands the socket, or the step that failed, to its node, and ends.
#pragma once

#include "postbus/actors/asio.hpp"
#include "postbus/actors/internal_messages.hpp"
#include "postbus/actors/loop.hpp"

#include <vector>

namespace postbus::actors {

class dialer final : public bound<caf::event_based_actor> {
public:
  struct options {
    endpoint where;
    duration within{};
    std::uint64_t dial = 0; ///< Names it in the answer.
    caf::actor node;
  };

  dialer(caf::actor_config& config, loop& home, options how);

  caf::behavior make_behavior() override;
  [[nodiscard]] const char* name() const override { return "postbus.dialer"; }

private:
  void leave() override;
  void resolve();
  void try_next();
  void tell(std::shared_ptr<socket_box> socket, error why);
  [[nodiscard]] caf::strong_actor_ptr self() { return caf::strong_actor_ptr{this->ctrl()}; }

  options how_;
  tcp_resolver resolver_;
  timer deadline_;
  std::shared_ptr<socket_box> trying_;
  std::vector<asio::ip::tcp::endpoint> addresses_;
  std::size_t next_ = 0;
  std::string failures_; // one line of words for every address tried
  bool told_ = false;
};

} // namespace postbus::actors
