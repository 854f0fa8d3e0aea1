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

constexpr std::size_t nodes_wanted = sanitized ? 40 : 150; // sanitizers need time of their own

/// As many nodes as there are descriptors for: both ends of every connection are in this process.
std::size_t nodes_possible() {
  const auto most = descriptors_possible();
  auto count = nodes_wanted;
  while (count > 2 && count * (count - 1) + count + 200 > most)
    --count;
  MESSAGE(count, " nodes, ", count * (count - 1) / 2, " connections");
  if (count < nodes_wanted)
    MESSAGE("only ", most, " descriptors: fewer nodes than ", nodes_wanted);
  return count;
}

/// Nodes, each with its inbox.
struct crowd {
  crowd(runtime& bus, std::size_t count) {
    for (std::size_t each = 0; each < count; ++each) {
      nodes.push_back(bus.spawn_node(hospitable()));
      inboxes.push_back(nodes.back().inbox());
    }
  }
  /// Each dials those before it, all at once.
  void connect_all() {
    answers told;
    for (std::size_t each = 0; each < nodes.size(); ++each) {
      const auto at = nodes[each].listen("tcp://127.0.0.1:0");
      REQUIRE(at.has_value());
      for (std::size_t later = each + 1; later < nodes.size(); ++later)
        told.ask(nodes[later], *at, 2 * patience);
    }
    REQUIRE(told.wait_for_all(2 * patience));
    CHECK(told.each_once());
    CHECK(told.said({errc::none}) == nodes.size() * (nodes.size() - 1) / 2);
  }
  /// The event of this type that each other node is told of once, at `index`.
  template <class Event>
  std::vector<Event> from_all_others(std::size_t index, std::size_t others) {
    std::vector<Event> told;
    std::set<node_id> who;
    while (told.size() < others) {
      auto event = next_event<Event>(inboxes[index]);
      REQUIRE(event.has_value());
      CHECK(who.insert(event->peer).second);
      told.push_back(std::move(*event));
    }
    return told;
  }

  std::vector<node> nodes;
  std::vector<inbox> inboxes;
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

TEST_CASE(
  "150 nodes are all connected to all, each hears each other once, and all close in order") {
  const auto count = nodes_possible();
  const auto descriptors = open_descriptors();
  {
    runtime bus({.loops = 2, .close_time = 2s});
    crowd all(bus, count);
    all.connect_all();
    for (std::size_t each = 0; each < count; ++each) {
      (void)all.from_all_others<connected>(each, count - 1);
      CHECK(all.nodes[each].connection_count() == count - 1);
    }
    for (std::size_t from = 0; from < count; ++from)
      for (std::size_t to = 0; to < count; ++to)
        if (from != to)
          CHECK(all.nodes[from].send(all.nodes[to].id(), from) == send_outcome::accepted);
    for (std::size_t each = 0; each < count; ++each) {
      std::map<node_id, std::size_t> heard;
      while (heard.size() < count - 1) {
        const auto got = all.inboxes[each].next_message(patience);
        REQUIRE(got.has_value());
        CHECK(heard.emplace(got->from(), got->as<std::size_t>().value_or(count)).second);
      }
      for (std::size_t from = 0; from < count; ++from)
        if (from != each)
          CHECK(heard[all.nodes[from].id()] == from);
    }
    for (std::size_t each = 0; each < count; ++each) {
      CHECK(all.nodes[each].close(patience).has_value());
      CHECK(all.nodes[each].connection_count() == 0);
      for (const auto& gone : all.from_all_others<disconnected>(each, count - 1)) {
        CHECK(gone.reason.code == errc::closed);
        CHECK(gone.account == send_account{1, 1, 0});
        CHECK(gone.messages_received == 1);
      }
      CHECK(next_event<closed>(all.inboxes[each]).has_value());
      CHECK(all.inboxes[each].next_event(patience).error() == errc::node_closed);
    }
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
