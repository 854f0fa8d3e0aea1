// node: peers that shall stay connected. What the keeper decides, in terms of connections. The rest
// of the class is in node.cpp.
#include "postbus/bus/node.hpp"

#include "postbus/bus/overloaded.hpp"

namespace postbus::bus {

result<void> node::keep_connected(postbus::keep_connected what) {
  if (closing_)
    return error{errc::node_closed, blame::local, {}};
  return keeper_.keep(std::move(what));
}

bool node::stop_keeping(const std::string& endpoint) {
  const auto known = keeper_.stop(endpoint);
  settle_keeper();
  return known;
}

void node::dial_failed(keeper::keep_id keep, const error& why) {
  keeper_.dialed(keep, why);
  settle_keeper();
}

void node::give_back(const node_id& peer, const fifo<outgoing>& frames, const error& why) {
  ledger_.unsent(hand_back(peer, frames), why);
}

void node::answer_dial_of(connection_id id, result<node_id> peer) {
  if (const auto kept = kept_dials_.find(id); kept != kept_dials_.end()) {
    keeper_.dialed(kept->second, peer);
    kept_dials_.erase(kept);
    if (const auto open = peer ? peers_.find(*peer) : std::nullopt;
        open && !keeper_.keeps(*peer)) // stopped meanwhile
      outputs_.push_back(keep_connection{*open, false});
  }
  outputs_.push_back(answer_dial{id, std::move(peer)});
}

void node::tell_down(connection_id id, const connection& at, ended& end, bool held) {
  disconnected told{at.peer, end.reason, end.account, at.frames_received, at.frames_unclaimed};
  link_down down{id, at.peer, told, held, {}};
  if (held)
    down.first = std::move(end.unsent);
  outputs_.push_back(std::move(down));
  subscriptions_.push(told);
  if (options_.hand_back_unsent && !held)
    (void)hand_back(at.peer, end.unsent);
  keeper_.down(at.peer, end.reason);
}

void node::settle_keeper() {
  while (auto action = keeper_.next())
    std::visit(
      overloaded{
        [&](keeper::dial& dial) {
          outputs_.push_back(dial_kept{dial.keep, std::move(dial.endpoint), dial.within});
        },
        [&](keeper::tell& tell) { subscriptions_.push(tell.what); },
        [&](const keeper::stay& stay) {
          if (const auto open = peers_.find(stay.peer))
            outputs_.push_back(keep_connection{*open, stay.yes});
        },
        [&](const keeper::hold& hold) {
          if (const auto open = peers_.find(hold.peer))
            outputs_.push_back(hold_messages{*open, hold.peer, hold.bytes_max, hold.messages_max});
        },
        [&](const keeper::release& release) { outputs_.push_back(release_held{release.peer}); },
      },
      *action);
}

} // namespace postbus::bus
