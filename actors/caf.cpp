#include "postbus/actors/caf.hpp"

#include "postbus/actors/internal_messages.hpp"

namespace postbus {

caf::error to_caf(const error& what) {
  return caf::make_error(what.code, what.detail, static_cast<std::uint8_t>(what.by));
}

error from_caf(const caf::error& what) {
  if (what == caf::sec::request_receiver_down)
    return {errc::node_closed, blame::local, {}}; // a handle that was kept longer than its node
  if (!caf_detail::is_one_of<errc>(what))
    return {errc::system_failed, blame::local, caf_detail::words_of_caf(what)};
  error same{static_cast<errc>(what.code()), blame::local, {}};
  if (what.context().match_elements<std::string, std::uint8_t>()) {
    same.detail = what.context().get_as<std::string>(0);
    same.by = static_cast<blame>(what.context().get_as<std::uint8_t>(1));
  }
  return same;
}

std::string render(const caf::error& what) {
  return to_string(from_caf(what));
}

void init_message_types() {
  caf_detail::make_known<caf_detail::declared_types>();
}

} // namespace postbus
