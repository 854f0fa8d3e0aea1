#include "postbus/bus/requests.hpp"

#include "postbus/bus/overloaded.hpp"
#include "postbus/bus/request_frames.hpp"

#include <algorithm>
#include <array>

namespace postbus::bus {

namespace {

using codecs::frame_header;
using codecs::frame_kind;

constexpr std::uint64_t ours_bit = std::uint64_t{1} << 32;

// What the session has room for on the wire bounds these, not the lane itself.
limits without_bounds(limits bounds) noexcept {
  bounds.outbox_bytes_max = SIZE_MAX;
  bounds.outbox_frames_max = UINT64_MAX;
  return bounds;
}

std::uint8_t flags_for(bool opaque) noexcept {
  return opaque ? codecs::frame_flag::correlated | codecs::frame_flag::opaque
                : codecs::frame_flag::correlated;
}

} // namespace

result<reply> told_as(request_answer answer) {
  if (auto* good = std::get_if<response>(&answer))
    return reply{std::move(good->body), good->tag, good->opaque, {}};
  auto& no = std::get<failure>(answer);
  if (no.reason == errc::request_failed)
    return reply{{}, 0, false, request_failure{no.code, std::move(no.text)}};
  return error{no.reason, blame::remote, std::move(no.text)};
}

requests::requests(const limits& bounds, std::uint32_t frame_bytes_max) noexcept
  : count_max_(bounds.requests_in_flight_max), bytes_max_(bounds.request_bytes_in_flight_max),
    frame_bytes_max_(frame_bytes_max), answers_bytes_max_(bounds.outbox_bytes_max),
    box_(without_bounds(bounds)) {}

void requests::push(frame_header header, std::span<const std::byte> prefix, const payload& body) {
  box_.push(outbox::lane::data, header, prefix, body);
}

// -- we ask -----------------------------------------------------------------------

void requests::ask(const request& what, time_point now) {
  auto& added = asked_by_us_[what.id];
  added.deadline = what.deadline;
  ++awaited_;
  if (what.deadline != never)
    times_.emplace(what.deadline, what.id | ours_bit);
  const auto prefix = encode_request_prefix(what.id, what.deadline - now);
  push({.kind = frame_kind::request, .flags = flags_for(what.opaque), .tag = what.tag}, prefix,
       what.body);
}

void requests::no_longer_awaited(open& what) {
  awaited_ -= std::exchange(what.awaited, false) ? 1 : 0;
}

void requests::cancel(correlation_id id) {
  const auto found = asked_by_us_.find(id);
  if (found == asked_by_us_.end() || !found->second.awaited)
    return;
  no_longer_awaited(found->second);
  times_.erase({found->second.deadline, id | ours_bit});
  push({.kind = frame_kind::cancel, .flags = codecs::frame_flag::correlated},
       encode_correlation(id), {});
}

bool requests::settle(correlation_id id) {
  const auto found = asked_by_us_.find(id);
  if (found == asked_by_us_.end())
    return false;
  no_longer_awaited(found->second);
  times_.erase({found->second.deadline, id | ours_bit});
  asked_by_us_.erase(found);
  return true;
}

// -- the peer asks ------------------------------------------------------------------

errc requests::take(correlation_id id, std::size_t frame_bytes, time_point deadline) {
  if (asked_of_us_.contains(id))
    return errc::unexpected_frame;
  if (asked_of_us_.size() + answers_waiting_.size() >= count_max_
      || asked_of_us_bytes_ >= bytes_max_)
    return errc::window_exceeded;
  asked_of_us_.emplace(id, open{deadline, frame_bytes, false});
  asked_of_us_bytes_ += frame_bytes;
  if (deadline != never)
    times_.emplace(deadline, id);
  return errc::none;
}

void requests::answer(correlation_id id, const request_answer& what) {
  const auto found = asked_of_us_.find(id);
  if (found == asked_of_us_.end())
    return;
  times_.erase({found->second.deadline, id});
  asked_of_us_bytes_ -= found->second.frame_bytes;
  asked_of_us_.erase(found);
  std::visit(overloaded{
               [&](const response& good) {
                 if (good.body.size() + correlation_bytes > frame_bytes_max_)
                   return push_failure(id, {errc::too_large, 0, "the response"});
                 if (!queue_empty() && box_.data_bytes() + good.body.size() > answers_bytes_max_)
                   return push_failure(id, {errc::congested, 0, "too many answers wait"});
                 push_answer(
                   {.kind = frame_kind::response, .flags = flags_for(good.opaque), .tag = good.tag},
                   encode_correlation(id), good.body);
               },
               [&](const failure& no) { push_failure(id, no); },
             },
             what);
}

void requests::push_failure(correlation_id id, const failure& what) {
  const auto body = encode_failure_body(id, what);
  push_answer({.kind = frame_kind::failure, .flags = codecs::frame_flag::correlated}, body.bytes(),
              {});
}

void requests::push_answer(frame_header header, std::span<const std::byte> prefix,
                           const payload& body) {
  answers_waiting_.push_back(frames_pulled_ + box_.data_frames());
  push(header, prefix, body);
}

// -- time -------------------------------------------------------------------------

std::optional<requests::due> requests::pop_due(time_point now) {
  if (times_.empty() || times_.begin()->first > now)
    return std::nullopt;
  const auto key = times_.begin()->second;
  times_.erase(times_.begin());
  return due{static_cast<correlation_id>(key), (key & ours_bit) != 0};
}

// -- out --------------------------------------------------------------------------

void requests::pull(fifo<outgoing>& wire, std::size_t bytes_max) {
  frames_pulled_ += box_.take(wire, {bytes_max, UINT64_MAX}).frames;
  while (!answers_waiting_.empty() && answers_waiting_.front() < frames_pulled_)
    answers_waiting_.pop_front();
}

} // namespace postbus::bus
