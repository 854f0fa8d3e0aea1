// hello_map: the MessagePack map at the end of a hello. Written and read by hand, because strangers
// send it: one pass over the bytes, no recursion, no allocation that the bytes do not back.
// The keys and their ranges are normative in docs/PROTOCOL.md, "hello".
#pragma once

#include "postbus/bus/control.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace postbus::bus {

/// The map of a hello whose values are in their ranges.
[[nodiscard]] std::vector<std::byte> pack_hello_map(const hello& from);

/// Puts what `bytes` say into `into`, which keeps what they do not say. Null, or what is wrong with
/// them; then `into` is of no use.
[[nodiscard]] const char* unpack_hello_map(std::span<const std::byte> bytes, hello& into);

} // namespace postbus::bus
