#include "postbus/actors/node_access.hpp"

#include "postbus/bus/endpoint.hpp"

#include <algorithm>

namespace postbus::actors {

namespace {

// What two texts for one endpoint have in common: who is expected there is no part of it.
std::string place_of(endpoint where) {
  where.expected = {};
  std::transform(where.host.begin(), where.host.end(), where.host.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return to_string(where);
}

} // namespace

std::vector<std::string> node_access::addresses() const {
  std::lock_guard guard(mutex_);
  return addresses_;
}

void node_access::listening(const std::string& endpoint) {
  std::lock_guard guard(mutex_);
  addresses_.push_back(endpoint);
}

bool node_access::not_listening(const std::string& endpoint) {
  std::lock_guard guard(mutex_);
  return std::erase(addresses_, endpoint) > 0;
}

void node_access::dialed(const std::string& endpoint, const node_id& peer) {
  const auto where = postbus::endpoint::parse(endpoint);
  if (!where)
    return;
  std::lock_guard guard(mutex_);
  dialed_[place_of(*where)] = peer;
}

node_id node_access::peer_at(std::string_view endpoint) const {
  const auto where = postbus::endpoint::parse(endpoint);
  if (!where)
    return {};
  std::lock_guard guard(mutex_);
  const auto found = dialed_.find(place_of(*where));
  const auto fits =
    found != dialed_.end() && (!where->expected || where->expected == found->second);
  return fits ? found->second : node_id{};
}

void node_access::end_functions() {
  std::map<std::uint64_t, std::shared_ptr<handling_function>> all;
  {
    std::lock_guard guard(mutex_);
    all = functions_;
  }
  for (const auto& [handler, each] : all)
    each->end();
}

void node_access::forget(const node_id& peer) {
  std::lock_guard guard(mutex_);
  std::erase_if(dialed_, [&](const auto& each) { return each.second == peer; });
}

} // namespace postbus::actors
