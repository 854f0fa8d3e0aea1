// control: bodies of control frames, field by field, and the cleaning of text that strangers send.
#include "postbus/bus/control.hpp"

#include "postbus/bus/hello_map.hpp"
#include "postbus/codecs/chunk_pool.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace postbus::bus {

namespace {

using codecs::frame_header_bytes;
using codecs::frame_kind;

constexpr std::string_view magic = "postbus\n";
static_assert(magic.size() == magic_bytes);

error malformed(frame_kind kind, std::string_view what) {
  std::string detail;
  switch (kind) {
  case frame_kind::hello:
    detail = "hello: ";
    break;
  case frame_kind::welcome:
    detail = "welcome: ";
    break;
  case frame_kind::refuse:
    detail = "refuse: ";
    break;
  case frame_kind::goodbye:
    detail = "goodbye: ";
    break;
  case frame_kind::credit:
    detail = "credit: ";
    break;
  default:
    break; // ping and pong are read by one function
  }
  detail += what;
  return {errc::malformed_frame, blame::remote, std::move(detail)};
}

// -- writing ----------------------------------------------------------------------

/// Writes one control frame into a chunk of its size.
class frame_writer {
public:
  frame_writer(frame_kind kind, std::size_t body_bytes)
    : chunk_(codecs::chunk_pool::take(frame_header_bytes + body_bytes)),
      at_(chunk_->data() + frame_header_bytes), size_(frame_header_bytes + body_bytes) {
    codecs::store_header(chunk_->data(), {static_cast<std::uint32_t>(body_bytes), kind, 0, 0});
  }

  template <class T>
  void number(T value) noexcept {
    codecs::store(at_, value);
    at_ += sizeof value;
  }

  void raw(std::span<const std::byte> bytes) noexcept {
    if (bytes.empty())
      return;
    std::memcpy(at_, bytes.data(), bytes.size());
    at_ += bytes.size();
  }

  void raw(std::string_view text) noexcept { raw(std::as_bytes(std::span(text))); }

  [[nodiscard]] payload finish() && {
    assert(at_ == chunk_->data() + size_);
    const auto* begin = chunk_->data();
    return {std::move(chunk_), begin, size_};
  }

private:
  codecs::chunk_ptr chunk_;
  std::byte* at_;
  std::size_t size_;
};

payload encode_probe(frame_kind kind, const probe& value) {
  frame_writer out(kind, 8);
  out.number(value.token);
  return std::move(out).finish();
}

// -- text and reasons -------------------------------------------------------------

/// Bytes of the printable UTF-8 character that `text` begins with; 0 if it begins with none.
std::size_t printable_at(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const auto first = byte(0);
  if (first < 0x80)
    return first >= 0x20 && first != 0x7f ? 1 : 0;
  if (first < 0xc2 || first > 0xf4)
    return 0;
  const std::size_t size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (text.size() < size)
    return 0;
  for (std::size_t i = 1; i < size; ++i)
    if ((byte(i) & 0xc0) != 0x80)
      return 0;
  const auto second = byte(1);
  if ((first == 0xc2 && second < 0xa0)     // the control characters U+0080 to U+009F
      || (first == 0xe0 && second < 0xa0)  // longer than needed
      || (first == 0xed && second > 0x9f)  // surrogates
      || (first == 0xf0 && second < 0x90)  // longer than needed
      || (first == 0xf4 && second > 0x8f)) // above U+10FFFF
    return 0;
  return size;
}

std::string_view text_of(std::span<const std::byte> bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

node_id load_id(const std::byte* at) noexcept {
  node_id::bytes_type bytes;
  std::memcpy(bytes.data(), at, bytes.size());
  return node_id(bytes);
}

} // namespace

errc reason_from_wire(std::uint16_t number) noexcept {
  const auto reason = errc_from_wire(number);
  return reason == errc::none ? errc::unknown : reason;
}

std::string clean_text(std::string_view text, std::size_t bytes_max) {
  std::string clean;
  clean.reserve(std::min(text.size(), bytes_max));
  while (!text.empty()) {
    const auto printable = printable_at(text);
    const auto used = std::max<std::size_t>(printable, 1);
    if (clean.size() + used > bytes_max)
      break;
    if (printable != 0)
      clean.append(text.substr(0, used));
    else
      clean += '?';
    text.remove_prefix(used);
  }
  return clean;
}

// -- encoding ---------------------------------------------------------------------

payload encode(const hello& value) {
  assert(value.id && value.version_min != 0 && value.version_min <= value.version_max);
  const auto map = pack_hello_map(value);
  frame_writer out(frame_kind::hello, hello_prefix_bytes + map.size());
  out.raw(magic);
  out.number(value.version_min);
  out.number(value.version_max);
  out.raw(value.id.bytes());
  out.raw(value.expected.bytes());
  out.number(value.incarnation);
  out.raw(map);
  return std::move(out).finish();
}

payload encode(const welcome& value) {
  frame_writer out(frame_kind::welcome, 2);
  out.number(value.version);
  return std::move(out).finish();
}

payload encode(const refuse& value) {
  const auto text = clean_text(value.text, farewell_bytes_max - 2);
  frame_writer out(frame_kind::refuse, 2 + text.size());
  out.number(static_cast<std::uint16_t>(value.reason));
  out.raw(text);
  return std::move(out).finish();
}

payload encode(const goodbye& value) {
  const auto text = clean_text(value.text, farewell_bytes_max - 10);
  frame_writer out(frame_kind::goodbye, 10 + text.size());
  out.number(static_cast<std::uint16_t>(value.reason));
  out.number(value.frames_taken);
  out.raw(text);
  return std::move(out).finish();
}

payload encode_ping(const probe& value) {
  return encode_probe(frame_kind::ping, value);
}

payload encode_pong(const probe& value) {
  return encode_probe(frame_kind::pong, value);
}

payload encode(const credit& value) {
  frame_writer out(frame_kind::credit, 28);
  out.number(value.stream);
  out.number(value.bytes_limit);
  out.number(value.frames_limit);
  out.number(value.frames_taken);
  return std::move(out).finish();
}

// -- decoding ---------------------------------------------------------------------

result<hello> decode_hello(std::span<const std::byte> body) {
  const auto begins = std::min(body.size(), magic.size());
  if (text_of(body.first(begins)) != magic.substr(0, begins))
    return error{errc::not_postbus, blame::remote, "hello: the magic is another protocol's"};
  if (body.size() < hello_prefix_bytes)
    return malformed(frame_kind::hello, "shorter than its prefix of 52 bytes");
  hello value;
  const auto* at = body.data() + magic.size();
  value.version_min = codecs::load<std::uint16_t>(at);
  value.version_max = codecs::load<std::uint16_t>(at + 2);
  value.id = load_id(at + 4);
  value.expected = load_id(at + 20);
  value.incarnation = codecs::load<std::uint64_t>(at + 36);
  if (value.version_min == 0 || value.version_min > value.version_max)
    return malformed(frame_kind::hello, "the versions are no range");
  if (!value.id)
    return malformed(frame_kind::hello, "the id is all zero");
  const bool common =
    value.version_min <= bus::version_max && value.version_max >= bus::version_min;
  if (!common)
    return value;
  if (const char* wrong = unpack_hello_map(body.subspan(hello_prefix_bytes), value))
    return malformed(frame_kind::hello, wrong);
  return value;
}

result<welcome> decode_welcome(std::span<const std::byte> body) {
  if (body.size() < 2)
    return malformed(frame_kind::welcome, "shorter than 2 bytes");
  const welcome value{codecs::load<std::uint16_t>(body.data())};
  if (value.version == 0)
    return malformed(frame_kind::welcome, "version 0");
  return value;
}

result<refuse> decode_refuse(std::span<const std::byte> body) {
  if (body.size() < 2)
    return malformed(frame_kind::refuse, "shorter than 2 bytes");
  return refuse{reason_from_wire(codecs::load<std::uint16_t>(body.data())),
                clean_text(text_of(body.subspan(2)))};
}

result<goodbye> decode_goodbye(std::span<const std::byte> body) {
  if (body.size() < 10)
    return malformed(frame_kind::goodbye, "shorter than 10 bytes");
  return goodbye{reason_from_wire(codecs::load<std::uint16_t>(body.data())),
                 codecs::load<std::uint64_t>(body.data() + 2),
                 clean_text(text_of(body.subspan(10)))};
}

result<probe> decode_probe(std::span<const std::byte> body) {
  if (body.size() != 8)
    return error{errc::malformed_frame, blame::remote, "ping or pong: not 8 bytes"};
  return probe{codecs::load<std::uint64_t>(body.data())};
}

result<credit> decode_credit(std::span<const std::byte> body) {
  if (body.size() != 28)
    return malformed(frame_kind::credit, "not 28 bytes");
  const auto* at = body.data();
  return credit{codecs::load<std::uint32_t>(at), codecs::load<std::uint64_t>(at + 4),
                codecs::load<std::uint64_t>(at + 12), codecs::load<std::uint64_t>(at + 20)};
}

} // namespace postbus::bus
