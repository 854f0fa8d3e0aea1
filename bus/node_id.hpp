// node_id: who a node is. 128 bits, random or given, written as 32 hexadecimal digits.
// Says nothing about where the node is; an address is an `endpoint`.
#pragma once

#include "postbus/codecs/result.hpp"

#include <array>
#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

namespace postbus {

/// The name of a node. All zero is "no node" and never anybody's id.
class node_id {
public:
  static constexpr std::size_t size_bytes = 16;
  using bytes_type = std::array<std::byte, size_bytes>;

  /// No node.
  constexpr node_id() noexcept = default;
  constexpr explicit node_id(const bytes_type& bytes) noexcept : bytes_(bytes) {}

  /// A new id from the operating system's random source.
  [[nodiscard]] static node_id random();
  /// Exactly 32 hexadecimal digits of either case; else `bad_option` with what is wrong in `detail`.
  [[nodiscard]] static result<node_id> parse(std::string_view text);

  [[nodiscard]] constexpr const bytes_type& bytes() const noexcept { return bytes_; }
  /// False for "no node".
  constexpr explicit operator bool() const noexcept { return *this != node_id{}; }

  friend constexpr bool operator==(const node_id&, const node_id&) noexcept = default;
  friend constexpr auto operator<=>(const node_id&, const node_id&) noexcept = default;

private:
  bytes_type bytes_{};
};

/// 32 lower-case hexadecimal digits.
[[nodiscard]] std::string to_string(const node_id& id);
/// The first eight digits, for people and logs.
[[nodiscard]] std::string short_text(const node_id& id);

/// 64 random bits from the operating system: an incarnation, a seed.
[[nodiscard]] std::uint64_t random_u64();

} // namespace postbus

template <>
struct std::hash<postbus::node_id> {
  std::size_t operator()(const postbus::node_id& id) const noexcept {
    std::uint64_t halves[2];
    std::memcpy(halves, id.bytes().data(), sizeof halves);
    // Ids are random or a digest, or chosen by people, who differ in the last digits: what lies in
    // high bits must reach the low ones, too.
    std::uint64_t mixed = halves[0] ^ std::rotl(halves[1], 32);
    mixed = (mixed ^ (mixed >> 32)) * 0x9e3779b97f4a7c15u;
    return static_cast<std::size_t>(mixed ^ (mixed >> 32));
  }
};
