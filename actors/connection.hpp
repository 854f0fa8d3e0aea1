// connection: one socket and the session that says what to do with it. A thin shell: moves bytes
// between the two, hands what the session tells to the node actor, and does what the node commands.
// Lives on its node's loop; holds itself while a socket callback is pending.
#pragma once

#include "postbus/actors/asio.hpp"
#include "postbus/actors/internal_messages.hpp"
#include "postbus/actors/link.hpp"
#include "postbus/actors/loop.hpp"

namespace postbus::actors {

class connection final : public bound<caf::event_based_actor>, private late_work {
public:
  struct options {
    bus::node::started start;
    std::shared_ptr<socket_box> socket;
    std::shared_ptr<actors::link> link;
    caf::actor node;
  };

  connection(caf::actor_config& config, loop& home, options how);

  caf::behavior make_behavior() override;
  [[nodiscard]] const char* name() const override { return "postbus.connection"; }

private:
  void leave() override;

  void obey(const command& order);
  void drive();
  void take_and_tell();
  [[nodiscard]] bool may_write_late() const noexcept;
  void write_out();
  void do_late() noexcept override;
  void hand_over_events();
  void write_some();
  // Small frames that ask for something each take longer than their bytes say.
  static constexpr auto turn_time_max = std::chrono::microseconds(250);
  void read_some(duration longest = turn_time_max);
  void read_turn(time_point turn_end);
  void await_readable();
  void await_writable();
  void tell_deadline();
  [[nodiscard]] caf::strong_actor_ptr self() { return caf::strong_actor_ptr{this->ctrl()}; }

  bus::connection_id id_;
  bus::session session_;
  std::shared_ptr<socket_box> socket_;
  std::shared_ptr<actors::link> link_;
  caf::actor node_;
  time_point armed_ = never;
  bool reading_ = false; // a callback for readable is pending
  bool writing_ = false; // a callback for writable is pending
  bool input_open_ = true;
  bool turn_due_ = false; // a next_turn is under way
  bool late_ = false;     // what there is to write waits for the end of the loop's turn
  bool over_ = false;
};

} // namespace postbus::actors
