// outbox: what it takes and refuses, in which order and pieces it gives it out again, and that after
// any operations it agrees with a plain list of frames.
#include "postbus/bus/outbox.hpp"
#include "postbus/codecs/chunk_pool.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <deque>
#include <random>
#include <string>
#include <vector>

using namespace postbus;
using bus::fifo;
using bus::outbox;
using bus::outgoing;
using codecs::frame_header;
using codecs::frame_header_bytes;
using codecs::frame_kind;
using lane = bus::outbox::lane;

namespace {

constexpr outbox::budget everything{UINT64_MAX, UINT64_MAX};

std::string text_of(std::size_t bytes, char fill = 'x') {
  return std::string(bytes, fill);
}

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

frame_header message(std::uint16_t tag = 0) {
  return {0, frame_kind::message, codecs::frame_flag::opaque, tag};
}

send_outcome send(outbox& box, std::size_t bytes, std::uint16_t tag = 0) {
  return box.push(lane::data, message(tag), bytes_of(text_of(bytes)));
}

/// All bytes of `pieces`, and the same again from the front.
std::string wire_of(fifo<outgoing>& pieces) {
  std::string out;
  while (!pieces.empty()) {
    const auto& one = pieces.front();
    out.append(reinterpret_cast<const char*>(one.head), one.head_bytes);
    out.append(one.body.text());
    pieces.pop_front();
  }
  return out;
}

std::string framed(frame_header header, const std::string& body) {
  std::string out(frame_header_bytes, '\0');
  header.length = static_cast<std::uint32_t>(body.size());
  codecs::store_header(reinterpret_cast<std::byte*>(out.data()), header);
  return out + body;
}

std::vector<std::uint16_t> tags_of(const std::string& wire) {
  std::vector<std::uint16_t> out;
  for (std::size_t at = 0; at < wire.size();) {
    const auto header = codecs::load_header(reinterpret_cast<const std::byte*>(wire.data() + at));
    out.push_back(header.tag);
    at += frame_header_bytes + header.length;
  }
  return out;
}

} // namespace

TEST_CASE("frames come out as they went in, byte for byte") {
  outbox box{limits{}};
  fifo<outgoing> out;
  std::string expected;
  std::uint16_t tag = 0;
  for (const std::size_t bytes : {0u, 1u, 100u, 8191u, 8192u, 8193u, 5u, 100'000u, 3u}) {
    const auto body = text_of(bytes, static_cast<char>('a' + tag));
    CHECK(box.push(lane::data, message(++tag), bytes_of(body)) == send_outcome::accepted);
    expected += framed(message(tag), body);
  }
  CHECK(box.data_frames() == 9);
  CHECK(box.data_bytes() == expected.size());
  const auto taken = box.take(out, everything);
  CHECK(taken.frames == 9);
  CHECK(taken.bytes == expected.size());
  CHECK(wire_of(out) == expected);
  CHECK(box.empty());
}

TEST_CASE("small frames lie back to back in few pieces; large bodies are referred to, not copied") {
  outbox box{limits{}};
  fifo<outgoing> out;
  for (int count = 0; count < 100; ++count)
    CHECK(send(box, 20) == send_outcome::accepted);
  const auto large = payload::copy_of(text_of(outbox::refer_bytes_min));
  CHECK(box.push(lane::data, message(), large) == send_outcome::accepted);
  const auto small = payload::copy_of(text_of(outbox::refer_bytes_min - 1));
  CHECK(box.push(lane::data, message(), small) == send_outcome::accepted);
  box.take(out, everything);
  REQUIRE(out.size() == 3);
  CHECK(out[0].frames == 100);
  CHECK(out[1].body.data() == large.data());
  CHECK(out[1].frames == 1);
  CHECK(out[2].body.empty());
}

TEST_CASE("an empty box takes one frame of any legal size, a full one none") {
  limits bounds;
  bounds.outbox_bytes_max = 1000;
  for (const std::size_t bytes : {0u, 991u, 992u, 993u, 5000u, 1u << 20}) {
    CAPTURE(bytes);
    outbox box(bounds);
    box.frame_bytes_max(1u << 20);
    CHECK(send(box, bytes) == send_outcome::accepted);
    const bool room = bytes + frame_header_bytes + frame_header_bytes <= 1000;
    CHECK(send(box, 0) == (room ? send_outcome::accepted : send_outcome::congested));
    CHECK(send(box, (1u << 20) + 1) == send_outcome::too_large);
  }
}

TEST_CASE("the bounds in bytes and in frames hold exactly") {
  limits bounds;
  bounds.outbox_bytes_max = 100 * 28;
  bounds.outbox_frames_max = 50;
  outbox by_bytes(bounds);
  int taken = 0;
  while (send(by_bytes, 100) == send_outcome::accepted)
    ++taken;
  CHECK(taken == 100 * 28 / 108);
  outbox by_frames(bounds);
  taken = 0;
  while (send(by_frames, 0) == send_outcome::accepted)
    ++taken;
  CHECK(taken == 50);
  CHECK(!by_frames.has_room());
  fifo<outgoing> out;
  by_frames.take(out, {UINT64_MAX, 26});
  CHECK(by_frames.has_room());
  CHECK(send(by_frames, 0) == send_outcome::accepted);
}

TEST_CASE("an empty outbox has room, however small its bounds are") {
  limits bounds;
  bounds.outbox_bytes_max = 1;
  bounds.outbox_frames_max = 1;
  outbox box(bounds);
  CHECK(box.has_room());
  CHECK(send(box, 100) == send_outcome::accepted);
  CHECK(!box.has_room());
  fifo<outgoing> out;
  box.take(out, {UINT64_MAX, UINT64_MAX});
  CHECK(box.has_room());
}

TEST_CASE("control frames go first, are never refused, and need no budget") {
  limits bounds;
  bounds.outbox_frames_max = 3;
  outbox box(bounds);
  for (std::uint16_t tag = 1; tag <= 3; ++tag)
    CHECK(send(box, 4, tag) == send_outcome::accepted);
  CHECK(send(box, 4) == send_outcome::congested);
  box.close();
  CHECK(send(box, 4) == send_outcome::closed);
  for (std::uint16_t tag = 10; tag < 20; ++tag)
    CHECK(box.push(lane::control, message(tag), bytes_of(text_of(10))) == send_outcome::accepted);
  fifo<outgoing> out;
  CHECK(box.take(out, {}).frames == 0);
  CHECK(tags_of(wire_of(out))
        == std::vector<std::uint16_t>{10, 11, 12, 13, 14, 15, 16, 17, 18, 19});
  box.take(out, everything);
  CHECK(tags_of(wire_of(out)) == std::vector<std::uint16_t>{1, 2, 3});
}

TEST_CASE("lanes that are filled in turns stay apart, each in its order") {
  outbox box{limits{}};
  for (std::uint16_t tag = 0; tag < 100; ++tag)
    box.push(tag % 2 == 0 ? lane::data : lane::control, message(tag), bytes_of(text_of(tag % 7)));
  fifo<outgoing> out;
  box.take(out, everything);
  std::vector<std::uint16_t> expected;
  for (const bool odd : {true, false})
    for (std::uint16_t tag = odd ? 1 : 0; tag < 100; tag = static_cast<std::uint16_t>(tag + 2))
      expected.push_back(tag);
  CHECK(tags_of(wire_of(out)) == expected);
}

TEST_CASE("a budget of any size lets whole frames begin while less than it was taken") {
  const std::size_t sizes[] = {0, 5, 9000, 1, 300, 8192, 0, 20};
  std::uint64_t all = 0;
  for (const auto size : sizes)
    all += frame_header_bytes + size;
  for (std::uint64_t bytes = 0; bytes <= all + 1; ++bytes) {
    CAPTURE(bytes);
    outbox box{limits{}};
    for (const auto size : sizes)
      send(box, size);
    std::uint64_t expected = 0;
    std::uint64_t frames = 0;
    for (const auto size : sizes)
      if (expected < bytes) {
        expected += frame_header_bytes + size;
        ++frames;
      }
    fifo<outgoing> out;
    const auto taken = box.take(out, {bytes, UINT64_MAX});
    CHECK(taken.bytes == expected);
    CHECK(taken.frames == frames);
    CHECK(tags_of(wire_of(out)).size() == frames);
    CHECK(box.data_frames() == 8 - frames);
  }
}

TEST_CASE("a budget of frames is exact") {
  for (std::uint64_t frames = 0; frames <= 11; ++frames) {
    outbox box{limits{}};
    for (std::uint16_t tag = 0; tag < 10; ++tag)
      send(box, tag == 5 ? 10000 : 3, tag);
    fifo<outgoing> out;
    CHECK(box.take(out, {UINT64_MAX, frames}).frames == std::min<std::uint64_t>(frames, 10));
    box.take(out, everything);
    CHECK(tags_of(wire_of(out)) == std::vector<std::uint16_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  }
}

TEST_CASE("what was taken out lives on when the box is cleared, and an empty box owns nothing") {
  const auto held = codecs::chunk_pool::held_bytes();
  fifo<outgoing> out;
  {
    outbox box{limits{}};
    for (int count = 0; count < 1000; ++count)
      send(box, 50);
    box.take(out, {UINT64_MAX, 500});
    box.clear();
    CHECK(box.empty());
    CHECK(box.data_bytes() == 0);
    CHECK(send(box, 1) == send_outcome::accepted);
    box.clear();
  }
  CHECK(wire_of(out).size() == 500 * 58);
  CHECK(codecs::chunk_pool::held_bytes() == held);
}

TEST_CASE("after any operations an outbox agrees with a list of frames") {
  const char* given = std::getenv("POSTBUS_TEST_SEED");
  const std::uint64_t seed =
    given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  MESSAGE("POSTBUS_TEST_SEED=" << seed);
  for (std::uint64_t run = 0; run < 40; ++run) {
    CAPTURE(seed);
    CAPTURE(run);
    std::mt19937_64 random(seed + run);
    limits bounds;
    bounds.outbox_bytes_max = 1 + random() % 200'000;
    bounds.outbox_frames_max = 1 + random() % 300;
    outbox box(bounds);
    const auto frame_bytes_max = static_cast<std::uint32_t>(1 + random() % 30'000);
    box.frame_bytes_max(frame_bytes_max);
    std::deque<std::string> data;
    std::size_t data_bytes = 0;
    std::string control;
    std::string expected;
    std::string wire;
    fifo<outgoing> out;
    bool closed = false;
    for (int step = 0; step < 500; ++step) {
      const auto action = random() % 20;
      if (action < 14) {
        const auto size = random() % (random() % 8 == 0 ? 40'000 : 60);
        const auto body = text_of(size, static_cast<char>(random() % 256));
        const auto header = message(static_cast<std::uint16_t>(step));
        const bool as_payload = random() % 2 == 0;
        const auto which = action == 0 ? lane::control : lane::data;
        const auto answer = as_payload ? box.push(which, header, payload::copy_of(body))
                                       : box.push(which, header, bytes_of(body));
        auto right = send_outcome::accepted;
        if (which == lane::control) {
          control += framed(header, body);
        } else if (closed) {
          right = send_outcome::closed;
        } else if (size > frame_bytes_max) {
          right = send_outcome::too_large;
        } else if (!data.empty()
                   && (data_bytes + size + frame_header_bytes > bounds.outbox_bytes_max
                       || data.size() >= bounds.outbox_frames_max)) {
          right = send_outcome::congested;
        } else {
          data.push_back(framed(header, body));
          data_bytes += data.back().size();
        }
        REQUIRE(answer == right);
      } else if (action < 19) {
        const outbox::budget allowed{random() % 50'000, random() % 100};
        const auto taken = box.take(out, allowed);
        expected += std::exchange(control, {});
        std::uint64_t bytes = 0;
        std::uint64_t frames = 0;
        while (!data.empty() && bytes < allowed.bytes && frames < allowed.frames) {
          bytes += data.front().size();
          ++frames;
          expected += data.front();
          data.pop_front();
        }
        data_bytes -= bytes;
        REQUIRE(taken.bytes == bytes);
        REQUIRE(taken.frames == frames);
        wire += wire_of(out);
      } else if (random() % 20 == 0) {
        box.close();
        closed = true;
      }
      REQUIRE(box.data_frames() == data.size());
      REQUIRE(box.data_bytes() == data_bytes);
    }
    CHECK(wire == expected);
  }
}

TEST_CASE(
  "what was taken back goes in front of what waits, whatever the bounds, but not above a frame's") {
  outbox from(limits{});
  for (std::uint16_t tag = 1; tag <= 3; ++tag)
    REQUIRE(from.push(lane::data, {.tag = tag}, payload::copy_of(std::string(tag * 100u, 'a')))
            == send_outcome::accepted);
  REQUIRE(from.push(lane::data, {.tag = 4}, payload::copy_of(std::string(20'000, 'a')))
          == send_outcome::accepted);
  from.close();
  fifo<outgoing> taken;
  from.take_data(taken);
  CHECK(from.data_frames() == 0);
  CHECK(from.data_bytes() == 0);

  outbox to(1000, 10);
  to.frame_bytes_max(250);
  REQUIRE(to.push(lane::data, {.tag = 5}, payload::copy_of("last")) == send_outcome::accepted);
  auto refused = to.put_first(std::move(taken));
  CHECK(to.data_frames() == 3);
  CHECK(to.data_bytes() == 3 * codecs::frame_header_bytes + 100 + 200 + 4);
  const auto tags = [](fifo<outgoing>& pieces) {
    std::string text;
    while (const auto piece = pieces.take_front()) {
      std::size_t at = 0;
      for (std::uint64_t count = 0; count < piece->frames; ++count) {
        const auto header = codecs::load_header(piece->head + at);
        text += std::to_string(header.tag) + " ";
        at += codecs::frame_header_bytes + header.length;
      }
      CHECK(at == piece->bytes());
    }
    return text;
  };
  CHECK(tags(refused) == "3 4 ");
  fifo<outgoing> out;
  to.take(out, {UINT64_MAX, UINT64_MAX});
  CHECK(tags(out) == "1 2 5 ");
}
