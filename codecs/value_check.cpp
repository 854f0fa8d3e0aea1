#include "postbus/codecs/value_check.hpp"

#include "postbus/codecs/frame.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <exception>
#include <new>

namespace postbus::codecs {
namespace {

// -- tokens -----------------------------------------------------------------------------------

enum class token_kind : std::uint8_t {
  none, // 0xc1: begins no value
  nil,
  boolean,
  positive, // an integer that is not negative
  signed_integer,
  floating,
  str,
  bin,
  ext,
  array,
  map,
};

// What the first byte of a token says of the bytes behind it.
struct token_form {
  token_kind kind = token_kind::none;
  std::uint8_t width = 0; // bytes of the number that follows: a value, a length or a count
  std::uint8_t fixed = 0; // the length or count itself, when none follows
};

constexpr std::array<token_form, 256> make_forms() {
  std::array<token_form, 256> forms{};
  const auto fill = [&](unsigned first, unsigned last, token_kind kind) {
    for (unsigned head = first; head <= last; ++head)
      forms[head] = {kind, 0, static_cast<std::uint8_t>(head - first)};
  };
  const auto widths = [&](unsigned first, std::uint8_t narrowest, unsigned count, token_kind kind) {
    for (unsigned i = 0; i < count; ++i)
      forms[first + i] = {kind, static_cast<std::uint8_t>(narrowest << i), 0};
  };
  fill(0x00, 0x7f, token_kind::positive);
  fill(0x80, 0x8f, token_kind::map);
  fill(0x90, 0x9f, token_kind::array);
  fill(0xa0, 0xbf, token_kind::str);
  fill(0xc0, 0xc0, token_kind::nil);
  fill(0xc2, 0xc3, token_kind::boolean);
  widths(0xc4, 1, 3, token_kind::bin);
  widths(0xc7, 1, 3, token_kind::ext);
  widths(0xca, 4, 2, token_kind::floating);
  widths(0xcc, 1, 4, token_kind::positive);
  widths(0xd0, 1, 4, token_kind::signed_integer);
  for (unsigned i = 0; i < 5; ++i)
    forms[0xd4 + i] = {token_kind::ext, 0, static_cast<std::uint8_t>(1u << i)};
  widths(0xd9, 1, 3, token_kind::str);
  widths(0xdc, 2, 2, token_kind::array);
  widths(0xde, 2, 2, token_kind::map);
  fill(0xe0, 0xff, token_kind::signed_integer);
  return forms;
}

constexpr std::array<token_form, 256> forms = make_forms();

std::uint64_t load_number(const std::byte* at, std::size_t width) noexcept {
  switch (width) {
  case 1:
    return load<std::uint8_t>(at);
  case 2:
    return load<std::uint16_t>(at);
  case 4:
    return load<std::uint32_t>(at);
  default:
    return load<std::uint64_t>(at);
  }
}

std::uint64_t extend_sign(std::uint64_t bits, std::size_t width) noexcept {
  const auto shift = static_cast<unsigned>(64 - 8 * width);
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(bits << shift) >> shift);
}

struct token {
  token_kind kind = token_kind::none;
  std::uint8_t width = 0;
  std::uint64_t number = 0; // the value, or the length or count
};

// Takes a token's head from the front of `bytes`: its first byte and the number behind it.
errc take_head(std::span<const std::byte>& bytes, token& found) noexcept {
  if (bytes.empty())
    return errc::truncated_value;
  const token_form form = forms[static_cast<std::uint8_t>(bytes[0])];
  if (form.kind == token_kind::none)
    return errc::malformed_value;
  if (bytes.size() - 1 < form.width)
    return errc::truncated_value;
  found = {form.kind, form.width, form.fixed};
  if (form.width > 0)
    found.number = load_number(bytes.data() + 1, form.width);
  bytes = bytes.subspan(std::size_t{1} + form.width);
  return errc::none;
}

// True when `bytes` are a head and then exactly `found.number` bytes of content, left in `bytes`.
bool take_only_content(std::span<const std::byte>& bytes, token& found) noexcept {
  return take_head(bytes, found) == errc::none && bytes.size() == found.number;
}

// False for a timestamp that msgpack-c would overflow a 64-bit count of nanoseconds with (it adds
// without looking), or whose nanoseconds are a second or more, which the format forbids.
bool is_sane_ext(std::span<const std::byte> type_and_content) noexcept {
  constexpr std::int64_t seconds_max = 9'223'372'035; // year 2262; as far back, year 1677
  if (type_and_content[0] != std::byte{0xff})
    return true;
  const std::byte* content = type_and_content.data() + 1;
  std::uint64_t nanoseconds = 0;
  std::int64_t seconds = 0;
  switch (type_and_content.size() - 1) {
  case 8: {
    const auto both = load<std::uint64_t>(content);
    nanoseconds = both >> 34;
    seconds = static_cast<std::int64_t>(both & 0x3'ffff'ffff);
    break;
  }
  case 12:
    nanoseconds = load<std::uint32_t>(content);
    seconds = static_cast<std::int64_t>(load<std::uint64_t>(content + 4));
    break;
  default: // 32 bits of seconds, or no timestamp that anybody reads
    break;
  }
  return nanoseconds < 1'000'000'000 && seconds >= -seconds_max && seconds <= seconds_max;
}

errc walk(std::span<const std::byte> bytes, const value_limits& limits) noexcept {
  const std::size_t depth_max = std::min(limits.depth_max, value_limits::depth_ceiling);
  std::array<std::uint64_t, value_limits::depth_ceiling> outer; // what `here` was, outside
  std::size_t depth = 0;
  std::uint64_t here = 1;      // elements that must still come in the innermost open container
  std::uint64_t elsewhere = 0; // and in those around it; each has a byte at least
  std::uint64_t elements = 0;

  const std::byte* at = bytes.data();
  const std::byte* const end = at + bytes.size();
  for (;;) {
    if (at == end)
      return errc::truncated_value;
    const token_form form = forms[static_cast<std::uint8_t>(*at++)];
    auto left = static_cast<std::uint64_t>(end - at);
    if (form.width > left)
      return errc::truncated_value;
    std::uint64_t number = form.fixed;
    switch (form.kind) {
    case token_kind::none:
      return errc::malformed_value;
    case token_kind::nil:
    case token_kind::boolean:
    case token_kind::positive:
    case token_kind::signed_integer:
    case token_kind::floating:
      at += form.width;
      break;
    case token_kind::ext:
    case token_kind::str:
    case token_kind::bin:
    case token_kind::array:
    case token_kind::map:
      if (form.width > 0)
        number = load_number(at, form.width);
      at += form.width;
      left -= form.width;
      if (form.kind == token_kind::array || form.kind == token_kind::map) {
        if (depth == depth_max)
          return errc::too_deep;
        number <<= form.kind == token_kind::map ? 1 : 0;
        elements += number;
        if (number + here - 1 + elsewhere > left || elements > limits.elements_max)
          return errc::too_many_elements;
        if (number == 0)
          break;
        outer[depth++] = here;
        elsewhere += here - 1;
        here = number;
        continue; // its elements come first
      }
      number += form.kind == token_kind::ext ? 1 : 0; // its type
      if (number > left)
        return errc::truncated_value;
      if (form.kind == token_kind::ext && !is_sane_ext({at, static_cast<std::size_t>(number)}))
        return errc::malformed_value;
      at += number;
      break;
    }
    while (--here == 0) {
      if (depth == 0)
        return at == end ? errc::none : errc::trailing_bytes;
      here = outer[--depth];
      elsewhere -= here - 1;
    }
  }
}

} // namespace

result<void> check_value(std::span<const std::byte> bytes, const value_limits& limits) noexcept {
  const errc failed = walk(bytes, limits);
  return failed == errc::none ? result<void>() : result<void>(failed);
}

// -- values of a single token -----------------------------------------------------------------

bool read_text(std::span<const std::byte> bytes, std::string_view& found) noexcept {
  token head;
  if (!take_only_content(bytes, head)
      || (head.kind != token_kind::str && head.kind != token_kind::bin))
    return false;
  found = {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  return true;
}

bool read_binary(std::span<const std::byte> bytes, std::span<const std::byte>& found) noexcept {
  token head;
  if (!take_only_content(bytes, head) || head.kind != token_kind::bin)
    return false;
  found = bytes;
  return true;
}

bool read_boolean(std::span<const std::byte> bytes, bool& found) noexcept {
  if (bytes.size() != 1 || (bytes[0] | std::byte{1}) != std::byte{0xc3})
    return false;
  found = bytes[0] == std::byte{0xc3};
  return true;
}

bool read_integer(std::span<const std::byte> bytes, integer& found) noexcept {
  token head;
  if (take_head(bytes, head) != errc::none || !bytes.empty())
    return false;
  if (head.kind == token_kind::positive) {
    found = {head.number, false};
    return true;
  }
  if (head.kind != token_kind::signed_integer)
    return false;
  // Without a width it is one of -32 … -1, counted from the first.
  const std::uint64_t bits =
    head.width == 0 ? head.number - 32 : extend_sign(head.number, head.width);
  found = {bits, (bits >> 63) != 0};
  return true;
}

bool read_floating(std::span<const std::byte> bytes, double& found) noexcept {
  if (integer whole; read_integer(bytes, whole)) {
    found = whole.negative ? static_cast<double>(static_cast<std::int64_t>(whole.bits))
                           : static_cast<double>(whole.bits);
    return true;
  }
  token head;
  if (take_head(bytes, head) != errc::none || !bytes.empty() || head.kind != token_kind::floating)
    return false;
  found = head.width == sizeof(float)
            ? static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(head.number)))
            : std::bit_cast<double>(head.number);
  return true;
}

error error_of_exception() noexcept {
  error what{errc::wrong_type, blame::local, {}};
  try {
    try {
      throw;
    } catch (const std::bad_alloc&) {
      what.code = errc::system_failed;
    } catch (const std::exception& thrown) {
      what.detail = thrown.what();
    }
  } catch (...) {
    // Something that has no words, or no memory for them.
  }
  return what;
}

} // namespace postbus::codecs
