// Many nodes in one program, all connected to all, each message counted; and peers that come and go beside
// a steady stream, of which nothing is lost and which they cannot disturb.
#include "postbus/postbus.hpp"
#include "postbus/tests/actors/child_program.hpp"
#include "postbus/tests/actors/many_dials.hpp"
#include "postbus/tests/support/expect.hpp"
#include "postbus/tests/support/raw_peer.hpp"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

// -- all connected to all -------------------------------------------------------------------

// Half of them in a process of its own: one has not the descriptors for both ends of all connections.
constexpr std::size_t nodes_in_all = sanitized ? 40 : 150; // sanitizers need time of their own
constexpr std::size_t nodes_here = nodes_in_all / 2;
constexpr std::size_t others = nodes_in_all - 1;

/// What a node says to everybody: something that its id tells.
std::uint64_t word_of(const node_id& id) {
  return std::hash<node_id>{}(id);
}

/// A node, and what its program was told so far.
struct member {
  node_id id() const { return node.id(); }
  /// Reads until `enough`. What is told meanwhile is kept: others are ahead of this one.
  template <class Enough>
  void read_until(Enough enough) {
    while (!enough()) {
      const auto next = inbox.next(patience);
      REQUIRE(next.has_value());
      if (const auto* said = std::get_if<message>(&*next)) {
        CHECK(heard.insert(said->from()).second);
        CHECK(said->as<std::uint64_t>().value_or(0) == word_of(said->from()));
        continue;
      }
      const auto& event = std::get<node_event>(*next);
      if (const auto* up = std::get_if<connected>(&event))
        CHECK(met.insert(up->peer).second);
      else if (const auto* down = std::get_if<disconnected>(&event))
        left.push_back(*down);
      is_closed = is_closed || std::holds_alternative<closed>(event);
    }
  }

  postbus::node node;
  postbus::inbox inbox;
  std::string endpoint;
  std::set<node_id> met = {};
  std::set<node_id> heard = {};
  std::vector<disconnected> left = {};
  bool is_closed = false;
};

/// The nodes of one process.
struct crowd {
  explicit crowd(runtime& bus) {
    for (std::size_t count = 0; count < nodes_here; ++count) {
      auto node = bus.spawn_node(hospitable());
      auto inbox = node.inbox();
      const auto at = node.listen("tcp://127.0.0.1:0");
      REQUIRE(at.has_value());
      all.push_back({node, std::move(inbox), *at});
    }
  }
  /// Each dials those before it and everybody at `elsewhere`, all at once.
  void connect_all(const std::vector<std::string>& elsewhere) {
    answers told;
    for (auto each = all.begin(); each != all.end(); ++each) {
      for (auto before = all.begin(); before != each; ++before)
        told.ask(each->node, before->endpoint, 2 * patience);
      for (const auto& at : elsewhere)
        told.ask(each->node, at, 2 * patience);
    }
    REQUIRE(told.wait_for_all(2 * patience));
    CHECK(told.each_once());
    CHECK(told.said({errc::none})
          == all.size() * (all.size() - 1) / 2 + all.size() * elsewhere.size());
  }
  /// Everybody says one thing to everybody, and hears the same.
  void talk() {
    for (auto& each : all) {
      each.read_until([&] { return each.met.size() == others; });
      CHECK(each.node.connection_count() == others);
      for (const auto& peer : each.met)
        CHECK(each.node.send(peer, word_of(each.id())) == send_outcome::accepted);
    }
    for (auto& each : all)
      each.read_until([&] { return each.heard.size() == others; });
  }
  void close() {
    for (auto& each : all) {
      CHECK(each.node.close(patience).has_value());
      CHECK(each.node.connection_count() == 0);
      each.read_until([&] { return each.is_closed; });
      std::set<node_id> who;
      for (const auto& gone : each.left) {
        CHECK(who.insert(gone.peer).second);
        CHECK(gone.reason.code == errc::closed);
        CHECK(gone.account == send_account{1, 1, 0});
        CHECK(gone.messages_received == 1);
      }
      CHECK(who == each.met);
      CHECK(each.inbox.next_event(patience).error() == errc::node_closed);
    }
  }

  std::vector<member> all;
};

// -- peers that come and go -----------------------------------------------------------------

/// Comes and goes in order, each time as another incarnation of the same node; says one thing.
void flap_in_order(runtime& bus, const node_id& id, const node_id& hub, const std::string& at) {
  auto how = hospitable();
  how.id = id;
  const auto node = bus.spawn_node(std::move(how));
  CHECK(node.connect(at, patience).has_value());
  CHECK(node.send(hub, 1) == send_outcome::accepted);
  CHECK(node.close(patience).has_value());
}

/// A raw peer that the hub has told its programs of, and that has said one thing.
raw_peer opened_raw(const node_id& id, std::uint64_t incarnation, const std::string& at) {
  raw_peer peer(at);
  auto hello = raw_peer::hello_of(id);
  hello.incarnation = incarnation;
  peer.write(encode(hello));
  CHECK(peer.read_frame(codecs::frame_kind::welcome, patience).has_value());
  peer.write(encode(bus::welcome{}));
  CHECK(peer.read_frame(codecs::frame_kind::credit, patience).has_value()); // open there, too
  std::byte frame[codecs::frame_header_bytes + 1]{};
  codecs::store_header(frame, {1, codecs::frame_kind::message, 0, 0});
  peer.write(frame);
  return peer;
}

constexpr std::uint64_t stream_messages = sanitized ? 20'000 : 100'000;
constexpr std::uint64_t messages_per_block = 1000;
constexpr int rounds_per_block = 2;
constexpr int blocks_per_round_of_each = 20;

/// Runs `round` again and again, until told to stop.
template <class Round>
std::jthread flapper(std::atomic<int>& rounds, Round round) {
  return std::jthread([&rounds, round](const std::stop_token& over) {
    while (!over.stop_requested()) {
      round();
      ++rounds;
    }
  });
}

/// Waits until they have for so many blocks of the stream, so that neither is done before the other.
bool have_flapped(const std::array<std::atomic<int>, 3>& rounds, int blocks) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  for (;;) {
    const auto all = rounds[0] + rounds[1] + rounds[2];
    const auto least = std::min({rounds[0].load(), rounds[1].load(), rounds[2].load()});
    if (all >= blocks * rounds_per_block && least >= blocks / blocks_per_round_of_each)
      return true;
    if (std::chrono::steady_clock::now() > deadline)
      return false;
    std::this_thread::yield();
  }
}

/// What the hub's program was told, message by message and event by event.
struct hub_story {
  std::map<node_id, std::uint64_t> messages, connects, disconnects;
  std::map<std::string, std::uint64_t> reasons;
  bool in_order = true;

  void read(inbox& from, const node_id& good) {
    std::map<node_id, bool> open;
    while (auto next = from.next(patience)) {
      if (const auto* said = std::get_if<message>(&*next)) {
        in_order = in_order && open[said->from()];
        const auto number = messages[said->from()]++;
        if (said->from() == good)
          in_order = in_order && said->as<std::uint64_t>().value_or(~number) == number;
        continue;
      }
      const auto& event = std::get<node_event>(*next);
      if (const auto* up = std::get_if<connected>(&event)) {
        in_order = in_order && !std::exchange(open[up->peer], true);
        ++connects[up->peer];
      } else if (const auto* gone = std::get_if<disconnected>(&event)) {
        in_order = in_order && std::exchange(open[gone->peer], false);
        ++disconnects[gone->peer];
        ++reasons[std::string(to_string(gone->reason.code))];
      }
    }
  }
};

std::uint64_t sum_of(const std::map<node_id, std::uint64_t>& all) {
  std::uint64_t sum = 0;
  for (const auto& [who, count] : all)
    sum += count;
  return sum;
}

} // namespace

TEST_CASE("role: the other half of the nodes" * doctest::skip()) {
  if (!parent_program::present())
    return;
  parent_program parent;
  (void)descriptors_possible();
  runtime bus({.loops = 2, .close_time = 2s});
  crowd half(bus);
  half.connect_all({});
  for (const auto& each : half.all)
    parent.tell(each.endpoint);
  half.talk();
  parent.tell("heard");
  REQUIRE(parent.hear(4 * patience).value_or("") == "close");
  half.close();
  parent.tell("closed");
}

TEST_CASE(
  "150 nodes are all connected to all, each hears each other once, and all close in order") {
  REQUIRE(descriptors_possible() > nodes_here * others + 200);
  const auto descriptors = open_descriptors();
  {
    child_program child("role: the other half of the nodes");
    std::vector<std::string> elsewhere;
    while (elsewhere.size() < nodes_in_all - nodes_here) {
      auto at = child.hear(2 * patience);
      REQUIRE(at.has_value());
      elsewhere.push_back(std::move(*at));
    }
    runtime bus({.loops = 2, .close_time = 2s});
    crowd half(bus);
    half.connect_all(elsewhere);
    half.talk();
    REQUIRE(child.hear(4 * patience).value_or("") == "heard");
    half.close();
    child.tell("close");
    CHECK(child.hear(4 * patience).value_or("") == "closed");
    CHECK(child.wait() == 0);
  }
  CHECK(open_descriptors() == descriptors);
}

TEST_CASE("peers that come and go disturb no stream, and are told of in pairs") {
  runtime bus({.loops = 2, .close_time = 2s});
  auto how = hospitable();
  how.bounds.probe_time_max = 20ms; // who does not answer is soon replaced
  const auto hub = bus.spawn_node(how);
  auto events = hub.inbox();
  const auto at = hub.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  const auto good = bus.spawn_node(hospitable());
  auto good_events = good.inbox();
  REQUIRE(good.connect(*at, patience).has_value());

  hub_story story;
  std::thread reader([&] { story.read(events, good.id()); });

  std::array<std::atomic<int>, 3> rounds{};
  const auto in_order = node_id::random(), cut = node_id::random(), restarts = node_id::random();
  std::optional<raw_peer> last;
  std::uint64_t incarnation = 0;
  std::vector<std::jthread> flappers; // behind what they use
  flappers.push_back(flapper(rounds[0], [&] { flap_in_order(bus, in_order, hub.id(), *at); }));
  flappers.push_back(flapper(rounds[1], [&] { (void)opened_raw(cut, 1, *at); }));
  // Each stays until the next incarnation has taken its place, and never says why.
  flappers.push_back(flapper(rounds[2], [&] {
    auto next = opened_raw(restarts, ++incarnation, *at);
    last.emplace(std::move(next));
  }));

  auto out = good.to(hub.id());
  for (std::uint64_t number = 0; number < stream_messages; ++number) {
    if (number % messages_per_block == 0)
      REQUIRE(have_flapped(rounds, static_cast<int>(number / messages_per_block)));
    REQUIRE(out.send(number, {.within = patience}) == send_outcome::accepted);
  }
  flappers.clear();
  last.reset();
  CHECK(good.close(patience).has_value());
  const auto end = next_event<disconnected>(good_events);
  REQUIRE(end.has_value());
  CHECK(end->account == send_account{stream_messages, stream_messages, 0});
  // Those that fell silent or were cut are gone when the hub says so.
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (hub.connection_count() > 0 && std::chrono::steady_clock::now() < deadline)
    std::this_thread::yield();
  const auto told = hub.statistics(patience);
  CHECK(hub.close(patience).has_value());
  reader.join();

  CHECK(story.in_order);
  CHECK(story.messages[good.id()] == stream_messages);
  CHECK(story.connects == story.disconnects);
  const auto flaps = story.connects[in_order] + story.connects[cut] + story.connects[restarts];
  CHECK(flaps == static_cast<std::uint64_t>(rounds[0] + rounds[1] + rounds[2]));
  CHECK(story.connects[good.id()] == 1);
  CHECK(story.messages[in_order] == story.connects[in_order]);

  REQUIRE(told.has_value());
  CHECK(told->connections_opened == flaps + 1);
  std::uint64_t ended = 0, unclaimed = 0;
  for (const auto& each : told->disconnects)
    ended += each.count;
  for (const auto& each : told->drops)
    unclaimed += each.messages;
  CHECK(ended == sum_of(story.disconnects));
  CHECK(told->total.messages_received == sum_of(story.messages) + unclaimed);
  CHECK(unclaimed == 0);
  for (const auto& [reason, count] : story.reasons)
    MESSAGE(count, " ended with ", reason);
}
