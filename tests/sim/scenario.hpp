// scenario: a run that follows from one number: some nodes with limits of their own, wires of all kinds,
// programs quick, slow and stuck, and a storm of everything that can go wrong; then all nodes close.
// Drive: run_seed(). It throws a violation when a law was broken.
#pragma once

#include "postbus/tests/support/simulator/world.hpp"

#include <cstdint>

namespace postbus::testing {

class scenario {
public:
  scenario(std::uint64_t seed, seeded_bug bug, std::function<void(const std::string&)> trace);

  /// Runs it to its end; says what happened.
  coverage run();

private:
  struct place {
    node_id id;
    limits bounds;
    time_point restart = never;
    time_point resume = never;
    bool hands_back = false; ///< Its programs are told what was not sent.
  };
  /// What nodes and programs of this run do, beside what they do in every run.
  struct features {
    bool keeps = false;    ///< Peers are kept connected.
    bool holds = false;    ///< With a hold, most of them.
    bool own = false;      ///< Nodes send to themselves.
    bool filters = false;  ///< Programs take some messages only.
    bool slow = false;     ///< Programs are slow, and say what then happens.
    bool settings = false; ///< Limits and init messages are changed.
    bool leaves = false;   ///< Connections are ended by programs, listeners stopped.
  };

  void start(unsigned where);
  void subscribe(host& at);
  void act();
  [[nodiscard]] static features choose(random& from);
  void act_beside();
  void keep();
  void change_settings(host& at);
  void choose_filter(bus::subscription_options& wants);
  void choose_policy(bus::subscription_options& wants);
  [[nodiscard]] world::path make_kept_path();
  void make_reconnect_times(limits& bounds);
  void dial();
  void send();
  void send_burst(host& from, const node_id& peer);
  void ask();
  void handle(host& at);
  void change_programs(host& at);
  void disturb(connection_record& which);
  void befall(unsigned where);
  void look_after(unsigned where);
  void let_pass(duration span);
  [[nodiscard]] duration gap();
  [[nodiscard]] limits make_limits();
  [[nodiscard]] wire::settings make_wire();
  [[nodiscard]] sent_message make_message();
  [[nodiscard]] host* any_host() { return any_host(chance_); }
  [[nodiscard]] host* any_host(random& from);
  [[nodiscard]] connection_record* any_connection();

  random chance_;
  random policies_;
  random extras_; ///< For what is done beside: without it a run is the same.
  features has_;
  world world_;
  std::vector<place> places_;
  bool calm_; ///< Nothing breaks: the laws about undisturbed connections have most to say.
};

/// One run, from a number.
coverage run_seed(std::uint64_t seed, seeded_bug bug = seeded_bug::none,
                  const std::function<void(const std::string&)>& trace = nullptr);

} // namespace postbus::testing
