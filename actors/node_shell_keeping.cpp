// node_shell: links that come and go, peers that shall stay, and what is held for them meanwhile. The
// rest of the class is in node_shell.cpp.
#include "postbus/actors/node_shell.hpp"

#include "postbus/actors/dialer.hpp"

namespace postbus::actors {

caf::message_handler node_shell::keeping_handlers() {
  return {
    [this](const keep_connected& ask) -> caf::result<void> {
      if (auto taken = keep(ask); !taken)
        return to_caf(taken.error());
      return {};
    },
    [this](const stop_keeping& ask) { return keep_no_more(ask.endpoint); },
  };
}

result<void> node_shell::keep(const keep_connected& what) {
  if (const auto where = offered(what.endpoint); !where)
    return where.error();
  auto taken = core_.keep_connected(what);
  drive();
  return taken;
}

bool node_shell::keep_no_more(const std::string& endpoint) {
  const auto known = core_.stop_keeping(endpoint);
  drive();
  return known;
}

void node_shell::dial_for(const bus::node::dial_kept& order) {
  const auto where = offered(order.endpoint);
  if (!where)
    return core_.dial_failed(order.keep, where.error());
  const auto id = ++last_dial_;
  auto who =
    std::make_shared<dialer>(home(), dialer::options{*where, order.within, id, caf::actor{this}});
  dials_.emplace(id, dial{who, *where, later(steady_now(), order.within), {}, {}, order.keep});
  who->start();
}

void node_shell::refuse_dial(const dial& of, error why) {
  if (of.keep != 0)
    core_.dial_failed(of.keep, why);
  of.reply(std::move(why));
}

// -- links ----------------------------------------------------------------------------

void node_shell::on_link_up(const bus::node::link_up& up) {
  const auto& to = connections_.at(up.connection).link;
  const auto held = holds_.find(up.peer);
  if (held == holds_.end())
    return access_->peers().add(to);
  const auto refused = held->second->move_to(*to, [&] { access_->peers().add(to); });
  holds_.erase(held);
  core_.give_back(up.peer, refused, {errc::too_large, blame::remote, {}});
}

void node_shell::on_link_down(bus::node::link_down& down) {
  access_->forget(down.peer);
  const auto gone = connections_.at(down.connection).link;
  // What was held and came to a connection that was over before the node heard of it.
  auto late = gone->take_all();
  while (auto frames = late.take_front())
    down.first.push_back(std::move(*frames));
  const auto held = holds_.find(down.peer);
  if (down.held && held != holds_.end()) {
    held->second->put_first(std::move(down.first));
    access_->peers().add(held->second); // in the place of the link that is gone
  } else {
    access_->peers().remove(*gone);
    core_.give_back(down.peer, down.first, down.told.reason);
  }
  if (const auto asked = disconnecting_.find(down.connection); asked != disconnecting_.end()) {
    for (const auto& each : asked->second)
      each(disconnected(down.told));
    disconnecting_.erase(asked);
  }
}

// -- messages that are held -------------------------------------------------------------

void node_shell::hold_for(const bus::node::hold_messages& order) {
  const auto at = connections_.find(order.connection);
  if (at == connections_.end() || holds_.contains(order.peer))
    return;
  auto made = std::make_shared<actors::link>(*at->second.link, order.bytes_max, order.messages_max);
  at->second.link->successor(made);
  holds_.emplace(order.peer, std::move(made));
}

void node_shell::release(const node_id& peer, errc why) {
  const auto held = holds_.find(peer);
  if (held == holds_.end())
    return;
  const auto way = std::move(held->second);
  holds_.erase(held);
  const auto frames = way->take_all();
  access_->peers().remove(*way);
  core_.give_back(peer, frames, {why, blame::local, {}});
}

void node_shell::release_all() {
  while (!holds_.empty())
    release(node_id(holds_.begin()->first), errc::node_closed);
}

} // namespace postbus::actors
