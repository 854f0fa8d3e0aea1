// runtime: owns the loops on which nodes live. Made from an actor system, or making one of its own;
// destroyed before it: a system waits for the nodes in it. Its destructor closes every node in order,
// within a time, resets what is left, and joins the loops. However long it takes it waits for a name
// that is still being resolved and, with a system of its own, for the actors that were spawned there.
// A loop that something blocks is left as it is, and said so. Never destroy one on a loop: it aborts.
#pragma once

#include "postbus/actors/node.hpp"
#include "postbus/bus/limits.hpp"

#include <memory>

namespace postbus {

/// How a runtime is made.
struct runtime_options {
  unsigned loops = 1; ///< Threads that serve nodes; each node lives on one. At least 1.
  duration close_time =
    std::chrono::seconds(5); ///< What the destructor gives nodes for their last messages.
};

/// How a node is made.
struct node_options {
  node_id id = {};               ///< "No node" for a random one.
  payload init = {};             ///< Shown to every peer before it decides; at most 8 KiB.
  limits bounds = {};            ///< Checked: see `limits::check`.
  bool hand_back_unsent = false; ///< Tells `unsent` behind a `disconnected` that has some.
};

/// Settings for an actor system that serves a bus well: workers that share one queue. Use it as it is
/// or derive from it; any other configuration works, too, only slower.
class system_config : public caf::actor_system_config {
public:
  system_config();
};

/// The home of nodes: owns their loops, and closes what is open when it ends.
class runtime {
public:
  /// With an actor system of its own.
  explicit runtime(runtime_options how = {});
  /// In the user's actor system, which must live longer. Warns once on stderr when its workers steal.
  explicit runtime(caf::actor_system& system, runtime_options how = {});
  ~runtime();
  runtime(const runtime&) = delete;
  runtime& operator=(const runtime&) = delete;

  /// A new node. With options out of range the node is closed from the start: see `try_spawn_node`.
  node spawn_node(node_options how = {});
  /// The same, or `bad_option` with what is wrong.
  result<node> try_spawn_node(node_options how = {});

  [[nodiscard]] caf::actor_system& system() noexcept;

  /// For small programs: prints the error on stderr and answers 1, for `main` to return.
  int fail(const error& what) const;
  int fail(const caf::error& what) const { return fail(from_caf(what)); }

private:
  struct parts;
  std::unique_ptr<parts> parts_;
};

} // namespace postbus
