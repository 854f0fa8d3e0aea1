// small_cases: the beginnings from which the explorer tries all orders, and what must be true when all is at
// rest: the rules of docs/DESIGN.md, "One connection per pair".
#include "postbus/tests/sim/explorer.hpp"

#include <algorithm>

namespace postbus::testing {

namespace {

using namespace std::chrono_literals;

constexpr unsigned place_a = 0;
constexpr unsigned place_b = 1;
constexpr unsigned place_forger = 2;

node_id id_of(unsigned byte) {
  node_id::bytes_type bytes;
  bytes.fill(static_cast<std::byte>(byte));
  return node_id(bytes);
}

/// Two honest nodes, A and B, and perhaps somebody who calls himself A.
class pair_case : public small_case {
public:
  struct settings {
    bool a_is_smaller = true;
    bool open_at_start = false;
    bool a_restarts = false; ///< The first A dies without a word, a second is there.
    bool forger = false;
    bool b_decides = false;
    bool breaks = false; ///< Any one connection may be reset, at any time.
    bool closes = false; ///< A may close, at any time.
    bool stalls = false; ///< The forger stands still from any time on.
    std::string dials;   ///< "ab", "ba", "fb" (the forger dials B), in pairs: "abba".
  };

  pair_case(const world::settings& how, settings what)
    : small_case(how), what_(std::move(what)), a_(&start(place_a, 11)), b_(&start(place_b, 22)) {
    if (what_.b_decides)
      field.subscribe(*b_, {.messages = false, .events = false, .decides = true},
                      {.answers = false});
    if (what_.open_at_start) {
      first_ = field.dial(*a_, place_b, {});
      settle();
    }
    if (what_.a_restarts) {
      field.crash(*a_, false);
      a_ = &start(place_a, 33);
    }
    if (what_.forger)
      forger_ = &start(place_forger, 44);
    for (std::size_t index = 0; index < what_.dials.size(); index += 2)
      may_dial(what_.dials[index], what_.dials[index + 1], index / 2);
    if (what_.b_decides)
      for (unsigned question = 1; question <= 2; ++question)
        may_answer(question);
    if (what_.breaks)
      for (std::size_t index = 0; index < what_.dials.size() / 2 + (first_ ? 1 : 0); ++index)
        may_break(index);
    if (what_.stalls)
      acts.push_back({"stall-forger", nullptr, [this] {
                        stalled_first_ = dialed_.back() == nullptr;
                        field.pause(*forger_);
                      }});
    if (what_.closes)
      acts.push_back({"close-A", nullptr, [this] { field.close(*a_, 5s); }});
  }

  void check_rest() override {
    if (what_.closes)
      return;
    check_survivor();
    check_nobody_put_out();
    check_dials();
    if (connected())
      check_messages();
  }

private:
  host& start(unsigned place, std::uint64_t incarnation) {
    const auto smaller = what_.a_is_smaller;
    const auto id = id_of(place == place_b ? 5 : smaller ? 1 : 9);
    auto& at = field.start(place, {id, incarnation, {}});
    field.subscribe(at, {}, {});
    return at;
  }
  void settle() {
    while (field.take_any()) {
    }
  }

  // -- what may happen ------------------------------------------------------------------

  void may_dial(char from, char to, std::size_t index) {
    // Equal dials happen in their order.
    const auto earlier = index > 0 && what_.dials.substr(2 * index - 2, 2) == std::string{from, to};
    const auto before = dialed_.size();
    dialed_.push_back(nullptr);
    acts.push_back({std::string("dial-") + from + to,
                    [this, earlier, before] { return !earlier || dialed_[before - 1] != nullptr; },
                    [this, from, to, before] {
                      auto& at = from == 'a' ? *a_ : from == 'b' ? *b_ : *forger_;
                      dialed_[before] = field.dial(at, to == 'a' ? place_a : place_b, {});
                    }});
  }
  void may_answer(unsigned question) {
    const auto asked = [this, question] {
      return decider().questions.size() + answered_ >= question && answered_ + 1 == question;
    };
    const auto answer = [this](bool yes) {
      const auto put = decider().questions.front();
      decider().questions.pop_front();
      ++answered_;
      // Who is not answered in time is rejected.
      const auto too_late = field.now() >= put.due + b_->bounds.decision_time_max;
      rejected_ = rejected_ || !yes || too_late;
      field.answer(*b_, put.what.connection, yes);
    };
    acts.push_back({"yes", asked, [answer] { answer(true); }, question});
    acts.push_back({"no", asked, [answer] { answer(false); }, question});
  }
  void may_break(std::size_t index) {
    acts.push_back({"break-" + std::to_string(index + 1),
                    [this, index] {
                      const auto& all = field.connections();
                      return index < all.size() && field.end_of(*all[index], 0) != nullptr
                             && field.end_of(*all[index], 1) != nullptr;
                    },
                    [this, index] {
                      broken_ = true;
                      field.reset(*field.connections()[index]);
                    },
                    100});
  }
  program& decider() {
    for (auto& [id, who] : b_->programs)
      if (who->wants().decides)
        return *who;
    throw violation(law::ending, "nobody decides");
  }

  // -- what must be true ----------------------------------------------------------------

  [[nodiscard]] bool connected() const {
    return a_->links.contains(b_->id) && b_->links.contains(a_->id);
  }
  [[nodiscard]] bool same_connection() const {
    return connected() && &a_->links.at(b_->id)->record == &b_->links.at(a_->id)->record;
  }

  void check_survivor() const {
    require(a_->links.size() <= 1 && b_->links.size() <= 1, law::survivor, "two survivors");
    require(a_->ends.size() == a_->links.size() && b_->ends.size() == b_->links.size(),
            law::survivor, "connections that wait for ever");
    if (broken_ || rejected_) {
      // Whatever is open is open at both ends.
      require(a_->links.empty() == b_->links.empty(), law::survivor, "open at one end only");
      require(a_->links.empty() || same_connection(), law::survivor, "each end has another one");
      return;
    }
    if (forger_ == nullptr || (what_.open_at_start && !what_.a_restarts)) {
      require(same_connection(), law::survivor,
              !connected() ? "no survivor" : "each end has another one");
    } else {
      // Without proof of identity a forger may be first; but somebody is let in.
      require(!b_->links.empty(), law::survivor, "no survivor");
      const auto with_forger = &b_->links.begin()->second->record;
      require(!stalled_first_ || same_connection(), law::survivor,
              "a forger that does nothing keeps an honest dial out");
      require(same_connection() || forger_->links.contains(b_->id), law::survivor,
              [&] { return "B is connected to nobody by " + with_forger->name(); });
    }
    if (what_.open_at_start && !what_.a_restarts)
      require(&b_->links.at(a_->id)->record == first_, law::survivor,
              "the open connection did not stay");
  }

  // Told `connected`, then `disconnected`, although nothing was wrong with it.
  void check_nobody_put_out() const {
    if (broken_)
      return; // whose welcome crosses a refusal then is told handshake_lost
    for (const auto& each : field.connections()) {
      const auto& sides = each->sides;
      const auto of_forger = forger_ != nullptr && each->sides[0].self == forger_->id
                             && !(what_.open_at_start && each.get() == first_);
      if (each->disturbed || of_forger)
        continue;
      require(!(sides[0].opened && sides[0].ended) && !(sides[1].opened && sides[1].ended),
              law::survivor, [&] { return each->name() + " was open, and was given up"; });
    }
  }

  void check_dials() const {
    // Beside a forger who may be first nobody can be promised anything.
    if (broken_ || rejected_ || (forger_ != nullptr && !what_.open_at_start))
      return;
    for (std::size_t index = 0; index < dialed_.size(); ++index) {
      const auto* dial = dialed_[index];
      if (what_.dials[2 * index] == 'f')
        continue;
      require(dial->answer && *dial->answer, law::dials, [&] {
        return dial->name() + ": the dial was answered "
               + (dial->answer ? to_string(dial->answer->error()) : "by nobody");
      });
    }
  }

  void check_messages() {
    for (int number = 0; number < 3; ++number)
      for (auto* from : {a_, b_}) {
        const auto to = (from == a_ ? b_ : a_)->id;
        require(field.send(*from, to, {100, 7, true}) == send_outcome::accepted, law::survivor,
                "the survivor takes no message");
      }
    field.run(100ms);
    for (const auto* at : {a_, b_})
      for (const auto& [peer, end] : at->links)
        require(end->mine().delivered >= 3 || end->other == nullptr, law::survivor,
                "messages over the survivor do not arrive");
  }

  settings what_;
  host* a_;
  host* b_;
  host* forger_ = nullptr;
  connection_record* first_ = nullptr;
  std::vector<connection_record*> dialed_;
  unsigned answered_ = 0;
  bool broken_ = false;
  bool rejected_ = false;
  bool stalled_first_ = false; // before B dialed
};

void add(std::vector<small_case_info>& to, std::string_view name, std::string_view tells,
         const pair_case::settings& what) {
  const auto takes_long = what.dials.size() > 4;
  to.push_back(
    {name, tells,
     [what](const world::settings& how) { return std::make_unique<pair_case>(how, what); },
     takes_long});
}

std::vector<small_case_info> make_cases() {
  std::vector<small_case_info> out;
  add(out, "two_dials", "two dials at the same time, one from each side", {.dials = "abba"});
  add(out, "two_dials_larger", "the same, the other id the smaller",
      {.a_is_smaller = false, .dials = "abba"});
  add(out, "two_dials_one_way", "two dials from the same side", {.dials = "abab"});
  add(out, "three_dials", "two dials from one side, one from the other", {.dials = "ababba"});
  add(out, "three_dials_larger", "the same, the other id the smaller",
      {.a_is_smaller = false, .dials = "ababba"});
  add(out, "dial_while_open", "a dial from each side to a peer that is open",
      {.open_at_start = true, .dials = "abba"});
  add(out, "restart", "a peer comes back while its old connection is half open",
      {.open_at_start = true, .a_restarts = true, .dials = "abba"});
  add(out, "restart_larger", "the same, the other id the smaller",
      {.a_is_smaller = false, .open_at_start = true, .a_restarts = true, .dials = "abba"});
  add(out, "forger_beside_open", "a forger claims an open peer's id, which dials again",
      {.open_at_start = true, .forger = true, .dials = "fbab"});
  add(out, "forger_among_dials", "a forger, and two dials at the same time",
      {.forger = true, .dials = "fbabba"});
  add(out, "forger_among_dials_larger", "the same, the other id the smaller",
      {.a_is_smaller = false, .forger = true, .dials = "fbabba"});
  add(out, "forger_stalls",
      "a forger that stands still halfway, and a dial to whom it claims to be",
      {.forger = true, .stalls = true, .dials = "fbba"});
  add(out, "refusal", "two dials at the same time, and B's program says yes or no",
      {.b_decides = true, .dials = "abba"});
  add(out, "refusal_larger", "the same, the other id the smaller",
      {.a_is_smaller = false, .b_decides = true, .dials = "abba"});
  add(out, "death", "two dials at the same time, and one connection breaks at any time",
      {.breaks = true, .dials = "abba"});
  add(out, "death_larger", "the same, the other id the smaller",
      {.a_is_smaller = false, .breaks = true, .dials = "abba"});
  add(out, "close", "two dials at the same time, and A closes at any time",
      {.closes = true, .dials = "abba"});
  return out;
}

} // namespace

const std::vector<small_case_info>& small_cases() {
  static const auto all = make_cases();
  return all;
}

} // namespace postbus::testing
