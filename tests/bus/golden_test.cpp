// golden: the conversations in tests/golden/*.md, held with a real session: whole, cut at every byte,
// and byte by byte. How a file is written is told in tests/golden/README.md.
#include "postbus/tests/support/lone_session.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

using namespace postbus;
using namespace postbus::test;

namespace {

struct line {
  char sign;
  std::string text;
};

struct conversation {
  std::string name;
  bus::session::options how;
  std::vector<line> lines;
};

/// Hexadecimal bytes and texts in quotes, up to `;`.
std::string bytes_of(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size() && text[at] != ';';) {
    if (text[at] == ' ') {
      ++at;
    } else if (text[at] == '"') {
      for (++at; text.at(at) != '"'; ++at)
        if (text[at] == '\\' && text.at(++at) == 'n')
          out += '\n';
        else
          out += text[at];
      ++at;
    } else {
      out += static_cast<char>(std::stoi(text.substr(at, 2), nullptr, 16));
      at += 2;
    }
  }
  return out;
}

std::string hex(std::string_view bytes) {
  std::ostringstream out;
  out << std::hex;
  for (const auto byte : std::as_bytes(std::span(bytes)))
    out << (byte < std::byte{16} ? "0" : "") << std::to_integer<unsigned>(byte) << ' ';
  return out.str();
}

void set_option(bus::session::options& how, const std::string& name, const std::string& value) {
  if (name == "role")
    how.role = value == "dialer" ? bus::session::role::dialer : bus::session::role::listener;
  else if (name == "window")
    how.bounds.window_bytes_min = how.bounds.window_bytes_max = std::stoul(value);
  else if (name == "expects")
    how.self.expected = *node_id::parse(value);
  else if (name == "init")
    how.self.init = payload::copy_of(value);
  else
    FAIL("no such option: " << name);
}

conversation parse(const std::filesystem::path& file) {
  conversation out{file.stem().string(), {}, {}};
  out.how.self.id = id_of(0xbb);
  out.how.self.incarnation = 0x0202020202020202;
  std::ifstream in(file);
  bool quoted = false;
  for (std::string text; std::getline(in, text);) {
    if (text.starts_with("```"))
      quoted = !quoted;
    else if (quoted && text.size() > 2)
      out.lines.push_back({text[0], text.substr(2)});
    else if (const auto colon = text.find(": ");
             text.starts_with("- ") && colon != std::string::npos)
      set_option(out.how, text.substr(2, colon - 2), text.substr(colon + 2));
  }
  REQUIRE_MESSAGE(!quoted, file);
  REQUIRE_MESSAGE(!out.lines.empty(), file);
  return out;
}

void command(lone_session& tested, const std::string& text) {
  std::istringstream in(text);
  std::string name;
  std::string first;
  in >> name >> first;
  const auto quoted = text.find('"');
  const auto words =
    quoted == std::string::npos ? "" : text.substr(quoted + 1, text.size() - quoted - 2);
  const auto number = [](const std::string& digits) {
    return static_cast<std::uint32_t>(std::stoul(digits));
  };
  const auto next_number = [&] {
    std::string digits;
    in >> digits;
    return number(digits);
  };
  if (name == "accept")
    tested.accept();
  else if (name == "refuse")
    tested.refuse({errc::rejected, blame::local, words});
  else if (name == "close")
    tested.close({errc::closed, blame::local, {}}, std::chrono::seconds(5));
  else if (name == "send")
    CHECK(tested.send(words, static_cast<std::uint16_t>(std::stoul(first)))
          == send_outcome::accepted);
  else if (name == "ask") { // ask ID TAG MILLISECONDS "text"
    const auto tag = static_cast<std::uint16_t>(next_number());
    tested.ask(number(first), words, tag, std::chrono::milliseconds(next_number()));
  } else if (name == "cancel")
    tested.cancel(number(first));
  else if (name == "answer")
    tested.answer(number(first), bus::response{payload::copy_of(words), 0, true});
  else if (name == "fail") // fail ID CODE "text"
    tested.answer(number(first), bus::failure{errc::request_failed, next_number(), words});
  else if (name == "pass")
    tested.pass(std::chrono::milliseconds(std::stol(first)));
  else if (name == "hold")
    tested.hold(true);
  else if (name == "let_go")
    tested.hold(false);
  else if (name == "probe")
    tested.probe();
  else if (name == "end_of_input")
    tested.end_of_input();
  else
    FAIL("no such command: " << text);
}

/// Holds it; `cut` is after how many bytes of each turn the session sees the rest, 0 byte by byte.
void hold(const conversation& what, std::size_t cut) {
  CAPTURE(what.name);
  CAPTURE(cut);
  lone_session tested(what.how);
  for (std::size_t at = 0; at < what.lines.size();) {
    std::string input;
    for (; at < what.lines.size() && what.lines[at].sign == '>'; ++at)
      input += bytes_of(what.lines[at].text);
    const auto bytes = std::as_bytes(std::span(input));
    if (cut == 0) {
      for (std::size_t index = 0; index < bytes.size(); ++index)
        tested.feed(bytes.subspan(index, 1));
    } else {
      tested.feed(bytes.first(std::min(cut, bytes.size())));
      tested.feed(bytes.subspan(std::min(cut, bytes.size())));
    }
    if (input.empty() && at < what.lines.size() && what.lines[at].sign == '!')
      command(tested, what.lines[at++].text);
    std::string wire;
    std::vector<std::string> told;
    for (; at < what.lines.size() && (what.lines[at].sign == '<' || what.lines[at].sign == '=');
         ++at)
      if (what.lines[at].sign == '<')
        wire += bytes_of(what.lines[at].text);
      else
        told.push_back(what.lines[at].text);
    CAPTURE(at);
    REQUIRE(hex(tested.wire) == hex(wire));
    REQUIRE(tested.told == told);
    tested.wire.clear();
    tested.told.clear();
  }
  CHECK(tested.is_over());
}

std::size_t longest_turn(const conversation& what) {
  std::size_t longest = 0;
  std::size_t turn = 0;
  for (const auto& each : what.lines) {
    turn = each.sign == '>' ? turn + bytes_of(each.text).size() : 0;
    longest = std::max(longest, turn);
  }
  return longest;
}

} // namespace

TEST_CASE("golden conversations are held as written, whole, cut at every byte, and byte by byte") {
  std::size_t count = 0;
  for (const auto& file : std::filesystem::directory_iterator(POSTBUS_SOURCE_DIR "/tests/golden")) {
    if (file.path().extension() != ".md" || file.path().stem() == "README")
      continue;
    const auto what = parse(file.path());
    ++count;
    hold(what, SIZE_MAX);
    hold(what, 0);
    for (std::size_t cut = 1; cut < longest_turn(what); ++cut)
      hold(what, cut);
  }
  CHECK(count >= 9);
}
