// hello_map: MessagePack, as much of it as a hello needs, and every bound on it.
#include "postbus/bus/hello_map.hpp"

#include "postbus/codecs/frame.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <optional>
#include <string_view>
#include <utility>

namespace postbus::bus {

namespace {

constexpr std::string_view keepalive_key = "keepalive_ms";
constexpr std::string_view frame_bytes_key = "frame_bytes_max";
constexpr std::string_view requests_key = "requests_max";
constexpr std::string_view request_bytes_key = "request_bytes_max";
constexpr std::string_view window_bytes_key = "window_bytes";
constexpr std::string_view window_frames_key = "window_frames";
constexpr std::string_view features_key = "features";
constexpr std::string_view init_key = "init";

// -- writing ----------------------------------------------------------------------

/// Appends MessagePack, each value in its shortest form.
class map_writer {
public:
  void map(std::uint8_t count) { number<std::uint8_t>(0x80 | count); } // of less than 16

  void integer(std::uint32_t value) {
    if (value < 0x80)
      number<std::uint8_t>(value);
    else
      sized({0xcc, 0xcd, 0xce}, value);
  }

  void array(std::size_t count) {
    if (count < 16)
      number<std::uint8_t>(0x90 | count);
    else
      sized({0xdc, 0xdc, 0xdd}, count);
  }

  void text(std::string_view value) {
    if (value.size() < 32)
      number<std::uint8_t>(0xa0 | value.size());
    else
      sized({0xd9, 0xda, 0xdb}, value.size());
    raw(std::as_bytes(std::span(value)));
  }

  void binary(std::span<const std::byte> value) {
    sized({0xc4, 0xc5, 0xc6}, value.size());
    raw(value);
  }

  [[nodiscard]] std::vector<std::byte> take() && { return std::move(out_); }

private:
  /// The first bytes of a value whose number has one, two or four bytes.
  struct forms {
    std::uint8_t one, two, four;
  };

  void sized(forms first, std::uint64_t value) {
    if (value <= 0xff && first.one != first.two) { // arrays have no form of one byte
      number<std::uint8_t>(first.one);
      number<std::uint8_t>(value);
    } else if (value <= 0xffff) {
      number<std::uint8_t>(first.two);
      number<std::uint16_t>(value);
    } else {
      number<std::uint8_t>(first.four);
      number<std::uint32_t>(value);
    }
  }

  template <class T>
  void number(std::uint64_t value) {
    std::byte bytes[sizeof(T)];
    codecs::store(bytes, static_cast<T>(value));
    raw(bytes);
  }

  void raw(std::span<const std::byte> bytes) {
    out_.insert(out_.end(), bytes.begin(), bytes.end());
  }

  std::vector<std::byte> out_;
};

// -- reading a map ----------------------------------------------------------------

/// Reads MessagePack step by step. The first thing that is wrong stays in `wrong()`; every read
/// after it answers nothing.
class map_reader {
public:
  explicit map_reader(std::span<const std::byte> bytes) noexcept : rest_(bytes) {}

  [[nodiscard]] const char* wrong() const noexcept { return wrong_; }
  [[nodiscard]] bool at_end() const noexcept { return rest_.empty(); }

  /// Stops everything: `what` is wrong.
  std::nullopt_t fail(const char* what) noexcept {
    if (wrong_ == nullptr)
      wrong_ = what;
    rest_ = {};
    return std::nullopt;
  }

  std::optional<std::size_t> map_count() noexcept {
    const auto read = head();
    if (!read)
      return std::nullopt;
    return read->is == type::map ? std::optional(read->count) : fail("no map follows the prefix");
  }

  std::optional<std::size_t> array_count(const char* otherwise) noexcept {
    const auto read = head();
    if (!read)
      return std::nullopt;
    return read->is == type::array ? std::optional(read->count) : fail(otherwise);
  }

  std::optional<std::uint64_t> unsigned_number(const char* otherwise) noexcept {
    const auto read = head();
    if (!read)
      return std::nullopt;
    return read->is == type::number ? std::optional(read->number) : fail(otherwise);
  }

  std::optional<std::string_view> text(const char* otherwise) noexcept {
    const auto read = head();
    if (!read)
      return std::nullopt;
    if (read->is != type::text)
      return fail(otherwise);
    const auto bytes = take(read->count);
    return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }

  std::optional<std::span<const std::byte>> binary(const char* otherwise) noexcept {
    const auto read = head();
    if (!read)
      return std::nullopt;
    return read->is == type::binary ? std::optional(take(read->count)) : fail(otherwise);
  }

  /// A key: its text, or empty after one of another type, which was skipped.
  std::optional<std::string_view> key() noexcept {
    const auto before = rest_;
    const auto read = head();
    if (!read)
      return std::nullopt;
    rest_ = before;
    if (read->is == type::text)
      return text("");
    if (!skip())
      return std::nullopt;
    return std::string_view{};
  }

  /// Passes over one value of any kind. It lies in the hello's map, which is the first level.
  bool skip() noexcept {
    std::array<std::uint64_t, depth_max> left; // values still to come, by level
    std::size_t level = 0;
    left[0] = 1;
    for (;;) {
      while (left[level] == 0) {
        if (level == 0)
          return true;
        --level;
      }
      --left[level];
      const auto read = head();
      if (!read)
        return false;
      if (read->is == type::array || read->is == type::map) {
        if (++level == depth_max) {
          fail("a value is nested too deeply");
          return false;
        }
        left[level] = read->is == type::map ? 2 * std::uint64_t{read->count} : read->count;
      } else if (read->is != type::number) {
        static_cast<void>(take(read->count));
      }
    }
  }

private:
  static constexpr std::size_t depth_max = 64;

  enum class type : std::uint8_t {
    number, ///< An integer that is not negative, whatever its form. Nothing follows.
    text,   ///< `count` bytes follow.
    binary, ///< `count` bytes follow.
    array,  ///< `count` values follow.
    map,    ///< Twice `count` values follow.
    other,  ///< `count` bytes follow that mean nothing in a hello.
  };

  struct head_of_value {
    type is = type::other;
    std::size_t count = 0;
    std::uint64_t number = 0;
  };

  /// What comes before a value's contents; for these the bytes are there, for elements at least one
  /// byte each.
  std::optional<head_of_value> head() noexcept {
    const auto first = big_endian(1);
    if (!first)
      return std::nullopt;
    const auto byte = static_cast<std::uint8_t>(*first);
    if (byte <= 0x7f)
      return head_of_value{type::number, 0, byte};
    if (byte <= 0x8f)
      return counted(type::map, byte & 0x0fu);
    if (byte <= 0x9f)
      return counted(type::array, byte & 0x0fu);
    if (byte <= 0xbf)
      return counted(type::text, byte & 0x1fu);
    if (byte >= 0xe0)
      return head_of_value{}; // a small negative integer
    // From here on the forms of one type lie side by side, each twice as wide as the one before.
    const auto wide = [byte](unsigned first_form) { return std::size_t{1} << (byte - first_form); };
    if (byte == 0xc1)
      return fail("a byte that begins no MessagePack value");
    if (byte <= 0xc3)
      return head_of_value{}; // nil, false, true
    if (byte <= 0xc6)
      return counted(type::binary, big_endian(wide(0xc4)));
    if (byte <= 0xc9)
      return extension(big_endian(wide(0xc7)));
    if (byte <= 0xcb)
      return counted(type::other, 4 * wide(0xca)); // float, double
    if (byte <= 0xcf)
      return unsigned_of(big_endian(wide(0xcc)));
    if (byte <= 0xd3)
      return signed_of(big_endian(wide(0xd0)), wide(0xd0));
    if (byte <= 0xd8)
      return extension(wide(0xd4));
    if (byte <= 0xdb)
      return counted(type::text, big_endian(wide(0xd9)));
    if (byte <= 0xdd)
      return counted(type::array, big_endian(2 * wide(0xdc)));
    return counted(type::map, big_endian(2 * wide(0xde)));
  }

  std::optional<std::uint64_t> big_endian(std::size_t bytes) noexcept {
    if (rest_.size() < bytes)
      return fail("the map is cut short");
    std::uint64_t value = 0;
    for (const auto byte : take(bytes))
      value = (value << 8) | std::to_integer<std::uint64_t>(byte);
    return value;
  }

  std::optional<head_of_value> counted(type is, std::optional<std::uint64_t> count) noexcept {
    if (!count)
      return std::nullopt;
    const auto bytes_at_least = is == type::map ? 2 * *count : *count;
    if (bytes_at_least > rest_.size())
      return fail("the map is cut short, or a count in it is too large");
    return head_of_value{is, static_cast<std::size_t>(*count), 0};
  }

  std::optional<head_of_value> extension(std::optional<std::uint64_t> count) noexcept {
    return counted(type::other, count ? std::optional(*count + 1) : count); // its type is a byte
  }

  static std::optional<head_of_value> unsigned_of(std::optional<std::uint64_t> value) noexcept {
    if (!value)
      return std::nullopt;
    return head_of_value{type::number, 0, *value};
  }

  static std::optional<head_of_value> signed_of(std::optional<std::uint64_t> value,
                                                std::size_t bytes) noexcept {
    if (!value)
      return std::nullopt;
    const bool negative = (*value >> (8 * bytes - 1)) != 0;
    return negative ? head_of_value{} : head_of_value{type::number, 0, *value};
  }

  /// `count` was checked against the bytes left.
  std::span<const std::byte> take(std::size_t count) noexcept {
    const auto taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }

  std::span<const std::byte> rest_;
  const char* wrong_ = nullptr;
};

// -- reading a hello's map --------------------------------------------------------

struct range {
  std::uint64_t least;
  std::uint64_t most;
};

void read_number(map_reader& in, std::uint32_t& into, range allowed, const char* otherwise) {
  const auto value = in.unsigned_number(otherwise);
  if (!value)
    return;
  if (*value < allowed.least || *value > allowed.most)
    in.fail(otherwise);
  else
    into = static_cast<std::uint32_t>(*value);
}

bool is_feature(std::string_view text) noexcept {
  return !text.empty() && text.size() <= feature_bytes_max
         && std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

void read_features(map_reader& in, std::vector<std::string>& into) {
  const auto count = in.array_count("\"features\" is no array");
  if (!count)
    return;
  if (*count > features_max) {
    in.fail("more than 64 features");
    return;
  }
  for (std::size_t i = 0; i < *count; ++i) {
    const auto name = in.text("a feature is no string");
    if (!name)
      return;
    if (!is_feature(*name)) {
      in.fail("a feature is not 1 to 64 printable ASCII characters");
      return;
    }
    into.emplace_back(*name);
  }
}

} // namespace

std::vector<std::byte> pack_hello_map(const hello& from) {
  assert(from.keepalive_ms >= keepalive_ms_min && from.keepalive_ms <= keepalive_ms_max);
  assert(from.frame_bytes_max >= frame_bytes_max_min);
  assert(from.features.size() <= features_max);
  map_writer out;
  out.map(8);
  out.text(keepalive_key);
  out.integer(from.keepalive_ms);
  out.text(frame_bytes_key);
  out.integer(from.frame_bytes_max);
  out.text(requests_key);
  out.integer(from.requests_max);
  out.text(request_bytes_key);
  out.integer(from.request_bytes_max);
  out.text(window_bytes_key);
  out.integer(from.window_bytes);
  out.text(window_frames_key);
  out.integer(from.window_frames);
  out.text(features_key);
  out.array(from.features.size());
  for (const auto& feature : from.features) {
    assert(is_feature(feature));
    out.text(feature);
  }
  out.text(init_key);
  out.binary(from.init.bytes());
  return std::move(out).take();
}

const char* unpack_hello_map(std::span<const std::byte> bytes, hello& into) {
  constexpr std::uint64_t any = UINT32_MAX;
  map_reader in(bytes);
  unsigned seen = 0;
  const auto first_of = [&](unsigned bit) {
    if ((seen & bit) != 0)
      in.fail("a key occurs twice");
    seen |= bit;
    return in.wrong() == nullptr;
  };
  const auto pairs = in.map_count();
  for (std::size_t i = 0; pairs && i < *pairs && in.wrong() == nullptr; ++i) {
    const auto key = in.key();
    if (!key)
      break;
    if (*key == keepalive_key) {
      if (first_of(1))
        read_number(in, into.keepalive_ms, {keepalive_ms_min, keepalive_ms_max},
                    "\"keepalive_ms\" is no integer from 100 to 3600000");
    } else if (*key == frame_bytes_key) {
      if (first_of(2))
        read_number(in, into.frame_bytes_max, {frame_bytes_max_min, any},
                    "\"frame_bytes_max\" is no integer from 1024 to 4294967295");
    } else if (*key == requests_key) {
      if (first_of(4))
        read_number(in, into.requests_max, {0, any},
                    "\"requests_max\" is no integer from 0 to 4294967295");
    } else if (*key == request_bytes_key) {
      if (first_of(32))
        read_number(in, into.request_bytes_max, {0, any},
                    "\"request_bytes_max\" is no integer from 0 to 4294967295");
    } else if (*key == window_bytes_key) {
      if (first_of(64))
        read_number(in, into.window_bytes, {0, any},
                    "\"window_bytes\" is no integer from 0 to 4294967295");
    } else if (*key == window_frames_key) {
      if (first_of(128))
        read_number(in, into.window_frames, {0, any},
                    "\"window_frames\" is no integer from 0 to 4294967295");
    } else if (*key == features_key) {
      if (first_of(8))
        read_features(in, into.features);
    } else if (*key == init_key) {
      if (first_of(16))
        if (const auto bytes_of_init = in.binary("\"init\" is not binary"))
          into.init = payload::copy_of(*bytes_of_init);
    } else {
      static_cast<void>(in.skip());
    }
  }
  if (in.wrong() == nullptr && !in.at_end())
    in.fail("bytes follow the map");
  return in.wrong();
}

} // namespace postbus::bus
