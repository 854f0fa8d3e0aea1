// endpoint: from text and back, part by part; addresses are recognized, never resolved.
#include "postbus/bus/endpoint.hpp"

#include <algorithm>
#include <array>
#include <optional>

namespace postbus {

namespace {

constexpr std::size_t host_bytes_max = 253; // of a name in the DNS

// Not <cctype>: that asks the locale.
constexpr bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}
constexpr bool is_lower(char c) noexcept {
  return c >= 'a' && c <= 'z';
}
constexpr bool is_upper(char c) noexcept {
  return c >= 'A' && c <= 'Z';
}
constexpr bool is_hexadecimal(char c) noexcept {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
constexpr char lower(char c) noexcept {
  return is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string lower(std::string_view text) {
  std::string lowered(text);
  std::transform(lowered.begin(), lowered.end(), lowered.begin(), [](char c) { return lower(c); });
  return lowered;
}

/// `text` between quotation marks, short enough and printable, for the words of an error.
std::string quoted(std::string_view text) {
  constexpr std::size_t shown_max = 60;
  std::string result = "'";
  for (const char c : text.substr(0, shown_max))
    result += c >= ' ' && c <= '~' ? c : '?';
  if (text.size() > shown_max)
    result += "...";
  return result += '\'';
}

error bad(std::string what) {
  return {errc::bad_endpoint, blame::local, std::move(what)};
}

// -- addresses --------------------------------------------------------------------

using address_v4 = std::array<std::uint8_t, 4>;
using address_v6 = std::array<std::uint8_t, 16>;

/// Four decimal numbers with dots between, without leading zeros (which some read as octal).
std::optional<address_v4> parse_v4(std::string_view text) noexcept {
  address_v4 address{};
  for (std::size_t part = 0; part < address.size(); ++part) {
    if (part != 0) {
      if (text.empty() || text.front() != '.')
        return std::nullopt;
      text.remove_prefix(1);
    }
    unsigned value = 0;
    std::size_t digits = 0;
    while (digits < text.size() && digits < 4 && is_digit(text[digits]))
      value = value * 10 + static_cast<unsigned>(text[digits++] - '0');
    if (digits == 0 || value > 255 || (digits > 1 && text.front() == '0'))
      return std::nullopt;
    address[part] = static_cast<std::uint8_t>(value);
    text.remove_prefix(digits);
  }
  return text.empty() ? std::optional(address) : std::nullopt;
}

/// The forms of RFC 4291, 2.2: groups of 16 bits, one gap "::", an IPv4 address as the end.
std::optional<address_v6> parse_v6(std::string_view text) noexcept {
  address_v6 address{};
  std::size_t filled = 0;
  std::optional<std::size_t> gap;
  if (text.starts_with("::")) {
    gap = 0;
    text.remove_prefix(2);
  }
  while (!text.empty()) {
    std::size_t digits = 0;
    unsigned value = 0;
    while (digits < text.size() && digits < 5 && is_hexadecimal(text[digits])) {
      const char c = lower(text[digits++]);
      value = value * 16 + static_cast<unsigned>(is_digit(c) ? c - '0' : c - 'a' + 10);
    }
    if (digits < text.size() && text[digits] == '.') {
      const auto end = parse_v4(text);
      if (!end || filled + end->size() > address.size())
        return std::nullopt;
      std::copy(end->begin(), end->end(), address.begin() + static_cast<std::ptrdiff_t>(filled));
      filled += end->size();
      break;
    }
    if (digits == 0 || digits > 4 || filled == address.size())
      return std::nullopt;
    address[filled++] = static_cast<std::uint8_t>(value >> 8);
    address[filled++] = static_cast<std::uint8_t>(value & 0xff);
    text.remove_prefix(digits);
    if (text.empty())
      break;
    if (text.starts_with("::") && !gap) {
      gap = filled;
      text.remove_prefix(2);
    } else if (text.size() > 1 && text.front() == ':' && text[1] != ':') {
      text.remove_prefix(1);
    } else {
      return std::nullopt;
    }
  }
  if (!gap)
    return filled == address.size() ? std::optional(address) : std::nullopt;
  if (filled == address.size())
    return std::nullopt; // a gap stands for one group at least
  const auto from = address.begin() + static_cast<std::ptrdiff_t>(*gap);
  const auto to = address.begin() + static_cast<std::ptrdiff_t>(filled);
  std::copy_backward(from, to, address.end());
  std::fill(from, address.end() - (to - from), std::uint8_t{0});
  return address;
}

/// What stands before the zone, the name of an interface: "fe80::1" of "fe80::1%eth0".
std::string_view without_zone(std::string_view host) noexcept {
  return host.substr(0, host.find('%'));
}

bool is_zone(std::string_view text) noexcept {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return is_digit(c) || is_lower(c) || is_upper(c) || c == '.' || c == '_' || c == '~'
           || c == '-';
  });
}

// -- parts of an endpoint; each says what is wrong, or nothing ----------------------

using complaint = std::optional<error>;

complaint parse_scheme(std::string_view text, endpoint& into) {
  const auto scheme = lower(text);
  const auto plus = scheme.rfind('+');
  const auto transport = plus == std::string::npos ? scheme : scheme.substr(plus + 1);
  if (transport == "tcp")
    into.over = endpoint::transport::tcp;
  else if (transport == "tls")
    into.over = endpoint::transport::tls;
  else if (transport.empty())
    return bad("the transport before '://' is missing: tcp or tls");
  else
    return bad("unknown transport " + quoted(transport) + ": tcp or tls");
  if (plus == std::string::npos)
    return std::nullopt;
  into.dialect = scheme.substr(0, plus);
  if (into.dialect.empty())
    return bad("the dialect before '+' is missing");
  if (!is_lower(into.dialect.front())
      || !std::all_of(into.dialect.begin(), into.dialect.end(),
                      [](char c) { return is_lower(c) || is_digit(c); }))
    return bad("the dialect " + quoted(into.dialect) + " is not a letter, then letters and digits");
  return std::nullopt;
}

complaint parse_expected(std::string_view text, endpoint& into) {
  auto id = node_id::parse(text);
  if (!id)
    return bad("before '@': " + id.error().detail);
  if (!*id)
    return bad("before '@': a node id of zeros is nobody's");
  into.expected = *id;
  return std::nullopt;
}

complaint parse_port(std::string_view text, endpoint& into) {
  if (text.empty())
    return bad("the port after ':' is missing");
  if (!std::all_of(text.begin(), text.end(), is_digit))
    return bad("the port " + quoted(text) + " is no number");
  std::uint32_t value = 0;
  for (const char c : text) {
    value = value * 10 + static_cast<std::uint32_t>(c - '0');
    if (value > 65535)
      return bad("the port " + quoted(text) + " is out of range: 0 to 65535");
  }
  into.port = static_cast<std::uint16_t>(value);
  return std::nullopt;
}

/// `text` begins with the bracket.
complaint parse_bracketed(std::string_view text, endpoint& into) {
  const auto close = text.find(']');
  if (close == std::string_view::npos)
    return bad("the bracket '[' is not closed");
  const auto host = text.substr(1, close - 1);
  const auto address = without_zone(host);
  if (host.empty())
    return bad("the host is empty");
  if (!parse_v6(address))
    return bad(quoted(address) + " in brackets is no IPv6 address");
  if (address.size() != host.size() && !is_zone(host.substr(address.size() + 1)))
    return bad("the zone of " + quoted(host) + " is no name of an interface");
  if (host.size() > host_bytes_max)
    return bad("the host is longer than 253 characters");
  into.host = host;
  const auto rest = text.substr(close + 1);
  if (rest.empty())
    return bad("the port is missing: [" + into.host + "]:port");
  if (rest.front() != ':')
    return bad("':' and a port must follow ']', not " + quoted(rest));
  return parse_port(rest.substr(1), into);
}

complaint parse_name(std::string_view text, endpoint& into) {
  if (text.empty())
    return bad("the host is empty");
  if (text.size() > host_bytes_max)
    return bad("the host is longer than 253 characters");
  for (const char c : text)
    if (!is_digit(c) && !is_lower(c) && !is_upper(c) && c != '.' && c != '-' && c != '_')
      return bad("the host " + quoted(text) + " contains " + quoted({&c, 1}));
  const bool numbers =
    std::all_of(text.begin(), text.end(), [](char c) { return is_digit(c) || c == '.'; });
  // Resolvers read "127.1" and "0177.0.0.1" in ways that surprise.
  if (numbers && !parse_v4(text))
    return bad("the host " + quoted(text) + " is no IPv4 address");
  into.host = text;
  return std::nullopt;
}

complaint parse_authority(std::string_view text, endpoint& into) {
  if (const auto at = text.find('@'); at != std::string_view::npos) {
    if (auto wrong = parse_expected(text.substr(0, at), into))
      return wrong;
    text.remove_prefix(at + 1);
  }
  if (text.starts_with('['))
    return parse_bracketed(text, into);
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) {
    if (auto wrong = parse_name(text, into))
      return wrong;
    return bad("the port is missing: " + into.host + ":port");
  }
  if (text.find(':', colon + 1) != std::string_view::npos) {
    const auto last = text.rfind(':');
    if (parse_v6(without_zone(text)) || parse_v6(without_zone(text.substr(0, last))))
      return bad("an IPv6 address needs brackets: [::1]:4000");
    return bad("more than one ':' in " + quoted(text));
  }
  if (auto wrong = parse_name(text.substr(0, colon), into))
    return wrong;
  return parse_port(text.substr(colon + 1), into);
}

} // namespace

result<endpoint> endpoint::parse(std::string_view text) {
  if (text.empty())
    return bad("the text is empty");
  endpoint parsed;
  if (const auto mark = text.find("://"); mark != std::string_view::npos) {
    if (auto wrong = parse_scheme(text.substr(0, mark), parsed))
      return *std::move(wrong);
    text.remove_prefix(mark + 3);
  }
  if (auto wrong = parse_authority(text, parsed))
    return *std::move(wrong);
  return parsed;
}

bool endpoint::is_local() const noexcept {
  constexpr std::string_view name = "localhost";
  if (host.size() == name.size()
      && std::equal(name.begin(), name.end(), host.begin(),
                    [](char wanted, char c) { return wanted == lower(c); }))
    return true;
  if (const auto address = parse_v4(host))
    return address->front() == 127;
  if (const auto address = parse_v6(without_zone(host))) {
    constexpr address_v6 loopback = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    constexpr std::array<std::uint8_t, 13> mapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127};
    return *address == loopback || std::equal(mapped.begin(), mapped.end(), address->begin());
  }
  return false;
}

std::string to_string(const endpoint& where) {
  std::string text;
  if (!where.dialect.empty())
    text.append(where.dialect).append("+");
  switch (where.over) {
  case endpoint::transport::tcp:
    text += "tcp://";
    break;
  case endpoint::transport::tls:
    text += "tls://";
    break;
  }
  if (where.expected)
    text.append(to_string(where.expected)).append("@");
  if (where.host.find(':') != std::string::npos)
    text.append("[").append(where.host).append("]");
  else
    text += where.host;
  return text.append(":").append(std::to_string(where.port));
}

} // namespace postbus
