// value_fuzz: check_value accepts what msgpack-c accepts within the same limits, and nothing else; the
// types read without msgpack-c agree with it; nothing is ever thrown.
// Input: a byte for the limits, then the bytes of a value.
#include "postbus/codecs/value.hpp"
#include "postbus/tests/fuzz/operations.hpp"

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

using namespace postbus;
using namespace postbus::codecs;
using fuzz::law;

namespace {

struct item {
  std::string name;
  std::vector<int> numbers;
  std::optional<double> price;
  std::variant<int, std::string, std::monostate> either;
  MSGPACK_DEFINE(name, numbers, price, either)
};

using bytes = std::span<const std::byte>;

std::optional<msgpack::object_handle> tree_by_msgpack(bytes input, std::uint32_t depth_max) {
  try {
    const std::size_t most = input.size();
    std::size_t offset = 0;
    msgpack::object_handle tree =
      msgpack::unpack(reinterpret_cast<const char*>(input.data()), input.size(), offset, nullptr,
                      nullptr, msgpack::unpack_limit(most, most, most, most, most, depth_max));
    if (offset == input.size())
      return tree;
  } catch (const std::exception&) {
    // Not a value.
  }
  return std::nullopt;
}

bool has_timestamp(const msgpack::object& tree) {
  switch (tree.type) {
  case msgpack::type::EXT:
    return tree.via.ext.type() == -1;
  case msgpack::type::ARRAY:
    return std::any_of(begin(tree.via.array), end(tree.via.array), has_timestamp);
  case msgpack::type::MAP:
    return std::any_of(begin(tree.via.map), end(tree.via.map), [](const msgpack::object_kv& entry) {
      return has_timestamp(entry.key) || has_timestamp(entry.val);
    });
  default:
    return false;
  }
}

template <class T>
void agree(bytes input, const value_limits& limits,
           const std::optional<msgpack::object_handle>& tree) {
  bool expected = false;
  T by_msgpack{};
  if (tree)
    try {
      (*tree)->convert(by_msgpack);
      expected = true;
    } catch (const std::exception&) {
      // Not a T.
    }
  const result<T> made = unpack_value<T>(input, limits);
  law(made.has_value() == expected, "a value of this type for both, or for neither");
  if constexpr (std::is_integral_v<T> || std::is_same_v<T, std::string>)
    law(!made || *made == by_msgpack, "the same value");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0)
    return 0;
  const value_limits limits{.depth_max = data[0] % 80u};
  const bytes input = std::as_bytes(std::span(data, size).subspan(1));

  // A count that the bytes do not back makes msgpack-c allocate before it notices; its limits bound that.
  const result<void> checked = check_value(input, limits);
  auto tree = tree_by_msgpack(input, limits.depth_max);
  const bool accepted = checked.has_value();
  if (tree && !accepted) { // the one thing that is refused beyond msgpack-c
    law(checked.error() == errc::malformed_value && has_timestamp(**tree),
        "only a time may be refused that msgpack-c takes");
    tree.reset();
  }
  law(accepted == tree.has_value(), "the same bytes are values for both");

  if (accepted) {
    msgpack::zone zone;
    byte_buffer ours;
    byte_buffer theirs;
    law(pack_value(ours, tree_of(input, limits, zone)).has_value(), "our tree packs");
    law(pack_value(theirs, **tree).has_value(), "their tree packs");
    law(std::ranges::equal(ours.bytes(), theirs.bytes()), "into the same bytes");
  }
  agree<bool>(input, limits, tree);
  agree<char>(input, limits, tree);
  agree<std::int8_t>(input, limits, tree);
  agree<std::uint32_t>(input, limits, tree);
  agree<std::int64_t>(input, limits, tree);
  agree<double>(input, limits, tree);
  agree<std::string>(input, limits, tree);
  agree<std::vector<std::byte>>(input, limits, tree);
  agree<std::vector<std::string>>(input, limits, tree);
  agree<std::map<std::string, std::vector<int>>>(input, limits, tree);
  agree<std::unordered_map<int, std::string>>(input, limits, tree);
  agree<std::tuple<int, std::string, bool>>(input, limits, tree);
  agree<std::chrono::system_clock::time_point>(input, limits, tree);
  agree<item>(input, limits, tree);
  agree<std::vector<item>>(input, limits, tree);
  return 0;
}
