// child_program: this test program once more, in a process of its own, running one test case that is a
// role: TEST_CASE("role: …" * doctest::skip()). Parent and child talk in lines. A child that is still
// there when its parent lets go of it is killed and reaped.
// Drive: child_program child("role: …"); child.hear(patience); and in the role: parent_program().
#pragma once

#include "postbus/bus/time.hpp"

#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

namespace postbus::test {

/// Lines over a socket.
class line_talk {
public:
  explicit line_talk(int socket = -1) : socket_(socket) {}
  line_talk(const line_talk&) = delete;
  line_talk& operator=(const line_talk&) = delete;
  ~line_talk() {
    if (socket_ >= 0)
      ::close(socket_);
  }

  void tell(std::string line) {
    line += '\n';
    (void)::send(socket_, line.data(), line.size(), MSG_NOSIGNAL);
  }
  /// The next line; nothing when the other is gone, or silent for `within`.
  std::optional<std::string> hear(duration within) {
    const auto deadline = std::chrono::steady_clock::now() + within;
    for (;;) {
      if (const auto end = heard_.find('\n'); end != std::string::npos) {
        auto line = heard_.substr(0, end);
        heard_.erase(0, end + 1);
        return line;
      }
      const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      pollfd what{socket_, POLLIN, 0};
      if (::poll(&what, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0))) <= 0)
        return std::nullopt;
      char some[256];
      const auto count = ::recv(socket_, some, sizeof some, 0);
      if (count <= 0)
        return std::nullopt;
      heard_.append(some, static_cast<std::size_t>(count));
    }
  }

protected:
  /// Until the other has closed its end, or `within` is over. What it said can be heard still.
  void await_hangup(duration within) const {
    pollfd what{socket_, 0, 0}; // that it is gone is told unasked
    const auto most = std::chrono::ceil<std::chrono::milliseconds>(within).count();
    ::poll(&what, 1, static_cast<int>(most));
  }

private:
  int socket_;
  std::string heard_;
};

class child_program : public line_talk {
public:
  /// What it prints is seen, unless it is `mute`: for one that is meant to fail.
  explicit child_program(const std::string& role, bool mute = false)
    : child_program(role, mute, make_pair()) {}
  ~child_program() {
    if (pid_ <= 0)
      return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  /// Returns when it stands still.
  void stop() {
    int status = 0;
    if (pid_ <= 0)
      return;
    ::kill(pid_, SIGSTOP);
    if (::waitpid(pid_, &status, WUNTRACED) != pid_ || !WIFSTOPPED(status))
      pid_ = -1; // it had ended, and its number may be another's by now
  }
  void go_on() {
    if (pid_ > 0)
      ::kill(pid_, SIGCONT);
  }
  /// Waits for its end: its exit code, or the signal as a negative number. One that does not end
  /// `within` is killed.
  int wait(duration within = std::chrono::seconds(30)) {
    const auto deadline = std::chrono::steady_clock::now() + within;
    await_hangup(within);
    while (is_running() && std::chrono::steady_clock::now() < deadline)
      ::poll(nullptr, 0, 1); // between the end of its sockets and its own
    if (is_running())
      ::kill(pid_, SIGKILL);
    int status = -1;
    if (pid_ <= 0 || ::waitpid(pid_, &status, 0) != pid_)
      return -1;
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

private:
  struct ends {
    int ours;
    int theirs;
  };

  child_program(const std::string& role, bool mute, ends made) : line_talk(made.ours) {
    const auto number = std::to_string(made.theirs);
    ::setenv("POSTBUS_TEST_PARENT", number.c_str(), 1);
    std::string only = "--test-case=" + role;
    char program[] = "/proc/self/exe", all[] = "--no-skip=true", quiet[] = "--minimal=true";
    char* arguments[] = {program, all, quiet, only.data(), nullptr};
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    if (mute)
      for (const int stream : {STDOUT_FILENO, STDERR_FILENO})
        ::posix_spawn_file_actions_addopen(&actions, stream, "/dev/null", O_WRONLY, 0);
    if (::posix_spawn(&pid_, program, &actions, nullptr, arguments, environ) != 0)
      pid_ = -1;
    ::posix_spawn_file_actions_destroy(&actions);
    ::unsetenv("POSTBUS_TEST_PARENT");
    ::close(made.theirs);
  }

  [[nodiscard]] bool is_running() const {
    siginfo_t end{};
    return pid_ > 0
           && ::waitid(P_PID, static_cast<id_t>(pid_), &end, WEXITED | WNOHANG | WNOWAIT) == 0
           && end.si_pid == 0;
  }

  static ends make_pair() {
    int sockets[2] = {-1, -1};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0)
      ::fcntl(sockets[1], F_SETFD, 0); // the child inherits this one
    return {sockets[0], sockets[1]};
  }

  pid_t pid_ = -1;
};

/// In a role: whoever started it. `present` is false when it was started by hand.
class parent_program : public line_talk {
public:
  parent_program() : line_talk(socket()) {}
  [[nodiscard]] static bool present() { return std::getenv("POSTBUS_TEST_PARENT") != nullptr; }

private:
  static int socket() {
    const auto* number = std::getenv("POSTBUS_TEST_PARENT");
    return number == nullptr ? -1 : std::atoi(number);
  }
};

/// The most memory this process has had so far, in bytes.
inline std::size_t peak_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (word == "VmHWM:") {
      std::size_t kilobytes = 0;
      status >> kilobytes;
      return kilobytes << 10;
    }
  return 0;
}

/// Descriptors that this process has open.
inline std::size_t open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all))) - 1; // without this look
}

/// Whether tests that take minutes are to run.
inline bool long_tests() {
  return std::getenv("POSTBUS_LONG_TESTS") != nullptr;
}

/// Sanitizers need memory and time of their own.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool sanitized = true;
#elif defined(__has_feature)
#  if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool sanitized = true;
#  else
inline constexpr bool sanitized = false;
#  endif
#else
inline constexpr bool sanitized = false;
#endif

} // namespace postbus::test
