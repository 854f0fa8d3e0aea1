// outbox_fuzz: an outbox beside two queues of frames. Pushes of any size in both lanes, takes within any
// budget, a close, a clear; every answer, count and byte must be what the queues say, also of frames
// that were taken long ago.
// Input: two bytes for the bounds, then operations.
#include "postbus/bus/outbox.hpp"
#include "postbus/codecs/chunk_pool.hpp"
#include "postbus/tests/fuzz/operations.hpp"

#include <deque>
#include <vector>

namespace {

using namespace postbus;
using bus::outbox;
using codecs::frame_header_bytes;
using fuzz::law;

struct queued {
  codecs::frame_header header;
  std::uint64_t number = 0;      ///< Of its content.
  const std::byte* at = nullptr; ///< Where a body lies that is not to be copied.

  [[nodiscard]] std::uint64_t bytes() const { return frame_header_bytes + header.length; }
};

struct taken_piece {
  bus::outgoing piece;
  std::vector<queued> frames;
};

class world {
public:
  explicit world(const limits& bounds) : bounds_(bounds), tested_(bounds) {}

  void push(outbox::lane lane, std::size_t bytes, bool shared, unsigned tag) {
    const auto number = ++pushed_;
    std::vector<std::byte> body(bytes);
    for (std::size_t index = 0; index < bytes; ++index)
      body[index] = fuzz::pattern(number, index);
    queued frame{
      {0, lane == outbox::lane::data ? codecs::frame_kind::message : codecs::frame_kind::ping, 0,
       static_cast<std::uint16_t>(tag)},
      number,
      nullptr};
    const auto expected = answer_to(lane, bytes);
    auto got = send_outcome::accepted;
    if (shared) {
      const auto whole = payload::copy_of(body);
      got = tested_.push(lane, frame.header, whole);
      if (bytes >= outbox::refer_bytes_min)
        frame.at = whole.data();
    } else {
      got = tested_.push(lane, frame.header, std::span<const std::byte>(body));
    }
    law(got == expected, "push answers as the bounds say");
    frame.header.length = static_cast<std::uint32_t>(bytes);
    if (got == send_outcome::accepted)
      queue(lane).push_back(frame);
    check();
  }

  void take(outbox::budget allowed) {
    std::deque<queued> leaving;
    leaving.swap(control_);
    outbox::budget expected;
    while (!data_.empty() && expected.bytes < allowed.bytes && expected.frames < allowed.frames) {
      expected.bytes += data_.front().bytes();
      ++expected.frames;
      leaving.push_back(data_.front());
      data_.pop_front();
    }
    bus::fifo<bus::outgoing> pieces;
    const auto got = tested_.take(pieces, allowed);
    law(got.bytes == expected.bytes && got.frames == expected.frames,
        "take says how much data it took, which is all that may begin");
    for (; !pieces.empty(); pieces.pop_front()) {
      auto& made = taken_.emplace_back();
      made.piece = std::move(pieces.front());
      law(made.piece.frames > 0 && made.piece.frames <= leaving.size(), "pieces of whole frames");
      const auto count = static_cast<std::ptrdiff_t>(made.piece.frames);
      made.frames.assign(leaving.begin(), leaving.begin() + count);
      leaving.erase(leaving.begin(), leaving.begin() + count);
      compare(made);
    }
    law(leaving.empty(), "everything that was taken is in the pieces");
    check();
  }

  // The oldest pieces are written.
  void written(std::size_t count) {
    for (; count > 0 && !taken_.empty(); --count) {
      compare(taken_.front());
      taken_.pop_front();
    }
  }

  void close() {
    tested_.close();
    closed_ = true;
    check();
  }

  void clear() {
    tested_.clear();
    data_.clear();
    control_.clear();
    check();
  }

  void frame_bytes_max(std::uint32_t bytes) {
    tested_.frame_bytes_max(bytes);
    frame_bytes_max_ = bytes;
  }

  void finish() {
    take({UINT64_MAX, UINT64_MAX});
    law(tested_.empty(), "a boundless take leaves nothing");
    written(SIZE_MAX);
  }

private:
  std::deque<queued>& queue(outbox::lane lane) {
    return lane == outbox::lane::data ? data_ : control_;
  }
  [[nodiscard]] std::uint64_t data_bytes() const {
    std::uint64_t sum = 0;
    for (const auto& each : data_)
      sum += each.bytes();
    return sum;
  }

  [[nodiscard]] send_outcome answer_to(outbox::lane lane, std::size_t body_bytes) const {
    if (lane == outbox::lane::control)
      return send_outcome::accepted;
    if (closed_)
      return send_outcome::closed;
    if (body_bytes > frame_bytes_max_)
      return send_outcome::too_large;
    if (data_.empty())
      return send_outcome::accepted; // one of any legal size
    const auto fits = data_bytes() + frame_header_bytes + body_bytes <= bounds_.outbox_bytes_max
                      && data_.size() < bounds_.outbox_frames_max;
    return fits ? send_outcome::accepted : send_outcome::congested;
  }

  static void compare(const taken_piece& taken) {
    const auto* head = taken.piece.head;
    const auto* const end = head + taken.piece.head_bytes;
    for (const auto& frame : taken.frames) {
      law(static_cast<std::size_t>(end - head) >= frame_header_bytes, "a header in one piece");
      law(codecs::load_header(head) == frame.header, "the header as it was pushed");
      head += frame_header_bytes;
      const auto elsewhere = !taken.piece.body.empty();
      if (elsewhere)
        law(taken.frames.size() == 1 && head == end, "a body elsewhere has a piece of its own");
      else
        law(static_cast<std::size_t>(end - head) >= frame.header.length,
            "a body behind its header");
      const std::span body(elsewhere ? taken.piece.body.data() : head, frame.header.length);
      law(!elsewhere || taken.piece.body.size() == body.size(), "the whole body");
      law(frame.at == nullptr || frame.at == body.data(), "a large payload is not copied");
      law(fuzz::has_pattern(body, frame.number), "the bytes as they were pushed");
      if (!elsewhere)
        head += frame.header.length;
    }
    law(head == end, "nothing behind the last frame");
  }

  void check() const {
    law(tested_.is_closed() == closed_, "is_closed");
    law(tested_.data_frames() == data_.size(), "data_frames");
    law(tested_.data_bytes() == data_bytes(), "data_bytes");
    law(tested_.empty() == (data_.empty() && control_.empty()), "empty");
    law(data_.empty() || data_.size() <= bounds_.outbox_frames_max, "the bound on frames");
    law(data_.size() <= 1 || data_bytes() <= bounds_.outbox_bytes_max, "the bound on bytes");
    const auto half =
      data_bytes() < bounds_.outbox_bytes_max / 2 && data_.size() < bounds_.outbox_frames_max / 2;
    law(tested_.has_room() == (half || data_.empty()), "has_room");
  }

  limits bounds_;
  outbox tested_;
  std::uint32_t frame_bytes_max_ = UINT32_MAX;
  bool closed_ = false;
  std::uint64_t pushed_ = 0;
  std::deque<queued> control_;
  std::deque<queued> data_;
  std::deque<taken_piece> taken_;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::operations in(data, size, 1024);
  const auto held_before = codecs::chunk_pool::held_bytes();
  {
    limits bounds;
    const std::size_t bytes_bounds[] = {bounds.outbox_bytes_max, 40'000, 1000, 1};
    const std::uint64_t frames_bounds[] = {bounds.outbox_frames_max, 1, 2, 10};
    bounds.outbox_bytes_max = bytes_bounds[in.below(4)];
    bounds.outbox_frames_max = frames_bounds[in.below(4)];
    world all(bounds);
    while (in.more()) {
      const auto what = in.byte();
      const auto shared = (what & 0x80) != 0;
      const auto tag = (what >> 4) & 7u;
      switch (what & 0xf) {
      case 0:
      case 1:
      case 2:
      case 3:
        all.push(outbox::lane::data, in.byte(), shared, tag);
        break;
      case 4:
        all.push(outbox::lane::data, std::min<std::size_t>(in.size(), 70'000), shared, tag);
        break;
      case 5:
        all.push(outbox::lane::data, outbox::refer_bytes_min - 2 + in.below(4), shared, tag);
        break;
      case 6:
        all.push(outbox::lane::control, in.byte(), shared, 0);
        break;
      case 7:
        all.push(outbox::lane::control, std::min<std::size_t>(in.size(), 9'000), shared, 0);
        break;
      case 8:
      case 9:
        all.take({in.size(), in.below(64)});
        break;
      case 10:
        all.take({in.number(), in.number()});
        break;
      case 11:
        all.take({in.byte(), UINT64_MAX});
        break;
      case 12:
      case 13:
        all.written(tag + 1);
        break;
      case 14:
        all.frame_bytes_max(static_cast<std::uint32_t>(1024 + in.size()));
        break;
      case 15:
        if (tag == 7)
          all.close();
        if (tag == 6)
          all.clear();
        break;
      }
    }
    all.finish();
  }
  law(codecs::chunk_pool::held_bytes() == held_before, "nothing is left of any frame");
  return 0;
}
