#include "postbus/actors/inbox.hpp"

#include "postbus/actors/inbox_queue.hpp"
#include "postbus/actors/node_access.hpp"
#include "postbus/actors/subscribing.hpp"

namespace postbus {

namespace {

// What an inbox answers that was moved away, or is over.
error moved_from() {
  return {errc::node_closed, blame::local, "this inbox was moved away"};
}

} // namespace

inbox::inbox(std::shared_ptr<actors::inbox_queue> queue, std::shared_ptr<actors::node_access> of,
             std::uint64_t id) noexcept
  : queue_(std::move(queue)), of_(std::move(of)), id_(id) {}

inbox::inbox(inbox&&) noexcept = default;

inbox& inbox::operator=(inbox&& other) noexcept {
  if (this != &other) {
    end();
    queue_ = std::move(other.queue_);
    of_ = std::move(other.of_);
    id_ = other.id_;
  }
  return *this;
}

inbox::~inbox() {
  end();
}

void inbox::end() noexcept {
  if (!queue_)
    return;
  queue_->abandon(moved_from());
  if (id_ != 0)
    of_->shell()->wake(actors::ask_unsubscribe{id_});
}

result<inbox::either> inbox::next(duration within) {
  return queue_ ? queue_->next(within) : moved_from();
}

result<message> inbox::next_message(duration within) {
  return queue_ ? queue_->next_message(within) : moved_from();
}

result<batch> inbox::next_batch(duration within) {
  return queue_ ? queue_->next_batch(within) : moved_from();
}

result<node_event> inbox::next_event(duration within) {
  return queue_ ? queue_->next_event(within) : moved_from();
}

result<std::optional<inbox::either>> inbox::try_next() {
  return queue_ ? queue_->try_next() : moved_from();
}

result<int> inbox::descriptor() {
  return queue_ ? queue_->descriptor() : moved_from();
}

result<subscription_counters> inbox::counters() const {
  return queue_ ? actors::count_messages_of(*of_, id_) : moved_from();
}

} // namespace postbus
