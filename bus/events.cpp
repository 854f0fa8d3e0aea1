#include "postbus/bus/events.hpp"

#include "postbus/bus/overloaded.hpp"

#include <ostream>

namespace postbus {

std::string to_string(const connection_request& what) {
  return to_string(what.peer) + " at " + what.address;
}

std::size_t bytes_of(const node_event& event) noexcept {
  const auto brings = std::visit(
    bus::overloaded{
      [](const connection_request& what) { return what.init.size() + what.address.size(); },
      [](const connected& what) { return what.init.size(); },
      [](const disconnected& what) { return what.reason.detail.size(); },
      [](const unsent& what) {
        std::size_t bytes = 0;
        for (const auto& each : what.messages)
          bytes += sizeof each + each.body.size();
        return bytes;
      },
      [](const keep_state& what) { return what.endpoint.size() + what.reason.detail.size(); },
      [](const subscription_ended& what) { return what.reason.detail.size(); },
      [](const auto&) { return std::size_t{0}; }, // no more than itself
    },
    event);
  return sizeof event + brings;
}

std::ostream& operator<<(std::ostream& out, const connection_request& what) {
  return out << to_string(what);
}

} // namespace postbus
