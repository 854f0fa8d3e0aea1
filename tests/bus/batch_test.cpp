// batch, message and receipt: what a program holds, how long the bytes live, and who is told when.
#include "postbus/bus/batch.hpp"
#include "postbus/codecs/chunk_pool.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

using namespace postbus;
using bus::delivery;
using bus::receipt;
using bus::received_frames;
using bus::shared;

namespace {

class counting_receipt : public receipt {
public:
  int wakes = 0;

private:
  void wake() noexcept override { ++wakes; }
};

node_id sender() {
  return *node_id::parse("000102030405060708090a0b0c0d0e0f");
}

/// Chunks with frames back to back, as a reader would find them.
class source {
public:
  explicit source(shared<receipt> charge)
    : frames_(shared<received_frames>::adopt(new received_frames(std::move(charge)))) {}

  void new_chunk() {
    chunk_ = codecs::chunk_pool::take(4096);
    used_ = 0;
  }
  void add(const std::string& text, std::uint16_t tag, std::uint8_t flags) {
    auto* at = chunk_->data() + used_;
    codecs::store_header(
      at, {static_cast<std::uint32_t>(text.size()), codecs::frame_kind::message, flags, tag});
    std::memcpy(at + codecs::frame_header_bytes, text.data(), text.size());
    used_ += codecs::frame_header_bytes + text.size();
    frames_->append(*chunk_, at, chunk_->data() + used_);
  }
  void skip(std::size_t bytes) { used_ += bytes; }
  shared<received_frames> take() {
    chunk_ = {};
    return std::move(frames_);
  }

private:
  shared<received_frames> frames_;
  codecs::chunk_ptr chunk_;
  std::size_t used_ = 0;
};

shared<received_frames> seven_frames(shared<receipt> charge) {
  source from(std::move(charge));
  from.new_chunk();
  from.add("one", 1, codecs::frame_flag::opaque);
  from.add("", 2, 0);
  from.add("three", 3, 0);
  from.skip(16); // a control frame lay here
  from.add("four", 4, 0);
  from.new_chunk();
  from.add("five", 5, 0);
  from.add("", 6, 0);
  from.add("seven", 7, 0);
  return from.take();
}

batch batch_of(shared<received_frames> frames, shared<receipt> slot = {}) {
  return batch(shared<delivery>::adopt(new delivery(sender(), std::move(frames), std::move(slot))));
}

} // namespace

TEST_CASE("a batch is a range of its messages in order, over all runs") {
  const auto frames = seven_frames({});
  CHECK(frames->runs().size() == 3);
  const auto all = batch_of(frames);
  CHECK(all.size() == 7);
  CHECK(all.size_bytes() == 7 * 8 + 21);
  CHECK(all.from() == sender());
  std::vector<std::string> texts;
  std::uint16_t tag = 0;
  for (const auto& each : all) {
    texts.emplace_back(each.text());
    CHECK(each.tag() == ++tag);
    CHECK(each.is_opaque() == (tag == 1));
    CHECK(each.from() == sender());
  }
  CHECK(texts == std::vector<std::string>{"one", "", "three", "four", "five", "", "seven"});
}

TEST_CASE("an empty batch is a range of nothing") {
  CHECK(batch{}.empty());
  CHECK(batch{}.begin() == batch{}.end());
  CHECK(batch{}.size_bytes() == 0);
  const auto none = batch_of(shared<received_frames>::adopt(new received_frames({})));
  CHECK(none.empty());
  CHECK(none.begin() == none.end());
}

TEST_CASE("the connection is told once, when the last holder has let go and the bytes are free") {
  const auto held = codecs::chunk_pool::held_bytes();
  struct : receipt {
    std::size_t held_then = 0;
    void wake() noexcept override { held_then = codecs::chunk_pool::held_bytes(); }
  } probe;
  auto charge = shared<receipt>::share(&probe);
  probe.want();
  {
    auto frames = seven_frames(charge);
    auto first = batch_of(frames);
    const auto second = batch_of(frames); // another subscriber
    frames = {};
    const auto copy = first;
    auto kept = first.keep(*first.begin());
    first = {};
    CHECK(charge->frames() == 0);
    CHECK(kept.text() == "one");
    auto kept_copy = kept;
    kept = {};
    CHECK(charge->frames() == 0);
    CHECK(kept_copy.tag() == 1);
  }
  CHECK(charge->frames() == 7);
  CHECK(charge->bytes() == 7 * 8 + 21);
  CHECK(probe.held_then == held);
}

TEST_CASE("a payload outlives its batch without being charged") {
  auto charge = shared<receipt>::adopt(new receipt);
  payload body;
  {
    const auto all = batch_of(seven_frames(charge));
    for (const auto& each : all)
      if (each.tag() == 4)
        body = each.body();
  }
  CHECK(charge->frames() == 7);
  CHECK(body.text() == "four");
}

TEST_CASE("a kept message keeps its batch charged") {
  auto charge = shared<receipt>::adopt(new receipt);
  message kept;
  {
    const auto all = batch_of(seven_frames(charge));
    auto at = all.begin();
    std::advance(at, 6);
    kept = all.keep(*at);
  }
  CHECK(charge->frames() == 0);
  CHECK(kept.text() == "seven");
  CHECK(kept.body().text() == "seven");
  CHECK(kept.from() == sender());
  kept = {};
  CHECK(charge->frames() == 7);
}

TEST_CASE("each subscriber's slot is told of its own delivery, the connection of all") {
  auto charge = shared<receipt>::adopt(new receipt);
  auto slot_a = shared<receipt>::adopt(new receipt);
  auto slot_b = shared<receipt>::adopt(new receipt);
  auto frames = seven_frames(charge);
  auto for_a = batch_of(frames, slot_a);
  auto for_b = batch_of(std::move(frames), slot_b);
  for_a = {};
  CHECK(slot_a->frames() == 1); // deliveries, not frames
  CHECK(slot_a->bytes() == 77);
  CHECK(slot_b->frames() == 0);
  CHECK(charge->frames() == 0);
  for_b = {};
  CHECK(slot_b->frames() == 1);
  CHECK(charge->frames() == 7);
}

TEST_CASE("a receipt wakes once for each time it was asked to") {
  const auto told = shared<counting_receipt>::adopt(new counting_receipt);
  told->add(10, 1);
  CHECK(told->wakes == 0);
  told->want();
  told->want();
  CHECK(told->wakes == 0);
  told->add(10, 1);
  told->add(10, 1);
  CHECK(told->wakes == 1);
  told->want();
  told->add(5, 2);
  CHECK(told->wakes == 2);
  CHECK(told->bytes() == 35);
  CHECK(told->frames() == 5);
}

TEST_CASE("a shared pointer counts its holders, through conversions and assignments to itself") {
  struct tracked : bus::counted<tracked> {
    explicit tracked(bool& flag) : over(flag) {}
    tracked(const tracked&) = delete;
    tracked& operator=(const tracked&) = delete;
    ~tracked() { over = true; }
    bool& over;
  };
  bool gone = false;
  auto one = shared<tracked>::adopt(new tracked(gone));
  auto two = one;
  const auto& alias = two;
  two = alias;
  shared<const tracked> three = two;
  one = {};
  two = {};
  CHECK(!gone);
  auto* raw = three.detach();
  CHECK(!three);
  CHECK(!gone);
  three = shared<const tracked>::share(raw);
  raw->let_go();
  CHECK(!gone);
  three = {};
  CHECK(gone);
}
