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

  // -- what handles ask, on this actor's loop; in node_shell_settings.cpp ------------------
  result<void> init_message(payload init);
  result<void> bounds(const limits& changed);
  result<void> idle_time(duration longest);
  result<void> statistics_half_life(duration half_life);
  [[nodiscard]] const limits& bounds() const noexcept { return core_.bounds(); }
  void start_listening_everywhere(const answer<endpoint_list>& reply);
  void start_stopping(const std::string& text, const answer<bool>& reply);
  void start_disconnecting(const disconnect& what, const answer<disconnected>& reply);
  result<void> keep(const keep_connected& what);
  bool keep_no_more(const std::string& endpoint);
  /// The last copy of a `closing` is gone.
  void closing_heard();

private:
  struct peer_connection {
    caf::actor actor;
    std::shared_ptr<actors::link> link;
  };
  struct audience {
    std::shared_ptr<recipient> who;
    bus::shared<waking_receipt> slot;
    bool is_full = false;   ///< It takes nothing more, and is to hear so.
    std::uint64_t lost = 0; ///< Messages that came since.
  };

  void leave() override;
  [[nodiscard]] caf::message_handler own_handlers();
  [[nodiscard]] caf::message_handler user_handlers();
  [[nodiscard]] caf::message_handler setting_handlers();
  [[nodiscard]] caf::message_handler keeping_handlers();

  struct dial {
    std::shared_ptr<dialer> who;
    endpoint where;
    time_point deadline;
    answer<node_id> reply;
    answer<connection_request> looks;
    bus::keeper::keep_id keep = 0; ///< For a peer that shall stay.
  };

  // The endpoint that `text` names, when it is one that this version offers.
  [[nodiscard]] static result<endpoint> offered(const std::string& text);

  // -- what users ask -------------------------------------------------------------------
  void start_listening(const std::string& text, const answer<std::string>& reply);
  /// `looks`: the program sees the peer before it agrees, with this; empty when it does not.
  void start_dialing(const std::string& text, duration within, const answer<node_id>& reply,
                     answer<connection_request> looks = {});
  void start_looking(const std::string& text, duration within,
                     const answer<connection_request>& reply);
  /// `asked_by`: the node that the question came from; null when that is not known.
  void open_request(const connect_to& what, const answer<node_id>& reply,
                    const void* asked_by = nullptr);
  void refuse_if_fallen(bus::connection_id connection);
  void cut_off(bus::subscription_id id);
  [[nodiscard]] connection_request held(connection_request what);
  result<subscription> start_telling(bus::subscription_options wants,
                                     std::shared_ptr<recipient> who);
  bool stop_telling(bus::subscription_id id);
  void end_with(const caf::actor& subscriber, bus::subscription_id id);
  void watch(const caf::actor& whom);
  void on_subscriber_over(caf::actor_id who);
  [[nodiscard]] result<subscription_counters> count(bus::subscription_id id) const;
  bool settle_request(const decide& what, const void* asked_by = nullptr);
  void start_collecting(const answer<node_statistics>& reply);
  void start_closing(const close_node& how);
  [[nodiscard]] send_outcome send_one(const send_message& what);
  template <class T>
  [[nodiscard]] caf::typed_response_promise<T> promise(answer<T>& reply);

  // -- requests: node_shell_requests.cpp --------------------------------------------------
  /// An actor's id, 0 for what has no sender, `handles` for those; and the key that it chose.
  using asker = std::pair<std::uint64_t, std::uint64_t>;
  static constexpr std::uint64_t handles = UINT64_MAX; // no actor's
  void start_request(const send_request& what, const asker& who, const answer<reply>& told);
  bool give_up_request(const asker& who);
  result<handler> start_handling(const handle_requests& what);
  result<handler> start_function(const ask_handle_function& what);
  [[nodiscard]] bus::handler_id id_of(const handling_function& what) const;
  bool end_handling(bus::handler_id id);
  void end_handlers_of(caf::actor_id who);
  void respond(const ask_respond& what);
  void hand_over(bus::node::hand_over_request& what);
  void call_off(const bus::node::call_off_request& what);
  void take_answer(bus::node::answer_request& what);
  void leave_requests();

  // -- what its actors tell --------------------------------------------------------------
  void on_dial_done(const dial_done& told);
  void on_link_up(const bus::node::link_up& up);
  void on_link_down(bus::node::link_down& down);
  void on_dial_answered(bus::node::answer_dial& answered);
  void spawn_listening(const accepted& taken);
  void spawn_connection(bus::node::started start, std::shared_ptr<socket_box> socket);

  // -- what the core decides -------------------------------------------------------------
  void deliver_own();
  void dial_for(const bus::node::dial_kept& order);
  void refuse_dial(const dial& of, error why);
  void hold_for(const bus::node::hold_messages& order);
  void release(const node_id& peer, errc why = errc::not_connected);
  void release_all();
  void drive();
  void obey(bus::node::output& what);
  void tell(bus::subscriptions::output& what);
  void tell(const bus::node::statistics_ready& what);
  void command_connection(bus::connection_id id, command what);
  void become_closed();
  void arm_timer();
  [[nodiscard]] std::uint64_t sender_id() { return current_sender() ? current_sender()->id() : 0; }
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
  std::unordered_map<bus::connection_id, answer<connection_request>>
    looking_; // dialed to be looked at
  std::unordered_map<bus::connection_id, std::weak_ptr<const void>>
    held_;                                                    // questions in programs' hands
  std::unordered_map<bus::connection_id, dialed> connecting_; // whose outcome is awaited
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
  std::unordered_map<caf::actor_id, std::set<bus::subscription_id>> subscribers_;
  std::set<caf::actor_id> watched_; // subscribers and handlers, until they end
  struct question {
    asker who;
    answer<reply> told;
  };
  std::unordered_map<bus::correlation_id, question> questions_; // asked here, not yet answered
  std::map<asker, bus::correlation_id> askers_;                 // of those that may be given up
  struct registration {
    caf::actor by;
    bool tell_called_off = false;
    std::shared_ptr<handling_function> function = nullptr; ///< Its actor is this node's own.
  };
  std::unordered_map<bus::handler_id, registration> handlers_;
  std::map<std::pair<bus::connection_id, bus::correlation_id>, std::weak_ptr<const request_ticket>>
    handed_over_;
  std::uint64_t last_request_ = 0;
  std::unordered_map<bus::collection_id, answer<node_statistics>> collecting_;
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
