#include "postbus/tools/text.hpp"

#include "postbus/codecs/value.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

namespace tool {

namespace {

constexpr std::size_t shown_max = 400;              // of a body, for people
constexpr std::size_t decoded_bytes_max = 1u << 20; // for people, who see its beginning only

// A tree of these has some 60 bytes for each: bounds what one body makes the tool allocate.
constexpr std::uint32_t elements_max = 65536;

/// Bytes of the character at the front of `text`, 0 when it is no UTF-8. No overlong forms, no
/// surrogates: RFC 3629.
std::size_t character_bytes(std::string_view text) noexcept {
  const auto at = [&](std::size_t index) { return static_cast<unsigned char>(text[index]); };
  const auto first = at(0);
  if (first < 0x80)
    return 1;
  const std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < size)
    return 0;
  for (std::size_t index = 1; index < size; ++index)
    if ((at(index) & 0xc0) != 0x80)
      return 0;
  const auto second = at(1);
  const bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  const bool outside = (first == 0xed && second > 0x9f) || (first == 0xf4 && second > 0x8f);
  return overlong || outside ? 0 : size;
}

nlohmann::json json_of(const msgpack::object& value);

std::string key_of(const msgpack::object& key) {
  if (key.type == msgpack::type::STR)
    return {key.via.str.ptr, key.via.str.size};
  return json_line(json_of(key));
}

nlohmann::json json_of_map(const msgpack::object_map& map) {
  auto made = nlohmann::json::object();
  for (const auto& pair : std::span(map.ptr, map.size))
    made[key_of(pair.key)] = json_of(pair.val);
  return made;
}

nlohmann::json json_of_number(double value) {
  if (std::isfinite(value))
    return value;
  return std::isnan(value) ? "nan" : value > 0 ? "infinity" : "-infinity";
}

nlohmann::json json_of(const msgpack::object& value) {
  switch (value.type) {
  case msgpack::type::NIL:
    return nullptr;
  case msgpack::type::BOOLEAN:
    return value.via.boolean;
  case msgpack::type::POSITIVE_INTEGER:
    return value.via.u64;
  case msgpack::type::NEGATIVE_INTEGER:
    return value.via.i64;
  case msgpack::type::FLOAT32:
  case msgpack::type::FLOAT64:
    return json_of_number(value.via.f64);
  case msgpack::type::STR:
    return std::string(value.via.str.ptr, value.via.str.size);
  case msgpack::type::BIN:
    return {{"bin", hex_text({value.via.bin.ptr, value.via.bin.size})}};
  case msgpack::type::EXT:
    return {{"ext", static_cast<int>(value.via.ext.type())},
            {"data", hex_text({value.via.ext.data(), value.via.ext.size})}};
  case msgpack::type::ARRAY: {
    auto made = nlohmann::json::array();
    for (const auto& each : std::span(value.via.array.ptr, value.via.array.size))
      made.push_back(json_of(each));
    return made;
  }
  case msgpack::type::MAP:
    return json_of_map(value.via.map);
  }
  return nullptr;
}

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

} // namespace

std::string bytes_text(std::uint64_t bytes) {
  if (bytes < 1024)
    return fmt::format("{} B", bytes);
  constexpr std::string_view units[] = {"KiB", "MiB", "GiB", "TiB"};
  auto amount = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; amount >= 1000 && unit + 1 < std::size(units); ++unit)
    amount /= 1024;
  return fmt::format("{:.1f} {}", amount, units[unit]);
}

std::string counted(std::uint64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::string time_text(std::chrono::nanoseconds time) {
  const auto microseconds = static_cast<double>(time.count()) / 1e3;
  if (microseconds < 1e3)
    return fmt::format("{:.0f} us", microseconds);
  if (microseconds < 1e6)
    return fmt::format("{:.2f} ms", microseconds / 1e3);
  return fmt::format("{:.2f} s", microseconds / 1e6);
}

std::string printable(std::string_view text) {
  std::string made;
  made.reserve(text.size());
  while (!text.empty()) {
    const auto size = character_bytes(text);
    const auto first = static_cast<unsigned char>(text.front());
    // Beside the control characters of ASCII there are those of ISO 8859, U+0080 to U+009F.
    const bool control =
      first < 0x20 || first == 0x7f
      || (first == 0xc2 && size == 2 && static_cast<unsigned char>(text[1]) < 0xa0);
    const auto shown = text.substr(0, std::max<std::size_t>(size, 1));
    if (size != 0 && !control)
      made += shown;
    else if (first == '\n' || first == '\r' || first == '\t')
      made += first == '\n' ? "\\n" : first == '\r' ? "\\r" : "\\t";
    else
      for (const char c : shown)
        made += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    text.remove_prefix(shown.size());
  }
  return made;
}

bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    const auto size = character_bytes(text);
    if (size == 0)
      return false;
    text.remove_prefix(size);
  }
  return true;
}

nlohmann::json json_of_value(std::span<const std::byte> body) {
  const postbus::codecs::value_limits bounds{.elements_max = elements_max};
  if (const auto checked = postbus::codecs::check_value(body, bounds); !checked)
    return {{"undecodable", to_string(checked.error().code)}};
  postbus::codecs::borrowed_zone zone;
  return json_of(postbus::codecs::tree_of(body, bounds, *zone));
}

std::string body_text(std::span<const std::byte> body, bool is_opaque) {
  if (!is_opaque && body.size() > decoded_bytes_max)
    return "a value, not shown";
  const auto text = is_opaque
                      ? std::string(as_text(body.first(std::min(body.size(), shown_max + 1))))
                      : json_line(json_of_value(body));
  const auto shown = printable(std::string_view(text).substr(0, shown_max));
  const auto more = text.size() > shown_max ? "..." : "";
  return is_opaque ? fmt::format("\"{}\"{}", shown, more) : shown + more;
}

std::string json_line(const nlohmann::json& what) {
  return what.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string hex_text(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string made;
  made.reserve(2 * bytes.size());
  for (const char c : bytes) {
    made += digits[static_cast<unsigned char>(c) >> 4];
    made += digits[static_cast<unsigned char>(c) & 15];
  }
  return made;
}

} // namespace tool
