// Who may come in: a library lets readers in by what their init message says, tells the others why not,
// and one reader looks at the library before it agrees.

#include <postbus/postbus.hpp>

#include <fmt/core.h>

#include <thread>

using namespace std::chrono_literals;

struct card {
  std::string name;
  int year = 0;
  MSGPACK_DEFINE(name, year)
};

// [init]
postbus::payload packed(const card& what) {
  postbus::codecs::byte_buffer bytes;
  (void)postbus::codecs::pack_value(bytes, what);
  return bytes.release();
}
// [init]

// [decide]
// Called for whoever asks to be connected. What is neither accepted nor rejected within the decision
// time is refused; so is a request whose last copy goes without an answer.
void decide(const postbus::node& library, const postbus::connection_request& asks) {
  const auto shown = postbus::codecs::unpack_value<card>(asks.init.bytes());
  if (!shown)
    library.reject(asks, "please show a card");
  else if (shown->year < 2026)
    library.reject(asks, fmt::format("{}, your card ran out in {}", shown->name, shown->year));
  else
    library.accept(asks);
}
// [decide]

int main() {
  postbus::runtime bus;
  const auto library =
    bus.spawn_node({.id = {}, .init = packed({"Old Library", 1888}), .bounds = {}});
  auto requests = library.deciding_inbox();
  const auto at = library.listen("tcp://127.0.0.1:0");
  if (!at)
    return bus.fail(at.error());
  std::jthread desk([&] {
    while (const auto event = requests.next_event(10s))
      if (const auto* asks = std::get_if<postbus::connection_request>(&*event))
        decide(library, *asks);
  });

  for (const auto& init : {packed({"Ada", 2027}), packed({"Bob", 2019}), postbus::payload{}}) {
    const auto reader = bus.spawn_node({.id = {}, .init = init, .bounds = {}});
    const auto answer = reader.connect(*at, 5s);
    fmt::print("{}\n", answer ? "welcome" : answer.error().detail);
  }

  // [look]
  const auto careful = bus.spawn_node({.id = {}, .init = packed({"Eve", 2030}), .bounds = {}});
  const auto seen = careful.connect_request(*at, 5s);
  if (!seen)
    return bus.fail(seen.error());
  const auto house = postbus::codecs::unpack_value<card>(seen->init.bytes());
  if (house && house->year > 1900)
    careful.reject(*seen, "too new");
  else if (const auto open = careful.connect(*seen, 5s); !open)
    return bus.fail(open.error());
  else
    fmt::print("in the {}\n", house ? house->name : "dark");
  // [look]

  if (const auto closed = library.close(); !closed) // ends the desk, too
    return bus.fail(closed.error());
}
