// chunk_pool_fuzz: chunks are taken, filled, shared, sliced, grown and let go, here or on a thread that
// ends, and the pool is trimmed in between. A map of what lives says how large and where everything
// is; no two chunks overlap, and no byte changes while somebody holds it.
// Input: an operation, and the chunk or size it is about.
#include "postbus/codecs/byte_buffer.hpp"
#include "postbus/codecs/chunk_pool.hpp"
#include "postbus/tests/fuzz/operations.hpp"

#include <map>
#include <thread>
#include <vector>

namespace {

using namespace postbus;
using codecs::chunk_pool;
using codecs::chunk_ptr;
using fuzz::law;

constexpr std::size_t live_bytes_max = std::size_t{8} << 20;
constexpr std::size_t live_chunks_max = 300;
constexpr std::size_t pooled_bytes_max =
  (std::size_t{1} << chunk_pool::largest_exponent) + chunk_pool::slack_bytes;

class world {
public:
  void take(std::size_t bytes) {
    if (live_bytes() + bytes > live_bytes_max || live_.size() == live_chunks_max)
      return;
    const auto unused = chunk_pool::kept_bytes();
    auto taken = chunk_pool::take(bytes);
    law(taken->capacity() >= bytes, "as many bytes as were asked for");
    law(taken.get() != nullptr && taken->unique(), "held once");
    law(reinterpret_cast<std::uintptr_t>(taken->data()) % 16 == 0, "aligned");
    if (bytes <= pooled_bytes_max)
      law(is_pooled_size(taken->capacity())
            && taken->capacity() <= std::max<std::size_t>(512, 2 * bytes),
          "the smallest of the pooled sizes that fits");
    else
      law(taken->capacity() == bytes, "larger ones are as large as asked");
    // What was let go last is there for the next that needs its size.
    if (last_freed_ == taken->capacity())
      law(chunk_pool::kept_bytes() + taken->capacity() <= unused, "what lies unused is used again");
    last_freed_ = 0;
    hold(std::move(taken));
    check();
  }

  void share(unsigned which) {
    if (auto* at = find(which); at != nullptr && at->holders.size() < 4)
      at->holders.push_back(at->holders.empty() ? at->slices.front().owner() : at->holders.front());
    check();
  }

  void slice(unsigned which, std::size_t first, std::size_t count) {
    auto* at = find(which);
    if (at == nullptr || at->slices.size() == 4)
      return;
    // Of the chunk; or of a slice, when nobody holds the chunk itself any more.
    const auto bytes = at->holders.empty() ? at->slices.front().size() : at->capacity;
    first = std::min(first, bytes);
    count = std::min(count, bytes - first);
    if (at->holders.empty())
      at->slices.push_back(at->slices.front().slice(first, count));
    else
      at->slices.emplace_back(at->holders.front(), at->holders.front()->data() + first, count);
    check();
  }

  void copy(unsigned which) {
    auto* at = find(which);
    if (at == nullptr || at->slices.empty() || at->slices.back().empty())
      return;
    const auto bytes = at->slices.back().size();
    if (live_bytes() + 2 * bytes > live_bytes_max)
      return;
    const auto copied = at->slices.back().copy();
    law(copied == at->slices.back(), "a copy has the same bytes");
    law(copied.owner() != at->slices.back().owner(), "in a chunk of its own");
    last_freed_ = 0;
  }

  // Lets go of one holder of a chunk: of one more slice, or of the chunk itself.
  void let_go(unsigned which, bool elsewhere) {
    auto* at = find(which);
    if (at == nullptr)
      return;
    const auto capacity = at->capacity;
    const auto is_last = at->holders.size() + at->slices.size() == 1;
    if (is_last)
      look_at(*at);
    chunk_ptr last;
    payload last_slice;
    if (!at->holders.empty()) {
      last = std::move(at->holders.back());
      at->holders.pop_back();
    } else {
      last_slice = std::move(at->slices.back());
      at->slices.pop_back();
    }
    if (is_last)
      live_.erase(position(which));
    const auto unused = chunk_pool::kept_bytes();
    if (elsewhere && threads_ < 3) {
      ++threads_;
      std::thread([one = std::move(last), two = std::move(last_slice)] {}).join();
    }
    last = {};
    last_slice = {};
    if (is_last && capacity > pooled_bytes_max)
      law(chunk_pool::kept_bytes() == unused, "large chunks are not kept");
    last_freed_ = is_last && chunk_pool::kept_bytes() == unused + capacity ? capacity : 0;
    check();
  }

  void grow(std::size_t bytes, std::size_t step) {
    if (live_bytes() + 4 * bytes > live_bytes_max)
      return;
    codecs::byte_buffer buffer;
    std::vector<char> piece(step);
    const auto number = ++numbers_;
    while (buffer.size() < bytes) {
      for (std::size_t index = 0; index < step; ++index)
        piece[index] = static_cast<char>(fuzz::pattern(number, buffer.size() + index));
      buffer.write(piece.data(), piece.size());
      law(buffer.size() <= buffer.capacity(), "no more bytes than room");
    }
    law(fuzz::has_pattern(buffer.bytes(), number), "a buffer that grows keeps its bytes");
    const auto made = buffer.release();
    law(buffer.size() == 0 && buffer.capacity() == 0, "who released its bytes has none");
    law(fuzz::has_pattern(made.bytes(), number), "released bytes are the same");
    last_freed_ = 0;
  }

  void trim() {
    chunk_pool::trim();
    law(chunk_pool::kept_bytes() == 0, "after a trim nothing lies unused");
    last_freed_ = 0;
    check();
  }

  void finish() {
    while (!live_.empty())
      let_go(0, false);
  }

private:
  struct living {
    std::uint64_t number = 0;
    std::size_t capacity = 0;
    const std::byte* data = nullptr;
    std::vector<chunk_ptr> holders;
    std::vector<payload> slices;
  };

  static bool is_pooled_size(std::size_t bytes) {
    for (auto n = chunk_pool::smallest_exponent; n <= chunk_pool::largest_exponent; ++n)
      if (bytes == (std::size_t{1} << n) + chunk_pool::slack_bytes)
        return true;
    return false;
  }

  [[nodiscard]] std::map<const std::byte*, living>::iterator position(unsigned which) {
    return std::next(live_.begin(), which % static_cast<unsigned>(live_.size()));
  }
  [[nodiscard]] living* find(unsigned which) {
    return live_.empty() ? nullptr : &position(which)->second;
  }
  [[nodiscard]] std::size_t live_bytes() const {
    std::size_t sum = 0;
    for (const auto& [data, each] : live_)
      sum += each.capacity;
    return sum;
  }

  void hold(chunk_ptr taken) {
    const auto number = ++numbers_;
    auto* const data = taken->data();
    const auto capacity = taken->capacity();
    const auto behind = live_.lower_bound(data);
    law(behind == live_.end() || data + capacity <= behind->first, "no chunk lies in another");
    if (behind != live_.begin()) {
      const auto& before = std::prev(behind)->second;
      law(before.data + before.capacity <= data, "nor begins in one");
    }
    const std::size_t step = capacity > 4096 ? 251 : 1;
    for (std::size_t index = 0; index < capacity; index += step)
      data[index] = fuzz::pattern(number, index);
    data[capacity - 1] = fuzz::pattern(number, capacity - 1);
    auto& made = live_[data];
    made.number = number;
    made.capacity = capacity;
    made.data = data;
    made.holders.push_back(std::move(taken));
  }

  static void look_at(const living& at) {
    law(fuzz::has_pattern({at.data, at.capacity}, at.number), "what is held does not change");
    for (const auto& each : at.slices)
      law(each.data() >= at.data && each.data() + each.size() <= at.data + at.capacity,
          "a slice lies in its chunk");
  }

  void check() {
    for (const auto& [data, each] : live_) {
      const auto count = each.holders.size() + each.slices.size();
      const auto& one = each.holders.empty() ? each.slices.front().owner() : each.holders.front();
      law(one->data() == data && one->capacity() == each.capacity, "a chunk stays where it is");
      law(one->unique() == (count == 1), "unique");
      law(*data == fuzz::pattern(each.number, 0)
            && data[each.capacity - 1] == fuzz::pattern(each.number, each.capacity - 1),
          "what is held does not change");
    }
    law(chunk_pool::held_bytes() == before_ + live_bytes(), "held_bytes");
    law(chunk_pool::kept_bytes() <= chunk_pool::kept_bytes_max + chunk_pool::thread_bytes_max,
        "what lies unused is bounded");
  }

  std::size_t before_ = chunk_pool::held_bytes();
  std::map<const std::byte*, living> live_;
  std::uint64_t numbers_ = 0;
  std::size_t last_freed_ = 0; // capacity of the chunk that was let go last, while it is kept
  unsigned threads_ = 0;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::operations in(data, size, 256);
  chunk_pool::trim(); // so that every input begins alike
  world all;
  while (in.more()) {
    const auto what = in.byte();
    const auto which = what >> 4;
    switch (what & 0xf) {
    case 0:
    case 1:
      all.take(in.size());
      break;
    case 2: // about the border of a pooled size
      all.take((std::size_t{1} << (chunk_pool::smallest_exponent + which % 13))
               + chunk_pool::slack_bytes - 1 + in.below(3));
      break;
    case 3: // many small ones, as many as a thread keeps
      for (auto count = 8 * (which % 4 + 1); count > 0; --count)
        all.take(which);
      break;
    case 4:
      all.share(which);
      break;
    case 5:
    case 6: {
      const auto first = in.size();
      all.slice(which, first, in.size());
      break;
    }
    case 7:
      all.copy(which);
      break;
    case 8:
      for (auto count = 8 * (which % 4 + 1); count > 0; --count)
        all.let_go(0, false);
      break;
    case 9:
      all.let_go(which, true);
      break;
    case 10: {
      const auto bytes = in.size();
      all.grow(bytes, std::max<std::size_t>(1, bytes / (1 + which)));
      break;
    }
    case 11:
      if (which < 4)
        all.trim();
      break;
    default:
      all.let_go(which + in.byte(), false);
      break;
    }
  }
  all.finish();
  return 0;
}
