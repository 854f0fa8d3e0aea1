// node: the calls on a handle about the node itself, where it listens and who is connected. The rest
// of the class is in node.cpp.
#include "postbus/actors/answer.hpp"
#include "postbus/actors/node.hpp"
#include "postbus/actors/node_access.hpp"
#include "postbus/actors/node_shell.hpp"

#include <algorithm>
#include <atomic>

namespace postbus {

using actors::answer_time;

namespace {

// For the end of one connection, beside the time for draining it.
constexpr auto close_time = std::chrono::seconds(10);

using actors::on_a_loop;

// Has the node do something on its loop, and waits for the answer.
template <class T, class Start>
result<T> ask_node(actors::node_access& at, const char* call, duration within, Start start) {
  if (actors::loop::on_any())
    return on_a_loop(call);
  const actors::waiting_thread<T> here;
  at.shell()->wake(actors::node_task{[start = std::move(start), reply = here.make_answer()](
                                       auto& shell) mutable { start(shell, reply); }});
  return here.wait(within);
}

// What was to be ended, as the node's actor answers it.
result<void> unless_there_was_none(const result<bool>& there_was, const char* words) {
  if (!there_was)
    return there_was.error();
  if (!*there_was)
    return error{errc::bad_option, blame::local, words};
  return {};
}

} // namespace

// -- settings -----------------------------------------------------------------------

result<void> node::init_message(payload init) const {
  return ask_node<void>(
    *access_, "init_message", answer_time,
    [init = std::move(init)](auto& at, const auto& reply) { reply(at.init_message(init)); });
}

result<void> node::idle_time(duration longest) const {
  return ask_node<void>(*access_, "idle_time", answer_time,
                        [longest](auto& at, const auto& reply) { reply(at.idle_time(longest)); });
}

result<void> node::bounds(const limits& changed) const {
  return ask_node<void>(*access_, "bounds", answer_time,
                        [changed](auto& at, const auto& reply) { reply(at.bounds(changed)); });
}

result<void> node::statistics_half_life(duration half_life) const {
  return ask_node<void>(
    *access_, "statistics_half_life", answer_time,
    [half_life](auto& at, const auto& reply) { reply(at.statistics_half_life(half_life)); });
}

result<limits> node::bounds() const {
  return ask_node<limits>(*access_, "bounds", answer_time,
                          [](auto& at, const auto& reply) { reply(limits(at.bounds())); });
}

// -- listening ------------------------------------------------------------------------

result<std::string> node::listen(std::string_view endpoint, duration within) const {
  if (actors::loop::on_any())
    return on_a_loop("listen");
  // What is open only when nobody waits any more is not wanted, and closed again.
  auto wanted = std::make_shared<std::atomic<bool>>(true);
  const actors::waiting_thread<std::string> here;
  actors::answer<std::string> reply(
    [wanted, shell = access_->shell(), told = here.make_answer()](result<std::string>&& at) {
      if (wanted->exchange(false))
        return told(std::move(at));
      if (at)
        shell->wake(actors::node_task{[where = *at](actors::node_shell& there) {
          there.start_stopping(where, actors::answer<bool>{});
        }});
    });
  access_->shell()->wake(actors::ask_listen{std::string(endpoint), std::move(reply)});
  if (here.is_answered(within) || (!wanted->exchange(false) && here.is_answered(duration::max())))
    return here.take(); // if not in time, then just now
  return error{errc::timeout, blame::local, "listening on " + std::string(endpoint)};
}

result<std::vector<std::string>> node::listen_defaults(duration within) const {
  auto made =
    ask_node<endpoint_list>(*access_, "listen_defaults", within, [](auto& at, const auto& reply) {
      at.start_listening_everywhere(reply);
    });
  if (!made)
    return made.error();
  return std::move(made->endpoints);
}

std::vector<std::string> node::addresses() const {
  return access_->addresses();
}

result<void> node::stop_listening(std::string_view endpoint) const {
  return unless_there_was_none(
    ask_node<bool>(*access_, "stop_listening", answer_time,
                   [text = std::string(endpoint)](auto& at, const auto& reply) {
                     at.start_stopping(text, reply);
                   }),
    "it does not listen there");
}

// -- peers ----------------------------------------------------------------------------

bool node::is_connected(const node_id& peer) const {
  return access_->is_connected(peer);
}

std::size_t node::connection_count() const {
  return access_->peers().size();
}

std::vector<node_id> node::peers() const {
  return access_->peers().peers();
}

result<node_id> node::lookup(std::string_view endpoint) const {
  if (const auto where = postbus::endpoint::parse(endpoint); !where)
    return where.error();
  if (const auto peer = access_->peer_at(endpoint))
    return peer;
  return error{errc::not_connected, blame::local, std::string(endpoint)};
}

result<disconnected> node::disconnect(const node_id& peer, std::string_view words,
                                      duration drain) const {
  return ask_node<disconnected>(
    *access_, "disconnect", drain > duration::max() - close_time ? drain : drain + close_time,
    [what = postbus::disconnect{peer, std::string(words), drain}](auto& at, const auto& reply) {
      at.start_disconnecting(what, reply);
    });
}

// -- peers that stay --------------------------------------------------------------------

result<void> node::keep_connected(const postbus::keep_connected& what) const {
  return ask_node<void>(*access_, "keep_connected", answer_time,
                        [what](auto& at, const auto& reply) { reply(at.keep(what)); });
}

result<void> node::keep_connected(std::string_view endpoint) const {
  return keep_connected(postbus::keep_connected{std::string(endpoint)});
}

result<void> node::stop_keeping(std::string_view endpoint) const {
  return unless_there_was_none(
    ask_node<bool>(*access_, "stop_keeping", answer_time,
                   [text = std::string(endpoint)](auto& at, const auto& reply) {
                     reply(at.keep_no_more(text));
                   }),
    "it is not kept");
}

// -- sending --------------------------------------------------------------------------

result<void> node::notify_writable(const node_id& peer, const caf::actor& whom,
                                   std::size_t bytes) const {
  if (!whom)
    return error{errc::bad_option, blame::local, "no actor"};
  for (int attempt = 0; attempt < 2; ++attempt) // the peer may have come back on another link
    if (const auto way = access_->way_to(peer); way && way->notify_writable(whom, bytes))
      return {};
  return error{errc::not_connected, blame::local, {}};
}

std::vector<send_outcome> node::send_body_to(std::span<const node_id> peers, const payload& body,
                                             bool opaque, const send_options& how) const {
  const auto deadline = how.within ? later(actors::steady_now(), *how.within) : never;
  std::vector<send_outcome> all;
  all.reserve(peers.size());
  for (const auto& peer : peers) {
    auto each = how;
    if (how.within)
      each.within = std::max(deadline - actors::steady_now(), duration::zero());
    all.push_back(to(peer).send_body(body, opaque, each));
  }
  return all;
}

std::vector<send_outcome> node::send_bytes_to(std::span<const node_id> peers, const payload& bytes,
                                              send_options how) const {
  return send_body_to(peers, bytes, true, how);
}

} // namespace postbus
