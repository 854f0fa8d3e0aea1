// frame_fuzz: frame_reader finds the frames that a parser of ten lines finds, however the bytes are cut,
// parked and shared, and what was kept of them never changes.
// Input: a byte for the bound on frames, two for the cuts, one for the first body; then the wire.
#include "postbus/codecs/chunk_pool.hpp"
#include "postbus/codecs/frame_reader.hpp"
#include "postbus/tests/fuzz/operations.hpp"

#include <cstring>
#include <vector>

using namespace postbus::codecs;
using postbus::fuzz::law;

namespace {

struct plain_frame {
  frame_header header;
  std::vector<std::byte> body;
};

struct parsed {
  std::vector<plain_frame> frames;
  bool too_large = false;
  std::size_t rest = 0;
};

parsed parse(std::span<const std::byte> wire, std::uint32_t frame_bytes_max) {
  parsed all;
  while (wire.size() >= frame_header_bytes) {
    const frame_header header = load_header(wire.data());
    if (header.length > frame_bytes_max) {
      all.too_large = true;
      return all;
    }
    if (wire.size() - frame_header_bytes < header.length)
      break;
    const auto body = wire.subspan(frame_header_bytes, header.length);
    all.frames.push_back({header, {body.begin(), body.end()}});
    wire = wire.subspan(frame_header_bytes + header.length);
  }
  all.rest = wire.size();
  return all;
}

bool same(const frame_view& view, const plain_frame& expected) {
  return view.header == expected.header && view.header.length == expected.body.size()
         && (expected.body.empty()
             || std::memcmp(view.body().data(), expected.body.data(), expected.body.size()) == 0);
}

struct kept_frame {
  chunk_ptr owner;
  frame_view view;
  std::size_t number;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4)
    return 0;
  const std::uint32_t frame_bytes_max = std::uint32_t{1} << (data[0] % 24);
  std::uint32_t cuts = std::uint32_t{data[1]} << 8 | data[2];
  const auto below = [&cuts](std::size_t bound) {
    cuts = cuts * 1664525u + 1013904223u;
    return static_cast<std::size_t>(cuts >> 8) % bound;
  };
  std::vector<std::byte> wire;
  for (const std::uint8_t each : std::span(data, size).subspan(4))
    wire.push_back(static_cast<std::byte>(each));
  // Short inputs reach large frames when the body of the first is made up.
  if (data[3] % 2 == 1 && wire.size() >= frame_header_bytes) {
    const std::uint32_t length = load<std::uint32_t>(wire.data());
    if (length <= (1u << 17))
      wire.insert(wire.begin() + frame_header_bytes, length, std::byte{0x5a});
  }

  const std::size_t held_before = chunk_pool::held_bytes();
  {
    const parsed expected = parse(wire, frame_bytes_max);
    read_scratch scratch;
    frame_reader reader(frame_bytes_max);
    frame_reader other(1u << 20); // shares the scratch and dirties it
    std::vector<kept_frame> kept;
    std::size_t found = 0;
    bool refused = false;
    std::span<const std::byte> rest = wire;
    const std::size_t piece_max = (std::size_t{1} << (1 + below(18))) + wire.size() / 256;

    while (!rest.empty() && !refused) {
      rest =
        rest.subspan(reader.fill(rest.first(std::min(rest.size(), 1 + below(piece_max))), scratch));
      frame_view view;
      frame_reader::status last;
      while ((last = reader.next(view)) == frame_reader::status::frame) {
        law(found < expected.frames.size() && same(view, expected.frames[found]),
            "the frames that the plain parser finds");
        law(view.begin >= view.owner->data()
              && view.end() <= view.owner->data() + view.owner->capacity(),
            "a frame lies in its owner");
        if (below(4) == 0)
          kept.push_back({chunk_ptr::share(*view.owner), view, found});
        ++found;
      }
      refused = last == frame_reader::status::too_large;
      if (below(3) == 0) {
        reader.park();
        const std::vector<std::byte> dirt(1 + below(300), std::byte{0});
        static_cast<void>(other.fill(dirt, scratch));
        while (other.next(view) == frame_reader::status::frame)
          law(view.header.length == 0, "another reader's frames");
        other.park();
      }
    }
    law(refused == expected.too_large, "too large for both parsers");
    law(found == expected.frames.size(), "as many frames");
    law(refused || reader.pending_bytes() == expected.rest, "as many bytes of the next");
    for (const kept_frame& each : kept)
      law(same(each.view, expected.frames[each.number]), "what is kept does not change");
  }
  law(chunk_pool::held_bytes() == held_before, "no chunk stays behind");
  return 0;
}
