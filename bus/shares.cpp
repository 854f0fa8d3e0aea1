#include "postbus/bus/shares.hpp"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

namespace postbus::bus {

shares::shares(const shared<received_frames>& arrived,
               std::span<const message_filter* const> filters) {
  divide(*arrived, filters);
  if (shares_.size() == 1) {
    shares_.front().frames = arrived;
  } else {
    const auto charge = arrived->take_charge();
    for (auto& each : shares_) {
      each.frames = shared<received_frames>::adopt(new received_frames(charge));
      each.frames->claimed = arrived->claimed;
    }
    for (const auto& each : stretches_)
      shares_[each.share].frames->append(*each.owner, each.begin, each.end, each.messages);
  }
  for (const auto& each : shares_)
    if (std::find(each.who.begin(), each.who.end(), true) == each.who.end())
      unclaimed_ += each.frames->frames();
}

// Who takes a message depends on its tag alone here: each tag is asked about once.
void shares::divide(const received_frames& arrived,
                    std::span<const message_filter* const> filters) {
  std::unordered_map<std::uint16_t, std::size_t> by_tag;
  std::map<takers, std::size_t> by_takers;
  const auto share_of = [&](std::uint16_t tag) {
    const auto [found, is_new] = by_tag.try_emplace(tag, 0);
    if (!is_new)
      return found->second;
    takers who(filters.size());
    for (std::size_t index = 0; index < filters.size(); ++index)
      who[index] = filters[index]->takes(tag);
    const auto [known, added] = by_takers.try_emplace(who, shares_.size());
    if (added)
      shares_.push_back({std::move(who), {}});
    return found->second = known->second;
  };
  each_frame(arrived, [&](codecs::chunk& owner, const std::byte* begin, const std::byte* end) {
    const auto tag = codecs::load<std::uint16_t>(begin + 6);
    auto* last = stretches_.empty() ? nullptr : &stretches_.back();
    const auto same_tag = last != nullptr && codecs::load<std::uint16_t>(last->begin + 6) == tag;
    const auto mine = same_tag ? last->share : share_of(tag);
    if (last != nullptr && last->share == mine && last->end == begin && last->owner == &owner) {
      last->end = end;
      ++last->messages;
    } else {
      stretches_.push_back({&owner, begin, end, 1, mine});
    }
  });
}

shares::part shares::of(std::size_t index) const {
  part found;
  for (const auto& each : shares_)
    if (each.who[index])
      found.holds.push_back(each.frames);
  if (found.holds.size() < 2) {
    if (!found.holds.empty())
      found.frames = std::move(found.holds.front());
    found.holds.clear();
    return found;
  }
  found.frames = shared<received_frames>::adopt(new received_frames({}));
  for (const auto& each : stretches_)
    if (shares_[each.share].who[index])
      found.frames->append(*each.owner, each.begin, each.end, each.messages);
  return found;
}

} // namespace postbus::bus
