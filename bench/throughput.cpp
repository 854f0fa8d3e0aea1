// throughput: messages one way between two processes on loopback, beside a plain socket that writes
// 64 KiB at a time: the limit. Every body is read (a sum of its words). Interleaved rounds, medians,
// ratios in one run.   bench_throughput [rounds]
#include <postbus/postbus.hpp>

#include <fmt/core.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <vector>

namespace {

using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;

struct row {
  std::size_t message_bytes;
  std::size_t messages;
};
constexpr std::array rows{row{64, 4'000'000}, row{1024, 1'000'000}, row{64 << 10, 30'000},
                          row{1 << 20, 2'000}};

std::uint64_t sum_words(std::span<const std::byte> bytes) {
  std::uint64_t sum = 0;
  std::size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) {
    std::uint64_t word;
    std::memcpy(&word, bytes.data() + at, 8);
    sum += word;
  }
  return sum;
}

/// Of one process: what its threads used, in seconds.
double cpu_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

struct measured {
  double messages_per_second = 0;
  double receiver_cpu_ns = 0; ///< Per message.
};

[[noreturn]] void die(const std::string& why) {
  fmt::print(stderr, "bench_throughput: {}\n", why);
  std::exit(1);
}

/// Runs `send(port)` in a process of its own and `receive` here, with the port passed through a pipe.
template <class Receive, class Send>
measured run_pair(Receive receive, Send send) {
  int ports[2];
  if (::pipe(ports) != 0)
    die("pipe");
  const auto child = ::fork();
  if (child == 0) {
    std::uint16_t port = 0;
    if (::read(ports[0], &port, sizeof port) != sizeof port)
      _exit(1);
    send(port);
    _exit(0);
  }
  const auto result = receive([&](std::uint16_t port) {
    if (::write(ports[1], &port, sizeof port) != sizeof port)
      die("write");
  });
  int status = 0;
  ::waitpid(child, &status, 0);
  ::close(ports[0]);
  ::close(ports[1]);
  if (status != 0)
    die("the sender failed");
  return result;
}

// -- raw ------------------------------------------------------------------------------

measured raw(const row& what) {
  const auto total = what.message_bytes * what.messages;
  return run_pair(
    [&](auto tell_port) {
      const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
      sockaddr_in at{};
      at.sin_family = AF_INET;
      at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      socklen_t size = sizeof at;
      if (::bind(listener, reinterpret_cast<sockaddr*>(&at), size) != 0
          || ::listen(listener, 1) != 0)
        die("listen");
      ::getsockname(listener, reinterpret_cast<sockaddr*>(&at), &size);
      tell_port(ntohs(at.sin_port));
      const int peer = ::accept(listener, nullptr, nullptr);
      std::vector<std::byte> buffer(256 << 10);
      std::uint64_t sum = 0;
      std::size_t got = 0;
      const auto cpu = cpu_seconds();
      const auto start = clock_type::now();
      while (got < total) {
        const auto count = ::read(peer, buffer.data(), buffer.size());
        if (count <= 0)
          die("read");
        sum += sum_words({buffer.data(), static_cast<std::size_t>(count)});
        got += static_cast<std::size_t>(count);
      }
      const std::chrono::duration<double> took = clock_type::now() - start;
      ::close(peer);
      ::close(listener);
      if (sum == 0)
        die("nothing read");
      const auto messages = static_cast<double>(what.messages);
      return measured{messages / took.count(), 1e9 * (cpu_seconds() - cpu) / messages};
    },
    [&](std::uint16_t port) {
      const int peer = ::socket(AF_INET, SOCK_STREAM, 0);
      sockaddr_in at{};
      at.sin_family = AF_INET;
      at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      at.sin_port = htons(port);
      if (::connect(peer, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0)
        _exit(1);
      std::vector<std::byte> buffer(64 << 10, std::byte{7});
      for (std::size_t sent = 0; sent < total;) {
        const auto count = ::write(peer, buffer.data(), std::min(buffer.size(), total - sent));
        if (count <= 0)
          _exit(1);
        sent += static_cast<std::size_t>(count);
      }
      ::close(peer);
    });
}

// -- postbus --------------------------------------------------------------------------

measured bus(const row& what, postbus::delivery_mode mode) {
  return run_pair(
    [&](auto tell_port) {
      postbus::runtime runtime;
      auto node = runtime.spawn_node();
      struct state {
        std::size_t got = 0;
        std::uint64_t sum = 0;
        clock_type::time_point start;
      };
      auto counted = std::make_shared<state>();
      std::mutex mutex;
      std::condition_variable finished;
      bool done = false;
      const auto take = [&, counted](std::size_t messages) {
        counted->got += messages;
        if (counted->got != what.messages)
          return;
        std::lock_guard guard(mutex);
        done = true;
        finished.notify_one();
      };
      caf::scoped_actor self{runtime.system()};
      auto reader = runtime.system().spawn([&, counted](caf::event_based_actor*) -> caf::behavior {
        return {
          [=](const postbus::batch& messages) {
            for (const auto& each : messages)
              counted->sum += sum_words(each.bytes());
            take(messages.size());
          },
          [=](const postbus::message& each) {
            counted->sum += sum_words(each.bytes());
            take(1);
          },
          [=](const postbus::connected&) { counted->start = clock_type::now(); },
          [](const postbus::disconnected&) {},
          [](const postbus::closing&) {},
          [](const postbus::closed&) {},
        };
      });
      std::optional<postbus::subscription> made;
      postbus::ask(&*self, node.actor(), 5s, postbus::subscribe{reader, mode})
        .receive([&](const postbus::subscription& which) { made = which; },
                 [&](const caf::error& why) { die(postbus::render(why)); });
      const auto at = node.listen("tcp://127.0.0.1:0");
      if (!at)
        die(to_string(at.error()));
      const auto cpu = cpu_seconds();
      tell_port(static_cast<std::uint16_t>(std::stoi(at->substr(at->rfind(':') + 1))));
      std::unique_lock guard(mutex);
      if (!finished.wait_for(guard, 120s, [&] { return done; }))
        die(fmt::format("only {} of {} messages came", counted->got, what.messages));
      const std::chrono::duration<double> took = clock_type::now() - counted->start;
      const auto messages = static_cast<double>(what.messages);
      const measured result{messages / took.count(), 1e9 * (cpu_seconds() - cpu) / messages};
      guard.unlock();
      caf::anon_send_exit(reader, caf::exit_reason::user_shutdown);
      return result;
    },
    [&](std::uint16_t port) {
      postbus::runtime runtime;
      auto node = runtime.spawn_node();
      const auto peer = node.connect(fmt::format("tcp://127.0.0.1:{}", port));
      if (!peer)
        die(to_string(peer.error()));
      auto to = node.to(*peer);
      const auto body =
        postbus::payload::copy_of(std::vector<std::byte>(what.message_bytes, std::byte{7}));
      for (std::size_t index = 0; index < what.messages; ++index)
        if (const auto outcome = to.send_bytes(body, {.within = 60s});
            outcome != postbus::send_outcome::accepted)
          die(fmt::format("send: {}", to_string(outcome)));
      if (!node.close(60s))
        die("close");
    });
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

} // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 5;
  fmt::print("{:>9} {:>14} {:>14} {:>7} {:>14} {:>7}   receiver's CPU ns/message\n", "bytes",
             "raw /s", "batches /s", "ratio", "single /s", "ratio");
  for (const auto& what : rows) {
    std::vector<double> plain, batches, singles, plain_cpu, batch_cpu, single_cpu;
    for (int round = 0; round < rounds; ++round) {
      const auto limit = raw(what);
      const auto ours = bus(what, postbus::delivery_mode::batch);
      const auto single = bus(what, postbus::delivery_mode::single);
      plain.push_back(limit.messages_per_second);
      batches.push_back(ours.messages_per_second);
      singles.push_back(single.messages_per_second);
      plain_cpu.push_back(limit.receiver_cpu_ns);
      batch_cpu.push_back(ours.receiver_cpu_ns);
      single_cpu.push_back(single.receiver_cpu_ns);
    }
    const auto limit = median(plain);
    fmt::print("{:>9} {:>14.0f} {:>14.0f} {:>7.2f} {:>14.0f} {:>7.2f}   raw {:.0f}, batches "
               "{:.0f}, single {:.0f}\n",
               what.message_bytes, limit, median(batches), median(batches) / limit, median(singles),
               median(singles) / limit, median(plain_cpu), median(batch_cpu), median(single_cpu));
    std::fflush(stdout);
  }
}
