// sending: messages that say their number, as many as a test wants or as the sender's outbox takes.
#pragma once

#include "postbus/tests/support/expect.hpp"

#include <cstring>
#include <vector>

namespace postbus::test {

/// Sends the numbers from 0, with tags from 0 to `tags` - 1 in turn, and waits for room as long as a test
/// may. Whether all were accepted.
inline bool send_numbers(const node& from, const node_id& to, int count, int tags = 1) {
  auto out = from.to(to);
  for (int number = 0; number < count; ++number)
    if (out.send(number, {.tag = static_cast<std::uint16_t>(number % tags), .within = patience})
        != send_outcome::accepted)
      return false;
  return true;
}

/// Sends bodies of `bytes` that begin with their number until the outbox is full; says how many it took.
inline int fill(const node& from, const node_id& to, std::size_t bytes = 1000) {
  std::vector<std::byte> body(bytes);
  for (int number = 0;; ++number) {
    std::memcpy(body.data(), &number, sizeof number);
    const auto outcome = from.send_bytes(to, body);
    if (outcome == send_outcome::congested)
      return number;
    REQUIRE(outcome == send_outcome::accepted);
  }
}

} // namespace postbus::test
