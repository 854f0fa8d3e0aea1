// raw_peer: the other end of a node's socket, driven by the test itself: plain bytes, single frames, or
// a session that the test pumps when it likes, and freezes when it likes. Blocks at most the time it is
// given. raw_listener: a socket that listens; whoever dials it meets a raw_peer, or nobody.
#pragma once

#include "postbus/bus/control.hpp"
#include "postbus/bus/session.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace postbus::test {

/// A frame as it came.
struct raw_frame {
  codecs::frame_header header;
  std::vector<std::byte> body;
};

/// A socket for which the system keeps `receive_bytes` unread; 0: what it likes.
inline int socket_with_room(int receive_bytes) {
  const int made = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (receive_bytes > 0)
    ::setsockopt(made, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
  return made;
}

inline sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  at.sin_port = htons(port);
  return at;
}

class raw_peer {
public:
  /// Connects to "tcp://127.0.0.1:port". With `receive_bytes` the system keeps so much unread for it.
  explicit raw_peer(const std::string& endpoint, int receive_bytes = 0)
    : socket_(socket_with_room(receive_bytes)) {
    const auto at =
      loopback(static_cast<std::uint16_t>(std::stoi(endpoint.substr(endpoint.rfind(':') + 1))));
    connected_ = ::connect(socket_, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0;
  }
  /// Takes over a connected socket.
  explicit raw_peer(int socket) noexcept : socket_(socket), connected_(socket >= 0) {}
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
  void write(const payload& frame) { write(frame.bytes()); }
  /// Our direction ends; the other stays open.
  void shut() { ::shutdown(socket_, SHUT_WR); }
  [[nodiscard]] int socket() const { return socket_; }

  // -- frame by frame, blocking -------------------------------------------------------

  /// The next frame; nothing when the stream ends, fails, or is silent for `within`.
  std::optional<raw_frame> read_frame(duration within) {
    const auto deadline = std::chrono::steady_clock::now() + within;
    std::byte head[codecs::frame_header_bytes];
    if (!read_exactly(head, deadline))
      return std::nullopt;
    raw_frame found{codecs::load_header(head), {}};
    found.body.resize(found.header.length);
    if (!read_exactly(found.body, deadline))
      return std::nullopt;
    return found;
  }

  /// The same, passing over frames of other kinds.
  std::optional<raw_frame> read_frame(codecs::frame_kind kind, duration within) {
    auto found = read_frame(within);
    while (found && found->header.kind != kind)
      found = read_frame(within);
    return found;
  }

  /// Everything a dialer says until it is open. False when the listener wants something else.
  bool open_as_dialer(const node_id& id, duration within) {
    write(encode(hello_of(id)));
    const auto said = read_frame(codecs::frame_kind::welcome, within);
    if (said)
      write(encode(bus::welcome{}));
    return said.has_value();
  }

  /// The same for whoever was dialed.
  bool open_as_listener(const node_id& id, duration within) {
    if (!read_frame(codecs::frame_kind::hello, within))
      return false;
    write(encode(hello_of(id)));
    write(encode(bus::welcome{}));
    return read_frame(codecs::frame_kind::welcome, within).has_value();
  }

  static bus::hello hello_of(const node_id& id) {
    bus::hello said;
    said.id = id;
    said.incarnation = 1;
    return said;
  }

  /// Waits until so many bytes lie unread in the system; false when that takes longer.
  bool await_unread(int bytes, duration within) {
    const auto lift = [&](int least) {
      ::setsockopt(socket_, SOL_SOCKET, SO_RCVLOWAT, &least, sizeof least);
    };
    lift(bytes);
    const bool there = wait_readable(std::chrono::steady_clock::now() + within);
    lift(1);
    return there;
  }

  /// How the stream ended, once everything before its end was read: 0 in order, else the error.
  [[nodiscard]] int end_of_stream() const { return end_; }

  /// What comes until the other side closes; empty if it does not within `within`.
  std::optional<std::vector<std::byte>> read_to_end(duration within) {
    std::vector<std::byte> all;
    const auto deadline = std::chrono::steady_clock::now() + within;
    while (wait_readable(deadline)) {
      std::byte some[4096];
      const auto count = ::recv(socket_, some, sizeof some, 0);
      if (count <= 0) {
        end_ = count == 0 ? 0 : errno;
        return all;
      }
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
  bool read_exactly(std::span<std::byte> room, time_point deadline) {
    while (!room.empty()) {
      if (!wait_readable(deadline))
        return false;
      const auto count = ::recv(socket_, room.data(), room.size(), 0);
      if (count <= 0) {
        end_ = count == 0 ? 0 : errno;
        return false;
      }
      room = room.subspan(static_cast<std::size_t>(count));
    }
    return true;
  }

  bool wait_readable(time_point deadline) {
    const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd what{socket_, POLLIN, 0};
    return ::poll(&what, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0))) > 0;
  }

  int socket_;
  bool connected_ = false;
  int end_ = -1; // the stream goes on
  codecs::read_scratch scratch_;
};

class raw_listener {
public:
  /// Listens on a port of its own. At most about `backlog` that dial are let in before accept(), each
  /// with room for `receive_bytes` unread.
  explicit raw_listener(int backlog = 16, int receive_bytes = 0)
    : socket_(socket_with_room(receive_bytes)) {
    auto at = loopback(0);
    socklen_t bytes = sizeof at;
    if (::bind(socket_, reinterpret_cast<sockaddr*>(&at), bytes) == 0
        && ::listen(socket_, backlog) == 0
        && ::getsockname(socket_, reinterpret_cast<sockaddr*>(&at), &bytes) == 0)
      endpoint_ = "tcp://127.0.0.1:" + std::to_string(ntohs(at.sin_port));
  }
  raw_listener(const raw_listener&) = delete;
  raw_listener& operator=(const raw_listener&) = delete;
  ~raw_listener() { ::close(socket_); }

  /// Empty when it does not listen.
  [[nodiscard]] const std::string& endpoint() const { return endpoint_; }

  /// Whoever dialed; not connected when nobody did within the time.
  raw_peer accept(duration within) {
    const auto most = std::chrono::ceil<std::chrono::milliseconds>(within).count();
    pollfd what{socket_, POLLIN, 0};
    if (::poll(&what, 1, static_cast<int>(most)) <= 0)
      return raw_peer(-1);
    return raw_peer(::accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC));
  }

private:
  int socket_;
  std::string endpoint_;
};

} // namespace postbus::test
