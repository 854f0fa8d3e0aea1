#include "postbus/actors/dialer.hpp"

#include "postbus/actors/socket_text.hpp"

#include <algorithm>

namespace postbus::actors {

dialer::dialer(caf::actor_config& config, loop& home, options how)
  : bound(config, home), how_(std::move(how)), resolver_(home.io()), deadline_(home.io()) {}

caf::behavior dialer::make_behavior() {
  deadline_.expires_at(later(steady_now(), how_.within));
  deadline_.async_wait([this, alive = self()](asio::error_code failed) {
    if (failed)
      return;
    const auto step = addresses_.empty() ? "resolving " + how_.where.host
                                         : "connecting to " + text_of(addresses_[next_ - 1]);
    tell(nullptr, {errc::timeout, blame::remote, step});
  });
  resolve();
  return {
    [this](const finish&) { quit(); },
  };
}

void dialer::leave() {
  asio::error_code ignored;
  resolver_.cancel();
  deadline_.cancel();
  if (trying_)
    trying_->socket.close(ignored);
  how_.node = nullptr;
}

void dialer::resolve() {
  asio::error_code no_address;
  const auto address = asio::ip::make_address(how_.where.host, no_address);
  if (!no_address) {
    addresses_.emplace_back(address, how_.where.port);
    return try_next();
  }
  resolver_.async_resolve(how_.where.host, std::to_string(how_.where.port),
                          [this, alive = self()](asio::error_code failed, const auto& found) {
                            if (failed == asio::error::operation_aborted || told_)
                              return;
                            if (failed)
                              return tell(nullptr, {errc::resolve_failed, blame::local,
                                                    how_.where.host + ": " + failed.message()});
                            for (const auto& entry : found)
                              addresses_.push_back(entry.endpoint());
                            try_next();
                          });
}

void dialer::try_next() {
  if (next_ == addresses_.size())
    return tell(nullptr, {errc::connect_failed, blame::remote, failures_});
  const auto to = addresses_[next_++];
  trying_ = std::make_shared<socket_box>(socket_box{tcp_socket(home().io()), text_of(to)});
  trying_->socket.async_connect(
    to, [this, to, tried = trying_, alive = self()](asio::error_code failed) {
      if (failed == asio::error::operation_aborted || told_)
        return;
      if (!failed && prepare(tried->socket))
        return tell(std::exchange(trying_, nullptr), {});
      failures_ += (failures_.empty() ? "" : "; ") + text_of(to) + ": " + failed.message();
      try_next();
    });
}

void dialer::tell(std::shared_ptr<socket_box> socket, error why) {
  if (std::exchange(told_, true))
    return;
  post(how_.node, dial_done{how_.dial, std::move(socket), std::move(why)});
  post(caf::actor{this}, finish{});
}

} // namespace postbus::actors
