// chunk_pool: chunks come back, outlive their thread, and stay within their bounds.
#include "postbus/codecs/chunk_pool.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

using namespace postbus;
using namespace postbus::codecs;

namespace {

constexpr std::size_t pooled_bytes_max =
  (std::size_t{1} << chunk_pool::largest_exponent) + chunk_pool::slack_bytes;

} // namespace

TEST_CASE("a chunk holds at least what was asked for and is held by one") {
  for (const std::size_t bytes : std::initializer_list<std::size_t>{
         0, 1, 255, 511, 512, 513, 768, 769, 4352, 4353, 65'536, 65'544, 131'072, 1'048'584,
         1'048'832, 1'048'833, 5'000'000}) {
    CAPTURE(bytes);
    chunk_ptr held = chunk_pool::take(bytes);
    CHECK(held->capacity() >= bytes);
    CHECK(held->capacity() <= std::max<std::size_t>(512, 2 * bytes));
    CHECK(held->unique());
    CHECK(reinterpret_cast<std::uintptr_t>(held->data()) % 16 == 0);
    std::memset(held->data(), 0x5a, held->capacity());
  }
}

TEST_CASE("a payload of 2^n bytes and its header fit a chunk of that size") {
  for (unsigned n = chunk_pool::smallest_exponent; n <= chunk_pool::largest_exponent; ++n) {
    CAPTURE(n);
    const std::size_t bytes = std::size_t{1} << n;
    CHECK(chunk_pool::take(bytes + chunk_pool::slack_bytes)->capacity()
          == bytes + chunk_pool::slack_bytes);
  }
}

TEST_CASE("the last holder gives a chunk back, and the next one to take gets it again") {
  chunk_ptr first = chunk_pool::take(1000);
  const chunk* known = first.get();
  chunk_ptr second = first;
  chunk_ptr third = chunk_ptr::share(*second);
  CHECK_FALSE(first->unique());
  first = {};
  third = {};
  CHECK(second->unique());
  second = {};
  chunk_ptr again = chunk_pool::take(1000);
  CHECK(again.get() == known);
  CHECK(again->unique());
}

TEST_CASE("the bytes held are counted, whatever the size") {
  const std::size_t before = chunk_pool::held_bytes();
  {
    std::vector<chunk_ptr> held;
    std::size_t sum = 0;
    for (std::size_t bytes = 1; bytes < 3 * pooled_bytes_max; bytes = bytes * 3 + 1) {
      held.push_back(chunk_pool::take(bytes));
      sum += held.back()->capacity();
      CHECK(chunk_pool::held_bytes() == before + sum);
    }
  }
  CHECK(chunk_pool::held_bytes() == before);
}

TEST_CASE("what lies unused stays within its bounds, and trim frees it") {
  const std::size_t before = chunk_pool::held_bytes();
  for (std::size_t bytes : {std::size_t{100}, std::size_t{65'536}, std::size_t{1} << 20}) {
    std::vector<chunk_ptr> held;
    for (std::size_t sum = 0; sum < 2 * chunk_pool::kept_bytes_max; sum += held.back()->capacity())
      held.push_back(chunk_pool::take(bytes));
    held.clear();
    CHECK(chunk_pool::kept_bytes() > 0);
    CHECK(chunk_pool::kept_bytes() <= chunk_pool::kept_bytes_max + chunk_pool::thread_bytes_max);
    CHECK(chunk_pool::held_bytes() == before);
  }
  chunk_pool::trim();
  CHECK(chunk_pool::kept_bytes() == 0);
}

TEST_CASE("a chunk outlives the thread that took it, and goes back on any other") {
  const std::size_t before = chunk_pool::held_bytes();
  std::vector<chunk_ptr> held;
  std::thread([&] {
    for (std::size_t i = 0; i < 300; ++i) {
      held.push_back(chunk_pool::take(300));
      std::memset(held.back()->data(), static_cast<int>(i), 300);
    }
  }).join();
  for (std::size_t i = 0; i < held.size(); ++i)
    CHECK(held[i]->data()[299] == static_cast<std::byte>(i));
  held.clear();
  CHECK(chunk_pool::held_bytes() == before);
}

TEST_CASE("a chunk may be let go and taken when its thread has nothing left of the pool") {
  // Destroyed behind the thread's store, because it was made before it.
  struct late {
    chunk_ptr kept;
    ~late() {
      chunk_ptr another = chunk_pool::take(2000);
      std::memset(another->data(), 1, 2000);
      kept = {};
    }
  };
  const std::size_t before = chunk_pool::held_bytes();
  std::thread([] {
    thread_local late last;
    late& made_first = last;
    made_first.kept = chunk_pool::take(1000);
  }).join();
  CHECK(chunk_pool::held_bytes() == before);
}

TEST_CASE("one thread takes, another gives back: all bytes arrive and the same chunks go round") {
  constexpr std::size_t messages = 20'000;
  const std::size_t before = chunk_pool::held_bytes();
  std::mutex lock;
  std::deque<chunk_ptr> way;
  std::size_t wrong = 0;

  std::thread giver([&] {
    for (std::size_t received = 0; received < messages;) {
      std::deque<chunk_ptr> batch;
      {
        std::lock_guard guard(lock);
        batch.swap(way);
      }
      for (const chunk_ptr& each : batch) {
        std::size_t number;
        std::memcpy(&number, each->data(), sizeof number);
        wrong += number != received++ ? 1 : 0;
      }
      if (batch.empty())
        std::this_thread::yield();
    }
  });
  for (std::size_t number = 0; number < messages;) {
    std::lock_guard guard(lock);
    for (; number < messages && way.size() < 256; ++number) {
      way.push_back(chunk_pool::take(600));
      std::memcpy(way.back()->data(), &number, sizeof number);
    }
  }
  giver.join();
  CHECK(wrong == 0);
  CHECK(chunk_pool::held_bytes() == before);
  // Far fewer chunks than messages were ever made.
  CHECK(chunk_pool::kept_bytes() < messages * 768 / 4 + chunk_pool::thread_bytes_max);
}

TEST_CASE("holders in many threads let go of the same chunk, and it goes back once") {
  const std::size_t before = chunk_pool::held_bytes();
  for (int round = 0; round < 50; ++round) {
    chunk_ptr held = chunk_pool::take(64);
    held->data()[0] = std::byte{7};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([mine = held] { CHECK(mine->data()[0] == std::byte{7}); });
    held = {};
    for (std::thread& each : threads)
      each.join();
  }
  CHECK(chunk_pool::held_bytes() == before);
}

TEST_CASE("a slice shares its chunk, a copy has one of its own") {
  const payload whole = payload::copy_of("letters in a box");
  const payload slice = whole.slice(11, 5);
  CHECK(slice.text() == "a box");
  CHECK(slice.owner() == whole.owner());
  const payload copy = slice.copy();
  CHECK(copy == slice);
  CHECK(copy.owner() != whole.owner());
  CHECK(payload::copy_of("").empty());
  CHECK_FALSE(payload::copy_of("").owner());
  CHECK(payload{} == payload::copy_of(""));
}
