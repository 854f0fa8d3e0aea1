// listening_role: what most roles of a child program begin with: a node that listens, and its inbox. The
// role tells its parent where, when it is ready to be connected to.
#pragma once

#include "postbus/postbus.hpp"
#include "postbus/tests/actors/child_program.hpp"

#include <doctest/doctest.h>

#include <string>

namespace postbus::test {

struct listening_role {
  listening_role() : node(bus.spawn_node()), inbox(node.inbox()) {
    const auto bound = node.listen("tcp://127.0.0.1:0");
    REQUIRE(bound.has_value());
    at = *bound;
  }
  /// The parent may connect from now on.
  void tell_ready() { parent.tell(at); }

  parent_program parent;
  runtime bus;
  postbus::node node;
  postbus::inbox inbox;
  std::string at;
};

} // namespace postbus::test
