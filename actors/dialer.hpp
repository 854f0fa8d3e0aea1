// dialer: one dial: finds the addresses of an endpoint and connects to the first that answers, all within
// one deadline. Hands the socket, or the step that failed, to its node, once. No actor: dials come and go
// by the thousand, and the end of an actor costs a wake-up of CAF's clock.
// Drive: make_shared, start(); cancel() to hear nothing. On the node's loop only; holds itself meanwhile.
#pragma once

#include "postbus/actors/asio.hpp"
#include "postbus/actors/internal_messages.hpp"
#include "postbus/actors/loop.hpp"

#include <memory>
#include <vector>

namespace postbus::actors {

class dialer final : public std::enable_shared_from_this<dialer> {
public:
  struct options {
    endpoint where;
    duration within{};
    std::uint64_t dial = 0; ///< Names it in the answer.
    caf::actor node;
  };

  dialer(loop& home, options how);
  dialer(const dialer&) = delete;
  dialer& operator=(const dialer&) = delete;

  void start();
  /// Ends it; the node is told nothing.
  void cancel();

private:
  void resolve();
  void try_next();
  void note_failure(const asio::ip::tcp::endpoint& at, asio::error_code failed);
  void tell(std::shared_ptr<socket_box> socket, error why);

  loop& home_;
  options how_;
  tcp_resolver resolver_;
  timer deadline_;
  std::shared_ptr<socket_box> trying_;
  std::vector<asio::ip::tcp::endpoint> addresses_;
  std::size_t next_ = 0;
  std::string failures_; // one line of words for every address tried
};

} // namespace postbus::actors
