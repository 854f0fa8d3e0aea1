// What waits for a slow subscriber and lies among what others sent, in the buffer that all connections of a
// loop are read to: how much memory it keeps, and that it stays what it is.
#include "postbus/bus/subscriptions.hpp"
#include "postbus/codecs/chunk_pool.hpp"
#include "postbus/codecs/frame_reader.hpp"
#include "postbus/tests/support/node_world.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

using namespace postbus;
using namespace postbus::test;

namespace {

constexpr std::uint32_t body_bytes = 4;
constexpr std::size_t frame_bytes = codecs::frame_header_bytes + body_bytes;

/// A number with the tags 3 and 4, each frame far from the other, in a buffer that holds much else.
bus::shared<bus::received_frames> scattered(std::uint32_t number,
                                            const bus::shared<bus::receipt>& charge) {
  auto frames = bus::shared<bus::received_frames>::adopt(new bus::received_frames(charge));
  const auto buffer = codecs::chunk_pool::take(codecs::read_scratch::chunk_bytes_default);
  auto* at = buffer->data() + 1000;
  for (const std::uint16_t tag : {std::uint16_t{3}, std::uint16_t{4}}) {
    codecs::store_header(at, {body_bytes, codecs::frame_kind::message, 0, tag});
    codecs::store(at + codecs::frame_header_bytes, number);
    frames->append(*buffer, at, at + frame_bytes);
    at += 4096;
  }
  return frames;
}

} // namespace

TEST_CASE("what waits for a slow subscriber keeps little more memory than it is charged for") {
  constexpr std::uint32_t count = 200;
  const auto before = codecs::chunk_pool::held_bytes();
  const auto charge = bus::shared<bus::receipt>::adopt(new bus::receipt);
  limits bounds;
  bounds.batches_in_flight_max = 1;
  bus::subscriptions tested(bounds);
  const auto slot = [] { return bus::shared<bus::receipt>::adopt(new bus::receipt); };
  const auto all = tested.add({}, slot());
  const auto threes = tested.add({.filter = {.tags = {3}}}, slot());

  for (std::uint32_t number = 0; number < count; ++number)
    tested.push(id_of(1), scattered(number, charge));
  const auto kept = codecs::chunk_pool::held_bytes() - before;
  CHECK(kept >= codecs::read_scratch::chunk_bytes_default); // the first was handed out as it lay
  CHECK(kept < codecs::read_scratch::chunk_bytes_default + 1024 + count * 1024);

  std::vector<std::uint32_t> found[2];
  while (auto told = tested.next()) {
    for (const auto& each : std::get<batch>(told->what))
      if (each.tag() == 3)
        found[told->to == all ? 0 : 1].push_back(codecs::load<std::uint32_t>(each.bytes().data()));
    told.reset(); // the subscriber lets go
    tested.settle(all);
    tested.settle(threes);
  }
  for (const auto& numbers : found) {
    REQUIRE(numbers.size() == count);
    for (std::uint32_t number = 0; number < count; ++number)
      CHECK(numbers[number] == number);
  }
  CHECK(charge->frames() == 2 * count);
  CHECK(charge->bytes() == 2 * count * frame_bytes);
  CHECK(codecs::chunk_pool::held_bytes() == before);
}
