// raw_peer: the other end of a node's socket, driven by the test itself: plain bytes, or a session that
// the test pumps when it likes, and freezes when it likes. Blocks at most the time it is given.
#pragma once

#include "postbus/bus/session.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace postbus::test {

class raw_peer {
public:
  /// Connects to "tcp://127.0.0.1:port".
  explicit raw_peer(const std::string& endpoint)
    : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.sin_port =
      htons(static_cast<std::uint16_t>(std::stoi(endpoint.substr(endpoint.rfind(':') + 1))));
    connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0;
  }
  raw_peer(raw_peer&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)), connected_(other.connected_) {}
  ~raw_peer() {
    if (socket_ >= 0)
      ::close(socket_);
  }

  [[nodiscard]] bool is_connected() const { return connected_; }

  void write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const auto count = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0)
        return;
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
  }
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }

  /// What comes until the other side closes; empty if it does not within `within`.
  std::optional<std::vector<std::byte>> read_to_end(duration within) {
    std::vector<std::byte> all;
    const auto deadline = std::chrono::steady_clock::now() + within;
    while (wait_readable(deadline)) {
      std::byte some[4096];
      const auto count = ::recv(socket_, some, sizeof some, 0);
      if (count <= 0)
        return all;
      all.insert(all.end(), some, some + count);
    }
    return std::nullopt;
  }

  /// Drives a session over the socket, accepting whoever is there, until `enough` or the time is over.
  bool pump(bus::session& session, bus::outbox& box, const std::function<bool()>& enough,
            duration within, const std::function<void(bus::session_event&)>& seen = {}) {
    const auto deadline = std::chrono::steady_clock::now() + within;
    for (;;) {
      const auto now = std::chrono::steady_clock::now();
      session.tick(now);
      session.pull(box, now);
      while (auto event = session.next_event()) {
        if (std::holds_alternative<bus::hello_seen>(*event))
          session.accept(now);
        if (seen)
          seen(*event);
      }
      session.pull(box, now);
      std::span<const std::byte> pieces[8];
      while (const auto count = session.wire(pieces)) {
        for (std::size_t index = 0; index < count; ++index) {
          write(pieces[index]);
          session.written(pieces[index].size(), now);
        }
      }
      if (session.take_shutdown())
        ::shutdown(socket_, SHUT_WR);
      if (enough())
        return true;
      if (now >= deadline || session.at() == bus::phase::closed)
        return false;
      if (!wait_readable(std::min(deadline, now + std::chrono::milliseconds(10))))
        continue;
      const auto room = session.prepare(scratch_);
      const auto into = room[0].empty() ? room[1] : room[0];
      const auto count = ::recv(socket_, into.data(), into.size(), 0);
      if (count <= 0)
        session.end_of_input();
      else
        session.commit(static_cast<std::size_t>(count), std::chrono::steady_clock::now());
    }
  }

  /// A dialer's session with an id and incarnation of its own.
  static bus::session::options dialer(const node_id& id, std::uint64_t incarnation = 1) {
    bus::session::options how;
    how.role = bus::session::role::dialer;
    how.self.id = id;
    how.self.incarnation = incarnation;
    return how;
  }

private:
  bool wait_readable(time_point deadline) {
    const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd what{socket_, POLLIN, 0};
    return ::poll(&what, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0))) > 0;
  }

  int socket_;
  bool connected_ = false;
  codecs::read_scratch scratch_;
};

} // namespace postbus::test
