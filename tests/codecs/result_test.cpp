// result: a value or an error, never both and never neither.
#include "postbus/codecs/result.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <type_traits>

using namespace postbus;

namespace {

result<std::string> word(bool good) {
  if (!good)
    return error{errc::connect_failed, blame::remote, "127.0.0.1:9: Connection refused"};
  return std::string("word");
}

} // namespace

TEST_CASE("a result is its value or its error") {
  const result<std::string> good = word(true);
  REQUIRE(good);
  CHECK(*good == "word");
  CHECK(good->size() == 4);
  CHECK(good.value_or("other") == "word");

  const result<std::string> bad = word(false);
  REQUIRE_FALSE(bad.has_value());
  CHECK(bad.error() == errc::connect_failed);
  CHECK(bad.error().by == blame::remote);
  CHECK(bad.value_or("other") == "other");
  CHECK(result<int>(errc::timeout).error() == error{errc::timeout, blame::local, {}});
}

TEST_CASE("a result of nothing is success or an error") {
  result<void> good;
  CHECK(good);
  result<void> bad = errc::closed;
  REQUIRE_FALSE(bad);
  CHECK(bad.error() == errc::closed);
  CHECK(std::move(bad).error().code == errc::closed);
}

TEST_CASE("a value that can only be moved goes in and out of a result") {
  result<std::unique_ptr<int>> held = std::make_unique<int>(5);
  REQUIRE(held);
  const std::unique_ptr<int> taken = *std::move(held);
  CHECK(*taken == 5);
}

TEST_CASE("an error reads as a sentence that says which side it lies on") {
  CHECK(to_string(word(false).error())
        == "connect_failed (remote): no address could be reached: 127.0.0.1:9: Connection refused");
  CHECK(to_string(error{errc::timeout, blame::local, {}})
        == "timeout (local): the deadline passed");
}
