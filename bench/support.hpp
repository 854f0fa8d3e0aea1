// support: what all parties of the benchmarks share, so that none gets an easier task: how a body is
// read and checked, how processor time is taken, how a core is chosen, how options come in and figures
// go out (one line of JSON). Knows nothing of any party.
#pragma once

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace bench {

using clock = std::chrono::steady_clock;

[[noreturn]] inline void die(std::string_view why) {
  std::fprintf(stderr, "bench: %.*s\n", static_cast<int>(why.size()), why.data());
  std::exit(1);
}

// -- options: `program role key=value ...` ---------------------------------------------

class options {
public:
  options(int argc, char** argv) {
    if (argc < 2)
      die("usage: role [key=value]...");
    role_ = argv[1];
    for (const auto* each : std::span(argv, static_cast<std::size_t>(argc)).subspan(2)) {
      const std::string_view word = each;
      const auto equals = std::min(word.find('='), word.size() - 1);
      values_[std::string(word.substr(0, equals))] = word.substr(equals + 1);
    }
  }
  [[nodiscard]] const std::string& role() const { return role_; }
  [[nodiscard]] std::string text(const std::string& key, const std::string& otherwise = {}) const {
    const auto found = values_.find(key);
    return found == values_.end() ? otherwise : found->second;
  }
  [[nodiscard]] std::size_t number(const std::string& key, std::size_t otherwise = 0) const {
    const auto found = values_.find(key);
    return found == values_.end() ? otherwise : std::strtoull(found->second.c_str(), nullptr, 10);
  }

private:
  std::string role_;
  std::map<std::string, std::string> values_;
};

// -- bodies -----------------------------------------------------------------------------

/// What each body is filled with. All sizes are multiples of eight.
constexpr std::uint64_t pattern = 0x0123456789abcdef;

inline std::vector<std::byte> make_body(std::size_t size) {
  std::vector<std::byte> body(size);
  for (std::size_t at = 0; at + 8 <= size; at += 8)
    std::memcpy(body.data() + at, &pattern, 8);
  return body;
}

/// Reads every byte of a body: the sum of its words.
[[nodiscard]] inline std::uint64_t sum_words(std::span<const std::byte> bytes) noexcept {
  std::uint64_t sum = 0;
  for (std::size_t at = 0; at + 8 <= bytes.size(); at += 8) {
    std::uint64_t word;
    std::memcpy(&word, bytes.data() + at, 8);
    sum += word;
  }
  return sum;
}

/// An answer is a body of that size, each word of it read once.
inline void must_be_body(std::span<const std::byte> answer, std::size_t size) {
  if (answer.size() != size || sum_words(answer) != pattern * (size / 8))
    die("not what was sent");
}

// -- the machine ------------------------------------------------------------------------

/// What all threads of this process used, user and system, in seconds.
inline double cpu_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

/// Keeps this process and every thread it will make on one core. Call first.
inline void pin_to(std::size_t core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  if (::sched_setaffinity(0, sizeof set, &set) != 0)
    die("this process cannot be pinned to a core");
}

inline double seconds_since(clock::time_point start) {
  return std::chrono::duration<double>(clock::now() - start).count();
}

/// How far the memory of this process grew, at most, above what it was when this was made.
class memory_growth {
public:
  memory_growth() {
    // Forgets the peak that was, so that the next one is ours.
    if (auto* file = std::fopen("/proc/self/clear_refs", "w")) {
      std::fputs("5", file);
      std::fclose(file);
    }
    before_ = status_kib("VmRSS:");
  }
  [[nodiscard]] double peak_mib() const { return (status_kib("VmHWM:") - before_) / 1024; }

private:
  static double status_kib(std::string_view key) {
    double found = 0;
    char line[256];
    if (auto* file = std::fopen("/proc/self/status", "r")) {
      while (std::fgets(line, sizeof line, file))
        if (std::string_view(line).starts_with(key))
          found = std::strtod(line + key.size(), nullptr);
      std::fclose(file);
    }
    return found;
  }

  double before_ = 0;
};

// -- figures ----------------------------------------------------------------------------

/// One line of JSON on stdout: {"name": number, ...}.
class figures {
public:
  figures& add(const char* name, double value) {
    line_ += (line_.empty() ? "{\"" : ", \"") + std::string(name) + "\": " + std::to_string(value);
    return *this;
  }
  void print() const {
    std::printf("%s}\n", line_.c_str());
    std::fflush(stdout);
  }

private:
  std::string line_;
};

/// So many were done since `begun`, when this process had used `cpu` seconds.
inline void print_rate(double count, clock::time_point begun, double cpu) {
  figures{}
    .add("rate", count / seconds_since(begun))
    .add("cpu", (cpu_seconds() - cpu) / count)
    .print();
}

/// What a receiver knows of a stream: how many came, whether all were whole, how long it took from
/// the first to the last, the processor time of this process meanwhile, and the memory. Can play a slow
/// program, which takes no more than so many bytes a second.
class tally {
public:
  explicit tally(const options& given)
    : expected_(given.number("count")), size_(given.number("size", 64)),
      bytes_per_second_(static_cast<double>(given.number("pace"))) {}

  /// Another body; true when it was the last.
  bool take(std::span<const std::byte> body) noexcept { return take_sum(sum_words(body), 1); }
  /// Some more, whose words were summed already.
  bool take_sum(std::uint64_t sum, std::size_t messages) noexcept {
    if (start_ == clock::time_point{}) {
      start_ = clock::now();
      cpu_ = cpu_seconds();
    }
    sum_ += sum;
    got_ += messages;
    if (bytes_per_second_ > 0)
      dawdle();
    if (got_ < expected_)
      return false;
    seconds_ = seconds_since(start_);
    cpu_ = cpu_seconds() - cpu_;
    return true;
  }
  void print() const {
    if (got_ != expected_ || sum_ != pattern * (size_ / 8) * expected_)
      die("not what was sent: " + std::to_string(got_) + " of " + std::to_string(expected_));
    figures{}
      .add("messages", static_cast<double>(got_))
      .add("seconds", seconds_)
      .add("cpu", cpu_)
      .add("peak_mib", memory_.peak_mib())
      .print();
  }

private:
  void dawdle() const {
    const std::chrono::duration<double> due(static_cast<double>(got_ * size_) / bytes_per_second_);
    if (const auto ahead = due.count() - seconds_since(start_); ahead > 0.005)
      std::this_thread::sleep_for(std::chrono::duration<double>(ahead));
  }

  memory_growth memory_;
  std::size_t expected_, size_, got_ = 0;
  double bytes_per_second_;
  std::uint64_t sum_ = 0;
  clock::time_point start_;
  double seconds_ = 0, cpu_ = 0;
};

/// Round trips, one after the other. The first tenth warms up and is not counted.
class round_trips {
public:
  explicit round_trips(std::size_t count) : count_(count) { taken_.reserve(count); }

  void start() noexcept { sent_ = clock::now(); }
  /// The answer is there; true when it was the last.
  bool answered() {
    taken_.push_back(std::chrono::duration<double, std::micro>(clock::now() - sent_).count());
    if (taken_.size() == count_ / 10)
      cpu_ = cpu_seconds();
    return taken_.size() == count_;
  }
  void print() {
    const auto cpu = cpu_seconds() - cpu_;
    std::vector<double> sorted(taken_.begin() + static_cast<std::ptrdiff_t>(count_ / 10),
                               taken_.end());
    std::sort(sorted.begin(), sorted.end());
    const auto rank = [&](std::size_t percent) { return sorted[sorted.size() * percent / 100]; };
    figures{}
      .add("p50", rank(50))
      .add("p99", rank(99))
      .add("cpu", cpu / static_cast<double>(sorted.size()))
      .print();
  }

private:
  std::size_t count_;
  std::vector<double> taken_;
  clock::time_point sent_;
  double cpu_ = 0;
};

/// What a program does in the role of that name.
struct role {
  std::string_view name;
  void (*play)(const options&);
};

/// For main: plays the role that is asked for, on one core if one is given.
inline int play(int argc, char** argv, std::initializer_list<role> roles) {
  const options given(argc, argv);
  if (!given.text("core").empty())
    pin_to(given.number("core"));
  for (const auto& each : roles)
    if (each.name == given.role()) {
      each.play(given);
      return 0;
    }
  die("no role of that name");
}

/// Tells the driver where this process listens.
inline void say_port(std::size_t port) {
  figures{}.add("port", static_cast<double>(port)).print();
}

} // namespace bench
