// node_shell: what handles and actors ask about the node itself, where it listens and who is connected.
// The rest of the class is in node_shell.cpp.
#include "postbus/actors/node_shell.hpp"

#include "postbus/bus/endpoint.hpp"

#include <algorithm>

namespace postbus::actors {

namespace {

caf::result<void> as_answer(const result<void>& what) {
  if (!what)
    return to_caf(what.error());
  return {};
}

} // namespace

caf::message_handler node_shell::setting_handlers() {
  return {
    [this](const set_init_message& ask) { return as_answer(init_message(ask.init)); },
    [this](const set_idle_time& ask) { return as_answer(idle_time(ask.idle_time_max)); },
    [this](const set_statistics_half_life& ask) {
      return as_answer(statistics_half_life(ask.half_life));
    },
    [this](const set_bounds& ask) { return as_answer(bounds(ask.bounds)); },
    [this](get_bounds) { return core_.bounds(); },
    [this](const listen_defaults&) {
      answer<endpoint_list> reply;
      auto promised = promise(reply);
      start_listening_everywhere(reply);
      return promised;
    },
    [this](const list_addresses&) { return endpoint_list{access_->addresses()}; },
    [this](const stop_listening& ask) {
      answer<bool> reply;
      auto promised = promise(reply);
      start_stopping(ask.endpoint, reply);
      return promised;
    },
    [this](const list_peers&) { return peer_list{access_->peers().peers()}; },
    [this](const is_connected& ask) { return access_->is_connected(ask.peer); },
    [this](const find_peer& ask) -> caf::result<node_id> {
      if (const auto peer = access_->peer_at(ask.endpoint))
        return peer;
      return to_caf({errc::not_connected, blame::local, ask.endpoint});
    },
    [this](const disconnect& ask) {
      answer<disconnected> reply;
      auto promised = promise(reply);
      start_disconnecting(ask, reply);
      return promised;
    },
    [this](const notify_writable& ask) -> caf::result<void> {
      const auto way = ask.whom ? access_->way_to(ask.peer) : nullptr;
      if (!way || !way->notify_writable(ask.whom, ask.bytes))
        return to_caf({errc::not_connected, blame::local, {}});
      return {};
    },
    [this](const send_to_many& what) {
      send_outcomes all;
      for (const auto& peer : what.to)
        all.each.push_back(
          access_->refused().count(send_one({peer, what.body, what.tag, what.opaque})));
      return all;
    },
  };
}

// -- settings -----------------------------------------------------------------------

result<void> node_shell::init_message(payload init) {
  return core_.init_message(std::move(init));
}

result<void> node_shell::bounds(const limits& changed) {
  const auto before = core_.bounds().node_outbox_bytes_max;
  auto taken = core_.bounds(changed);
  if (taken) {
    budget_->overdraw(before);
    budget_->give_back(changed.node_outbox_bytes_max);
    own_->bounds(changed);
    for (const auto& [id, each] : audiences_)
      each.who->events_max(changed.subscription_events_max, changed.subscription_event_bytes_max);
  }
  deliver_own(); // and whoever waits for room may find some
  return taken;
}

result<void> node_shell::idle_time(duration longest) {
  auto changed = core_.bounds();
  changed.idle_time_max = longest;
  return bounds(changed);
}

result<void> node_shell::statistics_half_life(duration half_life) {
  auto changed = core_.bounds();
  changed.statistics_half_life = half_life;
  return bounds(changed);
}

// -- listening ------------------------------------------------------------------------

result<endpoint> node_shell::offered(const std::string& text) {
  auto where = endpoint::parse(text);
  if (!where)
    return where;
  if (!where->dialect.empty())
    return error{errc::unsupported, blame::local, "the dialect " + where->dialect + " in " + text};
  if (where->over != endpoint::transport::tcp)
    return error{errc::unsupported, blame::local, "TLS in " + text};
  return where;
}

// What the two answers have in common: the last one that comes answers for both.
void node_shell::start_listening_everywhere(const answer<endpoint_list>& reply) {
  struct both {
    endpoint_list open;
    std::string failures;
    int missing = 2;
  };
  const auto together = std::make_shared<both>();
  for (const auto* each : {"tcp://0.0.0.0:0", "tcp://[::]:0"})
    start_listening(each, answer<std::string>([together, reply](result<std::string>&& at) {
                      if (at)
                        together->open.endpoints.push_back(std::move(*at));
                      else
                        together->failures +=
                          (together->failures.empty() ? "" : "; ") + to_string(at.error());
                      if (--together->missing > 0)
                        return;
                      if (!together->open.endpoints.empty())
                        return reply(std::move(together->open));
                      reply(error{errc::listen_failed, blame::local, together->failures});
                    }));
}

void node_shell::start_stopping(const std::string& text, const answer<bool>& reply) {
  const auto where = endpoint::parse(text);
  const auto found = std::find_if(listeners_.begin(), listeners_.end(), [&](const auto& each) {
    return where && each.second.endpoint == to_string(*where);
  });
  if (found == listeners_.end())
    return reply(false);
  access_->not_listening(found->second.endpoint);
  post(found->second.actor, end_listening{reply});
  listeners_.erase(found);
}

// -- messages to itself ----------------------------------------------------------------

void node_shell::deliver_own() {
  if (own_->pull(core_))
    post(caf::actor{this}, drain_link{}); // behind whoever else has something to do
  drive();
}

// -- peers ----------------------------------------------------------------------------

void node_shell::start_disconnecting(const disconnect& what, const answer<disconnected>& reply) {
  const auto connection = core_.disconnect(what.peer, what.words, what.drain);
  if (!connection)
    return reply(connection.error());
  disconnecting_[*connection].push_back(reply);
  drive();
}

void node_shell::on_dial_answered(bus::node::answer_dial& answered) {
  const auto found = connecting_.find(answered.connection);
  if (found == connecting_.end())
    return;
  const auto of = std::move(found->second);
  connecting_.erase(found);
  if (answered.peer && access_->is_connected(*answered.peer))
    for (const auto& each : of.endpoints)
      access_->dialed(each, *answered.peer);
  of.reply(std::move(answered.peer));
}

} // namespace postbus::actors
