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

// No subscription has it: what the node sent to itself was let go.
constexpr std::uint64_t own_subscription = 0;

bus::node::options with_own_charge(bus::node::options how, const std::shared_ptr<waker>& whom) {
  how.own_charge = bus::shared<bus::receipt>::adopt(new waking_receipt(whom, own_subscription));
  return how;
}

} // namespace

node_shell::node_shell(caf::actor_config& config, loop& home, bus::node::options how,
                       std::shared_ptr<node_access> access)
  : bound(config, home), core_(with_own_charge(std::move(how), access->shell()), steady_now()),
    access_(std::move(access)),
    budget_(std::make_shared<outbox_budget>(core_.bounds().node_outbox_bytes_max)),
    own_(std::make_shared<actors::link>(core_.bounds(), budget_, access_->shell())),
    timer_(std::in_place, home.io()) {
  own_->open(core_.id(), core_.bounds().frame_bytes_max);
  access_->own(own_);
}

// CAF tries the handlers one after the other: what comes with every read is first.
caf::behavior node_shell::make_behavior() {
  return own_handlers()
    .or_else(user_handlers())
    .or_else(setting_handlers())
    .or_else(keeping_handlers());
}

caf::message_handler node_shell::own_handlers() {
  return {
    [this](const frames_arrived& arrived) {
      core_.on(arrived.connection, bus::received{arrived.frames});
      drive();
    },
    [this](const session_told& told) {
      core_.on(told.connection, std::move(*told.event));
      drive();
    },
    [this](const settle_receipts& what) {
      if (what.subscription == own_subscription)
        return deliver_own();
      core_.settle(what.subscription);
      drive();
    },
    [this](const drain_link&) { deliver_own(); },
    [this](const arm_deadline& arm) {
      core_.arm(arm.connection, arm.when);
      arm_timer();
    },
    [this](const tick_node&) {
      armed_ = never;
      core_.tick(steady_now());
      drive();
    },
    [this](const accepted& taken) { spawn_listening(taken); },
    [this](const listening_failed& failed) { listeners_.erase(failed.listener); },
    [this](const dial_done& told) { on_dial_done(told); },
    [this](const connection_reported& said) {
      core_.report(said.connection, said.collection, std::move(*said.what));
      drive();
    },
    [this](const node_task& what) { what.run(*this); },
    [this](const finish&) { quit(); },
  };
}

caf::message_handler node_shell::user_handlers() {
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
      open_request(ask, reply);
      return promised;
    },
    [this](const send_message& what) { return access_->refused().count(send_one(what)); },
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
    [this](get_statistics) {
      answer<node_statistics> reply;
      auto promised = promise(reply);
      start_collecting(reply);
      return promised;
    },
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
      auto made = start_handling(what);
      if (!made)
        return to_caf(made.error());
      return *made;
    },
    [this](const stop_handling& what) { return end_handling(what.which.id); },
    // -- from handles on plain threads
    [this](const ask_request& ask) {
      start_request(ask.what, {handles, ask.what.key}, ask.told);
    },
    [this](const ask_cancel& ask) {
      give_up_request({handles, ask.key});
    },
    [this](const ask_handle& ask) { ask.reply(start_handling(ask.what)); },
    [this](const ask_handle_function& ask) { ask.reply(start_function(ask)); },
    [this](const ask_stop_handling& ask) { end_handling(ask.what ? id_of(*ask.what) : ask.id); },
    [this](const ask_respond& what) { respond(what); },
    [this](const request_let_go& gone) { core_.let_go(gone.connection, gone.bytes); },
    [this](const ask_listen& ask) { start_listening(ask.endpoint, ask.reply); },
    [this](const ask_connect& ask) { start_dialing(ask.endpoint, ask.within, ask.reply); },
    [this](const ask_subscribe& ask) { ask.reply(start_telling(ask.wants, ask.who)); },
    [this](const ask_unsubscribe& ask) {
      cut_off(ask.id);
      stop_telling(ask.id);
    },
    [this](const ask_count& ask) { ask.reply(count(ask.which)); },
    [this](const subscriber_over& gone) { on_subscriber_over(gone.who); },
    [this](const forget_recipient& gone) {
      const auto found = std::find_if(audiences_.begin(), audiences_.end(), [&](const auto& each) {
        return each.second.who == gone.who;
      });
      if (found != audiences_.end())
        stop_telling(found->first);
    },
    [this](const ask_statistics& ask) { start_collecting(ask.reply); },
    [this](const ask_decide& ask) { ask.reply(settle_request(ask.what, ask.asked_by)); },
    [this](const ask_look& ask) { start_looking(ask.endpoint, ask.within, ask.told); },
    [this](const ask_open& ask) { open_request(ask.what, ask.told, ask.asked_by); },
    [this](const drop_request& gone) { refuse_if_fallen(gone.connection); },
    [this](const ask_spawn& ask) { ask.reply(spawn_on<guest>(system(), home(), ask.what)); },
    [this](const ask_close& ask) { start_closing(ask.how); },
    [this](const ask_end&) {
      for (auto& [id, at] : connections_)
        command_connection(
          id, {bus::node::end_connection{id, {errc::shutting_down, blame::local, {}}}});
    },
  };
}

void node_shell::leave() {
  timer_.reset();
  own_->shut();
  for (const auto& [peer, each] : holds_)
    (void)each->take_all();
  holds_.clear();
  access_->shell()->detach();
  for (const auto& [id, each] : listeners_)
    post(each.actor, finish{});
  for (const auto& [id, each] : dials_)
    each.who->cancel();
  for (const auto& [id, each] : connections_)
    post(each.actor, finish{});
  for (const auto& [id, each] : audiences_) {
    if (!finished_) // ended from outside: nobody else tells them
      static_cast<void>(each.who->take(node_event{closed{}}));
    cut_off(id); // one that was too full to be told
    each.who->over();
  }
  listeners_.clear();
  dials_.clear();
  connections_.clear();
  connecting_.clear();
  disconnecting_.clear();
  looking_.clear();
  held_.clear();
  audiences_.clear();
  collecting_.clear();
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
  const answer<std::string> opened([this, id, reply, alive = self()](result<std::string>&& at) {
    if (const auto found = listeners_.find(id); at && found != listeners_.end())
      access_->listening(found->second.endpoint = *at);
    reply(std::move(at));
  });
  listeners_.emplace(
    id, listening{spawn_on<listener>(system(), home(),
                                     listener::options{*where, id, caf::actor{this}, opened}),
                  {}});
}

send_outcome node_shell::send_one(const send_message& what) {
  const auto to = access_->way_to(what.to);
  if (!to)
    return send_outcome::closed;
  const auto flags = what.opaque ? codecs::frame_flag::opaque : std::uint8_t{0};
  std::optional<duration> at_once;
  return to->send({.flags = flags, .tag = what.tag}, what.body, at_once);
}

// The numbers of two nodes' questions may be the same, so their nodes and peers are looked at, too.
bool node_shell::settle_request(const decide& what, const void* asked_by) {
  if (asked_by != nullptr && asked_by != static_cast<const void*>(this))
    return false;
  const auto in_time = core_.decide(
    what.connection,
    what.accept ? result<void>{} : error{errc::rejected, blame::local, what.reason}, what.peer);
  drive();
  return in_time;
}

void node_shell::start_closing(const close_node& how) {
  for (const auto& [id, each] : listeners_) {
    post(each.actor, finish{});
    access_->not_listening(each.endpoint);
  }
  listeners_.clear();
  for (const auto& [id, each] : dials_) {
    each.who->cancel();
    each.reply(error{errc::node_closed, blame::local, {}});
  }
  dials_.clear();
  release_all();
  std::shared_ptr<const void> hold;
  if (!core_.is_closing()) // the last one who hears of it lets go of this
    hold = std::shared_ptr<const void>(
      static_cast<const void*>(this), [shell = access_->shell()](const void*) {
        shell->wake(node_task{[](node_shell& at) { at.closing_heard(); }});
      });
  core_.close({how.reason, blame::local, {}}, how.drain, steady_now(), std::move(hold));
  drive();
}

void node_shell::closing_heard() {
  core_.closing_heard();
  drive();
}

// -- what its actors tell ------------------------------------------------------------

void node_shell::spawn_listening(const accepted& taken) {
  // A node that closes takes nobody in; the socket closes with its box.
  if (auto started = core_.start({.role = bus::session::role::listener,
                                  .address = taken.socket->peer,
                                  .expected = {},
                                  .origin = taken.origin}))
    spawn_connection(std::move(*started), taken.socket);
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
      [&](core::report_connection& order) { command_connection(order.connection, {order}); },
      [&](core::statistics_ready& ready) { tell(ready); },
      [&](core::link_up& up) { on_link_up(up); },
      [&](core::link_down& down) { on_link_down(down); },
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
      [&](core::answer_dial& answered) { on_dial_answered(answered); },
      [&](core::dial_kept& order) { dial_for(order); },
      [&](core::hold_messages& order) { hold_for(order); },
      [&](core::release_held& order) { release(order.peer); },
      [&](core::hand_over_request& asked) { hand_over(asked); },
      [&](core::call_off_request& off) { call_off(off); },
      [&](core::answer_request& answered) { take_answer(answered); },
      [&](core::end_sending&) {
        own_->pull_all(core_);
        core_.say_goodbye(steady_now());
      },
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
  // Who asked meanwhile is in the mailbox already, and has an answer, too.
  answer_others(*this, {errc::node_closed, blame::local, {}});
  become(caf::message_handler{[](const close_node&) { return closed{}; },
                              [this](const finish&) { quit(); }});
  post(caf::actor{this}, finish{});
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
