// stranger: what a raw_peer says that no node would say, and what it is told for it. Frames of any kind
// with any body, values nested too deeply, a refusal or goodbye as it came, bytes that drip.
#pragma once

#include "postbus/bus/request_frames.hpp"
#include "postbus/tests/support/expect.hpp"
#include "postbus/tests/support/raw_peer.hpp"

#include <random>
#include <string>
#include <string_view>

namespace postbus::test {

inline std::string text_of(const payload& frame) {
  return std::string(frame.text());
}

/// A frame with its header. `announced` is what the header says of its length, if not the truth.
inline std::string frame(codecs::frame_header header, std::string_view body = {},
                         std::optional<std::uint32_t> announced = {}) {
  header.length = announced.value_or(static_cast<std::uint32_t>(body.size()));
  std::byte head[codecs::frame_header_bytes];
  codecs::store_header(head, header);
  return std::string(reinterpret_cast<const char*>(head), sizeof head) + std::string(body);
}

/// MessagePack: so many arrays of one element round nil.
inline std::string nested(std::size_t levels) {
  return std::string(levels, '\x91') + '\xc0';
}

/// A good hello with one more key in its map, which nobody knows, and this as its value.
inline std::string hello_with(const node_id& id, std::string_view value) {
  auto body = text_of(encode(raw_peer::hello_of(id))).substr(codecs::frame_header_bytes);
  ++body[bus::hello_prefix_bytes]; // a map of fewer than 16 pairs
  return frame({.kind = codecs::frame_kind::hello}, body + "\xa1x" + std::string(value));
}

/// A request of MessagePack with nobody's time limit.
inline std::string request(std::uint32_t id, std::string_view value, std::uint16_t tag = 0) {
  std::byte prefix[8];
  codecs::store(prefix, id);
  codecs::store(prefix + 4, UINT32_MAX);
  return frame(
    {.kind = codecs::frame_kind::request, .flags = codecs::frame_flag::correlated, .tag = tag},
    std::string(reinterpret_cast<const char*>(prefix), sizeof prefix) + std::string(value));
}

inline std::string cancel(std::uint32_t id) {
  std::byte body[4];
  codecs::store(body, id);
  return frame({.kind = codecs::frame_kind::cancel, .flags = codecs::frame_flag::correlated},
               std::string_view(reinterpret_cast<const char*>(body), sizeof body));
}

/// The reason in the refuse that comes next; `none` when none comes.
inline errc refusal_of(raw_peer& to) {
  const auto found = to.read_frame(codecs::frame_kind::refuse, patience);
  const auto told = found ? bus::decode_refuse(found->body) : bus::refuse{errc::none, {}};
  return told ? told->reason : errc::malformed_frame;
}

/// The same of a goodbye.
inline errc goodbye_of(raw_peer& to) {
  const auto found = to.read_frame(codecs::frame_kind::goodbye, patience);
  const auto told = found ? bus::decode_goodbye(found->body) : bus::goodbye{errc::none, 0, {}};
  return told ? told->reason : errc::malformed_frame;
}

/// Whether the other side says no more. Waits so long for it.
inline bool hung_up(const raw_peer& peer, std::chrono::milliseconds within) {
  pollfd what{peer.socket(), POLLRDHUP, 0};
  return ::poll(&what, 1, static_cast<int>(within.count())) > 0;
}

/// A byte every hundredth of a second, until the other side has had enough or all is said. True if the
/// former.
inline bool drip(raw_peer& from, std::string_view bytes) {
  for (const auto& each : bytes) {
    from.write(std::string_view(&each, 1));
    if (hung_up(from, std::chrono::milliseconds(10)))
      return true;
  }
  return false;
}

/// Bytes that mean nothing, the same for the same seed.
inline std::string noise(unsigned seed, std::size_t bytes) {
  std::mt19937 chance(seed);
  std::string out(bytes, '\0');
  for (auto& each : out)
    each = static_cast<char>(chance());
  return out;
}

} // namespace postbus::test
