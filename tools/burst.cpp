#include "postbus/tools/burst.hpp"

#include "postbus/codecs/chunk_pool.hpp"

#include <array>
#include <cstring>
#include <thread>

namespace tool {

namespace {

using clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto time_max = 60s; // for the whole of a burst
constexpr std::size_t word_bytes = sizeof(std::uint64_t);
constexpr std::size_t small_bytes_max = 1024;

constexpr std::uint64_t scrambled(std::uint64_t number) noexcept {
  number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9u;
  number = (number ^ (number >> 27)) * 0x94d049bb133111ebu;
  return number ^ (number >> 31);
}

// Counts until `expected` messages are there, or no more come.
tally receive(postbus::inbox& inbox, std::uint64_t expected, clock::time_point deadline) {
  tally found;
  while (found.messages < expected) {
    const auto messages = inbox.next_batch(deadline - clock::now());
    if (!messages)
      break;
    for (const auto& each : *messages)
      found.add(each.bytes());
  }
  return found;
}

// Small ones are made one by one and copied by `send_bytes`.
tally send_small(const burst& what, postbus::sender& to) {
  tally sent;
  std::array<std::uint64_t, small_bytes_max / word_bytes> words;
  const auto body = std::as_bytes(std::span(words)).first(what.size_bytes);
  for (std::uint64_t number = 0; number < what.messages; ++number) {
    for (std::size_t at = 0; at < what.size_bytes / word_bytes; ++at)
      words[at] = number * 0x9e3779b97f4a7c15u + at;
    if (to.send_bytes(body, {.within = time_max}) != postbus::send_outcome::accepted)
      break;
    sent.add(body);
  }
  return sent;
}

// Large ones are slices of one chunk, each a word further on, and are not copied.
tally send_large(const burst& what, postbus::sender& to) {
  tally sent;
  const auto bytes = what.size_bytes + what.messages * word_bytes;
  auto chunk = postbus::codecs::chunk_pool::take(bytes);
  for (std::size_t at = 0; at + word_bytes <= bytes; at += word_bytes) {
    const auto word = scrambled(at + 1);
    std::memcpy(chunk->data() + at, &word, sizeof word);
  }
  const auto* begin = chunk->data();
  const postbus::payload all(std::move(chunk), begin, bytes);
  for (std::uint64_t number = 0; number < what.messages; ++number) {
    const auto body = all.slice(number * word_bytes, what.size_bytes);
    if (to.send_bytes(body, {.within = time_max}) != postbus::send_outcome::accepted)
      break;
    sent.add(body.bytes());
  }
  return sent;
}

} // namespace

void tally::add(std::span<const std::byte> body) noexcept {
  std::uint64_t sum = 0;
  for (std::size_t at = 0; at + word_bytes <= body.size(); at += word_bytes) {
    std::uint64_t word;
    std::memcpy(&word, body.data() + at, sizeof word);
    sum += word;
  }
  checksum = (checksum ^ sum) * 0x9e3779b97f4a7c15u;
  ++messages;
  bytes += body.size();
}

burst_result run(const burst& what, postbus::sender from, postbus::inbox& inbox) {
  burst_result result;
  const auto begun = clock::now();
  std::thread receiver([&] { result.received = receive(inbox, what.messages, begun + time_max); });
  result.sent =
    what.size_bytes <= small_bytes_max ? send_small(what, from) : send_large(what, from);
  receiver.join();
  result.time = clock::now() - begun;
  return result;
}

} // namespace tool
