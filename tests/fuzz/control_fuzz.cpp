// control_fuzz: the first byte chooses a kind of control frame, the others are its body. What decodes
// must survive being encoded and decoded again; its text must be printable and short.
#include "postbus/bus/control.hpp"
#include "postbus/tests/fuzz/operations.hpp"

namespace {

using namespace postbus;
using fuzz::law;
using body = std::span<const std::byte>;

void require_malformed(const error& what) {
  law(what.code == errc::malformed_frame && what.by == blame::remote && !what.detail.empty(),
      "the peer's malformed_frame, with words");
}

void require_printable(const std::string& text) {
  law(text.size() <= bus::text_bytes_max, "a short text");
  law(bus::clean_text(text) == text, "a text that stays as it is when cleaned again");
  for (const char c : text)
    law(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f, "no control characters");
}

body body_of(const payload& frame) {
  law(codecs::load_header(frame.data()).length + codecs::frame_header_bytes == frame.size(),
      "the length");
  return frame.bytes().subspan(codecs::frame_header_bytes);
}

void require_same(body given, const payload& frame) {
  law(payload::copy_of(given) == payload::copy_of(body_of(frame)), "the same bytes");
}

void try_welcome(body given) {
  const auto value = bus::decode_welcome(given);
  if (!value)
    return require_malformed(value.error());
  require_same(given.first(2), bus::encode(*value));
}

void try_refuse(body given) {
  const auto value = bus::decode_refuse(given);
  if (!value)
    return require_malformed(value.error());
  require_printable(value->text);
  const auto frame = bus::encode(*value);
  law(body_of(frame).size() <= bus::farewell_bytes_max, "a small refuse");
  const auto again = bus::decode_refuse(body_of(frame));
  law(again && again->reason == value->reason && value->text.starts_with(again->text),
      "the same refuse, cut at most");
}

void try_goodbye(body given) {
  const auto value = bus::decode_goodbye(given);
  if (!value)
    return require_malformed(value.error());
  require_printable(value->text);
  const auto frame = bus::encode(*value);
  law(body_of(frame).size() <= bus::farewell_bytes_max, "a small goodbye");
  const auto again = bus::decode_goodbye(body_of(frame));
  law(again && again->reason == value->reason && again->frames_taken == value->frames_taken
        && value->text.starts_with(again->text),
      "the same goodbye, cut at most");
}

void try_probe(body given) {
  const auto value = bus::decode_probe(given);
  if (!value)
    return require_malformed(value.error());
  require_same(given, bus::encode_ping(*value));
  require_same(given, bus::encode_pong(*value));
}

void try_credit(body given) {
  const auto value = bus::decode_credit(given);
  if (!value)
    return require_malformed(value.error());
  require_same(given, bus::encode(*value));
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0)
    return 0;
  const auto given = std::as_bytes(std::span(data + 1, size - 1));
  switch (data[0] % 5) {
  case 0:
    try_welcome(given);
    break;
  case 1:
    try_refuse(given);
    break;
  case 2:
    try_goodbye(given);
    break;
  case 3:
    try_probe(given);
    break;
  case 4:
    try_credit(given);
    break;
  }
  return 0;
}
