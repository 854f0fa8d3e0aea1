#include "postbus/bus/peer_table.hpp"

#include <algorithm>

namespace postbus::bus {

void peer_table::arrived(const candidate& who) {
  owner_.emplace(who.connection, who.peer);
  auto& of = peers_[who.peer];
  of.others.push_back({who, standing::waiting});
  reconsider(of);
}

bool peer_table::is_asked(connection_id connection) const {
  const auto owner = owner_.find(connection);
  if (owner == owner_.end())
    return false;
  const auto of = peers_.find(owner->second); // not there: turned away, and the other one is gone
  if (of == peers_.end())
    return false;
  const auto& others = of->second.others;
  return std::any_of(others.begin(), others.end(), [&](const entry& other) {
    return other.who.connection == connection && other.state == standing::asked;
  });
}

void peer_table::agreed(connection_id connection) {
  peer* of = nullptr;
  auto* which = find_entry(connection, of);
  if (which == nullptr || which->state != standing::asked)
    return;
  which->state = standing::blocked;
  reconsider(*of);
}

bool peer_table::opened(connection_id connection) {
  peer* of = nullptr;
  auto* which = find_entry(connection, of);
  if (which == nullptr || which->state != standing::accepted || of->open != 0) {
    actions_.push_back(turn_away{connection, errc::already_connected});
    return false;
  }
  // What we have dialed and accepted is as good as open, and a claim with another incarnation may not
  // be quicker. The same run of the peer accepts no two: to it the dialed one is lost.
  const auto* committed = committed_beside(*of, connection);
  if (committed != nullptr && committed->who.incarnation != which->who.incarnation) {
    actions_.push_back(turn_away{connection, errc::id_in_use});
    of->others.erase(of->others.begin() + (which - of->others.data()));
    return false;
  }
  of->open = connection;
  of->incarnation = which->who.incarnation;
  of->others.erase(of->others.begin() + (which - of->others.data()));
  ++open_count_;
  // Whatever else was accepted may be on its way to open, too: it must not.
  for (auto& other : of->others)
    if (other.state == standing::accepted)
      actions_.push_back(turn_away{other.who.connection, other.who.incarnation == of->incarnation
                                                           ? errc::already_connected
                                                           : errc::id_in_use});
  std::erase_if(of->others, [&](const entry& other) { return other.state == standing::accepted; });
  // The peer is alive, that much is fresh: its own other dials need no probe.
  for (auto& other : of->others)
    if (other.who.incarnation == of->incarnation)
      actions_.push_back(turn_away{other.who.connection, errc::already_connected});
  std::erase_if(of->others,
                [&](const entry& other) { return other.who.incarnation == of->incarnation; });
  reconsider(*of);
  return true;
}

void peer_table::probed(connection_id connection, bool alive) {
  const auto found = owner_.find(connection);
  if (found == owner_.end())
    return;
  auto& of = peers_[found->second];
  if (of.open != connection || !of.probing)
    return;
  of.probing = false;
  if (of.leaving)
    return;
  if (alive) {
    for (const auto& other : of.others)
      actions_.push_back(turn_away{other.who.connection, other.who.incarnation == of.incarnation
                                                           ? errc::already_connected
                                                           : errc::id_in_use});
    of.others.clear();
  } else if (!of.others.empty()) {
    const auto same = std::any_of(of.others.begin(), of.others.end(), [&](const entry& other) {
      return other.who.incarnation == of.incarnation;
    });
    of.leaving = true;
    actions_.push_back(displace{connection, same ? errc::peer_lost : errc::peer_restarted});
  }
}

void peer_table::leaving(connection_id connection) {
  const auto found = owner_.find(connection);
  if (found == owner_.end())
    return;
  auto& of = peers_[found->second];
  if (of.open == connection)
    of.leaving = true;
}

void peer_table::gone(connection_id connection) {
  const auto found = owner_.find(connection);
  if (found == owner_.end())
    return;
  const auto id = found->second;
  owner_.erase(found);
  auto& of = peers_[id];
  if (of.open == connection) {
    of.open = 0;
    of.probing = false;
    of.leaving = false;
    --open_count_;
  } else {
    std::erase_if(of.others,
                  [&](const entry& other) { return other.who.connection == connection; });
  }
  if (of.open == 0 && of.others.empty())
    peers_.erase(id);
  else
    reconsider(of);
}

std::optional<peer_table::action> peer_table::next() {
  return actions_.take_front();
}

std::optional<connection_id> peer_table::find(const node_id& id) const {
  const auto found = peers_.find(id);
  if (found == peers_.end() || found->second.open == 0)
    return std::nullopt;
  return found->second.open;
}

bool peer_table::pending(const node_id& id) const {
  const auto found = peers_.find(id);
  return found != peers_.end() && !found->second.others.empty();
}

// Everybody who waits may have become free to go on.
void peer_table::reconsider(peer& of) {
  if (of.open != 0)
    return reconsider_beside_open(of);
  for (auto& which : of.others) {
    if (which.state == standing::waiting) {
      which.state = standing::asked;
      actions_.push_back(ask{which.who.connection});
    } else if (which.state == standing::blocked && !must_yield(of, which)) {
      which.state = standing::accepted;
      actions_.push_back(accept{which.who.connection});
    }
  }
}

// An open connection never yields to a claim of its id: it is asked for a sign of life first.
void peer_table::reconsider_beside_open(peer& of) {
  if (of.others.empty() || of.probing || of.leaving)
    return;
  of.probing = true;
  actions_.push_back(probe{of.open});
}

// Another connection that was dialed here and accepted.
const peer_table::entry* peer_table::committed_beside(const peer& of, connection_id connection) {
  const auto found = std::find_if(of.others.begin(), of.others.end(), [&](const entry& other) {
    return other.who.connection != connection && other.who.dialed
           && other.state == standing::accepted;
  });
  return found == of.others.end() ? nullptr : &*found;
}

// Two dials at the same time: the smaller id's survives. Each connection is made final by the end
// that dialed it, so it is the larger id's end that holds its own dial back while the other, which
// it has accepted, may still open; the smaller id's end holds the other back while it decides on
// its own. Only one and the same run of the peer counts: a forger does not know the incarnation.
// A dialed connection that was accepted is as good as open, and everybody waits for that.
bool peer_table::must_yield(const peer& of, const entry& which) const {
  if (committed_beside(of, which.who.connection) != nullptr)
    return true;
  const auto ours_first = self_ < which.who.peer;
  if (which.who.dialed == ours_first)
    return false;
  return std::any_of(of.others.begin(), of.others.end(), [&](const entry& other) {
    const auto rival =
      other.who.dialed != which.who.dialed && other.who.incarnation == which.who.incarnation;
    const auto decided_there =
      other.who.dialed ? other.state == standing::asked : other.state == standing::accepted;
    return rival && decided_there;
  });
}

peer_table::entry* peer_table::find_entry(connection_id connection, peer*& of) {
  const auto found = owner_.find(connection);
  if (found == owner_.end())
    return nullptr;
  of = &peers_[found->second];
  const auto which = std::find_if(of->others.begin(), of->others.end(), [&](const entry& other) {
    return other.who.connection == connection;
  });
  return which == of->others.end() ? nullptr : &*which;
}

} // namespace postbus::bus
