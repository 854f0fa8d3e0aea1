#include "postbus/bus/node.hpp"

#include "postbus/bus/overloaded.hpp"
#include <algorithm>
#include <bit>

namespace postbus::bus {

namespace {

std::string host_of(const std::string& address) {
  return address.substr(0, address.rfind(':'));
}

} // namespace

node::node(options how, time_point now)
  : options_(std::move(how)), wheel_(now), peers_(options_.id), subscriptions_(*options_.bounds),
    ledger_(options_.bounds->closed_connections_max),
    requests_(options_.bounds->node_received_bytes_max),
    window_share_(options_.bounds->window_bytes_max), keeper_(options_.incarnation),
    loopback_(options_.own_charge) {}

node::connection* node::find(connection_id id) {
  const auto found = connections_.find(id);
  return found == connections_.end() ? nullptr : &found->second;
}

// -- connections ------------------------------------------------------------------

result<node::started> node::start(start_options who) {
  if (closing_)
    return error{errc::node_closed, blame::local, {}};
  const auto id = ++last_id_;
  auto& at = connections_[id];
  at.role = who.role;
  at.address = std::move(who.address);
  at.asks = who.asks;
  at.awaited = who.role == session::role::dialer;
  if (who.role == session::role::listener) {
    at.origin = who.origin.empty() ? host_of(at.address) : std::move(who.origin);
    make_room(at.origin);
    opening_[at.origin].insert(id);
    ++opening_count_;
  }

  started result{id, {.role = who.role, .self = {}, .bounds = options_.bounds, .charge = {}}};
  auto& how = result.how;
  how.self.id = options_.id;
  how.self.expected = who.expected;
  how.self.incarnation = options_.incarnation;
  how.self.keepalive_ms = static_cast<std::uint32_t>(
    std::chrono::duration_cast<std::chrono::milliseconds>(options_.bounds->keepalive_time).count());
  how.self.frame_bytes_max = options_.bounds->frame_bytes_max;
  how.self.init = options_.init;
  how.window_bytes_max = window_share_;
  how.takes_messages = subscriptions_.anybody_takes_messages();
  how.keep_idle = who.keep != 0;
  if (who.keep != 0)
    kept_dials_.emplace(id, who.keep);
  return result;
}

// When the places for connections that are not open are taken, the oldest of the origin that holds
// most of them goes, and the oldest of all where several hold as many: a flood from one origin pushes
// out only itself, one from many those who had most time.
void node::make_room(const std::string& origin) {
  const auto& bounds = *options_.bounds;
  const auto here = opening_.find(origin);
  auto victim = opening_.end();
  if (here != opening_.end() && here->second.size() >= bounds.pending_handshakes_per_address_max)
    victim = here;
  else if (opening_count_ >= bounds.pending_handshakes_max)
    victim =
      std::max_element(opening_.begin(), opening_.end(), [](const auto& left, const auto& right) {
        const auto sizes = left.second.size() <=> right.second.size();
        return sizes != 0 ? sizes < 0 : *left.second.begin() > *right.second.begin();
      });
  if (victim == opening_.end())
    return;
  const auto oldest = *victim->second.begin();
  outputs_.push_back(end_connection{oldest, {errc::too_many_handshakes, blame::local, {}}});
  no_longer_pending(oldest, connections_[oldest]);
}

void node::no_longer_pending(connection_id id, connection& at) {
  if (!std::exchange(at.pending, false) || at.role == session::role::dialer)
    return; // what was dialed here was asked for, and takes no stranger's place
  --opening_count_;
  const auto found = opening_.find(at.origin);
  found->second.erase(id);
  if (found->second.empty())
    opening_.erase(found);
}

void node::on(connection_id id, session_event event) {
  auto* at = find(id);
  if (at == nullptr)
    return;
  std::visit(overloaded{
               [&](hello_seen& seen) { on_hello(id, *at, std::move(seen.peer)); },
               [&](opened&) { on_opened(id, *at); },
               [&](received& arrived) { on_received(id, *at, arrived.frames); },
               [&](goodbye_seen&) { peers_.leaving(id); },
               [&](became_idle&) {
                 peers_.leaving(id);
                 outputs_.push_back(close_connection{
                   id, {errc::idle, blame::local, {}}, options_.bounds->drain_time_max});
               },
               [&](probe_done& probe) { peers_.probed(id, probe.alive); },
               [&](requested& asked) { on_requested(id, *at, std::move(asked)); },
               [&](called_off& off) { on_called_off(id, off.id); },
               [&](answered& end) { on_answered(end); },
               [&](expired& late) { on_expired(late.id); },
               [&](unasked& late) { on_unasked(late.id); },
               [&](ended& end) { on_ended(id, end); },
             },
             event);
  settle_peers();
  settle_keeper();
}

void node::on_hello(connection_id id, connection& at, hello peer) {
  at.peer = peer.id;
  at.init = std::move(peer.init);
  at.takes = {peer.requests_max, peer.request_bytes_max, peer.frame_bytes_max};
  const auto refuse = [&](errc code, std::string text) {
    outputs_.push_back(close_connection{id, {code, blame::local, std::move(text)}, {}});
  };
  if (closing_)
    return refuse(errc::shutting_down, "the node is closing");
  // Who is connected already asks for no place: it is turned away as that, or takes its own over.
  if (!peers_.find(at.peer) && peers_.open_count() >= options_.bounds->connections_max)
    return refuse(errc::too_many_connections, "no more connections are taken");
  peers_.arrived({.connection = id,
                  .peer = at.peer,
                  .incarnation = peer.incarnation,
                  .dialed = at.role == session::role::dialer});
}

bool node::decide(connection_id id, const result<void>& answer, const node_id& peer) {
  auto* at = find(id);
  if (at == nullptr || !peers_.is_asked(id) || (peer && peer != at->peer)
      || std::exchange(at->decided, true))
    return false;
  if (answer) {
    at->awaited = true;
    peers_.agreed(id);
  } else {
    outputs_.push_back(close_connection{id, answer.error(), {}});
  }
  settle_peers();
  return true;
}

void node::on_opened(connection_id id, connection& at) {
  if (!at.pending)
    return; // it had to make room in the meantime: its end is on the way
  no_longer_pending(id, at);
  no_longer_promised(at);
  if (!peers_.opened(id))
    return;
  at.linked = true;
  ledger_.opened();
  share_memory();
  outputs_.push_back(link_up{id, at.peer});
  subscriptions_.push(
    connected{at.peer, std::exchange(at.init, {}), at.role == session::role::dialer});
  keeper_.up(at.peer);
  answer(id, at, at.peer);
  answer_waiting_dials(at.peer);
}

void node::on_received(connection_id id, connection& at, const shared<received_frames>& frames) {
  if (!at.linked)
    return; // it was turned away while these were on their way
  frames->claimed.connection = id;
  at.frames_received += frames->frames();
  const auto unclaimed = subscriptions_.push(at.peer, frames);
  at.frames_unclaimed += unclaimed;
  ledger_.unclaimed(unclaimed);
}

void node::on_ended(connection_id id, ended& end) {
  const auto found = connections_.find(id);
  auto at = std::move(found->second);
  no_longer_pending(id, at);
  no_longer_promised(at);
  at.peer = end.peer;
  connections_.erase(found);
  wheel_.disarm(id);
  const auto held = at.linked && keeper_.holds(at.peer);
  if (held) // the next connection sends them
    end.account.unsent = 0;
  ledger_.ended(id, end, at.address, at.role == session::role::dialer, at.linked);
  drop_requests(id, end.reason);
  if (at.linked)
    tell_down(id, at, end, held);
  peers_.gone(id);
  settle_peers(); // a connection that waited for this one may be on its way now
  if (at.awaited) {
    const auto duplicate = end.reason.code == errc::already_connected && at.peer;
    if (duplicate && (peers_.find(at.peer) || peers_.pending(at.peer)))
      waiting_dials_[at.peer].push_back(id);
    else if (closing_ && end.reason.by == blame::local) // as a dial that comes too late
      answer_dial_of(id, error{errc::node_closed, blame::local, {}});
    else
      answer_dial_of(id, std::move(end.reason));
  }
  if (at.peer)
    answer_waiting_dials(at.peer);
  outputs_.push_back(connection_over{id});
  share_memory();
  finish_if_done();
}

void node::answer(connection_id id, connection& at, result<node_id> peer) {
  if (std::exchange(at.awaited, false))
    answer_dial_of(id, std::move(peer));
}

// A dial that met an existing connection is answered with it, as soon as it is open or is not.
void node::answer_waiting_dials(const node_id& peer) {
  const auto found = waiting_dials_.find(peer);
  if (found == waiting_dials_.end())
    return;
  const auto is_open = peers_.find(peer).has_value();
  if (!is_open && peers_.pending(peer))
    return;
  for (const auto dial : found->second)
    answer_dial_of(dial, is_open
                           ? result<node_id>(peer)
                           : result<node_id>(error{errc::already_connected, blame::remote, {}}));
  waiting_dials_.erase(found);
}

// Several may have been asked about while there was room for one: those that are on their way to
// open count, too.
void node::take_in(connection_id id) {
  auto* at = find(id);
  if (at == nullptr)
    return;
  if (!promised_.contains(at->peer)
      && peers_.open_count() + promised_.size() >= options_.bounds->connections_max) {
    outputs_.push_back(close_connection{
      id, {errc::too_many_connections, blame::local, "no more connections are taken"}, {}});
    return;
  }
  at->promised = true;
  ++promised_[at->peer];
  if (keeper_.keeps(at->peer)) // so that it can say so
    outputs_.push_back(keep_connection{id, true});
  outputs_.push_back(accept_connection{id});
}

void node::no_longer_promised(connection& at) {
  if (!std::exchange(at.promised, false))
    return;
  const auto found = promised_.find(at.peer);
  if (--found->second == 0)
    promised_.erase(found);
}

void node::settle_peers() {
  while (const auto action = peers_.next())
    settle_peer_action(*action);
}

void node::settle_peer_action(const peer_table::action& what) {
  std::visit(
    overloaded{
      [&](const peer_table::ask& ask) {
        const auto* at = find(ask.connection);
        if (at == nullptr)
          return;
        const auto dials = at->role == session::role::dialer;
        connection_request question{ask.connection, at->peer, at->init, at->address, dials};
        if (dials && at->asks)
          outputs_.push_back(ask_dialer{std::move(question)});
        else if (!dials && subscriptions_.anybody_decides())
          subscriptions_.push(std::move(question));
        else
          peers_.agreed(ask.connection);
      },
      [&](const peer_table::accept& accept) { take_in(accept.connection); },
      [&](const peer_table::turn_away& away) {
        if (auto* at = find(away.connection))
          no_longer_promised(*at);
        outputs_.push_back(close_connection{away.connection, {away.reason, blame::local, {}}, {}});
      },
      [&](const peer_table::probe& probe) {
        outputs_.push_back(probe_connection{probe.connection});
      },
      [&](const peer_table::displace& displace) {
        outputs_.push_back(
          end_connection{displace.connection, {displace.reason, blame::remote, {}}});
      },
    },
    what);
}

// -- memory -----------------------------------------------------------------------

// The node's memory for received bytes is shared between its open connections, in steps of two so
// that few connections need to be told.
void node::share_memory() {
  const auto& bounds = *options_.bounds;
  const auto among = std::bit_ceil(std::max<std::size_t>(peers_.open_count(), 1));
  const auto share = std::min(bounds.window_bytes_max, bounds.node_received_bytes_max / among);
  if (share == std::exchange(window_share_, share))
    return;
  for (const auto& [id, at] : connections_)
    outputs_.push_back(adjust_connection{id, subscriptions_.anybody_takes_messages(), share});
}

// -- subscribers ------------------------------------------------------------------

subscription_id node::subscribe(subscription_options wants, shared<receipt> slot) {
  const auto id = subscriptions_.add(std::move(wants), std::move(slot));
  settle_subscriptions();
  return id;
}

bool node::unsubscribe(subscription_id id) {
  const auto found = subscriptions_.remove(id);
  settle_subscriptions();
  return found;
}

// Subscriptions may also end by themselves, whenever something is pushed.
void node::settle_subscriptions() {
  // What nobody else was given either is lost, and said to be if its connection has not ended yet.
  for (const auto& [from, frames] : subscriptions_.take_dropped()) {
    ledger_.unclaimed(frames);
    if (auto* at = find(from))
      at->frames_unclaimed += frames;
    else if (from == 0)
      own_unclaimed_ += frames;
  }
  ledger_.too_slow(subscriptions_.take_too_slow());
  const auto takes = subscriptions_.anybody_takes_messages();
  if (std::exchange(takes_messages_, takes) != takes)
    for (const auto& [id, at] : connections_)
      outputs_.push_back(adjust_connection{id, takes, window_share_});
}

// -- the end ----------------------------------------------------------------------

// `closing` is told while sends still work; who hears it holds the goodbye back until it has done with it.
void node::close(const error& why, duration drain, time_point now,
                 std::shared_ptr<const void> hold) {
  const auto drained_at = later(now, drain);
  if (closing_ && drained_at >= drained_at_)
    return;
  close_reason_ = why;
  drained_at_ = drained_at;
  if (!std::exchange(closing_, true)) {
    awaits_hearing_ = hold != nullptr;
    sends_ended_ = !awaits_hearing_;
    subscriptions_.push(closing{std::move(hold)});
    keeper_.stop_all();
    end_connections(why, drain, false);
  }
  if (sends_ended_)
    return say_goodbye(now);
  if (awaits_hearing_) {
    hearing_deadline_ = std::min(
      hearing_deadline_, later(now, std::min(drain / 4, options_.bounds->closing_time_max)));
    wheel_.arm(close_key, hearing_deadline_);
  }
}

void node::closing_heard() {
  if (std::exchange(awaits_hearing_, false))
    outputs_.push_back(end_sending{});
}

void node::say_goodbye(time_point now) {
  sends_ended_ = true;
  wheel_.arm(close_key,
             later(drained_at_, options_.bounds->linger_time_max + std::chrono::seconds(1)));
  end_connections(close_reason_, std::max(drained_at_ - now, duration::zero()), true);
  finish_if_done();
}

void node::end_connections(const error& why, duration drain, bool open_ones) {
  for (const auto& [id, at] : connections_)
    if (open_ones || !at.linked) {
      peers_.leaving(id);
      outputs_.push_back(close_connection{id, why, drain});
    }
  settle_peers();
}

void node::finish_if_done() {
  if (!sends_ended_ || finished_ || !connections_.empty())
    return;
  finished_ = true;
  wheel_.disarm(close_key);
  drop_requests(own_connection, {errc::node_closed, blame::local, {}});
  subscriptions_.push(closed{});
  subscriptions_.hand_on_all();
}

void node::tick(time_point now) {
  keeper_.tick(now, *options_.bounds);
  settle_keeper();
  while (const auto due = wheel_.pop_due(now)) {
    if (const auto own = own_deadlines_.find(*due); own != own_deadlines_.end()) {
      on_expired(own->second);
      continue;
    }
    if (*due != close_key) {
      outputs_.push_back(tick_connection{*due});
      continue;
    }
    if (!sends_ended_) {
      closing_heard(); // as far as there was time
      continue;
    }
    for (const auto& [id, at] : connections_)
      outputs_.push_back(
        end_connection{id, {errc::shutting_down, blame::local, "not closed in time"}});
  }
}

std::optional<node::output> node::next() {
  settle_subscriptions();
  while (auto told = subscriptions_.next())
    outputs_.push_back(tell_subscriber{std::move(*told)});
  settle_ledger();
  if (outputs_.empty() && finished_ && !std::exchange(finish_told_, true))
    return finished{};
  return outputs_.take_front();
}

} // namespace postbus::bus
