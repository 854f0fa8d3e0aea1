// hex: bytes as tests write them down. Anything else than what is said below ends the test.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace postbus::test {

using bytes = std::vector<std::byte>;

/// Bytes written as hexadecimal digits in lower case and as 'text'; blanks mean nothing.
inline bytes hex(std::string_view written) {
  constexpr std::string_view digits = "0123456789abcdef";
  bytes out;
  std::size_t high = digits.npos;
  bool quoted = false;
  for (const char c : written) {
    const auto digit = digits.find(c);
    if (c == '\'') {
      quoted = !quoted;
    } else if (quoted) {
      out.push_back(static_cast<std::byte>(c));
    } else if (digit != digits.npos && high == digits.npos) {
      high = digit;
    } else if (digit != digits.npos) {
      out.push_back(static_cast<std::byte>(high * 16 + digit));
      high = digits.npos;
    } else if (c != ' ' && c != '\n') {
      throw std::invalid_argument("not hexadecimal: " + std::string(written));
    }
  }
  if (quoted || high != digits.npos)
    throw std::invalid_argument("ends too early: " + std::string(written));
  return out;
}

/// One behind the other.
inline bytes joined(bytes left, const bytes& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

inline std::string repeated(std::string_view text, std::size_t times) {
  std::string result;
  for (std::size_t i = 0; i < times; ++i)
    result += text;
  return result;
}

} // namespace postbus::test
