// tag_range: which tags somebody wants, as runs of numbers.
#pragma once

#include "postbus/codecs/result.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace postbus {

/// The tags from `first` to `last`, both included. One tag is a range, too: `{7, {10, 19}}` are two.
struct tag_range {
  constexpr tag_range() noexcept = default;
  // NOLINTNEXTLINE(google-explicit-constructor): a list of tags is what one writes
  constexpr tag_range(std::uint16_t only) noexcept : first(only), last(only) {}
  constexpr tag_range(std::uint16_t from, std::uint16_t to) noexcept : first(from), last(to) {}

  std::uint16_t first = 0;
  std::uint16_t last = UINT16_MAX;

  /// One tag alone.
  [[nodiscard]] static constexpr tag_range of(std::uint16_t tag) noexcept { return {tag, tag}; }
  [[nodiscard]] constexpr bool contains(std::uint16_t tag) const noexcept {
    return first <= tag && tag <= last;
  }
  friend bool operator==(const tag_range&, const tag_range&) = default;
};

/// True when `tag` is in one of `wanted`, or `wanted` is empty: then all are.
[[nodiscard]] inline bool wants_tag(const std::vector<tag_range>& wanted, std::uint16_t tag) {
  return wanted.empty() || std::any_of(wanted.begin(), wanted.end(), [&](const tag_range& each) {
           return each.contains(tag);
         });
}

/// Ok, or `bad_option`: a range whose last is before its first.
[[nodiscard]] inline result<void> check_tags(const std::vector<tag_range>& wanted) {
  if (std::any_of(wanted.begin(), wanted.end(),
                  [](const tag_range& each) { return each.last < each.first; }))
    return error{errc::bad_option, blame::local, "a range of tags ends before it begins"};
  return {};
}

} // namespace postbus
