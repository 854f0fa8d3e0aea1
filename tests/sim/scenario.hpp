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
  };

  void start(unsigned where);
  void subscribe(host& at);
  void act();
  void dial();
  void send();
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
  [[nodiscard]] host* any_host();
  [[nodiscard]] connection_record* any_connection();

  random chance_;
  random policies_;
  world world_;
  std::vector<place> places_;
  bool calm_; ///< Nothing breaks: the laws about undisturbed connections have most to say.
};

/// One run, from a number.
coverage run_seed(std::uint64_t seed, seeded_bug bug = seeded_bug::none,
                  const std::function<void(const std::string&)>& trace = nullptr);

} // namespace postbus::testing
