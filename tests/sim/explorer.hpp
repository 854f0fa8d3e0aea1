// explorer: a small case driven through every order in which its parts can happen, exhaustively: which
// connection reads or obeys next, when a node dials, a program answers, a connection breaks.
// Cores and sessions are the real ones; each order is replayed from the start, and a state that was
// met before (world::key) is not entered again. Nothing here is random.
//
// What counts as one step, and so bounds the search: a connection takes all that has arrived, or obeys
// one order of its node; a node handles a letter as soon as it has one, and a program what it is told.
// The clock moves to the next moment at which something happens by itself, and never while a connection
// has something to read or to obey: no deadline passes in the middle of an exchange. That what may happen
// is put off until later is tried in the short cases, for the first seconds; in the long ones the clock
// moves only when nothing else can happen. Two states of one hash count as the same.
#pragma once

#include "postbus/tests/support/simulator/world.hpp"

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace postbus::testing {

/// A beginning, what may happen at any time after it, and what must be true at the end.
class small_case {
public:
  /// Something that may happen once, as soon as its condition holds.
  struct act {
    std::string name;
    std::function<bool()> possible; ///< Empty: always.
    std::function<void()> happen;
    unsigned one_of = 0; ///< Of acts with the same number, not 0, only one happens.
  };

  explicit small_case(const world::settings& how) : field(how) {}
  virtual ~small_case() = default;

  /// What is left to be done when everything has come to rest.
  virtual void check_rest() = 0;

  world field;
  std::vector<act> acts;
};

struct small_case_info {
  std::string_view name;
  std::string_view tells;
  std::function<std::unique_ptr<small_case>(const world::settings&)> make;
  /// Seconds, and with sanitizers minutes; then nothing is put off.
  bool takes_long = false;
};

/// All of them; DESIGN.md, "One connection per pair", says what holds in each.
[[nodiscard]] const std::vector<small_case_info>& small_cases();

struct exploration {
  std::size_t states = 0; ///< Different ones.
  std::size_t ends = 0;   ///< Of these: at rest, with nothing left that may happen.
  std::size_t replays = 0;
  std::size_t deepest = 0; ///< Choices on the longest way.
};

/// Tries all orders. Throws the first violation, with the choices that led there.
exploration explore(const small_case_info& what,
                    const std::function<void(const std::string&)>& trace = nullptr);

} // namespace postbus::testing
