// asked: what a node's actor answers to a typed message, for a test that waits for it.
#pragma once

#include "postbus/tests/support/expect.hpp"

#include <optional>
#include <string>

namespace postbus::test {

/// What an asked actor answers; an error fails the test with its text.
template <class T, class Question>
T asked(caf::scoped_actor& self, const node_actor& of, Question question) {
  std::optional<T> answer;
  std::string failed;
  ask(&*self, of, patience, std::move(question))
    .receive([&](const T& value) { answer = value; },
             [&](const caf::error& why) { failed = render(why); });
  REQUIRE_MESSAGE(answer.has_value(), failed);
  return *answer;
}

/// The same for what is answered with an error.
template <class T, class Question>
caf::error refused(caf::scoped_actor& self, const node_actor& of, Question question) {
  caf::error why;
  ask(&*self, of, patience, std::move(question))
    .receive([&](const T&) { FAIL("was answered"); }, [&](const caf::error& said) { why = said; });
  return why;
}

/// The same for what is answered with nothing more than that it is done.
template <class Question>
void asked_to(caf::scoped_actor& self, const node_actor& of, Question question) {
  std::string failed = "no answer";
  ask(&*self, of, patience, std::move(question))
    .receive([&] { failed.clear(); }, [&](const caf::error& why) { failed = render(why); });
  REQUIRE_MESSAGE(failed.empty(), failed);
}

template <class Question>
caf::error refused_to(caf::scoped_actor& self, const node_actor& of, Question question) {
  caf::error why;
  ask(&*self, of, patience, std::move(question))
    .receive([&] { FAIL("was done"); }, [&](const caf::error& said) { why = said; });
  return why;
}

} // namespace postbus::test
