// errc_proof: a table keyed by errc of how each comes about and what either end sees of it. A test that
// holds one fails to compile while an errc has no entry, whatever the compiler warns of, and fails to pass
// with an entry that provokes nothing. To add an errc is to say here, or there, who sees what.
#pragma once

#include "postbus/codecs/result.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postbus::test {

/// Where an errc is counted: three lists of `node_statistics`, or what a subscriber is told.
enum class counted : std::uint8_t {
  nowhere,      ///< Nothing ended and no message was lost: whoever asked has the answer.
  refusals,     ///< A connection that ended before it was open.
  disconnects,  ///< One that was open.
  drops,        ///< Messages that came to nothing.
  subscription, ///< `subscription_ended::messages_dropped`, and `subscription_counters` before.
};

[[nodiscard]] constexpr std::string_view to_string(counted in) noexcept {
  constexpr std::string_view names[] = {"nowhere", "refusals", "disconnects", "drops",
                                        "subscription"};
  return names[static_cast<std::size_t>(in)];
}

/// What one end sees.
struct view {
  errc code = errc::unknown;
  blame by = blame::local;
  counted in = counted::nowhere;

  friend bool operator==(const view&, const view&) = default;
};

[[nodiscard]] inline std::string to_string(const view& seen) {
  return std::string(to_string(seen.code)) + " (" + std::string(to_string(seen.by))
         + ") counted in " + std::string(to_string(seen.in));
}

/// What was seen when an errc was provoked; filled in by whoever provokes it, from what happened.
struct witness {
  std::vector<view> here;
  std::vector<view> there;
};

/// What `here` sees beside the errc itself.
struct at_this_end {
  blame by = blame::local;
  counted in = counted::nowhere;
};

/// The other end is told nothing, and goes on as it was.
inline constexpr std::nullopt_t nobody = std::nullopt;

/// How an errc comes about, and what is seen of it at both ends.
class proof {
public:
  /// An errc that nobody has said anything about.
  struct missing {};
  consteval explicit proof(missing) noexcept : is_missing_(true) {}
  consteval proof(std::string_view how, void (*provoke)(witness&), at_this_end here,
                  std::optional<view> there)
    : how_(how), provoke_(provoke), here_(here), there_(there) {
    if (how.empty())
      throw "an entry says how its errc is provoked"; // does not compile
  }
  /// It provokes it, too. (g++ 12 compares no pointers to functions at compile time under UBSan.)
  proof(std::string_view how, std::nullptr_t, at_this_end here, std::optional<view> there) = delete;

  [[nodiscard]] constexpr bool is_missing() const noexcept { return is_missing_; }

  /// Provokes `code`, and compares what was seen with what is said.
  void check(errc code) const {
    witness seen;
    const auto name = to_string(code);
    CAPTURE(name);
    CAPTURE(how_);
    provoke_(seen);
    compare(seen.here, view{code, here_.by, here_.in}, "here");
    compare(seen.there, there_, "there");
  }

private:
  static void compare(const std::vector<view>& seen, const std::optional<view>& said,
                      std::string_view where) {
    CAPTURE(where);
    std::string all;
    for (const auto& each : seen)
      all += to_string(each) + "; ";
    CHECK(all == (said ? to_string(*said) + "; " : ""));
  }

  std::string_view how_;
  void (*provoke_)(witness&) = nullptr;
  bool is_missing_ = false;
  at_this_end here_;
  std::optional<view> there_;
};

/// The entry of an errc. Specialize it in the test that provokes the errc.
template <errc Code>
inline constexpr proof proof_of{proof::missing{}};

/// Which test has the entry of an errc.
enum class proved_by : std::uint8_t {
  connections, ///< tests/bus/errc_both_ends_test.cpp: what can end a connection, or a message.
  answers,     ///< tests/bus/errc_answers_test.cpp: what a call or a request is answered.
  systems, ///< tests/actors/errc_both_ends_test.cpp: what only real sockets, threads and systems bring about.
};

[[nodiscard]] constexpr proved_by where_proved(errc code) noexcept {
  constexpr errc with_a_system[] = {errc::canceled,       errc::would_deadlock, errc::unsupported,
                                    errc::resolve_failed, errc::connect_failed, errc::listen_failed,
                                    errc::system_failed,  errc::handler_lost};
  if (std::find(std::begin(with_a_system), std::end(with_a_system), code)
      != std::end(with_a_system))
    return proved_by::systems;
  return code < errc::not_connected ? proved_by::connections : proved_by::answers;
}

namespace detail {

// How the compiler writes a value of the enum: by its name, or as a number that is cast.
template <errc Code>
[[nodiscard]] consteval bool is_named() noexcept {
  return std::string_view(__PRETTY_FUNCTION__).find("errc)") == std::string_view::npos;
}
static_assert(is_named<errc::none>() && is_named<errc::malformed_value>()
              && !is_named<static_cast<errc>(2)>() && !is_named<static_cast<errc>(1023)>());

template <errc Code>
struct must_have_a_proof {
  static_assert(!proof_of<Code>.is_missing(),
                "an errc without a proof: say how it is provoked and what both ends see of it");
  static constexpr const proof* entry = &proof_of<Code>;
};

// Numbers far above any that is in use: CAF keeps one byte of them.
inline constexpr std::size_t numbers = 1024;

template <proved_by Where, std::size_t Number>
void add_entry(std::vector<std::pair<errc, const proof*>>& to) {
  constexpr auto code = static_cast<errc>(Number);
  if constexpr (is_named<code>())
    if constexpr (where_proved(code) == Where)
      to.emplace_back(code, must_have_a_proof<code>::entry);
}

} // namespace detail

/// Every errc that is proved there, with its proof. Behind all specializations.
template <proved_by Where>
[[nodiscard]] std::vector<std::pair<errc, const proof*>> all_proofs() {
  std::vector<std::pair<errc, const proof*>> all;
  [&]<std::size_t... Number>(std::index_sequence<Number...>) {
    // No fold, of which compilers take only so much.
    constexpr void (*each[])(std::vector<std::pair<errc, const proof*>>&) = {
      &detail::add_entry<Where, Number>...};
    for (const auto add : each)
      add(all);
  }
  (std::make_index_sequence<detail::numbers>{});
  return all;
}

/// Provokes all of them.
template <proved_by Where>
void check_all_proofs() {
  std::size_t known = 0; // as the wire has it
  for (unsigned number = 0; number <= 0xffff; ++number) {
    const auto code = errc_from_wire(static_cast<std::uint16_t>(number));
    known += static_cast<unsigned>(code) == number && where_proved(code) == Where ? 1 : 0;
  }
  const auto all = all_proofs<Where>();
  CHECK(all.size() == known);
  for (const auto& [code, entry] : all)
    entry->check(code);
}

} // namespace postbus::test
