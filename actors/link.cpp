#include "postbus/actors/link.hpp"

#include <algorithm>

namespace postbus::actors {

namespace {

// A link takes from the node's budget in steps, so that links seldom meet there.
constexpr std::size_t reserve_step_bytes = std::size_t{256} << 10;

// A sender that waits looks so often whether the node has memory again.
constexpr auto look_again_time = std::chrono::milliseconds(100);

} // namespace

link::link(const limits& bounds, std::shared_ptr<outbox_budget> budget)
  : budget_(std::move(budget)), box_(bounds) {}

link::~link() {
  budget_->give_back(reserved_bytes_);
}

template <class Body>
send_outcome link::push(codecs::frame_header header, const Body& body) {
  if (!reserve(codecs::frame_header_bytes + body.size()))
    return send_outcome::congested;
  return box_.push(bus::outbox::lane::data, header, body);
}

send_outcome link::send(codecs::frame_header header, std::span<const std::byte> body,
                        std::optional<duration> within) {
  return queue(header, body, within);
}

send_outcome link::send(codecs::frame_header header, const payload& body,
                        std::optional<duration> within) {
  return queue(header, body, within);
}

template <class Body>
send_outcome link::queue(codecs::frame_header header, const Body& body,
                         std::optional<duration> within) {
  {
    std::unique_lock guard(mutex_);
    // Nobody overtakes those who wait.
    auto outcome = waiting_.empty() ? push(header, body) : send_outcome::congested;
    if (outcome == send_outcome::congested && within)
      outcome = wait_and_push(header, body, *within, guard);
    if (outcome != send_outcome::accepted || std::exchange(awake_, true))
      return outcome;
  }
  connection_->wake(drain_link{});
  return send_outcome::accepted;
}

template <class Body>
send_outcome link::wait_and_push(codecs::frame_header header, const Body& body, duration within,
                                 std::unique_lock<std::mutex>& guard) {
  waiting_sender self;
  const auto place = waiting_.insert(waiting_.end(), &self);
  auto outcome = send_outcome::congested;
  const auto deadline = later(std::chrono::steady_clock::now(), within);
  const auto served = [&] {
    if (!box_.is_closed() && (waiting_.front() != &self || !box_.has_room()))
      return false;
    outcome = push(header, body);
    return outcome != send_outcome::congested;
  };
  // Room in this outbox is told; that other links of the node have given some back is not.
  while (!served() && std::chrono::steady_clock::now() < deadline)
    self.room.wait_until(
      guard, std::min(deadline, later(std::chrono::steady_clock::now(), look_again_time)));
  waiting_.erase(place);
  if (!waiting_.empty())
    waiting_.front()->room.notify_one();
  return outcome;
}

// Bytes are taken from the node's budget ahead, so that links seldom meet there; when it is nearly
// used up, just those that are needed.
bool link::reserve(std::size_t bytes) {
  const auto needed = box_.data_bytes() + bytes;
  if (needed <= reserved_bytes_ || box_.is_closed())
    return true;
  auto more = std::max(needed - reserved_bytes_, reserve_step_bytes);
  if (!budget_->take(more)) {
    more = needed - reserved_bytes_;
    if (!budget_->take(more)) {
      if (box_.data_frames() > 0)
        return false;
      budget_->overdraw(more);
    }
  }
  reserved_bytes_ += more;
  return true;
}

void link::settle_reserve() {
  if (box_.data_bytes() > 0 && reserved_bytes_ < box_.data_bytes() + 4 * reserve_step_bytes)
    return;
  const auto spare = reserved_bytes_ - box_.data_bytes();
  reserved_bytes_ -= spare;
  budget_->give_back(spare);
}

void link::open(const node_id& peer, std::uint32_t frame_bytes_max) {
  std::lock_guard guard(mutex_);
  peer_ = peer;
  box_.frame_bytes_max(frame_bytes_max);
}

void link::pull(bus::session& session, time_point now) {
  std::lock_guard guard(mutex_);
  session.pull(box_, now);
  settle_reserve();
  // What stays waits for credit or for the socket, and either brings the connection back here.
  awake_ = box_.data_frames() > 0;
  if (!waiting_.empty()) {
    if (box_.is_closed())
      for (auto* sender : waiting_)
        sender->room.notify_one();
    else if (box_.has_room())
      waiting_.front()->room.notify_one();
  }
}

std::shared_ptr<link> directory::find(const node_id& peer) const {
  const auto& in = shard_of(peer);
  std::shared_lock guard(in.mutex);
  const auto found = in.links.find(peer);
  return found == in.links.end() ? nullptr : found->second;
}

void directory::add(std::shared_ptr<link> to) {
  auto& in = shard_of(to->peer());
  std::unique_lock guard(in.mutex);
  in.links[to->peer()] = std::move(to);
}

void directory::remove(const link& gone) {
  auto& in = shard_of(gone.peer());
  std::unique_lock guard(in.mutex);
  if (const auto found = in.links.find(gone.peer());
      found != in.links.end() && found->second.get() == &gone)
    in.links.erase(found);
}

std::vector<node_id> directory::peers() const {
  std::vector<node_id> all;
  for (const auto& in : shards_) {
    std::shared_lock guard(in.mutex);
    for (const auto& [peer, to] : in.links)
      all.push_back(peer);
  }
  return all;
}

std::size_t directory::size() const {
  std::size_t sum = 0;
  for (const auto& in : shards_) {
    std::shared_lock guard(in.mutex);
    sum += in.links.size();
  }
  return sum;
}

} // namespace postbus::actors
