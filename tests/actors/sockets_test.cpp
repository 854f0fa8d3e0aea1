// What a node's sockets are to the rest of the process: nobody inherits them, and when there are none left
// whoever asked for one is told so.
#include "postbus/postbus.hpp"
#include "postbus/tests/actors/child_program.hpp"
#include "postbus/tests/support/expect.hpp"

#include <doctest/doctest.h>

#include <sys/resource.h>

#include <charconv>
#include <filesystem>
#include <set>

using namespace postbus;
using namespace postbus::test;

namespace {

/// The descriptors that a program started now would have.
std::set<int> inheritable() {
  std::set<int> found;
  for (const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) {
    const auto name = each.path().filename().string();
    int number = -1;
    std::from_chars(name.data(), name.data() + name.size(), number);
    if (const int flags = ::fcntl(number, F_GETFD); flags >= 0 && (flags & FD_CLOEXEC) == 0)
      found.insert(number);
  }
  return found;
}

} // namespace

TEST_CASE("a program that the process starts inherits no descriptor of a node") {
  const auto before = inheritable();
  runtime bus;
  connected_pair pair(bus);
  auto inbox = pair.far.inbox();
  CHECK(inbox.descriptor().has_value());
  CHECK(pair.near.listen_defaults().has_value());
  REQUIRE(pair.near.send(pair.far.id(), 1) == send_outcome::accepted);
  REQUIRE(inbox.next_message(patience).has_value());
  CHECK(inheritable() == before);
}

TEST_CASE("role: a node that may have no more descriptors" * doctest::skip()) {
  if (!parent_program::present())
    return;
  parent_program parent;
  runtime bus;
  auto node = bus.spawn_node();
  const int lowest = ::dup(0);
  ::close(lowest);
  rlimit bound{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &bound) == 0);
  bound.rlim_cur = static_cast<rlim_t>(lowest);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &bound) == 0);
  const auto refused = node.connect("tcp://127.0.0.1:1").error();
  parent.tell(std::string(to_string(refused.code)) + " (" + std::string(to_string(refused.by))
              + "): " + refused.detail);
}

TEST_CASE("a dial without descriptors fails for reasons of our own machine") {
  if (sanitized)
    return; // a sanitizer takes descriptors for itself, to look whether memory is readable
  child_program child("role: a node that may have no more descriptors");
  CHECK(child.hear(patience).value_or("")
        == "system_failed (local): opening a socket: Too many open files");
  CHECK(child.wait() == 0);
}
