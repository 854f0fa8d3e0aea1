#include "postbus/actors/dialer.hpp"

#include "postbus/actors/sockets.hpp"

#include <algorithm>

namespace postbus::actors {

dialer::dialer(loop& home, options how)
  : home_(home), how_(std::move(how)), resolver_(home.io()), deadline_(home.io()) {}

void dialer::start() {
  deadline_.expires_at(later(steady_now(), how_.within));
  deadline_.async_wait([this, alive = shared_from_this()](asio::error_code failed) {
    if (failed)
      return;
    const auto step = addresses_.empty() ? "resolving " + how_.where.host
                                         : "connecting to " + text_of(addresses_[next_ - 1]);
    tell(nullptr, {errc::timeout, blame::remote, step});
  });
  try {
    resolve();
  } catch (const std::exception& failed) { // the resolver wants a thread of its own
    tell(nullptr, {errc::system_failed, blame::local, how_.where.host + ": " + failed.what()});
  }
}

// Callbacks that are on their way find no node to tell.
void dialer::cancel() {
  how_.node = nullptr;
  asio::error_code ignored;
  resolver_.cancel();
  deadline_.cancel();
  if (trying_)
    trying_->socket.close(ignored);
}

void dialer::resolve() {
  asio::error_code no_address;
  const auto address = asio::ip::make_address(how_.where.host, no_address);
  if (!no_address) {
    addresses_.emplace_back(address, how_.where.port);
    return try_next();
  }
  resolver_.async_resolve(
    how_.where.host, std::to_string(how_.where.port),
    [this, alive = shared_from_this()](asio::error_code failed, const auto& found) {
      if (!how_.node)
        return;
      if (failed)
        return tell(
          nullptr, {errc::resolve_failed, blame::local, how_.where.host + ": " + failed.message()});
      for (const auto& entry : found)
        addresses_.push_back(entry.endpoint());
      try_next();
    });
}

void dialer::try_next() {
  if (next_ == addresses_.size())
    return tell(nullptr, {errc::connect_failed, blame::remote, failures_});
  const auto to = addresses_[next_++];
  trying_ = std::make_shared<socket_box>(socket_box{tcp_socket(home_.io()), text_of(to)});
  if (const auto failed = open_socket(trying_->socket, to.protocol())) {
    if (failed != asio::error::address_family_not_supported)
      return tell(nullptr,
                  {errc::system_failed, blame::local, "opening a socket: " + failed.message()});
    note_failure(to, failed);
    return try_next();
  }
  trying_->socket.async_connect(
    to, [this, to, tried = trying_, alive = shared_from_this()](asio::error_code failed) {
      if (!how_.node)
        return;
      if (!failed && prepare(tried->socket))
        return tell(std::exchange(trying_, nullptr), {});
      note_failure(to, failed);
      try_next();
    });
}

void dialer::note_failure(const asio::ip::tcp::endpoint& at, asio::error_code failed) {
  failures_ += (failures_.empty() ? "" : "; ") + text_of(at) + ": " + failed.message();
}

void dialer::tell(std::shared_ptr<socket_box> socket, error why) {
  if (!how_.node)
    return;
  post(how_.node, dial_done{how_.dial, std::move(socket), std::move(why)});
  cancel();
}

} // namespace postbus::actors
