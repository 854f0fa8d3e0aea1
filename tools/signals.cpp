#include "postbus/tools/signals.hpp"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

namespace tool::signals {

namespace {

std::atomic<bool> draining = false;
std::atomic<bool> asked = false;
std::atomic<bool> silent = false;
static_assert(std::atomic<bool>::is_always_lock_free, "used in a signal handler");
int wake[2] = {-1, -1};

void say(const char* text) noexcept {
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text, std::strlen(text));
}

void on_signal(int number) {
  const auto before = errno;
  if (!draining.load() || asked.exchange(true)) {
    say(draining.load() ? "\npostbus: stopped at once\n" : "\npostbus: stopped\n");
    ::_exit(128 + number);
  }
  if (!silent.load())
    say("\npostbus: stopping in order; once more to stop at once\n");
  [[maybe_unused]] const auto written = ::write(wake[1], "", 1);
  errno = before;
}

} // namespace

void install() {
  std::signal(SIGPIPE, SIG_IGN);
  if (::pipe2(wake, O_CLOEXEC | O_NONBLOCK) != 0)
    return; // without it a signal ends the program, as ever
  struct sigaction action = {};
  action.sa_handler = on_signal;
  ::sigemptyset(&action.sa_mask);
  // Not SA_RESTART: a write that blocks must come back and see that the program is to end.
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

void drain_on_first(bool aloud) noexcept {
  silent = !aloud;
  draining = true;
}

bool stop_asked() noexcept {
  return asked.load();
}

int stop_descriptor() noexcept {
  return wake[0];
}

} // namespace tool::signals
