// What programs change about a node while it runs, and where it listens: by calls and by messages.
#include "postbus/postbus.hpp"
#include "postbus/tests/actors/listening_role.hpp"
#include "postbus/tests/support/asked.hpp"
#include "postbus/tests/support/expect.hpp"

#include <doctest/doctest.h>

#include <sys/resource.h>

#include <algorithm>
#include <future>

using namespace postbus;
using namespace postbus::test;
using namespace std::chrono_literals;

namespace {

/// What the next peer that connects to `at` is shown.
std::string init_seen(runtime& bus, const std::string& at) {
  auto guest = bus.spawn_node();
  auto events = guest.inbox();
  REQUIRE(guest.connect(at).has_value());
  const auto up = next_event<connected>(events);
  REQUIRE(up.has_value());
  return std::string(up->init.text());
}

} // namespace

TEST_CASE("a node has the id and the init message it was given, or a random id and none") {
  runtime bus;
  const auto id = node_id::random();
  auto given = bus.spawn_node({.id = id, .init = payload::copy_of("hello"), .bounds = {}});
  auto one = bus.spawn_node(), other = bus.spawn_node();
  CHECK(given.id() == id);
  CHECK(one.id());
  CHECK(one.id() != other.id());
  CHECK(init_seen(bus, *given.listen("tcp://127.0.0.1:0")) == "hello");
  CHECK(init_seen(bus, *one.listen("tcp://127.0.0.1:0")).empty());
  CHECK(
    bus.try_spawn_node({.id = {}, .init = payload::copy_of(std::string(8193, 'x')), .bounds = {}})
      .error()
    == errc::bad_option);
}

TEST_CASE("an init message that is set later is shown to those who connect later") {
  runtime bus;
  auto node = bus.spawn_node({.id = {}, .init = payload::copy_of("first"), .bounds = {}});
  const auto at = node.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  CHECK(init_seen(bus, *at) == "first");
  CHECK(node.init_message(payload::copy_of("second")).has_value());
  CHECK(init_seen(bus, *at) == "second");

  // A value, packed: to its reader as every other value.
  CHECK(node.init_message(std::map<std::string, int>{{"room", 4}}).has_value());
  auto guest = bus.spawn_node();
  auto events = guest.inbox();
  REQUIRE(guest.connect(*at).has_value());
  const auto up = next_event<connected>(events);
  REQUIRE(up.has_value());
  codecs::byte_buffer expected;
  REQUIRE(codecs::pack_value(expected, std::map<std::string, int>{{"room", 4}}).has_value());
  CHECK(std::ranges::equal(up->init.bytes(), expected.bytes()));

  caf::scoped_actor self{bus.system()};
  asked_to(self, node.actor(), set_init_message{payload::copy_of("third")});
  CHECK(init_seen(bus, *at) == "third");
  const auto large = payload::copy_of(std::string(8193, 'x'));
  CHECK(node.init_message(large).error() == errc::bad_option);
  CHECK(refused_to(self, node.actor(), set_init_message{large}) == errc::bad_option);
  CHECK(init_seen(bus, *at) == "third");
  REQUIRE(node.close().has_value());
  CHECK(node.init_message(payload{}).error() == errc::node_closed);
}

TEST_CASE("an idle time that is set later is that of later connections") {
  runtime bus;
  limits lively;
  lively.keepalive_time = 100ms;
  lively.idle_time_max = 3600s;
  auto node = bus.spawn_node({.id = {}, .init = {}, .bounds = lively});
  auto events = node.inbox();
  const auto at = node.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  auto early = bus.spawn_node({.id = {}, .init = {}, .bounds = lively});
  auto late = bus.spawn_node({.id = {}, .init = {}, .bounds = lively});
  REQUIRE(early.connect(*at).has_value());
  CHECK(node.idle_time(300ms).error() == errc::bad_option); // not above three keepalive times
  CHECK(node.idle_time(400ms).has_value());
  REQUIRE(late.connect(*at).has_value());
  const auto gone = next_event<disconnected>(events);
  REQUIRE(gone.has_value());
  CHECK(gone->peer == late.id());
  CHECK(gone->reason == error{errc::idle, blame::local, {}});
  CHECK(node.is_connected(early.id()));

  caf::scoped_actor self{bus.system()};
  asked_to(self, node.actor(), set_idle_time{500ms});
  CHECK(refused_to(self, node.actor(), set_idle_time{100ms}) == errc::bad_option);
}

TEST_CASE("bounds that are set later are checked, and hold for later connections") {
  runtime bus({.close_time = 10ms}); // nobody takes what is sent
  auto node = bus.spawn_node();
  const auto at = node.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  auto early = bus.spawn_node(), late = bus.spawn_node();
  REQUIRE(early.connect(*at).has_value());

  limits small;
  small.frame_bytes_max = 20'000;
  small.hello_bytes_max = 16'384;
  CHECK(node.bounds(small).has_value());
  REQUIRE(late.connect(*at).has_value());
  const std::string large(30'000, 'x');
  CHECK(early.send(node.id(), large) == send_outcome::accepted);
  CHECK(late.send(node.id(), large) == send_outcome::too_large);

  small.connections_max = 2; // counted by the node: holds at once
  CHECK(node.bounds(small).has_value());
  CHECK(bus.spawn_node().connect(*at).error() == errc::too_many_connections);

  auto wrong = small;
  wrong.outbox_bytes_max = 0;
  CHECK(node.bounds(wrong).error() == errc::bad_option);
  wrong = small;
  wrong.batches_in_flight_max = 1;
  CHECK(node.bounds(wrong).error() == errc::bad_option);
  caf::scoped_actor self{bus.system()};
  CHECK(refused_to(self, node.actor(), set_bounds{wrong}) == errc::bad_option);
  asked_to(self, node.actor(), set_bounds{limits{}});
  CHECK(bus.spawn_node().connect(*at).has_value());
}

TEST_CASE("a node listens on free ports of every address, and says where") {
  runtime bus;
  auto node = bus.spawn_node();
  CHECK(node.addresses().empty());
  const auto open = node.listen_defaults();
  REQUIRE(open.has_value());
  REQUIRE_FALSE(open->empty()); // one of them where IPv6 is off
  CHECK(node.addresses() == *open);
  for (const auto& each : *open) {
    CAPTURE(each);
    auto at = endpoint::parse(each);
    REQUIRE(at.has_value());
    CHECK(at->port != 0);
    CHECK((at->host == "0.0.0.0" || at->host == "::"));
    at->host = at->host == "::" ? "::1" : "127.0.0.1";
    CHECK(bus.spawn_node().connect(to_string(*at)).value_or(node_id{}) == node.id());
  }
  caf::scoped_actor self{bus.system()};
  const auto more = asked<endpoint_list>(self, node.actor(), listen_defaults{}).endpoints;
  CHECK(more.size() == open->size());
  CHECK(asked<endpoint_list>(self, node.actor(), list_addresses{}).endpoints == node.addresses());
  CHECK(node.addresses().size() == 2 * open->size());
  REQUIRE(node.close().has_value());
  CHECK(node.addresses().empty());
}

TEST_CASE(
  "a node stops listening on one endpoint, which is free then, and keeps who came in there") {
  runtime bus;
  auto node = bus.spawn_node(), guest = bus.spawn_node(), other = bus.spawn_node();
  const auto at = node.listen("tcp://127.0.0.1:0");
  const auto second = node.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  REQUIRE(second.has_value());
  REQUIRE(guest.connect(*at).has_value());
  CHECK_FALSE(node.stop_listening("tcp://127.0.0.1:1"));
  CHECK_FALSE(node.stop_listening("nonsense"));
  CHECK(node.stop_listening(*at));
  CHECK_FALSE(node.stop_listening(*at));
  CHECK(node.addresses() == std::vector<std::string>{*second});
  CHECK(other.connect(*at).error() == errc::connect_failed);
  CHECK(node.is_connected(guest.id()));
  CHECK(other.listen(*at).has_value());
  CHECK(bus.spawn_node().connect(*at).value_or(node_id{}) == other.id());

  caf::scoped_actor self{bus.system()};
  CHECK(asked<bool>(self, node.actor(), stop_listening{*second}));
  CHECK_FALSE(asked<bool>(self, node.actor(), stop_listening{*second}));
}

TEST_CASE("a port in use is listen_failed in the system's words") {
  runtime bus;
  auto node = bus.spawn_node(), other = bus.spawn_node();
  const auto at = node.listen("tcp://127.0.0.1:0");
  REQUIRE(at.has_value());
  const auto refused = other.listen(*at);
  CHECK(refused.error() == errc::listen_failed);
  CHECK(refused.error().detail.find("Address already in use") != std::string::npos);
  CHECK(other.addresses().empty());
}

// -- out of descriptors ---------------------------------------------------------------

TEST_CASE("role: a node that may have two more descriptors" * doctest::skip()) {
  if (!parent_program::present())
    return;
  listening_role role;
  // The two lowest that are free: what was inherited may leave holes.
  const int lowest = ::dup(0);
  const int next_lowest = ::dup(0);
  ::close(lowest);
  ::close(next_lowest);
  rlimit bound{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &bound) == 0);
  bound.rlim_cur = static_cast<rlim_t>(next_lowest) + 1;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &bound) == 0);
  role.tell_ready();
  while (auto next = role.inbox.next(patience)) {
    const auto* each = std::get_if<message>(&*next);
    if (each == nullptr)
      continue;
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    const auto words = each->as<std::string>().value_or("");
    if (words == "listen")
      role.parent.tell(to_string(role.node.listen("tcp://127.0.0.1:0").error()));
    else if (words == "time")
      role.parent.tell(std::to_string(used.ru_utime.tv_sec * 1000 + used.ru_utime.tv_usec / 1000
                                      + used.ru_stime.tv_sec * 1000
                                      + used.ru_stime.tv_usec / 1000));
    else
      role.parent.tell(words);
  }
}

TEST_CASE(
  "a listener without descriptors neither spins nor ends, and goes on when there are some") {
  if (sanitized)
    return; // a sanitizer takes descriptors for itself, to look whether memory is readable
  child_program child("role: a node that may have two more descriptors");
  const auto at = child.hear(patience);
  REQUIRE(at.has_value());
  runtime bus;
  auto first = bus.spawn_node(), second = bus.spawn_node();
  auto third = bus.spawn_node({.id = {}, .init = {}, .bounds = patient()});
  const auto there = first.connect(*at);
  REQUIRE(there.has_value());
  REQUIRE(second.connect(*at).has_value());

  CHECK(first.send(*there, "listen") == send_outcome::accepted);
  const auto refused = child.hear(patience);
  CHECK(refused.value_or("").find("listen_failed") == 0);
  CHECK(refused.value_or("").find("Too many open files") != std::string::npos);
  CHECK(first.send(*there, "time") == send_outcome::accepted);
  const auto before = std::stol(child.hear(patience).value_or("-1"));

  auto waiting = std::async(std::launch::async, [&] { return third.connect(*at, patience); });
  CHECK(waiting.wait_for(600ms) == std::future_status::timeout);
  CHECK(first.send(*there, "time") == send_outcome::accepted);
  const auto after = std::stol(child.hear(patience).value_or("-1"));
  CHECK(after - before < 300);
  CHECK(second.close().has_value());
  CHECK(waiting.get().value_or(node_id{}) == *there);
  CHECK(third.send(*there, "still here") == send_outcome::accepted);
  CHECK(child.hear(patience).value_or("") == "still here");
}
