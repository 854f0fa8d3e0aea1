#include "postbus/bus/events.hpp"

#include <ostream>

namespace postbus {

std::string to_string(const connection_request& what) {
  return to_string(what.peer) + " at " + what.address;
}

std::ostream& operator<<(std::ostream& out, const connection_request& what) {
  return out << to_string(what);
}

} // namespace postbus
