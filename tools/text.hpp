// text: how values, bytes and amounts are shown to people and to programs. What a peer sent never
// reaches a terminal with its control characters, and never takes more room than is good.
#pragma once

#include <nlohmann/json.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace tool {

/// "512 B", "63.5 KiB", "1.0 GiB".
[[nodiscard]] std::string bytes_text(std::uint64_t bytes);
/// "1 message", "2 messages".
[[nodiscard]] std::string counted(std::uint64_t count, std::string_view noun);
/// "950 us", "12.3 ms", "1.25 s".
[[nodiscard]] std::string time_text(std::chrono::nanoseconds time);

/// `text` in which every control character and every byte that is no UTF-8 is written as \n, \t or \x1b.
[[nodiscard]] std::string printable(std::string_view text);

/// True when `text` is UTF-8 throughout.
[[nodiscard]] bool is_utf8(std::string_view text) noexcept;

/// A MessagePack body as JSON, checked before anything is made of it. What JSON has no form for
/// becomes an object with one key: {"bin": hexadecimal}, {"ext": type, "data": hexadecimal}; a key
/// that is no text is written as the JSON of it. What is no value, or has more than 65,536 elements,
/// becomes {"undecodable": why}.
[[nodiscard]] nlohmann::json json_of_value(std::span<const std::byte> body);

/// The body of a message on one line for people, of at most some hundred characters.
[[nodiscard]] std::string body_text(std::span<const std::byte> body, bool is_opaque);

/// The JSON of one line. Bytes that are no UTF-8 become U+FFFD.
[[nodiscard]] std::string json_line(const nlohmann::json& what);

/// The bytes in hexadecimal digits.
[[nodiscard]] std::string hex_text(std::string_view bytes);

} // namespace tool
