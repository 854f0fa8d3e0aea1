// raw: the tasks of the benchmarks on plain TCP sockets, without a protocol to speak of: eight bytes of
// length before each body. What is left when everything a bus does is left out.
//   receive size=n count=n                       says its port; finds frames, sums each body
//   send    port=n size=n count=n write=batched  copies frames together, 64 KiB to a write
//                                 write=each     one write for each frame
//   echo    [core=n]                             epoll, read, write
//   ping    port=n size=64 count=n [core=n]
#include "postbus/bench/peers/raw_socket.hpp"

#include <sys/epoll.h>

namespace {

using bench::connect_to;
using bench::die;
using bench::listen_anywhere;
using bench::write_all;

using length = std::uint64_t;

// -- one way ------------------------------------------------------------------------------

/// Sums bodies as they come, in a buffer that stays in the cache, whatever their size.
void receive(const bench::options& given) {
  bench::tally tally(given);
  const int peer = ::accept(listen_anywhere(), nullptr, nullptr);
  std::vector<std::byte> buffer(256 << 10);
  std::size_t have = 0; // fewer than eight bytes, between two reads
  length left = 0;      // of the body that is being read
  for (bool done = false; !done;) {
    const auto count = ::read(peer, buffer.data() + have, buffer.size() - have);
    if (count <= 0)
      die("the stream ended");
    have += static_cast<std::size_t>(count);
    std::size_t at = 0;
    while (have - at >= 8 && !done) {
      const auto body = std::min<std::size_t>(left, (have - at) / 8 * 8);
      if (body > 0) {
        left -= body;
        done = tally.take_sum(bench::sum_words({buffer.data() + at, body}), left == 0 ? 1 : 0);
        at += body;
      } else {
        std::memcpy(&left, buffer.data() + at, 8);
        at += 8;
      }
    }
    std::memmove(buffer.data(), buffer.data() + at, have - at);
    have -= at;
  }
  tally.print();
}

void send_batched(int peer, std::span<const std::byte> body, std::size_t count) {
  std::vector<std::byte> buffer(64 << 10);
  std::size_t used = 0;
  const auto append = [&](std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const auto part = std::min(bytes.size(), buffer.size() - used);
      std::memcpy(buffer.data() + used, bytes.data(), part);
      used += part;
      bytes = bytes.subspan(part);
      if (used == buffer.size()) {
        write_all(peer, buffer);
        used = 0;
      }
    }
  };
  const length size = body.size();
  for (; count > 0; --count) {
    append(std::as_bytes(std::span(&size, 1)));
    append(body);
  }
  write_all(peer, std::span(buffer).first(used));
}

void send_each(int peer, std::span<const std::byte> body, std::size_t count) {
  std::vector<std::byte> frame(sizeof(length));
  const length size = body.size();
  std::memcpy(frame.data(), &size, sizeof size);
  frame.insert(frame.end(), body.begin(), body.end());
  for (; count > 0; --count)
    write_all(peer, frame);
}

void send(const bench::options& given) {
  const auto body = bench::make_body(given.number("size", 64));
  const int peer = connect_to(given.number("port"));
  const auto cpu = bench::cpu_seconds();
  if (given.text("write", "batched") == "batched")
    send_batched(peer, body, given.number("count"));
  else
    send_each(peer, body, given.number("count"));
  ::close(peer);
  bench::figures{}.add("cpu", bench::cpu_seconds() - cpu).print();
}

// -- round trips ----------------------------------------------------------------------------

/// As a program with more than one connection would: waits with epoll, then reads what is there.
class waited_for {
public:
  explicit waited_for(int peer) : peer_(peer) {
    epoll_event wanted{};
    wanted.events = EPOLLIN;
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, peer, &wanted) != 0)
      die("epoll_ctl");
  }
  /// A whole body, or nothing at the end. `buffer` is as large as one.
  std::span<std::byte> read(std::span<std::byte> buffer) {
    for (std::size_t have = 0; have < buffer.size();) {
      epoll_event event{};
      if (::epoll_wait(epoll_, &event, 1, -1) < 0)
        die("epoll_wait");
      const auto count = ::read(peer_, buffer.data() + have, buffer.size() - have);
      if (count <= 0)
        return {};
      have += static_cast<std::size_t>(count);
    }
    return buffer;
  }

private:
  int epoll_ = ::epoll_create1(0);
  int peer_;
};

void echo(const bench::options& given) {
  const int peer = ::accept(listen_anywhere(), nullptr, nullptr);
  waited_for waited(peer);
  std::vector<std::byte> frame(sizeof(length) + given.number("size", 64));
  for (std::span<std::byte> got; !(got = waited.read(frame)).empty();)
    write_all(peer, got);
}

void ping(const bench::options& given) {
  const auto body = bench::make_body(given.number("size", 64));
  bench::round_trips trips(given.number("count", 20'000));
  const int peer = connect_to(given.number("port"));
  waited_for waited(peer);
  std::vector<std::byte> frame(sizeof(length));
  const length size = body.size();
  std::memcpy(frame.data(), &size, sizeof size);
  frame.insert(frame.end(), body.begin(), body.end());
  do {
    trips.start();
    write_all(peer, frame);
    if (waited.read(frame).empty())
      die("the stream ended");
    bench::must_be_body(std::span(frame).subspan(sizeof size), body.size());
  } while (!trips.answered());
  trips.print();
  ::close(peer);
}

} // namespace

int main(int argc, char** argv) {
  return bench::play(argc, argv,
                     {{"receive", receive}, {"send", send}, {"echo", echo}, {"ping", ping}});
}
