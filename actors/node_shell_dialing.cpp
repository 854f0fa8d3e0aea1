// node_shell_dialing: how a node actor dials, and puts to programs who is there. The rest of the class is
// in node_shell.cpp.
#include "postbus/actors/dialer.hpp"
#include "postbus/actors/node_shell.hpp"

namespace postbus::actors {

void node_shell::start_dialing(const std::string& text, duration within,
                               const answer<node_id>& reply, answer<connection_request> looks) {
  const auto where = offered(text);
  if (!where)
    return reply(where.error());
  if (where->port == 0)
    return reply(error{errc::bad_endpoint, blame::local, "port 0 cannot be connected to: " + text});
  if (core_.is_closing())
    return reply(error{errc::node_closed, blame::local, {}});
  const auto id = ++last_dial_;
  auto who =
    std::make_shared<dialer>(home(), dialer::options{*where, within, id, caf::actor{this}});
  dials_.emplace(id, dial{who, *where, later(steady_now(), within), reply, std::move(looks), 0});
  who->start();
}

void node_shell::start_looking(const std::string& text, duration within,
                               const answer<connection_request>& reply) {
  // Until there is somebody to look at, the dial's own answer is that there is nobody.
  answer<node_id> outcome([reply](result<node_id>&& told) {
    reply(told ? error{errc::already_connected, blame::local, to_string(*told)} : told.error());
  });
  start_dialing(text, within, outcome, reply);
}

// Whoever waits for the outcome is told now, not who looked: that one has been answered.
void node_shell::open_request(const connect_to& what, const answer<node_id>& reply,
                              const void* asked_by) {
  const auto connection = what.connection;
  auto before = connecting_.extract(connection);
  const auto endpoints = before.empty() ? std::vector<std::string>{} : before.mapped().endpoints;
  connecting_.emplace(connection, dialed{endpoints, reply});
  if (settle_request({connection, true, {}, what.peer}, asked_by))
    return;
  connecting_.erase(connection);
  if (!before.empty())
    connecting_.insert(std::move(before));
  reply(error{errc::not_connected, blame::local, "it was answered before, or is too late"});
}

// All copies of one question hold the same thing, whose end has the peer refused.
connection_request node_shell::held(connection_request what) {
  auto& known = held_[what.connection];
  what.hold = known.lock();
  if (!what.hold) {
    what.hold = std::shared_ptr<const void>(
      static_cast<const void*>(this), [shell = access_->shell(), connection = what.connection](
                                        const void*) { shell->wake(drop_request{connection}); });
    known = what.hold;
  }
  return what;
}

// Another one who decides may still have it, or be given it: then the question stands.
void node_shell::refuse_if_fallen(bus::connection_id connection) {
  const auto known = held_.find(connection);
  if (known == held_.end() || !known->second.expired() || core_.asks(connection))
    return;
  held_.erase(known);
  (void)settle_request({connection, false, "the request was dropped", {}});
}

void node_shell::on_dial_done(const dial_done& told) {
  const auto found = dials_.find(told.dial);
  if (found == dials_.end())
    return;
  const auto of = std::move(found->second);
  dials_.erase(found);
  if (!told.socket) {
    refuse_dial(of, told.why);
    return drive();
  }
  auto started = core_.start({bus::session::role::dialer, told.socket->peer, of.where.expected,
                              static_cast<bool>(of.looks), of.keep});
  if (!started)
    return refuse_dial(of, started.error());
  // The time for connecting covers the handshake, too.
  started->how.handshake_time_max = of.deadline - steady_now();
  connecting_.emplace(started->connection,
                      dialed{{to_string(of.where), told.socket->peer}, of.reply});
  if (of.looks)
    looking_.emplace(started->connection, of.looks);
  spawn_connection(std::move(*started), told.socket);
}

} // namespace postbus::actors
