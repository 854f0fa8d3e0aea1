// node_id: random bytes from the operating system, and ids as text. Opens nothing itself.
#include "postbus/bus/node_id.hpp"

#include <atomic>
#include <cerrno>
#include <exception>
#include <random>
#include <span>

#ifdef __linux__
#  include <sys/random.h>
#endif

namespace postbus {

namespace {

/// Fills `out` by getrandom(2), the one source that needs neither a file nor a descriptor.
bool fill_from_system(std::span<std::byte> out) noexcept {
#ifdef __linux__
  while (!out.empty()) {
    const auto got = ::getrandom(out.data(), out.size(), 0);
    if (got > 0)
      out = out.subspan(static_cast<std::size_t>(got));
    else if (errno != EINTR)
      return false;
  }
  return true;
#else
  static_cast<void>(out);
  return false;
#endif
}

bool fill_from_device(std::span<std::byte> out) noexcept {
  try {
    std::random_device device;
    for (auto& each : out)
      each = static_cast<std::byte>(device() & 0xffu);
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

/// Where nothing random is left (a sandbox without getrandom and without /dev): ids that differ
/// between calls, and between processes as far as their addresses are laid out at random.
void fill_from_circumstances(std::span<std::byte> out) noexcept {
  static std::atomic<std::uint64_t> calls{0};
  const int here = 0;
  std::uint64_t state =
    reinterpret_cast<std::uintptr_t>(&here) ^ (reinterpret_cast<std::uintptr_t>(&calls) << 20);
  state += 0x632be59bd9b4e019u * (calls.fetch_add(1, std::memory_order_relaxed) + 1);
  for (auto& each : out) { // splitmix64
    state += 0x9e3779b97f4a7c15u;
    std::uint64_t mixed = state;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    each = static_cast<std::byte>(mixed >> 56);
  }
}

void fill(std::span<std::byte> out) noexcept {
  if (!fill_from_system(out) && !fill_from_device(out))
    fill_from_circumstances(out);
}

constexpr std::size_t digits = 2 * node_id::size_bytes;

int digit_value(char digit) noexcept {
  if (digit >= '0' && digit <= '9')
    return digit - '0';
  if (digit >= 'a' && digit <= 'f')
    return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F')
    return digit - 'A' + 10;
  return -1;
}

std::string text_of(const node_id& id, std::size_t bytes) {
  constexpr std::string_view alphabet = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes);
  for (std::size_t i = 0; i < bytes; ++i) {
    const auto byte = std::to_integer<unsigned>(id.bytes()[i]);
    text += alphabet[byte >> 4];
    text += alphabet[byte & 15u];
  }
  return text;
}

} // namespace

node_id node_id::random() {
  bytes_type bytes{};
  do
    fill(bytes);
  while (!node_id(bytes));
  return node_id(bytes);
}

result<node_id> node_id::parse(std::string_view text) {
  if (text.size() != digits)
    return error{errc::bad_option, blame::local,
                 "a node id has 32 hexadecimal digits, not " + std::to_string(text.size())
                   + " characters"};
  bytes_type bytes{};
  for (std::size_t i = 0; i < digits; ++i) {
    const int value = digit_value(text[i]);
    if (value < 0)
      return error{errc::bad_option, blame::local,
                   "character " + std::to_string(i + 1)
                     + " of the node id is no hexadecimal digit"};
    bytes[i / 2] = (bytes[i / 2] << 4) | static_cast<std::byte>(value);
  }
  return node_id(bytes);
}

std::string to_string(const node_id& id) {
  return text_of(id, node_id::size_bytes);
}

std::string short_text(const node_id& id) {
  return text_of(id, 4);
}

std::uint64_t random_u64() {
  std::array<std::byte, sizeof(std::uint64_t)> bytes{};
  fill(bytes);
  std::uint64_t value = 0;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

} // namespace postbus
