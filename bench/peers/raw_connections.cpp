// raw_connections: many plain TCP connections of one process, with epoll and nothing more.
//   hub                               says its port; answers what it reads, closes when the peer does
//   open   port=n count=n flying=64   connect, one echo of 64 bytes, stay; prints the rate
//   churn  port=n count=n flying=64   connect, one echo of 64 bytes, close; prints the rate
#include "postbus/bench/peers/raw_socket.hpp"

#include <sys/epoll.h>

#include <array>

namespace {

using bench::die;

class poller {
public:
  void add(int socket, std::uint32_t events) { control(EPOLL_CTL_ADD, socket, events); }
  void change(int socket, std::uint32_t events) { control(EPOLL_CTL_MOD, socket, events); }
  std::span<const epoll_event> wait() {
    const auto count = ::epoll_wait(epoll_, events_.data(), static_cast<int>(events_.size()), -1);
    if (count < 0)
      die("epoll_wait");
    return std::span(events_).first(static_cast<std::size_t>(count));
  }

private:
  void control(int what, int socket, std::uint32_t events) {
    epoll_event wanted{};
    wanted.events = events;
    wanted.data.fd = socket;
    if (::epoll_ctl(epoll_, what, socket, &wanted) != 0)
      die("epoll_ctl");
  }

  int epoll_ = ::epoll_create1(0);
  std::array<epoll_event, 128> events_;
};

void hub(const bench::options&) {
  poller waited;
  const int listener = bench::listen_anywhere();
  waited.add(listener, EPOLLIN);
  waited.add(STDIN_FILENO, EPOLLIN); // its end is ours
  std::array<std::byte, 4096> buffer;
  for (;;)
    for (const auto& event : waited.wait()) {
      const int socket = event.data.fd;
      if (socket == STDIN_FILENO)
        return;
      if (socket == listener) {
        waited.add(::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK), EPOLLIN);
        continue;
      }
      const auto count = ::read(socket, buffer.data(), buffer.size());
      if (count > 0)
        bench::write_all(socket, std::span(buffer).first(static_cast<std::size_t>(count)));
      else
        ::close(socket);
    }
}

/// Begins to connect; writable once that is done.
int start_connecting(std::size_t port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  const auto at = bench::loopback(port);
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0
      && errno != EINPROGRESS)
    die("connect");
  return socket;
}

void visit(const bench::options& given, bool stay) {
  const auto count = given.number("count", 10'000);
  const auto body = bench::make_body(64);
  std::array<std::byte, 4096> buffer;
  poller waited;
  std::size_t started = 0, ended = 0;
  const auto start = [&] {
    if (started == count)
      return;
    ++started;
    waited.add(start_connecting(given.number("port")), EPOLLOUT);
  };
  const auto begun = bench::clock::now();
  const auto cpu = bench::cpu_seconds();
  for (auto flying = given.number("flying", 64); flying > 0; --flying)
    start();
  while (ended < count)
    for (const auto& event : waited.wait()) {
      const int socket = event.data.fd;
      if (event.events & EPOLLOUT) {
        bench::write_all(socket, body);
        waited.change(socket, EPOLLIN);
      } else {
        const auto got = ::read(socket, buffer.data(), buffer.size()); // on loopback in one piece
        if (got <= 0)
          die("the stream ended");
        bench::must_be_body(std::span(buffer).first(static_cast<std::size_t>(got)), body.size());
        if (!stay)
          ::close(socket);
        ++ended;
        start();
      }
    }
  bench::print_rate(static_cast<double>(count), begun, cpu);
  (void)std::getchar(); // the driver has seen what it wants
}

void open(const bench::options& given) {
  visit(given, true);
}

void churn(const bench::options& given) {
  visit(given, false);
}

} // namespace

int main(int argc, char** argv) {
  return bench::play(argc, argv, {{"hub", hub}, {"open", open}, {"churn", churn}});
}
