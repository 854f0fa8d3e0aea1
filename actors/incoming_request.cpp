#include "postbus/actors/incoming_request.hpp"

#include "postbus/actors/request_ticket.hpp"

namespace postbus {

namespace {

// What nobody's request says of itself.
const bus::node::hand_over_request nobodys;

const bus::node::hand_over_request& told_by(const actors::request_ticket* ticket) noexcept {
  return ticket != nullptr ? ticket->what() : nobodys;
}

} // namespace

const node_id& incoming_request::from() const noexcept {
  return told_by(ticket_.get()).from;
}

std::uint16_t incoming_request::tag() const noexcept {
  return told_by(ticket_.get()).what.tag;
}

bool incoming_request::is_opaque() const noexcept {
  return told_by(ticket_.get()).what.opaque;
}

const payload& incoming_request::body() const noexcept {
  return told_by(ticket_.get()).what.body;
}

time_point incoming_request::deadline() const noexcept {
  return told_by(ticket_.get()).what.deadline;
}

bool incoming_request::is_called_off() const noexcept {
  return ticket_ && ticket_->is_called_off();
}

std::uint64_t incoming_request::number() const noexcept {
  return ticket_ ? ticket_->number() : 0;
}

bool incoming_request::answer(bus::request_answer what) const {
  return ticket_ && ticket_->answer(std::move(what));
}

// -- request_ticket ---------------------------------------------------------------------------

actors::request_ticket::~request_ticket() {
  if (called_off_)
    shell_->wake(request_let_go{what_.connection, what_.what.body.size()});
  else
    answer(bus::failure{errc::handler_lost, 0, {}});
}

bool actors::request_ticket::answer(bus::request_answer what) const {
  if (done_.exchange(true))
    return false;
  shell_->wake(ask_respond{what_.connection, what_.what.id, std::move(what)});
  return true;
}

void actors::request_ticket::lose(const incoming_request& request, std::string words) {
  (void)request.answer(bus::failure{errc::handler_lost, 0, std::move(words)});
}

} // namespace postbus
