// errc: every reason has a name, words and a number on the wire, and reads back as itself.
#include "postbus/codecs/errc.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

using namespace postbus;

namespace {

/// Every errc there is: the numbers that are read from the wire as themselves.
std::vector<errc> all_errcs() {
  std::vector<errc> all;
  for (unsigned number = 0; number <= 0xffff; ++number) {
    const errc code = errc_from_wire(static_cast<std::uint16_t>(number));
    if (static_cast<unsigned>(code) == number)
      all.push_back(code);
  }
  return all;
}

} // namespace

TEST_CASE("every errc has a name of its own and a sentence of its own") {
  std::set<std::string_view> names;
  std::set<std::string_view> sentences;
  for (errc code : all_errcs()) {
    const std::string_view name = to_string(code);
    const std::string_view sentence = describe(code);
    CAPTURE(name);
    CHECK(names.insert(name).second);
    CHECK(sentences.insert(sentence).second);
    CHECK(std::all_of(name.begin(), name.end(),
                      [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; }));
    CHECK(sentence.size() > 10);
    CHECK(sentence.back() != '.');
    CHECK((sentence.front() >= 'a' && sentence.front() <= 'z'));
  }
}

TEST_CASE("a number that no errc has reads as unknown") {
  const std::vector<errc> all = all_errcs();
  for (unsigned number = 0; number <= 0xffff; ++number) {
    const errc code = static_cast<errc>(number);
    const bool known = std::find(all.begin(), all.end(), code) != all.end();
    REQUIRE(errc_from_wire(static_cast<std::uint16_t>(number)) == (known ? code : errc::unknown));
  }
}

TEST_CASE("the numbers on the wire never change") {
  // One of each group; a group keeps its order, so a number inserted before shows here too.
  CHECK(errc_from_wire(0) == errc::none);
  CHECK(errc_from_wire(1) == errc::unknown);
  CHECK(errc_from_wire(13) == errc::canceled);
  CHECK(errc_from_wire(30) == errc::too_many_connections);
  CHECK(errc_from_wire(45) == errc::window_exceeded);
  CHECK(errc_from_wire(64) == errc::connection_reset);
  CHECK(errc_from_wire(95) == errc::handler_lost);
  CHECK(errc_from_wire(96) == errc::subscriber_too_slow);
  CHECK(errc_from_wire(115) == errc::malformed_value);
}
