#include "postbus/bus/batch.hpp"

#include "postbus/codecs/chunk_pool.hpp"

#include <cstring>

namespace postbus::bus {

namespace {

// What waits may keep so many times its size.
constexpr std::size_t kept_ratio_max = 4;

} // namespace

void received_frames::move_together() {
  std::size_t kept = 0;
  const codecs::chunk* last = nullptr;
  for (const auto& each : runs_)
    if (const auto* owner = each.owner.get(); owner != std::exchange(last, owner))
      kept += owner->capacity();
  const auto bytes = static_cast<std::size_t>(bytes_);
  if (kept <= kept_ratio_max * (bytes + codecs::chunk_pool::slack_bytes))
    return;
  auto own = codecs::chunk_pool::take(bytes);
  auto* at = own->data();
  for (const auto& each : runs_) {
    const auto size = static_cast<std::size_t>(each.end - each.begin);
    std::memcpy(at, each.begin, size);
    at += size;
  }
  const auto* begin = own->data();
  runs_ = {{std::move(own), begin, at}};
}

} // namespace postbus::bus
