#include "postbus/codecs/result.hpp"

namespace postbus {

std::string to_string(const error& what) {
  std::string text(to_string(what.code));
  text.append(" (").append(to_string(what.by)).append("): ").append(describe(what.code));
  if (!what.detail.empty())
    text.append(": ").append(what.detail);
  return text;
}

} // namespace postbus
