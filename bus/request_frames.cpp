#include "postbus/bus/request_frames.hpp"

#include "postbus/bus/control.hpp"
#include "postbus/codecs/chunk_pool.hpp"
#include "postbus/codecs/frame.hpp"

#include <cstring>

namespace postbus::bus {

namespace {

constexpr std::uint32_t no_time_limit = UINT32_MAX;
constexpr std::size_t failure_prefix_bytes = correlation_bytes + 2 + 4;

error malformed(const char* what) {
  return {errc::malformed_frame, blame::remote, what};
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

} // namespace

// -- writing ------------------------------------------------------------------------------

std::array<std::byte, correlation_bytes> encode_correlation(correlation_id id) noexcept {
  std::array<std::byte, correlation_bytes> out{};
  codecs::store(out.data(), id);
  return out;
}

std::array<std::byte, request_prefix_bytes> encode_request_prefix(correlation_id id,
                                                                  duration time_left) noexcept {
  std::array<std::byte, request_prefix_bytes> out{};
  codecs::store(out.data(), id);
  const auto left =
    std::chrono::ceil<std::chrono::milliseconds>(std::max(time_left, duration::zero())).count();
  codecs::store(out.data() + correlation_bytes, left < std::int64_t{no_time_limit}
                                                  ? static_cast<std::uint32_t>(left)
                                                  : no_time_limit);
  return out;
}

payload encode_failure_body(correlation_id id, const failure& what) {
  const auto text = clean_text(what.text, failure_bytes_max - failure_prefix_bytes);
  auto chunk = codecs::chunk_pool::take(failure_prefix_bytes + text.size());
  auto* at = chunk->data();
  codecs::store(at, id);
  codecs::store(at + 4, static_cast<std::uint16_t>(what.reason));
  codecs::store(at + 6, what.reason == errc::request_failed ? what.code : std::uint32_t{0});
  if (!text.empty())
    std::memcpy(at + failure_prefix_bytes, text.data(), text.size());
  return {std::move(chunk), at, failure_prefix_bytes + text.size()};
}

// -- reading ------------------------------------------------------------------------------

result<request_body> decode_request(std::span<const std::byte> body) {
  if (body.size() < request_prefix_bytes)
    return malformed("request: it is cut short");
  const auto left = codecs::load<std::uint32_t>(body.data() + correlation_bytes);
  return request_body{codecs::load<std::uint32_t>(body.data()),
                      left == no_time_limit ? duration::max()
                                            : duration(std::chrono::milliseconds(left)),
                      body.subspan(request_prefix_bytes)};
}

result<response_body> decode_response(std::span<const std::byte> body) {
  if (body.size() < correlation_bytes)
    return malformed("response: it is cut short");
  return response_body{codecs::load<std::uint32_t>(body.data()), body.subspan(correlation_bytes)};
}

result<failure_body> decode_failure(std::span<const std::byte> body) {
  if (body.size() < failure_prefix_bytes)
    return malformed("failure: it is cut short");
  const auto reason = reason_from_wire(codecs::load<std::uint16_t>(body.data() + 4));
  return failure_body{
    codecs::load<std::uint32_t>(body.data()),
    {reason, reason == errc::request_failed ? codecs::load<std::uint32_t>(body.data() + 6) : 0,
     clean_text(text_of(body.subspan(failure_prefix_bytes)))}};
}

result<correlation_id> decode_cancel(std::span<const std::byte> body) {
  if (body.size() != correlation_bytes)
    return malformed("cancel: it is not 4 bytes");
  return codecs::load<std::uint32_t>(body.data());
}

} // namespace postbus::bus
