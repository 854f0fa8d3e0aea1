#include "postbus/actors/link.hpp"

#include <algorithm>

namespace postbus::actors {

namespace {

// A link takes from the node's budget in steps, so that links seldom meet there.
constexpr std::size_t reserve_step_bytes = std::size_t{256} << 10;

// A sender that waits looks so often whether the node has memory again.
constexpr auto look_again_time = std::chrono::milliseconds(100);

} // namespace

void outbox_budget::give_back(std::size_t bytes) {
  left_.fetch_add(static_cast<std::int64_t>(bytes));
  if (!wanted_.load() || !wanted_.exchange(false))
    return;
  std::vector<std::shared_ptr<waker>> waiting;
  {
    std::lock_guard guard(mutex_);
    waiting.swap(waiting_);
  }
  for (const auto& each : waiting)
    each->wake(drain_link{});
}

void outbox_budget::want(std::shared_ptr<waker> whom) {
  {
    std::lock_guard guard(mutex_);
    if (std::find(waiting_.begin(), waiting_.end(), whom) == waiting_.end())
      waiting_.push_back(std::move(whom));
  }
  wanted_.store(true);
}

link::link(const limits& bounds, std::shared_ptr<outbox_budget> budget, std::shared_ptr<waker> whom)
  : budget_(std::move(budget)), connection_(std::move(whom)), box_(bounds) {}

link::~link() {
  budget_->give_back(reserved_bytes_);
}

template <class Body>
send_outcome link::push(codecs::frame_header header, const Body& body) {
  if (!fits_behind(body.size()))
    return send_outcome::congested;
  if (!reserve(codecs::frame_header_bytes + body.size()))
    return send_outcome::congested;
  return box_.push(bus::outbox::lane::data, header, body);
}

send_outcome link::send(codecs::frame_header header, std::span<const std::byte> body,
                        std::optional<duration>& within) {
  return queue(header, body, within);
}

send_outcome link::send(codecs::frame_header header, const payload& body,
                        std::optional<duration>& within) {
  return queue(header, body, within);
}

template <class Body>
send_outcome link::queue(codecs::frame_header header, const Body& body,
                         std::optional<duration>& within) {
  std::unique_lock guard(mutex_);
  // Nobody overtakes those who wait.
  auto outcome = waiting_.empty() ? push(header, body) : send_outcome::congested;
  if (outcome == send_outcome::congested && within) {
    const auto deadline = later(std::chrono::steady_clock::now(), *within);
    outcome = wait_and_push(header, body, *within, guard);
    within = std::max(deadline - std::chrono::steady_clock::now(), duration::zero());
  }
  if (outcome == send_outcome::closed && successor_) {
    const auto next = successor_;
    guard.unlock();
    return next->queue(header, body, within);
  }
  if (outcome != send_outcome::accepted || std::exchange(awake_, true))
    return outcome;
  guard.unlock();
  connection_->wake(drain_link{});
  return send_outcome::accepted;
}

template <class Body>
send_outcome link::wait_and_push(codecs::frame_header header, const Body& body, duration within,
                                 std::unique_lock<std::mutex>& guard) {
  waiting_sender self;
  auto outcome = send_outcome::congested;
  // However this ends, nobody may find it afterwards, and whoever is next has its turn.
  struct queued {
    queued(std::list<waiting_sender*>& others, waiting_sender& who)
      : in(others), at(in.insert(in.end(), &who)) {}
    queued(const queued&) = delete;
    queued& operator=(const queued&) = delete;
    ~queued() {
      in.erase(at);
      if (!in.empty())
        in.front()->room.notify_one();
    }
    std::list<waiting_sender*>& in;
    std::list<waiting_sender*>::iterator at;
  };
  std::optional<queued> place(std::in_place, waiting_, self);
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
  place.reset();
  if (waiting_.empty() && !asking_.empty())
    connection_->wake(drain_link{}); // whose pull finds whom to tell
  return outcome;
}

bool link::notify_writable(const caf::actor& whom, std::size_t bytes) {
  std::vector<caf::actor> due;
  {
    std::unique_lock guard(mutex_);
    if (box_.is_closed()) {
      const auto next = successor_;
      guard.unlock();
      return next && next->notify_writable(whom, bytes);
    }
    const auto known = std::find_if(asking_.begin(), asking_.end(),
                                    [&](const auto& each) { return each.who == whom; });
    if (known != asking_.end())
      known->bytes = std::max(known->bytes, bytes);
    else
      asking_.push_back({whom, bytes});
    due = take_due();
  }
  tell_writable(due);
  return true;
}

// A hold takes no more than fits beside what the link before it may leave. What it answers otherwise,
// that it is over or the message too large, says its outbox.
bool link::fits_behind(std::size_t body_bytes) const noexcept {
  const auto frames = before_frames_.load();
  const auto before = before_bytes_.load();
  if ((frames == 0 && before == 0) || box_.is_closed() || body_bytes > box_.frame_bytes_max())
    return true;
  const auto bytes = before + box_.data_bytes() + codecs::frame_header_bytes;
  return bytes + body_bytes <= hold_bytes_max_ && frames + box_.data_frames() < hold_frames_max_;
}

bool link::has_room(std::size_t bytes) const {
  if (!fits_behind(bytes))
    return false;
  if (!box_.has_room(bytes) || box_.data_frames() == 0)
    return box_.data_frames() == 0;
  // A link takes from the budget in steps; with less than one left it would be congested again.
  const auto needed = box_.data_bytes() + codecs::frame_header_bytes + bytes;
  return needed + reserve_step_bytes <= reserved_bytes_
         || budget_->has(std::max(needed - std::min(needed, reserved_bytes_), reserve_step_bytes));
}

// Under the lock: who may be told now. Threads that wait go first.
std::vector<caf::actor> link::take_due() {
  std::vector<caf::actor> due;
  if (asking_.empty() || !waiting_.empty())
    return due;
  if (box_.is_closed()) {
    asking_.clear();
    return due;
  }
  const auto take = [&] {
    std::erase_if(asking_, [&](auto& each) {
      const auto may = has_room(each.bytes);
      if (may)
        due.push_back(std::move(each.who));
      return may;
    });
  };
  take();
  if (!asking_.empty() && box_.has_room()) { // the node's memory is what is short
    budget_->want(connection_);
    take();
  }
  return due;
}

// Without the lock: other people's mailboxes.
void link::tell_writable(const std::vector<caf::actor>& whom) const {
  for (const auto& each : whom)
    post(each, writable{peer_});
}

void link::serve_waiting() {
  if (waiting_.empty())
    return;
  if (box_.is_closed())
    for (auto* sender : waiting_)
      sender->room.notify_one();
  else if (box_.has_room())
    waiting_.front()->room.notify_one();
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

void link::bounds(const limits& changed) {
  std::lock_guard guard(mutex_);
  box_.bounds(changed);
  box_.frame_bytes_max(changed.frame_bytes_max);
}

void link::open(const node_id& peer, std::uint32_t frame_bytes_max) {
  std::lock_guard guard(mutex_);
  peer_ = peer;
  box_.frame_bytes_max(frame_bytes_max);
}

// What `take` leaves waits for credit or for the socket, and either brings the connection back here.
template <class Take>
bool link::pull_by(Take take) {
  std::vector<caf::actor> due;
  bool more = false;
  {
    std::lock_guard guard(mutex_);
    more = take(box_);
    settle_reserve();
    awake_ = box_.data_frames() > 0;
    serve_waiting();
    if (!asking_.empty())
      due = take_due();
  }
  tell_writable(due);
  return more;
}

void link::pull(bus::session& session, time_point now) {
  pull_by([&](bus::outbox& box) {
    const auto bytes = box.data_bytes() + session.wire_bytes();
    const auto frames = box.data_frames();
    session.pull(box, now);
    if (!successor_ || !box.is_closed() || has_left_)
      return false;
    has_left_ = session.at() >= bus::phase::lingering;
    successor_->before_bytes_ = has_left_ ? bytes : box.data_bytes() + session.wire_bytes();
    successor_->before_frames_ = has_left_ ? frames : box.data_frames();
    return false;
  });
}

bool link::pull(bus::node& core) {
  return pull_by([&](bus::outbox& box) { return core.deliver_own(box); });
}

void link::pull_all(bus::node& core) {
  pull_by([&](bus::outbox& box) {
    core.deliver_all_own(box);
    return false;
  });
}

void link::shut() {
  pull_by([&](bus::outbox& box) {
    box.close();
    box.clear();
    return false;
  });
}

// -- messages that are held ---------------------------------------------------------

link::link(const link& like, std::size_t bytes_max, std::uint64_t frames_max)
  : peer_(like.peer_), is_hold_(true), hold_bytes_max_(bytes_max), hold_frames_max_(frames_max),
    budget_(like.budget_), connection_(std::make_shared<waker>()), box_(bytes_max, frames_max) {
  box_.frame_bytes_max(like.box_.frame_bytes_max());
}

void link::successor(std::shared_ptr<link> next) {
  std::lock_guard guard(mutex_);
  if (next && box_.is_closed()) { // over before it was known: what was handed over to it goes on
    next->before_bytes_ = box_.data_bytes();
    next->before_frames_ = box_.data_frames();
  }
  successor_ = std::move(next);
}

void link::put_first(bus::fifo<bus::outgoing> frames) {
  std::vector<caf::actor> due;
  {
    std::lock_guard guard(mutex_);
    box_.put_first(std::move(frames));
    before_bytes_ = 0;
    before_frames_ = 0;
    if (box_.data_bytes() > reserved_bytes_) { // they had their place in an outbox, and keep it
      budget_->overdraw(box_.data_bytes() - reserved_bytes_);
      reserved_bytes_ = box_.data_bytes();
    }
    serve_waiting();
    due = take_due();
  }
  tell_writable(due);
}

// Both locks are held: nobody else ever holds two.
bus::fifo<bus::outgoing> link::hand_over(link& to) {
  bus::fifo<bus::outgoing> frames;
  box_.take_data(frames);
  std::vector<asking_actor> asking;
  asking.swap(asking_);
  std::lock_guard guard(to.mutex_);
  auto refused = to.box_.put_first(std::move(frames));
  to.reserved_bytes_ += std::exchange(reserved_bytes_, 0);
  to.asking_.insert(to.asking_.end(), asking.begin(), asking.end());
  to.awake_ = true;
  to.connection_->wake(drain_link{});
  return refused;
}

void link::end_hold() {
  box_.close();
  asking_.clear();
  serve_waiting();
}

bus::fifo<bus::outgoing> link::take_all() {
  std::lock_guard guard(mutex_);
  bus::fifo<bus::outgoing> frames;
  box_.take_data(frames);
  settle_reserve();
  end_hold();
  return frames;
}

std::uint64_t link::frames_waiting() {
  std::lock_guard guard(mutex_);
  return box_.data_frames();
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
      if (!to->is_hold())
        all.push_back(peer);
  }
  return all;
}

std::size_t directory::size() const {
  std::size_t sum = 0;
  for (const auto& in : shards_) {
    std::shared_lock guard(in.mutex);
    for (const auto& [peer, to] : in.links)
      sum += to->is_hold() ? 0 : 1;
  }
  return sum;
}

} // namespace postbus::actors
