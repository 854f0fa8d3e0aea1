// node_shell_requests: how a node actor carries requests between programs and the core. The rest of the
// class is in node_shell.cpp.
#include "postbus/actors/node_shell.hpp"

namespace postbus::actors {

// -- programs of this node ask ----------------------------------------------------------------

void node_shell::start_request(const send_request& what, const asker& who,
                               const answer<reply>& told) {
  if (what.key != 0 && askers_.contains(who))
    return told(error{errc::bad_option, blame::local, "the key of another open request"});
  const auto now = steady_now();
  const auto deadline = what.within == duration::max() ? never : later(now, what.within);
  const auto id = core_.ask(what.to, {0, what.body, what.tag, what.opaque, deadline}, now);
  if (!id)
    return told(id.error());
  questions_.emplace(*id, question{who, told});
  if (who.second != 0)
    askers_.emplace(who, *id);
  drive();
}

bool node_shell::give_up_request(const asker& who) {
  const auto found = askers_.find(who);
  if (found == askers_.end() || !core_.cancel(found->second))
    return false;
  bus::node::answer_request canceled{found->second, error{errc::canceled, blame::local, {}}};
  take_answer(canceled);
  drive();
  return true;
}

void node_shell::take_answer(bus::node::answer_request& what) {
  auto found = questions_.extract(what.id);
  if (found.empty())
    return;
  const auto& of = found.mapped();
  if (of.who.second != 0)
    askers_.erase(of.who);
  of.told(std::move(what.what));
}

// -- peers ask --------------------------------------------------------------------------------

handler node_shell::start_handling(const handle_requests& what) {
  const auto id = core_.add_handler(what.tags);
  handlers_.emplace(id, registration{what.by, what.tell_called_off});
  what.by->attach_functor([shell = access_->shell(), id] { shell->wake(ask_stop_handling{id}); });
  return {id};
}

handler node_shell::start_function(const ask_handle_function& what) {
  const auto by = system().spawn([call = what.what](caf::event_based_actor* self) -> caf::behavior {
    return {
      [call](const incoming_request& request) {
        try {
          call(request);
        } catch (const std::exception& thrown) {
          request_ticket::lose(request, thrown.what());
        } catch (...) {
          request_ticket::lose(request, "it threw something that is no exception");
        }
      },
      [self](const last_request&) { self->quit(); },
    };
  });
  const auto id = core_.add_handler(what.tags);
  handlers_.emplace(id, registration{by, false, true});
  return {id};
}

bool node_shell::end_handling(bus::handler_id id) {
  if (!core_.remove_handler(id))
    return false;
  const auto gone = handlers_.extract(id);
  if (gone.mapped().is_function)
    post(gone.mapped().by, last_request{});
  return true;
}

void node_shell::hand_over(bus::node::hand_over_request& what) {
  const auto place = std::pair(what.connection, what.what.id);
  const auto to = handlers_.at(what.to).by;
  auto ticket =
    std::make_shared<const request_ticket>(access_->shell(), ++last_request_, std::move(what));
  handed_over_[place] = ticket;
  post(to, request_ticket::request_of(std::move(ticket)));
}

void node_shell::call_off(const bus::node::call_off_request& what) {
  const auto found = handed_over_.extract({what.connection, what.id});
  const auto ticket = found.empty() ? nullptr : found.mapped().lock();
  if (!ticket)
    return core_.let_go(what.connection, what.bytes);
  ticket->call_off(); // from now on it says itself when nobody has it any more
  if (const auto by = handlers_.find(what.to); by != handlers_.end() && by->second.tell_called_off)
    post(by->second.by, request_called_off{ticket->number()});
}

void node_shell::respond(const ask_respond& what) {
  if (!core_.respond(what.connection, what.id, what.what))
    return;
  handed_over_.erase({what.connection, what.id});
  drive();
}

void node_shell::leave_requests() {
  questions_.clear();
  askers_.clear();
  for (const auto& [place, weak] : handed_over_)
    if (const auto ticket = weak.lock())
      ticket->call_off();
  handed_over_.clear();
  for (const auto& [id, each] : handlers_)
    if (each.is_function)
      post(each.by, last_request{});
  handlers_.clear();
}

} // namespace postbus::actors
