// coverage: what happened in a run, or in many: counts by name. A simulator that never meets something
// proves nothing about it, so a test asks that nothing is missing().
#pragma once

#include "postbus/codecs/errc.hpp"

#include <cstdint>
#include <iosfwd>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace postbus::testing {

class coverage {
public:
  void count(std::string_view what, std::uint64_t times = 1);
  /// Remembers the largest.
  void most(std::string_view what, std::uint64_t value);
  /// A connection that was open, or was not, ended so.
  void count_end(errc reason, bool was_open);
  void add(const coverage& other);
  [[nodiscard]] std::uint64_t times(std::string_view what) const;

  /// A table.
  void print(std::ostream& out) const;
  /// What a thousand seeds must have met and these have not.
  [[nodiscard]] std::vector<std::string> missing() const;

private:
  std::map<std::string, std::uint64_t, std::less<>> counts_;
  std::map<std::string, std::uint64_t, std::less<>> most_;
};

} // namespace postbus::testing
