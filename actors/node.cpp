#include "postbus/actors/node.hpp"

#include "postbus/actors/answer.hpp"
#include "postbus/actors/internal_messages.hpp"
#include "postbus/actors/loop.hpp"
#include "postbus/actors/node_access.hpp"

#include <atomic>

namespace postbus {

using actors::answer_time;
using actors::on_a_loop;

// -- sender -----------------------------------------------------------------------

template <class Body>
send_outcome sender::try_hand_over(const Body& body, bool opaque, const send_options& how) {
  const codecs::frame_header header{.flags = opaque ? codecs::frame_flag::opaque : std::uint8_t{0},
                                    .tag = how.tag.value_or(0)};
  auto within = actors::loop::on_any() ? std::nullopt : how.within;
  // A link ends with its connection; the peer may have come back on another.
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (!link_ && !(link_ = from_->way_to(to_)))
      return send_outcome::closed;
    const auto outcome = link_->send(header, body, within);
    if (outcome != send_outcome::closed)
      return outcome;
    link_ = nullptr;
  }
  return send_outcome::closed;
}

template <class Body>
send_outcome sender::hand_over(const Body& body, bool opaque, const send_options& how) {
  return from_->refused().count(try_hand_over(body, opaque, how));
}

send_outcome sender::send_packed(codecs::byte_buffer& packed, const send_options& how) {
  if (packed.size() >= bus::outbox::refer_bytes_min)
    return hand_over(packed.release(), false, how);
  return hand_over(packed.bytes(), false, how);
}

send_outcome sender::send_body(const payload& body, bool opaque, const send_options& how) {
  return hand_over(body, opaque, how);
}

send_outcome sender::send_bytes(std::span<const std::byte> bytes, send_options how) {
  return hand_over(bytes, true, how);
}

send_outcome sender::send_bytes(const payload& bytes, send_options how) {
  return hand_over(bytes, true, how);
}

// -- node -------------------------------------------------------------------------

const node_id& node::id() const noexcept {
  return access_->id();
}

result<node_id> node::connect(std::string_view endpoint, duration within) const {
  if (actors::loop::on_any())
    return on_a_loop("connect");
  const actors::waiting_thread<node_id> here;
  access_->shell()->wake(actors::ask_connect{std::string(endpoint), within, here.make_answer()});
  return here.wait(actors::with_answer_time(within));
}

result<connection_request> node::connect_request(std::string_view endpoint, duration within) const {
  if (actors::loop::on_any())
    return on_a_loop("connect_request");
  const actors::waiting_thread<connection_request> here;
  access_->shell()->wake(actors::ask_look{std::string(endpoint), within, here.make_answer()});
  return here.wait(actors::with_answer_time(within));
}

result<node_id> node::connect(const connection_request& request, duration within) const {
  if (actors::loop::on_any())
    return on_a_loop("connect");
  const actors::waiting_thread<node_id> here;
  access_->shell()->wake(
    actors::ask_open{{request.connection, request.peer}, request.hold.get(), here.make_answer()});
  return here.wait(within);
}

sender node::to(const node_id& peer) const {
  return {access_, peer};
}

send_outcome node::send_bytes(const node_id& peer, std::span<const std::byte> bytes,
                              send_options how) const {
  return to(peer).send_bytes(bytes, how);
}

send_outcome node::send_bytes(const node_id& peer, const payload& bytes, send_options how) const {
  return to(peer).send_bytes(bytes, how);
}

bool node::accept(const connection_request& request) const {
  return answer_incoming(request, {request.connection, true, {}, request.peer});
}

bool node::reject(const connection_request& request, std::string_view reason) const {
  return answer_incoming(request, {request.connection, false, std::string(reason), request.peer});
}

bool node::answer_incoming(const connection_request& asked, decide what) const {
  if (actors::loop::on_any()) // where nothing may wait for what comes of it
    return access_->shell()->wake(actors::ask_decide{std::move(what), asked.hold.get(), {}});
  const actors::waiting_thread<bool> here;
  access_->shell()->wake(actors::ask_decide{std::move(what), asked.hold.get(), here.make_answer()});
  return here.wait(answer_time).value_or(false);
}

result<caf::actor>
node::spawn_on_loop(std::function<caf::behavior(caf::event_based_actor*)> what) const {
  if (actors::loop::on_any())
    return on_a_loop("spawn_on_loop");
  if (!what)
    return error{errc::bad_option, blame::local, "no actor"};
  // Who has stopped waiting wants no actor any more: what it would refer to may be gone.
  auto wanted = std::make_shared<std::atomic<bool>>(true);
  auto unless_late = [wanted, what = std::move(what)](caf::event_based_actor* self) {
    return wanted->exchange(false) ? what(self) : caf::behavior{};
  };
  const actors::waiting_thread<caf::actor> here;
  access_->shell()->wake(actors::ask_spawn{std::move(unless_late), here.make_answer()});
  auto made = here.wait(answer_time);
  if (!made && !wanted->exchange(false))
    return here.wait({}); // it began just now, and so was answered
  return made;
}

result<void> node::close(duration drain) const {
  if (actors::loop::on_any())
    return on_a_loop("close");
  access_->shell()->wake(actors::ask_close{{drain, errc::closed}});
  // The core ends within the drain, the linger time and one second more.
  const auto in_time =
    access_->wait_closed_until(later(later(actors::steady_now(), drain), std::chrono::seconds(10)));
  access_->end_functions(); // in any case: what they refer to may go now
  if (!in_time)
    return error{errc::timeout, blame::local, "closing the node"};
  return {};
}

node_actor node::actor() const {
  return access_->actor();
}

} // namespace postbus
