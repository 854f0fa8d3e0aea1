// orders: what a node core decides about one connection, done to its session. Every driver, the actor
// and the simulator, obeys in the same words; moving the bytes is its own affair.
#pragma once

#include "postbus/bus/node.hpp"

namespace postbus::bus {

inline void carry_out(const node::accept_connection&, session& at, time_point now) {
  at.accept(now);
}
inline void carry_out(const node::close_connection& order, session& at, time_point now) {
  at.close(order.reason, order.drain, now);
}
inline void carry_out(const node::end_connection& order, session& at, time_point) {
  at.fail(order.reason.code, order.reason.detail);
}
inline void carry_out(const node::probe_connection&, session& at, time_point now) {
  at.probe(now);
}
/// What lies in the socket was said before the tick: read it first.
inline void carry_out(const node::tick_connection&, session& at, time_point now) {
  at.tick(now);
}
inline void carry_out(const node::adjust_connection& order, session& at, time_point) {
  at.takes_messages(order.takes_messages);
  at.window_bytes_max(order.window_bytes_max);
}
inline void carry_out(const node::send_request& order, session& at, time_point now) {
  at.ask(order.what, now);
}
inline void carry_out(const node::send_cancel& order, session& at, time_point) {
  at.cancel(order.id);
}
inline void carry_out(const node::send_answer& order, session& at, time_point now) {
  at.answer(order.id, order.what, now);
}

/// The outputs of a node that are for one connection's session.
template <class T>
concept connection_order = requires(const T& order, session& at, time_point now) {
  { order.connection } -> std::convertible_to<connection_id>;
  carry_out(order, at, now);
};

} // namespace postbus::bus
