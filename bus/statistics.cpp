#include "postbus/bus/statistics.hpp"

namespace postbus {

std::string_view to_string(drop what) noexcept {
  switch (what) {
  case drop::unclaimed:
    return "unclaimed";
  case drop::unsent:
    return "unsent";
  case drop::unconfirmed:
    return "unconfirmed";
  case drop::too_slow:
    return "too_slow";
  }
  return "unknown";
}

} // namespace postbus
