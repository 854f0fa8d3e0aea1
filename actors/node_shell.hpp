// node_shell: the actor of a node. A thin shell round the core bus::node: carries what connections,
// listeners, dialers, subscribers and users say to the core, and does what the core decides.
// Lives on one loop with all its connections; ends when the core has finished.
#pragma once

#include "postbus/actors/answer.hpp"
#include "postbus/actors/asio.hpp"
#include "postbus/actors/internal_messages.hpp"
#include "postbus/actors/link.hpp"
#include "postbus/actors/loop.hpp"
#include "postbus/actors/node_access.hpp"
#include "postbus/actors/recipient.hpp"

#include <optional>
#include <unordered_map>
#include <vector>

namespace postbus::actors {

class dialer;

class node_shell final : public bound<caf::event_based_actor> {
public:
  node_shell(caf::actor_config& config, loop& home, bus::node::options how,
             std::shared_ptr<node_access> access);

  caf::behavior make_behavior() override;
  [[nodiscard]] const char* name() const override { return "postbus.node"; }

  // -- what handles ask, on this actor's loop; in node_shell_settings.cpp ------------------
  result<void> init_message(payload init);
  result<void> bounds(const limits& changed);
  result<void> idle_time(duration longest);
  void start_listening_everywhere(const answer<endpoint_list>& reply);
  void start_stopping(const std::string& text, const answer<bool>& reply);
  void start_disconnecting(const disconnect& what, const answer<disconnected>& reply);
  result<void> keep(const keep_connected& what);
  bool keep_no_more(const std::string& endpoint);

private:
  struct peer_connection {
    caf::actor actor;
    std::shared_ptr<actors::link> link;
  };
  struct audience {
    std::shared_ptr<recipient> who;
    bus::shared<waking_receipt> slot;
  };

  void leave() override;
  [[nodiscard]] caf::message_handler setting_handlers();
  [[nodiscard]] caf::message_handler keeping_handlers();

  struct dial {
    std::shared_ptr<dialer> who;
    endpoint where;
    time_point deadline;
    answer<node_id> reply;
    bus::keeper::keep_id keep = 0; ///< For a peer that shall stay.
  };

  // The endpoint that `text` names, when it is one that this version offers.
  [[nodiscard]] static result<endpoint> offered(const std::string& text);

  // -- what users ask -------------------------------------------------------------------
  void start_listening(const std::string& text, const answer<std::string>& reply);
  void start_dialing(const std::string& text, duration within, const answer<node_id>& reply);
  subscription start_telling(bus::subscription_options wants, std::shared_ptr<recipient> who);
  bool stop_telling(bus::subscription_id id);
  bool settle_request(const decide& what);
  void start_closing(const close_node& how);
  [[nodiscard]] send_outcome send_one(const send_message& what);
  template <class T>
  [[nodiscard]] caf::typed_response_promise<T> promise(answer<T>& reply);

  // -- what its actors tell --------------------------------------------------------------
  void on_dial_done(const dial_done& told);
  void on_link_up(const bus::node::link_up& up);
  void on_link_down(bus::node::link_down& down);
  void on_dial_answered(bus::node::answer_dial& answered);
  void spawn_listening(std::shared_ptr<socket_box> socket);
  void spawn_connection(bus::node::started start, std::shared_ptr<socket_box> socket);

  // -- what the core decides -------------------------------------------------------------
  void deliver_own();
  void dial_for(const bus::node::dial_kept& order);
  void refuse_dial(const dial& of, error why);
  void hold_for(const bus::node::hold_messages& order);
  void release(const node_id& peer);
  void release_all();
  void drive();
  void obey(bus::node::output& what);
  void tell(bus::subscriptions::output& what);
  void command_connection(bus::connection_id id, command what);
  void become_closed();
  void arm_timer();
  [[nodiscard]] caf::strong_actor_ptr self() { return caf::strong_actor_ptr{this->ctrl()}; }

  bus::node core_;
  std::shared_ptr<node_access> access_;
  std::shared_ptr<outbox_budget> budget_;
  std::shared_ptr<actors::link> own_; // to itself
  std::optional<timer> timer_; // none once the node is closed: users' handles may outlive the loop
  time_point armed_ = never;

  std::unordered_map<bus::connection_id, peer_connection> connections_;
  struct dialed {
    std::vector<std::string> endpoints; ///< As it was asked for, and where that led.
    answer<node_id> reply;
  };
  std::unordered_map<bus::connection_id, dialed> connecting_; // not yet answered
  std::unordered_map<bus::connection_id, std::vector<answer<disconnected>>> disconnecting_;
  std::unordered_map<std::uint64_t, dial> dials_;
  std::uint64_t last_dial_ = 0;
  struct listening {
    caf::actor actor;
    std::string endpoint; ///< Empty until it is open.
  };
  std::unordered_map<std::uint64_t, listening> listeners_;
  std::uint64_t last_listener_ = 0;
  std::unordered_map<node_id, std::shared_ptr<actors::link>> holds_; // for peers that stay
  std::unordered_map<bus::subscription_id, audience> audiences_;
  std::vector<answer<closed>> waiting_for_close_;
  bool finished_ = false;
};

// An answer that fulfils a promise of this actor, on its own thread.
template <class T>
caf::typed_response_promise<T> node_shell::promise(answer<T>& reply) {
  auto made = make_response_promise<T>();
  reply = answer<T>([made](result<T>&& value) mutable {
    if (value)
      made.deliver(std::move(*value));
    else
      made.deliver(to_caf(value.error()));
  });
  return made;
}

} // namespace postbus::actors
