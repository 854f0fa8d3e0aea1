// node_statistics: the call for statistics on the handle. The rest of the class is in node.cpp.
#include "postbus/actors/answer.hpp"
#include "postbus/actors/internal_messages.hpp"
#include "postbus/actors/loop.hpp"
#include "postbus/actors/node.hpp"
#include "postbus/actors/node_access.hpp"

namespace postbus {

result<node_statistics> node::statistics(duration within) const {
  if (actors::loop::on_any())
    return actors::on_a_loop("statistics");
  const actors::waiting_thread<node_statistics> here;
  access_->shell()->wake(actors::ask_statistics{here.make_answer()});
  return here.wait(within);
}

} // namespace postbus
