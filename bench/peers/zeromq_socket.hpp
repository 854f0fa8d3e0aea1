// zeromq_socket: a socket of ZeroMQ's C API in its own context, as the programs of the party ZeroMQ use it.
#pragma once

#include "postbus/bench/support.hpp"

#include <zmq.h>

namespace bench {

inline void check(int done) {
  if (done < 0)
    die(zmq_strerror(zmq_errno()));
}

/// One socket in a context. Life signs as often as ours. Nothing is lost: who is at the high-water
/// mark waits, and the end of the context waits for what was sent.
class zeromq_socket {
public:
  zeromq_socket(int type, std::size_t messages_waiting_max) : socket_(zmq_socket(context_, type)) {
    set(ZMQ_HEARTBEAT_IVL, 15'000);
    set(ZMQ_HEARTBEAT_TIMEOUT, 45'000);
    set(ZMQ_SNDHWM, static_cast<int>(messages_waiting_max));
    set(ZMQ_RCVHWM, static_cast<int>(messages_waiting_max));
  }
  zeromq_socket(const zeromq_socket&) = delete;
  zeromq_socket& operator=(const zeromq_socket&) = delete;
  ~zeromq_socket() {
    zmq_close(socket_);
    zmq_ctx_term(context_);
  }

  void bind() {
    check(zmq_bind(socket_, "tcp://127.0.0.1:*"));
    char endpoint[64];
    std::size_t size = sizeof endpoint;
    check(zmq_getsockopt(socket_, ZMQ_LAST_ENDPOINT, endpoint, &size));
    const std::string at = endpoint;
    bench::say_port(std::stoul(at.substr(at.rfind(':') + 1)));
  }
  void connect(const std::string& port) {
    check(zmq_connect(socket_, ("tcp://127.0.0.1:" + port).c_str()));
  }

  void send(std::span<const std::byte> body) {
    zmq_msg_t message;
    check(zmq_msg_init_size(&message, body.size()));
    std::memcpy(zmq_msg_data(&message), body.data(), body.size());
    check(zmq_msg_send(&message, socket_, 0));
  }
  void send(zmq_msg_t& shared) {
    zmq_msg_t message;
    check(zmq_msg_init(&message));
    check(zmq_msg_copy(&message, &shared));
    check(zmq_msg_send(&message, socket_, 0));
  }
  std::span<const std::byte> receive(zmq_msg_t& into) {
    check(zmq_msg_recv(&into, socket_, 0));
    return {static_cast<const std::byte*>(zmq_msg_data(&into)), zmq_msg_size(&into)};
  }

  [[nodiscard]] void* get() const { return socket_; }

private:
  void set(int option, int value) { check(zmq_setsockopt(socket_, option, &value, sizeof value)); }

  void* context_ = zmq_ctx_new();
  void* socket_;
};

/// Takes a whole stream, always into the same message, and prints its tally.
inline void receive_all(zeromq_socket& here, tally& tally) {
  zmq_msg_t message;
  check(zmq_msg_init(&message));
  while (!tally.take(here.receive(message)))
    ;
  zmq_msg_close(&message);
  tally.print();
}

} // namespace bench
