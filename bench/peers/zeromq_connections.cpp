// zeromq_connections: many connections of one socket, the hub: ROUTER where it answers, PULL where it
// counts. The other process has a socket for each, DEALER or PUSH, all in one context.
//   hub    [count=n size=n]                  with count: prints its tally; else answers each message
//   idle   port=n nodes=n                    one message each, then nothing; prints {"open": n} for the
//                                            first tenth and for all, each time waiting for a line
//   open   port=n count=n flying=64          connect, one echo, stay; prints the rate
//   churn  port=n count=n flying=64          connect, one echo, close; prints the rate
//   many   port=n nodes=n count=n size=n     one message over each connection in turn
#include "postbus/bench/peers/zeromq_socket.hpp"

namespace {

using bench::check;

constexpr int sockets_max = 20'000;

class context {
public:
  context() { check(zmq_ctx_set(context_, ZMQ_MAX_SOCKETS, sockets_max)); }
  context(const context&) = delete;
  context& operator=(const context&) = delete;
  ~context() { zmq_ctx_term(context_); }
  void* connect(int type, const std::string& port) {
    auto* socket = zmq_socket(context_, type);
    if (!socket)
      bench::die(zmq_strerror(zmq_errno()));
    const int interval = 15'000;
    check(zmq_setsockopt(socket, ZMQ_HEARTBEAT_IVL, &interval, sizeof interval));
    check(zmq_connect(socket, ("tcp://127.0.0.1:" + port).c_str()));
    return socket;
  }

private:
  void* context_ = zmq_ctx_new();
};

void hub(const bench::options& given) {
  bench::tally tally(given);
  if (given.number("count") > 0) {
    bench::zeromq_socket here(ZMQ_PULL, 1000);
    here.bind();
    receive_all(here, tally);
    (void)std::getchar();
    return;
  }
  bench::zeromq_socket here(ZMQ_ROUTER, 1000);
  here.bind();
  zmq_pollitem_t waited[] = {{here.get(), 0, ZMQ_POLLIN, 0},
                             {nullptr, STDIN_FILENO, ZMQ_POLLIN, 0}};
  zmq_msg_t who, message;
  check(zmq_msg_init(&who));
  check(zmq_msg_init(&message));
  for (;;) {
    check(zmq_poll(waited, 2, -1));
    if (waited[1].revents)
      break;
    here.receive(who);
    here.receive(message);
    check(zmq_msg_send(&who, here.get(), ZMQ_SNDMORE));
    check(zmq_msg_send(&message, here.get(), 0));
  }
  zmq_msg_close(&who);
  zmq_msg_close(&message);
}

void send(void* socket, std::span<const std::byte> body) {
  check(zmq_send(socket, body.data(), body.size(), 0));
}

void receive_answer(void* socket, std::span<std::byte> into) {
  const auto size = zmq_recv(socket, into.data(), into.size(), 0);
  check(size);
  bench::must_be_body(into.first(std::min(into.size(), std::size_t(size))), into.size());
}

void idle(const bench::options& given) {
  const auto wanted = given.number("nodes", 1000);
  const auto body = bench::make_body(64);
  std::vector<std::byte> answer(body.size());
  context all;
  std::vector<void*> sockets;
  while (sockets.size() < wanted) {
    sockets.push_back(all.connect(ZMQ_DEALER, given.text("port")));
    send(sockets.back(), body);
    receive_answer(sockets.back(), answer);
    if (sockets.size() == wanted / 10 || sockets.size() == wanted) {
      bench::figures{}.add("open", static_cast<double>(sockets.size())).print();
      (void)std::getchar();
    }
  }
  for (auto* each : sockets)
    zmq_close(each);
}

void visit(const bench::options& given, bool stay) {
  const auto count = given.number("count", 10'000);
  const auto body = bench::make_body(64);
  std::vector<std::byte> answer(body.size());
  context all;
  std::vector<zmq_pollitem_t> flying(given.number("flying", 64));
  std::vector<void*> stayed;
  std::size_t started = 0, ended = 0;
  const auto start = [&](zmq_pollitem_t& slot) {
    slot = {all.connect(ZMQ_DEALER, given.text("port")), 0, ZMQ_POLLIN, 0};
    send(slot.socket, body);
    ++started;
  };
  const auto begun = bench::clock::now();
  const auto cpu = bench::cpu_seconds();
  for (auto& slot : flying)
    start(slot);
  while (ended < count) {
    check(zmq_poll(flying.data(), static_cast<int>(flying.size()), -1));
    for (auto& slot : flying)
      if (slot.revents) {
        receive_answer(slot.socket, answer);
        if (stay)
          stayed.push_back(slot.socket);
        else
          zmq_close(slot.socket);
        slot = {nullptr, -1, 0, 0};
        ++ended;
        if (started < count)
          start(slot);
      }
    std::erase_if(flying, [](const zmq_pollitem_t& slot) { return !slot.socket; });
  }
  bench::print_rate(static_cast<double>(count), begun, cpu);
  (void)std::getchar(); // the driver has seen what it wants
  for (auto* each : stayed)
    zmq_close(each);
}

void open(const bench::options& given) {
  visit(given, true);
}

void churn(const bench::options& given) {
  visit(given, false);
}

void many(const bench::options& given) {
  const auto body = bench::make_body(given.number("size", 64));
  auto left = given.number("count");
  auto cpu = bench::cpu_seconds();
  {
    context all;
    std::vector<void*> sockets(given.number("nodes", 1000));
    for (auto& each : sockets)
      each = all.connect(ZMQ_PUSH, given.text("port"));
    cpu = bench::cpu_seconds();
    while (left > 0)
      for (auto at = sockets.begin(); at != sockets.end() && left > 0; ++at, --left)
        send(*at, body);
    for (auto* each : sockets)
      zmq_close(each);
  } // waits until all is with the kernel
  bench::figures{}.add("cpu", bench::cpu_seconds() - cpu).print();
}

} // namespace

int main(int argc, char** argv) {
  return bench::play(
    argc, argv, {{"hub", hub}, {"idle", idle}, {"open", open}, {"churn", churn}, {"many", many}});
}
