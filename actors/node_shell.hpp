// node_shell: the actor of a node. A thin shell round the core bus::node: carries what connections,
// listeners, dialers, subscribers and users say to the core, and does what the core decides.
// Lives on one loop with all its connections; ends when the core has finished.
#pragma once

#include "postbus/actors/asio.hpp"
#include "postbus/actors/internal_messages.hpp"
#include "postbus/actors/link.hpp"
#include "postbus/actors/loop.hpp"
#include "postbus/actors/node_access.hpp"
#include "postbus/actors/recipient.hpp"
#include "postbus/actors/request_ticket.hpp"

#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

namespace postbus::actors {

class dialer;

class node_shell final : public bound<caf::event_based_actor> {
public:
  node_shell(caf::actor_config& config, loop& home, bus::node::options how,
             std::shared_ptr<node_access> access);

  caf::behavior make_behavior() override;
  [[nodiscard]] const char* name() const override { return "postbus.node"; }

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

  // -- what users ask -------------------------------------------------------------------
  void start_listening(const std::string& text, const answer<std::string>& reply);
  /// `looks`: the program sees the peer before it agrees, with this; empty when it does not.
  void start_dialing(const std::string& text, duration within, const answer<node_id>& reply,
                     answer<connection_request> looks = {});
  void start_looking(const std::string& text, duration within,
                     const answer<connection_request>& reply);
  void open_request(std::uint64_t connection, const answer<node_id>& reply);
  [[nodiscard]] connection_request held(connection_request what);
  result<subscription> start_telling(bus::subscription_options wants,
                                     std::shared_ptr<recipient> who);
  bool stop_telling(bus::subscription_id id);
  void end_with(const caf::actor& subscriber, bus::subscription_id id);
  void on_subscriber_over(caf::actor_id who);
  [[nodiscard]] result<subscription_counters> count(bus::subscription_id id) const;
  bool settle_request(const decide& what);
  void start_closing(const close_node& how);
  [[nodiscard]] send_outcome send_one(const send_message& what);
  template <class T>
  [[nodiscard]] caf::typed_response_promise<T> promise(answer<T>& reply);

  // -- requests: node_shell_requests.cpp --------------------------------------------------
  /// An actor's id, 0 for handles; and the key that it chose.
  using asker = std::pair<std::uint64_t, std::uint64_t>;
  void start_request(const send_request& what, const asker& who, const answer<reply>& told);
  bool give_up_request(const asker& who);
  handler start_handling(const handle_requests& what);
  handler start_function(const ask_handle_function& what);
  bool end_handling(bus::handler_id id);
  void respond(const ask_respond& what);
  void hand_over(bus::node::hand_over_request& what);
  void call_off(const bus::node::call_off_request& what);
  void take_answer(bus::node::answer_request& what);
  void leave_requests();

  // -- what its actors tell --------------------------------------------------------------
  void on_dial_done(const dial_done& told);
  void spawn_listening(std::shared_ptr<socket_box> socket);
  void spawn_connection(bus::node::started start, std::shared_ptr<socket_box> socket);

  // -- what the core decides -------------------------------------------------------------
  void drive();
  void obey(bus::node::output& what);
  void tell(bus::subscriptions::output& what);
  void command_connection(bus::connection_id id, command what);
  void become_closed();
  void arm_timer();
  [[nodiscard]] std::uint64_t sender_id() { return current_sender() ? current_sender()->id() : 0; }
  [[nodiscard]] caf::strong_actor_ptr self() { return caf::strong_actor_ptr{this->ctrl()}; }

  bus::node core_;
  std::shared_ptr<node_access> access_;
  std::shared_ptr<outbox_budget> budget_;
  std::optional<timer> timer_; // none once the node is closed: users' handles may outlive the loop
  time_point armed_ = never;

  std::unordered_map<bus::connection_id, peer_connection> connections_;
  std::unordered_map<bus::connection_id, answer<node_id>> connecting_; // whose outcome is awaited
  std::unordered_map<bus::connection_id, answer<connection_request>>
    looking_; // dialed to be looked at
  std::unordered_map<bus::connection_id, std::weak_ptr<const void>>
    held_; // questions in programs' hands
  struct dial {
    std::shared_ptr<dialer> who;
    node_id expected;
    time_point deadline;
    answer<node_id> reply;
    answer<connection_request> looks;
  };
  std::unordered_map<std::uint64_t, dial> dials_;
  std::uint64_t last_dial_ = 0;
  std::unordered_map<std::uint64_t, caf::actor> listeners_;
  std::uint64_t last_listener_ = 0;
  std::unordered_map<bus::subscription_id, audience> audiences_;
  std::unordered_map<caf::actor_id, std::set<bus::subscription_id>> subscribers_; // until they end
  struct question {
    asker who;
    answer<reply> told;
  };
  std::unordered_map<bus::correlation_id, question> questions_; // asked here, not yet answered
  std::map<asker, bus::correlation_id> askers_;                 // of those that may be given up
  struct registration {
    caf::actor by;
    bool tell_called_off = false;
    bool is_function = false; ///< Its actor is this node's own.
  };
  std::unordered_map<bus::handler_id, registration> handlers_;
  std::map<std::pair<bus::connection_id, bus::correlation_id>, std::weak_ptr<const request_ticket>>
    handed_over_;
  std::uint64_t last_request_ = 0;
  std::vector<answer<closed>> waiting_for_close_;
  bool finished_ = false;
};

} // namespace postbus::actors
