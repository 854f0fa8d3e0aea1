#include "postbus/actors/caf.hpp"

#include "postbus/actors/internal_messages.hpp"

namespace postbus {

caf::error to_caf(const error& what) {
  return caf::make_error(what.code, what.detail);
}

std::string render(const caf::error& what) {
  if (caf_detail::is_one_of<errc>(what))
    return std::string(describe(static_cast<errc>(what.code())));
  return caf_detail::words_of_caf(what);
}

void init_message_types() {
  caf_detail::make_known<caf_detail::declared_types>();
}

} // namespace postbus
