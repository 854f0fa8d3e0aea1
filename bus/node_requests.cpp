// node_requests: what a node decides about requests: who is asked over which connection, which handler
// has which request, who is told what when a connection ends. The rest of the class is in node.cpp.
#include "postbus/bus/node.hpp"

#include <algorithm>

namespace postbus::bus {

// -- this node asks -----------------------------------------------------------------------

result<correlation_id> node::ask(const node_id& to, request what, time_point now) {
  if (closing_)
    return error{errc::node_closed, blame::local, {}};
  if (what.deadline <= now)
    return error{errc::timeout, blame::local,
                 "the deadline had passed before the request was sent"};
  const auto& bounds = *options_.bounds;
  if (to == options_.id) {
    auto id = requests_.open(
      own_connection,
      {bounds.requests_in_flight_max, bounds.request_bytes_in_flight_max, bounds.frame_bytes_max},
      what.body.size());
    if (!id)
      return id;
    what.id = *id;
    if (what.deadline != never) {
      const auto key = ++last_id_; // such keys are no connection's
      own_deadlines_.emplace(key, *id);
      wheel_.arm(key, what.deadline);
    }
    hand_over(to, own_connection, std::move(what));
    return id;
  }
  const auto over = peers_.find(to);
  const auto* at = over ? find(*over) : nullptr;
  if (at == nullptr || !at->linked)
    return error{errc::not_connected, blame::local, {}};
  auto id = requests_.open(*over, at->takes, what.body.size());
  if (!id)
    return id;
  what.id = *id;
  outputs_.push_back(send_request{*over, std::move(what)});
  return id;
}

bool node::cancel(correlation_id id) {
  if (!requests_.give_up(id))
    return false;
  const auto over = *requests_.asked_over(id);
  if (over == own_connection)
    on_called_off(own_connection, id);
  else
    outputs_.push_back(send_cancel{over, id});
  return true;
}

void node::on_answered(answered& end) {
  if (requests_.close(end.id))
    outputs_.push_back(answer_request{end.id, told_as(std::move(end.what))});
}

// The place stays taken until the peer has answered, which counts it as open.
void node::on_expired(correlation_id id) {
  const auto over = requests_.asked_over(id);
  if (requests_.give_up(id))
    outputs_.push_back(answer_request{id, error{errc::timeout, blame::remote, {}}});
  if (over == own_connection)
    on_called_off(own_connection, id);
}

void node::on_unasked(correlation_id id) {
  if (requests_.close(id))
    outputs_.push_back(
      answer_request{id, error{errc::not_connected, blame::local, "the connection is closing"}});
}

// -- peers ask ----------------------------------------------------------------------------

void node::on_requested(connection_id id, const connection& at, requested&& asked) {
  if (!at.linked)
    return; // it was turned away while this was on its way
  hand_over(at.peer, id,
            {asked.id, std::move(asked.body), asked.tag, asked.opaque, asked.deadline});
}

void node::hand_over(const node_id& from, connection_id over, request what) {
  const auto found = std::find_if(handlers_.begin(), handlers_.end(), [&](const auto& each) {
    return wants_tag(each.second, what.tag);
  });
  const auto fail = [&](errc why) {
    if (over != own_connection)
      outputs_.push_back(send_answer{over, what.id, failure{why, 0, {}}});
    else if (no_longer_own(what.id); requests_.close(what.id))
      outputs_.push_back(answer_request{what.id, error{why, blame::local, {}}});
  };
  if (closing_)
    return fail(errc::shutting_down);
  if (found == handlers_.end())
    return fail(errc::no_handler);
  const auto& bounds = *options_.bounds;
  if (!requests_.serve(over, what.id, found->first, what.body.size(),
                       {bounds.requests_in_flight_max, bounds.request_bytes_in_flight_max}))
    return fail(errc::congested);
  outputs_.push_back(hand_over_request{found->first, from, over, std::move(what)});
}

bool node::respond(connection_id from, correlation_id id, request_answer what) {
  if (!requests_.answered(from, id))
    return false;
  if (from != own_connection) {
    outputs_.push_back(send_answer{from, id, std::move(what)});
    return true;
  }
  no_longer_own(id);
  if (requests_.close(id))
    outputs_.push_back(answer_request{id, told_as(std::move(what))});
  return true;
}

void node::on_called_off(connection_id from, correlation_id id) {
  if (const auto off = requests_.called_off(from, id))
    outputs_.push_back(call_off_request{off->by, from, id, off->bytes});
  if (from == own_connection) {
    no_longer_own(id);
    (void)requests_.close(id);
  }
}

void node::no_longer_own(correlation_id id) {
  const auto found = std::find_if(own_deadlines_.begin(), own_deadlines_.end(),
                                  [&](const auto& each) { return each.second == id; });
  if (found == own_deadlines_.end())
    return;
  wheel_.disarm(found->first);
  own_deadlines_.erase(found);
}

handler_id node::add_handler(std::vector<tag_range> tags) {
  handlers_.emplace(++last_handler_, std::move(tags));
  return last_handler_;
}

bool node::remove_handler(handler_id id) {
  return handlers_.erase(id) > 0;
}

// -- the end ------------------------------------------------------------------------------

void node::drop_requests(connection_id over, const error& why) {
  auto gone = requests_.drop(over);
  for (const auto id : gone.awaited) {
    if (over == own_connection)
      no_longer_own(id);
    outputs_.push_back(answer_request{id, why});
  }
  for (const auto& [id, off] : gone.served)
    outputs_.push_back(call_off_request{off.by, over, id, off.bytes});
}

} // namespace postbus::bus
