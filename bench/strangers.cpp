// strangers: those who do their worst to a node, at a stated rate, with plain sockets and nothing of ours.
//   attack port=n [held=40 dripping=40 flood=1000 each=100] [core=n]
// Holds `held` connections that say nothing and as many that drip a byte a second; and every second connects
// and closes `flood` times, and `each` times says: noise, a huge length, a hello and nothing behind it. Says
// when all are held; at a line on stdin prints how many strangers a second there were.
#include "postbus/bench/peers/raw_socket.hpp"

#include <poll.h>

#include <deque>

namespace {

using namespace std::chrono_literals;

constexpr auto tick = 1ms;
// Who has said something stays for so many of its kind, to be refused or not.
constexpr std::size_t stay = 8;

class attack {
public:
  explicit attack(const bench::options& given)
    : port_(given.number("port")), flood_(given.number("flood", 1000)),
      each_(given.number("each", 100)), silent_(given.number("held", 40)),
      dripping_(given.number("dripping", 40)) {
    for (auto* kind : {&silent_, &dripping_})
      for (auto& socket : *kind)
        socket = dial();
  }

  [[nodiscard]] bool is_alone() const { return gone_; }

  void run() {
    const auto begun = bench::clock::now();
    strangers_ = 0;
    for (std::size_t ticks = 1; !gone_ && !asked_to_end(begun + ticks * tick); ++ticks) {
      for (; flooded_ * 1000 < ticks * flood_; ++flooded_)
        ::close(dial());
      for (; said_ * 1000 < ticks * each_; ++said_) {
        say(noise_, "\x93\xff GET / HTTP/1.1\r\n\r\n");
        say(huge_, std::string_view("\xff\xff\xff\xff\x01\0\0\0", 8));
        say(greeting_, hello());
      }
      hold(silent_, ticks, "");
      hold(dripping_, ticks, "p"); // as a hello begins, far too late
    }
    const auto rate = static_cast<double>(strangers_) / bench::seconds_since(begun);
    if (gone_) // the node ends with its peer, a little before we are asked to
      (void)asked_to_end(bench::clock::now() + 60s);
    bench::figures{}.add("strangers", rate).print();
  }

private:
  /// Waits until it is time for the next tick.
  static bool asked_to_end(bench::clock::time_point next) {
    pollfd driver{STDIN_FILENO, POLLIN, 0};
    const auto left =
      std::chrono::duration_cast<std::chrono::nanoseconds>(next - bench::clock::now()).count();
    constexpr std::int64_t second = 1'000'000'000;
    const auto most =
      timespec{std::max<std::int64_t>(left, 0) / second, std::max<std::int64_t>(left, 0) % second};
    return ::ppoll(&driver, 1, &most, nullptr) > 0;
  }

  int dial() {
    const int made = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const auto at = bench::loopback(port_);
    if (::connect(made, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0)
      ++strangers_;
    else
      gone_ = true;
    return made;
  }

  static void write(int to, std::string_view bytes) {
    (void)::send(to, bytes.data(), bytes.size(), MSG_NOSIGNAL); // it may be cut already
  }

  void say(std::deque<int>& kind, std::string_view bytes) {
    write(kind.emplace_back(dial()), bytes);
    if (kind.size() <= stay)
      return;
    ::close(kind.front());
    kind.pop_front();
  }

  /// Each of them has its turn once a second; who was cut dials again.
  void hold(std::vector<int>& kind, std::size_t ticks, std::string_view bytes) {
    for (auto index = ticks % 1000; index < kind.size(); index += 1000) {
      auto& socket = kind[index];
      pollfd state{socket, POLLRDHUP, 0};
      if (::poll(&state, 1, 0) > 0) {
        ::close(socket);
        socket = dial();
      }
      write(socket, bytes);
    }
  }

  /// docs/PROTOCOL.md: magic, versions, an id that nobody else has, nobody expected, an empty map.
  std::string hello() {
    std::string body("postbus\n\0\1\0\1", 12);
    body += "a stranger" + std::to_string(100'000 + ++greeted_ % 900'000);
    body += std::string(16 + 8, '\0') + '\x80';
    return std::string("\0\0\0", 3) + static_cast<char>(body.size()) + std::string("\1\0\0\0", 4)
           + body;
  }

  std::size_t port_, flood_, each_;
  std::vector<int> silent_, dripping_;
  std::deque<int> noise_, huge_, greeting_;
  bool gone_ = false; // the node listens no more
  std::size_t strangers_ = 0, flooded_ = 0, said_ = 0, greeted_ = 0;
};

void play_attack(const bench::options& given) {
  attack worst(given);
  if (worst.is_alone())
    bench::die("nobody listens");
  bench::figures{}.add("ready", 1).print();
  worst.run();
}

} // namespace

int main(int argc, char** argv) {
  return bench::play(argc, argv, {{"attack", play_attack}});
}
