// frame_reader: the same frames for every way of cutting the bytes, in place, and no allocation for a lie.
#include "postbus/codecs/chunk_pool.hpp"
#include "postbus/codecs/frame_reader.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

using namespace postbus::codecs;

namespace {

using bytes = std::vector<std::byte>;
using status = frame_reader::status;

constexpr std::uint32_t frame_bytes_max = 16u << 20;

struct plain_frame {
  frame_header header;
  bytes body;

  friend bool operator==(const plain_frame&, const plain_frame&) = default;
};

plain_frame frame_of(std::size_t size, std::uint16_t tag) {
  plain_frame made{{static_cast<std::uint32_t>(size), frame_kind::message, frame_flag::opaque, tag},
                   bytes(size)};
  std::uint32_t state = tag + 1u;
  for (std::byte& each : made.body) {
    state = state * 1664525u + 1013904223u;
    each = static_cast<std::byte>(state >> 24);
  }
  return made;
}

bytes encode(const std::vector<plain_frame>& frames) {
  bytes wire;
  for (const plain_frame& each : frames) {
    std::byte header[frame_header_bytes];
    store_header(header, each.header);
    wire.insert(wire.end(), header, header + frame_header_bytes);
    wire.insert(wire.end(), each.body.begin(), each.body.end());
  }
  return wire;
}

std::vector<plain_frame> frames_of(const std::vector<std::size_t>& sizes) {
  std::vector<plain_frame> frames;
  for (std::size_t size : sizes)
    frames.push_back(frame_of(size, static_cast<std::uint16_t>(frames.size())));
  return frames;
}

plain_frame copy_of(const frame_view& view) {
  return {view.header, bytes(view.body().begin(), view.body().end())};
}

/// Takes all frames there are, copying them.
status drain(frame_reader& reader, std::vector<plain_frame>& into) {
  frame_view view;
  status last;
  while ((last = reader.next(view)) == status::frame)
    into.push_back(copy_of(view));
  return last;
}

status feed(frame_reader& reader, read_scratch& scratch, std::span<const std::byte> wire,
            std::vector<plain_frame>& into) {
  status last = drain(reader, into);
  while (!wire.empty()) {
    wire = wire.subspan(reader.fill(wire, scratch));
    last = drain(reader, into);
  }
  return last;
}

/// A frame that was kept in place, and what it must still say later.
struct kept_frame {
  chunk_ptr owner;
  frame_view view;
  const plain_frame* expected;
};

std::uint64_t seed_of_this_run() {
  const char* given = std::getenv("POSTBUS_TEST_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

} // namespace

TEST_CASE("a header is eight bytes, big-endian, and reads as it was written") {
  std::byte at[frame_header_bytes];
  const frame_header header{0x01020304, frame_kind::request, frame_flag::correlated, 0xa0b0};
  store_header(at, header);
  const unsigned char expected[] = {1, 2, 3, 4, 17, 2, 0xa0, 0xb0};
  CHECK(std::memcmp(at, expected, sizeof expected) == 0);
  CHECK(load_header(at) == header);
}

TEST_CASE("a reader yields the same frames for every way of cutting the bytes in two") {
  const std::vector<plain_frame> expected = frames_of({0, 1, 7, 8, 9, 300, 0, 1000, 64});
  const bytes wire = encode(expected);
  for (bool parked : {false, true}) {
    for (std::size_t cut = 0; cut <= wire.size(); ++cut) {
      CAPTURE(parked);
      CAPTURE(cut);
      read_scratch scratch;
      frame_reader reader(frame_bytes_max);
      std::vector<plain_frame> found;
      CHECK(feed(reader, scratch, std::span(wire).first(cut), found) == status::need_more);
      if (parked)
        reader.park();
      CHECK(feed(reader, scratch, std::span(wire).subspan(cut), found) == status::need_more);
      CHECK(found == expected);
      CHECK(reader.pending_bytes() == 0);
    }
  }
}

TEST_CASE("a reader yields the same frames byte by byte, parked after each or not") {
  const std::vector<plain_frame> expected = frames_of({0, 5, 600, 3000, 0, 40'000, 12});
  const bytes wire = encode(expected);
  for (bool parked : {false, true}) {
    CAPTURE(parked);
    read_scratch scratch;
    frame_reader reader(frame_bytes_max);
    std::vector<plain_frame> found;
    for (std::byte each : wire) {
      feed(reader, scratch, {&each, 1}, found);
      if (parked)
        reader.park();
    }
    CHECK(found == expected);
    CHECK(reader.pending_bytes() == 0);
  }
}

TEST_CASE("frames of every size that matters arrive, in pieces of every size that matters") {
  constexpr std::size_t kib = 1024;
  std::vector<std::size_t> sizes{0, 1, 64 * kib, 1024 * kib, 3 * 1024 * kib, 0};
  for (std::size_t near = 32 * kib - 16; near <= 32 * kib + 8; ++near)
    sizes.push_back(near);
  const std::vector<plain_frame> expected = frames_of(sizes);
  const bytes wire = encode(expected);
  for (std::size_t piece :
       {1000ul, 1448ul, 16 * kib, 32 * kib, 64 * kib + 1, 128 * kib, 8192 * kib}) {
    for (bool parked : {false, true}) {
      CAPTURE(piece);
      CAPTURE(parked);
      read_scratch scratch;
      frame_reader reader(frame_bytes_max);
      std::vector<plain_frame> found;
      for (std::size_t at = 0; at < wire.size(); at += piece) {
        feed(reader, scratch, std::span(wire).subspan(at, std::min(piece, wire.size() - at)),
             found);
        if (parked)
          reader.park();
      }
      CHECK(found == expected);
    }
  }
}

TEST_CASE("a frame that arrived whole is found where it was read to") {
  const std::vector<plain_frame> expected = frames_of({64, 0, 30'000, 64});
  const bytes wire = encode(expected);
  read_scratch scratch;
  frame_reader reader(frame_bytes_max);
  const auto room = reader.prepare(scratch);
  REQUIRE(room[0].empty());
  REQUIRE(room[1].size() >= wire.size());
  std::copy(wire.begin(), wire.end(), room[1].begin());
  reader.commit(wire.size());
  const std::byte* at = room[1].data();
  for (const plain_frame& each : expected) {
    frame_view view;
    REQUIRE(reader.next(view) == status::frame);
    CHECK(view.begin == at);
    CHECK(view.owner == scratch.current().get());
    CHECK(copy_of(view) == each);
    at = view.end();
  }
}

TEST_CASE("the rest of a large frame is read straight into a chunk of its own") {
  const std::vector<plain_frame> expected = frames_of({1 << 20, 10});
  const bytes wire = encode(expected);
  read_scratch scratch;
  frame_reader reader(frame_bytes_max);
  frame_view view;
  const auto first = reader.prepare(scratch);
  CHECK(first[0].empty());
  std::copy_n(wire.begin(), 1000, first[1].begin());
  reader.commit(1000);
  REQUIRE(reader.next(view) == status::need_more);
  CHECK(reader.pending_bytes() == 1000);

  const auto second = reader.prepare(scratch);
  REQUIRE(second[0].size() == frame_header_bytes + (1 << 20) - 1000);
  REQUIRE(second[1].size() >= 18);
  std::copy_n(wire.begin() + 1000, second[0].size(), second[0].begin());
  std::copy(wire.end() - 18, wire.end(), second[1].begin());
  reader.commit(second[0].size() + 18);
  REQUIRE(reader.next(view) == status::frame);
  CHECK(view.begin + 1000 == second[0].data());
  CHECK(copy_of(view) == expected[0]);
  const frame_view large = view;
  REQUIRE(reader.next(view) == status::frame);
  CHECK(view.begin == second[1].data());
  CHECK(copy_of(view) == expected[1]);
  CHECK(reader.next(view) == status::need_more);
  CHECK(copy_of(large) == expected[0]); // valid until the next prepare
}

TEST_CASE("a frame kept by its chunk is never overwritten, whoever reads into the scratch next") {
  const std::uint64_t seed = seed_of_this_run();
  INFO("replay with POSTBUS_TEST_SEED=" << seed);
  std::mt19937_64 random(seed);
  const auto below = [&](std::size_t bound) { return static_cast<std::size_t>(random() % bound); };

  struct stream {
    std::vector<plain_frame> expected;
    bytes wire;
    std::size_t sent = 0;
    std::size_t found = 0;
    frame_reader reader{frame_bytes_max};
  };
  const std::size_t before = chunk_pool::held_bytes();
  for (int round = 0; round < 20; ++round) {
    read_scratch scratch;
    std::vector<stream> streams(3);
    for (stream& each : streams) {
      std::vector<std::size_t> sizes;
      for (int i = 0; i < 60; ++i) {
        const std::size_t magnitudes[] = {2, 100, 100, 5000, 40'000, 200'000};
        sizes.push_back(below(magnitudes[below(6)]));
      }
      each.expected = frames_of(sizes);
      each.wire = encode(each.expected);
    }
    std::vector<kept_frame> kept;
    for (std::size_t open = streams.size(); open > 0;) {
      stream& turn = streams[below(streams.size())];
      if (turn.sent == turn.wire.size())
        continue;
      for (std::size_t reads = 1 + below(3); reads > 0; --reads) {
        const std::size_t magnitudes[] = {2, 20, 2000, 60'000, 300'000};
        const std::size_t piece =
          std::min(1 + below(magnitudes[below(5)]), turn.wire.size() - turn.sent);
        turn.sent += turn.reader.fill(std::span(turn.wire).subspan(turn.sent, piece), scratch);
        frame_view view;
        while (turn.reader.next(view) == status::frame) {
          REQUIRE(copy_of(view) == turn.expected[turn.found]);
          if (below(3) == 0)
            kept.push_back({chunk_ptr::share(*view.owner), view, &turn.expected[turn.found]});
          ++turn.found;
        }
      }
      turn.reader.park();
      if (turn.sent == turn.wire.size())
        --open;
      if (below(20) == 0) {
        std::shuffle(kept.begin(), kept.end(), random);
        for (const kept_frame& each : std::span(kept).subspan(kept.size() / 2))
          REQUIRE(copy_of(each.view) == *each.expected);
        kept.resize(kept.size() / 2);
      }
    }
    for (const stream& each : streams)
      CHECK(each.found == each.expected.size());
    for (const kept_frame& each : kept)
      REQUIRE(copy_of(each.view) == *each.expected);
  }
  CHECK(chunk_pool::held_bytes() == before);
}

TEST_CASE("a length above the bound is refused when it is read, and for ever") {
  for (std::uint32_t length :
       {1001u, 0x7fffffffu, 0x80000000u, 0xfffffff7u, 0xfffffff8u, 0xffffffffu}) {
    CAPTURE(length);
    bytes wire = encode(frames_of({1000, 5}));
    const std::size_t good = wire.size();
    wire.resize(good + frame_header_bytes);
    store_header(wire.data() + good, {length, frame_kind::message, 0, 0});
    read_scratch scratch;
    frame_reader reader(1000);
    std::vector<plain_frame> found;
    CHECK(feed(reader, scratch, std::span(wire).first(good + 7), found) == status::need_more);
    const std::size_t held = chunk_pool::held_bytes();
    CHECK(feed(reader, scratch, std::span(wire).subspan(good + 7), found) == status::too_large);
    CHECK(feed(reader, scratch, wire, found) == status::too_large);
    reader.park();
    CHECK(feed(reader, scratch, wire, found) == status::too_large);
    CHECK(found.size() == 2);
    CHECK(reader.pending_bytes() == 0);
    CHECK(chunk_pool::held_bytes() <= held);
  }
}

TEST_CASE("a reader that was stopped lets go of what had begun and takes nothing more") {
  const std::size_t before = chunk_pool::held_bytes();
  for (const std::size_t size : {100u, 100'000u}) {
    CAPTURE(size);
    const bytes wire = encode(frames_of({size, size}));
    read_scratch scratch;
    frame_reader reader(frame_bytes_max);
    std::vector<plain_frame> found;
    feed(reader, scratch, std::span(wire).first(size / 2), found);
    reader.park();
    reader.stop();
    CHECK(reader.pending_bytes() == 0);
    CHECK(feed(reader, scratch, std::span(wire).subspan(size / 2), found) == status::too_large);
    reader.park();
    CHECK(reader.pending_bytes() == 0);
    CHECK(found.empty());
    scratch = read_scratch();
    CHECK(chunk_pool::held_bytes() == before);
  }
}

TEST_CASE("another bound counts from the next length on") {
  const bytes wire = encode(frames_of({1000, 500, 501}));
  read_scratch scratch;
  frame_reader reader(1000);
  std::vector<plain_frame> found;
  CHECK(feed(reader, scratch, std::span(wire).first(8), found) == status::need_more);
  reader.frame_bytes_max(500);
  CHECK(feed(reader, scratch, std::span(wire).subspan(8), found) == status::too_large);
  CHECK(found.size() == 2);
}

TEST_CASE("a parked reader keeps nothing of the scratch, and no more than twice what has arrived") {
  const std::size_t before = chunk_pool::held_bytes();
  const bytes wire = encode(frames_of({32'000}));
  frame_reader reader(frame_bytes_max);
  std::size_t chunks = 0;
  std::size_t held_before = 0;
  {
    read_scratch scratch;
    for (std::size_t arrived = 1; arrived < wire.size(); ++arrived) {
      CHECK(reader.fill(std::span(wire).subspan(arrived - 1, 1), scratch) == 1);
      frame_view view;
      REQUIRE(reader.next(view) == status::need_more);
      reader.park();
      CHECK(reader.pending_bytes() == arrived);
      const std::size_t held = chunk_pool::held_bytes() - before - scratch.current()->capacity();
      REQUIRE(held <= std::max<std::size_t>(512, 2 * arrived));
      chunks += held != held_before ? 1 : 0;
      held_before = held;
    }
  }
  CHECK(chunks < 10);
  CHECK(chunk_pool::held_bytes() == before + held_before);
  read_scratch another;
  std::vector<plain_frame> found;
  CHECK(feed(reader, another, std::span(wire).last(1), found) == status::need_more);
  CHECK(found == frames_of({32'000}));
}

TEST_CASE("a reader between two frames holds no memory") {
  const std::size_t before = chunk_pool::held_bytes();
  frame_reader reader(frame_bytes_max);
  {
    read_scratch scratch;
    std::vector<plain_frame> found;
    const bytes wire = encode(frames_of({100, 100'000, 0}));
    feed(reader, scratch, wire, found);
    CHECK(found.size() == 3);
    reader.park();
  }
  CHECK(chunk_pool::held_bytes() == before);
}

TEST_CASE("the scratch starts over as soon as nobody keeps a frame in it") {
  read_scratch scratch;
  frame_reader reader(frame_bytes_max);
  const bytes wire = encode(frames_of({20'000, 20'000}));
  std::vector<plain_frame> found;
  const std::byte* front = scratch.room().data();
  chunk_ptr kept;
  for (int round = 0; round < 20; ++round) {
    CHECK(reader.prepare(scratch)[1].data() == front);
    feed(reader, scratch, wire, found);
  }
  kept = scratch.current();
  CHECK(reader.prepare(scratch)[1].data() == front + wire.size());
  for (int round = 0; round < 20; ++round)
    feed(reader, scratch, wire, found);
  CHECK(scratch.current() != kept);
  CHECK(found.size() == 80);
}

TEST_CASE("preparing twice and reading nothing changes nothing") {
  const std::vector<plain_frame> expected = frames_of({10, 50'000, 10, 50'000});
  const bytes wire = encode(expected);
  read_scratch scratch;
  frame_reader reader(frame_bytes_max);
  std::vector<plain_frame> found;
  for (std::size_t at = 0; at < wire.size(); at += 777) {
    static_cast<void>(reader.prepare(scratch));
    reader.commit(0);
    CHECK(drain(reader, found) == status::need_more);
    static_cast<void>(reader.prepare(scratch));
    feed(reader, scratch, std::span(wire).subspan(at, std::min<std::size_t>(777, wire.size() - at)),
         found);
  }
  CHECK(found == expected);
}
