#include "postbus/tests/sim/explorer.hpp"

#include <algorithm>

namespace postbus::testing {

namespace {

using namespace std::chrono_literals;

// Everything that is decided by time in these cases is decided by then: a probe takes 1 s, a program
// has 3 s, a handshake 5.
constexpr duration horizon = 12s;
// Until then an act may be put off: past all of these, and early enough for what it begins.
constexpr duration patience = 6s;
constexpr std::size_t choices_max = 500;

/// One way through a case: takes the choices it is given, then always the first.
class walk {
public:
  walk(const small_case_info& what, const std::function<void(const std::string&)>& trace)
    : case_(what.make({.seed = 1, .whole_reads = true, .trace = trace})), trace_(trace),
      until_(case_->field.now() + horizon),
      put_off_until_(what.takes_long ? time_point::min() : case_->field.now() + patience),
      happened_(case_->acts.size()) {}

  /// Lets happen what leaves no choice; says how many choices there are then. 0: all is at rest.
  std::size_t settle() {
    for (;;) {
      take_forced();
      choose_among_acts();
      if (!steps_.empty())
        return steps_.size() + acts_.size();
      if (!acts_.empty())
        return acts_.size() + (next_moment() <= put_off_until_ ? 1 : 0);
      if (next_moment() > until_)
        return 0;
      case_->field.advance(next_moment());
    }
  }
  void choose(std::size_t index) {
    if (index < steps_.size()) {
      const auto step = steps_[index];
      note(step);
      return case_->field.take(step);
    }
    if (index == steps_.size() + acts_.size()) {
      path_ += " wait";
      if (trace_)
        trace_("wait");
      return case_->field.advance(next_moment());
    }
    const auto which = acts_[index - steps_.size()];
    auto& act = case_->acts[which];
    path_ += ' ' + act.name;
    if (trace_)
      trace_("act: " + act.name);
    for (std::size_t each = 0; each < happened_.size(); ++each)
      if (each == which || (act.one_of != 0 && case_->acts[each].one_of == act.one_of))
        happened_[each] = true;
    act.happen();
  }
  [[nodiscard]] std::uint64_t key() const {
    auto sum = case_->field.key();
    for (const bool each : happened_)
      sum = sum * 31 + (each ? 2 : 1);
    return sum;
  }
  void finish() {
    case_->field.advance(until_);
    case_->check_rest();
    case_->field.finish(5s);
  }
  [[nodiscard]] const std::string& path() const { return path_; }

private:
  [[nodiscard]] time_point next_moment() const {
    return std::max(case_->field.next_moment(), case_->field.now());
  }
  // What a node and a program do with what they have leaves no trace in the order of other things.
  void take_forced() {
    auto& field = case_->field;
    for (;;) {
      field.enabled(steps_);
      const auto forced = std::find_if(steps_.begin(), steps_.end(), [](const step& each) {
        return each.what != step::kind::order && each.what != step::kind::read;
      });
      if (forced == steps_.end())
        return;
      field.take(step(*forced));
    }
  }
  void choose_among_acts() {
    acts_.clear();
    for (std::size_t each = 0; each < happened_.size(); ++each)
      if (!happened_[each] && (!case_->acts[each].possible || case_->acts[each].possible()))
        acts_.push_back(each);
  }
  void note(const step& what) {
    path_ += what.what == step::kind::read ? " read" : " obey";
    path_ += std::to_string(what.end->record.serial) + (what.end->side == 0 ? "d" : "l");
    if (trace_)
      trace_(path_.substr(path_.rfind(' ') + 1));
  }

  std::unique_ptr<small_case> case_;
  std::function<void(const std::string&)> trace_;
  time_point until_;
  time_point put_off_until_;
  std::vector<bool> happened_;
  std::vector<step> steps_;
  std::vector<std::size_t> acts_;
  std::string path_;
};

struct choice {
  std::size_t taken = 0;
  std::size_t of = 0;
};

} // namespace

exploration explore(const small_case_info& what,
                    const std::function<void(const std::string&)>& trace) {
  exploration sum;
  std::unordered_set<std::uint64_t> seen;
  std::vector<choice> way;
  do {
    walk now(what, trace);
    ++sum.replays;
    try {
      for (const auto& each : way) {
        (void)now.settle();
        now.choose(each.taken);
      }
      for (;;) {
        const auto count = now.settle();
        if (!seen.insert(now.key()).second)
          break;
        if (count == 0) {
          ++sum.ends;
          now.finish();
          break;
        }
        require(way.size() < choices_max, law::ending, "the case never rests");
        way.push_back({0, count});
        sum.deepest = std::max(sum.deepest, way.size());
        now.choose(0);
      }
    } catch (const violation& broken) {
      throw violation(broken.broken,
                      std::string(what.name) + ": " + broken.what() + "\n  after" + now.path());
    }
    while (!way.empty() && way.back().taken + 1 == way.back().of)
      way.pop_back();
    if (!way.empty())
      ++way.back().taken;
  } while (!way.empty());
  sum.states = seen.size();
  return sum;
}

} // namespace postbus::testing
