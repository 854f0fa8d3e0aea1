// fifo: first in, first out, with memory only while something waits.
#include "postbus/bus/fifo.hpp"

#include <doctest/doctest.h>

#include <deque>
#include <memory>
#include <random>

using postbus::bus::fifo;

TEST_CASE("what goes in first comes out first") {
  fifo<int> queue;
  CHECK(queue.empty());
  for (int value = 0; value < 100; ++value)
    CHECK(queue.push_back(value) == value);
  CHECK(queue.size() == 100);
  CHECK(queue.back() == 99);
  for (int value = 0; value < 100; ++value) {
    CHECK(queue.front() == value);
    queue.pop_front();
  }
  CHECK(queue.empty());
}

TEST_CASE("what is taken away is let go at once") {
  fifo<std::shared_ptr<int>> queue;
  const auto value = std::make_shared<int>(1);
  queue.push_back(value);
  queue.push_back(value);
  queue.pop_front();
  CHECK(value.use_count() == 2);
  queue.clear();
  CHECK(value.use_count() == 1);
}

TEST_CASE("a queue that was moved from is empty and can be used again") {
  fifo<int> from;
  for (int value = 0; value < 5; ++value)
    from.push_back(value);
  from.pop_front();
  fifo<int> to = std::move(from);
  CHECK(from.empty()); // NOLINT(bugprone-use-after-move): that is the promise
  CHECK(to.size() == 4);
  from.push_back(7);
  CHECK(from.front() == 7);
  from = std::move(to);
  CHECK(from.front() == 1);
  CHECK(to.empty()); // NOLINT(bugprone-use-after-move)
  auto copy = from;
  copy.pop_front();
  CHECK(from.front() == 1);
  CHECK(copy.front() == 2);
}

TEST_CASE("a queue that is never empty does not grow for ever, whatever its length") {
  fifo<std::size_t> queue;
  std::deque<std::size_t> model;
  std::mt19937_64 random(4);
  for (std::size_t step = 0; step < 20000; ++step) {
    if (model.size() < 3 || random() % 2 == 0) {
      queue.push_back(step);
      model.push_back(step);
    } else {
      queue.pop_front();
      model.pop_front();
    }
    REQUIRE(queue.size() == model.size());
    REQUIRE(queue.front() == model.front());
    REQUIRE(queue.back() == model.back());
    REQUIRE(queue[model.size() / 2] == model[model.size() / 2]);
  }
  queue.shrink(); // does nothing while something waits
  CHECK(queue.size() == model.size());
}
