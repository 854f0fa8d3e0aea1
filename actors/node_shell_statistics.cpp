// node_shell_statistics: how the node actor has its core ask for statistics, and hands on what comes. The
// rest of the class is in node_shell.cpp.
#include "postbus/actors/node_shell.hpp"

namespace postbus::actors {

void node_shell::start_collecting(const answer<node_statistics>& reply) {
  const auto which = core_.collect(steady_now());
  if (!which)
    return reply(which.error());
  collecting_.emplace(*which, reply);
  drive();
}

void node_shell::tell(const bus::node::statistics_ready& what) {
  auto found = collecting_.extract(what.collection);
  if (!found)
    return;
  auto told = *what.what;
  told.refused = access_->refused().all();
  found.mapped()(std::move(told));
}

} // namespace postbus::actors
