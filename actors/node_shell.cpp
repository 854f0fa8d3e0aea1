#include "postbus/actors/node_shell.hpp"

#include "postbus/actors/connection.hpp"
#include "postbus/actors/dialer.hpp"
#include "postbus/actors/guest.hpp"
#include "postbus/actors/listener.hpp"
#include "postbus/actors/subscribing.hpp"
#include "postbus/bus/orders.hpp"
#include "postbus/bus/overloaded.hpp"

#include <algorithm>

namespace postbus::actors {

namespace {

// The endpoint that `text` names, when it is one that this version offers.
result<endpoint> offered(const std::string& text) {
  auto where = endpoint::parse(text);
  if (!where)
    return where;
  if (!where->dialect.empty())
    return error{errc::unsupported, blame::local, "the dialect " + where->dialect + " in " + text};
  if (where->over != endpoint::transport::tcp)
    return error{errc::unsupported, blame::local, "TLS in " + text};
  return where;
}

} // namespace

node_shell::node_shell(caf::actor_config& config, loop& home, bus::node::options how,
                       std::shared_ptr<node_access> access)
  : bound(config, home), core_(std::move(how), steady_now()), access_(std::move(access)),
    budget_(std::make_shared<outbox_budget>(core_.bounds().node_outbox_bytes_max)),
    timer_(std::in_place, home.io()) {}

// An answer that fulfils a promise of this actor, on its own thread.
template <class T>
caf::typed_response_promise<T> node_shell::promise(answer<T>& reply) {
  auto made = make_response_promise<T>();
  reply = answer<T>([made](result<T>&& value) mutable {
    if (value)
      made.deliver(std::move(*value));
    else
      made.deliver(to_caf(value.error()));
  });
  return made;
}

caf::behavior node_shell::make_behavior() {
  return {
    // -- from users' actors
    [this](const listen& ask) {
      answer<std::string> reply;
      auto promised = promise(reply);
      start_listening(ask.endpoint, reply);
      return promised;
    },
    [this](const connect& ask) {
      answer<node_id> reply;
      auto promised = promise(reply);
      start_dialing(ask.endpoint, ask.within, reply);
      return promised;
    },
    [this](const look_at& ask) {
      answer<connection_request> reply;
      auto promised = promise(reply);
      start_looking(ask.endpoint, ask.within, reply);
      return promised;
    },
    [this](const connect_to& ask) {
      answer<node_id> reply;
      auto promised = promise(reply);
      open_request(ask.connection, reply);
      return promised;
    },
    [this](const send_message& what) { return send_one(what); },
    [this](const subscribe& ask) -> caf::result<subscription> {
      if (!ask.subscriber)
        return to_caf({errc::bad_option, blame::local, "no subscriber"});
      auto made = start_telling(options_of(ask),
                                std::make_shared<subscribed_actor>(ask.subscriber, ask.mode));
      if (!made)
        return to_caf(made.error());
      return *made;
    },
    [this](const unsubscribe& ask) { return stop_telling(ask.which.id); },
    [this](const count_messages& ask) -> caf::result<subscription_counters> {
      auto counted = count(ask.which.id);
      if (!counted)
        return to_caf(counted.error());
      return *counted;
    },
    [this](const decide& what) { return settle_request(what); },
    [this](const close_node& how) {
      answer<closed> reply;
      auto promised = promise(reply);
      waiting_for_close_.push_back(reply);
      start_closing(how);
      return promised;
    },
    [this](const send_request& what) {
      const asker who{sender_id(), what.key}; // a promise takes the sender with it
      answer<reply> told;
      auto promised = promise(told);
      start_request(what, who, told);
      return promised;
    },
    [this](const cancel_request& what) {
      return give_up_request({sender_id(), what.key});
    },
    [this](const handle_requests& what) -> caf::result<handler> {
      if (!what.by)
        return to_caf({errc::bad_option, blame::local, "no handler"});
      return start_handling(what);
    },
    [this](const stop_handling& what) { return end_handling(what.which.id); },
    // -- from handles on plain threads
    [this](const ask_request& ask) {
      start_request(ask.what, {0, ask.what.key}, ask.told);
    },
    [this](const ask_cancel& ask) {
      give_up_request({0, ask.key});
    },
    [this](const ask_handle& ask) { ask.reply(start_handling(ask.what)); },
    [this](const ask_handle_function& ask) { ask.reply(start_function(ask)); },
    [this](const ask_stop_handling& ask) { end_handling(ask.id); },
    [this](const ask_respond& what) { respond(what); },
    [this](const ask_listen& ask) { start_listening(ask.endpoint, ask.reply); },
    [this](const ask_connect& ask) { start_dialing(ask.endpoint, ask.within, ask.reply); },
    [this](const ask_subscribe& ask) { ask.reply(start_telling(ask.wants, ask.who)); },
    [this](const ask_unsubscribe& ask) { stop_telling(ask.id); },
    [this](const ask_count& ask) { ask.reply(count(ask.which)); },
    [this](const subscriber_over& gone) { on_subscriber_over(gone.who); },
    [this](const forget_recipient& gone) {
      const auto found = std::find_if(audiences_.begin(), audiences_.end(), [&](const auto& each) {
        return each.second.who == gone.who;
      });
      if (found != audiences_.end())
        stop_telling(found->first);
    },
    [this](const ask_decide& ask) { ask.reply(settle_request(ask.what)); },
    [this](const ask_look& ask) { start_looking(ask.endpoint, ask.within, ask.told); },
    [this](const ask_open& ask) { open_request(ask.connection, ask.told); },
    [this](const drop_request& gone) {
      held_.erase(gone.connection);
      (void)settle_request({gone.connection, false, "the request was dropped"});
    },
    [this](const ask_spawn& ask) { ask.reply(spawn_on<guest>(system(), home(), ask.what)); },
    [this](const ask_close& ask) { start_closing(ask.how); },
    [this](const ask_end&) {
      for (auto& [id, at] : connections_)
        command_connection(
          id, {bus::node::end_connection{id, {errc::shutting_down, blame::local, {}}}});
    },
    // -- from this node's own actors
    [this](const frames_arrived& arrived) {
      core_.on(arrived.connection, bus::received{arrived.frames});
      drive();
    },
    [this](const session_told& told) {
      core_.on(told.connection, std::move(*told.event));
      drive();
    },
    [this](const settle_receipts& what) {
      core_.settle(what.subscription);
      drive();
    },
    [this](const arm_deadline& arm) {
      core_.arm(arm.connection, arm.when);
      arm_timer();
    },
    [this](const tick_node&) {
      armed_ = never;
      core_.tick(steady_now());
      drive();
    },
    [this](const accepted& taken) { spawn_listening(taken.socket); },
    [this](const listening_failed& failed) { listeners_.erase(failed.listener); },
    [this](const dial_done& told) { on_dial_done(told); },
    [this](const finish&) { quit(); },
  };
}

void node_shell::leave() {
  timer_.reset();
  access_->shell()->detach();
  for (const auto& [id, each] : listeners_)
    post(each, finish{});
  for (const auto& [id, each] : dials_)
    each.who->cancel();
  for (const auto& [id, each] : connections_)
    post(each.actor, finish{});
  for (const auto& [id, each] : audiences_) {
    if (!finished_) // ended from outside: nobody else tells them
      static_cast<void>(each.who->take(node_event{closed{}}));
    each.who->over();
  }
  listeners_.clear();
  dials_.clear();
  connections_.clear();
  connecting_.clear();
  looking_.clear();
  held_.clear();
  audiences_.clear();
  waiting_for_close_.clear();
  leave_requests();
  access_->close();
}

// -- what users ask -----------------------------------------------------------------

void node_shell::start_listening(const std::string& text, const answer<std::string>& reply) {
  const auto where = offered(text);
  if (!where)
    return reply(where.error());
  if (core_.is_closing())
    return reply(error{errc::node_closed, blame::local, {}});
  if (where->expected && where->expected != core_.id())
    return reply(error{errc::wrong_node, blame::local, "this node has another id than " + text});
  const auto id = ++last_listener_;
  listeners_.emplace(
    id,
    spawn_on<listener>(system(), home(), listener::options{*where, id, caf::actor{this}, reply}));
}

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
  dials_.emplace(id,
                 dial{who, where->expected, later(steady_now(), within), reply, std::move(looks)});
  who->start();
}

send_outcome node_shell::send_one(const send_message& what) {
  const auto to = access_->peers().find(what.to);
  if (!to)
    return send_outcome::closed;
  const auto flags = what.opaque ? codecs::frame_flag::opaque : std::uint8_t{0};
  return to->send({.flags = flags, .tag = what.tag}, what.body);
}

bool node_shell::settle_request(const decide& what) {
  const auto in_time =
    core_.decide(what.connection,
                 what.accept ? result<void>{} : error{errc::rejected, blame::local, what.reason});
  drive();
  return in_time;
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
void node_shell::open_request(std::uint64_t connection, const answer<node_id>& reply) {
  const auto before = connecting_.extract(connection);
  connecting_.emplace(connection, reply);
  if (settle_request({connection, true, {}}))
    return;
  connecting_.erase(connection);
  if (!before.empty())
    connecting_.emplace(connection, before.mapped());
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

void node_shell::start_closing(const close_node& how) {
  for (const auto& [id, each] : listeners_)
    post(each, finish{});
  listeners_.clear();
  for (const auto& [id, each] : dials_) {
    each.who->cancel();
    each.reply(error{errc::node_closed, blame::local, {}});
  }
  dials_.clear();
  core_.close({how.reason, blame::local, {}}, how.drain, steady_now());
  drive();
}

// -- what its actors tell ------------------------------------------------------------

void node_shell::on_dial_done(const dial_done& told) {
  const auto found = dials_.find(told.dial);
  if (found == dials_.end())
    return;
  const auto of = std::move(found->second);
  dials_.erase(found);
  if (!told.socket)
    return of.reply(told.why);
  auto started = core_.start(
    {bus::session::role::dialer, told.socket->peer, of.expected, static_cast<bool>(of.looks)});
  if (!started)
    return of.reply(started.error());
  // The time for connecting covers the handshake, too.
  auto& bounds = started->how.bounds;
  bounds.handshake_time_max = std::min(bounds.handshake_time_max, of.deadline - steady_now());
  connecting_.emplace(started->connection, of.reply);
  if (of.looks)
    looking_.emplace(started->connection, of.looks);
  spawn_connection(std::move(*started), told.socket);
}

void node_shell::spawn_listening(std::shared_ptr<socket_box> socket) {
  // A node that closes takes nobody in; the socket closes with its box.
  if (auto started = core_.start({bus::session::role::listener, socket->peer, {}}))
    spawn_connection(std::move(*started), std::move(socket));
}

void node_shell::spawn_connection(bus::node::started start, std::shared_ptr<socket_box> socket) {
  const auto id = start.connection;
  auto to = std::make_shared<actors::link>(core_.bounds(), budget_);
  start.how.charge = bus::shared<bus::receipt>::adopt(new waking_receipt(to->connection()));
  auto who = spawn_on<connection>(
    system(), home(),
    connection::options{std::move(start), std::move(socket), to, caf::actor{this}});
  connections_.emplace(id, peer_connection{std::move(who), std::move(to)});
  drive();
}

// -- what the core decides -----------------------------------------------------------

void node_shell::drive() {
  while (auto what = core_.next())
    obey(*what);
  arm_timer();
}

void node_shell::obey(bus::node::output& what) {
  using core = bus::node;
  std::visit(
    bus::overloaded{
      [&](bus::connection_order auto& order) { command_connection(order.connection, {order}); },
      [&](core::link_up& up) { access_->peers().add(connections_.at(up.connection).link); },
      [&](core::link_down& down) {
        access_->peers().remove(*connections_.at(down.connection).link);
      },
      [&](core::connection_over& over) {
        connections_.erase(over.connection);
        looking_.erase(over.connection);
        held_.erase(over.connection);
      },
      [&](core::tell_subscriber& told) { tell(told.what); },
      [&](core::ask_dialer& asked) {
        if (auto found = looking_.extract(asked.what.connection); !found.empty())
          found.mapped()(held(std::move(asked.what)));
      },
      [&](core::answer_dial& answered) {
        if (const auto found = connecting_.find(answered.connection); found != connecting_.end()) {
          const auto reply = std::move(found->second);
          connecting_.erase(found);
          reply(std::move(answered.peer));
        }
      },
      [&](core::hand_over_request& asked) { hand_over(asked); },
      [&](core::call_off_request& off) { call_off(off); },
      [&](core::answer_request& answered) { take_answer(answered); },
      [&](core::finished&) { become_closed(); },
    },
    what);
}

void node_shell::command_connection(bus::connection_id id, command what) {
  if (const auto found = connections_.find(id); found != connections_.end())
    post(found->second.actor, std::move(what));
}

void node_shell::become_closed() {
  finished_ = true;
  for (const auto& reply : waiting_for_close_)
    reply(closed{});
  waiting_for_close_.clear();
  quit();
}

// The timer fires outside of any handler, where an actor may not act: it sends a message.
void node_shell::arm_timer() {
  const auto when = core_.deadline();
  if (when >= armed_)
    return;
  armed_ = when;
  timer_->expires_at(when);
  timer_->async_wait([this, alive = self()](asio::error_code failed) {
    if (!failed)
      post(caf::actor{this}, tick_node{});
  });
}

} // namespace postbus::actors
