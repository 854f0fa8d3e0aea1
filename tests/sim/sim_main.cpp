// sim_test: runs the simulator over seeds. A failure, whatever it is, prints one command that runs just
// that seed again: a law that was broken, an exception, a signal, a sanitizer, an end by a time limit.
#include "postbus/tests/sim/explorer.hpp"
#include "postbus/tests/sim/scenario.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <string>

#include <unistd.h>

// There only in a build with sanitizers; they end a program without a signal.
extern "C" void __sanitizer_set_death_callback(void (*)()) __attribute__((weak));

using namespace postbus;
using namespace postbus::testing;

namespace {

constexpr const char* help = R"(usage: sim_test [what] [options]

  --seed N            one run, from this seed
  --seeds FROM:COUNT  that many runs (1:1000 without)
  --covers            fail unless everything that can happen did
  --bug NAME          with a mistake made on purpose: fail unless it is found, by the right law
  --bugs              the same with each that --list knows
  --orders [CASE]     a small case, or all of them, in every order in which it can happen
  --short             without those cases that take seconds
  --expect-violation  fail unless a law is broken
  --trace             tell what happens
  --quiet             no table of what happened
  --list              the mistakes that can be made on purpose, and the small cases
)";

struct options {
  std::uint64_t first = 1;
  std::uint64_t count = 1000;
  bool covers = false;
  bool trace = false;
  bool quiet = false;
  bool expects_violation = false;
  seeded_bug bug = seeded_bug::none;
  bool all_bugs = false;
  bool all_orders = false;
  bool short_ones = false;
  std::string_view small_case; ///< Empty: all.
};

std::string program_name = "sim_test";

// -- what runs now --------------------------------------------------------------------

// Read by a signal handler, so nothing but bytes.
std::array<char, 512> again_text;
volatile std::sig_atomic_t again_bytes = 0;

constexpr int deadly[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTERM};
std::array<struct sigaction, std::size(deadly)> handled_before;

/// What repeats that which is begun now.
void begin_run(const std::string& arguments) {
  const auto text = "\nagain: " + program_name + ' ' + arguments + '\n';
  again_bytes = 0;
  const auto bytes = std::min(text.size(), again_text.size());
  std::memcpy(again_text.data(), text.data(), bytes);
  again_bytes = static_cast<std::sig_atomic_t>(bytes);
}

[[nodiscard]] std::string_view again() {
  return {again_text.data(), static_cast<std::size_t>(again_bytes)};
}

void tell_again() {
  const auto bytes = static_cast<std::size_t>(again_bytes);
  again_bytes = 0; // once: a sanitizer may end it by a signal
  if (write(STDERR_FILENO, again_text.data(), bytes) < 0)
    return; // nobody listens
}

void on_signal(int which) {
  tell_again();
  for (std::size_t index = 0; index < std::size(deadly); ++index)
    if (deadly[index] == which)
      sigaction(which, &handled_before[index], nullptr);
  raise(which);
}

void watch_signals() {
  struct sigaction how {};
  how.sa_handler = on_signal;
  for (std::size_t index = 0; index < std::size(deadly); ++index)
    sigaction(deadly[index], &how, &handled_before[index]);
  if (__sanitizer_set_death_callback != nullptr)
    __sanitizer_set_death_callback(tell_again);
}

[[noreturn]] void usage(const std::string& wrong) {
  std::cerr << "sim_test: " << wrong << "\n\n" << help;
  std::exit(2);
}

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc{} || end != text.data() + text.size())
    usage("not a number: " + std::string(text));
  return value;
}

const seeded_bug_info* find_bug(std::string_view name) {
  for (const auto& each : seeded_bugs)
    if (each.name == name)
      return &each;
  return nullptr;
}

const seeded_bug_info& info_of(seeded_bug which) {
  for (const auto& each : seeded_bugs)
    if (each.which == which)
      return each;
  std::abort();
}

options parse(int count, char** words) {
  options out;
  program_name = words[0];
  for (int index = 1; index < count; ++index) {
    const std::string_view word = words[index];
    const auto value = [&]() -> std::string_view {
      if (++index == count)
        usage(std::string(word) + " wants a value");
      return words[index];
    };
    if (word == "--seed") {
      out.first = number(value());
      out.count = 1;
    } else if (word == "--seeds") {
      const auto text = value();
      const auto colon = text.find(':');
      if (colon == text.npos)
        usage("--seeds wants FROM:COUNT");
      out.first = number(text.substr(0, colon));
      out.count = number(text.substr(colon + 1));
    } else if (word == "--bug") {
      const auto name = value();
      const auto* found = find_bug(name);
      if (found == nullptr)
        usage("no such mistake: " + std::string(name));
      out.bug = found->which;
    } else if (word == "--bugs") {
      out.all_bugs = true;
    } else if (word == "--orders") {
      out.all_orders = true;
      if (index + 1 < count && words[index + 1][0] != '-')
        out.small_case = words[++index];
    } else if (word == "--short") {
      out.short_ones = true;
    } else if (word == "--covers") {
      out.covers = true;
    } else if (word == "--expect-violation") {
      out.expects_violation = true;
    } else if (word == "--trace") {
      out.trace = true;
    } else if (word == "--quiet") {
      out.quiet = true;
    } else if (word == "--list") {
      for (const auto& each : seeded_bugs)
        std::cout << each.name << '\n';
      for (const auto& each : small_cases())
        std::cout << each.name << ": " << each.tells << '\n';
      std::exit(0);
    } else if (word == "--help") {
      std::cout << help;
      std::exit(0);
    } else {
      usage("what is " + std::string(word) + '?');
    }
  }
  return out;
}

std::function<void(const std::string&)> tracer(bool on) {
  if (!on)
    return nullptr;
  return [](const std::string& text) { std::cout << text << '\n'; };
}

/// Runs until a mistake is found; true when it broke a law that it should.
bool is_found(const options& how, seeded_bug bug) {
  const auto& info = info_of(bug);
  for (auto seed = how.first; seed < how.first + how.count; ++seed) {
    begin_run("--bug " + std::string(info.name) + " --seed " + std::to_string(seed) + " --trace");
    try {
      (void)run_seed(seed, bug, tracer(how.trace));
    } catch (const violation& broken) {
      const auto right =
        std::find(info.breaks.begin(), info.breaks.end(), broken.broken) != info.breaks.end();
      std::cout << info.name << ": seed " << seed << ", law of " << to_string(broken.broken) << ": "
                << broken.what() << (right ? "" : "  <- not the law it should break")
                << (how.all_bugs && right ? "\n" : again());
      return right;
    } catch (const std::exception& thrown) {
      std::cout << info.name << ": seed " << seed << ", exception: " << thrown.what() << again();
      return false;
    }
  }
  std::cout << info.name << ": not found in " << how.count << " seeds\n";
  return false;
}

int run_orders(const options& how) {
  bool known = false;
  for (const auto& each : small_cases()) {
    if ((!how.small_case.empty() && how.small_case != each.name)
        || (how.short_ones && each.takes_long))
      continue;
    known = true;
    begin_run("--orders " + std::string(each.name));
    try {
      const auto sum = explore(each, tracer(how.trace));
      std::cout << each.name << ": " << sum.states << " states, " << sum.ends << " ends, at most "
                << sum.deepest << " choices, " << sum.replays << " replays" << std::endl;
    } catch (const violation& broken) {
      std::cout << "law of " << to_string(broken.broken) << ": " << broken.what() << again();
      return how.expects_violation ? 0 : 1;
    } catch (const std::exception& thrown) {
      std::cout << each.name << ": exception: " << thrown.what() << again();
      return 1;
    }
  }
  if (!known)
    usage("no such case: " + std::string(how.small_case));
  return how.expects_violation ? 1 : 0;
}

int run(const options& how) {
  coverage sum;
  for (auto seed = how.first; seed < how.first + how.count; ++seed) {
    begin_run("--seed " + std::to_string(seed) + " --trace");
    try {
      sum.add(run_seed(seed, seeded_bug::none, tracer(how.trace)));
    } catch (const violation& broken) {
      std::cout << "seed " << seed << " broke the law of " << to_string(broken.broken) << ": "
                << broken.what() << again();
      return how.expects_violation ? 0 : 1;
    } catch (const std::exception& thrown) {
      std::cout << "seed " << seed << ", exception: " << thrown.what() << again();
      return 1;
    }
  }
  if (!how.quiet)
    sum.print(std::cout);
  if (how.expects_violation) {
    std::cout << "no law was broken in " << how.count << " seeds\n";
    return 1;
  }
  int failed = 0;
  if (how.covers)
    for (const auto& what : sum.missing()) {
      std::cout << "never happened: " << what << '\n';
      failed = 1;
    }
  return failed;
}

} // namespace

int main(int count, char** words) {
  std::ios::sync_with_stdio(false);
  const auto how = parse(count, words);
  watch_signals();
  if (how.all_bugs) {
    bool all = true;
    for (const auto& each : seeded_bugs)
      all = is_found(how, each.which) && all;
    return all ? 0 : 1;
  }
  if (how.all_orders)
    return run_orders(how);
  if (how.bug != seeded_bug::none)
    return is_found(how, how.bug) ? 0 : 1;
  return run(how);
}
