// overloaded: one callable out of several, for std::visit.
#pragma once

namespace postbus::bus {

template <class... Ts>
struct overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
overloaded(Ts...) -> overloaded<Ts...>;

} // namespace postbus::bus
