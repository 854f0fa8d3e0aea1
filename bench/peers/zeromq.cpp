// zeromq: the tasks of the benchmarks with ZeroMQ's C API, as its guide has them: a message is made with
// zmq_msg_init_size and filled, one zmq_msg_send each; the receiver uses one zmq_msg_t again and again.
//   receive size=n count=n          PULL; says its port    [pace=bytes per second]
//   send    port=n size=n count=n   PUSH    [body=shared: zmq_msg_copy of one message, no bytes copied]
//   echo    [core=n]                PAIR or DEALER (socket=pair|dealer)
//   ping    port=n size=64 count=n [core=n]
#include "postbus/bench/peers/zeromq_socket.hpp"

#include <optional>

namespace {

using bench::check;
using bench::zeromq_socket;

/// ZeroMQ's default, 1,000 messages, and of large ones no more than 8 MiB, as in an outbox of ours. A
/// higher mark is not faster. Seconds for the same run, as here and with a higher one:
///   64 B:  1,000 took 0.79, 0.92, 1.09; 131,072 took 1.07, 1.07, 0.75
///   1 MiB: 8 took 0.36, 0.43; 1,000 took 0.53, 1.08
std::size_t waiting_max(std::size_t size) {
  return std::clamp<std::size_t>((8 << 20) / size, 8, 1000);
}

void receive(const bench::options& given) {
  const auto size = given.number("size", 64);
  bench::tally tally(given);
  zeromq_socket here(ZMQ_PULL, waiting_max(size));
  here.bind();
  receive_all(here, tally);
}

void send(const bench::options& given) {
  const auto size = given.number("size", 64);
  const auto body = bench::make_body(size);
  std::optional<zeromq_socket> here(std::in_place, ZMQ_PUSH, waiting_max(size));
  here->connect(given.text("port"));
  const bench::memory_growth memory;
  const auto cpu = bench::cpu_seconds();
  if (given.text("body") == "shared") {
    zmq_msg_t shared;
    check(zmq_msg_init_size(&shared, size));
    std::memcpy(zmq_msg_data(&shared), body.data(), size);
    for (auto left = given.number("count"); left > 0; --left)
      here->send(shared);
    zmq_msg_close(&shared);
  } else {
    for (auto left = given.number("count"); left > 0; --left)
      here->send(body);
  }
  here.reset(); // waits until all is with the kernel
  bench::figures{}
    .add("cpu", bench::cpu_seconds() - cpu)
    .add("peak_mib", memory.peak_mib())
    .print();
}

int socket_type(const bench::options& given) {
  return given.text("socket", "pair") == "pair" ? ZMQ_PAIR : ZMQ_DEALER;
}

void echo(const bench::options& given) {
  zeromq_socket here(socket_type(given), 1000);
  here.bind();
  zmq_msg_t message;
  check(zmq_msg_init(&message));
  for (;;) {
    const auto body = here.receive(message);
    if (body.empty()) // the end
      break;
    here.send(body);
  }
  zmq_msg_close(&message);
}

void ping(const bench::options& given) {
  const auto body = bench::make_body(given.number("size", 64));
  bench::round_trips trips(given.number("count", 20'000));
  zeromq_socket here(socket_type(given), 1000);
  here.connect(given.text("port"));
  zmq_msg_t message;
  check(zmq_msg_init(&message));
  do {
    trips.start();
    here.send(body);
    bench::must_be_body(here.receive(message), body.size());
  } while (!trips.answered());
  trips.print();
  zmq_msg_close(&message);
  here.send({});
}

} // namespace

int main(int argc, char** argv) {
  return bench::play(argc, argv,
                     {{"receive", receive}, {"send", send}, {"echo", echo}, {"ping", ping}});
}
