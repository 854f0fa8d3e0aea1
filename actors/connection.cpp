#include "postbus/actors/connection.hpp"

#include "postbus/bus/orders.hpp"
#include <sys/uio.h>

#include <cerrno>
#include <cstring>
#include <new>

namespace postbus::actors {

namespace {

// What one connection moves before the others have their turn.
constexpr std::size_t turn_bytes_max = std::size_t{1} << 20;
constexpr std::size_t pieces_max = 64;
// So little waits for what others on the loop may add in this turn: an answer goes with the credit, a
// first message with the welcome.
constexpr std::size_t late_bytes_max = 4096;

} // namespace

connection::connection(caf::actor_config& config, loop& home, options how)
  : bound(config, home), id_(how.start.connection),
    session_(std::move(how.start.how), steady_now()), socket_(std::move(how.socket)),
    link_(std::move(how.link)), node_(std::move(how.node)) {}

caf::behavior connection::make_behavior() {
  link_->connection()->attach(caf::actor{this});
  await_readable();
  drive();
  return {
    [this](const drain_link&) { drive(); },
    [this](const command& order) {
      obey(order);
      drive();
    },
    [this](const settle_receipts&) {
      session_.settle();
      drive();
    },
    [this](const next_turn&) {
      turn_due_ = false;
      drive();
    },
    [this](const finish&) { quit(); },
  };
}

void connection::leave() {
  if (!over_) { // ended from outside, or by a failure of its own: the node must hear of it
    over_ = true;
    session_.fail(errc::system_failed, "its actor ended");
    link_->pull(session_, steady_now());
    hand_over_events();
  }
  link_->connection()->detach();
  asio::error_code ignored;
  socket_->socket.close(ignored);
  node_ = nullptr;
}

void connection::obey(const command& order) {
  std::visit(
    [&]<class Order>(const Order& what) {
      if constexpr (std::is_same_v<Order, bus::node::tick_connection>) {
        armed_ = never;
        // What lies in the socket was said before it was called silent: a program that was
        // stopped for a while must not take its peers for dead.
        read_some();
      }
      if constexpr (std::is_same_v<Order, bus::node::report_connection>) {
        auto said = std::make_shared<connection_statistics>(session_.statistics(steady_now()));
        said->messages_waiting = link_->frames_waiting();
        post(node_, connection_reported{what.connection, what.collection, std::move(said)});
      } else {
        bus::carry_out(what, session_, steady_now());
      }
    },
    order.what);
}

// The drive law: after every input, take what may be sent, hand over what happened, write.
void connection::drive() {
  if (over_)
    return;
  take_and_tell();
  if (!may_write_late())
    return write_out();
  if (late_)
    return;
  home().put_off(*this, self());
  late_ = true;
}

void connection::take_and_tell() {
  link_->pull(session_, steady_now());
  hand_over_events();
}

bool connection::may_write_late() const noexcept {
  const auto bytes = session_.wire_bytes();
  return bytes > 0 && bytes <= late_bytes_max && session_.at() < bus::phase::lingering
         && home().others_are_ready();
}

void connection::do_late() noexcept {
  late_ = false;
  if (over_)
    return;
  try {
    take_and_tell();
    write_out();
  } catch (const std::exception&) { // no memory
    post(caf::actor{this}, finish{});
  }
}

void connection::write_out() {
  write_some();
  hand_over_events();
  if (session_.take_shutdown()) {
    asio::error_code ignored;
    socket_->socket.shutdown(asio::socket_base::shutdown_send, ignored);
  }
  if (session_.at() == bus::phase::closed && !over_) {
    take_and_tell(); // the account is complete only now
    write_some();    // a last word, if the socket takes it
    over_ = true;
    asio::error_code ignored;
    socket_->socket.close(ignored);
    home().retire(caf::actor{this});
    return;
  }
  tell_deadline();
}

void connection::hand_over_events() {
  while (auto event = session_.next_event()) {
    if (auto* arrived = std::get_if<bus::received>(&*event)) {
      post(node_, frames_arrived{id_, std::move(arrived->frames)});
      continue;
    }
    if (std::holds_alternative<bus::opened>(*event)) {
      link_->open(session_.peer().id, session_.frame_bytes_max());
      armed_ = never; // the handshake's deadlines are void: nobody shall wake for them
    }
    post(node_, session_told{id_, std::make_shared<bus::session_event>(std::move(*event))});
  }
}

void connection::write_some() {
  std::size_t turn = 0;
  while (!writing_ && !session_.wire_empty()) {
    std::span<const std::byte> pieces[pieces_max];
    iovec vectors[pieces_max];
    const auto count = session_.wire(pieces);
    std::size_t offered = 0;
    for (std::size_t index = 0; index < count; ++index) {
      vectors[index] = {const_cast<std::byte*>(pieces[index].data()), pieces[index].size()};
      offered += pieces[index].size();
    }
    msghdr message{};
    message.msg_iov = vectors;
    message.msg_iovlen = count;
    const auto written =
      ::sendmsg(socket_->socket.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (written < 0) {
      if (errno == EINTR)
        continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK)
        return await_writable();
      const std::string why = std::strerror(errno);
      read_some(duration::max()); // the peer's last words may lie in the socket
      return session_.fail(errc::connection_reset, why);
    }
    session_.written(static_cast<std::size_t>(written), steady_now());
    if (static_cast<std::size_t>(written) < offered)
      return await_writable();
    turn += offered;
    if (turn >= turn_bytes_max) {
      if (!std::exchange(turn_due_, true))
        post(caf::actor{this}, next_turn{});
      return;
    }
    link_->pull(session_, steady_now());
  }
}

void connection::read_some(duration longest) {
  try {
    read_turn(later(steady_now(), longest));
  } catch (const std::bad_alloc&) {
    session_.fail(errc::system_failed, "no memory for what was received");
  }
}

void connection::read_turn(time_point turn_end) {
  std::size_t turn = 0;
  for (auto now = time_point::min(); input_open_ && turn < turn_bytes_max && now < turn_end;) {
    const auto room = session_.prepare(home().scratch());
    iovec vectors[2];
    int count = 0;
    std::size_t offered = 0;
    for (const auto part : room) {
      if (part.empty())
        continue;
      vectors[count++] = {part.data(), part.size()};
      offered += part.size();
    }
    const auto arrived = ::readv(socket_->socket.native_handle(), vectors, count);
    if (arrived < 0) {
      if (errno == EINTR)
        continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) {
        input_open_ = false;
        session_.fail(errc::connection_reset, std::strerror(errno));
      }
      break;
    }
    if (arrived == 0) {
      input_open_ = false;
      session_.end_of_input();
      break;
    }
    now = steady_now();
    session_.commit(static_cast<std::size_t>(arrived), now);
    turn += static_cast<std::size_t>(arrived);
    if (static_cast<std::size_t>(arrived) < offered)
      break; // the socket is empty: no need to be told so
  }
  session_.park();
}

void connection::await_readable() {
  if (reading_ || !input_open_ || over_)
    return;
  reading_ = true;
  socket_->socket.async_wait(asio::socket_base::wait_read,
                             [this, alive = self()](asio::error_code failed) {
                               reading_ = false;
                               if (failed || over_)
                                 return;
                               read_some();
                               drive();
                               await_readable();
                             });
}

void connection::await_writable() {
  if (writing_ || over_)
    return;
  writing_ = true;
  socket_->socket.async_wait(asio::socket_base::wait_write,
                             [this, alive = self()](asio::error_code failed) {
                               writing_ = false;
                               if (!failed && !over_)
                                 drive();
                             });
}

// The node's wheel ticks the session when it was last told: only an earlier deadline is worth a
// message.
void connection::tell_deadline() {
  const auto when = session_.deadline();
  if (when < armed_) {
    armed_ = when;
    post(node_, arm_deadline{id_, when});
  }
}

} // namespace postbus::actors
