// value: values ⇄ MessagePack, for every type that msgpack-c can adapt: numbers, strings, containers,
// std::optional, std::variant, std::chrono time points, and structs with MSGPACK_DEFINE. Foreign bytes
// are checked whole before anything is made of them. No exception comes out, also not from adaptors.
// Drive: pack_value(buffer, value) appends; unpack_value<T>(bytes) answers a T or why not.
#pragma once

#include "postbus/codecs/byte_buffer.hpp"
#include "postbus/codecs/result.hpp"
#include "postbus/codecs/value_check.hpp"

#include <msgpack.hpp>

#include "postbus/codecs/value_variant.hpp"

#include <concepts>
#include <limits>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace postbus::codecs {

// -- machinery of unpack_value ---------------------------------------------------------------

/// Borrows this thread's msgpack zone, emptied when given back; the second at a time (an adaptor that
/// itself unpacks) and those of a thread that is ending get a zone of their own.
class borrowed_zone {
public:
  borrowed_zone();
  ~borrowed_zone();
  borrowed_zone(const borrowed_zone&) = delete;
  borrowed_zone& operator=(const borrowed_zone&) = delete;

  [[nodiscard]] msgpack::zone& operator*() noexcept { return *zone_; }

private:
  std::unique_ptr<msgpack::zone> zone_;
};

/// The tree of `bytes`, which have passed `check_value`. It lives in `zone`; strings, bins and exts stay in `bytes`.
[[nodiscard]] msgpack::object tree_of(std::span<const std::byte> bytes, const value_limits& limits,
                                      msgpack::zone& zone);

template <class T>
concept binary_vector = std::same_as<T, std::vector<std::byte>> || std::same_as<
  T, std::vector<char>> || std::same_as<T, std::vector<unsigned char>>;

/// Types that msgpack-c reads from a single token; they are read here without a tree, by the same rules.
template <class T>
concept single_token = std::same_as<T, bool> || std::same_as<T, std::string> || std::same_as<
  T, std::string_view> || std::same_as<T, std::span<const std::byte>> || binary_vector<T> || std::
  same_as<T, float> || std::same_as<T, double> || std::same_as<T, char> || std::signed_integral<
    T> || std::unsigned_integral<T>;

template <single_token T>
[[nodiscard]] bool read_token(std::span<const std::byte> bytes, T& found) {
  if constexpr (std::same_as<T, bool>) {
    return read_boolean(bytes, found);
  } else if constexpr (std::same_as<T, std::string_view>) {
    return read_text(bytes, found);
  } else if constexpr (std::same_as<T, std::span<const std::byte>>) {
    return read_binary(bytes, found);
  } else if constexpr (std::same_as<T, std::string> || binary_vector<T>) {
    std::string_view text;
    if (!read_text(bytes, text))
      return false;
    const auto* data = reinterpret_cast<const typename T::value_type*>(text.data());
    found.assign(data, data + text.size());
    return true;
  } else if constexpr (std::floating_point<T>) {
    double number;
    if (!read_floating(bytes, number))
      return false;
    found = static_cast<T>(number);
    return true;
  } else {
    integer number;
    if (!read_integer(bytes, number))
      return false;
    using range = std::numeric_limits<T>;
    constexpr auto lowest =
      static_cast<std::int64_t>(range::min()); // NOLINT(bugprone-signed-char-misuse): a number here
    constexpr auto highest = static_cast<std::uint64_t>(range::max());
    const bool fits =
      number.negative ? static_cast<std::int64_t>(number.bits) >= lowest : number.bits <= highest;
    if (!fits)
      return false;
    found = static_cast<T>(number.bits);
    return true;
  }
}

// -- packing ---------------------------------------------------------------------------------

/// Appends `value` to `out`. When that fails `out` is as it was: too_large for what MessagePack cannot
/// count, system_failed without memory, wrong_type with its words for what an adaptor throws.
template <class T>
[[nodiscard]] result<void> pack_value(byte_buffer& out, const T& value) noexcept {
  const std::size_t before = out.size();
  try {
    msgpack::packer<byte_buffer>(out).pack(value);
    return {};
  } catch (const msgpack::container_size_overflow&) {
    out.truncate(before);
    return errc::too_large;
  } catch (...) {
    out.truncate(before);
    return error_of_exception();
  }
}

// -- unpacking -------------------------------------------------------------------------------

/// The one value that `bytes` are. Fails as `check_value` does, and with wrong_type when they are a
/// value but no `T`, system_failed without memory.
/// A `std::string_view` or a span, as T or inside it, refers to `bytes`: keep the payload while you use it.
/// Give the members of structs initial values: those that an older sender did not know keep them.
template <class T>
[[nodiscard]] result<T> unpack_value(std::span<const std::byte> bytes,
                                     const value_limits& limits = {}) noexcept {
  static_assert(
    !std::is_base_of_v<
      msgpack::object,
      T> && !std::same_as<T, msgpack::object_handle> && !std::same_as<T, msgpack::object_kv>,
    "a msgpack::object would refer to memory that is gone when unpack_value returns; "
    "ask for a type that owns what it holds");
  static_assert(!std::is_reference_v<T> && !std::is_pointer_v<T> && !std::is_const_v<T>,
                "ask for a type that can be returned by value");
  try {
    if constexpr (single_token<T>) {
      T found{};
      if (read_token(bytes, found)) [[likely]]
        return found;
    }
    if (result<void> checked = check_value(bytes, limits); !checked)
      return std::move(checked).error();
    if constexpr (single_token<T>) {
      return errc::wrong_type;
    } else {
      borrowed_zone zone;
      const msgpack::object tree = tree_of(bytes, limits, *zone);
      if constexpr (std::default_initializable<T>) {
        T found{};
        tree.convert(found);
        return found;
      } else {
        return tree.as<T>();
      }
    }
  } catch (...) {
    return error_of_exception();
  }
}

} // namespace postbus::codecs
